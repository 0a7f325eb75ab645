"""What a method is: a declaration that the one training loop carries out.

A method says how the network is wrapped, in which stages it is trained, which parameters a stage moves, how its batches
are drawn and which named terms its loss has. It runs no loop of its own: `careedu.fit` does, alike for all of them.
"""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError, check_known, check_number
from careedu.methods.facts import TrainingFacts, Workspace
from careedu.methods.registry import METHODS, OWN, method_class
from careedu.training.batch import Batch, FeatureBatch
from careedu.training.prediction import pooled_or_maps
from careedu.training.stage import Stage, Terms, Update


@dataclass(frozen=True)
class Method(ABC):
    """Base of every method. Subclasses are frozen dataclasses whose fields are the method's options.

    A class of your own is found by its name as soon as it is defined, in a notebook too, and the latest definition
    counts. :func:`careedu.check_method` tells whether it keeps to what the others rely on.
    """

    name: ClassVar[str]
    """The method's name on the command line and in tables, stated by each class for itself."""
    revision: ClassVar[int] = 1
    """Raised by hand when the method's results change, so that saved runs tell old from new."""
    choices: ClassVar[Mapping[str, Collection[str]]] = {}
    """Options that are one of a few names, and these."""
    limits: ClassVar[Mapping[str, str]] = {}
    """Options that are numbers, and the interval of each as `careedu.errors.check_number` takes it."""

    def __post_init__(self) -> None:
        for option, names in self.choices.items():
            check_known(f"value of {option}", getattr(self, option), names)
        for option, interval in self.limits.items():
            value = getattr(self, option)
            if value is not None or type(self).__dataclass_fields__[option].default is not None:
                check_number(option, value, interval)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name = vars(cls).get("name")
        if name in METHODS:
            module, class_name, _ = METHODS[name]
            if (cls.__module__, cls.__name__) != (f"careedu.methods.{module}", class_name):
                raise InvalidInputError(
                    f"the name {name!r} is taken by careedu.{class_name}: give {cls.__name__} another"
                )
        elif isinstance(name, str):
            OWN[name] = cls

    @classmethod
    def declared_options(cls) -> dict[str, dataclasses.Field]:
        """The fields that are the method's options, by name.

        Raises
        ------
        InvalidInputError
            If the class has no name of its own, or takes what it does not declare: its runs could not be told apart.
        """
        if not isinstance(vars(cls).get("name"), str):
            raise InvalidInputError(
                f"the class {cls.__name__} states no name of its own, by which its runs are told from those of other "
                'methods: add a line such as name = "mine"'
            )
        declared = {f.name: f for f in dataclasses.fields(cls) if f.init}
        if "name" in declared or inspect.signature(cls).parameters.keys() != declared.keys():
            raise InvalidInputError(
                f"the options of {cls.__name__}, by which its runs are told apart, must be the fields of a dataclass: "
                "put @dataclass(frozen=True) above it and write each option as a field, with neither an __init__ nor a "
                "field called name"
            )
        return declared

    def options(self) -> dict[str, Any]:
        """The options as JSON values; a method inside a method becomes ``{"method": name, ...}``."""
        values = {name: (f, getattr(self, name)) for name, f in self.declared_options().items()}
        # What every trained method has and does not use is left out: runs from before it was there are the same runs.
        unused = {name for name, (f, value) in values.items() if f.kw_only and f.default is None and value is None}
        return {name: _json_value(value) for name, (_, value) in values.items() if name not in unused}

    def own_classes(self) -> dict[str, str]:
        """Name and place, ``"module:class"``, of what is not careedu's: the method itself, and methods inside it."""
        own = {} if self.name in METHODS else {self.name: f"{type(self).__module__}:{type(self).__name__}"}
        for inner in self._inner_methods():
            own |= inner.own_classes()
        return own

    def all_revisions(self) -> str:
        """The method's revision and those of the methods inside it, as "2" or "2.1"."""
        return ".".join([str(self.revision), *(inner.all_revisions() for inner in self._inner_methods())])

    def _inner_methods(self) -> list[Method]:
        return [v for f in dataclasses.fields(self) if isinstance(v := getattr(self, f.name), Method)]

    def label(self) -> str:
        """The name, with those options that differ from their defaults: unique within a table."""
        changed = []
        for f in self.declared_options().values():
            value = getattr(self, f.name)
            # Not by identity: the class of a notebook brings a MISSING of its own to other processes.
            default = f.default_factory() if callable(f.default_factory) else f.default
            if value != default:
                changed.append(f"{f.name}={value.label() if isinstance(value, Method) else value}")
        return f"{self.name} ({', '.join(changed)})" if changed else self.name

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images this method trains on; by default those of `data`."""
        return data.train

    def prepare_in(self, workspace: Workspace, data: Splits, seed: int) -> LesionDataset:
        """The same, for a method that has to train something of its own for it: what `careedu.fit` calls."""
        return self.prepare(data, seed)

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """Change the network where the method needs it; by default not at all."""
        return model

    def adjust(self, logits: Tensor, facts: TrainingFacts) -> Tensor:
        """Turn the network's output (N, C) into the logits of which the softmax is the prediction."""
        return logits


