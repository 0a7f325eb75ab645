"""A folder of finished runs, found again by what they follow from.

Layout: ``runs/<key>/`` holds a saved run, ``unfinished/<key>.safetensors`` the checkpoint of one in training, and
``stages/`` what methods share: leading stages, and segmentations. Every file is whole or not there, so a store survives
a kill at any moment, and several processes may write to it at once: the same key means the same run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.configuration import run_key
from careedu.experiment.run import Run
from careedu.files import replace_folder


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
        """
        key = run_key(run.configuration)
        folder = self.path(key)
        there = self.find(run.configuration, warn=False)
        if there is None or (weights and there.weights is None and run.weights is not None):
            if folder.exists() and not (folder / "run.json").is_file():
                self._set_aside(folder)
            # Not straight into its place, where another process may be replacing the same run.
            new = folder.with_name(f".{key}.{uuid.uuid4().hex}")
            try:
                replace_folder(run.save(new, weights=weights), folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        self.checkpoint(key).unlink(missing_ok=True)
        return folder

    def check_writable(self) -> None:
        """Raise `InvalidInputError` if nothing can be written here, before hours of training are lost."""
        for folder in (self.folder, self.folder / "runs", self.folder / "unfinished", self.stages):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable."):
                    pass
            except OSError as error:
                raise InvalidInputError(
                    f"nothing can be written to {str(folder)!r} in the store ({error.strerror}); "
                    "choose another folder for the store, or mend its permissions"
                ) from error

    def _set_aside(self, folder: Path) -> None:
        """Keep what is left of a run without a record, under a name that is no run's."""
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.damaged.", dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):  # another process has done it
            folder.rename(aside / folder.name)
        if not (aside / folder.name).exists() or (aside / folder.name / "run.json").is_file():
            shutil.rmtree(aside)  # there was nothing left, or another process had just put a whole one there

    def _read(self, key: str) -> Run:
        folder = self.path(key)
        try:
            run = Run.load(folder)
            found = run_key(run.configuration)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the saved run in {folder} is damaged ({error!r})") from error
        if found != key:
            raise CheckpointError(f"the run in {folder} is another one than its folder says")
        return run
