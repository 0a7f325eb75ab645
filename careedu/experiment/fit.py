"""`fit`: data and a method in, a measured run out. The one door to training."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import takewhile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas
import torch
from torch import nn

from careedu.data.dataset import LesionDataset, Splits
from careedu.data.digest import content_digest
from careedu.errors import InvalidInputError
from careedu.experiment.configuration import Settings, configure, digest, identity, resolve_method
from careedu.experiment.run import Run
from careedu.files import check_writable
from careedu.measure import metrics
from careedu.methods.facts import TrainingFacts, Workspace
from careedu.methods.method import Method, TrainedMethod, UntrainedMethod
from careedu.nn.backbones import Classifier, build_model
from careedu.training.checkpoint import SharedStages
from careedu.training.isolation import reproducible
from careedu.training.loop import INITIALISATION, EpochReport, Training
from careedu.training.prediction import as_array, maps_and_logits, predict_logits
from careedu.training.reproducibility import choose_device, derive_seed
from careedu.training.stage import Stage, declared, trainable_in


def fit(
    data: Splits,
    method: Method | str,
    *,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
    shared_stages: str | os.PathLike | None = None,
    on_epoch: Callable[[EpochReport], object] | None = None,
    **options: Any,
) -> Run:
    """Train a network on imbalanced images and measure it on the test split.

    The bits do not depend on what the caller has set in torch or drawn, and nothing of that is changed; of all settings
    only the number of torch's threads counts. One training at a time: in another thread, a second one says that it
    waits, and waits.

    Parameters
    ----------
    data : Splits
    method : Method or str
        A method, or the name of one with its default options.
    checkpoint : path, optional
        A file that is written after each epoch. Where it exists, the training goes on from it and ends with the bits
        it would have had undisturbed. What a method trains beforehand, such as CARE's segmentation, is kept beside it.
    progress : bool
        Whether a progress bar is shown.
    shared_stages : path, optional
        A folder where the first stages that several methods have in common are kept, so that they are trained once.
    on_epoch : callable, optional
        Called with an `EpochReport` after each epoch; if it returns False the training stops with `TrainingStopped`.
    **options
        The fields of `careedu.experiment.configuration.Settings`: model, epochs, seed, device, batch_size,
        learning_rate, weight_decay, augmentation, precision, probes.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInputError
        If an argument does not fit; the message names it and the remedy.
    CheckpointError
        If the checkpoint is damaged or belongs to another training.
    StorageError
        If the checkpoint or the shared stages cannot be written: before the training starts, where that can be told.
    CareeduError
        If the loss becomes NaN or infinite, or another thread changes what torch computes with.
    """
    method = resolve_method(method)
    settings = Settings.of(options)
    device = choose_device(settings.device)
    with reproducible(device):
        configuration = configure(data, method, settings)
        precision = configuration["precision"]
        data = _ordinary(data)
        for place in filter(None, (shared_stages, checkpoint and Path(checkpoint).parent)):
            check_writable(Path(place))
        folder = Path(shared_stages) if shared_stages else Path(checkpoint).parent if checkpoint else None
        train = method.prepare_in(Workspace(progress, folder), data, settings.seed)
        counts = train.counts.tolist()
        empty = [name for name, n in zip(train.classes, counts, strict=True) if n == 0]
        if empty:
            raise InvalidInputError(
                f"no training image of class {', '.join(map(repr, empty))}: a class that is never shown cannot be "
                "learned. Add images of it, or leave the class out of the data."
            )
        facts = TrainingFacts(tuple(counts), data.rare_indices, tuple(train.images.shape[1:]), train, data.pool)
        configuration["data"]["train counts"] = counts
        if isinstance(method, UntrainedMethod):
            return _reference_run(data, train, method, configuration)
        stages = method.all_stages(facts, settings.epochs)
        _check_stages(stages, settings.epochs, method)

        with reproducible(device, derive_seed(settings.seed, INITIALISATION)):
            network = method.network(build_model(settings.model, len(data.classes), facts.image_shape[0]), facts)
            if not isinstance(network, Classifier):
                raise InvalidInputError(
                    f"wrap of {method.name!r} gives a {type(network).__name__}, not the network that it was given: "
                    "put what the method adds into its slots (before, after, head, training_parts)"
                )
            network.standardize_by((data.pool or train).images)  # which needs no label
        if checkpoint:  # with two moments of each weight, beside the one before it
            check_writable(Path(checkpoint).parent, 6 * sum(tensor.nbytes for tensor in network.state_dict().values()))
        network = network.to(device, memory_format=torch.channels_last)
        evaluation = _Evaluation(data, method, facts, settings.probes, device, precision)
        own = {name: getattr(settings, name) for name in ("seed", "batch_size", "learning_rate", "weight_decay")}
        own |= {"precision": precision, "evaluate": evaluation.after_epoch}
        training = Training(network, stages, train.to(device), settings.augmentation_for(data), **own)
        shared = _shared_stages(Path(shared_stages), configuration, stages, train, network) if shared_stages else []
        description = f"{method.label()}, seed {settings.seed}"
        training.run(Path(checkpoint) if checkpoint else None, configuration, progress, description, on_epoch, shared)
        network.freeze()  # what was made of the training images stays, the images go
        record = training.record
        # The last epoch has measured it, where that was a supervised one and was run here, not read from a checkpoint.
        validation = evaluation.latest if stages[-1].supervised else None
        return Run(
            configuration=configuration,
            probabilities=evaluation.probabilities(network, data.test.images),
            **_truth(data),
            validation_probabilities=evaluation.probabilities(network, data.val.images)
            if validation is None
            else validation,
            history=pandas.DataFrame(record.history),
            traces={name: np.stack(arrays) for name, arrays in record.traces.items()},
            probes=evaluation.probes.numpy(),
            pretraining=pandas.DataFrame(record.pretraining),
            seconds=record.seconds,
            weights={name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
        )


# A reader, and whoever completes names, is shown the settings by name.
fit.__signature__ = Settings.signature_with(fit)


class _Evaluation:
    """What is measured of a network, after each epoch and at the end."""

    def __init__(
        self, data: Splits, method: Method, facts: TrainingFacts, probes: int, device: torch.device, precision: str
    ) -> None:
        self.data, self.method, self.facts, self.precision, self.device = data, method, facts, precision, device
        # The first test images of each class: fixed by the data alone, so that all methods are probed alike.
        self.probes = torch.cat([(data.test.labels == c).nonzero()[:probes, 0] for c in range(len(data.classes))])
        self.probe_images = data.test.images[self.probes].to(device)
        self.probe_labels = data.test.labels[self.probes].to(device)
        self.validation_images = data.val.images.to(device)
        self.latest: np.ndarray | None = None

    def after_epoch(self, network: nn.Module) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Validation metrics, and maps and probabilities of the probed test images."""
        self.latest = probabilities = self.probabilities(network, self.validation_images)
        recalls = metrics.recall_per_class(probabilities, self.data.val.labels.numpy())
        rare = recalls[list(self.facts.rare)]
        values = {"balanced accuracy": metrics.mean_recall(recalls), "rare recall": metrics.mean_recall(rare)}
        # What a network has to show after each epoch, an attention map for instance.
        with torch.no_grad():
            shown = {name: as_array(tensor) for name, tensor in network.record().items()}
        if len(self.probes) == 0:
            return values, shown
        maps, logits = maps_and_logits(network, self.probe_images, self.probe_labels)
        if self.precision != "float32" or type(network).forward is not Classifier.forward:
            logits = predict_logits(network, self.probe_images, self.precision)  # else the bits are the same
        return values, {
            "probe maps": (maps * 255).round().to(torch.uint8).numpy(),
            "probe probabilities": self._adjusted(logits).astype(np.float32),
            **shown,
        }

    def probabilities(self, network: nn.Module, images: torch.Tensor) -> np.ndarray:
        """Class probabilities of images, float64 (N, C)."""
        return self._adjusted(predict_logits(network, images.to(self.device), self.precision))

    def _adjusted(self, logits: torch.Tensor) -> np.ndarray:
        return self.method.adjust(logits.double(), self.facts).softmax(dim=1).numpy()


