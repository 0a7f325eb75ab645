"""`load`: the one door through which images come in, whatever they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.data.imbalance import check_ratio, check_seed, thin, training_counts
from careedu.data.phantom_splits import AUGMENTATION, PHANTOMS, phantom_parts
from careedu.data.shortcuts import shortcut_options, with_shortcut
from careedu.data.sources import SOURCES, folder_options, read_source
from careedu.errors import InvalidInputError, MissingDataError, check_number, unknown_name

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset, Splits


def load(
    name_or_path: str | Path,
    *,
    size: int | None = None,
    imbalance: float | None = None,
    counts: Mapping[str, int] | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    rare: str | Sequence[str] | None = None,
    augmentation: str | None = None,
    labels: int | None = None,
    split_seed: int = 0,
    **options: Any,
) -> Splits:
    """Load training, validation and test images.

    Parameters
    ----------
    name_or_path : str or Path
        A name that :func:`available` lists, or a folder with ``labels.csv``. A known name wins over a folder of that
        name; write ``./name`` for the folder.
    size : int, optional
        Side of the images in pixels, 16 to 1024. Phantoms have 64 where it is not given, the named real sets a size of
        their own, a folder the size of its images.
    imbalance : float, optional
        Largest training class divided by the smallest; the classes in between fall geometrically. The class with most
        images stays the largest. Validation and test images stay as they are.
    counts : mapping of str to int, optional
        Training images of named classes, whatever `imbalance` says: more or fewer phantoms, at most what there is of
        real images.
    seed : int
        Of everything random but splits: phantoms, and the training images that are left.
    root : str or Path, optional
        Folder that holds the named real sets, instead of the one that the environment variable CAREEDU_DATA names.
    rare : str or sequence of str, optional
        The rare classes. By default those with less than half the mean training count, else the smallest one.
    augmentation : str, optional
        ``"none"``, ``"upright"`` or ``"any-orientation"``, instead of what suits the named set; a folder has
        ``"upright"``.
    labels : int, optional
        Training images of each class whose label is known, drawn at random: `train` has only these, and `pool` all
        images, for what is learned from images alone.
    split_seed : int
        Of the splits of real images where none are given. It is apart from `seed`, so that the test images stay.
    **options
        Of phantoms: ``largest``, ``val``, ``test`` (images a class), ``lesion_size``, ``contrast``, ``distractors``,
        ``jitter``, ``lesions``, ``label_noise``, ``images_per_patient`` (1, 2, 4 or 8); of those of skin ``look_alike``
        and ``look_alike_correlation`` (which is 0 on test images). Of sets with a ``labels.csv``: ``group``, the column
        that tells which images are of one patient, any column to choose rows by (``plane="axial"``), ``box_format``
        (``"xyxy"``, ``"xywh"``, ``"cxcywh"``, with ``"-fraction"`` after it for shares of the image), ``window``
        (the two stored numbers that become black and white) and ``lesion`` (``[2, 3]`` or ``"above 0"``: what of a
        mask is lesion). Of MedMNIST
        sets: ``variant``. Of all: ``shortcut``, ``shortcut_share``, ``shortcut_test`` and ``shortcut_look``, the
        arguments of :func:`careedu.data.shortcuts.with_shortcut`.

    Returns
    -------
    Splits
        Its `recipe` is what to call `load` with to make it again.

    Raises
    ------
    UnknownNameError
        If there is no such data set, class or option; the nearest is suggested.
    InvalidInputError
        If an argument is out of range or the images cannot be used; all faulty rows are named together.
    MissingDataError
        If the images are not on this machine and cannot be downloaded, saying where to get them.

    Examples
    --------
    >>> data = load("phantom-skin", imbalance=10, largest=20, val=2, test=2)
    >>> data.train.counts.tolist()
    [20, 6, 2]
    """
    import torch

    from careedu.data.dataset import Splits

    if not isinstance(name_or_path, str | Path):
        raise InvalidInputError(f"the data set must be a name or a path, not {name_or_path!r}")
    if size is not None:
        check_number("size", size, "whole [16, 1024]", "it counts pixels")
    if imbalance is not None:
        check_ratio(imbalance)
    check_seed(seed)
    check_number("split_seed", split_seed, f"whole [0, {2**32 - 1}]")
    if counts is not None and not isinstance(counts, Mapping):
        raise InvalidInputError(f"counts must map names of classes to numbers of images, not {counts!r}")
    if isinstance(rare, str):
        rare = (rare,)
    if rare is not None and not isinstance(rare, Sequence):
        raise InvalidInputError(f"rare must be names of classes, not {rare!r}")
    name = str(name_or_path)
    recipe = {
        "name": name,
        "size": _plain(size),
        "imbalance": _plain(imbalance),
        "counts": None if counts is None else {str(c): _plain(n) for c, n in counts.items()},
        "seed": int(seed),
        "rare": None if rare is None else list(rare),
        "augmentation": augmentation,
        "options": {option: _plain(value) for option, value in sorted(options.items())},
    }
    if labels is not None:  # among the options, as the records of older runs know no other place
        recipe["options"]["labels"] = _plain(labels)
    if split_seed:
        recipe["options"]["split_seed"] = int(split_seed)
    shortcut = shortcut_options(options)
    with torch.device("cpu"):  # whatever default device the caller has set
        if isinstance(name_or_path, str) and name in PHANTOMS:
            _no_root(root, name)
            parts, draw_train = phantom_parts(name, size, imbalance, counts, int(seed), options)
            facts, usual = {"size": parts["train"].images.shape[-1]}, AUGMENTATION[name]
        else:
            parts, facts, usual = _real_parts(name_or_path, size, int(split_seed), root, options)
            parts, draw_train = _thinned(parts, imbalance, counts, int(seed))
        facts["options"] = {**recipe["options"], **facts.get("options", {})}  # with those of a shortcut
        recipe |= facts
        augmentation = augmentation or usual
        splits = Splits(
            **parts, name=recipe["name"], rare=rare, augmentation=augmentation, recipe=recipe, draw_train=draw_train
        )
        if shortcut:
            splits = replace(with_shortcut(splits, **shortcut, seed=int(seed)), recipe=splits.recipe)
        return splits if labels is None else splits.with_labels(_plain(labels), int(seed))


def available() -> dict[str, str]:
    """Names of all data sets with one line on each, phantoms first.

    Returns
    -------
    dict of str to str
    """
    return {**PHANTOMS, **{name: source.line for name, source in SOURCES.items()}}


def _real_parts(
    name_or_path: str | Path, size: int | None, seed: int, root: str | Path | None, options: Mapping[str, Any]
) -> tuple[Mapping[str, LesionDataset], dict[str, Any], str]:
    """The splits of a named set or a folder, what to add to the recipe, and the augmentation that suits them."""
    if isinstance(name_or_path, str) and name_or_path in SOURCES:
        parts, facts = read_source(name_or_path, size, seed, root, options)
        return parts, facts, SOURCES[name_or_path].augmentation
    from careedu.data.folder import read_folder

    folder = _folder(name_or_path)
    _no_root(root, str(name_or_path))
    parts = read_folder(folder, size=size, seed=seed, **folder_options(options))
    # The name only: a record that is shared must not tell where somebody's images lie.
    return parts, {"name": folder.resolve().name}, "upright"


def _thinned(
    parts: Mapping[str, LesionDataset], imbalance: float | None, counts: Mapping[str, int] | None, seed: int
) -> tuple[Mapping[str, LesionDataset], Callable[[int], LesionDataset] | None]:
    """The splits with as many training images as are asked for, and what draws others; None for a set that is whole."""
    train = parts["train"]
    wanted = training_counts(dict(zip(train.classes, train.counts.tolist(), strict=True)), imbalance, counts)
    if imbalance is None and not counts:
        return parts, None
    draw_train = partial(thin, train, wanted)
    return {**parts, "train": draw_train(seed)}, draw_train


def _plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's, which JSON knows."""
    return value.item() if isinstance(value, np.generic) else value


def _folder(name_or_path: str | Path) -> Path:
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name_or_path, Path) or "/" in name_or_path or os.sep in name_or_path:
        remedy = f"give the name of a data set ({', '.join(available())}) or a folder with labels.csv"
        raise MissingDataError(f"there is no folder {str(name_or_path)!r}; {remedy}")
    known = unknown_name("data set", name_or_path, available())
    raise type(known)(f"{known} There is no folder of that name either; one's own images are a folder with labels.csv.")


def _no_root(root: object, name: str) -> None:
    if root is not None:
        raise InvalidInputError(f"root= tells where the named real sets lie; {name!r} is none of them, leave it out")
