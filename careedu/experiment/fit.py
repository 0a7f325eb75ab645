"""`fit`: data and a method in, a measured run out. The only place that trains."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas
import torch
from torch import nn

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.experiment import metrics
from careedu.experiment.prediction import class_maps, predict_logits
from careedu.experiment.reproducibility import (
    choose_device,
    choose_precision,
    derive_seed,
    reproducible,
    versions,
)
from careedu.experiment.run import Run
from careedu.experiment.training import INITIALISATION, EpochReport, Training
from careedu.methods import build_method
from careedu.methods.method import Method, Stage, TrainedMethod, TrainingFacts, UntrainedMethod
from careedu.nn.backbones import build_model

REVISION = 1
"""Raised by hand when the loop's results change, so that saved runs tell old from new."""

DEFAULT_EPOCHS = 20


def fit(
    data: Splits,
    method: Method | str,
    *,
    model: str = "small",
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.05,
    augmentation: Augmentation | str | None = None,
    precision: str = "auto",
    probes: int = 4,
    on_epoch: Callable[[EpochReport], object] | None = None,
) -> Run:
    """Train a network on imbalanced images and measure it on the test split.

    Parameters
    ----------
    data : Splits
    method : Method or str
        A method, or the name of one with its default options.
    model : str
        A name of `careedu.nn.backbones.MODELS`.
    epochs : int, optional
        Supervised epochs in all stages together; 20 by default. Pretraining is counted apart.
    seed : int
        Of initialisation, order and augmentation. The same seed on the same machine, with as many threads, gives the
        same bits. The training images are those of `data`: to draw them anew, give ``data.redraw(seed)``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    checkpoint : path, optional
        A file that is written after each epoch. Where it exists, the training goes on from it and ends with the bits
        it would have had undisturbed.
    progress : bool
        Whether a progress bar is shown.
    batch_size : int
    learning_rate, weight_decay : float
        Of AdamW; the learning rate is the highest of a one-cycle schedule.
    augmentation : Augmentation or str, optional
        By default what suits the organ, ``data.augmentation``. The same for every method.
    precision : str
        ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    probes : int
        Test images per class whose maps are recorded after each epoch.
    on_epoch : callable, optional
        Called with an `EpochReport` after each epoch; if it returns False the training stops with `TrainingStopped`.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInputError
        If an argument does not fit; the message names it and the remedy.
    CheckpointError
        If the checkpoint is damaged or belongs to another training.
    CareeduError
        If the loss becomes NaN or infinite.
    """
    method = build_method(method) if isinstance(method, str) else method
    epochs = DEFAULT_EPOCHS if epochs is None else epochs
    _check_arguments(data, method, epochs, seed, batch_size, learning_rate, weight_decay, probes)
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    if augmentation is None or isinstance(augmentation, str):
        augmentation = Augmentation.named(augmentation or data.augmentation)

    train = method.prepare(data, seed)
    empty = [name for name, n in zip(train.classes, train.counts.tolist(), strict=True) if n == 0]
    if empty:
        raise InvalidInputError(
            f"no training image of class {', '.join(map(repr, empty))}: a class that is never shown cannot be learned. "
            "Add images of it, or leave the class out of the data."
        )
    facts = TrainingFacts(
        counts=tuple(train.counts.tolist()),
        rare=data.rare_indices,
        image_shape=tuple(train.images.shape[1:]),
        dataset=train,
    )
    configuration = {
        "data": {
            "name": data.name,
            "recipe": dict(data.recipe),
            "fingerprint": data.fingerprint(),
            "classes": list(data.classes),
            "rare": list(data.rare),
            "train counts": train.counts.tolist(),
            "image shape": list(facts.image_shape),
        },
        "method": {
            "name": method.name,
            "label": method.label(),
            "options": method.options(),
            "revision": method.revision,
        },
        "model": model,
        "epochs": epochs,
        "seed": seed,
        "batch size": batch_size,
        "learning rate": learning_rate,
        "weight decay": weight_decay,
        "augmentation": asdict(augmentation),
        "device": chosen_device.type,
        "precision": chosen_precision,
        "threads": torch.get_num_threads(),
        "probes": probes,
        "revision": REVISION,
        "versions": versions(),
    }
    if isinstance(method, UntrainedMethod):
        return _reference_run(data, train, method, configuration)
    stages = method.stages(facts, epochs)
    _check_stages(stages, epochs, method)

    with reproducible(chosen_device):
        torch.manual_seed(derive_seed(seed, INITIALISATION))
        network = method.wrap(build_model(model, len(data.classes), facts.image_shape[0]), facts)
        _standardize(network, train)
        _set_batch_statistics(network, updates_per_epoch=max(1, len(train) // batch_size))
    network = network.to(chosen_device, memory_format=torch.channels_last)
    evaluation = _Evaluation(data, method, facts, probes, chosen_device, chosen_precision)
    training = Training(
        model=network,
        stages=stages,
        train=train.to(chosen_device),
        augmentation=augmentation,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        precision=chosen_precision,
        evaluate=evaluation.after_epoch,
    )
    # Through JSON and back, so that what a checkpoint says compares equal.
    identity = json.loads(json.dumps(configuration))
    description = f"{method.label()}, seed {seed}"
    training.run(Path(checkpoint) if checkpoint else None, identity, progress, description, on_epoch)
    return Run(
        configuration=configuration,
        probabilities=evaluation.probabilities(network, data.test),
        labels=data.test.labels.numpy().copy(),
        groups=data.test.groups,
        ids=data.test.ids,
        validation_probabilities=evaluation.probabilities(network, data.val),
        validation_labels=data.val.labels.numpy().copy(),
        history=pandas.DataFrame(training.history),
        traces={name: np.stack(arrays) for name, arrays in training.traces.items()},
        probes=evaluation.probes.numpy(),
        seconds=training.seconds,
        weights={name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
    )


class _Evaluation:
    """What is measured of a network, after each epoch and at the end."""

    def __init__(
        self,
        data: Splits,
        method: Method,
        facts: TrainingFacts,
        probes: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self.data, self.method, self.facts, self.precision, self.device = data, method, facts, precision, device
        # The first test images of each class: fixed by the data alone, so that all methods are probed alike.
        rows = [(data.test.labels == c).nonzero()[:probes, 0] for c in range(len(data.classes))]
        self.probes = torch.cat(rows)
        self.probe_images = data.test.images[self.probes].to(device)
        self.probe_labels = data.test.labels[self.probes].to(device)
        self.validation_images = data.val.images.to(device)

    def after_epoch(self, network: nn.Module) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Validation metrics, and maps and probabilities of the probed test images."""
        probabilities = self._probabilities(network, self.validation_images)
        labels = self.data.val.labels.numpy()
        values = {
            "balanced accuracy": metrics.balanced_accuracy(probabilities, labels),
            "rare recall": metrics.rare_recall(probabilities, labels, self.facts.rare),
        }
        if len(self.probes) == 0:
            return values, {}
        maps = class_maps(network, self.probe_images, self.probe_labels)
        return values, {
            "probe maps": (maps * 255).round().to(torch.uint8).numpy(),
            "probe probabilities": self._probabilities(network, self.probe_images).astype(np.float32),
        }

    def probabilities(self, network: nn.Module, dataset: LesionDataset) -> np.ndarray:
        """Class probabilities of a whole split, float64 (N, C)."""
        return self._probabilities(network, dataset.images.to(self.device))

    def _probabilities(self, network: nn.Module, images: torch.Tensor) -> np.ndarray:
        logits = predict_logits(network, images, self.precision).double()
        return self.method.adjust(logits, self.facts).softmax(dim=1).numpy()


def _reference_run(data: Splits, train: LesionDataset, method: UntrainedMethod, configuration: dict[str, Any]) -> Run:
    started = perf_counter()
    probabilities = method.predict(train, data.test)
    validation = method.predict(train, data.val)
    return Run(
        configuration={**configuration, "model": "none"},
        probabilities=probabilities,
        labels=data.test.labels.numpy().copy(),
        groups=data.test.groups,
        ids=data.test.ids,
        validation_probabilities=validation,
        validation_labels=data.val.labels.numpy().copy(),
        history=pandas.DataFrame(),
        traces={},
        probes=np.zeros(0, dtype=np.int64),
        seconds=perf_counter() - started,
    )


def _standardize(network: nn.Module, train: LesionDataset) -> None:
    """Tell the network mean and spread of the training images' intensities, one pair a channel."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean, spread = [], []
    for channel in train.images.unbind(1):
        # Only 256 intensities exist: counting them is exact, and needs no copy of the images in float64.
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean.append(share @ levels)
        spread.append((share @ (levels - mean[-1]).square()).sqrt())
    spread = torch.stack(spread)
    # A set of constant images has no spread; dividing by one leaves them alone.
    network.standardize(torch.stack(mean).float(), torch.where(spread > 1e-6, spread, 1.0).float())


def _set_batch_statistics(network: nn.Module, updates_per_epoch: int) -> None:
    """Let batch normalisation forget fast enough for a small set.

    Its running statistics follow the weights with a lag of ten updates. That is nothing for a thousand images but three
    epochs for a hundred, after which such a network predicts by statistics that were never its own. They look back over
    an epoch instead, ten updates at most and two at least (our choice).
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = min(0.5, max(0.1, 1 / updates_per_epoch))


def _check_stages(stages: list[Stage], epochs: int, method: TrainedMethod) -> None:
    supervised = sum(stage.epochs for stage in stages if stage.supervised)
    if supervised != epochs:
        raise InvalidInputError(
            f"the stages of {method.name!r} have {supervised} supervised epochs, not the {epochs} asked for; "
            "every method gets the same number, or the comparison is not fair"
        )


def _check_arguments(
    data: Splits,
    method: Method,
    epochs: int,
    seed: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    probes: int,
) -> None:
    if not isinstance(data, Splits):
        raise InvalidInputError(f"data must be Splits, as careedu.load makes them, not {type(data).__name__}")
    if not isinstance(method, Method):
        raise InvalidInputError(
            f"method must be a method such as careedu.ClassBalanced(), or the name of one, not {method!r}"
        )
    whole = {"epochs": (epochs, 1), "seed": (seed, 0), "batch_size": (batch_size, 2), "probes": (probes, 0)}
    for name, (value, least) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InvalidInputError(f"{name}={value!r} must be a whole number, at least {least}")
    for name, value, least in (("learning_rate", learning_rate, 0), ("weight_decay", weight_decay, -1e-12)):
        if not (math.isfinite(value) and value > least):
            raise InvalidInputError(f"{name}={value!r} must be finite and {'above 0' if least == 0 else 'at least 0'}")
    if len(data.val) == 0 or len(data.test) == 0:
        missing = "validation" if len(data.val) == 0 else "test"
        raise InvalidInputError(f"the {missing} split is empty; without it nothing can be measured")
