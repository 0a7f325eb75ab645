"""The one training loop.

It runs the stages that a method declares, the same way for every method: batches as tensors, augmentation of the whole
batch, AdamW with a one-cycle learning rate, validation and probe maps after each epoch. All randomness of an epoch is
derived from (seed, stage, epoch), so a training that was killed goes on from its last whole epoch with the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.errors import CareeduError, CheckpointError, InvalidInputError
from careedu.files import read_tensors, write_tensors
from careedu.training.batch import Batch, FeatureBatch
from careedu.training.prediction import pooled_or_maps
from careedu.training.reproducibility import autocast, derive_seed, reproducible
from careedu.training.schedule import one_cycle
from careedu.training.stage import Stage

# Purposes that seeds are derived for.
INITIALISATION, EPOCH, BEGIN = 0, 1, 2


class TrainingStopped(CareeduError):
    """A training was stopped from outside; with a checkpoint it can go on later."""


@dataclass(frozen=True)
class EpochReport:
    """What `on_epoch` is told after each epoch.

    Parameters
    ----------
    epoch, epochs : int
        Epochs done, and epochs in all stages together.
    row : mapping
        The epoch's row of the history.
    """

    epoch: int
    epochs: int
    row: Mapping[str, Any]


@dataclass(frozen=True)
class SharedStage:
    """Where the outcome of a first stage lies that several methods have in common.

    Parameters
    ----------
    path : Path
        Of the file; it may not be there yet.
    identity : mapping
        JSON values that the outcome follows from.
    """

    path: Path
    identity: Mapping[str, Any]


@dataclass
class Training:
    """A network in training, with everything needed to stop and go on.

    Parameters
    ----------
    model : nn.Module
        On the device.
    stages : sequence of Stage
    train : LesionDataset
        On the device.
    augmentation : Augmentation
    seed : int
    batch_size : int
    learning_rate, weight_decay : float
    precision : str
    evaluate : callable
        ``evaluate(model) -> (row, arrays)`` after each epoch: values for the history, and arrays that are stacked over
        epochs.
    """

    model: nn.Module
    stages: Sequence[Stage]
    train: LesionDataset
    augmentation: Augmentation
    seed: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    precision: str
    evaluate: Callable[[nn.Module], tuple[dict[str, float], dict[str, np.ndarray]]]
    history: list[dict[str, Any]] = field(default_factory=list)
    traces: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def device(self) -> torch.device:
        """Where the training runs."""
        return self.train.images.device

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def run(
        self,
        checkpoint: Path | None,
        identity: Mapping[str, Any],
        progress: bool,
        description: str,
        on_epoch: Callable[[EpochReport], object] | None,
        shared: SharedStage | None = None,
    ) -> None:
        """Train through all stages, from the checkpoint or the shared first stage where there is one."""
        state = self._resume(checkpoint, identity) if checkpoint and checkpoint.exists() else None
        if state is None and shared is not None and shared.path.exists():
            try:
                self._resume(shared.path, shared.identity)
            except CheckpointError as error:
                warnings.warn(f"{error}; the stage is trained again", stacklevel=2)
                shared.path.unlink(missing_ok=True)
        batches = self._batches_per_epoch()
        bar = tqdm(
            total=self.epochs * batches,
            initial=len(self.history) * batches,
            desc=description,
            disable=not progress,
            unit="batch",
            leave=False,  # a notebook of nine trainings would keep nine finished bars
        )
        done_before = 0
        with bar:
            for index, stage in enumerate(self.stages):
                first = len(self.history) - done_before  # epochs of this stage already done
                if first < stage.epochs:
                    self._run_stage(index, stage, first, state, checkpoint, identity, bar, description, on_epoch)
                    state = None
                    if index == 0 and shared is not None and not shared.path.exists():
                        self._save(shared.path, shared.identity)
                done_before += stage.epochs

    def _run_stage(
        self,
        index: int,
        stage: Stage,
        first: int,
        state: dict[str, Any] | None,
        checkpoint: Path | None,
        identity: Mapping[str, Any],
        bar: tqdm,
        description: str,
        on_epoch: Callable[[EpochReport], object] | None,
    ) -> None:
        if first == 0 and stage.begin is not None:
            with reproducible(self.device):
                torch.manual_seed(derive_seed(self.seed, BEGIN, index))
                stage.begin(self.model)
        moving = self._choose_parameters(stage)
        optimizer = torch.optim.AdamW(moving, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)
        shape = partial(one_cycle, updates=stage.epochs * self._batches_per_epoch())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")
        if first > 0:
            _restore(optimizer, schedule, scaler, state)
        features = self._features(index, stage)
        for epoch in range(first, stage.epochs):
            started = perf_counter()
            part = f", {stage.name}" if len(self.stages) > 1 else ""
            bar.set_description(f"{description}{part}: epoch {len(self.history) + 1}/{self.epochs}")
            row = self._run_epoch(index, stage, epoch, optimizer, schedule, scaler, features, bar)
            values, arrays = self.evaluate(self.model)
            row |= values
            self.history.append(row)
            for name, array in arrays.items():
                self.traces.setdefault(name, []).append(array)
            self.seconds += perf_counter() - started
            if checkpoint is not None:
                self._save(checkpoint, identity, (optimizer, schedule, scaler))
            report = EpochReport(len(self.history), self.epochs, row)
            if on_epoch is not None and on_epoch(report) is False:
                remedy = f"; it goes on with checkpoint={str(checkpoint)!r}" if checkpoint else ""
                raise TrainingStopped(f"stopped after epoch {report.epoch} of {report.epochs}{remedy}")

    def _run_epoch(
        self,
        index: int,
        stage: Stage,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        features: tuple[Tensor, Tensor] | None,
        bar: tqdm,
    ) -> dict[str, Any]:
        self._set_mode(stage)
        labels = self.train.labels if features is None else features[1]
        seed = derive_seed(self.seed, EPOCH, index, epoch)
        generator = torch.Generator().manual_seed(seed)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        sums: dict[str, Tensor] = {}
        with reproducible(self.device):
            torch.manual_seed(seed)  # for dropout and whatever else a method draws
            batches = self._draw_order(stage, labels, generator)
            for number, rows in enumerate(batches):
                progress = (epoch + number / len(batches)) / stage.epochs
                if features is None:
                    batch = Batch(self.train, rows, self.augmentation, generator, progress)
                else:
                    batch = FeatureBatch(*features, rows, progress)
                with autocast(self.device, self.precision):
                    terms = stage.terms(self.model, batch)
                    loss = torch.stack([term.float() for term in terms.values()]).sum()
                for parameter in parameters:
                    parameter.grad = None
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                for name, term in terms.items():
                    sums[name] = sums.get(name, 0.0) + term.detach()
                bar.update()
        means = {name: float(total) / len(batches) for name, total in sums.items()}
        for name, mean in means.items():
            if not np.isfinite(mean):
                raise CareeduError(
                    f"the loss term {name!r} became {mean} in stage {stage.name!r}, epoch {epoch + 1}; "
                    f"lower learning_rate (now {self.learning_rate:g})"
                )
        row = {"stage": stage.name, "epoch": len(self.history) + 1, "learning rate": schedule.get_last_lr()[0]}
        return {**row, **{f"loss: {name}": mean for name, mean in means.items()}}

    def _batches_per_epoch(self) -> int:
        """The same for every stage and method: as many updates as the training images fill batches."""
        return max(1, -(-len(self.train) // self.batch_size))

    def _draw_order(self, stage: Stage, labels: Tensor, generator: torch.Generator) -> Sequence[Tensor]:
        """Rows of each batch. Batches differ by one image at most, so that none is too small for batch statistics."""
        n_updates, n = self._batches_per_epoch(), len(self.train)
        if stage.sampler == "class-balanced":
            counts = torch.bincount(labels).cpu().double()
            order = torch.multinomial(1 / counts[labels.cpu()], n, replacement=True, generator=generator)
        else:
            order = torch.randperm(len(labels), generator=generator)
            # A resampled table of features is longer than the training set; an epoch is still as many updates.
            order = order[:n]
        return torch.tensor_split(order.to(labels.device), n_updates)

    def _choose_parameters(self, stage: Stage) -> list[dict[str, Any]]:
        """Let the stage's parameters move, and put each learning rate's parameters into a group of its own."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            moves = stage.trainable is None or name.startswith(stage.trainable)
            parameter.requires_grad_(moves)
            if moves:
                factors = [factor for prefix, factor in stage.learning_rates.items() if name.startswith(prefix)]
                groups.setdefault(float(np.prod(factors)), []).append(parameter)
        if not groups:
            raise InvalidInputError(f"stage {stage.name!r} moves no parameter: none begins with {stage.trainable}")
        rate = self.learning_rate * stage.learning_rate
        return [{"params": parameters, "lr": rate * factor} for factor, parameters in groups.items()]

    def _set_mode(self, stage: Stage) -> None:
        self.model.train()
        if stage.trainable is not None:
            for module in self.model.modules():
                if not any(p.requires_grad for p in module.parameters()):
                    module.eval()

    def _features(self, index: int, stage: Stage) -> tuple[Tensor, Tensor] | None:
        if stage.inputs == "images":
            return None
        if stage.trainable is None:
            raise InvalidInputError(f"stage {stage.name!r} trains on frozen features and must name what is trainable")
        pooled = stage.inputs == "pooled-features"
        features = pooled_or_maps(self.model, self.train.images, pooled, self.precision)
        if stage.resample is None:
            return features, self.train.labels
        seed = derive_seed(self.seed, BEGIN, index, 1) % 2**32  # scikit-learn's seeds have 32 bits
        new, labels = stage.resample(features.cpu().numpy(), self.train.labels.cpu().numpy(), seed)
        return (
            torch.from_numpy(np.ascontiguousarray(new)).to(features),
            torch.from_numpy(np.ascontiguousarray(labels)).to(self.train.labels),
        )

    def _save(self, path: Path, identity: Mapping[str, Any], moving: tuple[Any, Any, Any] | None = None) -> None:
        """Write all that is needed to go on: within a stage with its optimiser, schedule and scaler."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, arrays in self.traces.items():
            tensors[f"trace/{name}"] = torch.from_numpy(np.stack(arrays))
        state = {"identity": dict(identity), "history": self.history, "seconds": self.seconds}
        if moving is not None:
            optimizer, schedule, scaler = moving
            saved = optimizer.state_dict()
            for number, entries in saved["state"].items():
                tensors |= {f"optimizer/{number}/{key}": value for key, value in entries.items()}
            state["optimizer"] = saved["param_groups"]
            state["schedule"] = {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"}
            state["scaler"] = scaler.state_dict()
        write_tensors(path, tensors, state)

    def _resume(self, path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
        tensors, state = read_tensors(path)
        saved = state.get("identity", {})
        differing = [key for key in {*saved, *identity} if saved.get(key) != identity.get(key)]
        if differing:
            what = "; ".join(f"{key}: {saved.get(key)} there, {identity.get(key)} here" for key in sorted(differing))
            raise CheckpointError(f"checkpoint {path} belongs to another training ({what}); name another file")
        part: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "trace": {}}
        for name, tensor in tensors.items():
            kind, rest = name.split("/", 1)
            part[kind][rest] = tensor
        self.model.load_state_dict(part["model"])
        self.history = state["history"]
        self.seconds = state["seconds"]
        self.traces = {name: list(stack.numpy()) for name, stack in part["trace"].items()}
        return {**state, "moments": part["optimizer"]}


def _restore(
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    state: dict[str, Any],
) -> None:
    """Put back the optimiser's moments, in the memory layout of their parameters, which fused updates rely on."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in state["moments"].items():
        number, key = name.split("/")
        parameter = parameters[int(number)]
        like = parameter if tensor.shape == parameter.shape else tensor.to(parameter.device)
        optimizer.state[parameter][key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
    for group, saved in zip(optimizer.param_groups, state["optimizer"], strict=True):
        restored = {key: tuple(v) if isinstance(v, list) else v for key, v in saved.items() if key != "params"}
        group.update(restored)
    schedule.load_state_dict({**state["schedule"], "lr_lambdas": [None] * len(optimizer.param_groups)})
    scaler.load_state_dict(state["scaler"])
