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

Read from top to bottom: weights from counts, the losses that use them, then those that shift the logits. The
contrastive loss, which needs no labels at all, is `careedu.nn.contrastive.nt_xent`, and can be imported from here too.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from careedu.errors import InvalidInputError, check_number
from careedu.nn.arguments import Counts, averaged, checked_batch, class_weight, dtype_of, one_per_class, positive_counts
from careedu.nn.contrastive import nt_xent as nt_xent


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
    n = positive_counts(counts, "inverse frequency")
    return _mean_one(1 / n).to(dtype_of(counts))


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
    check_number("beta", beta, "[0, 1)", "the paper uses .9, .99, .999 and .9999")
    n = positive_counts(counts, "the effective number")
    # 1 − βⁿ = −expm1(n log β): subtracting from 1 would lose the digits that tell small classes apart.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    effective = -torch.expm1(n * log_beta) / (1 - beta)
    return _mean_one(1 / effective).to(dtype_of(counts))


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
    logits, target = checked_batch(logits, target)
    losses = functional.cross_entropy(logits, target, reduction="none")
    return (class_weight(weight, logits)[target] * losses).mean()


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
    check_number("gamma", gamma, "[0, inf)", "the paper uses 2")
    logits, target = checked_batch(logits, target)
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
    return averaged(losses, target, logits, weight)


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
    check_number("max_margin", max_margin, "[0, inf)", "the paper uses .5")
    n = positive_counts(counts, "LDAM")
    # The rarest class has the largest n^(−1/4), so the quotient is (rarest / n_c)^(1/4).
    return (max_margin * (n.min() / n) ** 0.25).to(dtype_of(counts))


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
    check_number("scale", scale, "(0, inf)", "the paper's code uses 30")
    logits, target = checked_batch(logits, target)
    margins = one_per_class(ldam_margins(counts, max_margin), logits)
    # The margin is taken from the logit of the true class only.
    shifted = logits.scatter_add(1, target[:, None], -margins[target][:, None])
    losses = functional.cross_entropy(scale * shifted, target, reduction="none")
    return averaged(losses, target, logits, weight)


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
    logits, target = checked_batch(logits, target)
    n = positive_counts(counts, "logit adjustment")
    return functional.cross_entropy(logits + one_per_class(tau * torch.log(n / n.sum()), logits), target)


def _mean_one(weight: Tensor) -> Tensor:
    """Weights scaled to sum to the number of classes, so that their mean is 1."""
    return weight * (len(weight) / weight.sum())