def _ordinary(data: Splits) -> Splits:
    """The same data with tensors that can be trained on, where they were loaded in inference mode; none is copied."""

    def ordinary(part: LesionDataset) -> LesionDataset:
        tensors = {f.name: value for f in fields(part) if f.init and torch.is_tensor(value := getattr(part, f.name))}
        unfit = {name: tensor for name, tensor in tensors.items() if tensor.is_inference()}
        return replace(part, **{name: torch.from_numpy(tensor.numpy()) for name, tensor in unfit.items()})

    return replace(data, **{name: ordinary(part) for name, part in data.parts().items() if part.labels.is_inference()})


def _reference_run(data: Splits, train: LesionDataset, method: UntrainedMethod, configuration: dict[str, Any]) -> Run:
    started = perf_counter()
    return Run(
        configuration={**configuration, "model": "none"},
        probabilities=method.predict(train, data.test),
        **_truth(data),
        validation_probabilities=method.predict(train, data.val),
        history=pandas.DataFrame(),
        traces={},
        probes=np.zeros(0, dtype=np.int64),
        seconds=perf_counter() - started,
    )


def _truth(data: Splits) -> dict[str, Any]:
    """What a run keeps of the images that it is measured on."""
    marked = data.test.marked
    return {
        "labels": data.test.labels.numpy().copy(),
        "groups": data.test.groups,
        "ids": data.test.ids,
        "marked": None if marked is None else marked.numpy(),
        "validation_labels": data.val.labels.numpy().copy(),
    }


