"""The comparison explorer: two methods side by side on the same test images, seeds and epochs.

It opens on saved results. Metrics, verdicts and confusion are those of all seeds; a map, a prediction and what happened
epoch by epoch are those of one seed's run, which says where it has none.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from careedu.experiment.results import Results
from careedu.measure.statistics import Difference, Estimate
from careedu.show.results_state import ALL, RECORDED, PairState, of_class
from careedu.show.widget import SIDES

GROUPS = ("only A right", "only B right", "both right", "both wrong", RECORDED)
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


class ComparisonExplorer(PairState):
    """State of the comparison explorer.

    Settings: those of `PairState`; ``metric``, a name in `metrics`; ``group`` of images, one of `GROUPS`; ``seed``, of
    which maps and predictions are shown. With the recall of a class come the pictures of that class.

    Parameters
    ----------
    results : Results
    a, b : str, optional
        As in `PairState`.

    Attributes
    ----------
    compared : list of Row
        Recall of each class, balanced accuracy, and rare recall where several classes are rare.
    seed_differences : ndarray
        float64 (S,), B − A in the chosen metric, seed by seed.
    adjusted_over : int
        Number of comparisons over which p-values are Holm-adjusted: all methods with the reference where A or B is the
        reference, else 1.
    confusions : dict of str to ndarray
        Of each side, float64 (C, C): images, averaged over seeds; rows true, columns predicted.
    members : ndarray
        Rows of the test images of the group, those that the sides differ in most first.
    group_sizes : dict of str to int
        Of the chosen class.
    outdated : list of str
        What has changed since the runs were made, after `load_images`.
    """

    chooses = ("a", "b", "picture_of", "group")

    def __init__(self, results: Results, a: str | None = None, b: str | None = None) -> None:
        rare = results.rare
        labels = {f"recall of {c}": f"{c} (rare)" if c in rare else c for c in results.classes}
        several = {"rare recall": "rare recall"} if len(rare) > 1 else {}
        self.metrics = labels | several | {"balanced accuracy": "balanced accuracy"}
        self.outdated: list[str] = []
        metric = "rare recall" if several else f"recall of {rare[0]}"
        super().__init__(results, a, b, metric=metric, group=GROUPS[1], seed=results.seeds[0])
        self.settings["picture_of"] = self._class_of(metric)
        # The methods' difference is what one comes for; where they never differ, the recorded images.
        self.update()
        order = (GROUPS[1], GROUPS[0], RECORDED, *GROUPS[2:4])
        self.settings["group"] = next((group for group in order if self.group_sizes[group]), GROUPS[1])
        self.update()

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        return super().choices() | {"metric": tuple(self.metrics), "group": GROUPS, "seed": self.results.seeds}

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; the recall of a class brings its pictures, another metric all."""
        if changes.get("metric", self.settings["metric"]) != self.settings["metric"]:
            changes = {"picture_of": self._class_of(changes["metric"]), **changes}
        super().set(**changes)

    def _class_of(self, metric: str) -> str:
        name = metric.removeprefix("recall of ")
        return name if name in self.results.classes else ALL

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        results, metric = self.results, self.settings["metric"]
        a, b = self.settings["a"], self.settings["b"]
        self.compared = self.once("rows", a, b, of=lambda: self._compared(a, b))
        self.adjusted_over = len(results.methods) - 1 if a != b and results.reference in (a, b) else 1
        self.seed_differences = results.values_per_seed(b, metric) - results.values_per_seed(a, metric)
        self.confusions = {side: self._confusion(self.method(side)) for side in SIDES}
        own = of_class(self.settings["picture_of"], results.labels, results.classes)
        self.group_sizes = {group: int(own[rows].sum()) for group, rows in self._groups().items()}
        super().update()

    @property
    def page(self) -> np.ndarray:
        """Rows of the images on the page that holds the image looked at."""
        start = (self.settings["picture"] - 1) // PAGE * PAGE
        return self.members[start : start + PAGE]

    def seeds_right(self, method: str) -> np.ndarray:
        """In how many seeds a method classifies each test image rightly, int (N,)."""
        found, labels = self.results.probabilities, self.results.labels
        return self.once("right", method, of=lambda: (found(method).argmax(axis=2) == labels).sum(axis=0))

    def rows(self) -> np.ndarray:
        """Rows of the group's images, those that the sides differ in most first."""
        rows = self._groups()[self.settings["group"]]
        a, b = (self.seeds_right(self.method(side))[rows] for side in SIDES)
        return rows[np.argsort(-np.abs(a - b), kind="stable")]

    def _groups(self) -> dict[str, np.ndarray]:
        a, b = (self.seeds_right(self.method(side)) > len(self.results.seeds) / 2 for side in SIDES)
        found = [np.flatnonzero(rows) for rows in (a & ~b, b & ~a, a & b, ~a & ~b)]
        return dict(zip(GROUPS, [*found, self.recorded], strict=True))

    def _compared(self, a: str, b: str) -> list[Row]:
        of = self.results.estimate
        return [
            Row(metric, label, of(a, metric), of(b, metric), self._difference(a, b, metric))
            for metric, label in self.metrics.items()
        ]

    def _difference(self, a: str, b: str, metric: str) -> Difference:
        """B − A; adjusted for all methods that are compared with the reference, where one of the two is that."""
        results = self.results
        if a == b or results.reference not in (a, b):
            return results.difference(b, a, metric)
        found = results.differences(metric)[b if results.reference == a else a]
        if results.reference == a:
            return found
        return replace(found, effect=-found.effect, low=-found.high, high=-found.low)

    def _confusion(self, method: str) -> np.ndarray:
        runs = self.results.runs[method].values()
        return self.once("confusion", method, of=lambda: np.mean([run.confusion() for run in runs], axis=0))

    def load_images(self) -> None:
        """Load or draw the test images, see whether the runs are outdated, and look ahead."""
        self.outdated = self.results.outdated()
        super().load_images()
        # What every pair of methods needs, so that the first look at a method is as quick as the second.
        for method in self.results.methods:
            self._confusion(method)
            for metric in self.metrics:
                self.results.estimate(method, metric)
                self.results.values_per_seed(method, metric)
