"""Changes of an image, and by measurement whether the class of a phantom can still be told after each.

The class of a skin phantom is the fine texture within its lesion, so that is what is measured: no network, no luck.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.data.phantoms import CLASSES, draw_phantom

Changed = tuple[Tensor, Tensor]
COUNT, NEIGHBOURS = 90, 7


def _drawn(**options: float) -> Callable[[Tensor, Tensor], Changed]:
    def change(images: Tensor, masks: Tensor) -> Changed:
        draw = Augmentation(**options).draw(len(images), images.shape[2:], torch.Generator().manual_seed(7))
        return draw.images(images), draw.masks(masks)

    return change


def _cropped(images: Tensor, masks: Tensor) -> Changed:
    """A square of a twentieth of the area, anywhere, made as large as the image."""
    side, random = 0.05**0.5, torch.Generator().manual_seed(7)
    place = torch.zeros(len(images), 2, 3)
    place[:, 0, 0] = place[:, 1, 1] = side
    place[:, :, 2] = (2 * torch.rand(len(images), 2, generator=random) - 1) * (1 - side)
    grid = functional.affine_grid(place, list(images.shape), align_corners=False)
    inside = functional.grid_sample(masks[:, None].float(), grid, mode="nearest", align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False), inside[:, 0] > 0.5


AUGMENTATIONS: Mapping[str, Callable[[Tensor, Tensor], Changed]] = MappingProxyType(
    {
        "none": lambda images, masks: (images, masks),
        "flip": lambda images, masks: (images.flip(3), masks.flip(2)),
        "any rotation": _drawn(rotation=180.0),
        "small shift": _drawn(shift=0.06),
        "gain and offset": _drawn(brightness=0.1, contrast=0.3),
        "strong blur": lambda images, masks: (_local_mean(images, 15), masks),
        "crop to a twentieth": _cropped,
        "black": lambda images, masks: (torch.zeros_like(images), masks),
    }
)
"""Name → what makes of images (N, C, H, W) in [0, 1] and lesions (N, H, W) the changed ones."""


def phantoms(count: int = COUNT) -> tuple[Tensor, Tensor, Tensor]:
    """Skin phantoms of the three classes in turn: images in [0, 1], lesions, labels."""
    labels = np.arange(count) % len(CLASSES["skin"])
    drawn = draw_phantom("skin", labels, seed=4)
    return torch.from_numpy(drawn.images) / 255, torch.from_numpy(drawn.masks), torch.from_numpy(labels)


def augmented(count: int = 6) -> LesionDataset:
    """The same few phantoms after each change, for `careedu.show.plot_images`: here a "class" is a change."""
    images, masks, _ = phantoms(count)
    changed = [change(images, masks) for change in AUGMENTATIONS.values()]
    return LesionDataset(
        torch.cat([(255 * image).round().to(torch.uint8) for image, _ in changed]),
        torch.arange(len(changed)).repeat_interleave(count),
        tuple(AUGMENTATIONS),
        masks=torch.cat([mask for _, mask in changed]),
    )


@cache
def told() -> dict[str, float]:
    """Of each change the share of phantoms whose class can still be told, by `texture`, from the others'."""
    images, masks, labels = phantoms()
    return {name: share_told(texture(*change(images, masks)), labels) for name, change in AUGMENTATIONS.items()}


def texture(images: Tensor, masks: Tensor) -> Tensor:
    """What fine texture there is in each lesion, float (N, 6): at three scales its energy and whether it is lopsided.

    The energy is a share of the lesion's own variance, so that no gain and no offset changes it.
    """
    inside = masks[:, None].float()
    area = inside.sum((2, 3), keepdim=True).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return (values * inside).sum((2, 3), keepdim=True) / area

    grey = images.mean(1, keepdim=True)
    grey = grey - mean(grey)
    grey, found = grey / mean(grey**2).clamp(min=1e-8).sqrt(), []
    for fine, coarse in ((1, 5), (3, 7), (5, 11)):
        band = _local_mean(grey, fine) - _local_mean(grey, coarse)
        energy = mean(band**2).clamp(min=1e-6)
        found += [energy.log(), mean(band**3) / energy**1.5]
    return torch.cat(found, dim=1).flatten(1)


def share_told(features: Tensor, labels: Tensor) -> float:
    """Share of the images whose class most of their nearest neighbours have; chance is one in the number of classes."""
    scaled = (features - features.mean(0)) / features.std(0).clamp(min=1e-6)
    nearest = torch.cdist(scaled, scaled).fill_diagonal_(torch.inf).topk(NEIGHBOURS, largest=False).indices
    return float((labels[nearest].mode(1).values == labels).double().mean())


def _local_mean(images: Tensor, width: int) -> Tensor:
    return functional.avg_pool2d(images, width, 1, width // 2, count_include_pad=False)
