"""Variance of a mean over seeds on one test set: seeds and test groups as crossed sources of chance.

Another seed trains another network; another test set holds other patients. Each seed is judged on the same groups, so
the two are crossed, and the variance of a mean over S seeds is

    V = V_seeds + V_groups − V_both,

V_seeds being the variance between seeds over S, V_groups the jackknife variance of the mean when one group is left out
at a time, and V_both the part that is particular to a seed on a group, which both of the former contain.

Sources: Cameron, Gelbach and Miller, J Bus Econ Stat 2011 (two-way clustering); Owen, Ann Appl Stat 2007 (crossed
random effects without a model); Satterthwaite, Biometrics Bulletin 1946 (degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.measure.leave_one_out import averaged_classes, metric_without, recalls_without

MOST_BLOCKS = 200
"""Above this many groups they are left out in so many blocks, to save time."""


class Spread(NamedTuple):
    """A metric over seeds and its change without each block: K recalls that it averages, or itself (K = 1).

    Attributes
    ----------
    values : float64 (S, K)
        K = 0 where the test images do not define the metric.
    shifts : float64 (S, B, K)
        Change when a block of groups is left out, times √((G−1)/G), G being the number of blocks of the class.
    blocks : int (K,)
        Blocks with images of the class; for a metric that is no mean of recalls, of the class that has the fewest.
    groups : int
        Test groups of the class with the fewest.
    """

    values: np.ndarray
    shifts: np.ndarray
    blocks: np.ndarray
    groups: int

    def averaged(self) -> Spread:
        """The mean of the K recalls in their stead."""
        values, shifts = self.values.mean(axis=1, keepdims=True), self.shifts.mean(axis=2, keepdims=True)
        return self._replace(values=values, shifts=shifts, blocks=self.blocks.min(keepdims=True))


def spread(metric: str, probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike, rare: Sequence[int]) -> Spread:
    """Leave one group out at a time.

    Parameters
    ----------
    metric : str
        A name in `metrics.METRICS`, or "recall of class 2".
    probabilities : (S, N, C)
    labels : int (N,)
    groups : (N,)
    rare : sequence of int

    Returns
    -------
    Spread

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    InvalidInputError
        If shapes do not fit, a probability is NaN or a label no class.

    Notes
    -----
    Each class is a stratum of groups with its own factor (G−1)/G (Jones, Biometrika 1974); a block with images of
    several classes belongs to the smallest. Changes are taken from the whole metric, not from their mean, so that a
    metric that depends on how many groups each class has, such as accuracy, includes that chance too.
    """
    probabilities, labels, groups = _checked(probabilities, labels, groups)
    n_classes = probabilities.shape[2]
    _, first, code = np.unique(groups, return_index=True, return_inverse=True)
    # Groups are dealt out class by class, so that those of a small class do not share a block.
    turn = np.argsort(np.argsort(labels[first], kind="stable"), kind="stable")
    block = turn[code] % MOST_BLOCKS
    holds = np.zeros((block.max() + 1, n_classes), dtype=bool)
    holds[block, labels] = True
    blocks = holds.sum(axis=0)
    classes = averaged_classes(metric, n_classes, rare)
    if classes is None:
        values, without = (v[..., None] for v in metric_without(metric, probabilities, labels, block, rare))
        relevant = np.flatnonzero(blocks)
        # A block counts as one of the smallest class it holds.
        size = np.where(holds, blocks, len(block)).min(axis=1)[:, None]
        blocks = blocks[relevant].min(keepdims=True)
        if np.isnan(values).any():
            values, without, blocks, relevant = values[..., :0], without[..., :0], blocks[:0], relevant[:0]
    else:
        relevant = np.array([c for c in classes if blocks[c] > 0], dtype=int)
        values, without = (v[..., relevant] for v in recalls_without(probabilities, labels, block))
        size = blocks = blocks[relevant]
    fewest = min((len(np.unique(code[labels == c])) for c in relevant), default=0)
    shifts = np.nan_to_num(without - values[:, None]) * np.sqrt((size - 1) / size)
    return Spread(values, shifts, blocks, fewest)


def spread_of_images(values: ArrayLike, groups: ArrayLike) -> Spread:
    """The mean over images of one number an image, such as the share of its map inside the lesion.

    Parameters
    ----------
    values : float (S, N)
        In [0, 1], without NaN.
    groups : (N,)

    Returns
    -------
    Spread
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if values.ndim != 2 or values.shape[1:] != groups.shape or values.size == 0 or np.isnan(values).any():
        raise InvalidInputError(
            f"values must be (S, N) without NaN and groups (N,), not {values.shape}, {groups.shape}"
        )
    names, code = np.unique(groups, return_inverse=True)
    block = code % MOST_BLOCKS
    size = np.bincount(block)
    sums = np.stack([np.bincount(block, weights=row) for row in values])
    mean = values.mean(axis=1, keepdims=True)
    blocks = len(size)
    without = (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(size.sum() - size, 1)
    shifts = (without - mean) * np.sqrt((blocks - 1) / blocks)
    return Spread(mean, shifts[..., None], np.array([blocks]), len(names))


def variances(values: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V_seeds, V_groups and V, each float64 (K, K), of the means over seeds of `Spread.values` and `Spread.shifts`.

    No variance in V is less than in either of its parts. With one seed V_seeds is 0.
    """
    n_seeds = len(values)
    mean_shift = shifts.mean(axis=0)
    by_groups = mean_shift.T @ mean_shift
    if n_seeds == 1:
        return np.zeros_like(by_groups), by_groups, by_groups
    share = n_seeds * (n_seeds - 1)
    apart, own = values - values.mean(axis=0), shifts - mean_shift
    by_seeds = apart.T @ apart / share
    both = np.einsum("sbk,sbl->kl", own, own) / share
    total = by_seeds + by_groups - both
    floor = np.maximum(np.diag(by_seeds), np.diag(by_groups))
    np.fill_diagonal(total, np.maximum(np.diag(total), floor))
    return by_seeds, by_groups, total


def freedom(by_seeds: float, by_groups: float, total: float, n_seeds: int, n_groups: int) -> float:
    """Satterthwaite's degrees of freedom, V² / (V_seeds²/(S−1) + V_groups²/(G−1)), at least the smaller of S−1 and G−1.

    Those of the groups, G−1, where nothing varies or there is one seed.
    """
    if n_seeds == 1 or total <= 0:
        return float(n_groups - 1)
    between = total**2 / (by_seeds**2 / (n_seeds - 1) + by_groups**2 / (n_groups - 1))
    return float(max(between, min(n_seeds, n_groups) - 1))


def _checked(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities, labels, groups = np.asarray(probabilities), np.asarray(labels), np.asarray(groups)
    if (
        probabilities.ndim != 3
        or probabilities.size == 0
        or labels.shape != groups.shape
        or (labels.shape != probabilities.shape[1:2])
    ):
        raise InvalidInputError(
            "probabilities must be (S, N, C), labels and groups (N,), with at least one seed and image, "
            f"not {probabilities.shape}, {labels.shape} and {groups.shape}"
        )
    if broken := int(np.isnan(probabilities).any(axis=2).sum()):
        raise InvalidInputError(f"{broken} rows of probabilities are NaN")
    if not ((labels >= 0) & (labels < probabilities.shape[2])).all():
        raise InvalidInputError(f"labels must be class indices from 0 to {probabilities.shape[2] - 1}")
    return probabilities, labels, groups
