"""Learning without labels: two views of one image should lie closer together than views of different images."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from careedu.errors import InvalidInputError, check_number
from careedu.nn.arguments import at_least_float32


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.2) -> Tensor:
    """Contrastive loss of SimCLR: two views of one image should be nearer to each other than to all other views.

    Of the 2B views z, each is an anchor a once, its other view p(a) the positive and all the rest negatives::

        L = (1/2B) Σ_a −log( exp(cos(z_a, z_p(a)) / T) / Σ_{b≠a} exp(cos(z_a, z_b) / T) )

    Parameters
    ----------
    z1, z2 : (B, D) float Tensor
        Row i of both are the two views of image i; normalised here. A row that is zero has no direction, and counts as
        one at right angles to all others.
    temperature : float
        T, above 0.

    Returns
    -------
    () Tensor
        0 for B = 1, where nothing is to be told apart.

    Raises
    ------
    InvalidInputError
        If the batch is empty, the shapes differ or are not (B, D), the dtype is not float, or the temperature is not
        above 0 and finite.

    Notes
    -----
    Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, section 2.1,
    equation 1, with both views as anchors (algorithm 1). The similarities take O(B²) memory.
    """
    check_number("temperature", temperature, "(0, inf)", "SimCLR uses .1 to .5")
    if z1.dim() != 2 or z1.shape != z2.shape or z1.numel() == 0:
        raise InvalidInputError(
            f"z1 and z2 must both be (B, D), with at least one row, not {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not (z1.is_floating_point() and z2.is_floating_point()):
        raise InvalidInputError(f"z1 and z2 must be float, not {z1.dtype} and {z2.dtype}")
    views = unit_vectors(at_least_float32(torch.cat([z1, z2])))
    # A rounded cosine is divided by a small temperature and then exponentiated: autocast's bfloat16 would show.
    with torch.autocast(views.device.type, enabled=False):
        similarities = (views / temperature) @ views.T
    similarities = similarities.fill_diagonal_(-math.inf)  # no view is its own negative
    positives = torch.arange(len(views), device=views.device).roll(len(z1))
    return functional.cross_entropy(similarities, positives)


def unit_vectors(z: Tensor) -> Tensor:
    """Divide each row by its Euclidean length: z_i / ‖z_i‖.

    Zero rows stay zero and pass their gradient on as it is. (`torch.nn.functional.normalize` divides them by 1e-12,
    and so multiplies their gradient by 1e12.)

    Parameters
    ----------
    z : (B, D) float Tensor

    Returns
    -------
    (B, D) Tensor
    """
    length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    return z / torch.where(length > 0, length, 1)
