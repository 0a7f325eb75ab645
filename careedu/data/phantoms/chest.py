"""Chest phantoms: a frontal X-ray with an opacity in one of a few zones of the lungs."""

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.geometry import Blobs, Frame, Patch, pixel_centres
from careedu.data.phantoms.options import Drawn, Draws, PhantomOptions, Streams
from careedu.data.phantoms.placement import Zone, draw_in_zones
from careedu.data.phantoms.texture import FloatArray, bump, lattice, per_image, ramp, smooth_noise, wave

CLASSES = ("consolidation", "reticular", "ground glass")

# As radiographs are read: the patient's right lung is on the left of the image.
ZONES = (Zone(-0.46, 0.14, 0.37, 0.40), Zone(-0.43, -0.34, 0.36, 0.37), Zone(0.57, 0.08, 0.36, 0.42))
# Where look-alikes lie: over the left apex, behind the heart, below the diaphragm.
_ELSEWHERE = (
    Zone(0.40, -0.50, 0.10, 0.08),
    Zone(0.05, 0.28, 0.16, 0.2),
    Zone(-0.45, 0.86, 0.30, 0.08),
    Zone(0.45, 0.90, 0.30, 0.06),
)

# Clumps around a dense core, a net, a shapeless haze: what each class is made of, and the frequency of its lattice.
_POLARITY = np.array([0.6, -1.0, 0.0])
_FREQUENCY = np.array([0.75, 1.05, 1.0])
_CORE = np.array([2.6, 0.0, -0.55])
_HAZE = np.array([0.0, 0.0, 0.1])

_RADIUS = (0.27, 0.33)
_LOOK_ALIKE_RADIUS = (0.12, 0.20)
_LOOK_ALIKES = 3
_PERIOD = 0.170
# Strength of the texture that tells the classes apart, and of the one in the look-alikes.
_TEXTURE, _LOOK_ALIKE_TEXTURE = 0.155, 0.040


def render(labels: NDArray[np.int64], streams: Streams, options: PhantomOptions) -> Drawn:
    """Draw chest phantoms.

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
        uint8 (n, 1, size, size).
    masks : array
        bool (n, size, size).
    """
    n, size = len(labels), options.size
    rng = streams.anatomy
    frame = Frame.draw(rng, options.jitter)
    density = _anatomy(rng, frame, size)

    radius = rng.uniform(*_RADIUS, n) * options.lesion_size
    x, y = draw_in_zones(rng, frame, ZONES, 1.1 * radius)
    blobs = Blobs(x, y, radius * frame.scale, Blobs.draw_harmonics(rng))

    _add_look_alikes(streams.distractor, density, frame, options)
    _add_wires(streams.distractor, density, options)
    lesion = blobs.patch(size, _RADIUS[1] * options.lesion_size * (1 + options.jitter), edge=0.14)
    opacity = _opacity(streams.lesion, lesion, labels, size, _TEXTURE)
    if options.lesions:
        lesion.shade(density, np.float32(options.contrast) * opacity * lesion.cover)
    exposure, gain = rng.uniform(-0.02, 0.02, n), rng.uniform(0.94, 1.06, n)
    density += 0.011 * streams.grain.standard_normal((n, size, size), dtype=np.float32)
    value = (density + per_image(exposure)) * per_image(gain * 255.0)
    return np.rint(np.clip(value, 0.0, 255.0)).astype(np.uint8)[:, None], lesion.mask(n, size)


