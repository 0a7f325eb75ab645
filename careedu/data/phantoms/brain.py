"""Brain phantoms: an axial T1 slice after contrast with a tumour whose texture and rim tell its grade."""

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.geometry import Blobs, Frame, Patch
from careedu.data.phantoms.options import Drawn, Draws, PhantomOptions, Streams
from careedu.data.phantoms.placement import Zone, draw_in_zones
from careedu.data.phantoms.texture import FloatArray, bump, per_image, ramp, smooth_noise

# Glioblastoma (grade IV) is by far the most common glioma of adults, grade III the rarest of the three.
CLASSES = ("grade IV", "grade II", "grade III")

ZONES = (Zone(-0.38, -0.04, 0.30, 0.56), Zone(0.38, -0.04, 0.30, 0.56))
# Where look-alikes lie: along the midline, in the choroid plexus, at the poles of the frontal and occipital lobes.
_ELSEWHERE = (
    Zone(0.0, -0.52, 0.03, 0.16),
    Zone(0.0, 0.52, 0.03, 0.18),
    Zone(0.0, 0.05, 0.02, 0.20),
    Zone(-0.20, -0.66, 0.05, 0.02),
    Zone(0.20, -0.66, 0.05, 0.02),
    Zone(0.24, 0.68, 0.05, 0.02),
    Zone(-0.24, 0.68, 0.05, 0.02),
)

_RADIUS = (0.19, 0.27)
_LOOK_ALIKE_RADIUS = (0.09, 0.13)
_LOOK_ALIKES, _VESSELS = 3, 6
_TEXTURE = 0.13

_HEAD_WIDTH, _HEAD_HEIGHT = 0.80, 0.95


