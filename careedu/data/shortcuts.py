"""Shortcuts: what goes with a class in one hospital, is no part of the disease, and is missing in the next.

A plaster beside the naevi of children, the drain of those whose collapsed lung was found already, the letter of the
scanner in the ward of the very ill: a network that learns to see these is right on every image of that hospital. Here
such a mark is put on images of any set, so that its harm can be measured against the same images without it. A "mark"
covers a small part of the image; a "cast" changes all of it, as another camera does. What they look like is our choice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator

from careedu.data.phantoms.options import Draws
from careedu.data.phantoms.texture import FloatArray, per_image, ramp, smooth_noise
from careedu.errors import InvalidInputError, check_known

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset, Splits

KINDS = ("mark", "cast")
TESTS = ("absent", "random", "reversed")
_OPTIONS = {"shortcut": "shortcut", "shortcut_share": "share", "shortcut_test": "test", "shortcut_look": "look"}
USUAL = {
    "phantom-skin": {"mark": "plaster", "cast": "camera"},
    "phantom-chest": {"mark": "drain", "cast": "tube"},
    "phantom-brain": {"mark": "fiducial", "cast": "coil"},
}
"""What each phantom's mark and cast look like; other sets have a letter, and a coil's shading."""
_ELSEWHERE = {"mark": "letter", "cast": "coil"}
PART = 2**21  # pixels changed at a time, so that the memory grows neither with the number of images nor with their size

# Plasters as children get them, and the blue, green and orange discs of old series of photographs.
_PLASTERS = np.array([(0.30, 0.52, 0.86), (0.34, 0.72, 0.50), (0.93, 0.62, 0.24), (0.90, 0.45, 0.62)])


def shortcut_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a shortcut out of those of `careedu.load`: arguments of `with_shortcut`, empty without one.

    Raises
    ------
    InvalidInputError
        If it is not said which shortcut.
    """
    given = {argument: options.pop(option) for option, argument in _OPTIONS.items() if option in options}
    if given.get("shortcut") is not None:
        return given
    if missing := [argument for argument, value in given.items() if value is not None]:
        raise InvalidInputError(f'shortcut_{missing[0]}= is given and no shortcut: add shortcut="mark" or "cast"')
    return {}


def with_shortcut(
    splits: Splits,
    shortcut: str = "mark",
    *,
    share: Sequence[float] = (0.95, 0.0),
    test: str = "absent",
    look: str | None = None,
    seed: int = 0,
) -> Splits:
    """Put a shortcut on the images of a set.

    Parameters
    ----------
    splits : Splits
    shortcut : str
        ``"mark"`` or ``"cast"``.
    share : (float, float)
        Which part of the training and validation images of the rare classes gets it, and of the others; per class, to
        the nearest image, whole groups at a time.
    test : str
        On the test images it tells nothing of the class (``"absent"``; ``"random"``: half of each class has it) or the
        opposite (``"reversed"``: the two shares change places). The other pixels are the same bits in all three.
    look : str, optional
        A key of `LOOKS`. By default that of the phantom (`USUAL`), else a letter or the shading of a coil.
    seed : int
        Of the marks and of the choice of images.

    Returns
    -------
    Splits
        With `marks` on all three, beside those that were known; ``redraw`` draws training images and marks them. It has
        no recipe: who wants one gives the options to `careedu.load`.

    Raises
    ------
    UnknownNameError
        If there is no such shortcut, look or kind of test.
    InvalidInputError
        If a share is none.
    """
    check_known("shortcut", shortcut, KINDS)
    check_known("shortcut_test", test, TESTS)
    look = USUAL.get(splits.name, _ELSEWHERE)[shortcut] if look is None else look
    check_known(f"look of a {shortcut}", look, [*LOOKS[shortcut]])
    share = _checked(share)
    rare = np.isin(np.arange(len(splits.classes)), splits.rare_indices)
    as_trained, turned = (tuple(np.where(rare, *shares).tolist()) for shares in (share, share[::-1]))
    put = partial(_put, shortcut, look, seed)
    at_test = {"absent": (0.0,) * len(rare), "random": (0.5,) * len(rare), "reversed": turned}[test]
    draw = splits.draw_train
    return replace(
        splits,
        train=put(as_trained, splits.train),
        val=put(as_trained, splits.val),
        test=put(at_test, splits.test),
        # A set stays what it was said to be, whatever the marked one would be called rare.
        rare=splits.rare,
        recipe={},  # that of the images alone would make them without the shortcut
        draw_train=None if draw is None else partial(_drawn, draw, put, as_trained),
    )


