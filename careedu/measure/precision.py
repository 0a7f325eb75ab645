"""What a positive finding is worth: precision at a stated prevalence, with its interval.

A disease is seldom as common in a test set as where the test is used. So precision is not counted on the test images:
it is put together by Bayes' rule from two shares that do not depend on the prevalence, sensitivity and false alarms.
"""

import math
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError, check_number
from careedu.measure.intervals import Interval, jackknife_interval, recall_interval

HEAVIEST_ALARM = 0.02
"""What one false alarm may weigh, all images of the disease together being 1, for an interval of average precision."""


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of the positive findings that are right: s·π / (s·π + (1−spec)·(1−π)), Bayes' rule.

    Parameters
    ----------
    sensitivity : float
        Recall of the disease.
    specificity : float
        Share of the others that are not called diseased.
    prevalence : float
        π, share of those examined who have the disease.

    Returns
    -------
    float
        NaN where nothing is called diseased at all.
    """
    found, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return found / (found + alarms) if found + alarms > 0 else float("nan")


def positive_predictive_value_interval(
    called: ArrayLike, truth: ArrayLike, groups: ArrayLike, prevalence: float, confidence: float = 0.95
) -> Interval:
    """Precision at a stated prevalence, with its interval over the groups of the test images.

    With sensitivity s and share of false alarms a = 1 − specificity, the odds of a positive finding are
    (s/a) · π/(1−π), so that limits for the ratio s/a are limits for the precision. Both shares get the interval of
    `recall_interval`, [l, u], and the ratio gets its limits from these: the lower one is the R that solves

        s − R·a = √((s − l_s)² + R²·(u_a − a)²),

    the upper one is 1 over the lower limit of a/s. No share needs to be corrected where it is 0 or 1. The two shares
    are taken to be independent, which they are where no group has images both with and without the disease.

    Parameters
    ----------
    called : bool (N,)
        Whether each test image is called diseased.
    truth : bool (N,)
        Whether it is. The share of True does not matter.
    groups : (N,)
        The group of each image.
    prevalence : float
        π in (0, 1), taken as known.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        (NaN, 0, 1) where nothing is called diseased, or the test images have no image of one of the two kinds.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the prevalence is not in (0, 1).

    Notes
    -----
    Source: Donner and Zou, Stat Methods Med Res 2012 (limits of a ratio from the limits of its two parts, known as
    MOVER-R); that the parts' limits are those of `recall_interval` is our choice. Simulated with 50 images of the
    disease and 250 others, 95 % limits held the truth in 93 to 97 % of the draws (tests/unit/test_precision.py).
    """
    called, truth, groups = _checked("called", np.asarray(called, dtype=bool), truth, groups, prevalence)
    found = recall_interval(called[truth], groups[truth], confidence)
    alarms = recall_interval(called[~truth], groups[~truth], confidence)
    estimate = positive_predictive_value(found.estimate, 1 - alarms.estimate, prevalence)
    if math.isnan(estimate):
        return Interval(float("nan"), 0.0, 1.0)
    ill, well = prevalence, 1 - prevalence
    low = _ratio_low(found, alarms) * ill
    high = _ratio_low(alarms, found) * well
    return Interval(estimate, min(low / (low + well), estimate), max(ill / (ill + high), estimate))


def average_precision_interval(
    scores: ArrayLike, truth: ArrayLike, groups: ArrayLike, prevalence: float, confidence: float = 0.95
) -> Interval:
    """Average precision at a stated prevalence, with its interval over the groups of the test images.

    AP = Σ_n (R_n − R_{n−1}) P_n over the thresholds from high to low: the area under the stepped precision–recall
    curve. P_n is the precision where images of the disease together weigh π, and the others 1 − π.

    Parameters
    ----------
    scores : float (N,)
        The higher, the more likely diseased.
    truth : bool (N,)
    groups : (N,)
    prevalence : float
        π in (0, 1). A blind score has an average precision of π.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        By leaving out one group at a time (`jackknife_interval`). (AP, 0, 1) where the test images cannot tell: where
        one false alarm weighs more than 2 % of the diseased together, (1−π)/(π·m) > .02 with m groups of the others.
        (NaN, 0, 1) where the test images have no image of one of the two kinds.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the prevalence is not in (0, 1).

    Notes
    -----
    The 2 % are our choice. In simulations with 50 images of the disease, the limits held the truth in 93 to 97 % of the
    draws at just these 2 %. With 150 others and a prevalence of 1 % they would have held it in 68 to 72 %: the estimate
    itself is then far too high, since the precision at small recalls hangs on single images.
    """
    from sklearn.metrics import average_precision_score

    scores, truth, groups = _checked("scores", np.asarray(scores), truth, groups, prevalence)
    if truth.all() or not truth.any():
        return Interval(float("nan"), 0.0, 1.0)

    def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
        weight = np.where(truth, prevalence / truth.sum(), (1 - prevalence) / (~truth).sum())
        return float(average_precision_score(truth, scores, sample_weight=weight))

    if (1 - prevalence) / (prevalence * len(np.unique(groups[~truth]))) > HEAVIEST_ALARM:
        return Interval(average_precision(scores, truth), 0.0, 1.0)
    without = partial(_average_precision_without, scores, truth, prevalence)
    return jackknife_interval(average_precision, scores, truth, groups, confidence, without=without)


def _average_precision_without(
    scores: np.ndarray, truth: np.ndarray, prevalence: float, block: np.ndarray
) -> np.ndarray:
    """Average precision without the images of each block, float64 (B,): all blocks on one order of the images."""
    order = np.argsort(scores)[::-1]
    last = np.append(np.diff(scores[order]) != 0, True)  # images that score alike are passed by one threshold
    left = block[order] != np.arange(block.max() + 1)[:, None]
    found, alarms = ((left & kind).cumsum(axis=1)[:, last] for kind in (truth[order], ~truth[order]))
    recall = found / found[:, -1:]
    ill, well = recall * prevalence, alarms / alarms[:, -1:] * (1 - prevalence)
    # Where the only images so far are left out, recall makes no step, and any precision will do.
    precision = np.divide(ill, ill + well, out=np.zeros_like(ill), where=ill + well > 0)
    return (np.diff(recall, axis=1, prepend=0) * precision).sum(axis=1)


def _checked(
    name: str, values: np.ndarray, truth: ArrayLike, groups: ArrayLike, prevalence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, truth and groups as arrays, if they are (N,) and the prevalence lies in (0, 1)."""
    truth, groups = np.asarray(truth, dtype=bool), np.asarray(groups)
    if values.ndim != 1 or not values.shape == truth.shape == groups.shape:
        raise InvalidInputError(
            f"{name}, truth and groups must all be (N,), not {values.shape}, {truth.shape} and {groups.shape}"
        )
    check_number("prevalence", prevalence, "(0, 1)")
    return values, truth, groups


def _ratio_low(top: Interval, bottom: Interval) -> float:
    """Lower limit R of a ratio t/b: t − R·b = √((t − l)² + R²·(u − b)²), solved so that nothing is divided by zero."""
    constant = top.low * (2 * top.estimate - top.low)
    if constant <= 0:
        return 0.0
    square = bottom.high * (2 * bottom.estimate - bottom.high)
    half = top.estimate * bottom.estimate
    return constant / (half + math.sqrt(max(half**2 - square * constant, 0.0)))
