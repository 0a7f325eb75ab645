"""Results of several seeds on one test set: intervals that cover both, and paired differences with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from careedu.errors import InvalidInputError
from careedu.measure.crossed import Spread, freedom, spread, variances
from careedu.measure.leave_one_out import recall_metric

__all__ = ["Difference", "Estimate", "difference", "estimate", "holm", "recall_metric", "sign_flip_p"]

FEWEST_SEEDS = 6
"""Below this no verdict: the smallest p that five seeds can have is 2/2⁵ = .0625."""
LARGEST_FAMILY = 25
"""Most comparisons in one family: with ten seeds 25 · 2/2¹⁰ = .049 is the last that can reach .05."""
LOWER_IS_BETTER = ("calibration error",)


@dataclass(frozen=True)
class Estimate:
    """The mean of a metric over seeds with its 95 % interval for another seed and another test set.

    Attributes
    ----------
    estimate, low, high : float
        In [0, 1]. Without test images (NaN, 0, 1); with one test group of a class (estimate, 0, 1).
    seed_error, group_error : float
        Standard errors from seeds (0 for one seed, where it is unknown) and from test groups (NaN for one group).
    freedom : float
        Degrees of freedom of Student's t; 0 where nothing is known.
    seeds, groups : int
        Number of seeds, and of test groups of the class that has the fewest.
    """

    estimate: float
    low: float
    high: float
    seed_error: float
    group_error: float
    freedom: float
    seeds: int
    groups: int

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Difference:
    """A paired difference a − b of one metric, with its 95 % interval and p-value.

    Attributes
    ----------
    metric : str
    effect, low, high : float
        Mean over seeds of a − b, and its interval; (effect, −1, 1) with one test group of a class.
    p : float
        The larger of two: :func:`sign_flip_p` over seeds, and the p-value of the interval, which covers groups too.
    seeds : int
    smallest : float
        About the smallest true difference that would have been found four times in five, see :func:`difference`.
    adjusted_p : float
        After :func:`holm` over the family; p itself where none is given.
    """

    metric: str
    effect: float
    low: float
    high: float
    p: float
    seeds: int
    smallest: float
    adjusted_p: float | None = None

    def __str__(self) -> str:
        change = f"{self.effect:+.2f} [{self.low:+.2f}, {self.high:+.2f}]".replace("-", "−")
        return f"{self.metric} {change}, p = {self.adjusted_p:.3f}: {self.verdict}"

    def __post_init__(self) -> None:
        if self.adjusted_p is None:
            object.__setattr__(self, "adjusted_p", self.p)

    @property
    def verdict(self) -> str:
        """One of "better", "worse", "no difference shown" or "too few seeds".

        A difference is shown only where the interval excludes zero and the adjusted p is at most .05. Of the
        calibration error less is better.
        """
        if self.seeds < FEWEST_SEEDS:
            return "too few seeds"
        if not (self.low > 0 or self.high < 0) or not self.adjusted_p <= 0.05:
            return "no difference shown"
        return "better" if (self.effect > 0) != (self.metric in LOWER_IS_BETTER) else "worse"


def estimate(
    metric: str, probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike, rare: Sequence[int]
) -> Estimate:
    """Mean of a metric over seeds and its 95 % interval for other seeds and other test groups.

    Wilson's interval for a share θ of n* = θ(1−θ)/V independent images, with Student's t at ν degrees of freedom,

        (θ + t²/2n* ± t √(θ(1−θ)/n* + t²/4n*²)) / (1 + t²/n*),    ν = V² / (V_seeds²/(S−1) + V_groups²/(G−1)),

    G being the number of test groups of the class that has the fewest; ν is at least the smaller of S−1 and G−1.
    Where V is 0, n* is G. A mean of recalls is put together from the intervals [l_c, u_c] of its recalls r_c:

        low = θ − √(Σ_cd ρ_cd (r_c−l_c)(r_d−l_d)) / C,

    and high likewise, with the correlation ρ_cd of two recalls estimated as V is. So a rare class whose eight groups
    are all found, and thus show no variance, still adds what eight groups leave open.

    Parameters
    ----------
    metric : str
        A name in `metrics.METRICS`, or "recall of class 2" (:func:`recall_metric`).
    probabilities : (S, N, C)
        Class probabilities of N test images under S seeds.
    labels : int (N,)
    groups : (N,)
        Group (patient, run, lesion) of each image; its number where each image stands for itself. Above 200 groups
        they are left out in 200 blocks, in which each group of a class with at most 200 is still alone of its class.
    rare : sequence of int
        Indices of the rare classes.

    Returns
    -------
    Estimate
        With one seed the interval covers test groups only.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    InvalidInputError
        If shapes do not fit, a probability is NaN or a label no class.

    Notes
    -----
    Sources: Dean and Pagano, J Surv Stat Methodol 2015 (effective size); Zou and Donner, Stat Med 2008 (intervals of
    sums from intervals); the effective size at V = 0 is our choice. The calibration error of few images is
    too large by chance; the interval is for its mean over test sets of this size.
    """
    return estimate_of(spread(metric, probabilities, labels, groups, rare))


def estimate_of(single: Spread) -> Estimate:
    """Mean and interval of whatever varies over seeds and test groups, in [0, 1]."""
    n_seeds, parts = single.values.shape
    if parts == 0:
        return Estimate(float("nan"), 0.0, 1.0, 0.0, float("nan"), 0.0, n_seeds, 0)
    whole = single.averaged()
    value, fewest = float(whole.values.mean()), int(whole.blocks[0])
    by_seeds, by_groups, total = (float(v[0, 0]) for v in variances(whole.values, whole.shifts))
    seed_error, group_error = float(np.sqrt(by_seeds)), float(np.sqrt(by_groups))
    if fewest < 2:
        return Estimate(value, 0.0, 1.0, seed_error, float("nan"), 0.0, n_seeds, single.groups)
    low, high = _interval(single)
    nu = freedom(by_seeds, by_groups, total, n_seeds, fewest)
    return Estimate(value, low, high, seed_error, group_error, nu, n_seeds, single.groups)


def difference(
    metric: str, a: ArrayLike, b: ArrayLike, labels: ArrayLike, groups: ArrayLike, rare: Sequence[int]
) -> Difference:
    """Paired difference a − b: the same seeds and the same test images on both sides.

    The interval is effect ± t_.975 √V, V and its degrees of freedom as in :func:`estimate` but of the differences. The
    p-value is the larger of the sign-flip p over seeds and of the t-test that belongs to the interval. The first alone
    would speak of these test images only: Holm's correction of it could not keep a family honest where a method suits
    the images drawn by chance.

    Parameters
    ----------
    metric : str
    a, b : (S, N, C)
        Class probabilities under the same S seeds.
    labels : int (N,)
    groups : (N,)
    rare : sequence of int

    Returns
    -------
    Difference
        Its ``smallest`` is (t_.975 + t_.8) √V, approximately the true difference found with 80 % probability. It is a
        lower bound: the sign-flip test and Holm's correction, of which it knows nothing, only ask for more. Infinite
        with one test group of a class.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    InvalidInputError
        If shapes do not fit, a probability is NaN or a label no class.
    """
    if np.shape(a) != np.shape(b):
        raise InvalidInputError(
            f"a and b must hold the same seeds, images and classes, not {np.shape(a)}, {np.shape(b)}"
        )
    return difference_of(metric, *(spread(metric, side, labels, groups, rare) for side in (a, b)))


def difference_of(metric: str, first: Spread, second: Spread) -> Difference:
    """Paired difference of whatever varies over the same seeds and test groups; `metric` is its name."""
    seeds, parts = first.values.shape
    if parts == 0:
        return Difference(metric, float("nan"), -1.0, 1.0, 1.0, seeds, float("inf"))
    first, second = first.averaged(), second.averaged()
    # Rounded, so that the last digit of a sum is not a difference that every seed shows.
    values, shifts = np.round(first.values - second.values, 14), first.shifts - second.shifts
    effect, fewest = float(values.mean()), int(first.blocks[0])
    if fewest < 2:
        return Difference(metric, effect, -1.0, 1.0, 1.0, seeds, float("inf"))
    by_seeds, by_groups, total = (float(v[0, 0]) for v in variances(values, shifts))
    nu, error = freedom(by_seeds, by_groups, total, seeds, fewest), float(np.sqrt(total))
    t, t_power = (float(stats.t.ppf(level, nu)) for level in (0.975, 0.8))
    low, high = max(-1.0, effect - t * error), min(1.0, effect + t * error)
    over_groups = 2 * float(stats.t.sf(abs(effect) / error, nu)) if error > 0 else float(effect == 0)
    p = max(sign_flip_p(values[:, 0]), over_groups)
    return Difference(metric, effect, low, high, p, seeds, (t + t_power) * error)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values of one family: one metric, all methods against one reference.

    With p sorted upwards, adjusted p_(i) = max over j ≤ i of min(1, (m−j+1) p_(j)).

    Parameters
    ----------
    p_values : sequence of float
        m of them, at most 25.

    Returns
    -------
    float64 (m,)
        In the order given.

    Raises
    ------
    InvalidInputError
        If there are more than 25, or one is NaN or outside [0, 1].

    Notes
    -----
    Source: Holm, Scand J Stat 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or len(p) > LARGEST_FAMILY:
        raise InvalidInputError(
            f"a family has at most {LARGEST_FAMILY} comparisons, not {p.size}: compare fewer methods with the reference"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise InvalidInputError(f"p-values lie in [0, 1], unlike {p[~((p >= 0) & (p <= 1))].tolist()}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return adjusted


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p-value of the mean of paired differences: the share of random signs that give one as far from zero.

    Parameters
    ----------
    differences : (S,)
        One per seed.

    Returns
    -------
    float
        Exact over all 2^S signs up to S = 15, so at least 2/2^S; above, from 32768 random draws with a fixed seed.

    Raises
    ------
    InvalidInputError
        If they are none or hold NaN.

    Notes
    -----
    Source: Fisher, The Design of Experiments, 1935, section 21; computed by `scipy.stats.permutation_test`.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InvalidInputError(f"differences must be (S,) and finite, S at least 1, not {values.tolist()}")
    if len(values) == 1:
        return 1.0
    test = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", vectorized=True, n_resamples=2**15, random_state=0
    )
    return float(test.pvalue)


def _interval(single: Spread) -> tuple[float, float]:
    """Interval of a mean of recalls from theirs, or Wilson's of a single value."""
    (n_seeds, parts), mean = single.values.shape, single.values.mean(axis=0)
    by_seeds, by_groups, total = variances(single.values, single.shifts)
    ends = np.empty((2, parts))
    for c, n_groups in enumerate(single.blocks):
        nu = freedom(by_seeds[c, c], by_groups[c, c], total[c, c], n_seeds, n_groups)
        ends[:, c] = _wilson(mean[c], total[c, c], float(stats.t.ppf(0.975, nu)), n_groups)
    error = np.sqrt(np.diag(total))
    scale = np.outer(error, error)
    correlation = np.divide(total, scale, out=np.zeros_like(total), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    below, above = (float(np.sqrt(max(0.0, side @ correlation @ side))) / parts for side in np.abs(ends - mean))
    return max(0.0, float(mean.mean()) - below), min(1.0, float(mean.mean()) + above)


def _wilson(p: float, variance: float, t: float, n_groups: int) -> tuple[float, float]:
    """Wilson's interval for a share p at the effective size that its variance tells."""
    size = p * (1 - p) / variance if variance > 1e-24 and 0 < p < 1 else n_groups
    shrink = 1 + t**2 / size
    centre = (p + t**2 / (2 * size)) / shrink
    half = t / shrink * np.sqrt(p * (1 - p) / size + t**2 / (4 * size**2))
    return max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p))
