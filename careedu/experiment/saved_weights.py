"""A saved network's weights, which nobody has to wait for who does not ask for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from careedu.errors import CheckpointError, MissingWeightsError
from careedu.files import read_tensors, tensor_names

if TYPE_CHECKING:
    from torch import Tensor


class SavedWeights(Mapping[str, "Tensor"]):
    """A network's weights that are read when they are first asked for, so that opening what is saved needs no torch.

    Parameters
    ----------
    path : Path
        Of the file.
    digest : str, optional
        Of the file's content, compared when it is read. Where there is none, the header is read at once.
    single_precision : bool
        Whether all floating-point weights come as float32.
    """

    def __init__(self, path: Path, digest: str | None = None, single_precision: bool = False) -> None:
        self.path, self.digest, self.single_precision = path, digest, single_precision
        self.discard_damaged = False
        """Whether a damaged file is removed, so that a store makes the run again."""
        self._names = tensor_names(path) if digest is None else None
        self._tensors: dict[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        if self._tensors is None:
            self._check_there()
            try:
                tensors, _ = read_tensors(self.path, digest=self.digest)
            except CheckpointError as error:
                self._check_there()
                # Not where the system could not read it: what it holds may be whole.
                if self.discard_damaged and isinstance(error.__cause__, ValueError | SafetensorError):
                    with contextlib.suppress(OSError):  # a store that may only be read
                        self.path.unlink(missing_ok=True)
                raise
            widen = self.single_precision
            self._tensors = {key: t.float() if widen and t.is_floating_point() else t for key, t in tensors.items()}
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        if self._names is None:
            self._check_there()
            self._names = tensor_names(self.path)
        return iter(self._names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _check_there(self) -> None:
        if not self.path.is_file():
            raise MissingWeightsError(
                f"{self.path} was removed or replaced since it was opened; open what is saved there again, or make it "
                "again"
            )
