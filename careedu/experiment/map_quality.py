"""How well an attention map agrees with where the lesions are known to be.

A map that "finds the lesions" has proved nothing until it beats the mean image taken as a map: on aligned anatomy the
brightness of a place alone may tell where lesions lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from careedu.errors import InvalidInputError
from careedu.experiment.intervals import Interval
from careedu.experiment.statistics import Difference, sign_flip_p

if TYPE_CHECKING:
    from careedu.experiment.run import Run

ATTENTION_MAP = "attention map"
"""Name of the trace that holds an attention map after each epoch."""


def attention_map(network: Any) -> np.ndarray:
    """The map that a network sees every image through.

    Parameters
    ----------
    network : nn.Module
        As `careedu.GlobalAttention` wraps it and as `Run.network` opens it.

    Returns
    -------
    ndarray
        float32 (H, W) in [0, 1].

    Raises
    ------
    InvalidInputError
        If the network has no such map.
    """
    attention = getattr(network, "attention", None)
    if not hasattr(attention, "map"):
        raise InvalidInputError(
            f"a network of the kind {type(network).__name__} has no attention map; train one with "
            "careedu.GlobalAttention()"
        )
    return attention.map().detach().float().cpu().numpy()


def recorded_maps(run: Run) -> np.ndarray:
    """The attention maps that were recorded after each epoch.

    Parameters
    ----------
    run : Run

    Returns
    -------
    ndarray
        float64 (E, H, W) in [0, 1], the last being that after the last epoch. E is 0 without any, and 1 where only the
        last was kept, as saved results do for all seeds but the first.
    """
    kept = run.traces.get(ATTENTION_MAP)
    if kept is None or not len(kept):
        return np.zeros((0, *run.configuration["data"]["image shape"][1:]))
    return kept / np.iinfo(kept.dtype).max


def trained_map(run: Run) -> np.ndarray | None:
    """The attention map of the trained network, as it was recorded, or else as its weights hold it.

    Parameters
    ----------
    run : Run

    Returns
    -------
    ndarray or None
        float64 (H, W) in [0, 1]; None where the run has none.
    """
    maps = recorded_maps(run)
    # The record is finer than weights that were saved as float16, unless it is an older one of eight bits. Every state
    # of a `SpatialMask` holds the map, so that no network has to be built for it.
    rough = not len(maps) or run.traces[ATTENTION_MAP].dtype == np.uint8
    if rough and run.weights is not None and "attention.values" in run.weights:
        return run.weights["attention.values"].double().numpy()
    return maps[-1] if len(maps) else None


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
    ranks = stats.rankdata(attention).reshape(zone.shape)
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
    if len(values) == 1:
        return Interval(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
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