def _check_stages(stages: list[Stage], epochs: int, method: TrainedMethod) -> None:
    supervised = sum(stage.epochs for stage in stages if stage.supervised)
    if supervised != epochs:
        raise InvalidInputError(
            f"the stages of {method.name!r} have {supervised} supervised epochs, not the {epochs} asked for; "
            "every method gets the same number, or the comparison is not fair"
        )


def _shared_stages(
    folder: Path, configuration: dict[str, Any], stages: Sequence[Stage], train: LesionDataset, network: nn.Module
) -> list[SharedStages]:
    """Where the outcomes of the first stages are kept that say what they follow from, beside all but the method."""
    leading = list(takewhile(lambda stage: stage.shared is not None, stages[:-1]))
    kept, steps = [], []
    for number, stage in enumerate(leading, 1):
        seen = train if stage.pool is None else stage.pool
        known = (seen.boxes, seen.has_box, seen.masks, seen.has_mask, seen.marks)
        read = {} if stage.shared.get("lesions") is False else {"lesions": _digest_of(known)}
        read["images"] = _digest_of([seen.images, None if _sees_no_label(stage) else seen.labels])
        steps.append({**declared(stage), **read, "shared": dict(stage.shared)})
        moves = trainable_in(leading[:number])
        # Networks of which other parts move cannot share; those that differ elsewhere can.
        state = network.state_dict().items()
        parts = [[name, list(tensor.shape)] for name, tensor in state if moves is None or name.startswith(moves)]
        what = {"stages": list(steps), "parts": digest(parts), "standardized": _digest_of([network.mean, network.std])}
        follows = identity(configuration, method=False)
        if all(map(_sees_no_label, leading[:number])):
            # Neither how many images have a label, nor how long is learned from these, makes another outcome.
            follows = {name: value for name, value in follows.items() if name not in ("data", "epochs")}
        path = folder / f"{digest({**follows, **what})}.safetensors"
        kept.append(SharedStages(path, what))
    return kept


def _sees_no_label(stage: Stage) -> bool:
    return not stage.supervised and stage.shared.get("labels") is False


def _digest_of(tensors: Iterable[torch.Tensor | None]) -> str:
    return content_digest(*(tensor for tensor in tensors if tensor is not None))
