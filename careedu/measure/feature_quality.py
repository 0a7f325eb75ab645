"""Whether generated features are like real ones, and whether they are more than copies: in numpy."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), of normal distributions with the moments of two sets.

    Heusel et al., NeurIPS 2017, equation 6 (there of Inception's features). With A and B the centred rows over √n, so
    that Σ = AᵀA, the trace of the root is the sum of the singular values of A Bᵀ, and so of their triangular factors:
    sets smaller than their dimension give no trouble. Few rows give a large distance by chance: look at that of two
    halves of one set beside it.

    Parameters
    ----------
    a, b : float (n, D), (m, D)
        At least one row each.

    Returns
    -------
    float
        At least 0, in squared units of the features.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    means = a.mean(axis=0), b.mean(axis=0)
    a, b = ((x - mean) / np.sqrt(len(x)) for x, mean in zip((a, b), means, strict=True))
    a, b = (np.linalg.qr(x, mode="r") for x in (a, b))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap))


def near_copies(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which generated features are copies of real ones, bool (n,).

    Those no further from one than half the median distance of a real feature to the next one (our choice). Of a single
    real feature, only its equals.

    Parameters
    ----------
    made, real : float (n, D), (m, D)
        Of one class.
    """
    between = cdist(real, real)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    limit = np.median(nearest) / 2 if len(real) > 1 else 0.0
    return cdist(made, real).min(axis=1) <= limit


def feature_quality(made: np.ndarray, real: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Fréchet distance of each class and the share of near copies among generated features.

    Parameters
    ----------
    made, real : float (N, D)
        As many of each class as there are real ones.
    labels : int (N,)
        Of both.
    classes : sequence of str
        Their names.

    Returns
    -------
    dict of str to float
        ``"Fréchet distance: <class>"`` and ``"near copies"``, the mean over classes of two features or more.
    """
    rows = {name: labels == c for c, name in enumerate(classes) if (labels == c).any()}
    distances = {f"Fréchet distance: {name}": frechet_distance(made[own], real[own]) for name, own in rows.items()}
    copies = [near_copies(made[own], real[own]).mean() for own in rows.values() if own.sum() > 1]
    return {**distances, "near copies": float(np.mean(copies or [0.0]))}
