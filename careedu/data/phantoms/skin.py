"""Skin phantoms: a pigmented lesion under the dermoscope, among hairs, ink and harmless patches."""

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.geometry import Blobs, Patch, pixel_centres
from careedu.data.phantoms.options import Drawn, Draws, PhantomOptions, Streams
from careedu.data.phantoms.placement import far_from
from careedu.data.phantoms.texture import FloatArray, bump, lattice, per_image, ramp, smooth_noise, wave

CLASSES = ("reticular", "globular", "streaked")
ZONES = ()  # lesions lie anywhere

_POLARITY = np.array([-1.0, 1.0, 0.0])
_STRIPES = np.array([0.0, 0.0, 1.0])
_FREQUENCY = np.array([1.05, 0.95, 0.78])
_AMPLITUDE = np.array([0.90, 0.90, 1.33])

_RADIUS = (0.40, 0.55)
_PATCH_RADIUS = (0.13, 0.25)
_PATCHES, _HAIRS = 4, 6

# Wavelength of the lattice and strength of the texture that tells the classes apart, tuned so that 300 training images
# a class suffice and 30 do not.
_PERIOD = 0.185
_TEXTURE = 0.34

# Skin from fair to brown; how strongly melanin, blood and ink take away red, green and blue.
_FAIR, _BROWN = np.array([0.960, 0.800, 0.715]), np.array([0.730, 0.540, 0.430])
_MELANIN = np.array([0.72, 1.52, 2.25])
_BLOOD, _INK = (0.08, 0.60, 0.46), (2.6, 2.0, 0.62)


def render(labels: NDArray[np.int64], streams: Streams, options: PhantomOptions) -> Drawn:
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
    patches, kinds : array
        With ``look_alike``: bool (n, size, size), and int64 (n,), −1 where there is no patch.
    """
    n, size = len(labels), options.size
    rng = streams.anatomy
    tone = _FAIR + (_BROWN - _FAIR) * rng.uniform(0.0, 1.0, (n, 1)) ** 2.0 + rng.uniform(-0.015, 0.015, (n, 3))
    absorption = _MELANIN * rng.uniform((0.80, 0.92, 0.80), (1.60, 1.15, 1.15), (n, 3))
    blood = np.maximum(0.17 + 0.12 * smooth_noise(rng, size, size / 3.5), 0.0)
    melanin = 0.05 + 0.022 * smooth_noise(rng, size, size / 5) + 0.026 * smooth_noise(rng, size, size / 26)
    light = _illumination(rng, size)

    radius = rng.uniform(*_RADIUS, n) * options.lesion_size
    reach = np.maximum(1.0 - 1.12 * radius, 0.0)
    x, y = (reach * rng.uniform(-1.0, 1.0, n) for _ in range(2))
    blobs = Blobs(x, y, radius, Blobs.draw_harmonics(rng))

    # What draws a number of values that depends on the size comes last, so that hairs and ink are the same at any size.
    hair, ink = _hairs(streams.distractor, options), _ink(streams.distractor, options)
    lesion = blobs.patch(size, _RADIUS[1] * options.lesion_size, edge=0.10)
    mask = lesion.mask(n, size)
    look_alikes = _add_look_alikes(streams.distractor, melanin, blobs, ~mask, labels, options)
    pigment = _pigment(streams.lesion, lesion, labels, options)
    if options.lesions:
        lesion.blend(melanin, np.float32(options.contrast) * pigment, lesion.cover)

    light *= 1.0 + 0.018 * streams.grain.standard_normal((n, size, size), dtype=np.float32)
    images = np.empty((n, 3, size, size), dtype=np.uint8)
    for channel in range(3):
        # Light that passes an absorber: 1 / (1 + strength x amount), a rational stand-in for Beer and Lambert's law.
        value = per_image(absorption[:, channel]) * melanin
        value += 1.0
        value *= 1.0 + np.float32(_BLOOD[channel]) * blood
        value *= 1.0 + np.float32(_INK[channel]) * ink
        np.divide(light, value, out=value)
        value *= per_image(tone[:, channel] * 280.0)
        value += hair * (np.float32((30.0, 24.0, 20.0)[channel]) - value)
        np.rint(value, out=value)
        images[:, channel] = np.clip(value, 0.0, 255.0, out=value)
    return images, mask, *look_alikes


def _illumination(rng: Draws, size: int) -> FloatArray:
    """Light falling off towards the corners, where the dermoscope's tube shows in some images."""
    n, axis = rng.n, pixel_centres(size)
    centre = rng.uniform(-0.08, 0.08, (n, 2))
    x, y = axis[None, None, :] - per_image(centre[:, 0]), axis[None, :, None] - per_image(centre[:, 1])
    squared = x**2 + y**2
    light = 1.0 - per_image(rng.uniform(0.05, 0.15, n)) * squared
    tube = np.where(rng.uniform(0, 1, n) < 0.4, rng.uniform(1.22, 1.34, n), 1.7)
    return light * (0.06 + 0.94 * ramp((per_image(tube) - np.sqrt(squared)) * np.float32(1 / 0.05)))


