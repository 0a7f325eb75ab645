"""The comparison explorer: two methods side by side on the same test images, seeds and epochs.

It opens on saved results. Metrics, verdicts and confusion are those of all seeds; a map, a prediction and what happened
epoch by epoch are those of one seed's run, which says where it has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError, MissingDataError, MissingPackageError, unknown_name
from careedu.measure import metrics
from careedu.show.comparison_plots import values_per_seed
from careedu.show.style import cividis
from careedu.show.widget import SIDES, BackgroundTask, WidgetState

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run
    from careedu.measure.statistics import Difference, Estimate
    from careedu.show.compare import Comparison

GROUPS = ("only A right", "only B right", "both right", "both wrong", "recorded each epoch")
"""Which images are looked at. A method is right where more than half of its seeds are."""
PAGE = 8
"""Images on one page."""


@dataclass(frozen=True)
class Row:
    """One metric of both sides, and the paired difference.

    Parameters
    ----------
    metric : str
        As `Results.estimate` takes it.
    label : str
    a, b : Estimate
    difference : Difference
        B − A.
    """

    metric: str
    label: str
    a: Estimate
    b: Estimate
    difference: Difference


@dataclass(frozen=True)
class Seen:
    """What one side's run, of the chosen seed, makes of the image.

    Parameters
    ----------
    seeds_right : int
        In so many seeds the image is classified rightly at the end of the training.
    probabilities : ndarray
        float64 (C,), after `epoch`.
    epoch : int
        Counted from 1; the last of the training where nothing was recorded of the image.
    course : ndarray or None
        float64 (E,), probability of the true class after each epoch.
    map : ndarray or None
        float64 (h, w) in [0, 1]: evidence for the true class, scaled per image.
    about_map : str
        What the map is, or why there is none.
    """

    seeds_right: int
    probabilities: np.ndarray
    epoch: int
    course: np.ndarray | None
    map: np.ndarray | None
    about_map: str


class ComparisonExplorer(WidgetState):
    """State of the comparison explorer.

    Settings: ``a`` and ``b``, the methods; ``metric``, a name in `metrics`; ``group`` of images, one of `GROUPS`;
    ``image``, the place in that group, from 0; ``epoch``, from 1; ``seed``, of which maps and predictions are shown;
    ``opacity`` of the map, in [0, 1]; ``outline``, whether the lesion is drawn.

    Parameters
    ----------
    comparison : Comparison
    a, b : str, optional
        Where not given, the reference and the first other method.

    Attributes
    ----------
    rows : list of Row
        Recall of each class, balanced accuracy, and rare recall where several classes are rare.
    seed_differences : ndarray
        float64 (S,), B − A in the chosen metric, seed by seed.
    adjusted_over : int
        Number of comparisons over which p-values are Holm-adjusted: all methods with the reference where A or B is the
        reference, else 1.
    confusions : dict of str to ndarray
        Of each side, float64 (C, C): images, averaged over seeds; rows true, columns predicted.
    members : ndarray
        Rows of the test images of the group, those that the sides differ in most first. Only classes that the metric
        is about: one for its recall, the rare ones for rare recall.
    group_sizes : dict of str to int
    row : int or None
        The image that is looked at, as row of the test images; None where the group is empty.
    seen : dict of str to Seen
        By side; empty where there is no image.
    epochs : int
        Of the longer training.
    images : LesionDataset or None
        The test images, after `load_images`.
    missing : str
        Why there are no images; empty while nobody has asked, and where there are some.
    outdated : list of str
        What has changed since the runs were made, after `load_images`.
    """

    def __init__(self, comparison: Comparison, a: str | None = None, b: str | None = None) -> None:
        self.comparison = comparison
        self.metrics = self._metrics()
        first = comparison.reference if a is None else a
        others = [name for name in comparison.methods if name != first]
        super().__init__(
            a=first,
            b=(others[0] if others else first) if b is None else b,
            metric="rare recall" if "rare recall" in self.metrics else f"recall of {comparison.rare[0]}",
            group=GROUPS[1],
            image=0,
            epoch=1,
            seed=comparison.seeds[0],
            opacity=0.5,
            outline=True,
        )
        self.images: LesionDataset | None = None
        self.missing = ""
        self.task: BackgroundTask | None = None
        self.outdated: list[str] = []
        self._right: dict[str, np.ndarray] = {}
        self._rows: dict[tuple[str, str], list[Row]] = {}
        # Computed once each, so that a move of a slider costs next to nothing.
        self._maps: dict[tuple[str, int, int], np.ndarray] = {}
        self._confusions: dict[str, np.ndarray] = {}
        self._of_seeds: dict[tuple[str, str], np.ndarray] = {}
        self.check(self.settings)
        self.settings["epoch"] = self._epochs(self.settings)
        sizes = self._group_sizes(self.settings)
        # The methods' difference is what one comes for; where they never differ, the recorded images.
        self.settings["group"] = next(
            (g for g in (GROUPS[1], GROUPS[0], GROUPS[4], *GROUPS[2:4]) if sizes[g]), GROUPS[1]
        )
        self.update()

    def _metrics(self) -> dict[str, str]:
        """Metrics shown, with their labels."""
        rare = self.comparison.rare
        labels = {f"recall of {c}": f"{c} (rare)" if c in rare else c for c in self.comparison.classes}
        several = {"rare recall": "rare recall"} if len(rare) > 1 else {}
        return labels | several | {"balanced accuracy": "balanced accuracy"}

    def check(self, settings: dict[str, Any]) -> None:
        """Refuse values that cannot be, by name."""
        results = self.comparison
        known = {
            "a": results.methods,
            "b": results.methods,
            "metric": tuple(self.metrics),
            "group": GROUPS,
            "seed": results.seeds,
            "outline": (True, False),
        }
        for name, values in known.items():
            if settings[name] not in values:
                raise unknown_name(name, settings[name], map(str, values))
        for name, low, high in (("image", 0, np.inf), ("epoch", 1, np.inf), ("opacity", 0, 1)):
            if not low <= settings[name] <= high:
                raise InvalidInputError(f"{name}={settings[name]!r} must lie between {low} and {high}")

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; another group begins with its first image."""
        first = {"image": 0} if {"a", "b", "metric", "group"} & changes.keys() else {}
        super().set(**{**first, **changes})

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings = self.settings
        a, b = settings["a"], settings["b"]
        self.rows = self._compared(a, b)
        self.adjusted_over = len(self.comparison.methods) - 1 if a != b and self.comparison.reference in (a, b) else 1
        self.seed_differences = self._values(b, settings["metric"]) - self._values(a, settings["metric"])
        self.confusions = {side: self._confusion(self.method(side)) for side in SIDES}
        self.epochs = self._epochs(settings)
        self.group_sizes = self._group_sizes(settings)
        self.members = self._members(settings, settings["group"])
        # Clamped, not refused: another pair of methods has another number of images and epochs.
        settings["image"] = int(min(settings["image"], max(0, len(self.members) - 1)))
        settings["epoch"] = int(min(settings["epoch"], self.epochs))
        self.row = int(self.members[settings["image"]]) if len(self.members) else None
        self.seen = {} if self.row is None else {side: self._see(side, self.row) for side in SIDES}

    def method(self, side: str) -> str:
        """Name of the method of side "A" or "B"."""
        return self.settings[side.lower()]

    def run(self, side: str) -> Run:
        """The run of one side with the chosen seed."""
        return self.comparison.runs[self.method(side)][self.settings["seed"]]

    @property
    def page(self) -> np.ndarray:
        """Rows of the images on the page that holds the image looked at."""
        start = self.settings["image"] // PAGE * PAGE
        return self.members[start : start + PAGE]

    def seeds_right(self, method: str) -> np.ndarray:
        """In how many seeds a method classifies each test image rightly, int (N,)."""
        if method not in self._right:
            right = self.comparison.probabilities(method).argmax(axis=2) == self.comparison.labels
            self._right[method] = right.sum(axis=0)
        return self._right[method]

    def _compared(self, a: str, b: str) -> list[Row]:
        if (a, b) not in self._rows:
            of = self.comparison.estimate
            self._rows[a, b] = [
                Row(metric, label, of(a, metric), of(b, metric), self._difference(a, b, metric))
                for metric, label in self.metrics.items()
            ]
        return self._rows[a, b]

    def _difference(self, a: str, b: str, metric: str) -> Difference:
        """B − A; adjusted for all methods that are compared with the reference, where one of the two is that."""
        results = self.comparison
        if a == b or results.reference not in (a, b):
            return results.difference(b, a, metric)
        if results.reference == a:
            return results.differences(metric)[b]
        found = results.differences(metric)[a]
        return replace(found, effect=-found.effect, low=-found.high, high=-found.low)

    def _confusion(self, method: str) -> np.ndarray:
        if method not in self._confusions:
            runs = self.comparison.runs[method].values()
            matrices = [metrics.confusion(run.probabilities, run.labels) for run in runs]
            self._confusions[method] = np.mean(matrices, axis=0)
        return self._confusions[method]

    def _values(self, method: str, metric: str) -> np.ndarray:
        if (method, metric) not in self._of_seeds:
            self._of_seeds[method, metric] = values_per_seed(self.comparison, method, metric)
        return self._of_seeds[method, metric]

    def _epochs(self, settings: dict[str, Any]) -> int:
        runs = (self.comparison.runs[settings[side]][settings["seed"]] for side in ("a", "b"))
        return max(1, *(len(run.traces.get("probe maps", ())) for run in runs))

    def _group_sizes(self, settings: dict[str, Any]) -> dict[str, int]:
        return {group: len(self._members(settings, group)) for group in GROUPS}

    def _members(self, settings: dict[str, Any], group: str) -> np.ndarray:
        n_seeds, labels = len(self.comparison.seeds), self.comparison.labels
        share = {side: self.seeds_right(settings[side]) / n_seeds for side in ("a", "b")}
        a, b = share["a"] > 0.5, share["b"] > 0.5
        recorded = np.zeros(len(labels), dtype=bool)
        # In whichever seed: another seed must not take the image away that is looked at.
        for run in (run for side in ("a", "b") for run in self.comparison.runs[settings[side]].values()):
            if len(run.traces.get("probe maps", ())):
                recorded[run.probes] = True
        chosen = dict(zip(GROUPS, (a & ~b, b & ~a, a & b, ~a & ~b, recorded), strict=True))[group]
        chosen = chosen & np.isin(labels, self._classes_of(settings["metric"]))
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-np.abs(share["a"] - share["b"])[rows], kind="stable")]

    def _classes_of(self, metric: str) -> list[int]:
        """The classes whose images a metric rests on."""
        results = self.comparison
        if metric == "rare recall":
            return list(results.rare_indices)
        name = metric.removeprefix("recall of ")
        return [results.classes.index(name)] if name in results.classes else list(range(len(results.classes)))

    def _see(self, side: str, row: int) -> Seen:
        run, label = self.run(side), int(self.comparison.labels[row])
        seeds_right = int(self.seeds_right(self.method(side))[row])
        traced = run.traces.get("probe maps", np.zeros(0))
        probe = np.flatnonzero(run.probes == row)
        if len(traced) and len(probe):
            p = int(probe[0])
            epoch = min(self.settings["epoch"], len(traced))
            course = run.traces["probe probabilities"][:, p].astype(np.float64)
            about = f"map after epoch {epoch} of {len(traced)}"
            shown = traced[epoch - 1, p].astype(np.float64) / 255
            return Seen(seeds_right, course[epoch - 1], epoch, course[:, label], shown, about)
        shown, about = self._map_of_weights(side, row, label)
        return Seen(seeds_right, run.probabilities[row], max(1, len(traced)), None, shown, about)

    def _map_of_weights(self, side: str, row: int, label: int) -> tuple[np.ndarray | None, str]:
        """Map of the trained network where it was saved, and what to say of it."""
        run, seed = self.run(side), self.settings["seed"]
        if run.weights is None:
            kept = [s for s, other in self.comparison.runs[self.method(side)].items() if "probe maps" in other.traces]
            where = f'"{GROUPS[4]}"' + ("" if seed in kept else f", seed {kept[0]}") if kept else ""
            return None, f"no map: neither network nor map was kept of it{f' (see {where})' if where else ''}"
        if self.images is None:
            return None, f"no map: {self.missing}" if self.missing else "no map until the images are here"
        key = self.method(side), seed, row
        if key not in self._maps:
            maps = run.class_maps(self.images.images[row : row + 1], self.images.labels[row : row + 1])
            self._maps[key] = maps[0].numpy().astype(np.float64)
        return self._maps[key], "map of the trained network"

    def load_images(self) -> None:
        """Load or draw the test images, and see whether the runs are outdated.

        Where the images are not on this machine, `missing` says why.
        """
        self.outdated = self.comparison.outdated()
        try:
            images = self.comparison.data.test
        except (MissingDataError, MissingPackageError, InvalidInputError) as error:
            with self._lock:
                self.missing = f"the images cannot be shown: {error}"
                self.update()
        else:
            with self._lock:
                self.images, self.missing = images, ""
                self.update()
        self.notify()

    def start_loading(self) -> BackgroundTask:
        """Load the images beside the notebook; an error other than missing images is recorded in `errors`."""
        self.task = BackgroundTask(self, lambda _: self._prepare())
        return self.task.start()

    def _prepare(self) -> None:
        # matplotlib and torch are imported here and not at the start: it opens sooner.
        cividis()
        self.load_images()
        # What every pair of methods needs, so that the first look at a method is as quick as the second.
        for method in self.comparison.methods:
            self._confusion(method)
            for metric in self.metrics:
                self.comparison.estimate(method, metric)
                self._values(method, metric)
