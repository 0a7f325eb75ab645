"""Metrics of several seeds on one test set, whole and with each block of images left out, without a loop over blocks.

Recall, accuracy, F1, calibration error and AUROC are functions of sums over images. The sums without a block are those
of all images less those of the block, so leaving out each of 200 blocks costs about as much as two evaluations. The
values are those of `careedu.measure.metrics` on the images that remain, to rounding.
"""

from collections.abc import Sequence

import numpy as np
import scipy  # its `stats` load when they are asked for, which takes a second
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError, check_known
from careedu.measure.metrics import METRICS

BINS = 10
"""Bins of the calibration error, as in `metrics.calibration_error`."""


def recall_metric(index: int) -> str:
    """Name of the recall of the class with this index, as `statistics.estimate` and `difference` take it."""
    return f"recall of class {index}"


def averaged_classes(metric: str, n_classes: int, rare: Sequence[int]) -> list[int] | None:
    """The classes whose recalls a metric is the mean of; None for a metric that is no mean of recalls.

    Parameters
    ----------
    metric : str
        A name in `metrics.METRICS`, or "recall of class 2" (:func:`recall_metric`).
    n_classes : int
    rare : sequence of int
        Indices of the rare classes.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    InvalidInputError
        If a rare class is no class.
    """
    if outside := [c for c in rare if not 0 <= c < n_classes]:
        raise InvalidInputError(f"rare classes must be indices from 0 to {n_classes - 1}, not {outside}")
    of_one = {recall_metric(c): [c] for c in range(n_classes)}
    check_known("metric", metric, [*METRICS, *of_one])
    return {"balanced accuracy": list(range(n_classes)), "rare recall": list(rare), **of_one}.get(metric)


def recalls_without(probabilities: ArrayLike, labels: ArrayLike, block: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Recall of each class, of all images and of those outside each block.

    Parameters
    ----------
    probabilities : (S, N, C)
        Class probabilities under S seeds.
    labels : int (N,)
    block : int (N,)
        From 0 to B−1: the images that are left out together.

    Returns
    -------
    all : float64 (S, C)
    without : float64 (S, B, C)
        NaN for a class without images.
    """
    sums = _Sums(probabilities, labels, block)
    predicted = sums.probabilities.argmax(axis=2)
    found = sums.without(sums.labels, sums.n_classes, predicted == sums.labels)
    return _split(_ratio(found, sums.without(sums.labels, sums.n_classes)))


def metric_without(
    metric: str, probabilities: ArrayLike, labels: ArrayLike, block: ArrayLike, rare: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of all images and of those outside each block.

    Parameters
    ----------
    metric : str
        A name in `metrics.METRICS`, or "recall of class 2".
    probabilities : (S, N, C)
    labels : int (N,)
    block : int (N,)
        From 0 to B−1.
    rare : sequence of int

    Returns
    -------
    all : float64 (S,)
    without : float64 (S, B)
        NaN where the remaining images do not define the metric.

    Notes
    -----
    AUROC of a class is W/(P·Q): W counts the pairs of one of its P images and one of the Q others in which the former
    scores higher, ties half. A block takes with it the pairs that hold one or two of its images. All are counted from
    midranks: the rank among all images less the rank among one's own side is the number of wins over the other side
    (DeLong et al., Biometrics 1988, placement values).
    """
    classes = averaged_classes(metric, np.shape(probabilities)[2], rare)
    if classes is not None:
        return tuple(_mean_of_known(recalls[..., classes]) for recalls in recalls_without(probabilities, labels, block))
    sums = _Sums(probabilities, labels, block)
    return _split({"AUROC": _auroc, "calibration error": _calibration_error}.get(metric, _of_counts)(sums, metric))


class _Sums:
    """Sums over the images outside each block, per seed and kind; one more block, the last, is empty: all images."""

    def __init__(self, probabilities: ArrayLike, labels: ArrayLike, block: ArrayLike) -> None:
        self.probabilities = np.asarray(probabilities, dtype=np.float64)
        self.labels, self.block = np.asarray(labels), np.asarray(block)
        self.n_seeds, self.n_images, self.n_classes = self.probabilities.shape
        self.n_blocks = int(self.block.max()) + 2

    def of_blocks(self, kind: np.ndarray, n_kinds: int, weight: ArrayLike = 1.0) -> np.ndarray:
        """Σ of the weight over the images of each block, float64 (S, B+1, kinds); `kind` and `weight` fit (S, N)."""
        shape = (self.n_seeds, self.n_images)
        index = (np.arange(self.n_seeds)[:, None] * self.n_blocks + self.block) * n_kinds + kind
        weight = np.broadcast_to(np.asarray(weight, dtype=np.float64), shape)
        sums = np.bincount(index.ravel(), weight.ravel(), minlength=self.n_seeds * self.n_blocks * n_kinds)
        return sums.reshape(self.n_seeds, self.n_blocks, n_kinds)

    def without(self, kind: np.ndarray, n_kinds: int, weight: ArrayLike = 1.0) -> np.ndarray:
        """The same over the images outside each block."""
        sums = self.of_blocks(kind, n_kinds, weight)
        return sums.sum(axis=1, keepdims=True) - sums


def _of_counts(sums: _Sums, metric: str) -> np.ndarray:
    """Accuracy or macro F1, (S, B+1)."""
    predicted = sums.probabilities.argmax(axis=2)
    found = sums.without(sums.labels, sums.n_classes, predicted == sums.labels)
    true = sums.without(sums.labels, sums.n_classes)
    if metric == "accuracy":
        return _ratio(found.sum(axis=2), true.sum(axis=2))
    f1 = _ratio(2 * found, true + sums.without(predicted, sums.n_classes))
    return _mean_of_known(np.where(true > 0, f1, np.nan))


def _calibration_error(sums: _Sums, _: str) -> np.ndarray:
    confidence = sums.probabilities.max(axis=2)
    right = sums.probabilities.argmax(axis=2) == sums.labels
    bin_of = np.searchsorted(np.arange(1, BINS) / BINS, confidence)
    gap = np.abs(sums.without(bin_of, BINS, right - confidence)).sum(axis=2)
    return _ratio(gap, sums.without(np.zeros_like(sums.labels), 1)[..., 0])


def _auroc(sums: _Sums, _: str) -> np.ndarray:
    own = sums.labels[:, None] == np.arange(sums.n_classes)
    ranks = scipy.stats.rankdata(sums.probabilities, axis=1)
    block = sums.block[:, None]
    wins = ranks - _ranks_among(ranks, own)  # over the images of the other side
    within = _ranks_among(ranks, block) - _ranks_among(ranks, 2 * block + own)  # over those in the same block only
    n_own = own.sum(axis=0)
    # A pair within the block is counted with both its images, hence taken off once.
    lost = np.where(own, wins - within, n_own - wins)
    in_block = np.stack(
        [sums.of_blocks(np.zeros_like(sums.labels), 1, lost[..., c])[..., 0] for c in range(sums.n_classes)], axis=2
    )
    won = np.where(own, wins, 0.0).sum(axis=1)[:, None] - in_block
    positive = sums.without(sums.labels, sums.n_classes)
    return _mean_of_known(_ratio(won, positive * (positive.sum(axis=2, keepdims=True) - positive)))


def _ranks_among(ranks: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Midranks (S, N, C) among the images with the same code (N, C) or (N, 1)."""
    before = scipy.stats.rankdata(code, method="min", axis=0) - 1
    return scipy.stats.rankdata(ranks + (ranks.shape[1] + 1) * code, axis=1) - before


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last block, which is empty, apart from the others."""
    return values[:, -1], values[:, :-1]