def _pigment(rng: Draws, patch: Patch, labels: NDArray[np.int64], options: PhantomOptions) -> FloatArray:
    """Melanin of a lesion: tone, blotches and the texture of its class, whose mean is taken out."""
    n, side, half = rng.n, patch.side, options.size / 2
    angle, offset = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 1, (n, 2))
    tone = per_image(rng.uniform(0.80, 1.50, n))
    scale = per_image(_FREQUENCY[labels] / (_PERIOD * rng.uniform(0.9, 1.15, n)))
    x = patch.x * scale + 0.26 * smooth_noise(rng, side, 0.28 * half)
    y = patch.y * scale + 0.26 * smooth_noise(rng, side, 0.28 * half)
    blotches = smooth_noise(rng, side, 0.24 * half)
    dust = smooth_noise(rng, side, 0.06 * half)
    pattern = lattice(x, y, angle, offset, _POLARITY[labels], _STRIPES[labels])
    pattern *= per_image(_AMPLITUDE[labels]) * (1.0 + 0.25 * blotches)
    pattern -= patch.mean(pattern)
    # Darker in the middle, paler at the rim, as real lesions are.
    depth = 1.12 - 0.42 * np.minimum(patch.radial, 1.1) ** 2 + 0.15 * blotches + 0.06 * dust
    return tone * np.maximum(depth + np.float32(options.contrast * _TEXTURE) * pattern, 0.03)


def _add_look_alikes(
    rng: Draws, melanin: FloatArray, lesion: Blobs, beside: NDArray, labels: NDArray[np.int64], options: PhantomOptions
) -> tuple[NDArray, ...]:
    """Paint smaller, paler patches away from the lesion; their texture is drawn without regard to its class.

    With ``look_alike`` all patches of an image are of one other class, darker, larger and with more of its texture.
    """
    n = len(melanin)
    x, y = far_from(rng, lesion.x, lesion.y, lesion.radius + 0.30, _PATCHES)
    radius = rng.uniform(*_PATCH_RADIUS, (n, _PATCHES))
    kinds = rng.integers(len(CLASSES), size=(n, _PATCHES))
    present = rng.uniform(0, 1, (n, _PATCHES)) < options.share(0.40)
    strength = rng.uniform(0.40, 0.70, (n, _PATCHES))
    like, largest = options.look_alike, _PATCH_RADIUS[1]
    if like:
        steps = np.where(rng.uniform(0, 1, n) < options.look_alike_correlation, 1, rng.integers(1, len(CLASSES), n))
        kinds[:] = ((labels + steps) % len(CLASSES))[:, None]
        strength += like * (1.0 - strength)
        radius, largest = radius * (1.0 + 0.6 * like), largest * (1.0 + 0.6 * like)
    # The lesion's own knobs are not for its look-alikes.
    usual = PhantomOptions(size=options.size, contrast=0.3 + 0.7 * like)
    patches = np.zeros((n, options.size, options.size), dtype=bool)
    for slot in range(_PATCHES):
        blobs = Blobs(x[:, slot], y[:, slot], radius[:, slot], Blobs.draw_harmonics(rng))
        chosen = np.flatnonzero(present[:, slot])
        patch = blobs.patch(options.size, largest, edge=0.10, chosen=chosen)
        pigment = _pigment(rng.of(chosen), patch, kinds[chosen, slot], usual)
        patch.blend(melanin, pigment * per_image(strength[chosen, slot]), patch.cover)
        patches |= patch.mask(n, options.size)
    patches &= beside
    return (patches, np.where(patches.any(axis=(1, 2)), kinds[:, 0], -1)) if like else ()


