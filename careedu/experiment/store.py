"""A folder of finished runs, found again by what they follow from.

Layout: ``runs/<key>/`` holds a saved run, ``unfinished/<key>.safetensors`` the checkpoint of one in training, and
``stages/`` what methods share: leading stages, and segmentations. Every file is whole or not there and tells whether it
is what was written, so a store survives a kill at any moment, and several processes may write to it at once: the same
key means the same run.
"""

import os
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.configuration import run_key
from careedu.experiment.run import SAVED_RUN, Run, write_run
from careedu.experiment.saved_folder import naming_damage, tidy
from careedu.experiment.saved_weights import SavedWeights
from careedu.files import check_writable, storing


class RunStore:
    """Finished runs in a folder.

    Parameters
    ----------
    folder : path
        Made when the first run is kept. A relative one is taken from the present working directory once and for all,
        whatever directory a worker process is in.

    Raises
    ------
    InvalidInputError
        If there is a file of that name.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder).absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidInputError(f"store {str(folder)!r} is a file; name a folder")

    def __repr__(self) -> str:
        return f"RunStore({str(self.folder)!r}, {len(self)} runs)"

    def __len__(self) -> int:
        # What a killed process left half written has a name that begins with a dot.
        return sum(1 for path in (self.folder / "runs").glob("*/run.json") if not path.parent.name.startswith("."))

    @property
    def stages(self) -> Path:
        """Where first stages are kept that methods share."""
        return self.folder / "stages"

    def path(self, key: str) -> Path:
        """Folder of the run with this key."""
        return self.folder / "runs" / key

    def checkpoint(self, key: str) -> Path:
        """File of the checkpoint of a run in training."""
        return self.folder / "unfinished" / f"{key}.safetensors"

    def find(self, configuration: Mapping[str, Any], *, warn: bool = True) -> Run | None:
        """The run that follows from a configuration, or None.

        A damaged one is named in a warning and not given, so that it is made again. So is one whose record does not
        agree with its place.

        Parameters
        ----------
        configuration : mapping
            As `careedu.experiment.configuration.configure` makes it.
        warn : bool
            Whether a damaged run is named.
        """
        key = run_key(configuration)
        try:
            return self._read(key) if self.path(key).exists() else None
        except (CheckpointError, OSError) as error:
            if warn:
                warnings.warn(f"{error}; it is trained again", stacklevel=2)
            return None

    def keep(self, run: Run, *, weights: bool = True) -> Path:
        """Save a finished run and forget its checkpoint.

        A whole run that is there already stays: the same key means the same run, and another process may be reading it.

        Parameters
        ----------
        run : Run
        weights : bool
            Whether its network is saved too.

        Returns
        -------
        Path
            The run's folder.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        key = run_key(run.configuration)
        folder = self.path(key)
        record = folder / SAVED_RUN.record
        there = self.find(run.configuration, warn=False)
        with storing(folder):
            if there is None or (weights and there.weights is None and run.weights is not None):
                for path, in_the_way in ((folder, folder.is_file()), (record, record.is_dir())):
                    if in_the_way:
                        path.rename(path.with_name(f".{path.name}.{uuid.uuid4().hex}.aside"))
                # What is damaged here is replaced: by its place it is ours.
                write_run(run, folder, weights=weights, force=True)
            else:
                tidy(folder, SAVED_RUN)
            self.checkpoint(key).unlink(missing_ok=True)
        return folder

    def check_writable(self) -> None:
        """Raise `StorageError` if nothing can be written here, before hours of training are lost."""
        for folder in (self.folder, self.folder / "runs", self.folder / "unfinished", self.stages):
            check_writable(folder)

    def _read(self, key: str) -> Run:
        folder = self.path(key)
        run = Run.load(folder)
        with naming_damage(folder, SAVED_RUN):
            found = run_key(run.configuration)
        if found != key:
            raise CheckpointError(f"the run in {folder} is another one than its folder says")
        if isinstance(run.weights, SavedWeights):
            run.weights.discard_damaged = True
        return run
