"""Generators of features, and the discriminators that train them: ACGAN and WGAN-GP with a class term.

Two papers behind one face: Odena, Olah and Shlens (ICML 2017) and Xian et al. (CVPR 2018). They train on the one loop,
as a stage with two updates (`adversarial_stage`), and so on features of your own (`ACGAN.fit`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from textwrap import shorten
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError, check_number
from careedu.training.batch import FeatureBatch, FeatureTable
from careedu.training.isolation import plain_torch
from careedu.training.loop import Training
from careedu.training.stage import Stage, Update

PENALTY, CLASS_WEIGHT = 10.0, 0.01
"""WGAN-GP: of the gradient's length (Gulrajani et al. 2017), and of the generator's class term (Xian et al. 2018)."""
BATCH, WIDTH = 64, 128
Verdict = tuple[Tensor, Tensor]
"""Of a discriminator: for real or not, (N,), and the class logits, (N, C)."""
LEARNING_RATE = 0.3  # of the loop's


def discriminator_loss(real: Verdict, labels: Tensor, made: Verdict, wanted: Tensor) -> dict[str, Tensor]:
    """−L_S and −L_C of ACGAN (Odena et al., ICML 2017, equations 2 and 3), whose sum the discriminator minimises.

    −L_S = mean −log σ(s(x)) + mean −log(1 − σ(s(x̂))),  −L_C = mean CE(c(x), y) + mean CE(c(x̂), ŷ)

    Parameters
    ----------
    real, made : (float (B,), float (B, C))
        s and c of real features x and of generated ones x̂: logits of being real, and of the classes.
    labels, wanted : int64 (B,)
        y, and the classes ŷ that were asked for.

    Returns
    -------
    dict of str to ()
        ``"source"`` and ``"class"``.
    """
    source = functional.softplus(-real[0]).mean() + functional.softplus(made[0]).mean()
    classes = functional.cross_entropy(real[1], labels) + functional.cross_entropy(made[1], wanted)
    return {"source": source, "class": classes}


def generator_loss(made: Verdict, wanted: Tensor) -> dict[str, Tensor]:
    """What ACGAN's generator minimises: mean −log σ(s(x̂)), which does not saturate, and mean CE(c(x̂), ŷ).

    The paper's generator maximises L_C − L_S; its log(1 − σ(s)) has no gradient where the discriminator is sure
    (Goodfellow et al., NeurIPS 2014, section 3). Arguments are those of :func:`discriminator_loss`.
    """
    return {"source": functional.softplus(-made[0]).mean(), "class": functional.cross_entropy(made[1], wanted)}


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, mix: Tensor) -> Tensor:
    """Mean (‖∇f(x̃)‖ − 1)² at x̃ = u x + (1 − u) x̂ (Gulrajani et al., NeurIPS 2017, section 4).

    Parameters
    ----------
    critic : callable
        f, from features (B, D) to (B,), each row by itself.
    real, made : float (B, D)
    mix : float (B, 1)
        u, in [0, 1].
    """
    between = (mix * real + (1 - mix) * made).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


class ACGAN(nn.Module):
    """An auxiliary classifier GAN on features (Odena et al., ICML 2017): a generator told the class, a discriminator.

    Both are perceptrons with two hidden layers (our choice). The discriminator's two outputs are logits.

    Parameters
    ----------
    feature_shape : int or sequence of int
        Of one feature: K, or (K, h, w).
    classes : int
    noise_dim : int
        Numbers, normal, that the generator is given beside the class, one-hot.

    Attributes
    ----------
    scale : float ()
        The features are divided by it inside, so that they lie about in [−1, 1]: `fit` takes the 99.9th percentile
        of their size.
    """

    every: ClassVar[int] = 1
    """The generator has one update in so many batches."""
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    def __init__(self, feature_shape: int | Sequence[int], classes: int, noise_dim: int = 100) -> None:
        super().__init__()
        self.shape = tuple(np.ravel(feature_shape).tolist())
        for number in (*(self.shape or (0,)), classes, noise_dim):
            check_number("each of feature_shape, classes and noise_dim", number, "whole [1, inf)")
        self.classes, self.noise_dim, size = classes, noise_dim, math.prod(self.shape)
        self.generator = _layers(noise_dim + classes, size)
        self.discriminator = self._discriminator(size)
        self.register_buffer("scale", torch.ones(()))

    def _discriminator(self, size: int) -> nn.Module:
        return _layers(size, 1 + self.classes)

    def judge(self, x: Tensor, labels: Tensor) -> Verdict:
        """Logits of scaled features (B, D) being real, (B,), and of the classes, (B, C); told what they claim to be."""
        out = self.discriminator(x)
        return out[:, 0], out[:, 1:]

    def make(self, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled features (B, D) of these classes, int64 (B,), from noise (B, noise_dim), which is drawn by default."""
        noise = torch.randn(len(labels), self.noise_dim, device=labels.device) if noise is None else noise
        return self.generator(torch.cat([functional.one_hot(labels, self.classes).to(noise), noise], dim=1))

    def discriminator_terms(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss of one update of the discriminator, of scaled features (B, D)."""
        wanted = torch.randint_like(labels, self.classes)
        made = self.make(wanted).detach()
        return discriminator_loss(self.judge(x, labels), labels, self.judge(made, wanted), wanted)

    def generator_terms(self, wanted: Tensor) -> dict[str, Tensor]:
        """Loss of one update of the generator."""
        return generator_loss(self.judge(self.make(wanted), wanted), wanted)

    def fit(
        self, features: Tensor, labels: Tensor, *, epochs: int = 400, seed: int = 0, progress: bool = False
    ) -> ACGAN:
        """Train on features float (N, *feature_shape) and labels int (N,), classes equally often; returns itself.

        It goes on from the weights it has: the first ones come from torch's generator, when it is built.

        Parameters
        ----------
        features : float (N, *feature_shape)
        labels : int (N,)
        epochs : int
        seed : int
            Of the order of the features and of the noise.
        progress : bool
            Whether a progress bar is shown.

        Raises
        ------
        InvalidInputError
            If shapes or labels do not fit.
        """
        features, labels = self._features(features), self._labels(labels)
        if len(labels) < 2 or len(features) != len(labels) or not bool(features.isfinite().all()):
            raise InvalidInputError(f"{len(features)} features want as many labels, two or more, and to be finite")
        self.scale.fill_(scale_of(features))
        stages = [adversarial_stage(lambda model: model, type(self), "", epochs)]
        rates = {"learning_rate": 3e-3, "weight_decay": 0.0}
        training = Training(self, stages, FeatureTable(features, labels), Augmentation(), seed, BATCH, **rates)
        training.run(progress=progress, description=type(self).__name__)
        return self.requires_grad_(True)

    @plain_torch()
    def sample(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Features float32 (n, *feature_shape) of these classes, int (n,), in the units of what was trained on.

        Noise is drawn on the CPU, from `generator` or from torch's.
        """
        labels = self._labels(labels)
        noise = torch.randn(len(labels), self.noise_dim, generator=generator).to(self.scale)
        with torch.no_grad():
            return (self.make(labels, noise) * self.scale).reshape(-1, *self.shape)

    @plain_torch()
    def agrees(self, features: Tensor, labels: Tensor) -> Tensor:
        """Whether the discriminator gives each feature (n, *feature_shape) its class, bool (n,)."""
        self.eval()
        labels = self._labels(labels)
        with torch.no_grad():
            return self.judge(self._features(features).flatten(1) / self.scale, labels)[1].argmax(dim=1) == labels

    def sample_agreed(self, labels: Tensor, generator: torch.Generator, tries: int = 10) -> tuple[Tensor, Tensor]:
        """As `sample`, but only features that have their class by the discriminator: `tries` draws of each, at most.

        Returns
        -------
        features, labels
            Fewer than were asked for, where it does not agree often enough.
        """
        labels, kept = self._labels(labels), []
        for _ in range(tries):
            made = self.sample(labels, generator)
            good = self.agrees(made, labels)
            kept.append((made[good], labels[good]))
            labels = labels[~good]
        features, classes = zip(*kept, strict=True)
        return torch.cat(features), torch.cat(classes)

    def _features(self, features: Tensor) -> Tensor:
        features = torch.as_tensor(features, dtype=torch.float32, device=self.scale.device)
        if tuple(features.shape[1:]) != self.shape:
            raise InvalidInputError(f"features must be (N, {', '.join(map(str, self.shape))}), not {features.shape}")
        return features

    def _labels(self, labels: Tensor) -> Tensor:
        labels = torch.as_tensor(labels, device=self.scale.device)
        known = not len(labels) or (not labels.is_floating_point() and 0 <= labels.min() <= labels.max() < self.classes)
        if labels.dim() != 1 or not known:
            told = shorten(str(labels.tolist()), 60)
            raise InvalidInputError(f"labels must be (N,) whole numbers from 0 to {self.classes - 1}, not {told}")
        return labels.long()


class WGANGP(ACGAN):
    """A Wasserstein GAN with gradient penalty and a class term, f-CLSWGAN (Xian et al., CVPR 2018, section 3.1).

    The critic is told the class: it has an output for each (our choice; the paper's is given it as input). L_critic =
    mean f(x̂, ŷ) − mean f(x, y) + 10 · :func:`gradient_penalty`; L_generator = −mean f(x̂, ŷ) + .01 · mean CE(c(x̂), ŷ).
    The classifier c, which the paper trains before, shares no layer with the critic and learns beside it, from real
    features alone (our choice).
    """

    every: ClassVar[int] = 5
    betas: ClassVar[tuple[float, float]] = (0.5, 0.9)

    def _discriminator(self, size: int) -> nn.Module:
        return nn.ModuleDict({"critic": _layers(size, self.classes), "classifier": _layers(size, self.classes)})

    def judge(self, x: Tensor, labels: Tensor) -> Verdict:
        """The critic's f(x, y), (B,), and logits of the classes, (B, C)."""
        critic, classifier = self.discriminator.values()
        return critic(x).gather(1, labels[:, None])[:, 0], classifier(x)

    def discriminator_terms(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss of one update of critic and classifier; generated features have the classes of the real ones."""
        made = self.make(labels).detach()
        (real, classes), (other, _) = self.judge(x, labels), self.judge(made, labels)
        mix = torch.rand(len(x), 1, device=x.device)
        penalty = PENALTY * gradient_penalty(lambda z: self.judge(z, labels)[0], x, made, mix)
        loss = functional.cross_entropy(classes, labels)
        return {"source": other.mean() - real.mean(), "penalty": penalty, "class": loss}

    def generator_terms(self, wanted: Tensor) -> dict[str, Tensor]:
        """Loss of one update of the generator."""
        source, classes = self.judge(self.make(wanted), wanted)
        return {"source": -source.mean(), "class": CLASS_WEIGHT * functional.cross_entropy(classes, wanted)}


def _layers(before: int, after: int) -> nn.Sequential:
    first, *others = (nn.Linear(a, b) for a, b in pairwise((before, WIDTH, WIDTH, after)))
    return nn.Sequential(first, *(part for layer in others for part in (nn.LeakyReLU(0.2), layer)))


def scale_of(features: Tensor) -> float:
    """The 99.9th percentile of the size of features; 1 where all are 0."""
    return float(np.percentile(features.detach().abs().cpu().numpy(), 99.9)) or 1.0


def adversarial_stage(
    gan_of: Callable[[nn.Module], ACGAN], like: type[ACGAN], prefix: str, epochs: int, **more: Any
) -> Stage:
    """Discriminator and generator in turn, on features: a stage with two updates.

    Parameters
    ----------
    gan_of : callable
        Where the network has the two.
    like : class
        `ACGAN` or `WGANGP`, whose updates these are.
    prefix : str
        Of the names of their parameters.
    epochs : int
    **more
        Of the stage.
    """

    def update(part: str, **options: Any) -> Update:
        def terms(model: nn.Module, batch: FeatureBatch) -> Mapping[str, Tensor]:
            gan = gan_of(model)
            if part == "discriminator":
                own = gan.discriminator_terms(batch.inputs.flatten(1) / gan.scale, batch.labels)
            else:
                own = gan.generator_terms(torch.randint_like(batch.labels, gan.classes))
            return {f"{part}, {name}": term for name, term in own.items()}

        fixed = {"betas": like.betas, "weight_decay": 0.0, "schedule": "constant", "learning_rate": LEARNING_RATE}
        return Update(terms, (f"{prefix}{part}.",), **fixed, **options)

    more = {"inputs": "pooled-features", "sampler": "class-balanced", "supervised": False, **more}
    updates = [update("discriminator"), update("generator", every=like.every)]
    return Stage("generation", epochs, updates, batch_size=BATCH, **more)
