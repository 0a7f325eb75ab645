"""95 % intervals for metrics on one test set whose images come in groups (patients, runs of slices, lesions).

Ten images of one patient are not ten independent images. So it is groups, not images, that are resampled here, and
Student's t with the number of groups stands where textbooks have the normal. Three steps, read from top to bottom:

1. recall of a class: Wilson's interval at the *effective* number of images, which is what the groups leave of them;
2. a mean of recalls (balanced accuracy, rare recall): put together from the recalls' intervals;
3. any other metric: leave one group out at a time (the jackknife).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from careedu.errors import InvalidInputError


class Interval(NamedTuple):
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


def recall_interval(correct: ArrayLike, groups: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval for the recall of one class.

    The recall is p = Σ_g h_g / Σ_g m_g over groups with h_g hits among m_g images. Its variance between groups,
    v = G/(G−1) Σ_g (h_g − p m_g)² / (Σ m_g)², says how many independent images these are worth: n* = p(1−p)/v, at most
    the number of images. Wilson's interval follows with n* and Student's t at G−1 degrees of freedom:

        centre = (p + t²/2n*) / (1 + t²/n*),   half width = t/(1 + t²/n*) · √(p(1−p)/n* + t²/4n*²)

    Where all images or none are found the groups show no variance; n* is then the number of groups, as if the
    images of a group always shared one fate.

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

    Notes
    -----
    Source: Dean and Pagano, J Surv Stat Methodol 2015 (intervals for proportions from clustered samples); the effective
    size at 0 and 1 is our choice.
    """
    correct, groups = np.asarray(correct, dtype=bool), np.asarray(groups)
    if correct.shape != groups.shape or correct.ndim != 1:
        raise InvalidInputError(f"correct and groups must both be (n,), not {correct.shape} and {groups.shape}")
    n = len(correct)
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0)
    p = float(correct.mean())
    _, code = np.unique(groups, return_inverse=True)
    size = np.bincount(code)
    n_groups = len(size)
    if n_groups == 1:
        return Interval(p, 0.0, 1.0)
    hits = np.bincount(code, weights=correct)
    variance = n_groups / (n_groups - 1) * float(((hits - p * size) ** 2).sum()) / n**2
    # The variance has a floor, so that groups of one and the same recall (variance 0, or a rounding error) give n.
    effective = n_groups if p in (0, 1) else p * (1 - p) / max(variance, p * (1 - p) / n)
    return _wilson(p, effective, float(stats.t.ppf((1 + confidence) / 2, n_groups - 1)))


def _wilson(p: float, effective: float, t: float) -> Interval:
    """Wilson's interval for a share p of `effective` independent images."""
    shrink = 1 + t**2 / effective
    centre = (p + t**2 / (2 * effective)) / shrink
    half = t / shrink * np.sqrt(p * (1 - p) / effective + t**2 / (4 * effective**2))
    return Interval(p, float(max(0.0, min(centre - half, p))), float(min(1.0, max(centre + half, p))))


def mean_of_recalls_interval(recalls: list[Interval]) -> Interval:
    """Interval for the mean of recalls of different classes, from their own intervals.

    With recalls r_c in [l_c, u_c], C of them: low = r̄ − √Σ(r_c−l_c)²/C, high = r̄ + √Σ(u_c−r_c)²/C. This keeps the
    lopsidedness of Wilson's intervals near 0 and 1. It takes the classes to be independent, which they are where no
    group has images of two classes.

    Parameters
    ----------
    recalls : list of Interval
        Those that are NaN (classes without test images) are left out.

    Returns
    -------
    Interval

    Notes
    -----
    Source: Zou and Donner, Stat Med 2008 (variance estimates recovered from intervals), section 2.
    """
    known = [r for r in recalls if np.isfinite(r.estimate)]
    if not known:
        return Interval(float("nan"), 0.0, 1.0)
    estimate, low, high = (np.array(column) for column in zip(*known, strict=True))
    mean = float(estimate.mean())
    below = float(np.sqrt(((estimate - low) ** 2).sum()) / len(known))
    above = float(np.sqrt(((high - estimate) ** 2).sum()) / len(known))
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))


def jackknife_interval(
    metric: Callable[[np.ndarray, np.ndarray], float],
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    confidence: float = 0.95,
    most: int = 200,
) -> Interval:
    """Interval for any metric in [0, 1] by leaving out one group at a time.

    The variance is (G−1)/G Σ_g (θ₋g − mean)², θ₋g being the metric without group g; the interval θ ± t √variance with
    Student's t at G_min−1 degrees of freedom, G_min being the number of groups of the class that has the fewest.

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

    Returns
    -------
    Interval
        (θ, 0, 1) where a class has a single group. Where no group moves the metric, Wilson's interval for θ as a share
        of G_min images.

    Notes
    -----
    Source: Efron and Stein, Ann Stat 1981; the degrees of freedom are our choice, on the careful side.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    estimate = metric(probabilities, labels)
    _, code = np.unique(np.asarray(groups), return_inverse=True)
    block = code % most
    fewest = min(len(np.unique(block[labels == c])) for c in np.unique(labels))
    if fewest < 2:
        return Interval(estimate, 0.0, 1.0)
    without = [metric(probabilities[block != b], labels[block != b]) for b in np.unique(block)]
    n_blocks = len(without)
    variance = (n_blocks - 1) / n_blocks * float(((without - np.mean(without)) ** 2).sum())
    t = float(stats.t.ppf((1 + confidence) / 2, fewest - 1))
    if variance < 1e-24:
        # A metric that no group moves, 1.00 say, is not known to the last digit: it is as sure as `fewest` images are.
        return _wilson(estimate, fewest, t)
    half = t * np.sqrt(variance)
    return Interval(estimate, max(0.0, estimate - half), min(1.0, estimate + half))
