"""Results of several seeds on one test set: intervals that cover both, and paired differences with a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from careedu.errors import InvalidInputError
from careedu.measure.crossed import DIFFERENCE, SHARE, Spread, spread, variation
from careedu.measure.intervals import Interval, interval_of
from careedu.measure.leave_one_out import recall_metric

__all__ = ["Difference", "Estimate", "difference", "estimate", "holm", "recall_metric", "sign_flip_p"]

FEWEST_SEEDS = 6
"""Below this no verdict: the smallest p that five seeds can have is 2/2⁵ = .0625."""
FEWEST_GROUPS = 5
"""Below this effective number of test groups of a class no verdict: where chance alone decides, two groups agree on who
is better every other time, four once in eight times, five once in sixteen."""
LARGEST_FAMILY = 25
"""Most comparisons in one family: with ten seeds 25 · 2/2¹⁰ = .049 is the last that can reach .05."""
MOST_EXACT = 15
"""Most seeds of which all signs are looked at."""
LOWER_IS_BETTER = ("calibration error", "mark share")


@dataclass(frozen=True)
class Estimate:
    """The mean of a metric over seeds with its 95 % interval for another seed and another test set.

    Attributes
    ----------
    estimate, low, high : float
        In [0, 1]. Without test images (NaN, 0, 1); with one test group of a class (estimate, 0, 1).
    seed_error, group_error : float
        Standard errors from seeds (0 for one seed, where it is unknown) and from test groups, as
        `careedu.measure.crossed` has them (NaN where a class has a single one).
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

    __str__ = Interval.__str__


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
    groups : float
        Effective number of test groups of the class that has the fewest, see `careedu.measure.crossed.Spread`; infinite
        where it is no value of test images, such as the AUROC of an attention map.
    """

    metric: str
    effect: float
    low: float
    high: float
    p: float
    seeds: int
    smallest: float
    adjusted_p: float | None = None
    groups: float = float("inf")

    def __str__(self) -> str:
        change = f"{self.effect:+.2f} [{self.low:+.2f}, {self.high:+.2f}]".replace("-", "−")
        return f"{self.metric} {change}, p = {self.adjusted_p:.3f}: {self.verdict}"

    def __post_init__(self) -> None:
        if self.adjusted_p is None:
            object.__setattr__(self, "adjusted_p", self.p)

    @property
    def verdict(self) -> str:
        """One of "better", "worse", "no difference shown", "too few seeds" or "too few groups".

        A difference is shown only where the interval excludes zero and the adjusted p is at most .05. Of the
        calibration error less is better, and of the map's share on a mark.
        """
        if self.seeds < FEWEST_SEEDS:
            return "too few seeds"
        if self.groups < FEWEST_GROUPS:
            return "too few groups"
        if not (self.low > 0 or self.high < 0) or not self.adjusted_p <= 0.05:
            return "no difference shown"
        # Of a part of the images its name has more behind it.
        return "better" if (self.effect > 0) != self.metric.startswith(LOWER_IS_BETTER) else "worse"


def estimate(
    metric: str, probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike, rare: Sequence[int]
) -> Estimate:
    """Mean of a metric over seeds and its 95 % interval for other seeds and other test groups.

    It is the interval of a multi-reader multi-case study with seeds as the readers and test groups as the cases:
    `careedu.measure.intervals.interval_of`, which gives that of a single run for one seed.

    Parameters
    ----------
    metric : str
        A name in `metrics.METRICS`, or "recall of class 2" (:func:`recall_metric`).
    probabilities : (S, N, C)
        Class probabilities of N test images under S seeds.
    labels : int (N,)
    groups : (N,)
        Group (patient, run, lesion) of each image; its number where each image stands for itself. Above 2000 groups
        they are left out in 2000 blocks; which share one depends on their names and on the order of images, and moves
        the ends by less than .001.
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
    In simulations (`tests/benchmarks/verdicts.py` prints them) 95 % intervals hold the truth at least 92 times in a
    hundred, with 2 to 40 groups, equal or very unequal. They hold it less often where the results cannot show what they
    lack: 86 to 92 times for recalls above .98; 80 to 92 where one group in ten or twenty is quite unlike the others,
    such as one of which nothing is ever found; 85 to 92 with two or three seeds that lie a logit or more apart; 56 to
    91 with six or ten seeds where one training in five or ten fails altogether. The calibration error of few images is
    too large by chance; the interval is for its mean over test sets of this size.
    """
    return estimate_of(spread(metric, probabilities, labels, groups, rare))


def estimate_of(single: Spread) -> Estimate:
    """Mean and interval of whatever varies over seeds and test groups, in [0, 1]."""
    (n_seeds, parts), nan = single.values.shape, float("nan")
    interval = interval_of(single)
    if not single.known:
        of_seeds = single.values.mean(axis=1) if parts and n_seeds > 1 else np.zeros(2)
        return Estimate(*interval, float(of_seeds.std(ddof=1) / np.sqrt(n_seeds)), nan, 0.0, n_seeds, single.groups)
    by_seeds, by_groups, _, nu = variation(single, SHARE).of_mean()
    return Estimate(*interval, float(np.sqrt(by_seeds)), float(np.sqrt(by_groups)), nu, n_seeds, single.groups)


def difference(
    metric: str, a: ArrayLike, b: ArrayLike, labels: ArrayLike, groups: ArrayLike, rare: Sequence[int]
) -> Difference:
    """Paired difference a − b: the same seeds and the same test images on both sides.

    The interval is q ± t_.975 √V, clipped to [−1, 1]: the effect, its variance over seeds and test groups and the
    degrees of freedom as `careedu.measure.crossed` has them, as if there were a quarter of a group more in which the
    two sides have nothing to do with each other (it draws the effect d of k groups to q = kd/(k+¼)). The p-value is the
    larger of the sign-flip p over seeds and of the t-test that belongs to the interval. The first alone would speak of
    these test images only: Holm's correction of it could not keep a family honest where a method suits the images drawn
    by chance.

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

    Notes
    -----
    In the simulations of `tests/benchmarks/verdicts.py` a table shows a difference where there is none in at most six
    of a hundred. It is seven to nine where two methods are right on just the opposite images, and ten to forty where
    what makes up for the difference was not drawn: one group in ten or twenty that one method alone finds, or one
    training in five or ten of one method that fails altogether, with six or ten seeds.
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
        return Difference(metric, float("nan"), -1.0, 1.0, 1.0, seeds, float("inf"), groups=0.0)
    # Rounded, so that the last digit of a sum is not a difference that every seed shows.
    apart = first._replace(
        values=np.round(first.values - second.values, 14), shifts=np.round(first.shifts - second.shifts, 14)
    )
    of_seeds, groups = apart.values.mean(axis=1), float(first.effective.min())
    effect = float(of_seeds.mean())
    if not apart.known:
        return Difference(metric, effect, -1.0, 1.0, 1.0, seeds, float("inf"), groups=groups)
    found = variation(apart, DIFFERENCE)
    *_, variance, nu = found.of_mean()
    pulled, error = float(found.pulled.mean()), float(np.sqrt(variance))
    t, t_power = stdtrit(nu, (0.975, 0.8))
    low, high = max(-1.0, pulled - t * error), min(1.0, pulled + t * error)
    p = max(sign_flip_p(of_seeds), 2 * float(stdtr(nu, -abs(pulled) / error)))
    smallest = float((t + t_power) * error)
    return Difference(metric, effect, float(low), float(high), p, seeds, smallest, groups=groups)


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
    Source: Fisher, The Design of Experiments, 1935, section 21; drawn signs are counted as Phipson and Smyth, Stat Appl
    Genet Mol Biol 2010, say: with the signs that were seen among them.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InvalidInputError(f"differences must be (S,) and finite, S at least 1, not {values.tolist()}")
    if len(values) == 1:
        return 1.0
    signs = _signs(len(values))
    seen = abs(values.sum())
    # A tie is one, whatever the order in which a sum is taken.
    as_far = int((np.abs(signs @ values) >= seen * (1 - 1e-9)).sum())
    return as_far / len(signs) if len(values) <= MOST_EXACT else (as_far + 1) / (len(signs) + 1)


@cache
def _signs(n_seeds: int) -> np.ndarray:
    """All signs of so many seeds, or as many drawn ones as fifteen seeds have, float64 (2^min(S, 15), S)."""
    if n_seeds > MOST_EXACT:
        return np.random.default_rng(0).choice((-1.0, 1.0), size=(2**MOST_EXACT, n_seeds))
    return 1.0 - 2.0 * (np.arange(2**n_seeds)[:, None] >> np.arange(n_seeds) & 1)
