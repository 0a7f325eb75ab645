"""What one training produced, saved so that it opens again without torch, without images and without training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas

from careedu.errors import InvalidInputError, MissingWeightsError
from careedu.experiment.metric_names import canonical_name, measured_part
from careedu.experiment.saved_checks import check_run, check_saveable, check_text
from careedu.experiment.saved_folder import Kind, naming_damage, read_saved, write_saved
from careedu.measure import metrics
from careedu.measure.crossed import spread
from careedu.measure.intervals import Interval, interval_of

if TYPE_CHECKING:
    from torch import Tensor

    from careedu.methods.facts import TrainingFacts
    from careedu.methods.method import Method

SAVED_RUN = Kind(
    what="saved run",
    lacking="is not a saved run",
    free="the configuration",
    record="run.json",
    keys=frozenset({"configuration", "seconds", "groups", "ids", "history"}),
)
# Of what every run holds, in the words of its file.
_ARRAYS = ("probabilities", "labels", "validation probabilities", "validation labels", "probes")


@dataclass(eq=False)
class Run:
    """The outcome of one training on one test set.

    Parameters
    ----------
    configuration : dict
        JSON values: data (name, recipe, fingerprint, classes, counts), method (name, options, revision), model, seed
        and every setting of the loop, device, threads and versions.
    probabilities : ndarray
        float64 (N, C), of the test images.
    labels : ndarray
        int64 (N,), true classes of the test images.
    groups, ids : ndarray
        str (N,), groups and names of the test images.
    validation_probabilities, validation_labels : ndarray
        The same for the validation images.
    history : DataFrame
        One row an epoch: stage, learning rate, loss terms, validation metrics.
    traces : dict of str to ndarray
        What was recorded after each epoch: ``"probe maps"`` uint8 (E, P, h, w), the map of the true class on a fixed
        set of test images, 255 being the map's maximum, and ``"probe probabilities"`` float32 (E, P, C).
    probes : ndarray
        int64 (P,), rows of the test images that are probed.
    seconds : float
        Time that the training took.
    weights : dict of str to Tensor, optional
        The trained network's parameters and buffers.
    pretraining : DataFrame
        One row an epoch of the stages that are counted apart, a pretraining or a map that learns while the network
        rests: stage, epoch, learning rate, loss terms.
    marked : ndarray, optional
        bool (N,), which test images carry a mark that is no part of the disease; None where nothing is known of marks.
    """

    configuration: dict[str, Any]
    probabilities: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    ids: np.ndarray
    validation_probabilities: np.ndarray
    validation_labels: np.ndarray
    history: pandas.DataFrame
    traces: dict[str, np.ndarray]
    probes: np.ndarray
    seconds: float
    weights: Mapping[str, Tensor] | None = field(default=None, repr=False)
    pretraining: pandas.DataFrame = field(default_factory=pandas.DataFrame)
    marked: np.ndarray | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.configuration["data"]["classes"])

    @property
    def rare(self) -> tuple[str, ...]:
        """Names of the rare classes."""
        return tuple(self.configuration["data"]["rare"])

    @property
    def method(self) -> str:
        """The method's name with the options that differ from their defaults."""
        return self.configuration["method"]["label"]

    @property
    def _rare_indices(self) -> list[int]:
        return [self.classes.index(name) for name in self.rare]

    def recall(self) -> np.ndarray:
        """Recall of each class, float64 (C,); NaN for a class without test images."""
        return metrics.recall_per_class(self.probabilities, self.labels)

    def balanced_accuracy(self) -> float:
        """Mean of the recalls of all classes."""
        return metrics.balanced_accuracy(self.probabilities, self.labels)

    def rare_recall(self) -> float:
        """Mean of the recalls of the rare classes."""
        return metrics.rare_recall(self.probabilities, self.labels, self._rare_indices)

    def confusion(self) -> np.ndarray:
        """Confusion matrix, int (C, C): rows are true classes, columns predicted ones."""
        return metrics.confusion(self.probabilities, self.labels)

    def recall_intervals(self) -> list[Interval]:
        """Recall of each class with its 95 % interval over the test images' groups."""
        return [self.interval(f"recall of {label}") for label in self.classes]

    def interval(self, metric: str) -> Interval:
        """A metric by its name, see `careedu.experiment.metric_names`, with its 95 % interval over test groups.

        The interval tells what other test patients would do to this one trained network. It knows nothing of what
        another seed would do: for that, `careedu.compare` trains several.
        """
        metric, rows = measured_part(canonical_name(metric, self), self.marked)
        part = self.probabilities[None, rows], self.labels[rows], self.groups[rows]
        return interval_of(spread(metric, *part, self._rare_indices))

    def table(self) -> pandas.DataFrame:
        """One row a class: training and test images, recall and the ends of its 95 % interval."""
        table = pandas.DataFrame(self.recall_intervals(), index=pandas.Index(self.classes, name="class"))
        table.insert(0, "n train", self.configuration["data"]["train counts"])
        table.insert(1, "n test", np.bincount(self.labels, minlength=len(self.classes)))
        return table.rename(columns={"estimate": "recall"})

    def summary(self) -> pandas.DataFrame:
        """One row a metric: its value and the ends of its 95 % interval."""
        intervals = {name: self.interval(name) for name in metrics.METRICS}
        table = pandas.DataFrame(intervals.values(), index=pandas.Index(intervals, name="metric"))
        return table.rename(columns={"estimate": "value"})

    def class_maps(self, images: Tensor, labels: Tensor) -> Tensor:
        """Where in the image the evidence for a class lies.

        Parameters
        ----------
        images : Tensor
            uint8 (N, C, H, W), of the size of the training images.
        labels : Tensor
            int64 (N,), the class to be mapped.

        Returns
        -------
        Tensor
            float32 (N, H, W) in [0, 1], scaled per image; on the CPU.

        Raises
        ------
        MissingWeightsError
            If the run was saved without weights or was not trained.
        InvalidInputError
            If images or labels do not fit the network.
        """
        import torch

        from careedu.nn.maps import resize_map
        from careedu.training.isolation import plain_torch
        from careedu.training.prediction import class_maps

        with plain_torch():
            images, labels = torch.as_tensor(images), torch.as_tensor(labels)
            shape = tuple(self.configuration["data"]["image shape"])
            if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape:
                raise InvalidInputError(
                    f"images must be uint8 (N, {', '.join(map(str, shape))}) as in training, "
                    f"not {images.dtype} {tuple(images.shape)}"
                )
            if labels.shape != images.shape[:1] or (labels < 0).any() or (labels >= len(self.classes)).any():
                raise InvalidInputError(f"labels must be (N,) class indices from 0 to {len(self.classes) - 1}")
            maps = class_maps(self.network(), images, labels.long())
            return resize_map(maps, shape[1:])

    def network(self) -> Any:
        """The trained network, a plain ``nn.Module`` in evaluation mode that maps float images in [0, 1] to logits.

        Raises
        ------
        MissingWeightsError
            If the run was saved without weights or was not trained.
        UnknownNameError
            If its method is a class of somebody's own that is not there.
        CheckpointError
            If the weights were saved by a careedu whose networks were built otherwise.
        """
        import torch

        from careedu.nn.backbones import build_model
        from careedu.training.isolation import DrawingFrom, plain_torch

        if self.weights is None:
            raise MissingWeightsError(
                f"this run of {self.method} holds no weights; train it again with careedu.fit, "
                "and save it with run.save(folder, weights=True)"
            )
        method, facts = self._made_by()
        with plain_torch(), DrawingFrom(0):  # the first weights are drawn, and thrown away
            plain = build_model(self.configuration["model"], len(self.classes), facts.image_shape[0])
            model = method.wrap(plain, facts)
            model.freeze()  # as it was when its weights were kept
            model.load_state_dict(dict(self.weights))
        # Laid out as in training, what a method has added too: else a convolution may round otherwise.
        return model.eval().to(memory_format=torch.channels_last)

    def adjusted(self, logits: Tensor) -> Tensor:
        """The network's output (N, C) as logits of which the softmax is the prediction, float64 (N, C)."""
        from careedu.training.isolation import plain_torch

        method, facts = self._made_by()
        with plain_torch():
            return method.adjust(logits.double(), facts)

    def _made_by(self) -> tuple[Method, TrainingFacts]:
        from careedu.methods.building import rebuild_method
        from careedu.methods.facts import TrainingFacts

        data = self.configuration["data"]
        counts, shape = tuple(data["train counts"]), tuple(data["image shape"])
        return rebuild_method(self.configuration["method"]), TrainingFacts(counts, tuple(self._rare_indices), shape)

    def save(self, folder: str | os.PathLike, *, weights: bool = True) -> Path:
        """Write the run into a folder of its own: run.json, and the files of arrays and weights that it names.

        A new folder appears whole or not at all. Where an older run is, that can be opened until the new one can; other
        files stay.

        Parameters
        ----------
        folder : path
        weights : bool
            Whether the network is saved too, where there is one.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InvalidInputError
            If `folder` holds something else, or the run could not be opened again. Nothing is touched then.
        StorageError
            If it cannot be written. What stood there stands.
        """
        return write_run(self, Path(folder), weights=weights)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Run:
        """Open a saved run. Its weights are read when they are first asked for.

        Raises
        ------
        CheckpointError
            If the folder holds none, or a damaged one, or one of a newer careedu.
        """
        folder = Path(folder)
        text, arrays, weights = read_saved(folder, SAVED_RUN)
        with naming_damage(folder, SAVED_RUN):
            check_text("run", text)
            arrays |= {of: np.array(text[of], dtype=str) for of in ("groups", "ids")}
            return cls.of(text, arrays, weights.get("weights"))

    @classmethod
    def of(cls, text: Mapping[str, Any], arrays: Mapping[str, np.ndarray], weights: Mapping[str, Any] | None) -> Self:
        """A run from what is saved of it, groups and ids among the arrays; `ValueError` if that is no whole run."""
        run = cls(
            configuration=text["configuration"],
            **{name.replace(" ", "_"): arrays[name] for name in (*_ARRAYS, "groups", "ids")},
            history=table_of_epochs(text["history"]),
            traces={name.removeprefix("trace/"): a for name, a in arrays.items() if name.startswith("trace/")},
            seconds=text["seconds"],
            weights=weights,
            pretraining=table_of_epochs(text.get("pretraining", {})),  # older runs have none
            marked=arrays.get("marked"),
        )
        check_run(run)
        return run

    def __repr__(self) -> str:
        data = self.configuration["data"]["name"]
        rare = self.interval("rare recall")
        return f"Run({self.method} on {data}, seed {self.configuration['seed']}: rare recall {rare})"


