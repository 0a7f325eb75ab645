"""Skin phantoms: a pigmented lesion under the dermoscope, among hairs, ink and harmless patches."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from careedu.data.phantoms.geometry import Blobs, Patch, far_from, per_image, pixel_centres
from careedu.data.phantoms.options import PhantomOptions, Streams
from careedu.data.phantoms.texture import FloatArray, bump, lattice, ramp, smooth_noise, wave

CLASSES = ("reticular", "globular", "streaked")

_POLARITY = np.array([-1.0, 1.0, 0.0])
_STRIPES = np.array([0.0, 0.0, 1.0])

_RADIUS = (0.34, 0.50)
_PATCH_RADIUS = (0.13, 0.26)
_PATCHES, _HAIRS, _STROKES = 4, 6, 2

# Wavelength of the lattice and strength of the texture that tells the classes apart, tuned so that 300 training images
# a class suffice and 30 do not.
_PERIOD = 0.165
_TEXTURE = 0.20

# Skin from fair to brown; how strongly melanin, blood and ink take away red, green and blue.
_FAIR, _BROWN = np.array([0.955, 0.775, 0.690]), np.array([0.740, 0.530, 0.410])
_MELANIN, _BLOOD, _INK = (0.62, 1.50, 2.30), (0.10, 0.60, 0.42), (2.6, 2.0, 0.62)


def render(
    labels: NDArray[np.int64], streams: Streams, options: PhantomOptions
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw skin phantoms.

    Parameters
    ----------
    labels : array
        (n,) classes.
    streams : Streams
        Where the random numbers come from.
    options : PhantomOptions
        The knobs.

    Returns
    -------
    images : array
        uint8 (n, 3, size, size).
    masks : array
        bool (n, size, size).
    """
    n, size = len(labels), options.size
    rng = streams.anatomy
    tone = _FAIR + (_BROWN - _FAIR) * rng.uniform(0.0, 1.0, (n, 1)) ** 2.2 + rng.uniform(-0.015, 0.015, (n, 3))
    blood = 0.28 + 0.16 * smooth_noise(rng, n, size, size / 3.5)
    melanin = 0.05 + 0.022 * smooth_noise(rng, n, size, size / 5) + 0.030 * smooth_noise(rng, n, size, size / 22)
    light = _illumination(rng, n, size)

    radius = rng.uniform(*_RADIUS, n) * options.lesion_size
    reach = np.maximum(1.0 - 1.12 * radius, 0.0)
    x, y = (reach * rng.uniform(-1.0, 1.0, n) for _ in range(2))
    blobs = Blobs(x, y, radius, Blobs.draw_harmonics(rng, n))

    _add_look_alikes(streams.distractor, melanin, blobs, options)
    lesion = blobs.patch(size, _RADIUS[1] * options.lesion_size, edge=0.10)
    pigment = _pigment(streams.lesion, lesion, labels, options.contrast, size)
    if options.lesions:
        lesion.blend(melanin, pigment, lesion.cover)
    masks = np.zeros((n, size, size), dtype=bool)
    masks[lesion.image, lesion.rows, lesion.columns] = lesion.cover > 0

    hair, ink = _hairs(streams.distractor, n, options), _ink(streams.distractor, n, options)
    light *= 1.0 + 0.018 * streams.grain.standard_normal((n, size, size), dtype=np.float32)
    images = np.empty((n, 3, size, size), dtype=np.uint8)
    for channel in range(3):
        # Light that passes an absorber: 1 / (1 + strength x amount), a rational stand-in for Beer and Lambert's law.
        value = 1.0 + np.float32(_MELANIN[channel]) * melanin
        value *= 1.0 + np.float32(_BLOOD[channel]) * np.maximum(blood, 0.0)
        value *= 1.0 + np.float32(_INK[channel]) * ink
        np.divide(light, value, out=value)
        value *= per_image(tone[:, channel] * 290.0)
        shade = np.float32((30.0, 24.0, 20.0)[channel])
        value += hair * (shade - value)
        images[:, channel] = np.rint(np.clip(value, 0.0, 255.0))
    return images, masks


def _illumination(rng: Generator, n: int, size: int) -> FloatArray:
    """Light falling off towards the corners, where the dermoscope's tube shows in some images."""
    axis = pixel_centres(size)
    centre = rng.uniform(-0.08, 0.08, (n, 2))
    squared = (axis[None, None, :] - per_image(centre[:, 0])) ** 2 + (axis[None, :, None] - per_image(centre[:, 1])) ** 2
    light = 1.0 - per_image(rng.uniform(0.05, 0.15, n)) * squared
    tube = np.where(rng.uniform(0, 1, n) < 0.4, rng.uniform(1.22, 1.34, n), 1.7)
    return light * (0.06 + 0.94 * ramp((per_image(tube) - np.sqrt(squared)) * np.float32(1 / 0.05)))


def _pigment(
    rng: Generator, patch: Patch, labels: NDArray[np.int64], contrast: float, size: int, strength: float = 1.0
) -> FloatArray:
    """Melanin of a lesion: tone, blotches and the texture of its class, whose mean is taken out."""
    n, side = len(labels), patch.side
    angle, offset = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 1, (n, 2))
    tone = rng.uniform(0.85, 1.45, n)
    scale = 1.0 / (_PERIOD * rng.uniform(0.9, 1.12, n))
    warp_cell = 0.34 * size / 2
    x = patch.x * per_image(scale) + 0.30 * smooth_noise(rng, n, side, warp_cell)
    y = patch.y * per_image(scale) + 0.30 * smooth_noise(rng, n, side, warp_cell)
    blotches = smooth_noise(rng, n, side, 0.30 * size / 2)
    pattern = lattice(x, y, angle, offset, _POLARITY[labels], _STRIPES[labels])
    pattern *= 1.0 + 0.25 * blotches
    pattern -= patch.mean(pattern)
    # Darker in the middle, paler at the rim, as real lesions are.
    depth = 1.10 - 0.32 * np.minimum(patch.radial, 1.0) ** 2 + 0.13 * blotches
    return np.float32(contrast * strength) * per_image(tone) * np.maximum(depth + np.float32(_TEXTURE) * pattern, 0.03)


