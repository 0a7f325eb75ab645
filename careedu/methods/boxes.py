"""Boxes around lesions: turned into pixels, scaled, moved off the lesion for controls, and found without a doctor.

Boxes are float32 (N, 4), x0, y0, x1, y1 in pixels, x1 and y1 exclusive; a NaN row is no box.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError, check_known
from careedu.methods.saliency import SALIENCIES

CANDIDATES = 64  # places tried for a box that is to lie off the lesion


def inside_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels whose centre lies in a box.

    Parameters
    ----------
    boxes : float (B, 4) or (B, M, 4)
        One box an image, or several, whose union is taken. A NaN row holds no pixel.
    size : (H, W)

    Returns
    -------
    bool (B, H, W)

    Raises
    ------
    InvalidInputError
        If the boxes have another shape.
    """
    if boxes.dim() not in (2, 3) or boxes.shape[-1] != 4:
        raise InvalidInputError(f"boxes must be (B, 4) or (B, M, 4), not {tuple(boxes.shape)}")
    height, width = size
    x0, y0, x1, y1 = boxes[..., None].unbind(-2)
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    across, down = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
    inside = down[..., :, None] & across[..., None, :]
    return inside.any(dim=1) if boxes.dim() == 3 else inside


def enclosing_boxes(regions: Tensor) -> Tensor:
    """The smallest box around each region, float32 (B, 4), of bool (B, H, W); NaN for an empty region."""
    height, width = regions.shape[1:]
    rows, columns = regions.any(dim=2).int(), regions.any(dim=1).int()
    # argmax finds the first of equals.
    x0, y0 = columns.argmax(dim=1), rows.argmax(dim=1)
    x1, y1 = width - columns.flip(1).argmax(dim=1), height - rows.flip(1).argmax(dim=1)
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()
    return torch.where(regions.any(dim=2).any(dim=1)[:, None], boxes, torch.nan)


def lesion_regions(dataset: LesionDataset, rows: Tensor | None = None) -> Tensor:
    """What is known of where the lesions lie, bool (B, H, W): the mask where there is one, else the inside of the box.

    All false for an image with neither. `rows` chooses images; by default all.
    """
    rows = torch.arange(len(dataset), device=dataset.labels.device) if rows is None else rows
    regions = inside_boxes(dataset.boxes[rows], tuple(dataset.images.shape[2:]))
    if dataset.masks is None:
        return regions
    return torch.where(dataset.has_mask[rows][:, None, None], dataset.masks[rows], regions)


def given_boxes(dataset: LesionDataset) -> Tensor:
    """The boxes of a data set; where there is a mask and no box, the mask's."""
    if dataset.masks is None:
        return dataset.boxes
    from_masks = enclosing_boxes(dataset.masks & dataset.has_mask[:, None, None])
    return torch.where(dataset.has_box[:, None], dataset.boxes, from_masks)


def mark_boxes(dataset: LesionDataset) -> Tensor:
    """The boxes of what is no part of the disease, a plaster or a letter: a control that says where the shortcut is.

    NaN for an image that carries no mark.

    Raises
    ------
    InvalidInputError
        If nothing is known of marks.
    """
    if dataset.marks is None:
        raise InvalidInputError(
            "nothing is known of marks in these images, so no box can be put on one: load a phantom with "
            'shortcut="mark", or choose other boxes'
        )
    return enclosing_boxes(dataset.marks)


def found_boxes(dataset: LesionDataset, rows: Tensor, source: str) -> Tensor:
    """Boxes of some images by ``"saliency"`` or on the ``"mark"``; of any other source the given ones."""
    if source == "saliency":
        return lesion_boxes(dataset.images[rows], "minimum-barrier")
    return (mark_boxes if source == "mark" else given_boxes)(dataset)[rows]


def wanted_rows(data: Splits, source: str, classes: str, share: float, seed: Sequence[int]) -> Tensor:
    """Rows of the training images that are to have a box, int64 (M,) in ascending order.

    A share of each class's images, at least one; smaller shares are part of larger ones. It is a share of those that a
    doctor has boxed, for ``source="mark"`` of those that carry a mark, and of all where boxes are found without either.

    Raises
    ------
    InvalidInputError
        If boxes are to lie on marks, and nothing is known of marks.
    """
    train, rows = data.train, []
    known = train.has_box | train.has_mask
    if source == "mark":
        known = ~mark_boxes(train).isnan().any(dim=1)
    elif source in ("saliency", "segmentation"):
        known = torch.ones_like(known)
    for c in range(len(train.classes)) if classes == "all" else data.rare_indices:
        own = (known & (train.labels == c)).nonzero()[:, 0]
        order = np.random.default_rng([*seed, c]).permutation(len(own))
        # Less a rounding error: 0.07 · 100 is a hair above 7, and must not ask for an eighth.
        rows.append(own[torch.from_numpy(order)][: math.ceil(share * len(own) - 1e-9)])
    return torch.cat(rows).sort().values


