"""The imbalance baselines: what one does about rare classes before reaching for anything clever.

Read from top to bottom: losses that weight, choose or shift (cross-entropy, class-balanced, focal, OHEM, LDAM, logit
adjustment), then sampling (balanced sampling, classifier retraining), then new features for the rare classes (SMOTE).
`careedu.nn.losses` has each loss as a plain function; here they are made to fit the training loop.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from careedu.errors import MissingPackageError
from careedu.methods.facts import TrainingFacts
from careedu.methods.method import BuiltOnLoss, LossMethod, TrainedMethod, head_stage, two_stages
from careedu.nn import losses
from careedu.nn.backbones import NormalizedLinear
from careedu.training.stage import Stage, Table, Update

WEIGHTINGS = ("none", "inverse", "effective-number")


def class_weights(weighting: str, beta: float, facts: TrainingFacts, like: Tensor) -> Tensor | None:
    """Weight of each class, float64 (C,) summing to C; None for the weighting "none"."""
    if weighting == "none":
        return None
    counts = facts.counts_like(like)
    if weighting == "inverse":
        return losses.inverse_frequency_weights(counts)
    return losses.effective_number_weights(counts, beta)


@dataclass(frozen=True)
class CrossEntropy(LossMethod):
    """Plain cross-entropy: every image counts the same, so common classes count most."""

    name: ClassVar[str] = "cross-entropy"

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """(1/B) Σ −log p_y."""
        return nn.functional.cross_entropy(logits, target)


@dataclass(frozen=True)
class ClassBalanced(LossMethod):
    """Cross-entropy weighted by the inverse effective number of images (Cui et al., CVPR 2019, sections 3 and 4).

    Parameters
    ----------
    beta : float
        In [0, 1). The nearer to 1, the nearer to weights inversely proportional to the counts. Sets of some hundred
        images want it near .99 (methods with .9999 are inverse frequency in all but name there).
    weighting : str
        ``"effective-number"``, or ``"inverse"`` for weights proportional to 1/n.
    """

    name: ClassVar[str] = "class-balanced"
    choices: ClassVar = {"weighting": WEIGHTINGS}
    limits: ClassVar = {"beta": "[0, 1)"}

    beta: float = 0.99
    weighting: str = "effective-number"

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """(1/B) Σ w_y CE."""
        weight = class_weights(self.weighting, self.beta, facts, logits)
        if weight is None:
            return nn.functional.cross_entropy(logits, target)
        return losses.weighted_cross_entropy(logits, target, weight)


@dataclass(frozen=True)
class Focal(LossMethod):
    """Focal loss (Lin et al., ICCV 2017, section 3): images that are classified well already count less.

    Parameters
    ----------
    gamma : float
        How strongly; 0 is cross-entropy.
    weighting : str
        ``"none"``, ``"inverse"`` or ``"effective-number"`` weights of the classes on top.
    beta : float
        Of the effective number.
    """

    name: ClassVar[str] = "focal"
    choices: ClassVar = {"weighting": WEIGHTINGS}
    limits: ClassVar = {"gamma": "[0, inf)", "beta": "[0, 1)"}

    gamma: float = 2.0
    weighting: str = "none"
    beta: float = 0.99

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """(1/B) Σ −w_y (1−p_y)^γ log p_y."""
        weight = class_weights(self.weighting, self.beta, facts, logits)
        return losses.focal_loss(logits, target, gamma=self.gamma, weight=weight)


@dataclass(frozen=True)
class OHEM(LossMethod):
    """Online hard example mining (Shrivastava et al., CVPR 2016, section 4): of a batch only the largest losses count.

    The paper mines regions of an image; here it is images of a batch (our choice).

    Parameters
    ----------
    share : float
        Share of the batch that counts, in (0, 1]; 1 is the loss itself.
    tau : float
        Strength of the loss's logit adjustment; 0, the paper's, is cross-entropy.
    """

    name: ClassVar[str] = "ohem"
    limits: ClassVar = {"share": "(0, 1]", "tau": "[0, inf)"}

    share: float = 0.5
    tau: float = 0.0

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """Mean of the ⌈share · B⌉ largest of CE(s + τ log π)."""
        prior = torch.log(facts.counts_like(logits) / sum(facts.counts)).to(logits)
        each = nn.functional.cross_entropy(logits + self.tau * prior, target, reduction="none")
        return each.topk(math.ceil(self.share * len(each))).values.mean()


@dataclass(frozen=True)
class LDAM(LossMethod):
    """Label-distribution-aware margins with deferred re-weighting (Cao et al., NeurIPS 2019, sections 3.2 and 3.3).

    The head is normalised: its outputs are cosines, which the loss scales.

    Parameters
    ----------
    max_margin : float
        Margin of the rarest class.
    scale : float
        Factor on the cosines.
    reweight_from : float
        Share of the training after which the classes are weighted by the effective number; the paper re-weights for
        the last fifth. 1 never does.
    beta : float
        Of the effective number.
    """

    name: ClassVar[str] = "ldam"
    limits: ClassVar = {"max_margin": "[0, inf)", "scale": "(0, inf)", "reweight_from": "[0, 1]", "beta": "[0, 1)"}

    max_margin: float = 0.5
    scale: float = 30.0
    reweight_from: float = 0.8
    beta: float = 0.99

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """Replace the linear head by a normalised one."""
        model.head = NormalizedLinear(model.head.in_features, len(facts.counts))
        return model

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """CE(scale · (cosines − margin of the true class)), re-weighted late."""
        late = progress >= self.reweight_from
        weight = class_weights("effective-number", self.beta, facts, logits) if late else None
        return losses.ldam_loss(logits, target, facts.counts_like(logits), self.max_margin, self.scale, weight)

    def adjust(self, logits: Tensor, facts: TrainingFacts) -> Tensor:
        """Cosines times the scale they were trained with; there is no margin in a prediction."""
        return logits * self.scale


@dataclass(frozen=True)
class LogitAdjusted(LossMethod):
    """Logit adjustment (Menon et al., ICLR 2021, sections 4.1 and 4.2).

    Parameters
    ----------
    tau : float
        Strength; 1 makes the optimum the balanced error's.
    post_hoc : bool
        False: the priors are added to the logits in training, and predictions use the logits as they are.
        True: training is plain cross-entropy, and the priors are subtracted from the logits of a prediction.
    """

    name: ClassVar[str] = "logit-adjusted"
    limits: ClassVar = {"tau": "[0, inf)"}

    tau: float = 1.0
    post_hoc: bool = False

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """CE(s + τ log π), or plain CE where the adjustment is made after training."""
        if self.post_hoc:
            return nn.functional.cross_entropy(logits, target)
        return losses.logit_adjusted_loss(logits, target, facts.counts_like(logits), self.tau)

    def adjust(self, logits: Tensor, facts: TrainingFacts) -> Tensor:
        """Post hoc: s − τ log π."""
        if not self.post_hoc:
            return logits
        counts = facts.counts_like(logits)
        return logits - self.tau * torch.log(counts / counts.sum()).to(logits)


@dataclass(frozen=True)
class BalancedSampling(BuiltOnLoss):
    """Batches in which every class is equally likely: rare images are shown more often, augmented anew each time.

    The number of updates is that of every other method.

    Parameters
    ----------
    classification : LossMethod
        The loss on these batches.
    """

    name: ClassVar[str] = "balanced-sampling"

    classification: LossMethod = field(default_factory=CrossEntropy)

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage, with balanced batches."""
        return [Stage(self.name, epochs, self.classification.terms(facts), sampler="class-balanced")]


