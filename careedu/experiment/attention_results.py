"""Where the networks of a comparison look, over seeds and test groups: saved and opened with its results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas

from careedu.errors import CheckpointError, InvalidInputError, check_known
from careedu.experiment.attention import MARK_MEASURES, MEASURES, attention_of
from careedu.experiment.saved_checks import check_attention
from careedu.experiment.saved_results import Values, read_results
from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import Difference, Estimate, difference_of, estimate_of

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run

_REMEDY = "careedu.experiment.attention_results.measure_attention(results, results.data.test)"


class AttentionResults:
    """Measures of the true class's map on every test image, for every seed.

    Kept to the digits of float16, as they are saved: a share of the image needs no more.

    Parameters
    ----------
    values : mapping of str to mapping of str to ndarray
        Method → measure (all of `MEASURES`, and all or none of `MARK_MEASURES`) → float (S, N), NaN where an image has
        no lesion or no mark.
    labels : int (N,)
        True classes of the images.
    groups : (N,)
    classes : tuple of str
    """

    def __init__(self, values: Values, labels: np.ndarray, groups: np.ndarray, classes: tuple[str, ...]) -> None:
        self.values = {
            method: {measure: array.astype(np.float16).astype(np.float64) for measure, array in measures.items()}
            for method, measures in values.items()
        }
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
            One of `MEASURES` or `MARK_MEASURES`.
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
        """One row a method: shares and pointing game as text with their intervals, and beside them chance.

        What is said of marks is left out where no image that is looked at carries one, and what is said of lesions
        where none is known.
        """
        shown = [measure for measure in (*MEASURES, *MARK_MEASURES) if self.has(measure, label)] or MEASURES
        rows = {}
        for method in self.methods:
            found = {measure: self.estimate(method, measure, label) for measure in shown}
            rows[method] = {m: f"{e.estimate:.2f}" if m.endswith("chance") else str(e) for m, e in found.items()}
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("method")

    def has(self, measure: str, label: str | None = None) -> bool:
        """Whether there is an image of that class that has such a measure."""
        known = all(measure in measures for measures in self.values.values())
        return known and any(self._rows(method, measure, label).any() for method in self.methods[:1])

    def _of(self, method: str, measure: str, label: str | None) -> tuple[np.ndarray, np.ndarray]:
        check_known("method that was measured", method, self.values)
        check_known("measure", measure, (*MEASURES, *MARK_MEASURES))
        if measure not in self.values[method]:
            raise InvalidInputError(
                f"{measure!r}: nothing is known of marks on these images; measure on a LesionDataset with marks"
            )
        rows = self._rows(method, measure, label)
        if not rows.any():
            lacking = "carries a mark" if measure in MARK_MEASURES else "has a lesion that is known"
            raise InvalidInputError(f"no image of that class {lacking}")
        return self.values[method][measure][:, rows], self.groups[rows]

    def _rows(self, method: str, measure: str, label: str | None) -> np.ndarray:
        """The images of a class that have a measure; which have none is the same for all methods and seeds."""
        if label is not None:
            check_known("class", label, self.classes)
        rows = ~np.isnan(self.values[method][measure]).any(axis=0)
        return rows if label is None else rows & (self.labels == self.classes.index(label))

    def check(self, runs: Mapping[str, Mapping[int, Run]]) -> None:
        """Raise `InvalidInputError` unless this was measured on the test images of these runs, with their seeds."""
        try:
            check_attention(self.values, runs)
            other = AttentionResults.of({}, runs)
            if not all(np.array_equal(getattr(self, of), getattr(other, of)) for of in ("labels", "groups", "classes")):
                raise ValueError("it was measured on other images")
        except ValueError as error:
            raise InvalidInputError(
                f"this does not belong to these results: {error}; measure it with {_REMEDY}"
            ) from error

    @classmethod
    def load(cls, folder: str | os.PathLike) -> AttentionResults:
        """Open what was saved with results, by folder or by the name of results that come with careedu.

        Raises
        ------
        CheckpointError
            If there are no results, or damaged ones, or such as do not say where their networks look.
        """
        runs, _, _, values = read_results(folder)
        if not values:
            raise CheckpointError(
                f"the results in {str(folder)!r} do not say where their networks look; with the weights of all runs, "
                f"set results.attention to {_REMEDY}, and save them again"
            )
        return cls.of(values, runs)

    @classmethod
    def of(cls, values: Values, runs: Mapping[str, Mapping[int, Run]]) -> Self:
        """Measures by method of the test images of runs by method and seed."""
        first = next(iter(next(iter(runs.values())).values()))
        return cls(values, first.labels, first.groups, first.classes)


def measure_attention(results: Any, dataset: LesionDataset) -> AttentionResults:
    """Look through the maps of all runs that have weights.

    Parameters
    ----------
    results : Results
    dataset : LesionDataset
        Images whose lesions are known, usually the test split. What is measured there is saved with the results once
        ``results.attention`` is set to it.

    Returns
    -------
    AttentionResults

    Raises
    ------
    InvalidInputError
        If no run has weights, or neither a lesion nor a mark is known.
    """
    values: dict[str, dict[str, np.ndarray]] = {}
    for method, runs in results.runs.items():
        if all(run.weights is not None for run in runs.values()):
            tables = [attention_of(run, dataset) for run in runs.values()]
            names = [name for name in (*MEASURES, *MARK_MEASURES) if name in tables[0]]
            values[method] = {name: np.stack([table[name].to_numpy() for table in tables]) for name in names}
    if not values:
        raise InvalidInputError("no method of this comparison has the weights of all its runs")
    return AttentionResults(values, dataset.labels.numpy().copy(), dataset.groups, dataset.classes)
