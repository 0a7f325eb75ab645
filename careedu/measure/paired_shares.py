"""How far a difference of two paired shares varies between seeds, patients and their images, whatever the true one.

Method a finds an image of the rare class with probability r + d, the baseline with r. Each finds it where a normal
deviate lies below Φ⁻¹(r + d), or Φ⁻¹(r). What these deviates have in common in an image, between the methods and
between two seeds of one method, is such that at d = 0 the disagreement and its lasting part are what is asked for; so
is what they have in common in two images of a patient. Then for every d, with C(p, q; ρ) the covariance of two such
events, c, w in one image and c', w' in two of a patient,

    total    T = (r+d)(1−r−d) + r(1−r) − 2 C(r+d, r; c)           one image under one seed
    lasting  L = C(r+d, r+d; w) + C(r, r; w) − 2 C(r+d, r; c)     one image in the mean over many seeds
    common   G = C(r+d, r+d; w') + C(r, r; w') − 2 C(r+d, r; c')  what two images of a patient have of it
    seeds    B = seed_spread² (φ(Φ⁻¹(r+d))² + φ(Φ⁻¹(r))²) / 2φ(Φ⁻¹(r))²

so that all shrink as r + d nears 1, and the mean of a patient's images need not be normal.

Sources: C is Plackett's integral, Biometrika 1954, in the form with an angle of Genz, Stat Comput 2004. The model of
thresholds is our choice.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri


@lru_cache(maxsize=64)
def paired_spread(
    images: int, seeds: int, recall: float, disagreement: float, lasting: float, correlation: float, seed_spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """What varies, at several true differences.

    Parameters
    ----------
    images, seeds, recall, disagreement, lasting, correlation, seed_spread
        As `careedu.checks.planner.smallest_difference` has them.

    Returns
    -------
    differences : float64 (D,)
        From 0 to 1 − recall.
    found : float64 (5, D)
        Variance B between seeds; of a patient's mean over images and seeds, but for B; what of it is a seed's own on a
        patient; and third and fourth cumulant of that mean, the latter without what seeds add.
    """
    d, chance = np.linspace(0, 1 - recall, 17), recall * (1 - recall)
    a, b = ndtri(np.minimum(recall + d, 1 - 1e-9)), np.full(len(d), ndtri(recall))
    alike, angles = chance * (1 - disagreement * np.array([1, 1 - lasting])), np.linspace(0, np.pi / 2 - 1e-4, 200)
    angle = np.interp([alike, correlation * alike], _covariance(b[:1], b[:1], angles), angles)
    steady, common = (_covariance(a, a, w) + _covariance(b, b, w) - 2 * _covariance(a, b, c) for c, w in angle)
    rest = (recall + d) * (1 - recall - d) + chance - 2 * _covariance(a, b, angle[0, 0]) - steady
    by_seed = np.clip(0.99 * rest, 0, seed_spread**2 * (np.exp(b**2 - a**2) + 1) / 2)
    rest, mean_of = np.maximum(rest - by_seed, 0) / images, common + (steady - common) / images
    # Cumulants, from patients drawn once and for all: what the methods share, and each one's own.
    (c, w), (c_both, w_both) = np.sin(angle)
    draws, own = np.random.default_rng(0).normal(size=(3, 256, 1 + images)), max(0.0, w - w_both - c + c_both)
    scales = np.sqrt([[c_both, c - c_both], *[[w_both - c_both, own]] * 2])[:, None, :, None]
    deviates = scales[:, :, 0] * draws[..., :1] + scales[:, :, 1] * draws[..., 1:]
    found = ndtr((np.stack([a, b])[..., None, None] + deviates[0] + deviates[1:, None]) / np.sqrt(1 - w))
    mean = (found[0] - found[1]).mean(axis=2)
    mean = (mean - mean.mean(axis=1, keepdims=True)) * np.sqrt(mean_of / np.maximum(mean.var(axis=1), 1e-12))[:, None]
    third = (mean**3 + 3 * mean * (found * (1 - found)).sum(axis=0).mean(axis=2) / images / seeds).mean(axis=1)
    return d, np.stack([by_seed, mean_of + rest / seeds, rest, third, (mean**4).mean(axis=1) - 3 * mean_of**2])


def spread_found(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """What :func:`paired_spread` is told, read off what two methods have found.

    Parameters
    ----------
    a, b : bool (S, N)
        Whether the method and the baseline have found an image under a seed; not alike everywhere.
    groups : (N,)
        Patients of the images.

    Returns
    -------
    dict
        images (the median of a patient), seeds, recall, disagreement, lasting, correlation and seed_spread. Where no
        patient has two images the correlation is 0, and not asked for.

    Notes
    -----
    With D = a − b and Q = Σ (D_si − D_s − D_i + D)² / (S−1)(N−1): B = seed_spread² is the variance of the means D_s
    less Q/N, L that of the means D_i less Q/S, and lasting is L/(L + Q + B). The disagreement is 1 − κ (Cohen, Educ
    Psychol Meas 1960). The correlation is the mean product of two images of a patient, each being the share of seeds
    that find it, over their variance without what seeds add; patients count by their pairs of images (our choice).
    """
    (seeds, images), a, b = a.shape, a.astype(float), b.astype(float)
    d, found = a - b, np.stack([a.mean(axis=0), b.mean(axis=0)])
    of_seeds, of_images = d.mean(axis=1), d.mean(axis=0)
    rest = ((d - of_seeds[:, None] - of_images + d.mean()) ** 2).sum() / (seeds - 1) / (images - 1)
    by_seed = max(0.0, of_seeds.var(ddof=1) - rest / images)
    lasting = max(0.0, of_images.var(ddof=1) - rest / seeds)
    _, patient, counts = np.unique(groups, return_inverse=True, return_counts=True)
    steady = found.var(axis=1).mean() - (found * (1 - found)).mean() / (seeds - 1)
    apart, pairs = found - found.mean(axis=1, keepdims=True), max(1, (counts * (counts - 1)).sum())
    products = sum((np.bincount(patient, row) ** 2).sum() - row @ row for row in apart) / 2 / pairs
    values = {
        "recall": b.mean(),
        "disagreement": np.clip(np.abs(d).mean() / (a.mean() + b.mean() - 2 * a.mean() * b.mean()), 0.01, 1),
        "lasting": lasting / (lasting + rest + by_seed),
        "correlation": np.clip(products / steady, 0, 1) if steady > 0 else 0,
        "seed_spread": by_seed**0.5,
    }
    counted = {"images": round(float(np.median(counts))), "seeds": seeds}
    return counted | {name: float(value) for name, value in values.items()}


def _covariance(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """C of events below thresholds a and b of normal deviates that correlate by the sine of an angle."""
    # By the rule of mid-points.
    turn, a, b = angle[..., None] * (np.arange(48) + 0.5) / 48, a[..., None], b[..., None]
    return np.exp(-(a**2 + b**2 - 2 * a * b * np.sin(turn)) / 2 / np.cos(turn) ** 2).mean(axis=-1) * angle / 2 / np.pi