def scale_boxes(boxes: Tensor, scale: float, size: tuple[int, int]) -> Tensor:
    """Make boxes wider and higher by a factor about their centre, clipped to the image (H, W)."""
    if scale == 1:
        return boxes
    limit = torch.tensor([size[1], size[0]], dtype=torch.float32)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    low, high = (centre - half).clamp_min(0), torch.minimum(centre + half, limit)
    return torch.cat([low, high], dim=1)


def random_boxes(boxes: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Boxes of the same sizes anywhere in the image, each place being as likely: a control that knows no lesion."""
    return _placed(boxes, size, torch.from_numpy(rng.random((len(boxes), 2))).float())


def shifted_boxes(boxes: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Boxes of the same sizes that miss the lesion's box: a control that says where the lesion is not.

    A random place without overlap is taken; for a box too large to miss its lesion, the place of least overlap among
    the image's corners and random ones.
    """
    places = torch.from_numpy(rng.random((len(boxes), CANDIDATES, 2))).float()
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).expand(len(boxes), 4, 2)
    places = torch.cat([places, corners], dim=1)
    candidates = torch.stack([_placed(boxes, size, place) for place in places.unbind(1)], dim=1)
    low = torch.maximum(candidates[..., :2], boxes[:, None, :2])
    high = torch.minimum(candidates[..., 2:], boxes[:, None, 2:])
    overlap = (high - low).clamp_min(0).prod(dim=2).nan_to_num(0.0)
    return candidates[torch.arange(len(boxes)), overlap.argmin(dim=1)]


def _placed(boxes: Tensor, size: tuple[int, int], place: Tensor) -> Tensor:
    """Boxes with their upper left corner at a place (N, 2) in [0, 1] of the room that there is."""
    extent = boxes[:, 2:] - boxes[:, :2]
    limit = torch.tensor([size[1], size[0]], dtype=torch.float32)
    corner = place * (limit - extent).clamp_min(0)
    # The sum may round to a hair beyond the image's edge.
    return torch.cat([corner, torch.minimum(corner + extent, limit)], dim=1)


def lesion_boxes(images: Tensor, kind: str = "minimum-barrier") -> Tensor:
    """Guess where the lesion is from what stands out in the image: saliency, Otsu's threshold, largest component, box.

    CARE's abstract (arXiv 2307.10036) names "traditional saliency methods"; which, and how a map becomes a box, are
    our choice.

    Parameters
    ----------
    images : uint8 (N, C, H, W)
    kind : str
        ``"spectral-residual"`` or ``"minimum-barrier"``, see :mod:`careedu.methods.saliency`.

    Returns
    -------
    float32 (N, 4)
        NaN where nothing stands out.

    Raises
    ------
    UnknownNameError
        If there is no saliency of that name.
    InvalidInputError
        If the images are not uint8 (N, C, H, W).
    """
    check_known("saliency", kind, SALIENCIES)
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise InvalidInputError(f"images must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
    maps = SALIENCIES[kind](images.cpu().numpy())
    thresholds = otsu_thresholds(maps)
    return component_boxes(maps > thresholds[:, None, None])


def component_boxes(regions: np.ndarray) -> Tensor:
    """The box around each region's largest component (8 neighbours), of bool (N, H, W); NaN for an empty region."""
    from scipy import ndimage

    largest = np.zeros_like(regions)
    for region, keep in zip(regions, largest, strict=True):
        components, count = ndimage.label(region, structure=np.ones((3, 3)))
        if count:
            keep[:] = components == 1 + np.bincount(components.ravel())[1:].argmax()
    return enclosing_boxes(torch.from_numpy(largest))


def otsu_thresholds(maps: np.ndarray, bins: int = 256) -> np.ndarray:
    """The threshold of each map that separates its values best into two groups.

    It maximises the variance between the groups, ω₀ ω₁ (μ₀ − μ₁)² (Otsu, IEEE SMC 1979, equation 18).

    Parameters
    ----------
    maps : float (N, H, W) in [0, 1]
    bins : int
        Of the histogram.

    Returns
    -------
    float64 (N,)
        A value belongs to the upper group where it is above the threshold; 1 for a flat map, which has no groups.
    """
    flat = maps.reshape(len(maps), -1)
    level = np.minimum((flat * bins).astype(np.int64), bins - 1)
    offset = np.arange(len(maps))[:, None] * bins
    histogram = np.bincount((level + offset).ravel(), minlength=len(maps) * bins).reshape(len(maps), bins)
    share = histogram / flat.shape[1]
    below = share.cumsum(axis=1)
    moment = (share * (np.arange(bins) + 0.5)).cumsum(axis=1)
    spread = below * (1 - below)
    between = (moment[:, -1:] * below - moment) ** 2
    between = np.divide(between, spread, out=np.zeros_like(between), where=spread > 1e-12)
    thresholds = (between.argmax(axis=1) + 1) / bins
    return np.where(between.max(axis=1) > 0, thresholds, 1.0)
