"""Where the networks of a comparison look, over seeds and test groups: kept beside the saved results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas

from careedu.errors import CheckpointError, InvalidInputError, unknown_name
from careedu.experiment.saved_results import locate_results
from careedu.files import read_tensors, write_tensors
from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import Difference, Estimate, difference_of, estimate_of

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results

MEASURES = ("inside share", "pointing", "chance")
FILE = "attention.safetensors"


class AttentionResults:
    """Measures of the true class's map on every test image, for every seed.

    Parameters
    ----------
    values : mapping of str to mapping of str to ndarray
        Method → measure (one of `MEASURES`) → float (S, N).
    labels : int (N,)
        True classes of the images.
    groups : (N,)
    classes : tuple of str
    """

    def __init__(
        self,
        values: Mapping[str, Mapping[str, np.ndarray]],
        labels: np.ndarray,
        groups: np.ndarray,
        classes: tuple[str, ...],
    ) -> None:
        self.values = {method: dict(measures) for method, measures in values.items()}
        self.labels, self.groups, self.classes = labels, groups, classes

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that were measured: those that had weights."""
        return tuple(self.values)

    def estimate(self, method: str, measure: str, label: str | None = None) -> Estimate:
        """Mean of a measure over seeds and images with a 95 % interval that covers other seeds and test groups.

        Parameters
        ----------
        method : str
        measure : str
            One of `MEASURES`.
        label : str, optional
            The class whose images are looked at; all of them where not given.
        """
        values, groups = self._of(method, measure, label)
        return estimate_of(spread_of_images(values, groups))

    def difference(self, a: str, b: str, measure: str, label: str | None = None) -> Difference:
        """Paired difference a − b of a measure, with interval, p-value and verdict."""
        first, groups = self._of(a, measure, label)
        second, _ = self._of(b, measure, label)
        return difference_of(measure, spread_of_images(first, groups), spread_of_images(second, groups))

    def table(self, label: str | None = None) -> pandas.DataFrame:
        """One row a method: inside share and pointing game as text with their intervals, and chance."""
        rows = {
            method: {measure: str(self.estimate(method, measure, label)) for measure in MEASURES[:2]}
            | {"chance": f"{self.estimate(method, 'chance', label).estimate:.2f}"}
            for method in self.methods
        }
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("method")

    def _of(self, method: str, measure: str, label: str | None) -> tuple[np.ndarray, np.ndarray]:
        if method not in self.values:
            raise unknown_name("method that was measured", method, self.values)
        if measure not in MEASURES:
            raise unknown_name("measure", measure, MEASURES)
        if label is not None and label not in self.classes:
            raise unknown_name("class", label, self.classes)
        values = self.values[method][measure]
        # An image whose lesion is not known has no measure; that is the same for all methods and seeds.
        rows = ~np.isnan(values).any(axis=0)
        if label is not None:
            rows &= self.labels == self.classes.index(label)
        if not rows.any():
            raise InvalidInputError("no image of that class has a lesion that is known")
        return values[:, rows], self.groups[rows]

    def save(self, folder: str | os.PathLike) -> Path:
        """Write into a folder of saved results, as float16: a share of the image needs no more digits."""
        arrays = {
            f"{k}/{measure}": values.astype(np.float16)
            for k, measures in enumerate(self.values.values())
            for measure, values in measures.items()
        }
        path = Path(folder) / FILE
        state = {"methods": list(self.values), "classes": list(self.classes), "groups": self.groups.tolist()}
        write_tensors(path, {**arrays, "labels": self.labels}, state)
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike) -> AttentionResults:
        """Open what `save` wrote, by folder or by the name of results that come with careedu.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged.
        """
        path = locate_results(folder) / FILE
        arrays, state = read_tensors(path, framework="numpy")
        try:
            values = {
                method: {measure: arrays[f"{k}/{measure}"].astype(np.float64) for measure in MEASURES}
                for k, method in enumerate(state["methods"])
            }
            return cls(values, arrays["labels"], np.array(state["groups"], dtype=str), tuple(state["classes"]))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged ({error!r}); measure it again") from error


def measure_attention(results: Results, dataset: LesionDataset) -> AttentionResults:
    """Look through the maps of all runs that have weights.

    Parameters
    ----------
    results : Results
    dataset : LesionDataset
        Images whose lesions are known, usually the test split.

    Returns
    -------
    AttentionResults

    Raises
    ------
    InvalidInputError
        If no run has weights, or no lesion is known.
    """
    from careedu.experiment.attention import attention_of

    values: dict[str, dict[str, np.ndarray]] = {}
    for method, runs in results.runs.items():
        if all(run.weights is not None for run in runs.values()):
            tables = [attention_of(run, dataset) for run in runs.values()]
            values[method] = {name: np.stack([table[name].to_numpy() for table in tables]) for name in MEASURES}
    if not values:
        raise InvalidInputError("no method of this comparison has the weights of all its runs")
    return AttentionResults(values, dataset.labels.numpy().copy(), dataset.groups, dataset.classes)