def _anatomy(rng: Draws, frame: Frame, size: int) -> FloatArray:
    """Brightness of a healthy chest: the more tissue the rays meet, the brighter."""
    n = len(frame.angle)
    u, v = frame.grid(size)
    s = np.abs(u)  # both sides of the body at once
    soft = np.float32(max(0.035, 2.0 / size))

    shoulder = -0.97 + 0.50 * ramp((s - 0.16) / 0.75)
    body = ramp((v - shoulder) / (2 * soft)) * ramp((0.965 + 0.05 * v - s) / (2 * soft))
    # Lungs: narrow at the apex, wide at the base, cut off below by the diaphragm's dome.
    p = (v + 0.06) * np.float32(1 / 0.80)
    q = ((s - 0.44 - 0.05 * p) / (0.365 + 0.075 * p)) ** 2 + p * p * (0.35 + 0.65 * p * p)
    dome = 0.50 + per_image(rng.uniform(-0.03, 0.03, n)) + 0.05 * u + 1.1 * (s - 0.40) ** 2
    lung = ramp((1.0 - q) / (5 * soft)) * ramp((dome - v) / soft)

    # Ribs: the back ones arch down and outwards, the front ones come down towards the sternum.
    back = (v - 0.75 * (s - 0.22) * np.abs(s - 0.22)) * np.float32(1 / 0.205) + per_image(rng.uniform(-0.06, 0.06, n))
    front = (v + 0.62 * s - 0.25 * s * s) * np.float32(1 / 0.27) + 0.3
    back_rib, front_rib = ramp(wave(back) * 0.9 + 0.45), ramp(wave(front) * 1.1 - 0.1)
    cage = ramp((1.18 - q) / 0.15) * ramp((0.78 - v) / 0.3)
    bones = cage * (0.085 * back_rib + 0.04 * front_rib + 0.14 * back_rib * (1.0 - back_rib))

    vessels = smooth_noise(rng, size, size / 15)
    vessels = np.maximum(0.35 - np.abs(vessels), 0.0) * bump(((s - 0.22) ** 2 + (v - 0.02) ** 2) / 0.36)
    hilum = bump(((s - 0.20) / 0.15) ** 2 + ((v + 0.02 * u - 0.02) / 0.24) ** 2)

    tissue = 0.47 + 0.05 * smooth_noise(rng, size, size / 3) * body
    density = tissue + (0.135 - tissue) * lung
    density += lung * (0.05 * p + 0.55 * vessels + 0.16 * hilum)
    density += bones

    # Mediastinum and heart lie over the medial lung; the heart leans to the patient's left.
    wide = per_image(rng.uniform(0.92, 1.08, n))
    heart = ((u - 0.13 - 0.10 * v) / (0.37 * wide)) ** 2 + ((v - 0.34 + 0.16 * u) / 0.31) ** 2
    knob = ((u - 0.13) / 0.13) ** 2 + ((v + 0.27) / 0.15) ** 2
    middle = ramp((0.155 + 0.05 * np.abs(v + 0.1) - s) / 0.10)
    shadow = np.maximum(np.maximum(ramp((1.0 - heart) / 0.35), ramp((1.0 - knob) / 0.9)), middle)
    density += (0.60 - density) * (0.92 * shadow)

    spine = ramp((0.095 - s) / 0.05)
    density += spine * (0.07 + 0.035 * wave(v * np.float32(1 / 0.17)))
    density -= 0.16 * ramp((0.062 - np.abs(u + 0.01)) / 0.05) * ramp((-0.28 - v) / 0.1)  # the trachea is full of air
    below = ramp((v - dome) / (1.5 * soft)) * ramp((0.80 - s) / 0.2)
    density += below * (0.74 - density) * 0.85
    bubble = bump(((u - 0.42) / 0.2) ** 2 + ((v - 0.72) / 0.12) ** 2)
    density -= 0.22 * bubble * per_image(rng.uniform(0.2, 1.0, n))

    # Clavicles and the edge of the shoulder blades.
    along = s - 0.1
    clavicle = np.abs(v + 0.60 + 0.42 * along - 0.30 * along * along)
    thick = 0.030 + 0.018 * (2.0 * along - 0.7) ** 2
    bar = ramp((thick - clavicle) / soft + 0.4)
    density += bar * (0.13 + 0.12 * (1 - bar)) * ramp((0.82 - s) / 0.1) * ramp((s - 0.07) / 0.06)
    blade = np.abs(s - 0.80 - 0.12 * v)
    density += 0.07 * ramp((0.05 - blade) / 0.05) * ramp((0.1 - v) / 0.3) * ramp((v + 0.7) / 0.2)
    return density * body + 0.03


