"""What a method is told: of the training set, and of where it may train something of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from careedu.data.dataset import LesionDataset, Splits
from careedu.data.digest import digest


@dataclass(frozen=True)
class TrainingFacts:
    """What a method may know of the training set when it wraps the model and declares its stages.

    Parameters
    ----------
    counts : tuple of int
        Training images per class.
    rare : tuple of int
        Indices of the rare classes.
    image_shape : (C, H, W)
    dataset : LesionDataset, optional
        The training images. None when a saved run is opened without them.
    pool : LesionDataset, optional
        All training images, where only those of `dataset` have labels.
    """

    counts: tuple[int, ...]
    rare: tuple[int, ...]
    image_shape: tuple[int, int, int]
    dataset: LesionDataset | None = None
    pool: LesionDataset | None = None

    def of_rows(self, rows: Tensor) -> TrainingFacts:
        """The facts as a stage has them that sees only these training images: with the counts of its classes."""
        counts = torch.bincount(self.dataset.labels[rows], minlength=len(self.counts)).tolist()
        return dataclasses.replace(self, counts=tuple(max(1, n) for n in counts))

    def counts_like(self, reference: Tensor) -> Tensor:
        """Counts as a float64 tensor (C,) on the device of `reference`."""
        return torch.tensor(self.counts, dtype=torch.float64, device=reference.device)


@dataclass(frozen=True)
class Workspace:
    """How and where a method may train something of its own before the training, a segmentation for instance.

    Parameters
    ----------
    progress : bool
        Whether it shows a progress bar.
    folder : Path, optional
        Where what it trains is kept, so that it goes on after a stop and need not be trained again.
    """

    progress: bool = False
    folder: Path | None = None

    def checkpoint(self, name: str, identity: Mapping[str, Any]) -> Path | None:
        """File for the checkpoint of a training that follows from JSON values; None without a folder."""
        return self.folder and self.folder / f"{name}-{digest(identity)}.safetensors"


def named_classes(data: Splits, classes: str) -> tuple[str, str]:
    """Of which classes a method reads lesions, ``"rare"`` or all, in words; and what else helps where none is known."""
    if classes != "rare":
        return "any class", ""
    return "rare class " + ", ".join(map(repr, data.rare)), ", or name other rare classes with rare="
