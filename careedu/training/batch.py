"""A training batch: images, and whatever else is known of them, moved by one draw of the augmentation."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset


def unit_range(images: Tensor) -> Tensor:
    """Images as floats in [0, 1] with the channels last in memory, which convolutions on a CPU are fastest with.

    Parameters
    ----------
    images : Tensor
        uint8 (B, C, H, W).

    Returns
    -------
    Tensor
        float32 (B, C, H, W).
    """
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


@dataclass(eq=False, repr=False)
class Batch:
    """Part of a training set, augmented.

    Masks, boxes and second views are made when they are asked for, so a loss that needs none costs nothing.

    Parameters
    ----------
    dataset : LesionDataset
        On the device of the training.
    index : Tensor
        int64 (B,), rows of `dataset`.
    augmentation : Augmentation
    generator : torch.Generator
        On the CPU.
    progress : float
        The share of the stage's updates already done, in [0, 1).

    Attributes
    ----------
    inputs : Tensor
        float32 (B, C, H, W) in [0, 1].
    labels : Tensor
        int64 (B,).
    """

    dataset: LesionDataset
    index: Tensor
    augmentation: Augmentation
    generator: torch.Generator
    progress: float = 0.0

    def __post_init__(self) -> None:
        self.labels = self.dataset.labels[self.index]
        self.image_size = tuple(self.dataset.images.shape[2:])
        self.draw = self.augmentation.draw(len(self.index), self.image_size, self.generator)
        self.inputs = self.draw.images(self.originals).contiguous(memory_format=torch.channels_last)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def originals(self) -> Tensor:
        """The images before augmentation, float32 (B, C, H, W) in [0, 1]."""
        return unit_range(self.dataset.images[self.index])

    @cached_property
    def masks(self) -> Tensor | None:
        """Lesion masks moved with the images, bool (B, H, W); None where the set has none."""
        return None if self.dataset.masks is None else self.draw.masks(self.dataset.masks[self.index])

    @cached_property
    def marks(self) -> Tensor | None:
        """Marks that are no part of the disease, moved with the images, bool (B, H, W); None where none are known."""
        return None if self.dataset.marks is None else self.draw.masks(self.dataset.marks[self.index])

    @cached_property
    def has_mask(self) -> Tensor:
        """Whether the image's mask is known, bool (B,)."""
        return self.dataset.has_mask[self.index]

    @cached_property
    def boxes(self) -> Tensor:
        """Boxes moved with the images, float32 (B, 4) XYXY in pixels; NaN rows where there is none."""
        return self.draw.boxes(self.dataset.boxes[self.index], self.image_size)

    def warp(self, maps: Tensor) -> Tensor:
        """Move maps that lie on the original images the way the images were moved, float (B, C, H, W)."""
        return self.draw.maps(maps)

    def augmented(self, image: Tensor) -> Tensor:
        """One more image, float (C, H, W) in [0, 1], moved and toned as each of the batch's: float (B, C, H, W)."""
        return self.draw.images(image.expand(len(self), *image.shape))

    def view(self, augmentation: Augmentation | None = None) -> Tensor:
        """Another augmented view of the same images, float32 (B, C, H, W), from a draw of its own."""
        augmentation = augmentation or self.augmentation
        draw = augmentation.draw(len(self), self.image_size, self.generator)
        return draw.images(self.originals).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features to train on where there are no images: what a stage sees of it are `FeatureBatch`es.

    Parameters
    ----------
    features : Tensor
        float32 (N, ...).
    labels : Tensor
        int64 (N,), on the same device.
    """

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class FeatureBatch:
    """Part of a table of precomputed features, for stages that train on frozen features.

    Attributes
    ----------
    inputs : Tensor
        float32 (B, ...).
    labels : Tensor
        int64 (B,).
    """

    def __init__(self, features: Tensor, labels: Tensor, index: Tensor, progress: float = 0.0) -> None:
        self.inputs = features[index]
        self.labels = labels[index]
        self.index = index
        self.progress = progress

    def __len__(self) -> int:
        return len(self.index)
