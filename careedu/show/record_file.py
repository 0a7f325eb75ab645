"""Records: what was computed once for a widget, in one file of tensors and a JSON state."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from careedu.data.shipped import shipped
from careedu.errors import CheckpointError, InvalidInputError
from careedu.files import UNREADABLE, packed, read_tensors, unpacked, write_tensors

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results
    from careedu.methods.method import Method
    from careedu.training.loop import EpochReport

SUFFIX = ".safetensors"


def train_again(
    results: Results, method: Method, seed: int, look: Callable[[EpochReport], object], arm: str = "", **options: Any
) -> None:
    """Train a method once more on the data of results, and look at it after each epoch, on the CPU.

    Raises
    ------
    InvalidInputError
        If `arm` of the results had other probabilities.
    """
    from careedu.experiment.fit import fit
    from careedu.experiment.grid import torch_threads

    def after_epoch(report: EpochReport) -> None:
        on_cpu = all(tensor.device.type == "cpu" for tensor in report.model.parameters())
        look(report if on_cpu else replace(report, model=deepcopy(report.model).cpu()))

    with torch_threads(results.first.configuration["threads"]):  # they are part of the bits
        run = fit(results.data.redraw(seed), method, seed=seed, progress=False, on_epoch=after_epoch, **options)
    if arm and not np.allclose(run.probabilities, results.runs[arm][seed].probabilities, atol=1e-5):
        raise InvalidInputError(f"{arm!r}, seed {seed}, trained again gives other probabilities than its results")


def fields_of(images: LesionDataset, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record that tell of its images; `configuration` is that of a run on them."""
    data = {key: configuration["data"][key] for key in ("name", "recipe", "classes", "rare", "image shape")}
    return {"data": data, "labels": images.labels.numpy(), "ids": np.asarray(images.ids)}


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordFile:
    """A record of what networks make of images, which is saved as one file, at once or not at all.

    Parameters
    ----------
    names : tuple of str
        Of what was looked at.
    labels : ndarray
        int64 (N,), true classes of the images.
    ids : ndarray
        str (N,), their distinct names.
    data, provenance : mapping
        JSON values.
    """

    what: ClassVar[str]
    """What it is, in a word or two."""
    made_by: ClassVar[str]
    """The call in `careedu.show` that makes one."""

    texts: ClassVar[tuple[str, ...]] = ("ids", "groups")
    """Fields that are arrays of names, and are saved as JSON."""

    names: tuple[str, ...]
    labels: np.ndarray
    ids: np.ndarray
    data: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]], sizes: str) -> None:
        """Refuse a field whose array has another shape than `sizes`, in words, ask for."""
        for name, shape in shapes.items():
            if (found := getattr(self, name).shape) != shape:
                raise InvalidInputError(f"{name} must be {shape} for {sizes}, not {found}")

    def written(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its arrays, and JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {n: v for n, v in values.items() if isinstance(v, np.ndarray) and n not in self.texts}
        told = {name: value for name, value in values.items() if name not in arrays}
        return arrays, {n: dict(v) if isinstance(v, Mapping) else np.asarray(v).tolist() for n, v in told.items()}

    @classmethod
    def of_written(cls, arrays: dict[str, Any], state: dict[str, Any]) -> Self:
        """The record that gave them."""
        lists = {name: value for name, value in state.items() if isinstance(value, list)}
        told = {name: np.array(value) if name in cls.texts else tuple(value) for name, value in lists.items()}
        return cls(**{**arrays, **state, **told})

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.data["classes"])

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
    def opened(cls, record: Self | str | os.PathLike | None, saved: str) -> Self:
        """The record itself, or that of the path; where neither is given, the `saved` one."""
        return record if isinstance(record, cls) else cls.load(saved if record is None else record)

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
