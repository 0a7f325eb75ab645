"""Variance of a mean over seeds on one test set: seeds and test groups as crossed sources of chance.

Another seed trains another network; another test set holds other patients. Each seed is judged on the same groups, so
the two are crossed, as readers and cases are in a reading study, and the variance of a mean over S seeds is

    V = V_seeds + V_groups − V_both,

V_seeds being the variance between seeds over S, V_groups the jackknife variance of the mean when one group is left out
at a time, and V_both the part that is particular to a seed on a group, which both of the former contain.

Few groups show less variance than there is: where all of eight are found they show none. So V_groups is taken as if
there were a quarter of a group more, spread over both ends of what a group can be (:func:`with_more`).

Sources: Gallas, Acad Radiol 2006 (the variance of a multi-reader multi-case study, seeds being the readers); Cameron,
Gelbach and Miller, J Bus Econ Stat 2011 (two-way clustering); Owen, Ann Appl Stat 2007 (crossed random effects without
a model); Satterthwaite, Biometrics Bulletin 1946 (degrees of freedom).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.measure.effective_groups import effective_number, effective_number_of_mean, overlap
from careedu.measure.leave_one_out import averaged_classes, metric_without, recalls_without
from careedu.measure.metrics import check_values

MOST_BLOCKS = 2000
"""Above this many groups they are left out in so many blocks, to save time."""
LEAST_FREEDOM = 0.5
"""Degrees of freedom that any two groups have, however unequal."""


MORE = 0.25
"""So much of a group is added: the least with which simulated intervals hold the truth as often as they say."""


SHARES = ("accuracy", "calibration error")
"""Metrics that are a mean over all images, whatever their class."""


class Prior(NamedTuple):
    """Mean and variance of what is added."""

    mean: float
    variance: float


SHARE = Prior(0.5, 0.25)
"""Half of it found and half not."""
DIFFERENCE = Prior(0.0, 0.5)
"""Two shares that have nothing to do with each other: a quarter each of −1 and 1, one half of 0."""


class Spread(NamedTuple):
    """A metric over seeds and its change without each block: K recalls that it averages, or itself (K = 1).

    Attributes
    ----------
    values : float64 (S, K)
        K = 0 where the test images do not define the metric.
    shifts : float64 (S, B, K)
        Change when a block of groups is left out, times √((G−1)/G), G being the number of blocks of the class.
    effective : float64 (K,)
        Effective number of groups, (Σ m)² / Σ m² with m images of the class in each group: so many groups of one size
        tell as much. For a metric that is no mean of recalls, of the class that has the fewest.
    averaged : float64 (K,)
        Effective number of groups of which the value is a mean: those of the class; of all images for accuracy and the
        calibration error; for a mean over classes :func:`effective_number_of_mean`.
    images : float64 (K,)
        Images of the class; infinite for what is no share of images.
    groups : int
        Test groups of the class with the fewest.
    shared : float64 (K, K), or 1 for K = 1
        How far the K have their groups in common, see :func:`overlap`.
    """

    values: np.ndarray
    shifts: np.ndarray
    effective: np.ndarray
    averaged: np.ndarray
    images: np.ndarray
    groups: int
    shared: ArrayLike = 1.0

    @property
    def known(self) -> bool:
        """Whether each class has two groups, so that there is something to leave out."""
        return self.groups > 1


class Variation(NamedTuple):
    """Means over seeds, and how far they vary.

    Attributes
    ----------
    mean, pulled : float64 (K,)
        Means, and where what is added draws them.
    by_seeds, by_groups, total : float64 (K, K)
        V_seeds, V_groups with what is added, and V. No variance in V is less than in either of its parts.
    seeds : int
    effective : float64 (K,)
    shared : float64 (K, K)
    """

    mean: np.ndarray
    pulled: np.ndarray
    by_seeds: np.ndarray
    by_groups: np.ndarray
    total: np.ndarray
    seeds: int
    effective: np.ndarray
    shared: ArrayLike

    def of_mean(self) -> tuple[float, float, float, float]:
        """V_seeds, V_groups, V and the degrees of freedom of the mean of all K."""
        by_seeds, by_groups, total = (max(0.0, float(v.mean())) for v in (self.by_seeds, self.by_groups, self.total))
        total = max(total, by_seeds, by_groups)
        share = np.diag(self.by_groups) * (by_groups / np.trace(self.by_groups))
        return by_seeds, by_groups, total, freedom(by_seeds, share, total, self.seeds, self.effective, self.shared)

    def freedoms(self) -> np.ndarray:
        """Degrees of freedom of each, float64 (K,)."""
        parts = zip(*map(np.diag, (self.by_seeds, self.by_groups, self.total)), self.effective, strict=True)
        return np.array([freedom(s, g, total, self.seeds, k) for s, g, total, k in parts])


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
    images = np.zeros((len(first), n_classes))
    np.add.at(images, (code, labels), 1.0)
    counted, effective = (images > 0).sum(axis=0), effective_number(images)
    holds = np.zeros((block.max() + 1, n_classes), dtype=bool)
    holds[block, labels] = True
    blocks = holds.sum(axis=0)
    classes = averaged_classes(metric, n_classes, rare)
    if classes is None:
        values, without = (v[..., None] for v in metric_without(metric, probabilities, labels, block, rare))
        relevant = np.flatnonzero(blocks)
        # A block counts as one of the smallest class it holds.
        size = np.where(holds, blocks, len(block)).min(axis=1)[:, None]
        if np.isnan(values).any():
            values, without, relevant = values[..., :0], without[..., :0], relevant[:0]
        of_classes = effective[relevant]
        effective = of_classes.min(keepdims=True) if len(relevant) else of_classes
        averaged = effective_number(images.sum(axis=1, keepdims=True))[: len(effective)]
        if metric not in SHARES and len(effective):
            averaged = effective_number_of_mean(images[:, relevant])
        n_images, shared = np.full(len(effective), np.inf), 1.0
    else:
        relevant = np.array([c for c in classes if blocks[c] > 0], dtype=int)
        values, without = (v[..., relevant] for v in recalls_without(probabilities, labels, block))
        size, n_images = blocks[relevant], images.sum(axis=0)[relevant]
        effective = averaged = effective[relevant]
        shared = overlap(images[:, relevant])
    fewest = int(counted[relevant].min(initial=len(labels))) if len(relevant) else 0
    shifts = np.nan_to_num(without - values[:, None]) * np.sqrt((size - 1) / size)
    return Spread(values, shifts, effective, averaged, n_images, fewest, shared)


def spread_of_images(values: ArrayLike, groups: ArrayLike) -> Spread:
    """The mean over images of one number an image, such as the share of its map inside the lesion.

    Parameters
    ----------
    values : bool or float (S, N)
        In [0, 1], without NaN; bool for a share of images.
    groups : (N,)

    Returns
    -------
    Spread
    """
    n_images = np.full(1, np.shape(groups)[0] if np.asarray(values).dtype == bool else np.inf)
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if values.ndim != 2 or values.shape[1:] != groups.shape or values.size == 0 or np.isnan(values).any():
        raise InvalidInputError(
            f"values must be (S, N) without NaN and groups (N,), not {values.shape}, {groups.shape}"
        )
    names, code = np.unique(groups, return_inverse=True)
    block = code % MOST_BLOCKS
    size, blocks = np.bincount(block), int(block.max()) + 1
    sums = np.stack([np.bincount(block, weights=row) for row in values])
    mean = values.mean(axis=1, keepdims=True)
    without = (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(size.sum() - size, 1)
    shifts = (without - mean) * np.sqrt((blocks - 1) / blocks)
    effective = effective_number(np.bincount(code)[:, None])
    return Spread(mean, shifts[..., None], effective, effective, n_images, len(names))


def variation(single: Spread, prior: Prior) -> Variation:
    """Means over seeds of a spread, and their variances; with one seed V_seeds is 0.

    What is added to the groups has images of two classes as far as these share their groups.
    """
    n_seeds, mean = len(single.values), single.values.mean(axis=0)
    mean_shift = single.shifts.mean(axis=0)
    seen = mean_shift.T @ mean_shift
    pulled, added = with_more(mean, 0.0, single.averaged, prior)
    # What two have in common shrinks as each of them does, else the variance of their sum could be negative.
    by_groups = seen * _outer(_shrinkage(single.averaged)) + single.shared * _outer(added)
    by_seeds, both = np.zeros_like(seen), np.zeros_like(seen)
    if n_seeds > 1:
        share = n_seeds * (n_seeds - 1)
        apart, own = single.values - mean, single.shifts - mean_shift
        by_seeds = apart.T @ apart / share
        both = np.einsum("sbk,sbl->kl", own, own) / share
    total = by_seeds + by_groups - both
    np.fill_diagonal(total, np.diag(np.maximum(total, np.maximum(by_seeds, by_groups))))
    return Variation(mean, pulled, by_seeds, by_groups, total, n_seeds, single.effective, single.shared)


def with_more(
    mean: np.ndarray, variance: ArrayLike, effective: np.ndarray, prior: Prior
) -> tuple[np.ndarray, np.ndarray]:
    """A mean and its variance between k groups, as if w = ¼ of a group had been added, spread as the prior says.

    With the prior's mean μ and variance σ², and v the variance between the k groups there are,

        (kθ + wμ) / (k+w)    and    (k(k−1) v + wk(θ−μ)²/(k+w) + wσ²) / ((k+w)(k+w−1)):

    the mean of all k+w groups, and the variance of that mean. So neither a share that all groups agree on nor a
    difference that all show is ever known without doubt, and there is no jump where one image more or less differs.

    Notes
    -----
    Sources: Agresti and Coull, Am Stat 1998 (pseudo-observations for a share); Agresti and Min, Stat Med 2005 (half a
    pair of each kind for a difference of paired shares). That a group stands for an image, and w, are our choice.
    """
    k, of_all = effective, effective + MORE
    pulled = (k * mean + MORE * prior.mean) / of_all
    added = MORE * k * (mean - prior.mean) ** 2 / of_all + MORE * prior.variance
    return pulled, _shrinkage(k) * variance + added / (of_all * (of_all - 1))


def _shrinkage(k: np.ndarray) -> np.ndarray:
    """What the variance between k groups is multiplied with where more are added, k(k−1) / ((k+w)(k+w−1))."""
    return k * (k - 1) / ((k + MORE) * (k + MORE - 1))


def _outer(squares: np.ndarray) -> np.ndarray:
    """√(a_c a_d), float64 (K, K)."""
    return np.sqrt(np.outer(squares, squares))


def freedom(
    by_seeds: float, by_groups: ArrayLike, total: float, n_seeds: int, effective: ArrayLike, shared: ArrayLike = 1.0
) -> float:
    """Satterthwaite's degrees of freedom, V² / (V_seeds²/(S−1) + Σ_cd o_cd V_c V_d / (k_cd−1)), V_c those of class c.

    k_cd is the lesser of k_c and k_d, and o_cd how far the two share their groups (:func:`overlap`): between classes
    that share none it is the sum of V_c²/(k_c−1), and classes that share all have no more than one of them. At most
    those that the groups have without seeds: seeds lend none to few groups. At least these or S−1, whichever is less.
    """
    by_groups, own = np.atleast_1d(by_groups), np.maximum(np.atleast_1d(effective) - 1, LEAST_FREEDOM)
    squares = float((shared * np.outer(by_groups, by_groups) / np.minimum.outer(own, own)).sum())
    of_groups = float(by_groups.sum() ** 2 / squares)
    if n_seeds == 1:
        return of_groups
    between = total**2 / (by_seeds**2 / (n_seeds - 1) + squares)
    return min(of_groups, max(between, n_seeds - 1))


def _checked(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities, labels, groups = np.asarray(probabilities), np.asarray(labels), np.asarray(groups)
    fit = probabilities.ndim == 3 and labels.shape == groups.shape == probabilities.shape[1:2]
    if not fit or probabilities.size == 0:
        raise InvalidInputError(
            "probabilities must be (S, N, C), labels and groups (N,), with at least one seed and image, "
            f"not {probabilities.shape}, {labels.shape} and {groups.shape}"
        )
    check_values(probabilities, labels)
    return probabilities, labels, groups
