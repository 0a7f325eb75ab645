"""Training, validation and test phantoms: how many of each class, from which seeds, with which knobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.data.imbalance import check_seed, training_counts
from careedu.errors import check_known, check_number

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset

PHANTOMS = {
    "phantom-skin": "made-up dermoscopy: lesions anywhere, told apart by fine texture; hairs, ink, look-alikes",
    "phantom-chest": "made-up chest X-rays: opacities in a few zones of the lungs, look-alikes elsewhere",
    "phantom-brain": "made-up axial brain MRI: tumours whose texture and rim tell their grade",
}

AUGMENTATION = {"phantom-skin": "any-orientation", "phantom-chest": "upright", "phantom-brain": "upright"}
_IMAGES_A_CLASS = {"largest": 300, "val": 40, "test": 100}
_KNOBS = ("lesion_size", "contrast", "distractors", "jitter", "lesions", "look_alike", "look_alike_correlation")
_KNOBS += ("images_per_patient",)
_OPTIONS = (*_IMAGES_A_CLASS, *_KNOBS, "label_noise")

# Words that set streams of random numbers apart which share a seed. numpy fills a seed of less than four words up with
# zeros, so these must not be 0.
_ORDER, _NOISE = 1, 2


def phantom_parts(
    name: str,
    size: int | None,
    imbalance: float | None,
    counts: Mapping[str, int] | None,
    seed: int,
    options: Mapping[str, Any],
) -> tuple[dict[str, LesionDataset], Callable[[int], LesionDataset]]:
    """Draw the phantoms of one kind.

    Parameters
    ----------
    name : str
        A key of `PHANTOMS`.
    size : int, optional
        Side of the images in pixels; 64 where not given.
    imbalance : float, optional
        Largest training class divided by the smallest; the classes in between fall geometrically.
    counts : mapping of str to int, optional
        Training images of named classes, whatever `imbalance` says.
    seed : int
        Of everything random.
    options : mapping
        ``largest`` (300), ``val`` (40) and ``test`` (100) images a class; ``label_noise``, the fraction of training
        labels that are replaced by another class; and the knobs of :func:`careedu.data.phantoms.draw_phantom`.

    Returns
    -------
    parts : dict of str to LesionDataset
        ``"train"``, ``"val"`` and ``"test"``.
    draw_train : callable
        ``draw_train(k)`` draws other training images.

    Raises
    ------
    InvalidInputError
        If an option is unknown or out of its range.
    """
    from careedu.data.phantoms import CLASSES

    kind = name.removeprefix("phantom-")
    for option in options:
        check_known(f"option of {name}", option, _OPTIONS)
    images_a_class = {key: options.get(key, default) for key, default in _IMAGES_A_CLASS.items()}
    for key, n in images_a_class.items():
        check_number(key, n, "whole [1, inf)", "it counts images")
    noise = options.get("label_noise", 0.0)
    check_number("label_noise", noise, "[0, 1)", "it is a share of the labels")
    knobs = {key: options[key] for key in _KNOBS if key in options}
    if size is not None:
        knobs["size"] = size
    available = dict.fromkeys(CLASSES[kind], int(images_a_class["largest"]))
    train_counts = tuple(training_counts(available, imbalance, counts).values())
    draw_train = partial(draw_training_phantoms, kind, train_counts, seed, float(noise), knobs)
    held_out = {
        part: _draw(kind, (int(images_a_class[part]),) * len(available), (seed, number), own, part)
        # On test images a look-alike tells nothing of the class.
        for part, number, own in (("val", 1, knobs), ("test", 2, {**knobs, "look_alike_correlation": 0.0}))
    }
    return {"train": draw_train(0), **held_out}, draw_train


def draw_training_phantoms(
    kind: str, counts: tuple[int, ...], seed: int, label_noise: float, knobs: Mapping[str, Any], redraw: int
) -> LesionDataset:
    """Draw the training images of one kind of phantom.

    Parameters
    ----------
    kind : str
        ``"skin"``, ``"chest"`` or ``"brain"``.
    counts : tuple of int
        Images of each class.
    seed : int
        Of the splits.
    label_noise : float
        Fraction of the labels that are replaced by another class, each other class being as likely.
    knobs : mapping
        Options of :func:`careedu.data.phantoms.draw_phantom`.
    redraw : int
        Which training set of this seed; 0 is the first.

    Returns
    -------
    LesionDataset
        The images, whose order does not tell their class.

    Raises
    ------
    InvalidInputError
        If `redraw` is not a whole number from 0 to 2**32 - 1.
    """
    check_seed(redraw)
    return _draw(kind, counts, (seed, 0, int(redraw)), knobs, f"train-{redraw}", label_noise)


def _draw(
    kind: str, counts: Sequence[int], seed: Sequence[int], knobs: Mapping[str, Any], prefix: str, noise: float = 0.0
) -> LesionDataset:
    import torch

    from careedu.data.dataset import LesionDataset
    from careedu.data.phantoms import CLASSES, check_patients, draw_phantom

    stream = (*seed, *(0,) * (3 - len(seed)))
    most, each = np.asarray(counts), check_patients(knobs.get("images_per_patient", 1))
    patients = np.repeat(np.arange(len(most)), -(-most // each))
    np.random.default_rng((*stream, _ORDER)).shuffle(patients)
    truth = patients.repeat(each)
    drawn = draw_phantom(kind, truth, seed=seed, **knobs)
    # The last patient of a class may have fewer images.
    kept = (truth[:, None] == np.arange(len(most))).cumsum(axis=0)[np.arange(len(truth)), truth] <= most[truth]
    truth, patient = truth[kept], np.flatnonzero(kept) // each
    labels = truth.copy()
    if noise:
        rng = np.random.default_rng((*stream, _NOISE))
        wrong = rng.choice(len(truth), round(noise * len(truth)), replace=False)
        labels[wrong] = (truth[wrong] + rng.integers(1, len(counts), len(wrong))) % len(counts)
    return LesionDataset(
        images=torch.from_numpy(drawn.images[kept]),
        labels=torch.from_numpy(labels).long(),
        classes=CLASSES[kind],
        boxes=torch.from_numpy(drawn.boxes[kept]).float(),
        masks=torch.from_numpy(drawn.masks[kept]),
        groups=[f"{prefix}-{i}" for i in patient],
        ids=[f"{prefix}-{i}" for i in range(len(truth))],
        marks=None if drawn.patches is None else torch.from_numpy(drawn.patches[kept]),
        mark_labels=None if drawn.patches is None else torch.from_numpy(drawn.patch_labels[kept]),
    )
