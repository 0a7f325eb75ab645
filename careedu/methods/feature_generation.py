"""Feature generation: new features of the rare classes, from a generator that a discriminator has trained.

Mehra, Soliman and Sahoo, arXiv 2209.14097 (the authors' report): a segmentation network gives the features, an ACGAN
conditioned on the class makes more of the rare one, a small classifier learns from both. Here the segmentation is a
pretraining like any other (`careedu.methods.segmentation`), and the classifier the network's linear head. By yourself,
on features of your own:

>>> import torch
>>> from careedu.methods.feature_generation import ACGAN
>>> features, labels = torch.rand(60, 48), torch.arange(60) % 3  # pooled features of your network
>>> made = ACGAN(48, classes=3).fit(features, labels, epochs=2).sample(torch.tensor([2, 2, 2]))
>>> made.shape
torch.Size([3, 48])
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from careedu.errors import InvalidInputError
from careedu.measure.feature_quality import feature_quality
from careedu.methods.adversarial import ACGAN, WGANGP, adversarial_stage, scale_of
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import CrossEntropy, FeatureSMOTE, plain_features, restart_head
from careedu.methods.method import BuiltOnLoss, LossMethod, Pretraining, head_stage, standardize_features, two_stages
from careedu.methods.segmentation import Segmentation
from careedu.training.prediction import as_array, pooled_or_maps
from careedu.training.stage import SAMPLERS, Stage, Table

NETWORKS = {"acgan": ACGAN, "wgan-gp": WGANGP}
GENERATORS = ("none", *NETWORKS, "smote", "gaussian", "deviations")
FEATURES = {"pooled": "pooled-features", "maps": "feature-maps"}
PART = "generation"


@dataclass(frozen=True)
class FeatureGeneration(BuiltOnLoss):
    """Feature generation (Mehra et al., arXiv 2209.14097), or a cheaper way to new features in its place.

    A pretraining gives the features, which then rest; the generator learns them; generated ones fill up the classes;
    the head is trained on both.

    Parameters
    ----------
    classification : LossMethod
        Of the head, which is told how many features of each class there are then.
    pretrain : Pretraining, optional
        Where the features come from: `Segmentation`. None for plain cross-entropy on the images. By keyword only.
    generator : str
        ``"acgan"`` or ``"wgan-gp"``, see `ACGAN` and `WGANGP`. Rivals: ``"smote"``; ``"gaussian"``, each number by the
        mean and spread of its class; ``"deviations"``, the mean of the class plus the deviation of any training feature
        from the mean of its own class; ``"none"``.
    amount : float
        A class with fewer features than this share of the largest class is filled up to it.
    real : bool
        Whether the head sees real features too. Without, each class gets as many generated ones as `amount` says:
        train on synthetic, test on real.
    features : str
        What the networks generate: ``"pooled"`` features, or ``"maps"``, which are pooled then.
    sampler : str
        Of the head's batches: ``"shuffle"`` or ``"class-balanced"``.
    generator_epochs : int
        Counted apart.
    noise_dim : int
    share : float
        Share of the epochs that the head gets where there is no pretraining, in (0, 1).

    Notes
    -----
    The paper states segmentation network, ACGAN, and that a feature is kept only if the discriminator gives it its
    class; its classifier is a small convolutional one on maps. The head, pooled features, sizes, scale and that the
    generator sees classes equally often are our choice. Where in ten draws the discriminator agrees too seldom, there
    are fewer features, and a warning tells it. The history of the generator has, of as many generated features as a
    class has, pooled, ``"class agreement"``, ``"near copies"`` and each class's Fréchet distance to the training
    features.
    """

    name: ClassVar[str] = "feature-generation"
    choices: ClassVar = {"generator": GENERATORS, "features": FEATURES, "sampler": SAMPLERS}
    # A generator has its first update after five batches at the latest.
    limits: ClassVar = {"amount": "(0, inf)", "share": "(0, 1)", "noise_dim": "whole [1, inf)"}
    limits |= {"generator_epochs": "whole [5, inf)"}

    classification: LossMethod = field(default_factory=CrossEntropy)
    generator: str = "acgan"
    amount: float = 1.0
    real: bool = True
    features: str = "pooled"
    sampler: str = "shuffle"
    generator_epochs: int = 400
    noise_dim: int = 100
    share: float = 0.25
    pretrain: Pretraining | None = field(default_factory=Segmentation, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.real and self.generator in ("none", "smote"):
            raise InvalidInputError(f"generator={self.generator!r} makes no class anew: real=False leaves nothing")
        if self.pretrain is None and type(self.classification).wrap is not LossMethod.wrap:
            loss = self.classification.name
            raise InvalidInputError(f"pretrain=None begins with plain cross-entropy, and {loss!r} has another head")

    def counts(self, real: Sequence[int]) -> list[int]:
        """How many features are generated of each class, of which there are so many real ones."""
        wanted = round(self.amount * max(real))
        return [0 if self.generator == "none" else max(0, wanted - n * self.real) for n in real]

    def shown(self, facts: TrainingFacts) -> TrainingFacts:
        """The facts with the counts of what the head is trained on."""
        made = self.counts(facts.counts)
        return replace(facts, counts=tuple(max(1, n * self.real + m) for n, m in zip(facts.counts, made, strict=True)))

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, and features that are standardised where they rest from the beginning."""
        model = super().wrap(model, facts)
        if self.pretrain is not None:
            model.fill("after", nn.BatchNorm2d(model.channels, affine=False))
        return model

    def network(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """The same, with the two networks of the generation."""
        model = super().network(model, facts)
        if self.generator in NETWORKS:
            shape = (model.channels,)
            if self.features == "maps":
                with torch.no_grad():
                    shape = tuple(model.eval().features(torch.zeros(1, *facts.image_shape)).shape[1:])
            model.training_parts[PART] = NETWORKS[self.generator](shape, len(facts.counts), self.noise_dim)
        return model

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """Features, where no pretraining gives them, then the generation, then the head."""
        first, head = (0, epochs) if self.pretrain else two_stages(epochs, self.share, self.name)
        before = [plain_features(first, facts)] if first else []
        begin = restart_head if before else standardize_features(facts)
        generation = [self._generation(facts, begin)] if self.generator in NETWORKS else []
        fill = {} if self.generator == "none" else {"resample": self.resample}
        last = head_stage(head, self.classification, self.shown(facts), begin=begin, sampler=self.sampler, **fill)
        return [*before, *generation, last]

    def _generation(self, facts: TrainingFacts, begin: Callable[[nn.Module], object]) -> Stage:
        known: list[np.ndarray] = []

        def features(model: nn.Module, pooled: bool) -> Tensor:
            return pooled_or_maps(model, facts.dataset.images.to(model.mean.device), pooled)

        def start(model: nn.Module) -> None:
            begin(model)
            known.clear()
            model.training_parts[PART].scale.fill_(scale_of(features(model, self.features == "pooled")))

        def look(model: nn.Module) -> dict[str, Tensor]:
            if not known:  # the features rest, so once will do, also where a stopped training goes on
                known.append(as_array(features(model, True)))
            gan, labels = model.training_parts[PART], facts.dataset.labels.to(model.mean.device)
            made = gan.sample(labels)
            quality = feature_quality(as_array(_pooled(made)), *known, as_array(labels), facts.dataset.classes)
            quality["class agreement"] = gan.agrees(made, labels).float().mean()
            return {name: torch.as_tensor(value) for name, value in quality.items()}

        options = {"inputs": FEATURES[self.features], "begin": start, "record": look}
        prefix, epochs = f"training_parts.{PART}.", self.generator_epochs
        return adversarial_stage(
            lambda model: model.training_parts[PART], NETWORKS[self.generator], prefix, epochs, **options
        )

    def resample(self, model: nn.Module, features: np.ndarray, labels: np.ndarray, seed: int) -> Table:
        """Real features float32 (N, K) and their labels, followed by generated ones; or generated ones alone."""
        counts = self.counts(np.bincount(labels, minlength=model.head.out_features).tolist())
        wanted = np.repeat(np.arange(len(counts)), counts)
        if self.generator == "smote":
            made, of = FeatureSMOTE().resample(features, labels, seed, self.amount)
            made, of = made[len(labels) :], of[len(labels) :]
        elif self.generator in NETWORKS:
            generator = torch.Generator().manual_seed(seed)
            made, of = model.training_parts[PART].sample_agreed(torch.from_numpy(wanted), generator)
            made, of = as_array(_pooled(made)), as_array(of)
            if len(of) < len(wanted):
                kept = np.bincount(of, minlength=len(counts)).tolist()
                told = f"the discriminator agrees with {kept} of {counts} features of the classes: the head has fewer"
                warnings.warn(f"{told}; give it more generator_epochs", stacklevel=2)
        else:
            made, of = _by_moments(self.generator, features, labels, wanted, np.random.default_rng(seed)), wanted
        start = 0 if self.real else len(labels)
        return np.concatenate([features, made])[start:].astype(features.dtype), np.concatenate([labels, of])[start:]


def _pooled(features: Tensor) -> Tensor:
    return features.flatten(2).mean(dim=2) if features.dim() > 2 else features


def _by_moments(
    kind: str, features: np.ndarray, labels: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Features (n, K) of the classes `wanted`: the class's mean, and its spread or deviations from all classes."""
    classes = np.arange(max(labels.max(), wanted.max(initial=0)) + 1)
    mean = np.stack([features[labels == c].mean(axis=0) for c in classes])
    if kind == "deviations":
        return mean[wanted] + (features - mean[labels])[rng.integers(len(labels), size=len(wanted))]
    spread = np.stack([features[labels == c].std(axis=0) for c in classes])
    return rng.normal(mean[wanted], spread[wanted])
