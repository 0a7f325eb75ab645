"""How many groups of one size tell as much as groups of unequal size, of one class or of several."""

import numpy as np
from numpy.typing import ArrayLike


def effective_number(images: ArrayLike) -> np.ndarray:
    """Number of groups of one size that tell as much as these, (Σ m)² / Σ m², float64 (K,); 0 without images.

    Parameters
    ----------
    images : (G, K)
        m, the images of each group, class by class.

    Notes
    -----
    Source: Kish, Survey Sampling, 1965; as degrees of freedom of a mean over clusters Carter, Schnepel and Steigerwald,
    Rev Econ Stat 2017, of whom this is the simplest case.
    """
    images = np.asarray(images, dtype=np.float64)
    return images.sum(axis=0) ** 2 / np.maximum((images**2).sum(axis=0), 1)


def overlap(images: ArrayLike) -> np.ndarray:
    """How far classes have their groups in common, Σ m_c m_d / √(Σ m_c² Σ m_d²), float64 (K, K).

    1 where each group has as many images of the one as of the other, 0 where no group has images of both.

    Parameters
    ----------
    images : (G, K)
        m, the images of each group, class by class, none of which is empty.
    """
    images = np.asarray(images, dtype=np.float64)
    length = images / np.sqrt((images**2).sum(axis=0))
    return length.T @ length


def effective_number_of_mean(images: ArrayLike) -> np.ndarray:
    """Effective number of groups of a mean over K classes, K / √(Σ_cd o_cd / (k_c k_d)), float64 (1,).

    k are those of the classes and o their :func:`overlap`: the number of a class where all have the same groups.

    Parameters
    ----------
    images : (G, K)
    """
    each = 1.0 / effective_number(images)
    return np.array([len(each) / np.sqrt(each @ overlap(images) @ each)])