def write_run(run: Run, folder: Path, *, weights: bool = True, force: bool = False) -> Path:
    """Save a run as `Run.save` does; with `force` also in the place of one that cannot be read."""
    check_saveable(run)
    arrays = {
        **{name: getattr(run, name.replace(" ", "_")) for name in _ARRAYS},
        **{f"trace/{name}": array for name, array in run.traces.items()},
        **({} if run.marked is None else {"marked": run.marked}),
    }
    text = {
        "configuration": run.configuration,
        "seconds": run.seconds,
        "groups": run.groups.tolist(),
        "ids": run.ids.tolist(),
        "history": columns_of_epochs(run.history),
        "pretraining": columns_of_epochs(run.pretraining),
    }
    network = {"weights": run.weights} if weights and run.weights is not None else {}
    return write_saved(folder, SAVED_RUN, text, {"arrays": arrays, **network}, force=force)


def table_of_epochs(columns: Mapping[str, list[Any]]) -> pandas.DataFrame:
    """A history again, from what is saved of it: a row an epoch, NaN for null."""
    # A column of nothing but null would not be taken for numbers.
    return pandas.DataFrame({name: [np.nan if v is None else v for v in values] for name, values in columns.items()})


def columns_of_epochs(table: pandas.DataFrame, digits: int = 17) -> dict[str, list]:
    """A history as JSON, to so many digits, 17 being the last bit; a loss term that a stage did not have is null."""
    return {
        name: [(float(f"{v:.{digits}g}") if np.isfinite(v) else None) if isinstance(v, float) else v for v in values]
        for name, values in table.to_dict("list").items()
    }
