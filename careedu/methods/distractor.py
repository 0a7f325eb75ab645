"""Distractor-aware neuron intrinsic learning: features and what tempts them to a wrong class are pushed apart.

Gong, Ma and Zheng, Distractor-Aware Neuron Intrinsic Learning for Generic 2D Medical Image Classifications, MICCAI 2020
(arXiv 2007.09979), of which we could read the abstract only: distractors are found in the network's own features, and
a loss pushes the image away from its distractor there; the network that is used at test time is the plain one. Every
form here is our choice. In a training loop of your own:

>>> import torch
>>> from torch.nn.functional import cross_entropy
>>> from careedu.methods.distractor import distractor_features, distractor_loss
>>> from careedu.nn.backbones import build_model
>>> model = build_model("small", classes=3, channels=3)
>>> optimizer = torch.optim.AdamW(model.parameters())
>>> for images, labels in [(torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 2, 2]))]:  # your loader
...     features = model.features(images)
...     z = model.pool(features)
...     logits = model.head(z)
...     apart = distractor_loss(z, distractor_features(features, model.head.weight, logits, labels))
...     loss = cross_entropy(logits, labels) + 0.1 * apart
...     optimizer.zero_grad(), loss.backward(), optimizer.step()
(None, None, None)
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError, check_number
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import BuiltOnLoss, LossMethod
from careedu.nn.arguments import at_least_float32, checked_batch
from careedu.nn.contrastive import unit_vectors
from careedu.training.batch import Batch
from careedu.training.stage import Stage, Update

RELEVANCES = ("wrong class", "true class", "random", "dropout")


def tempting_class(logits: Tensor, target: Tensor) -> Tensor:
    """The wrong class that is most likely, ĉ = argmax over c ≠ y of s_c.

    Parameters
    ----------
    logits : float (B, C)
        s, of at least two classes.
    target : int (B,)
        y.

    Returns
    -------
    int64 (B,)

    Raises
    ------
    InvalidInputError
        If a shape or type does not fit, a target is no class, or there is one class only.
    """
    logits, target = checked_batch(logits.detach(), target)
    if logits.shape[1] < 2:
        raise InvalidInputError("with one class there is no wrong one: logits must have at least two columns")
    return logits.scatter(1, target[:, None], -torch.inf).argmax(dim=1)


def relevance(features: Tensor, weight: Tensor) -> Tensor:
    """How much each neuron speaks for a class at each place, r = ReLU(A ⊙ ∂s/∂A), divided by its largest value.

    With global average pooling and a linear head ∂s/∂A is w / (h·w) everywhere, and the constant goes when r is divided
    by the image's largest value; where nothing speaks for the class r is 0.

    Parameters
    ----------
    features : float (B, K, h, w)
        A.
    weight : float (B, K)
        w, the head's row of each image's class.

    Returns
    -------
    float (B, K, h, w)
        In [0, 1], without gradient.

    Raises
    ------
    InvalidInputError
        If the shapes do not go together.
    """
    if features.dim() != 4 or weight.shape != features.shape[:2]:
        raise InvalidInputError(
            f"features must be (B, K, h, w) and weight (B, K), not {tuple(features.shape)} and {tuple(weight.shape)}: "
            "pass the head's row of each image's class, head.weight[classes]"
        )
    with torch.no_grad():
        r = functional.relu(features * weight[..., None, None].to(features.dtype))
        return r / r.amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(r.dtype).tiny)


def distractor_features(features: Tensor, weight: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """What of an image's features speaks for the wrong class that tempts most, z_d = mean over places of A ⊙ r.

    Parameters
    ----------
    features : float (B, K, h, w)
        A, the last features.
    weight : float (C, K)
        Of the linear head.
    logits : float (B, C)
        Computed from these features.
    target : int (B,)
        The true classes.

    Returns
    -------
    float (B, K)
        Gradient flows to the features, and none through the relevance r.

    Raises
    ------
    InvalidInputError
        If a shape or type does not fit, or there is one class only.

    Notes
    -----
    That distractors are made of the features' own neurons is the paper's (arXiv 2007.09979); this form is our choice.
    """
    return (features * relevance(features, weight[tempting_class(logits, target)])).mean(dim=(2, 3))


def distractor_loss(z: Tensor, z_distractor: Tensor, margin: float = 0.5, weight: Tensor | None = None) -> Tensor:
    """How near images are to their distractors, mean over i of w_i max(0, margin − (1 − cos(z_i, z_d,i))).

    Parameters
    ----------
    z : float (B, K)
        Pooled features of the images.
    z_distractor : float (B, K)
        z_d, see :func:`distractor_features`.
    margin : float
        From this distance on, 1 − cosine, an image is left alone; in [0, 2].
    weight : float (B,), optional
        w, by default 1.

    Returns
    -------
    ()
        At least 0, float32 for half precision. Where there is no distractor, z_d = 0, the cosine counts as 0 and the
        distance as 1.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the margin is out of its range.

    Notes
    -----
    That images are pushed from their distractors is the paper's; cosine, margin and weight are our choice.
    """
    check_number("margin", margin, "[0, 2]", "it is a distance, 1 − cosine")
    if z.dim() != 2 or z.shape != z_distractor.shape or len(z) == 0:
        raise InvalidInputError(f"z and z_distractor must be (B, K), not {tuple(z.shape)}, {tuple(z_distractor.shape)}")
    if weight is not None and weight.shape != z.shape[:1]:
        raise InvalidInputError(f"weight must be ({len(z)},), one number an image, not {tuple(weight.shape)}")
    # Not torch's own: it divides nothing by 1e-8, and the gradient of half precision overflows.
    cosine = (unit_vectors(at_least_float32(z)) * unit_vectors(at_least_float32(z_distractor))).sum(dim=1)
    near = functional.relu(margin - (1 - cosine))
    return (near if weight is None else weight * near).mean()


@dataclass(frozen=True)
class DistractorAware(BuiltOnLoss):
    """Distractor-aware loss (Gong, Ma and Zheng, MICCAI 2020): L = L_classification + λ · :func:`distractor_loss`.

    Parameters
    ----------
    classification : LossMethod
        Logit adjustment by default, as in the other methods: pushing distractors away does not balance classes.
    weight : float
        λ, at least 0; 0 is the loss alone.
    margin : float
        Of the distractor loss, in [0, 2].
    confidence : bool
        Whether an image counts as much as its wrong class is likely, w = p_ĉ without gradient; else all count alike.
    warm_up : float
        Share of the training, in [0, 1), that goes by with the classification loss alone.
    relevance : str
        ``"wrong class"``, the method. Controls: ``"true class"``; ``"random"``, the same values, each put at the place
        and neuron of another; and ``"dropout"``, which adds no loss and leaves neurons out of the features by chance,
        as much of their mass as the distractor holds.

    Notes
    -----
    The history has ``"distractor distance"``, 1 − cosine to the distractor, mean over the images that an epoch has
    shown, in the warm-up too. λ, margin, weights and warm-up are our choice.
    """

    name: ClassVar[str] = "distractor"
    choices: ClassVar = {"relevance": RELEVANCES}
    limits: ClassVar = {"weight": "[0, inf)", "margin": "[0, 2]", "warm_up": "[0, 1)"}

    classification: LossMethod = field(default_factory=LogitAdjusted)
    weight: float = 0.1
    margin: float = 0.5
    confidence: bool = True
    warm_up: float = 0.25
    relevance: str = "wrong class"

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage: the classification loss, and after the warm-up the distractor's too."""
        distances: list[Tensor] = []

        def terms(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            features = model.features(batch.inputs)
            z = model.pool(features)
            logits = model.head(z)
            wrong = tempting_class(logits, batch.labels)
            r = self._relevance(model, features, batch.labels if self.relevance == "true class" else wrong, batch)
            z_d = (features * r).mean(dim=(2, 3))
            distances.append(1 - functional.cosine_similarity(z, z_d).detach())
            awake = batch.progress >= self.warm_up
            if self.relevance == "dropout":
                logits = model.head(model.pool(self._thinned(features, z, z_d, batch))) if awake else logits
                return {"classification": self.classification.loss(logits, batch.labels, facts, batch.progress)}
            loss = self.classification.loss(logits, batch.labels, facts, batch.progress)
            adjusted = self.classification.adjust(logits.detach(), facts)
            likely = adjusted.softmax(dim=1).gather(1, wrong[:, None])[:, 0] if self.confidence else None
            near = self.weight * awake * distractor_loss(z, z_d, self.margin, likely)
            return {"classification": loss, "distractor": near}

        def distance(model: nn.Module) -> dict[str, Tensor]:
            mean = torch.cat(distances).double().mean() if distances else torch.tensor(torch.nan)
            distances.clear()  # the next epoch's begins
            return {"distractor distance": mean.cpu()}

        return [Stage(self.name, epochs, Update(terms), record=distance)]

    def _relevance(self, model: nn.Module, features: Tensor, classes: Tensor, batch: Batch) -> Tensor:
        if type(model.head) is nn.Linear:
            weight = model.head.weight[classes]
        else:  # of the pooled features, as for each place it is the same but for a factor
            z = model.pool(features.detach()).requires_grad_()
            (weight,) = torch.autograd.grad(model.head(z).gather(1, classes[:, None]).sum(), z)
        r = relevance(features, weight)
        if self.relevance == "random":
            order = torch.randperm(r[0].numel(), generator=_own_chance(batch)).to(r.device)
            r = r.flatten(1)[:, order].view_as(r)
        return r

    @staticmethod
    def _thinned(features: Tensor, z: Tensor, z_d: Tensor, batch: Batch) -> Tensor:
        """Features of which a share is 0, as large as the distractor's part of all, and the others as much larger."""
        share = (z_d.abs().sum(dim=1) / z.abs().sum(dim=1).clamp_min(torch.finfo(z.dtype).tiny)).detach().clamp_max(0.9)
        kept = 1 - share[:, None, None, None]
        drawn = torch.rand(features.shape, generator=_own_chance(batch)).to(features)
        return features * (drawn < kept) / kept


def _own_chance(batch: Batch) -> torch.Generator:
    """Chance that follows from the moment of the training, so that the images of all arms are augmented alike."""
    return torch.Generator().manual_seed(int(batch.index.sum()) + round(batch.progress * 2**40))
