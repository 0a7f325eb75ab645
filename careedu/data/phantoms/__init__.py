"""Phantoms: synthetic medical images whose truth is known, at any imbalance, from a seed.

Three kinds look like what they stand for: ``"skin"`` (dermoscopy), ``"chest"`` (X-ray) and ``"brain"`` (axial MRI
after contrast). Each image holds one lesion whose fine texture alone tells its class; its place, outline, size and mean
brightness follow the same distribution in all classes. Look-alikes, drawn without regard to the class, lie elsewhere.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from careedu.data.phantoms import brain, chest, skin
from careedu.data.phantoms.geometry import pixel_centres
from careedu.data.phantoms.options import RANGES, Draws, PhantomOptions, Streams
from careedu.errors import InvalidInputError, check_known, check_number

__all__ = ["CHANNELS", "CLASSES", "DEFAULTS", "KINDS", "RANGES", "PhantomImages", "draw_phantom", "lesion_zones"]

_MODULES = {"skin": skin, "chest": chest, "brain": brain}
KINDS = tuple(_MODULES)
CLASSES: dict[str, tuple[str, str, str]] = {kind: module.CLASSES for kind, module in _MODULES.items()}
CHANNELS = {"skin": 3, "chest": 1, "brain": 1}
DEFAULTS = {name: getattr(PhantomOptions(), name) for name in RANGES}

# Images are drawn this many at a time, each chunk from its own seed, also when fewer are asked for. The number is part
# of what a seed means: another one gives other images.
_CHUNK = 32


@dataclass(frozen=True, eq=False)
class PhantomImages:
    """Phantoms and their truth.

    Parameters
    ----------
    images : array
        uint8 (N, C, H, W).
    masks : array
        bool (N, H, W), the lesion; outside it an image does not depend on its lesion at all.
    boxes : array
        float32 (N, 4), the tight box of each mask as x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
    patches, patch_labels : array, optional
        With ``look_alike``: bool (N, H, W), the patches that look like lesions, and int64 (N,), the class that they
        look like, −1 where an image has none.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    patches: NDArray[np.bool_] | None = None
    patch_labels: NDArray[np.int64] | None = None


