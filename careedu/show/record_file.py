"""Records: what was computed once for a widget, in one file of tensors and a JSON state."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from careedu.data.shipped import shipped
from careedu.errors import CheckpointError, InvalidInputError
from careedu.files import UNREADABLE, packed, read_tensors, unpacked, write_tensors

SUFFIX = ".safetensors"


class RecordFile:
    """A record that is saved as one file, at once or not at all."""

    what: ClassVar[str]
    """What it is, in a word or two."""
    made_by: ClassVar[str]
    """The call in `careedu.show` that makes one."""

    @abstractmethod
    def written(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Its arrays, and JSON values."""

    @classmethod
    @abstractmethod
    def of_written(cls, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> Self:
        """The record that gave them."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        data: Mapping[str, Any] = self.data
        return tuple(data["classes"])

    def save(self, path: str | os.PathLike) -> Path:
        """Write one file that ends in ``.safetensors``.

        Raises
        ------
        InvalidInputError
            If the path ends otherwise.
        StorageError
            If it cannot be written.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            raise InvalidInputError(f"{self.what} want a {SUFFIX} file, and {path.name!r} is none: name it so")
        arrays, state = self.written()
        write_tensors(path, packed(arrays), state)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Open what `save` wrote: a file, or by its name one that comes with careedu.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged.
        """
        file = Path(path)
        if not file.is_file() and (there := shipped("runs") / f"{path}{SUFFIX}").is_file():
            file = there
        if not file.is_file():
            raise CheckpointError(
                f"no saved {cls.what} in {str(path)!r}, and none of that name come with careedu: make them with "
                f"careedu.show.{cls.made_by}.save(path), or give another path"
            )
        tensors, state = read_tensors(file, "numpy")
        try:
            return cls.of_written(unpacked(tensors), state)
        except UNREADABLE as error:
            raise CheckpointError(f"{file} holds no {cls.what} ({error}); name another file") from error
