"""Where a network looks: whether its map points into the lesion, and how much of the map lies there.

All measures are one number an image. `regions` are masks, bool (N, H, W), or boxes, float (N, 4) in pixels of the maps;
an image without a lesion (an empty mask, a NaN row) has the measure NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run


def pointing_game(maps: ArrayLike, regions: ArrayLike) -> np.ndarray:
    """Whether the map's maximum lies in the lesion (Zhang et al., ECCV 2016, section 4.2).

    Parameters
    ----------
    maps : float (N, H, W)
        Arrays or tensors.
    regions : bool (N, H, W) or float (N, 4)

    Returns
    -------
    float64 (N,)
        1 or 0; where several pixels share the maximum, the share of them that lies in the lesion, so that a flat map
        scores what a blind guess does. The paper allows 15 pixels beside the object; here none are.

    Raises
    ------
    InvalidInputError
        If maps or regions have the wrong shape, or a map holds NaN.
    """
    maps, inside = _checked(maps, regions)
    peak = maps == maps.max(axis=(1, 2), keepdims=True)
    hits = (peak & inside).sum(axis=(1, 2)) / peak.sum(axis=(1, 2))
    return np.where(inside.any(axis=(1, 2)), hits, np.nan)


def inside_share(maps: ArrayLike, regions: ArrayLike) -> np.ndarray:
    """Share of the map's mass that lies in the lesion: Σ inside F / Σ F.

    Parameters
    ----------
    maps : float (N, H, W)
        Not negative.
    regions : bool (N, H, W) or float (N, 4)

    Returns
    -------
    float64 (N,)
        In [0, 1]. A map of zeros, which looks nowhere, counts like one that looks everywhere alike: the area's share.

    Raises
    ------
    InvalidInputError
        If maps or regions have the wrong shape, or a map holds NaN or is negative.
    """
    maps, inside = _checked(maps, regions)
    if (maps < 0).any():
        raise InvalidInputError("maps hold negative values, whose mass has no share: use normalize_map first")
    total = maps.sum(axis=(1, 2))
    share = (maps * inside).sum(axis=(1, 2)) / np.where(total > 0, total, 1)
    share = np.where(total > 0, share, inside.mean(axis=(1, 2)))
    return np.where(inside.any(axis=(1, 2)), share, np.nan)


def area_share(regions: ArrayLike, size: tuple[int, int]) -> np.ndarray:
    """Share of the image (H, W) that the lesion covers: what both measures are for a map that knows nothing."""
    inside = _inside(regions, (len(regions), *size))
    return np.where(inside.any(axis=(1, 2)), inside.mean(axis=(1, 2)), np.nan)


def attention_of(run: Run, dataset: LesionDataset) -> pandas.DataFrame:
    """Where a trained network looks on images whose lesions are known.

    Parameters
    ----------
    run : Run
        With its weights.
    dataset : LesionDataset
        Usually the test split. The lesion is the mask where there is one, else the box.

    Returns
    -------
    DataFrame
        One row an image: "id", "class", "group", "pointing" (pointing game), "inside share", and "chance", the lesion's
        share of the image; all three of the map of the true class, and NaN for an image whose lesion is not known.

    Raises
    ------
    MissingWeightsError
        If the run was saved without weights or was not trained.
    InvalidInputError
        If classes or image size are not those of the run, or no lesion is known.
    """
    from careedu.methods.boxes import lesion_regions

    if dataset.classes != run.classes:
        raise InvalidInputError(f"the images have the classes {dataset.classes}, the run {run.classes}")
    regions = lesion_regions(dataset).numpy()
    if not regions.any():
        raise InvalidInputError("no image has a mask or box, so nobody knows where the network should look")
    maps = run.class_maps(dataset.images, dataset.labels).numpy()
    columns: dict[str, Any] = {
        "id": dataset.ids,
        "class": np.array(dataset.classes)[dataset.labels.numpy()],
        "group": dataset.groups,
        "pointing": pointing_game(maps, regions),
        "inside share": inside_share(maps, regions),
        "chance": area_share(regions, maps.shape[1:]),
    }
    return pandas.DataFrame(columns)


def _checked(maps: ArrayLike, regions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise InvalidInputError(f"maps must be (N, H, W), not {maps.shape}")
    if np.isnan(maps).any():
        raise InvalidInputError(f"{int(np.isnan(maps).any(axis=(1, 2)).sum())} maps hold NaN")
    return maps, _inside(regions, maps.shape)


def _inside(regions: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    """Regions as bool (N, H, W)."""
    regions = np.asarray(regions)
    if regions.shape == shape and regions.dtype == bool:
        return regions
    if regions.shape == (shape[0], 4) and np.issubdtype(regions.dtype, np.floating):
        import torch

        from careedu.methods.boxes import inside_boxes

        return inside_boxes(torch.from_numpy(np.ascontiguousarray(regions)), shape[1:]).numpy()
    raise InvalidInputError(
        f"regions must be masks, bool {shape}, or boxes, float ({shape[0]}, 4), not {regions.dtype} {regions.shape}"
    )