def _hairs(rng: Draws, options: PhantomOptions) -> FloatArray:
    """Thin dark curves; in each image they lie roughly one way, as combed."""
    n, axis = rng.n, pixel_centres(options.size)
    along, across = axis[None, None, :], axis[None, :, None]
    per_pixel = np.float32(1 / options.pixel)
    hairy = rng.uniform(0, 1, n) < options.share(0.55)
    trend, upright = rng.uniform(-0.7, 0.7, n), rng.uniform(0, 1, n) < 0.5
    coverage = np.zeros((n, options.size, options.size), dtype=np.float32)
    for _ in range(_HAIRS):
        slope, bend = trend + rng.uniform(-0.35, 0.35, n), rng.uniform(-0.45, 0.45, n)
        middle, height = rng.uniform(-0.8, 0.8, n), rng.uniform(-1.0, 1.0, n)
        length, thickness, opacity = rng.uniform(0.5, 1.4, n), rng.uniform(0.011, 0.021, n), rng.uniform(0.55, 0.9, n)
        chosen = np.flatnonzero(hairy & (rng.uniform(0, 1, n) < 0.6))
        slope, bend, middle, height, length, thickness, opacity = (
            per_image(v[chosen]) for v in (slope, bend, middle, height, length, thickness, opacity)
        )
        from_middle = along - middle
        path = height + from_middle * (slope + bend * from_middle)
        # The thickness is measured across the hair, the distance along one axis only: hence the slope.
        steep = np.sqrt(1.0 + (slope + 2.0 * bend * from_middle) ** 2)
        half_width = thickness * bump((from_middle / length) ** 2)
        # Thinner than a pixel, a hair grows fainter instead.
        faint = opacity * np.minimum(2.0 * half_width * per_pixel, 1.0)
        hair = np.abs(across - path)
        hair *= -per_pixel / steep
        hair += half_width * per_pixel + np.float32(0.5)
        np.clip(hair, 0.0, 1.0, out=hair)
        hair *= faint
        coverage[chosen] = np.maximum(coverage[chosen], hair)
    coverage[upright] = coverage[upright].transpose(0, 2, 1)
    return coverage


def _ink(rng: Draws, options: PhantomOptions) -> FloatArray:
    """A surgeon's marker: a stroke near the border, or the ticks of a ruler along it."""
    n, size = rng.n, options.size
    axis = pixel_centres(size)
    along, across = axis[None, None, :], axis[None, :, None]
    which = rng.uniform(0, 1, n)
    stroke = which < options.share(0.22)
    ruler = (which > 1.0 - options.share(0.14)) & ~stroke
    start, bend, height = rng.uniform(-0.7, 0.1, n), rng.uniform(-0.3, 0.3, n), rng.uniform(0.80, 0.95, n)
    spacing, quarter = rng.uniform(0.16, 0.2, n), rng.integers(0, 4, n)

    ink = np.zeros((n, size, size), dtype=np.float32)
    chosen = np.flatnonzero(stroke)
    patchy = smooth_noise(rng.of(chosen), size, size / 16)
    begin = along - per_image(start[chosen])
    path = per_image(height[chosen]) + per_image(bend[chosen]) * begin**2
    marker = ramp((0.065 + 0.012 * patchy - np.abs(across - path)) * np.float32(1 / 0.04))
    marker *= ramp((0.42 - np.abs(begin - 0.3)) * np.float32(1 / 0.06))
    ink[chosen] = np.maximum(marker * (0.75 + 0.22 * patchy), 0.0)

    chosen = np.flatnonzero(ruler)
    position = along / per_image(spacing[chosen])
    every_fifth = np.rint(position / 5.0) * 5.0 == np.rint(position)
    tick = ramp((wave(position) - np.float32(0.55)) * np.float32(2.5))
    length = np.float32(0.10) + np.float32(0.07) * every_fifth
    ink[chosen] = 1.3 * tick * ramp((length - (1.0 - across)) * np.float32(1 / options.pixel))
    for turns in (1, 2, 3):
        turned = np.flatnonzero((quarter == turns) & (stroke | ruler))
        ink[turned] = np.rot90(ink[turned], turns, axes=(1, 2))
    return ink
