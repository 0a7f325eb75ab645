"""Making classes rare, and holding images out by group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from careedu.errors import InvalidInputError, check_known, check_number

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset


def long_tail_counts(available: Sequence[int], ratio: float) -> list[int]:
    """Counts that fall geometrically from class to class, the largest being `ratio` times the smallest.

    Parameters
    ----------
    available : sequence of int
        Images there are of each class. The class with most images stays the largest and so on down; of equal classes
        the first is the larger.
    ratio : float
        Largest count divided by smallest, at least 1. Counts are whole numbers, so the ratio holds up to rounding.

    Returns
    -------
    list of int
        One count a class, in the order of `available`, none above what is available: where a class has too few images
        for its place in the tail, the whole tail is scaled down.

    Raises
    ------
    InvalidInputError
        If a class has no images, if the ratio is below 1 or not finite, or if the smallest class would have less than
        one image.
    """
    check_ratio(ratio)
    if len(available) < 2 or min(available) < 1:
        there = f"there are {list(available)}"
        raise InvalidInputError(f"each of at least two classes needs images to choose from, {there}")
    order = sorted(range(len(available)), key=lambda c: (-available[c], c))
    share = [float(ratio) ** (-place / (len(order) - 1)) for place in range(len(order))]
    largest = min(available[c] / s for c, s in zip(order, share, strict=True))
    if largest * share[-1] < 1 - 1e-9:
        fault = f"imbalance={ratio:g} would leave less than one image of the smallest class"
        limit = f"the ratio can be at most {math.floor(largest + 1e-9)}"
        raise InvalidInputError(f"{fault}; with {max(available)} images of the largest class {limit}")
    counts = [0] * len(available)
    for c, s in zip(order, share, strict=True):
        counts[c] = min(round(largest * s), available[c])
    return counts


def training_counts(
    available: Mapping[str, int], imbalance: float | None, counts: Mapping[str, int] | None
) -> dict[str, int]:
    """Training images of each class.

    Parameters
    ----------
    available : mapping of str to int
        Images there are of each class.
    imbalance : float, optional
        As in :func:`long_tail_counts`.
    counts : mapping of str to int, optional
        Of named classes, whatever `imbalance` says.

    Returns
    -------
    dict of str to int
        In the order of `available`.

    Raises
    ------
    UnknownNameError
        If `counts` names a class that is not there.
    InvalidInputError
        If a count is not a whole number of at least 1, or the imbalance cannot be.
    """
    wanted = dict(available)
    if imbalance is not None:
        wanted = dict(zip(available, long_tail_counts(list(available.values()), imbalance), strict=True))
    if counts is not None:
        check_counts(counts, tuple(available))
        wanted |= {name: int(n) for name, n in counts.items()}
    return wanted


def thin(dataset: LesionDataset, counts: Mapping[str, int], seed: int) -> LesionDataset:
    """Keep only so many images of named classes, drawn at random.

    Meant for training images: validation and test images say what they should only as they are.

    Parameters
    ----------
    dataset : LesionDataset
        The images to draw from.
    counts : mapping of str to int
        Images to keep of each class that is named; the other classes stay whole.
    seed : int
        Of the draw. What is kept of one class does not depend on the counts of the others, and with the same seed
        a smaller count keeps a part of what a larger one keeps.

    Returns
    -------
    LesionDataset
        The images kept, in their order.

    Raises
    ------
    InvalidInputError
        If a count is not a whole number of at least 1, or above what there is.
    UnknownNameError
        If there is no such class.
    """
    check_counts(counts, dataset.classes)
    check_seed(seed)
    labels = dataset.labels.numpy()
    keep = np.ones(len(dataset), dtype=bool)
    for name, n in counts.items():
        label = dataset.class_index(name)
        rows = np.flatnonzero(labels == label)
        if n > len(rows):
            fault = f"counts asks for {n} training images of {name!r}, but there are {len(rows)}"
            raise InvalidInputError(f"{fault}; real images can only be left out")
        drawn = np.random.default_rng([seed, label]).permutation(rows)
        keep[drawn[n:]] = False
    return dataset[keep]


def hold_out_by_group(
    labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split images in two, groups undivided and classes in like proportions.

    Parameters
    ----------
    labels : int (N,)
        Indices into `classes`.
    groups : (N,)
        The group of each image.
    classes : sequence of str
    fraction : float
        Share of the images to hold out, above 0 and at most 0.5. It is one fold of ``round(1 / fraction)`` folds (of as
        many as there are groups, where these are fewer), so that it is met only roughly.
    seed : int
        Of the draw.

    Returns
    -------
    kept, held_out : array
        Rows, sorted. Every class is in `kept`. `held_out` has every class too where the groups allow it.

    Raises
    ------
    InvalidInputError
        If the fraction is out of range, if all images are one group, or if a class would vanish from `kept`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    check_number("fraction", fraction, "(0, 0.5]")
    check_seed(seed)

    def counts_of(rows: np.ndarray) -> np.ndarray:
        return np.bincount(labels[rows], minlength=len(classes))

    n, n_groups = len(labels), len(np.unique(groups))
    counts = counts_of(np.arange(n))
    folds = min(round(1 / fraction), n_groups, int(counts.max()))
    if folds < 2:
        few = f"no class has more than one of the {n} images" if n > 1 else "there is one image"
        what = "all images belong to one group" if n_groups < 2 <= n else few
        raise InvalidInputError(f"no images can be held out: {what}; give more, or a split column in labels.csv")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of fewer images than folds is what careedu is about; what it needs is checked below.
        warnings.filterwarnings("ignore", message="The least populated class in y has only", category=UserWarning)
        folds_of_rows = [(kept, held) for kept, held in splitter.split(labels, labels, groups) if len(held)]
    possible = [(kept, held) for kept, held in folds_of_rows if ((counts_of(kept) > 0) == (counts > 0)).all()]
    if not possible:
        spread = {classes[label]: len(np.unique(groups[labels == label])) for label in np.flatnonzero(counts)}
        fewest = min(spread, key=spread.__getitem__)
        fault = f"images cannot be held out without class {fewest!r} vanishing from training"
        remedy = "give more, or a split column in labels.csv"
        raise InvalidInputError(f"{fault}: its images are in {spread[fewest]} group(s); {remedy}")
    return min(possible, key=lambda fold: (-(counts_of(fold[1]) > 0).sum(), abs(len(fold[1]) / n - fraction)))


def check_seed(seed: int) -> None:
    """Raise InvalidInputError unless a seed is a whole number from 0 to 2**32 - 1, the range of numpy and sklearn."""
    check_number("seed", seed, f"whole [0, {2**32 - 1}]")


def check_ratio(ratio: float) -> None:
    """Raise InvalidInputError unless an imbalance ratio is a finite number of at least 1."""
    check_number("imbalance", ratio, "[1, inf)", "it is the largest class divided by the smallest")


def check_counts(counts: Mapping[str, int], classes: Sequence[str]) -> None:
    """Raise InvalidInputError unless counts name known classes, each with a whole number of at least 1."""
    if not isinstance(counts, Mapping):
        raise InvalidInputError(f"counts must map names of classes to numbers of images, not {counts!r}")
    for name, n in counts.items():
        check_known("class", name, classes)
        check_number(f"counts: {name!r}", n, "whole [1, inf)")