def _add_look_alikes(rng: Generator, melanin: FloatArray, lesion: Blobs, options: PhantomOptions) -> None:
    """Paint smaller, paler patches away from the lesion; their texture is drawn without regard to its class."""
    n = len(melanin)
    x, y = far_from(rng, lesion.x, lesion.y, lesion.radius + 0.30, _PATCHES)
    radius = rng.uniform(*_PATCH_RADIUS, (n, _PATCHES))
    kinds = rng.integers(len(CLASSES), size=(n, _PATCHES))
    present = rng.uniform(0, 1, (n, _PATCHES)) < options.share(0.5)
    strength = rng.uniform(0.40, 0.70, (n, _PATCHES))
    for slot in range(_PATCHES):
        blobs = Blobs(x[:, slot], y[:, slot], radius[:, slot], Blobs.draw_harmonics(rng, n))
        patch = blobs.patch(options.size, _PATCH_RADIUS[1], edge=0.10)
        pigment = _pigment(rng, patch, kinds[:, slot], 1.0, options.size)
        cover = patch.cover * per_image(present[:, slot])
        patch.blend(melanin, pigment * per_image(strength[:, slot]), cover)


def _hairs(rng: Generator, n: int, options: PhantomOptions) -> FloatArray:
    """Thin dark curves; in each image they lie roughly one way, as combed."""
    axis = pixel_centres(options.size)
    along, across = axis[None, None, :], axis[None, :, None]
    hairy = rng.uniform(0, 1, n) < options.share(0.55)
    trend, upright = rng.uniform(-0.7, 0.7, n), rng.uniform(0, 1, n) < 0.5
    coverage = np.zeros((n, options.size, options.size), dtype=np.float32)
    for _ in range(_HAIRS):
        present = hairy & (rng.uniform(0, 1, n) < 0.6)
        slope, bend = trend + rng.uniform(-0.35, 0.35, n), rng.uniform(-0.45, 0.45, n)
        middle, height = rng.uniform(-0.8, 0.8, n), rng.uniform(-1.0, 1.0, n)
        length, thickness = rng.uniform(0.5, 1.4, n), rng.uniform(0.011, 0.021, n)
        opacity = rng.uniform(0.55, 0.9, n) * present
        from_middle = along - per_image(middle)
        path = per_image(height) + from_middle * (per_image(slope) + per_image(bend) * from_middle)
        # The thickness is measured across the hair, the distance along one axis only: hence the slope.
        steep = np.sqrt(1.0 + (per_image(slope) + 2.0 * per_image(bend) * from_middle) ** 2)
        half_width = per_image(thickness) * bump((from_middle / per_image(length)) ** 2)
        pixels_away = np.abs(across - path) / steep
        hair = np.clip((half_width - pixels_away) * np.float32(1 / options.pixel) + 0.5, 0.0, 1.0)
        hair *= np.minimum(2.0 * half_width * np.float32(1 / options.pixel), 1.0)
        hair *= per_image(opacity)
        np.maximum(coverage, hair, out=coverage)
    coverage[upright] = coverage[upright].transpose(0, 2, 1)
    return coverage


def _ink(rng: Generator, n: int, options: PhantomOptions) -> FloatArray:
    """A surgeon's marker: a stroke near the border, or the ticks of a ruler along it."""
    size = options.size
    axis = pixel_centres(size)
    along, across = axis[None, None, :], axis[None, :, None]
    which = rng.uniform(0, 1, n)
    stroke, ruler = which < options.share(0.22), which > 1.0 - options.share(0.14)
    start, bend, height = rng.uniform(-0.7, 0.1, n), rng.uniform(-0.3, 0.3, n), rng.uniform(0.80, 0.95, n)
    spacing, quarter = rng.uniform(0.16, 0.2, n), rng.integers(0, 4, n)
    patchy = smooth_noise(rng, n, size, size / 16)

    path = per_image(height) + per_image(bend) * (along - per_image(start)) ** 2
    marker = ramp((0.065 + 0.012 * patchy - np.abs(across - path)) * np.float32(1 / 0.04))
    marker *= ramp((0.42 - np.abs(along - per_image(start) - 0.3)) * np.float32(1 / 0.06))
    marker *= (0.75 + 0.22 * patchy) * per_image(stroke)

    position = along / per_image(spacing)
    long_tick = np.float32(0.5) * (np.rint(position / 5.0) * 5.0 == np.rint(position))
    tick = ramp((wave(position) - np.float32(0.55)) * np.float32(2.5))
    tick = tick * ramp((0.10 + 0.14 * long_tick - (1.0 - across)) * np.float32(1 / options.pixel))
    ink = np.maximum(marker, 1.3 * tick * per_image(ruler & ~stroke))
    for turns in (1, 2, 3):
        chosen = quarter == turns
        ink[chosen] = np.rot90(ink[chosen], turns, axes=(1, 2))
    return np.maximum(ink, 0.0, out=ink)
