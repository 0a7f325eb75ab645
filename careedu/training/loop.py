"""The one training loop.

It runs the stages that a method declares, the same way for every method: batches as tensors, augmentation of the whole
batch, the stage's updates, validation and probe maps after each epoch. All randomness of an epoch is derived from
(seed, stage, epoch), so a training that was killed goes on from its last whole epoch with the same bits.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from careedu.training.batch import FeatureTable
from careedu.training.checkpoint import Record, SharedStages, read_training, write_training
from careedu.training.isolation import reproducible
from careedu.training.optimization import Optimization
from careedu.training.prediction import as_array
from careedu.training.reproducibility import autocast, derive_seed
from careedu.training.sampling import Sampling
from careedu.training.stage import Stage

REVISION = 1
"""Raised by hand when the loop's results change, so that saved runs tell old from new."""
# Purposes that seeds are derived for.
INITIALISATION, EPOCH, BEGIN, END, RECORD = range(5)


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
        The epoch's row of the history, or of the pretraining.
    model : nn.Module
        The network as it is now, to be looked at and not to be changed; a copy is needed to keep it.
    """

    epoch: int
    epochs: int
    row: Mapping[str, Any]
    model: nn.Module


@dataclass
class Training:
    """A network in training, with everything needed to stop and go on.

    Parameters
    ----------
    model : nn.Module
        On the device.
    stages : sequence of Stage
    train : LesionDataset or FeatureTable
        On the device.
    augmentation : Augmentation
    seed : int
    batch_size : int
    learning_rate, weight_decay : float
    precision : str
    evaluate : callable, optional
        ``evaluate(model) -> (row, arrays)`` after each supervised epoch: values for the history, and arrays that are
        stacked over epochs.

    Attributes
    ----------
    record : Record
        What was seen so far.
    """

    model: nn.Module
    stages: Sequence[Stage]
    train: LesionDataset | FeatureTable
    augmentation: Augmentation
    seed: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    precision: str = "float32"
    evaluate: Callable[[nn.Module], tuple[dict[str, float], dict[str, np.ndarray]]] | None = None
    record: Record = field(default_factory=Record)

    @property
    def device(self) -> torch.device:
        """Where the training runs."""
        return self.train.labels.device

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def run(
        self,
        checkpoint: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        progress: bool = False,
        description: str = "",
        on_epoch: Callable[[EpochReport], object] | None = None,
        shared: Sequence[SharedStages] = (),
    ) -> None:
        """Train through all stages, from the checkpoint or from the outcome of shared stages where there is one.

        Parameters
        ----------
        checkpoint : Path, optional
            A file that is written after each epoch.
        identity : mapping, optional
            JSON values that the training follows from; a checkpoint with others is refused.
        progress : bool
        description : str
            Before the progress bar.
        on_epoch : callable, optional
            Called with an `EpochReport`; if it returns False the training stops with `TrainingStopped`.
        shared : sequence of SharedStages
            Of the first stage, of the first two, and so on.
        """
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise InvalidInputError(f"stages need names of their own, not {', '.join(map(repr, names))}")
        # Of the network's own momentum nothing is changed, where somebody has set one.
        layers = (m for m in self.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
        self._normalisations = [layer for layer in layers if layer.momentum == 0.1]  # torch's default
        initial = {name: tensor.clone() for name, tensor in self.model.state_dict().items()} if shared else {}
        identity = identity or {}
        optimizers: list[Any] = []
        if checkpoint is not None and checkpoint.exists():
            self.record, optimizers = read_training(checkpoint, identity, self.model)
        else:
            self._start_from(shared)
        samplings = [Sampling(stage, self.train, self.batch_size, self.augmentation) for stage in self.stages]
        total = sum(sampling.stage.epochs * sampling.batches for sampling in samplings)
        # Does not stay: a notebook of nine trainings would keep nine finished bars.
        bar = tqdm(total=total, disable=not progress, unit="batch", leave=False)

        def after_epoch(index: int, optimizations: Sequence[Optimization], row: Mapping[str, Any]) -> None:
            done = self.record.epochs == sum(stage.epochs for stage in self.stages[: index + 1])
            if done and index < len(shared) and not shared[index].path.exists():
                write_training(shared[index].path, shared[index].identity, self.model, self.record, unlike=initial)
            if checkpoint is not None:
                write_training(checkpoint, identity, self.model, self.record, optimizations)
            report = EpochReport(self.record.epochs, self.epochs, row, self.model)
            threads = torch.get_num_threads()
            go_on = None if on_epoch is None else on_epoch(report)
            torch.set_num_threads(threads)  # they are part of the configuration
            if go_on is False:
                remedy = f"; it goes on with checkpoint={str(checkpoint)!r}" if checkpoint else ""
                raise TrainingStopped(f"stopped after epoch {report.epoch} of {report.epochs}{remedy}")

        done_before = 0
        with reproducible(self.device), bar:
            for index, (stage, sampling) in enumerate(zip(self.stages, samplings, strict=True)):
                first = min(max(self.record.epochs - done_before, 0), stage.epochs)  # epochs that are done already
                bar.update(first * sampling.batches)
                if first < stage.epochs:
                    part = f", {stage.name}" if len(self.stages) > 1 else ""
                    for moved, row in self._run_stage(index, sampling, first, optimizers, bar, description + part):
                        after_epoch(index, moved, row)
                    optimizers = []
                done_before += stage.epochs

    def _start_from(self, shared: Sequence[SharedStages]) -> None:
        """Begin with the outcome of as many shared stages as there is one of."""
        for kept in reversed(shared):
            if not kept.path.exists():
                continue
            try:
                self.record, _ = read_training(kept.path, kept.identity, self.model, part=True)
                return
            except CheckpointError as error:
                warnings.warn(f"{error}; the stage is trained again", stacklevel=3)
                kept.path.unlink(missing_ok=True)

    def _run_stage(
        self, index: int, sampling: Sampling, first: int, optimizers: Sequence[Any], bar: tqdm, description: str
    ) -> Iterator[tuple[list[Optimization], dict[str, Any]]]:
        """Train a stage from its epoch `first` on; gives, after each, what it is moved by and the row of its record."""
        stage = sampling.stage
        if first == 0:
            self._call(stage.begin, BEGIN, index)
        self._set_batch_statistics(sampling)
        batches = stage.epochs * sampling.batches
        settings = self.learning_rate, self.weight_decay, self.precision
        optimizations = [Optimization(self.model, stage, update, batches, *settings) for update in stage.updates]
        if first > 0:
            for optimization, saved in zip(optimizations, optimizers, strict=True):
                optimization.restore(*saved)
        self._let_move(optimizations)
        seed = derive_seed(self.seed, BEGIN, index, 1)
        with reproducible(self.device, seed), torch.no_grad():
            sampling.prepare(self.model, self.precision, seed % 2**32)  # scikit-learn's seeds have 32 bits
        for epoch in range(first, stage.epochs):
            started = perf_counter()
            bar.set_description(f"{description}: epoch {self.record.epochs + 1}/{self.epochs}")
            row = self._run_epoch(index, epoch, sampling, optimizations, bar)
            if epoch + 1 == stage.epochs:
                self._call(stage.end, END, index)
            self._measure(index, epoch, row)
            self.record.seconds += perf_counter() - started
            yield optimizations, row

    def _run_epoch(
        self, index: int, epoch: int, sampling: Sampling, optimizations: Sequence[Optimization], bar: tqdm
    ) -> dict[str, Any]:
        stage = sampling.stage
        self._set_mode(stage)
        seed = derive_seed(self.seed, EPOCH, index, epoch)
        generator = torch.Generator().manual_seed(seed)
        seen: dict[str, list[Tensor]] = {}
        owner: dict[str, Optimization] = {}
        with reproducible(self.device, seed):  # for dropout and whatever else a method draws
            for number, batch in enumerate(sampling.epoch(epoch, generator)):
                for optimization in optimizations:
                    if (epoch * sampling.batches + number + 1) % optimization.update.every:
                        continue
                    if len(optimizations) > 1:
                        self._let_move([optimization])
                    with autocast(self.device, self.precision):
                        terms = optimization.update.terms(self.model, batch)
                        loss = torch.stack([term.float() for term in terms.values()]).sum()
                    optimization.step(loss)
                    for name, term in terms.items():
                        if owner.setdefault(name, optimization) is not optimization:
                            raise InvalidInputError(f"two updates of stage {stage.name!r} have a term called {name!r}")
                        seen.setdefault(name, []).append(term.detach())
                bar.update()
        means = {name: float(sum(values)) / len(values) for name, values in seen.items()}
        for name, mean in means.items():
            if not np.isfinite(mean):
                raise CareeduError(
                    f"the loss term {name!r} became {mean} in stage {stage.name!r}, epoch {epoch + 1}; "
                    f"lower learning_rate (now {self.learning_rate:g})"
                )
        rows = self.record.history if stage.supervised else self.record.pretraining
        row = {"stage": stage.name, "epoch": len(rows) + 1, "learning rate": optimizations[0].learning_rate}
        return {**row, **{f"loss: {name}": mean for name, mean in means.items()}}

    def _measure(self, index: int, epoch: int, row: dict[str, Any]) -> None:
        """Add an epoch to the record, with what is measured after it."""
        stage = self.stages[index]
        arrays: dict[str, np.ndarray] = {}
        if stage.supervised and self.evaluate is not None:
            values, arrays = self.evaluate(self.model)
            row |= values
        if stage.record is not None:
            self.model.eval()
            for name, tensor in self._call(stage.record, RECORD, index, epoch).items():
                if tensor.dim() > 0:
                    arrays[f"{stage.name}: {name}"] = as_array(tensor)
                elif not bool(tensor.isfinite()):
                    raise CareeduError(f"stage {stage.name!r} records {name!r} = {float(tensor)}, epoch {epoch + 1}")
                else:
                    row[name] = float(tensor)
        (self.record.history if stage.supervised else self.record.pretraining).append(row)
        for name, array in arrays.items():
            self.record.traces.setdefault(name, []).append(array)

    def _call(self, declared: Callable[[nn.Module], Any] | None, *purpose: int) -> Any:
        """Call what a stage declares, with random numbers of its own."""
        if declared is None:
            return None
        with reproducible(self.device, derive_seed(self.seed, *purpose)), torch.no_grad():
            return declared(self.model)

    def _let_move(self, optimizations: Sequence[Optimization]) -> None:
        """Let no other parameters have gradients, so that a step pays for none but its own."""
        moving = {id(parameter) for optimization in optimizations for parameter in optimization.parameters}
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) in moving)

    def _set_mode(self, stage: Stage) -> None:
        self.model.train()
        if stage.trainable is not None:
            for name, module in self.model.named_modules():
                names = [f"{name}.", *(f"{name}.{own}" for own, _ in module.named_parameters())] if name else [""]
                if name and not any(full.startswith(stage.trainable) for full in names):
                    module.eval()

    def _set_batch_statistics(self, sampling: Sampling) -> None:
        """Let batch normalisation forget fast enough for a small set.

        Its running statistics follow the weights with a lag of ten updates. That is nothing for a thousand images but
        three epochs for a hundred, after which such a network predicts by statistics that were never its own. They look
        back over an epoch instead, ten updates at most and two at least (our choice).
        """
        updates = max(1, sampling.images // sampling.batch_size)
        for layer in self._normalisations:
            layer.momentum = min(0.5, max(0.1, 1 / updates))
