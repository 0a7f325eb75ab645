"""95 % intervals, over one seed or several, on a test set whose images come in groups (patients, slices, lesions).

Ten images of one patient are not ten independent images. So it is groups, not images, that are left out one at a time,
and Student's t with the number of groups stands where textbooks have the normal. Three steps, read from top to bottom:

1. a share (recall of a class): Wilson's interval at the *effective* number of images, which is what the variance over
   groups and seeds leaves of them;
2. a mean of recalls (balanced accuracy, rare recall): put together from the recalls' intervals;
3. any other metric: as a share, its variance being that of leaving out one group at a time (the jackknife).

There is one routine for all, :func:`interval_of`; one training is the case of one seed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from careedu.errors import InvalidInputError
from careedu.measure.crossed import SHARE, Spread, spread_of_images, variation
from careedu.measure.effective_groups import effective_number, effective_number_of_mean


class Interval(NamedTuple):
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        known = f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return known if self.estimate == self.estimate else "no test images"


def interval_of(single: Spread, confidence: float = 0.95) -> Interval:
    """Interval of the mean of K recalls, or of one value in [0, 1], over seeds and test groups.

    Each of the K values θ gets Wilson's interval for a share of n* = q(1−q)/V independent images, with Student's t at
    the degrees of freedom ν of its variance V,

        (θ + t²/2n* ± t √(θ(1−θ)/n* + t²/4n*²)) / (1 + t²/n*),

    where q and V are taken as if there were a quarter of a group more, see `careedu.measure.crossed`, and n* is at most
    the number of images times that of seeds. The mean is put together from the intervals [l_c, u_c] of its parts:

        low = θ − √(Σ_cd ρ_cd (θ_c−l_c)(θ_d−l_d)) / K,

    and high likewise, ρ_cd being the correlation of two parts over seeds and groups; at least what it is over seeds
    alone, or groups alone. This keeps the lopsidedness of Wilson's intervals near 0 and 1.

    Parameters
    ----------
    single : Spread
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        (NaN, 0, 1) without images. Where a class has a single group nothing is known but the estimate: (θ, 0, 1).

    Notes
    -----
    Sources: Dean and Pagano, J Surv Stat Methodol 2015 (effective size of clustered samples); Zou and Donner, Stat Med
    2008 (intervals of sums from intervals); the rest as in `careedu.measure.crossed`. How often the truth is held,
    with 2 to 40 groups, equal and very unequal, is printed by `tests/benchmarks/verdicts.py`.
    """
    if single.values.shape[1] == 0:
        return Interval(float("nan"), 0.0, 1.0)
    value = float(single.values.mean())
    if not single.known:
        return Interval(value, 0.0, 1.0)
    found = variation(single, SHARE)
    variance = np.diag(found.total)
    t = stdtrit(found.freedoms(), (1 + confidence) / 2)
    size = np.minimum(found.pulled * (1 - found.pulled) / variance, single.images * len(single.values))
    ends = np.stack(_wilson(found.mean, size, t))
    errors = np.abs(ends - found.mean) / np.sqrt(variance)
    parts = found.total, found.by_seeds, found.by_groups
    below, above = (np.sqrt(max(side @ part @ side for part in parts)) / len(t) for side in errors)
    return Interval(value, float(max(0.0, value - below)), float(min(1.0, value + above)))


def _wilson(share: np.ndarray, size: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval for a share of `size` independent images."""
    ratio = t**2 / size
    centre, half = share + ratio / 2, np.sqrt(ratio * (share * (1 - share) + ratio / 4))
    low, high = (centre - half) / (1 + ratio), (centre + half) / (1 + ratio)
    return np.clip(low, 0.0, share), np.clip(high, share, 1.0)


def recall_interval(correct: ArrayLike, groups: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval for the recall of one class of one network, see :func:`interval_of`.

    Parameters
    ----------
    correct : bool (n,)
        Whether each image of the class was found.
    groups : (n,)
        The group of each image.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        (NaN, 0, 1) without images. With a single group nothing is known but the estimate: (p, 0, 1).

    Raises
    ------
    InvalidInputError
        If the shapes differ.
    """
    correct, groups = np.asarray(correct, dtype=bool), np.asarray(groups)
    if correct.shape != groups.shape or correct.ndim != 1:
        raise InvalidInputError(f"correct and groups must both be (n,), not {correct.shape} and {groups.shape}")
    if len(correct) == 0:
        return Interval(float("nan"), 0.0, 1.0)
    return interval_of(spread_of_images(correct[None], groups), confidence)


def jackknife_interval(
    metric: Callable[[np.ndarray, np.ndarray], float],
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    confidence: float = 0.95,
    most: int = 200,
    without: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Interval:
    """Interval for any metric in [0, 1] of one network, by leaving out one group at a time, see :func:`interval_of`.

    The variance is (G−1)/G Σ_g (θ₋g − θ)², θ₋g being the metric without group g. The number of groups is that of the
    class which has the fewest.

    Parameters
    ----------
    metric : callable
        ``metric(probabilities, labels) -> float``.
    probabilities : (N, C)
    labels : (N,)
    groups : (N,)
    confidence : float
    most : int
        Above this many groups they are left out in so many blocks (every `most`-th group together), to save time.
    without : callable, optional
        ``without(block) -> float (B,)``: the metric without the images of each block, where there is a faster way than
        one call of `metric` for each; `block`, int (N,), counts from 0 to B−1.

    Returns
    -------
    Interval
        (θ, 0, 1) where a class has a single group.

    Notes
    -----
    Source: Efron and Stein, Ann Stat 1981; the degrees of freedom are our choice, on the careful side.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    estimate = metric(probabilities, labels)
    names, code = np.unique(np.asarray(groups), return_inverse=True)
    block = code % most
    own = [labels == c for c in np.unique(labels)]
    if min(len(np.unique(block[rows])) for rows in own) < 2:
        return Interval(estimate, 0.0, 1.0)
    images = np.stack([np.bincount(code[rows], minlength=len(names)) for rows in own], axis=1)
    effective, averaged = effective_number(images), effective_number_of_mean(images)
    each = (metric(probabilities[block != b], labels[block != b]) for b in range(block.max() + 1))
    left = without(block) if without else np.fromiter(each, dtype=np.float64)
    shifts = (left - estimate) * np.sqrt((len(left) - 1) / len(left))
    values, inf = np.array([[estimate]]), np.full(1, np.inf)
    single = Spread(values, shifts[None, :, None], effective.min(keepdims=True), averaged, inf, len(names))
    return interval_of(single, confidence)
