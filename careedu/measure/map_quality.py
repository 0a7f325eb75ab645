"""How well a map agrees with where the lesions are known to be.

Of a class's map: whether it points into the lesion, and how much of it lies there, one number an image. `regions` are
masks, bool (N, H, W), or boxes, float (N, 4) in pixels of the maps; an image without a lesion (an empty mask, a row of
NaN) has the measure NaN. The mask may also be that of a mark that is no part of the disease: the share of the map that
lies there is what a network that has learned the mark looks at. Of an attention map that is the same for all images:
its agreement with the zones where lesions can lie. Such a map that "finds the lesions" has proved nothing until it
beats the mean image taken as a map: on aligned anatomy the brightness of a place alone may tell where lesions lie.
"""

import numpy as np
import scipy  # its `stats` load when they are asked for, which takes a second
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.measure.intervals import Interval
from careedu.measure.statistics import Difference, sign_flip_p


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


def map_auroc(attention: ArrayLike, zone: ArrayLike) -> float:
    """Probability that a pixel inside the zone has a greater weight than one outside it, ties counting half.

    Parameters
    ----------
    attention : (H, W)
        Only the order of its values matters; a flat map gives .5.
    zone : bool (H, W)
        Where lesions can lie, for instance `careedu.data.phantoms.lesion_zones`.

    Returns
    -------
    float
        The area under the receiver operating characteristic, in [0, 1].

    Raises
    ------
    InvalidInputError
        If the shapes differ, the map is not finite, or the zone is everywhere or nowhere.
    """
    attention, zone = np.asarray(attention, dtype=np.float64), np.asarray(zone)
    if attention.shape != zone.shape or attention.ndim != 2 or zone.dtype != bool:
        raise InvalidInputError(
            f"the map and the zone, a bool array, must both be (H, W), not {attention.shape} and {zone.dtype} "
            f"{zone.shape}"
        )
    if not np.isfinite(attention).all():
        raise InvalidInputError("the map holds NaN or infinity: the training that made it has failed")
    inside = int(zone.sum())
    outside = zone.size - inside
    if inside == 0 or outside == 0:
        where = "nowhere" if inside == 0 else "everywhere"
        raise InvalidInputError(f"the zone is {where}, so no map can point to it; use images of aligned anatomy")
    ranks = scipy.stats.rankdata(attention).reshape(zone.shape)
    return float((ranks[zone].sum() - inside * (inside + 1) / 2) / (inside * outside))


def interval_over_seeds(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval: for what there is one of in each training, such as a map's AUROC.

    Parameters
    ----------
    values : (S,)
        One value a seed.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        Of infinite width for a single seed; not cut to the range that the values can have.

    Raises
    ------
    InvalidInputError
        If there is no value, or one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InvalidInputError(f"values must be finite numbers, one a seed, not {values!r}")
    mean = float(values.mean())
    if (n := len(values)) == 1:
        return Interval(mean, float("-inf"), float("inf"))
    half = float(scipy.special.stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def map_difference(aurocs: ArrayLike, baseline: ArrayLike) -> Difference:
    """Whether a map agrees with the truth better than another, which needs no training: paired over seeds.

    Parameters
    ----------
    aurocs, baseline : (S,)
        AUROC of the map and of the other, one a seed, in the same order.

    Returns
    -------
    Difference
        Mean over seeds of the difference, `interval_over_seeds`, and the p-value of random signs. Its verdict is
        "better" or "worse" only where interval and p-value both say so, and below six seeds "too few seeds".

    Raises
    ------
    InvalidInputError
        If their numbers differ, or one is not finite.
    """
    aurocs, baseline = np.asarray(aurocs, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if aurocs.shape != baseline.shape:
        raise InvalidInputError(
            f"both maps need an AUROC for each seed, not {aurocs.shape} and {baseline.shape}: pair them by seed"
        )
    differences = aurocs - baseline
    interval = interval_over_seeds(differences)
    p = sign_flip_p(differences)
    return Difference("AUROC of the map", *interval, p, len(differences), float("nan"))


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
        # A pixel is inside where its centre is; a NaN row holds none.
        x0, y0, x1, y1 = np.moveaxis(regions[:, :, None], 1, 0)
        x, y = np.arange(shape[2]) + 0.5, np.arange(shape[1]) + 0.5
        return ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :]
    raise InvalidInputError(
        f"regions must be masks, bool {shape}, or boxes, float ({shape[0]}, 4), not {regions.dtype} {regions.shape}"
    )
