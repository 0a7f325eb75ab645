"""Runs of several methods with the same seeds on the same images, and what may be said of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas

from careedu.errors import CareeduError, InvalidInputError, unknown_name
from careedu.experiment.run import Run
from careedu.experiment.saved_results import read_results, write_results
from careedu.measure import statistics
from careedu.measure.crossed import Spread, spread
from careedu.measure.leave_one_out import metric_without
from careedu.measure.metrics import METRICS
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
        if method not in self.runs:
            raise unknown_name("method of this comparison", method, self.runs)
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
    def data(self) -> Splits:
        """The images these results are about, loaded by the runs' recipe where they were not given.

        Raises
        ------
        MissingDataError
            If they are real images that are not on this machine.
        InvalidInputError
            If what the recipe gives are other test images.
        """
        if self._data is None:
            from careedu.data.load import load

            recipe = self.first.configuration["data"]["recipe"]
            names = ("size", "imbalance", "counts", "seed", "rare", "augmentation")
            data = load(recipe["name"], **{name: recipe[name] for name in names}, **recipe["options"])
            if data.test.ids.tolist() != self.first.ids.tolist():
                raise InvalidInputError(
                    f"{recipe['name']!r} on this machine has other test images than these results were measured on"
                )
            self._data = data
        return self._data

    def probabilities(self, method: str) -> np.ndarray:
        """Class probabilities of one method, float64 (S, N, C), in the order of `seeds`.

        Rounded to float32, as `save` keeps them, so that a table has the same bits before saving and after loading.
        """
        runs = self.runs[self._known(method)].values()
        return np.stack([run.probabilities for run in runs]).astype(np.float32).astype(np.float64)

    def metric(self, name: str) -> str:
        """The metric as `careedu.measure.statistics` calls it: "recall of" a class may name the class."""
        prefix = "recall of "
        if name.startswith(prefix) and name.removeprefix(prefix) in self.classes:
            return statistics.recall_metric(self.classes.index(name.removeprefix(prefix)))
        if name not in METRICS:
            raise unknown_name("metric", name, [*METRICS, *(prefix + label for label in self.classes)])
        return name

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
            everything = np.zeros(len(self.labels), dtype=np.int64)
            probabilities = self.probabilities(method)
            self._values[key] = metric_without(key[1], probabilities, self.labels, everything, self.rare_indices)[0]
        return self._values[key]

    def estimate(self, method: str, metric: str) -> Estimate:
        """Mean of a metric over seeds with a 95 % interval that covers other seeds and other test groups.

        Parameters
        ----------
        method : str
        metric : str
            A name of `careedu.measure.metrics.METRICS`, or "recall of" and the name of a class.
        """
        key = self._known(method), self.metric(metric)
        if key not in self._estimates:
            self._estimates[key] = statistics.estimate_of(self._spread(*key))
        return self._estimates[key]

    def recalls(self, method: str) -> list[Estimate]:
        """Recall of each class, as `estimate` gives it."""
        return [self.estimate(method, f"recall of {label}") for label in self.classes]

    def difference(self, a: str, b: str, metric: str = "balanced accuracy") -> Difference:
        """Paired difference a − b of one metric, with its interval, p-value and verdict.

        The p-value is that of this one comparison. Where several methods are compared with one, take `differences`,
        which adjusts for their number.
        """
        name = self.metric(metric)
        return statistics.difference_of(name, self._spread(self._known(a), name), self._spread(self._known(b), name))

    def _spread(self, method: str, metric: str) -> Spread:
        """What estimates and differences are made of: each method is taken apart once for each metric."""
        key = method, metric
        if key not in self._spreads:
            self._spreads[key] = spread(metric, self.probabilities(method), self.labels, self.groups, self.rare_indices)
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
        elif isinstance(metrics, str):
            metrics = [metrics]
        columns: dict[tuple[str, str], list[Any]] = {}
        for metric in metrics:
            estimates = [self.estimate(name, metric) for name in self.methods]
            found = self.differences(metric, reference)
            against = [found.get(name) for name in self.methods]
            for part, attribute in {"mean": "estimate", "low": "low", "high": "high"}.items():
                columns[metric, part] = [getattr(e, attribute) for e in estimates]
            for part, attribute in _COMPARED.items():
                columns[metric, part] = [np.nan if d is None else getattr(d, attribute) for d in against]
            columns[metric, "verdict"] = ["reference" if d is None else d.verdict for d in against]
        return pandas.DataFrame(columns, index=pandas.Index(self.methods, name="method"))

    def outdated(self) -> list[str]:
        """What has changed since these runs were made: one line for the loop and one a method; empty if nothing has."""
        from careedu.experiment.configuration import REVISION
        from careedu.methods.building import rebuild_method

        lines = []
        made = {str(run.configuration["revision"]) for by_seed in self.runs.values() for run in by_seed.values()}
        if made != {str(REVISION)}:
            lines.append(f"the training loop is at revision {REVISION}, these runs were made with {_revisions(made)}")
        for name, by_seed in self.runs.items():
            method = next(iter(by_seed.values())).configuration["method"]
            try:
                now = rebuild_method(method).all_revisions()
            except CareeduError as error:
                lines.append(f"{name} cannot be made any more as it was for its runs: {error}")
                continue
            made = {run.configuration["method"]["revision"] for run in by_seed.values()}
            if made != {now}:
                lines.append(f"{name} is at revision {now}, its runs were made with {_revisions(made)}")
        return lines

    def save(self, folder: str | os.PathLike, *, weights: str | Sequence[str] = (), courses: bool = True) -> Path:
        """Write everything that tables, pictures and widgets need into one small folder.

        Probabilities are kept as float32, histories to six digits, probe maps of the first seed only, and of an
        attention map that is the same for all images the last one under every seed; of the methods in `weights` the
        first seed's network as float16. No image is written. Older results of that name are replaced. Without `courses`
        nothing is kept of single epochs but the histories.

        Raises
        ------
        InvalidInputError
            If the folder exists and holds no saved results, or something cannot be saved: nothing is written.
        """
        weights = [weights] if isinstance(weights, str) else weights
        for name in weights:
            self._known(name)
        return write_results(
            Path(folder),
            self.runs,
            reference=self.reference,
            provenance=self.provenance,
            weights=weights,
            courses=courses,
        )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Results:
        """Open what `save` wrote: a folder, or the name of saved results that come with careedu.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged.
        """
        runs, reference, provenance = read_results(folder)
        return cls(runs, reference=reference, provenance=provenance)

    def __repr__(self) -> str:
        data = self.first.configuration["data"]["name"]
        return f"{type(self).__name__}({len(self.methods)} methods × {len(self.seeds)} seeds on {data})"


def _revisions(made: set[str]) -> str:
    return f"revision {' and '.join(sorted(made))}"


_SHARED = ("ids", "labels", "groups", "validation_labels")
_COMPARED = {
    "difference": "effect",
    "difference low": "low",
    "difference high": "high",
    "p": "adjusted_p",
    "smallest": "smallest",
}