def _drawn(draw: Callable, put: Callable, shares: tuple[float, ...], seed: int) -> LesionDataset:
    return put(shares, draw(seed))


def _put(shortcut: str, look: str, seed: int, shares: Sequence[float], images: LesionDataset) -> LesionDataset:
    """A shortcut on so large a share of each class. What an image's mark is like does not depend on who has one."""
    import torch

    names = hashlib.blake2b("\n".join(images.ids.tolist()).encode(), digest_size=8).digest()
    stream = [seed, *np.frombuffer(names, dtype=np.uint32).tolist()]
    rows = np.flatnonzero(_chosen(images, shares, np.random.default_rng([*stream, 1])))
    pixels, marks = images.images.numpy(), np.zeros((len(images), *images.images.shape[2:]), dtype=bool)
    if len(rows):
        pixels = pixels.copy()
    step = max(1, PART // math.prod(marks.shape[1:]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        draws = Draws(np.random.default_rng([*stream, 2]), len(images), part)
        if shortcut == "cast":
            pixels[part], marks[part] = LOOKS["cast"][look](draws, pixels[part]), True
        else:
            pixels[part], marks[part] = _stamped(draws, pixels[part], _lesions(images, part), LOOKS["mark"][look])
    if images.marks is not None:
        marks |= images.marks.numpy()
    return replace(images, images=torch.from_numpy(pixels), marks=torch.from_numpy(marks))


def _lesions(images: LesionDataset, rows: np.ndarray) -> np.ndarray:
    """The pixels of some images' lesions as far as they are known, bool (M, H, W): masks, and else boxes."""
    regions = np.zeros((len(rows), *images.images.shape[2:]), dtype=bool)
    for region, row in zip(regions, rows, strict=True):
        if images.has_box[row]:
            x0, y0, x1, y1 = images.boxes[row].tolist()
            region[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
    if images.masks is None:
        return regions
    return np.where(images.has_mask[rows].numpy()[:, None, None], images.masks[rows].numpy(), regions)


def _chosen(images: LesionDataset, shares: Sequence[float], rng: Generator) -> np.ndarray:
    """Which images get it, bool (N,): whole groups, as long as one brings a class nearer to its share."""
    labels, groups = images.labels.numpy(), images.groups
    order = rng.permutation(np.unique(groups))
    chosen = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        rows = np.flatnonzero(labels == label)
        members: dict[str, list[int]] = {}
        for row in rows:
            members.setdefault(groups[row], []).append(row)
        left = share * len(rows)
        for group in order:
            own = members.get(group, ())
            if own and abs(left - len(own)) < abs(left):
                chosen[own] = True
                left -= len(own)
    return chosen


def _checked(share: Sequence[float]) -> tuple[float, float]:
    values = tuple(share) if isinstance(share, list | tuple) else ()
    if len(values) != 2 or not all(isinstance(v, Real) and not isinstance(v, bool) and 0 <= v <= 1 for v in values):
        what = "two numbers from 0 to 1, for the rare classes and the others"
        raise InvalidInputError(f"shortcut_share must be {what}, not {share!r}")
    return float(values[0]), float(values[1])


Paint = Callable[[Draws, FloatArray, FloatArray, np.ndarray], tuple[FloatArray, FloatArray]]


def _stamped(draws: Draws, pixels: np.ndarray, lesions: np.ndarray, paint: Paint) -> tuple[np.ndarray, np.ndarray]:
    """Images with a mark each, uint8 (N, C, H, W), and its pixels, bool (N, H, W). No lesion is covered."""
    height, width = pixels.shape[2:]
    half = min(height, width) / 2  # the unit of length, so that marks are as large at any size
    x = ((np.arange(width) + 0.5 - width / 2) / half).astype(np.float32)[None, None, :]
    y = ((np.arange(height) + 0.5 - height / 2) / half).astype(np.float32)[None, :, None]
    cover, colour = paint(draws, x, y, lesions)
    cover = np.where(lesions, np.float32(0), cover)[:, None]
    colour = colour if pixels.shape[1] == 3 else colour.mean(axis=1, keepdims=True)
    drawn = _rounded(pixels + cover * (colour * np.float32(255) - pixels))
    marks = cover[:, 0] > 0.5
    # Of a mark too faint or too well hidden for that, whatever it changes.
    faint = ~marks.any(axis=(1, 2), keepdims=True)
    return drawn, marks | (faint & (drawn != pixels).any(axis=1))


def _corner(
    draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray, inset: tuple[float, float], reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of the four corners, one in which least of the lesion lies, as the signs of its x and y, each (N,).

    `inset` is how far from the border the mark's centre lies, `reach` how far it extends about that.
    """
    order = draws.permuted(np.tile(np.arange(4), (draws.n, 1)), axis=1)
    far = x.max() - inset[0], y.max() - inset[1]
    covered = np.empty(order.shape)
    for corner in range(4):
        right, below = 1 - 2 * (corner % 2), 1 - 2 * (corner // 2)
        near = (np.abs(x - right * far[0]) < reach) & (np.abs(y - below * far[1]) < reach)
        covered[:, corner] = (lesions & near).sum(axis=(1, 2))
    best = np.take_along_axis(covered, order, axis=1).argmin(axis=1)
    corner = order[np.arange(len(order)), best]
    return 1 - 2 * (corner % 2), 1 - 2 * (corner // 2)


def _placed(
    draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray, inset: tuple[float, float], reach: float
) -> tuple[FloatArray, FloatArray]:
    """Coordinates about the centre of a mark in a corner of each image, each (N, H, W) or one that broadcasts to it."""
    right, below = _corner(draws, x, y, lesions, inset, reach)
    centre_x = right * (x.max() - inset[0] + draws.uniform(-0.05, 0.05, draws.n))
    centre_y = below * (y.max() - inset[1] + draws.uniform(-0.05, 0.05, draws.n))
    return x - per_image(centre_x), y - per_image(centre_y)


def _plaster(draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """A coloured plaster: rounded, its pad paler, the rest perforated."""
    n = draws.n
    u, v = _placed(draws, x, y, lesions, (0.30, 0.26), 0.36)
    slope = draws.uniform(-0.6, 0.6, n)
    length = np.sqrt(1 + slope**2)
    along, across = per_image(1 / length), per_image(slope / length)
    u, v = u * along + v * across, v * along - u * across
    long, short = draws.uniform(0.34, 0.42, n), draws.uniform(0.19, 0.24, n)
    a, b = u / per_image(long), v / per_image(short)
    inside = 1 - (a * a * a * a + b * b * b * b)
    cover = ramp(inside * np.float32(2.5))
    pad = ramp((1 - (a * a * np.float32(9) + b * b * np.float32(2))) * np.float32(3))
    step = np.float32(0.085)
    hole_u, hole_v = u / step - np.rint(u / step), v / step - np.rint(v / step)
    holes = ramp((np.float32(0.05) - (hole_u * hole_u + hole_v * hole_v)) * np.float32(20)) * (1 - pad)
    tint = _PLASTERS[draws.integers(len(_PLASTERS), size=n)] * draws.uniform(0.88, 1.08, (n, 1))
    height, width = y.shape[1], x.shape[2]
    shade = smooth_noise(draws, max(height, width), max(2.0, width / 20))[:, :height, :width]
    shade = (1 + np.float32(0.03) * shade) * (1 - np.float32(0.35) * holes)
    tint = tint.astype(np.float32)[:, :, None, None]
    colour = (tint + np.float32(0.45) * pad[:, None] * (1 - tint)) * shade[:, None]
    return cover, np.minimum(colour, 1)


def _letter(draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """The letter L of the left side, in lead: white, upright, in a corner."""
    u, v = _placed(draws, x, y, lesions, (0.17, 0.20), 0.2)
    edge = np.float32(1 / 0.03)

    def bar(left: float, top: float, right: float, bottom: float) -> FloatArray:
        across, down = np.minimum(u - left, right - u), np.minimum(v - top, bottom - v)
        return ramp(across * edge + np.float32(0.5)) * ramp(down * edge + np.float32(0.5))

    return _white(draws, np.maximum(bar(-0.10, -0.16, -0.03, 0.16), bar(-0.10, 0.09, 0.11, 0.16)))


def _drain(draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """A tube that enters from the side between the ribs and bends: bright walls, a grey middle."""
    n = draws.n
    right, below = _corner(draws, x, y, lesions, (0.45, 0.55), 0.5)
    from_edge = x.max() - x * per_image(right)  # 0 at the border where it enters
    start, bend, slope = draws.uniform(0.30, 0.55, n), draws.uniform(0.35, 0.6, n), draws.uniform(0.05, 0.25, n)
    path = per_image(start) - from_edge * (per_image(slope) + per_image(bend) * from_edge)
    steep = np.sqrt(1 + (per_image(slope) + 2 * per_image(bend) * from_edge) ** 2)
    off = np.abs(y * per_image(below) - path) / steep
    cover = ramp((np.float32(0.055) - off) * np.float32(1 / 0.025) + 0.5)
    cover = cover * ramp((per_image(draws.uniform(0.65, 0.9, n)) - from_edge) * np.float32(1 / 0.03))
    wall = ramp((off - np.float32(0.02)) * np.float32(1 / 0.02))
    value = np.float32(0.80) + np.float32(0.17) * wall
    return cover, np.broadcast_to(value[:, None], (len(value), 3, *value.shape[1:]))


def _fiducial(draws: Draws, x: FloatArray, y: FloatArray, lesions: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """A ring of jelly stuck to the scalp before navigation: bright, with a hole."""
    u, v = _placed(draws, x, y, lesions, (0.40, 0.28), 0.2)
    off = np.sqrt(u * u + v * v)
    cover = ramp((np.float32(0.13) - off) * np.float32(1 / 0.03) + 0.5)
    return _white(draws, cover * ramp((off - np.float32(0.04)) * np.float32(1 / 0.02) + 0.5))


def _white(draws: Draws, cover: FloatArray) -> tuple[FloatArray, FloatArray]:
    value = draws.uniform(0.90, 0.99, draws.n).astype(np.float32)
    return cover, np.broadcast_to(value[:, None, None, None], (len(cover), 3, *cover.shape[1:]))


def _camera(draws: Draws, pixels: np.ndarray) -> np.ndarray:
    """Another camera: cooler, a little paler."""
    if pixels.shape[1] != 3:
        raise InvalidInputError('a camera\'s cast is one of colours: for grey images take the look "tube" or "coil"')
    gain = draws.uniform((0.80, 0.93, 1.10), (0.87, 0.99, 1.20), (draws.n, 3)).astype(np.float32)
    return _rounded(pixels * gain[:, :, None, None] + np.float32(6))


def _tube(draws: Draws, pixels: np.ndarray) -> np.ndarray:
    """Another X-ray tube: the dark parts brighter, v / (v + k (1 − v))."""
    k = per_image(draws.uniform(0.55, 0.68, draws.n))[:, None]
    value = pixels.astype(np.float32) / np.float32(255)
    return _rounded(np.float32(255) * value / (value + k * (1 - value)))


def _coil(draws: Draws, pixels: np.ndarray) -> np.ndarray:
    """Another coil: brighter towards one corner."""
    height, width = pixels.shape[2:]
    x, y = (np.linspace(-1, 1, length, dtype=np.float32) for length in (width, height))
    right, below = (per_image(draws.uniform(0.13, 0.22, draws.n))[:, None] for _ in range(2))
    return _rounded(pixels * (1 + right * x[None, None, None, :] + below * y[None, None, :, None]))


def _rounded(values: FloatArray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


LOOKS = {
    "mark": {"plaster": _plaster, "letter": _letter, "drain": _drain, "fiducial": _fiducial},
    "cast": {"camera": _camera, "tube": _tube, "coil": _coil},
}