def _opacity(rng: Draws, patch: Patch, labels: NDArray[np.int64], size: int, texture: float) -> FloatArray:
    """Brightness an opacity adds: a mean that all classes share, and the texture of its class around it."""
    n, side = rng.n, patch.side
    angle, offset = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 1, (n, 2))
    level = per_image(rng.uniform(0.24, 0.32, n))
    scale = per_image(_FREQUENCY[labels] / (_PERIOD * rng.uniform(0.9, 1.15, n)))
    cell = 0.20 * size / 2
    x = patch.x * scale + 0.30 * smooth_noise(rng, side, cell)
    y = patch.y * scale + 0.30 * smooth_noise(rng, side, cell)
    uneven = smooth_noise(rng, side, cell)
    haze = smooth_noise(rng, side, 0.40 * _PERIOD * size / 2)
    # Consolidation is confluent and fluffy, fibrosis a bright net, ground glass a haze without shape.
    pattern = lattice(x, y, angle, offset, _POLARITY[labels], np.zeros(len(labels)))
    pattern *= 1.0 + 0.25 * uneven
    pattern += per_image(_HAZE[labels]) * haze + per_image(_CORE[labels]) * bump(patch.radial**2)
    pattern -= patch.mean(pattern)
    body = 1.08 - 0.2 * np.minimum(patch.radial, 1.0) ** 2 + 0.07 * uneven
    return level * body + np.float32(texture) * pattern


def _add_look_alikes(rng: Draws, density: FloatArray, frame: Frame, options: PhantomOptions) -> None:
    """Add shadows outside the lesion zones; their texture is drawn without regard to the class."""
    n = len(density)
    for _ in range(_LOOK_ALIKES):
        radius = rng.uniform(*_LOOK_ALIKE_RADIUS, n)
        x, y = draw_in_zones(rng, frame, _ELSEWHERE, np.zeros(n))
        kinds = rng.integers(len(CLASSES), size=n)
        strength = rng.uniform(0.5, 0.8, n)
        chosen = np.flatnonzero(rng.uniform(0, 1, n) < options.share(0.45))
        blobs = Blobs(x, y, radius, Blobs.draw_harmonics(rng))
        patch = blobs.patch(options.size, _LOOK_ALIKE_RADIUS[1], edge=0.14, chosen=chosen)
        opacity = _opacity(rng.of(chosen), patch, kinds[chosen], options.size, _LOOK_ALIKE_TEXTURE)
        patch.shade(density, opacity * patch.cover * per_image(strength[chosen]))


def _add_wires(rng: Draws, density: FloatArray, options: PhantomOptions) -> None:
    """Lay the leads of a monitor over the chest, each ending in a round electrode."""
    n = len(density)
    axis = pixel_centres(options.size)
    along, across = axis[None, :, None], axis[None, None, :]
    monitored = rng.uniform(0, 1, n) < options.share(0.35)
    for side in (-1.0, 1.0):
        chosen = np.flatnonzero(monitored & (rng.uniform(0, 1, n) < 0.75))
        x, y = side * rng.uniform(0.45, 0.75, n), rng.uniform(-0.62, -0.40, n)
        lean, bend = rng.uniform(-0.25, 0.25, n), rng.uniform(-0.2, 0.2, n)
        x, y, lean, bend = (per_image(v[chosen]) for v in (x, y, lean, bend))
        down = along - y
        away = np.abs(across - x - down * (lean + bend * down))
        wire = np.clip((0.012 - away) * np.float32(1 / options.pixel) + 0.5, 0.0, 1.0) * (down > 0)
        disc = (across - x) ** 2 + down**2
        density[chosen] += 0.30 * np.maximum(0.45 * wire, ramp((0.0030 - disc) * np.float32(1 / 0.0018)))
