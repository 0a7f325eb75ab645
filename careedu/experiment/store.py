"""A folder of finished runs, found again by what they follow from.

Layout: ``runs/<key>/`` holds a saved run, ``unfinished/<key>.safetensors`` the checkpoint of one in training, and
``stages/`` first stages that methods share. Every file is whole or not there, so a store survives a kill at any moment,
and several processes may write to it at once: the same key means the same run.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.configuration import run_key
from careedu.experiment.run import Run


class RunStore:
    """Finished runs in a folder.

    Parameters
    ----------
    folder : path
        Made when the first run is kept.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidInputError(f"store {str(self.folder)!r} is a file; name a folder")

    def __repr__(self) -> str:
        return f"RunStore({str(self.folder)!r}, {len(self)} runs)"

    def __len__(self) -> int:
        return sum(1 for _ in (self.folder / "runs").glob("*/run.json"))

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

    def find(self, configuration: Mapping[str, Any]) -> Run | None:
        """The run that follows from a configuration, or None.

        A damaged one is named in a warning and not given, so that it is made again. So is one whose record does not
        agree with its place.
        """
        key = run_key(configuration)
        folder = self.path(key)
        if not folder.exists():
            return None
        try:
            run = Run.load(folder)
            if run_key(run.configuration) != key:
                raise CheckpointError(f"the run in {folder} is another one than its folder says")
        except CheckpointError as error:
            warnings.warn(f"{error}; it is trained again", stacklevel=2)
            return None
        return run

    def keep(self, run: Run, *, weights: bool = True) -> Path:
        """Save a finished run and forget its checkpoint."""
        key = run_key(run.configuration)
        folder = self.path(key)
        if folder.exists() and not (folder / "run.json").is_file():
            # A run lost its record; what is left of it is set aside, not deleted.
            folder.rename(folder.with_name(f"{key}.damaged-{os.getpid()}"))
        run.save(folder, weights=weights)
        self.checkpoint(key).unlink(missing_ok=True)
        return folder

    def usable_checkpoint(self, key: str) -> Path:
        """The checkpoint's path; a damaged checkpoint is named in a warning and removed."""
        from careedu.experiment.checkpoint import read_tensors

        path = self.checkpoint(key)
        if path.exists():
            try:
                read_tensors(path)
            except CheckpointError as error:
                warnings.warn(f"{error}; its training begins again", stacklevel=2)
                path.unlink(missing_ok=True)
        return path

    def check_writable(self) -> None:
        """Raise `InvalidInputError` if nothing can be written here, before hours of training are lost."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".writable."):
                pass
        except OSError as error:
            raise InvalidInputError(
                f"nothing can be written to store {str(self.folder)!r} ({error.strerror}); "
                "choose another folder, or mend its permissions"
            ) from error