def render(labels: NDArray[np.int64], streams: Streams, options: PhantomOptions) -> Drawn:
    """Draw brain phantoms.

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
    signal = _anatomy(rng, frame, size)

    radius = rng.uniform(*_RADIUS, n) * options.lesion_size
    x, y = draw_in_zones(rng, frame, ZONES, 1.1 * radius)
    blobs = Blobs(x, y, radius * frame.scale, Blobs.draw_harmonics(rng, 0.8))

    _add_bright_spots(streams.distractor, signal, frame, options)
    lesion = blobs.patch(size, _RADIUS[1] * options.lesion_size * (1 + options.jitter), edge=0.05)
    tumour = _tumour(streams.lesion, lesion, labels, size, options.contrast)
    if options.lesions:
        # At low contrast the tumour lets the healthy tissue through.
        lesion.blend(signal, tumour, lesion.cover * np.float32(min(options.contrast, 1.0)))
    gain = rng.uniform(0.94, 1.06, n)
    signal += 0.016 * streams.grain.standard_normal((n, size, size), dtype=np.float32)
    value = np.abs(signal) * per_image(gain * 255.0)
    return np.rint(np.clip(value, 0.0, 255.0)).astype(np.uint8)[:, None], lesion.mask(n, size)


def _anatomy(rng: Draws, frame: Frame, size: int) -> FloatArray:
    """Signal of a healthy head: bright scalp, dark skull, grey ribbon around white matter, dark ventricles."""
    n = len(frame.angle)
    u, v = frame.grid(size)
    s = np.abs(u)
    soft = np.float32(max(0.03, 1.6 / size))

    # Narrower in front than at the back, as heads are.
    head = np.sqrt((u / (_HEAD_WIDTH * (1.0 + 0.07 * v))) ** 2 + (v / _HEAD_HEIGHT) ** 2)
    depth = (1.0 - head) * np.float32(0.87)  # roughly the distance below the skin
    folds = smooth_noise(rng, size, size / 18)
    furrows = smooth_noise(rng, size, size / 15)
    subtle = smooth_noise(rng, size, size / 6)

    scalp = ramp(depth / soft) * ramp((0.085 - depth) / soft)
    brain = ramp((depth - 0.135) / soft)
    below = depth - 0.15
    white = ramp((below - 0.075 - 0.055 * folds - 0.15 * ramp(1.0 - np.abs(furrows) / 0.8)) / 0.05)
    sulcus = ramp((0.30 - np.abs(furrows)) / 0.24) * ramp((0.22 - below) / 0.12)
    fissure = ramp((0.030 - s) / (1.2 * soft)) * ramp((np.abs(v) - 0.30) / 0.10)
    tissue = 0.40 + 0.17 * white + 0.018 * subtle
    tissue -= (tissue - 0.15) * np.maximum(0.80 * sulcus, 0.85 * fissure)

    # Deep grey nuclei beside the ventricles, then the ventricles: front horns, bodies and back horns as one bow.
    nuclei = np.maximum(
        bump(((s - 0.20) / 0.13) ** 2 + ((v + 0.10) / 0.17) ** 2),
        bump(((s - 0.15) / 0.14) ** 2 + ((v - 0.13) / 0.15) ** 2),
    )
    tissue -= 0.16 * np.minimum(1.6 * nuclei, 1.0)
    wide = per_image(rng.uniform(0.80, 1.25, n))
    bow = 0.055 + 0.85 * (v + 0.03) ** 2
    thick = (0.062 - 0.10 * (np.abs(v + 0.03) - 0.22) ** 2) * wide
    ventricle = ramp((thick - np.abs(s - bow)) / soft + 0.3) * ramp((0.40 - np.abs(v + 0.03)) / 0.08)
    third = ramp((0.022 * wide - s) / soft + 0.35) * ramp((0.16 - np.abs(v - 0.10)) / 0.06)
    tissue -= (tissue - 0.09) * np.maximum(ventricle, 0.85 * third)

    signal = 0.02 + 0.80 * scalp * (1.0 + 0.06 * subtle) + (tissue - 0.06) * brain
    skull = ramp((depth - 0.07) / soft) * ramp((0.15 - depth) / soft)
    return signal + 0.05 * skull * (1 - scalp)


def _tumour(rng: Draws, patch: Patch, labels: NDArray[np.int64], size: int, contrast: float) -> FloatArray:
    """Signal of a tumour: a mean that all grades share, and the pattern of its grade around it."""
    level, rim_at = per_image(rng.uniform(0.52, 0.64, rng.n)), per_image(rng.uniform(0.70, 0.80, rng.n))
    angle = rng.uniform(0, 2 * np.pi, rng.n)
    patchy, ragged = (smooth_noise(rng, patch.side, 0.13 * size / 2) for _ in range(2))

    q = patch.radial + 0.07 * ragged
    ring = bump(((q - rim_at) / 0.26) ** 2)
    core = ramp((rim_at - 0.10 - q) / 0.22)
    facing = patch.x * per_image(np.cos(angle)) + patch.y * per_image(np.sin(angle))
    facing /= np.sqrt(patch.x**2 + patch.y**2) + np.float32(1e-6)
    partial = ring * ramp(facing + 0.45)
    four = 2.6 * ring - 1.5 * core + 0.2 * patchy
    two = 0.22 * patchy
    three = 1.5 * partial + 0.85 * np.maximum(patchy, -0.6) * ramp((0.95 - q) / 0.2)
    pattern = np.choose(labels[:, None, None], [four, two, three])
    pattern = pattern - patch.mean(pattern)
    return np.maximum(level + np.float32(_TEXTURE * max(contrast, 1.0)) * pattern, 0.03)


def _add_bright_spots(rng: Draws, signal: FloatArray, frame: Frame, options: PhantomOptions) -> None:
    """Add bright vessels anywhere and look-alike spots outside the zones, both drawn without regard to the class."""
    n, size = len(signal), options.size
    for _ in range(_LOOK_ALIKES):
        radius = rng.uniform(*_LOOK_ALIKE_RADIUS, n)
        x, y = draw_in_zones(rng, frame, _ELSEWHERE, np.zeros(n))
        kinds = rng.integers(len(CLASSES), size=n)
        strength = rng.uniform(0.7, 1.0, n)
        chosen = np.flatnonzero(rng.uniform(0, 1, n) < options.share(0.45))
        blobs = Blobs(x, y, radius, Blobs.draw_harmonics(rng))
        patch = blobs.patch(size, _LOOK_ALIKE_RADIUS[1], edge=0.05, chosen=chosen)
        tumour = _tumour(rng.of(chosen), patch, kinds[chosen], size, 1.0)
        patch.blend(signal, tumour, patch.cover * per_image(strength[chosen]))
    for _ in range(_VESSELS):
        direction, height = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.70, 0.80, n)
        u, v = _HEAD_WIDTH * height * np.cos(direction), _HEAD_HEIGHT * height * np.sin(direction)
        x, y = frame.to_image(u, v)
        strength = rng.uniform(0.25, 0.45, n)
        chosen = np.flatnonzero(rng.uniform(0, 1, n) < options.share(0.5))
        flat = Blobs(x, y, rng.uniform(0.02, 0.035, n), np.zeros((n, 6, 2)))
        patch = flat.patch(size, 0.035, edge=0.03, chosen=chosen)
        patch.add(signal, patch.cover * per_image(strength[chosen]))