@dataclass(frozen=True)
class TrainedMethod(Method):
    """A method that trains the network, in the stages it declares.

    Parameters
    ----------
    pretrain : Pretraining, optional
        What the network learns before, without any class, such as ``careedu.SimCLR()``. By keyword only.

    Raises
    ------
    InvalidInputError
        If it is none.
    """

    pretrain: Pretraining | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.pretrain, str):
            object.__setattr__(self, "pretrain", method_class(self.pretrain)())
        if self.pretrain is not None and not isinstance(self.pretrain, Pretraining):
            raise InvalidInputError(f"pretrain={self.pretrain!r} must be a pretraining, such as careedu.SimCLR()")

    @abstractmethod
    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """The stages in order; the epochs of the supervised ones add up to `epochs`."""

    def all_stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """The pretraining, where there is one, and then the method's own stages."""
        before = [] if self.pretrain is None else self.pretrain.pretraining(facts)
        return [*before, *self.stages(facts, epochs)]

    def network(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """The network as it is trained: as `wrap` makes it, and with the parts that a pretraining needs."""
        model = self.wrap(model, facts)
        if self.pretrain is not None:
            self.pretrain.add_parts(model)
        return model


class LossMethod(TrainedMethod):
    """A method that is a classification loss and nothing else, so that other methods can build on it."""

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """The classification loss of logits (B, C) and target (B,), a scalar.

        `progress` is the share of the training done, in [0, 1), for losses that change their weights late.
        """

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage: the loss on shuffled images."""
        return [Stage(self.name, epochs, self.terms(facts))]

    def terms(self, facts: TrainingFacts, progress: Callable[[float], float] = lambda within: within) -> Terms:
        """The loss as the terms of a stage; `progress` turns the share of that stage into the share of the training."""

        def classification(model: nn.Module, batch: Batch | FeatureBatch) -> dict[str, Tensor]:
            return {"classification": self.loss(model(batch.inputs), batch.labels, facts, progress(batch.progress))}

        return classification


@dataclass(frozen=True)
class BuiltOnLoss(TrainedMethod):
    """A method that is built on a classification loss: the network and the predictions are those that the loss needs.

    Parameters
    ----------
    classification : LossMethod
        Any loss, or its name.

    Raises
    ------
    InvalidInputError
        If it is no loss.
    """

    classification: LossMethod

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.classification, str):
            object.__setattr__(self, "classification", method_class(self.classification)())
        if not isinstance(self.classification, LossMethod):
            raise InvalidInputError(
                f"classification={self.classification!r} must be a loss, such as careedu.Focal(), or the name of one"
            )
        if self.classification.pretrain is not None:
            raise InvalidInputError(f"a loss is not pretrained: give pretrain= to {self.name!r} itself")

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """By default one stage: the loss on shuffled images."""
        return [Stage(self.name, epochs, self.classification.terms(facts))]

    def shown(self, facts: TrainingFacts) -> TrainingFacts:
        """The facts as the loss is to see them: by default as they are."""
        return facts

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs."""
        return self.classification.wrap(model, self.shown(facts))

    def adjust(self, logits: Tensor, facts: TrainingFacts) -> Tensor:
        """What the loss needs."""
        return self.classification.adjust(logits, self.shown(facts))


@dataclass(frozen=True)
class Pretraining(BuiltOnLoss):
    """A method that learns from images, or their masks, and no class, so that any other can begin with it: `pretrain`.

    By itself it is the linear evaluation of what it has learned: the body rests, and a linear head is trained on the
    pooled features of the unaugmented images, each feature standardised over these.

    Parameters
    ----------
    classification : LossMethod
        The head's loss.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrain is not None:
            raise InvalidInputError(f"{self.name!r} is a pretraining itself: leave out its pretrain=")

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the head's loss needs, and features that are standardised before it."""
        model = super().wrap(model, facts)
        model.fill("after", nn.BatchNorm2d(model.channels, affine=False))
        return model

    @abstractmethod
    def pretraining(self, facts: TrainingFacts) -> list[Stage]:
        """The stages, not supervised, that move nothing but the body and parts that only training needs."""

    @abstractmethod
    def add_parts(self, model: nn.Module) -> None:
        """Put what only these stages need into the network's `training_parts`."""

    def network(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the head's loss needs, and what the pretraining does."""
        model = self.wrap(model, facts)
        self.add_parts(model)
        return model

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """The pretraining, and then the head on features that rest."""
        head = head_stage(epochs, self.classification, facts)
        return [*self.pretraining(facts), dataclasses.replace(head, begin=standardize_features(facts))]


def head_stage(epochs: int, loss: LossMethod, facts: TrainingFacts, **options: Any) -> Stage:
    """A stage in which a loss trains the head on pooled features that are computed once."""

    def head_only(model: nn.Module, batch: FeatureBatch) -> dict[str, Tensor]:
        return {"classification": loss.loss(model.head(batch.inputs), batch.labels, facts, batch.progress)}

    return Stage("head", epochs, Update(head_only, trainable=("head.",)), inputs="pooled-features", **options)


def restart(part: nn.Module) -> None:
    """Draw the first weights of a part anew, so that they follow from the seed, not from what was drawn before."""
    for layer in part.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


def standardize_features(facts: TrainingFacts) -> Callable[[nn.Module], None]:
    """What begins a stage on features that rest: the slot `after` standardises them over the training images."""

    def standardize(model: nn.Module) -> None:
        model.after.reset_running_stats()  # it may have been called before: of features as they are
        z = pooled_or_maps(model, facts.dataset.images.to(model.mean.device), pooled=True)
        model.after.running_mean.copy_(z.mean(dim=0))
        model.after.running_var.copy_(z.var(dim=0, correction=0))

    return standardize


class UntrainedMethod(Method):
    """A reference that predicts without any network, to keep the networks honest."""

    needs_lesions: ClassVar[bool] = False
    """Whether it reads the boxes or masks of the images that it predicts, which no trained method may."""

    @abstractmethod
    def predict(self, train: LesionDataset, images: LesionDataset) -> np.ndarray:
        """Class probabilities, float64 (N, C), of `images` from the labelled images `train`."""


def two_stages(epochs: int, share: float, name: str) -> tuple[int, int]:
    """Epochs of a first stage and of a second one that gets this share of all; each has at least one.

    Raises
    ------
    InvalidInputError
        If there are fewer than two.
    """
    if epochs < 2:
        raise InvalidInputError(f"{name} has two stages and needs at least 2 epochs, not {epochs}")
    second = min(max(1, round(epochs * share)), epochs - 1)
    return epochs - second, second


def _json_value(value: Any) -> Any:
    if isinstance(value, Method):
        return {"method": value.name, **value.options()}
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    return value