def draw_phantom(
    kind: str,
    labels: ArrayLike,
    *,
    size: int = 64,
    seed: int | Sequence[int] = 0,
    lesion_size: float = 1.0,
    contrast: float = 1.0,
    distractors: float = 1.0,
    jitter: float = 0.02,
    lesions: bool = True,
    look_alike: float = 0.0,
    look_alike_correlation: float = 0.0,
    images_per_patient: int = 1,
    threads: int | None = None,
) -> PhantomImages:
    """Draw phantoms of given classes.

    Parameters
    ----------
    kind : str
        ``"skin"``, ``"chest"`` or ``"brain"``.
    labels : array of int
        (N,) class of each image, an index into ``CLASSES[kind]``.
    size : int
        Side of the images in pixels, 32 to 512.
    seed : int or sequence of int
        Where the randomness comes from. Image i depends on the seed, on i and on its own label, on nothing else.
    lesion_size : float
        Factor on the lesion's diameter, 0.1 to 4.
    contrast : float
        Factor on how much the lesion, and the texture that tells its class, stands out, 0 to 4.
    distractors : float
        Factor on the look-alikes and other disturbances, 0 (none) to 4.
    jitter : float
        How far the anatomy of a chest or a head may be off its nominal place: largest shift as a fraction of the side,
        largest turn in radians and largest relative change of scale, 0 to 0.25. Skin has no anatomy to move.
    lesions : bool
        False draws the very same images without their lesions, as a control; masks and boxes stay.
    look_alike : float
        Skin only. Above 0 the harmless patches of an image carry the texture of one other class than its own, the
        closer to a lesion's in contrast, darkness and size the nearer this is to 1. ``distractors`` says how many.
    look_alike_correlation : float
        How often that is the class after the image's own, and not one of the others by chance, 0 to 1.
    images_per_patient : int
        1, 2, 4 or 8 images in a row show the same anatomy and the same lesion, with other look-alikes and other noise,
        a head a little moved, and should have one label.
    threads : int, optional
        Threads to draw with; one a core by default. The images do not depend on it.

    Returns
    -------
    PhantomImages
        Images, masks and boxes.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    InvalidInputError
        If a label, a seed or a knob is outside its range, naming it and the range.
    """
    render = _module(kind).render
    checked = _check_labels(labels, kind)
    like = look_alike, look_alike_correlation
    options = PhantomOptions(size, lesion_size, contrast, distractors, jitter, lesions, *like)
    if (look_alike or look_alike_correlation) and (kind != "skin" or not look_alike):
        raise InvalidInputError(f"{look_alike=}, {look_alike_correlation=}: for skin alone, with look_alike above 0")
    check_patients(images_per_patient)
    if threads is not None:
        check_number("threads", threads, "whole [1, inf)", "or None")
    root = _check_seed(seed)

    n = len(checked)
    images = np.empty((n, CHANNELS[kind], options.size, options.size), dtype=np.uint8)
    masks = np.empty((n, options.size, options.size), dtype=bool)
    look_alikes = (np.empty_like(masks), np.empty(n, dtype=np.int64)) if look_alike else ()
    of_patient = np.arange(_CHUNK) // images_per_patient * images_per_patient

    def draw_chunk(number: int) -> None:
        start = number * _CHUNK
        stop = min(start + _CHUNK, n)
        # A short last chunk is filled up, so that the first images do not depend on how many follow.
        padded = np.zeros(_CHUNK, dtype=np.int64)
        padded[: stop - start] = checked[start:stop]
        child = np.random.SeedSequence(root.entropy, spawn_key=(number,))
        drawn = [Draws(np.random.Generator(np.random.SFC64(s)), _CHUNK) for s in child.spawn(4)]
        streams = Streams(*(draws.of(of_patient) for draws in drawn[:2]), *drawn[2:])
        for whole, part in zip((images, masks, *look_alikes), render(padded, streams, options), strict=True):
            whole[start:stop] = part[: stop - start]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(draw_chunk, range(-(-n // _CHUNK))))  # in a list, so that it raises what a chunk raised
    return PhantomImages(images, masks, _tight_boxes(masks), *look_alikes)


def check_patients(images_per_patient: object) -> int:
    """As many images of a patient as make whole patients in a chunk, or an error."""
    if type(images_per_patient) is not int or images_per_patient not in (1, 2, 4, 8):
        raise InvalidInputError(f"images_per_patient must be 1, 2, 4 or 8, not {images_per_patient!r}")
    return images_per_patient


def lesion_zones(kind: str, size: int = 64) -> NDArray[np.bool_]:
    """Tell where lesions can lie in the nominal anatomy.

    Parameters
    ----------
    kind : str
        ``"skin"``, ``"chest"`` or ``"brain"``.
    size : int
        Side of the images in pixels, 32 to 512.

    Returns
    -------
    array
        bool (size, size): the truth for a spatial attention map, at ``jitter=0`` and ``lesion_size=1``. Look-alikes lie
        outside it in chests and heads. On skin, where lesions lie anywhere, it is true everywhere.
    """
    zones = _module(kind).ZONES
    axis = pixel_centres(PhantomOptions(size=size).size)
    if not zones:
        return np.ones((size, size), dtype=bool)
    return np.any([zone.contains(axis[None, :], axis[:, None]) for zone in zones], axis=0)


def _module(kind: str) -> ModuleType:
    check_known("phantom", kind, KINDS)
    return _MODULES[kind]


def _check_labels(labels: ArrayLike, kind: str) -> NDArray[np.int64]:
    array: NDArray[Any] = np.asarray(labels)
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    last = len(CLASSES[kind]) - 1
    if array.ndim != 1 or array.dtype.kind not in "iu":
        given = f"{array.dtype} of shape {array.shape}"
        raise InvalidInputError(f"labels must be whole numbers from 0 to {last} in one row, not {given}.")
    faulty = np.flatnonzero((array < 0) | (array > last))
    if len(faulty):
        first = faulty[0]
        raise InvalidInputError(f"labels must lie from 0 to {last}; label {first} is {array[first]}.")
    return array.astype(np.int64)


def _check_seed(seed: int | Sequence[int]) -> np.random.SeedSequence:
    parts = seed if isinstance(seed, list | tuple) and seed else [seed]
    for part in parts:
        check_number("seed", part, "whole [0, inf)", "or several of such in a list")
    return np.random.SeedSequence([int(part) for part in parts])


def _tight_boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    sides = masks.any(axis=1), masks.any(axis=2)  # columns, then rows
    first = [side.argmax(axis=1) for side in sides]
    end = [masks.shape[-1] - side[:, ::-1].argmax(axis=1) for side in sides]
    return np.stack([*first, *end], axis=1).astype(np.float32)
