"""Losses for learning from classes of very different size, in plain PyTorch.

Each one is a function to be called in any training loop. They agree on a few things:

- logits s are float (B, C), target y is integer (B,) with values 0 … C−1, counts n are the training images per class,
  (C,), as a tensor, an array or a list of ints or floats;
- the result is the plain mean over the batch, (1/B) Σ_i ℓ_i, a scalar on the device of the logits. Class weights are
  *not* divided by their sum over the batch, as `torch.nn.CrossEntropyLoss(weight=...)` does: there, a batch of common
  images alone would count as much as a batch of rare ones;
- what follows from the counts is computed in float64 and then cast to the dtype of the logits; float64 logits give a
  float64 loss. float16 and bfloat16 logits are computed in float32, and give float32;
- what cannot be computed raises `careedu.errors.InvalidInputError`, which says what to do about it.

Read from top to bottom: weights from counts, the losses that use them, then those that shift the logits, and last the
contrastive loss, which needs no labels at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from careedu.errors import InvalidInputError

Counts = Tensor | np.ndarray | Sequence[float]
"""Images per class."""


def inverse_frequency_weights(counts: Counts) -> Tensor:
    """Weights inversely proportional to the class sizes.

    w_c = C · (1/n_c) / Σ_k (1/n_k), so that Σ w = C.

    Parameters
    ----------
    counts : (C,) ints or floats
        Training images per class, all above 0.

    Returns
    -------
    (C,) Tensor
        float64; where the counts are a float tensor or array, of their dtype.

    Raises
    ------
    InvalidInputError
        If a count is 0, negative or not finite, or there are none.

    Notes
    -----
    Folklore. That the weights sum to C follows Cui et al. (CVPR 2019, section 4), so that the learning rate keeps its
    meaning.
    """
    n = _positive_counts(counts, "inverse frequency")
    return _sum_to_classes(1 / n).to(_dtype_of(counts))


def effective_number_weights(counts: Counts, beta: float = 0.9999) -> Tensor:
    """Weights inversely proportional to the effective number of images.

    E_c = (1 − β^n_c) / (1 − β), and w_c = C · (1/E_c) / Σ_k (1/E_k), so that Σ w = C.

    The idea: images of a class overlap, so each further one adds a little less, by the factor β. E begins as n and ends
    at 1/(1−β). So β only matters where it separates the classes: counts far below 1/(1−β) give inverse frequency,
    counts far above give equal weights. Sets of some hundred images want β near .99, not the .9999 made for ImageNet.

    Parameters
    ----------
    counts : (C,) ints or floats
        Training images per class, all above 0.
    beta : float
        In [0, 1). 0 gives equal weights.

    Returns
    -------
    (C,) Tensor
        float64; where the counts are a float tensor or array, of their dtype.

    Raises
    ------
    InvalidInputError
        If beta is not in [0, 1); if a count is 0, negative or not finite, or there are none.

    Notes
    -----
    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, section 3, proposition 1, and
    section 4.
    """
    if not 0 <= beta < 1:
        raise InvalidInputError(f"beta={beta!r} must lie in [0, 1); the paper uses .9, .99, .999 and .9999")
    n = _positive_counts(counts, "the effective number")
    # 1 − βⁿ = −expm1(n log β): subtracting from 1 would lose the digits that tell small classes apart.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    effective = -torch.expm1(n * log_beta) / (1 - beta)
    return _sum_to_classes(1 / effective).to(_dtype_of(counts))


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Counts) -> Tensor:
    """Cross-entropy in which each image counts by the weight of its class.

    L = (1/B) Σ_i w_{y_i} · (−log softmax(s_i)_{y_i}), not divided by Σ_i w_{y_i}.

    With :func:`effective_number_weights` this is the class-balanced loss of Cui et al. (CVPR 2019, section 4.1).

    Parameters
    ----------
    logits : (B, C) float Tensor
    target : (B,) integer Tensor
    weight : (C,) floats
        At least 0.

    Returns
    -------
    () Tensor

    Raises
    ------
    InvalidInputError
        If the batch is empty, a shape or dtype does not fit, a target is not in 0 … C−1, or a weight is negative or not
        finite.
    """
    logits, target = _checked(logits, target)
    losses = functional.cross_entropy(logits, target, reduction="none")
    return (_class_weight(weight, logits)[target] * losses).mean()


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, weight: Counts | None = None) -> Tensor:
    """Cross-entropy in which an image counts less the better it is classified already.

    L = (1/B) Σ_i w_{y_i} · (1 − p_i)^γ · (−log p_i), with p_i = softmax(s_i)_{y_i}.

    Parameters
    ----------
    logits : (B, C) float Tensor
    target : (B,) integer Tensor
    gamma : float
        How strongly, at least 0; 0 is cross-entropy.
    weight : (C,) floats, optional
        Weight of each class, at least 0.

    Returns
    -------
    () Tensor

    Raises
    ------
    InvalidInputError
        As for :func:`weighted_cross_entropy`; if gamma is negative or not finite.

    Notes
    -----
    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, section 3.2. There it is the sigmoid of each class;
    here it is the softmax, since our classes exclude each other (our choice, and the usual one). The paper divides by
    the number of boxes with an object; classification has none, so it is the mean.
    """
    if not 0 <= gamma < math.inf:
        raise InvalidInputError(f"gamma={gamma!r} must be at least 0 and finite; the paper uses 2")
    logits, target = _checked(logits, target)
    if logits.shape[1] == 1:
        # Without a second class p is 1 and the loss 0 whatever γ, while the margin below would be infinite.
        losses = functional.cross_entropy(logits, target, reduction="none")
    else:
        # Seen from the true class, softmax is a sigmoid of its margin over all others together: p = σ(m) with
        # m = s_y − log Σ_{c≠y} exp s_c. So log p and log(1−p) are both exact, and (1−p)^γ = exp(γ log(1−p)) has a
        # finite gradient even for p = 1 and γ < 1, where the power itself has none.
        truth = target[:, None]
        others = logits.scatter(1, truth, -math.inf).logsumexp(dim=1)
        margin = logits.gather(1, truth)[:, 0] - others
        losses = torch.exp(gamma * functional.logsigmoid(-margin)) * -functional.logsigmoid(margin)
    if weight is not None:
        losses = _class_weight(weight, logits)[target] * losses
    return losses.mean()


def ldam_margins(counts: Counts, max_margin: float = 0.5) -> Tensor:
    """Margins of LDAM: the rarer the class, the wider.

    Δ_c = max_margin · n_c^(−1/4) / max_k n_k^(−1/4), so that the rarest class gets max_margin.

    Parameters
    ----------
    counts : (C,) ints or floats
        Training images per class, all above 0.
    max_margin : float
        Margin of the rarest class, at least 0.

    Returns
    -------
    (C,) Tensor
        float64; where the counts are a float tensor or array, of their dtype.

    Raises
    ------
    InvalidInputError
        If max_margin is negative or not finite; if a count is 0, negative or not finite, or there are none.

    Notes
    -----
    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019, section 3.1: the
    fourth root minimises the sum of the classes' generalisation bounds when the margins compete with each other. The
    paper leaves the constant free; its code fixes it by the largest margin, as here.
    """
    if not 0 <= max_margin < math.inf:
        raise InvalidInputError(f"max_margin={max_margin!r} must be at least 0 and finite; the paper uses .5")
    n = _positive_counts(counts, "LDAM")
    # The rarest class has the largest n^(−1/4), so the quotient is (rarest / n_c)^(1/4).
    return (max_margin * (n.min() / n) ** 0.25).to(_dtype_of(counts))


def ldam_loss(
    logits: Tensor,
    target: Tensor,
    counts: Counts,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: Counts | None = None,
) -> Tensor:
    """Cross-entropy that asks for a lead over the other classes, the larger the rarer the true class.

    L = (1/B) Σ_i w_{y_i} · CE(scale · (s_i − Δ_{y_i} e_{y_i}), y_i), with the margins of :func:`ldam_margins`.

    The logits must be the cosines of a normalised head, such as `careedu.nn.backbones.NormalizedLinear`: a linear head
    could meet any margin by growing. A prediction is the softmax of scale · s, without a margin.

    Parameters
    ----------
    logits : (B, C) float Tensor
        Cosines, in [−1, 1]; not checked.
    target : (B,) integer Tensor
    counts : (C,) ints or floats
        Training images per class, all above 0.
    max_margin : float
        Margin of the rarest class, at least 0.
    scale : float
        Above 0. Cosines lie within [−1, 1]; without a factor their softmax could never come near 1.
    weight : (C,) floats, optional
        Weight of each class, at least 0; the paper turns it on late (deferred re-weighting, section 3.3).

    Returns
    -------
    () Tensor

    Raises
    ------
    InvalidInputError
        As for :func:`weighted_cross_entropy` and :func:`ldam_margins`; if there is not one count per class or scale is
        not above 0 and finite.

    Notes
    -----
    Cao et al., NeurIPS 2019, section 3.2, equation 13 (LDAM with cross-entropy); scale 30 is that of their code.
    """
    if not 0 < scale < math.inf:
        raise InvalidInputError(f"scale={scale!r} must be above 0 and finite; the paper's code uses 30")
    logits, target = _checked(logits, target)
    margins = _one_per_class(ldam_margins(counts, max_margin), logits)
    # The margin is taken from the logit of the true class only.
    shifted = logits.scatter_add(1, target[:, None], -margins[target][:, None])
    losses = functional.cross_entropy(scale * shifted, target, reduction="none")
    if weight is not None:
        losses = _class_weight(weight, logits)[target] * losses
    return losses.mean()


def logit_adjusted_loss(logits: Tensor, target: Tensor, counts: Counts, tau: float = 1.0) -> Tensor:
    """Cross-entropy of logits to which the log-frequency of each class is added.

    L = (1/B) Σ_i CE(s_i + τ log π, y_i), with π_c = n_c / Σ n.

    The sign is plus: the frequencies explain a part of the training labels, and the network need only learn the rest.
    In a prediction the logits are used as they are, which for τ = 1 is the choice that minimises the balanced error.
    (Minus is right only after training with plain cross-entropy; trained with minus, rare classes are suppressed.)

    Parameters
    ----------
    logits : (B, C) float Tensor
    target : (B,) integer Tensor
    counts : (C,) ints or floats
        Training images per class, all above 0.
    tau : float
        Strength; 0 is cross-entropy.

    Returns
    -------
    () Tensor

    Raises
    ------
    InvalidInputError
        As for :func:`weighted_cross_entropy`; if there is not one count per class, or a count is 0, negative or not
        finite; if tau is not finite.

    Notes
    -----
    Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021, section 4.2, equation 10.
    """
    if not math.isfinite(tau):
        raise InvalidInputError(f"tau={tau!r} must be finite; the paper uses 1")
    logits, target = _checked(logits, target)
    n = _positive_counts(counts, "logit adjustment")
    return functional.cross_entropy(logits + _one_per_class(tau * torch.log(n / n.sum()), logits), target)


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
    if not 0 < temperature < math.inf:
        raise InvalidInputError(f"temperature={temperature!r} must be above 0 and finite; SimCLR uses .1 to .5")
    if z1.dim() != 2 or z1.shape != z2.shape or z1.numel() == 0:
        raise InvalidInputError(
            f"z1 and z2 must both be (B, D), with at least one row, not {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not (z1.is_floating_point() and z2.is_floating_point()):
        raise InvalidInputError(f"z1 and z2 must be float, not {z1.dtype} and {z2.dtype}")
    views = unit_vectors(_at_least_float32(torch.cat([z1, z2])))
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


def _checked(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in at least float32 and target as int64, or an error that names what is wrong."""
    if logits.dim() != 2 or logits.shape[1] == 0 or not logits.is_floating_point():
        raise InvalidInputError(f"logits must be float (B, C), not {logits.dtype} {tuple(logits.shape)}")
    if len(logits) == 0:
        raise InvalidInputError("the batch is empty, and has no mean loss: skip it")
    if target.shape != logits.shape[:1]:
        raise InvalidInputError(
            f"target must be ({len(logits)},), the class index of each row of the logits, not {tuple(target.shape)}"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise InvalidInputError(f"target must be an integer tensor of class indices, not {target.dtype}")
    classes = logits.shape[1]
    target = target.long()
    # One number from the device: on a GPU each question asked of the data waits for it.
    if bool(((target < 0) | (target >= classes)).any()):
        wrong = target[(target < 0) | (target >= classes)][0].item()
        raise InvalidInputError(
            f"target holds {wrong}, and the logits have the classes 0 to {classes - 1}: "
            "leave out images without a class before the loss (there is no ignore_index)"
        )
    return _at_least_float32(logits), target


def _at_least_float32(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _numbers(values: Counts, what: str) -> Tensor:
    """A float64 vector of finite numbers that are at least 0."""
    try:
        vector = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{what}s must be numbers, one per class, not {values!r}") from error
    if vector.dim() != 1 or len(vector) == 0:
        raise InvalidInputError(f"{what}s must be (C,), one per class, not {tuple(vector.shape)}")
    wrong = ~(vector.isfinite() & (vector >= 0))
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        raise InvalidInputError(
            f"the {what} of class {index} is {vector[index].item()}; it must be finite and at least 0"
        )
    return vector


def _positive_counts(counts: Counts, formula: str) -> Tensor:
    """Counts as float64, none of them 0."""
    n = _numbers(counts, "count")
    if bool((n == 0).any()):
        index = int((n == 0).nonzero()[0])
        raise InvalidInputError(
            f"class {index} has no training image, and {formula} divides by its count or takes its logarithm: "
            "leave the class out, or add images of it"
        )
    return n


def _one_per_class(values: Tensor, logits: Tensor) -> Tensor:
    """Values of the classes, with the dtype and on the device of the logits."""
    if len(values) != logits.shape[1]:
        raise InvalidInputError(f"there are {len(values)} counts or weights for logits of {logits.shape[1]} classes")
    return values.to(logits)


def _class_weight(weight: Counts, logits: Tensor) -> Tensor:
    return _one_per_class(_numbers(weight, "weight"), logits)


def _sum_to_classes(weight: Tensor) -> Tensor:
    return weight * (len(weight) / weight.sum())


def _dtype_of(counts: Counts) -> torch.dtype:
    """The dtype of float tensors and arrays, else float64: Python's own floats are that."""
    if isinstance(counts, np.ndarray):
        counts = torch.from_numpy(counts)
    return counts.dtype if isinstance(counts, Tensor) and counts.is_floating_point() else torch.float64