@dataclass(frozen=True)
class ClassifierRetraining(TrainedMethod):
    """Classifier retraining, cRT (Kang et al., ICLR 2020, section 4.1).

    Features are learned from shuffled images; then the head starts afresh and is trained alone on balanced batches.

    Parameters
    ----------
    share : float
        Share of the epochs that the retraining gets, in (0, 1).
    """

    name: ClassVar[str] = "classifier-retraining"
    limits: ClassVar = {"share": "(0, 1)"}

    share: float = 0.25

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """The whole network on shuffled images, then the head on balanced ones."""
        first, second = two_stages(epochs, self.share, self.name)
        terms = CrossEntropy().terms(facts)
        return [
            plain_features(first, facts),
            Stage("head", second, Update(terms, trainable=("head.",)), sampler="class-balanced", begin=restart_head),
        ]


@dataclass(frozen=True)
class FeatureSMOTE(TrainedMethod):
    """SMOTE on the pooled features (Chawla et al., JAIR 2002, through imbalanced-learn), then a new head.

    Parameters
    ----------
    share : float
        Share of the epochs that the head gets, in (0, 1).
    neighbors : int
        Between how many nearest neighbours new features are drawn; fewer where a class is smaller.
    """

    name: ClassVar[str] = "feature-smote"
    limits: ClassVar = {"share": "(0, 1)", "neighbors": "whole [1, inf)"}

    share: float = 0.25
    neighbors: int = 5

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """The whole network, then the head alone on real and interpolated features."""
        first, second = two_stages(epochs, self.share, self.name)
        fill = {"begin": restart_head, "resample": lambda model, *given: self.resample(*given)}
        return [plain_features(first, facts), head_stage(second, CrossEntropy(), facts, **fill)]

    def resample(self, features: np.ndarray, labels: np.ndarray, seed: int, amount: float = 1.0) -> Table:
        """Fill every class up to the largest one's count, or to a share of it.

        Parameters
        ----------
        features : float (N, K)
        labels : int (N,)
        seed : int
        amount : float
            The share, above 0.

        Returns
        -------
        features (M, K), labels (M,)
            The real ones first.

        Raises
        ------
        MissingPackageError
            If imbalanced-learn is not installed.
        """
        try:
            from imblearn.over_sampling import SMOTE, RandomOverSampler
        except ImportError as error:
            raise MissingPackageError(
                "feature-smote needs imbalanced-learn: pip install 'careedu[data]' (or imbalanced-learn)"
            ) from error
        counts = {c: int(n) for c, n in enumerate(np.bincount(labels)) if n}
        filled = {c: max(n, round(amount * max(counts.values()))) for c, n in counts.items()}
        options = {"random_state": seed, "sampling_strategy": "auto" if amount == 1 else filled}
        smallest = min(counts.values())
        if smallest == 1:
            # One image has no neighbour to interpolate with: repeating it is all that is left.
            return RandomOverSampler(**options).fit_resample(features, labels)
        return SMOTE(k_neighbors=min(self.neighbors, smallest - 1), **options).fit_resample(features, labels)


def restart_head(model: nn.Module) -> None:
    """Start the head's weights afresh."""
    model.head.reset_parameters()


def plain_features(epochs: int, facts: TrainingFacts) -> Stage:
    """The first stage of methods that learn features by plain cross-entropy and change the head alone."""
    shared = {"loss": CrossEntropy.name, "revision": CrossEntropy.revision, "lesions": False}
    return Stage("features", epochs, CrossEntropy().terms(facts), shared=shared)
