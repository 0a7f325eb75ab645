"""Runs of several methods with the same seeds on the same images, and what may be said of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas

from careedu.errors import InvalidInputError, check_known
from careedu.experiment import by_mark
from careedu.experiment.attention_results import AttentionResults
from careedu.experiment.comparison_table import comparison_table
from careedu.experiment.metric_names import canonical_name, measured_part
from careedu.experiment.outdated import outdated
from careedu.experiment.run import Run
from careedu.experiment.saved_results import read_results, write_results
from careedu.measure import statistics
from careedu.measure.crossed import Spread, spread
from careedu.measure.leave_one_out import metric_without
from careedu.measure.statistics import Difference, Estimate

if TYPE_CHECKING:
    from careedu.data.dataset import Splits

MAIN_METRICS = ("balanced accuracy", "rare recall", "macro F1", "AUROC", "calibration error")


class Results:
    """Runs by method and seed, paired: seed s had the same training images and first weights for all methods.

    Parameters
    ----------
    runs : mapping of str to mapping of int to Run
        Name of a method → seed → run. All on the same validation and test images.
    reference : str, optional
        The method that the others are compared with; the first where not given.
    provenance : mapping, optional
        JSON values that tell how to make these results again, kept when they are saved.
    data : Splits, optional
        The images. Where not given, they are loaded when they are asked for, by the runs' own recipe.

    Raises
    ------
    InvalidInputError
        If the runs do not belong together.
    """

    def __init__(
        self,
        runs: Mapping[str, Mapping[int, Run]],
        *,
        reference: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        data: Splits | None = None,
    ) -> None:
        self.runs = {name: {int(seed): run for seed, run in by_seed.items()} for name, by_seed in runs.items()}
        self.provenance = dict(provenance or {})
        self.reference = next(iter(self.runs), None) if reference is None else reference
        self._check()
        self._data = data
        self._attention: AttentionResults | None = None
        self._values: dict[tuple[str, str], np.ndarray] = {}
        self._spreads: dict[tuple[str, str], Spread] = {}
        self._estimates: dict[tuple[str, str], Estimate] = {}
        self._differences: dict[tuple[str, str], dict[str, Difference]] = {}

    def _check(self) -> None:
        if not self.runs or not all(self.runs.values()):
            raise InvalidInputError("there is no run to compare; each method needs at least one")
        first = self.first
        for name, by_seed in self.runs.items():
            if tuple(by_seed) != self.seeds:
                raise InvalidInputError(
                    f"{name!r} has seeds {list(by_seed)}, the first method {list(self.seeds)}; "
                    "a paired comparison needs the same seeds of every method, in one order"
                )
            for seed, run in by_seed.items():
                same = run.classes == first.classes and run.rare == first.rare
                if not same or not all(np.array_equal(getattr(run, of), getattr(first, of)) for of in _SHARED):
                    raise InvalidInputError(
                        f"{name!r}, seed {seed}, was measured on other validation or test images or classes"
                    )
        self._known(self.reference)

    def _known(self, method: str) -> str:
        check_known("method of this comparison", method, self.runs)
        return method

    @property
    def first(self) -> Run:
        """The first run, for what all have in common."""
        return next(iter(next(iter(self.runs.values())).values()))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(next(iter(self.runs.values())))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.first.classes

    @property
    def rare(self) -> tuple[str, ...]:
        """Names of the rare classes."""
        return self.first.rare

    @property
    def rare_indices(self) -> tuple[int, ...]:
        """The rare classes as indices."""
        return tuple(self.classes.index(name) for name in self.rare)

    @property
    def labels(self) -> np.ndarray:
        """True classes of the test images, int64 (N,)."""
        return self.first.labels

    @property
    def groups(self) -> np.ndarray:
        """Groups of the test images, str (N,)."""
        return self.first.groups

    @property
    def marked(self) -> np.ndarray | None:
        """Whether a test image carries a mark that is no part of the disease, bool (N,); None where that is unknown."""
        return self.first.marked

    @property
    def data(self) -> Splits:
        """The images these results are about, loaded by the runs' recipe where they were not given.

        Raises
        ------
        MissingDataError
            If they are real images that are not on this machine.
        InvalidInputError
            If `careedu.load` has not made them, or what the recipe gives are other test images.
        """
        if self._data is None:
            from careedu.experiment.configuration import images_of

            self._data = images_of(self.first)
        return self._data

    @property
    def attention(self) -> AttentionResults | None:
        """Where the networks look on the test images; None until it is measured (`measure_attention`) and set."""
        return self._attention

    @attention.setter
    def attention(self, measured: AttentionResults | None) -> None:
        """Set it; what was measured on other images, methods or seeds is an `InvalidInputError`."""
        if measured is not None:
            measured.check(self.runs)
        self._attention = measured

    def probabilities(self, method: str) -> np.ndarray:
        """Class probabilities of one method, float64 (S, N, C), in the order of `seeds`.

        Rounded to float32, as `save` keeps them, so that a table has the same bits before saving and after loading.
        """
        runs = self.runs[self._known(method)].values()
        return np.stack([run.probabilities for run in runs]).astype(np.float32).astype(np.float64)

    def metric(self, name: str) -> str:
        """The canonical name of a metric, see `careedu.experiment.metric_names`."""
        return canonical_name(name, self.first)

    def values_per_seed(self, method: str, metric: str) -> np.ndarray:
        """A metric of each seed's run, float64 (S,) in the order of `seeds`; NaN where the images do not define it.

        Parameters
        ----------
        method : str
        metric : str
            As `estimate` takes it.
        """
        key = self._known(method), self.metric(metric)
        if key not in self._values:
            name, rows = measured_part(key[1], self.marked)
            labels, probabilities = self.labels[rows], self.probabilities(method)[:, rows]
            self._values[key] = metric_without(name, probabilities, labels, np.zeros_like(labels), self.rare_indices)[0]
        return self._values[key]

    def estimate(self, method: str, metric: str) -> Estimate:
        """Mean of a metric over seeds with a 95 % interval that covers other seeds and other test groups.

        Parameters
        ----------
        method : str
        metric : str
            A name of `careedu.measure.metrics.METRICS`, or "recall of" and the name of a class; where marks are known,
            perhaps with " with mark" or " without mark" behind it, such as "rare recall without mark".
        """
        key = self._known(method), self.metric(metric)
        if key not in self._estimates:
            self._estimates[key] = statistics.estimate_of(self._spread(*key))
        return self._estimates[key]

    def recalls(self, method: str) -> list[Estimate]:
        """Recall of each class, as `estimate` gives it."""
        return [self.estimate(method, f"recall of {label}") for label in self.classes]

    def recalls_by_mark(self, method: str) -> pandas.DataFrame:
        """Recall of each class on the test images with and without a mark.

        Returns
        -------
        DataFrame
            Rows (class, "with mark" | "without mark"), columns "n", the number of images, and "mean", "low" and "high",
            as `estimate` gives them; NaN where there is no image.

        Raises
        ------
        InvalidInputError
            If nothing is known of marks.
        """
        return by_mark.recalls_by_mark(self, method)

    def worst_group(self, method: str) -> tuple[str, Estimate]:
        """The class with or without mark of which least is found, such as "melanoma without mark", and its recall.

        It was chosen as the lowest mean over seeds, so that by chance it is a little too low, and its interval with it.
        Which one it is may differ from method to method.

        Raises
        ------
        InvalidInputError
            If nothing is known of marks.
        """
        return by_mark.worst_group(self, method)

    def difference(self, a: str, b: str, metric: str = "balanced accuracy") -> Difference:
        """Paired difference a − b of one metric, with its interval, p-value and verdict.

        The p-value is that of this one comparison. Where several methods are compared with one, take `differences`,
        which adjusts for their number.
        """
        name = self.metric(metric)
        first, second = self._spread(self._known(a), name), self._spread(self._known(b), name)
        return replace(statistics.difference_of(name, first, second), metric=metric)  # a class by its name

    def _spread(self, method: str, metric: str) -> Spread:
        """What estimates and differences are made of: each method is taken apart once for each metric."""
        key = method, metric
        if key not in self._spreads:
            name, rows = measured_part(metric, self.marked)
            part = self.probabilities(method)[:, rows], self.labels[rows], self.groups[rows]
            self._spreads[key] = spread(name, *part, self.rare_indices)
        return self._spreads[key]

    def differences(self, metric: str = "balanced accuracy", reference: str | None = None) -> dict[str, Difference]:
        """All other methods less the reference, p-values adjusted by Holm over this one family."""
        reference = self._known(self.reference if reference is None else reference)
        key = reference, self.metric(metric)
        if key not in self._differences:
            found = {name: self.difference(name, reference, metric) for name in self.methods if name != reference}
            adjusted = statistics.holm([one.p for one in found.values()]) if found else []
            self._differences[key] = {
                name: replace(one, adjusted_p=float(p)) for (name, one), p in zip(found.items(), adjusted, strict=True)
            }
        return self._differences[key]

    def table(self, metrics: Sequence[str] | None = None, reference: str | None = None) -> pandas.DataFrame:
        """One row a method; of each metric the mean over seeds, its interval, and the difference to the reference.

        Parameters
        ----------
        metrics : str or sequence of str, optional
            By default the recall of each class and `MAIN_METRICS`.
        reference : str, optional

        Returns
        -------
        DataFrame
            Columns (metric, "mean" | "low" | "high" | "difference" | "difference low" | "difference high" | "p" |
            "verdict" | "smallest"); p is Holm-adjusted over the column. The same bits at each call.
        """
        if metrics is None:
            metrics = [*(f"recall of {c}" for c in self.classes), *MAIN_METRICS]
        return comparison_table(self, [metrics] if isinstance(metrics, str) else metrics, reference)

    def outdated(self) -> list[str]:
        """What has changed since these runs were made: one line for the loop and one a method; empty if nothing has."""
        return outdated(self.runs)

    def save(
        self, folder: str | os.PathLike, *, weights: str | Sequence[str] = (), courses: bool | Sequence[str] = True
    ) -> Path:
        """Write everything that tables, pictures and widgets need into one small folder.

        Probabilities are kept as float32, those of validation images as float16, histories to six digits, probe maps of
        the first seed only, and of an attention map that is the same for all images the last one under every seed, in
        256 levels of its own; of the methods in `weights` the first seed's network as float16, and `attention` where it
        is set. No image is written. Older results of that name are replaced. Without `courses`, or of methods that are
        not among them, nothing is kept of single epochs but the histories.

        Raises
        ------
        InvalidInputError
            If the folder exists and holds no saved results, or something cannot be saved: nothing is written.
        """
        weights = [weights] if isinstance(weights, str) else weights
        for name in [*weights, *([] if isinstance(courses, bool) else courses)]:
            self._known(name)
        facts = {"reference": self.reference, "provenance": self.provenance}
        facts["attention"] = self.attention and self.attention.values
        return write_results(Path(folder), self.runs, **facts, weights=weights, courses=courses)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Results:
        """Open what `save` wrote: a folder, or the name of saved results that come with careedu.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged.
        """
        runs, reference, provenance, attention = read_results(folder)
        results = cls(runs, reference=reference, provenance=provenance)
        results._attention = AttentionResults.of(attention, runs) if attention else None
        return results

    def __repr__(self) -> str:
        data = self.first.configuration["data"]["name"]
        return f"{type(self).__name__}({len(self.methods)} methods × {len(self.seeds)} seeds on {data})"


_SHARED = ("ids", "labels", "groups", "marked", "validation_labels")
