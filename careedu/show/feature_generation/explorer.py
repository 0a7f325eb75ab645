"""The feature explorer: what two ways generate, next to what they learned from, and what it does to recall.

It opens on a saved record and saved results. Features and pictures are of one training; recalls of the seeds that
all results have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError, check_known
from careedu.measure.feature_quality import near_copies
from careedu.show.record_state import RecordState
from careedu.show.results_state import ALL, of_class
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    import pandas

    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results
    from careedu.measure.statistics import Estimate
    from careedu.show.feature_generation.records import GeneratedFeatures

NOTHING = "plain"
"""The arm without generated features, which stands at amount 0."""
STAGE = "generation"
DISCRIMINATOR, GENERATOR = "loss: discriminator, source", "loss: generator, source"


class Generated:
    """What one side generates, and what is next to the chosen feature.

    Parameters
    ----------
    explorer : FeatureExplorer
    way : str

    Attributes
    ----------
    places : ndarray
        float32 (M, 2), generated features in the plane of the two main directions of the real ones.
    agreed : ndarray
        bool (M,), whether the discriminator gives each its class.
    row : int
        Of the training image whose feature is nearest to the chosen one.
    same : bool
        Whether that is of the class that was asked for.
    distance, usual : float
        To it; and the median distance of the class's real features to the next one, NaN of a single one.
    copy : bool
        Whether the chosen feature is a near copy of a real one of its class.
    copies : float
        Share of near copies among the generated features of the chosen one's class.
    frechet : float
        Fréchet distance of that class to the real features, of as many as it has images, after the chosen epoch.
    """

    def __init__(self, explorer: FeatureExplorer, way: str) -> None:
        record, epoch, label, chosen = explorer.record_of, explorer.settings["epoch"], explorer.label, explorer.chosen
        self.places, nearest, distances, copies = explorer.compared(way, epoch)
        self.agreed = record.agreed[record.names.index(way), record.epochs.index(epoch)]
        self.row, self.distance, self.copy = int(nearest[chosen]), float(distances[chosen]), bool(copies[chosen])
        self.same = bool(record.labels[self.row] == label)
        self.copies = float(copies[record.made_labels == label].mean())
        self.usual, self.frechet = explorer.usual(label), explorer.frechet(way, epoch)


class FeatureExplorer(RecordState):
    """State of the feature explorer. It opens on features of the rarest class, after the last epoch.

    Settings: ``a`` and ``b``, ways to generated features; ``epoch``, of the generators, one of the record's;
    ``generated_of``, the name of a class or `ALL`, and ``generated``, the place among its generated features, from 1;
    ``amount``, 0 or a key of `by_amount`.

    Parameters
    ----------
    record : GeneratedFeatures
    by_amount : mapping of float to Results
        How far classes were filled up → results of the record's ways, 1 included, where there is "plain" too.
    images : LesionDataset, optional
        Training images that hold those of the record; loaded by their recipe where not given.

    Attributes
    ----------
    record_of : GeneratedFeatures
    seen : dict of str to Generated
        By side.
    real : ndarray
        float32 (N, 2), the real features in the plane.
    members : ndarray
        Which generated features can be chosen.
    chosen, label : int
        The chosen one, and the class that was asked for.
    asked : str
        The name of that class.
    images : LesionDataset or None
        The training images, after `load_images`.

    Raises
    ------
    InvalidInputError
        If results lack a way, or `images` an image.
    """

    part, chooses, place = "train", ("generated_of",), "generated"

    def __init__(
        self, record: GeneratedFeatures, by_amount: Mapping[float, Results], images: LesionDataset | None = None
    ) -> None:
        self.record_of, self.by_amount = record, dict(sorted(by_amount.items()))
        if 1 not in self.by_amount:
            raise InvalidInputError("give results with amount 1 too: they hold what is recorded after each epoch")
        for amount, results in self.by_amount.items():
            for way in (*record.names, *([NOTHING] if amount == 1 else [])):
                check_known(f"way in the results with amount {amount:g}", way, results.methods)
        # Of the same seeds, so that a curve does not jump where there are more.
        seeds = [s for s in self.by_amount[1].seeds if all(s in of.seeds for of in self.by_amount.values())]
        self._swept = {
            amount: type(of)({way: {s: runs[s] for s in seeds} for way, runs in of.runs.items()})
            for amount, of in self.by_amount.items()
        }
        real = record.real.astype(np.float32)
        self._mean = real.mean(axis=0)
        self._directions = np.linalg.svd(real - self._mean, full_matrices=False)[2][:2].T
        self.real = (real - self._mean) @ self._directions
        counts = np.bincount(record.labels, minlength=len(record.classes))
        rarest = record.classes[int(np.where(counts, counts, np.inf).argmin())]
        opening = {"epoch": record.epochs[-1], "generated_of": rarest, "generated": 1, "amount": 1}
        super().__init__(record, images, "record_generation", **opening)
        for way in record.names:  # now, and not while a slider waits for it
            for epoch in record.epochs:
                self.compared(way, epoch)
        self.update()

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        ways = dict.fromkeys("ab", self.record_of.names)
        present = tuple(self.classes[c] for c in np.unique(self.record_of.made_labels))
        amounts = (0, *self.by_amount)
        return ways | {"epoch": self.record_of.epochs, "generated_of": (ALL, *present), "amount": amounts}

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        labels = self.record_of.made_labels
        self.chosen = self.pick(np.flatnonzero(of_class(self.settings["generated_of"], labels, self.classes)))
        self.label = int(labels[self.chosen])
        self.asked = self.classes[self.label]
        self.seen = {side: self._see(self.method(side)) for side in SIDES}

    def compared(self, way: str, epoch: int) -> tuple[np.ndarray, ...]:
        """Of all generated features: place, nearest real one, distance to it, and whether it is a near copy."""
        return self.once("compared", way, epoch, of=lambda: self._compared(way, epoch))

    def _compared(self, way: str, epoch: int) -> tuple[np.ndarray, ...]:
        from scipy.spatial.distance import cdist

        record, made, real = self.record_of, self.record_of.of(way, epoch), self.record_of.real.astype(np.float32)
        between, copies = cdist(made, real), np.zeros(len(made), dtype=bool)
        for c in np.unique(record.made_labels):
            own = record.made_labels == c
            copies[own] = near_copies(made[own], real[record.labels == c])
        return (made - self._mean) @ self._directions, between.argmin(axis=1), between.min(axis=1), copies

    def _see(self, way: str) -> Generated:
        return Generated(self, way)

    def usual(self, label: int) -> float:
        """Median distance of a class's real features to the next one; NaN of a single one."""
        from scipy.spatial.distance import cdist

        def measured() -> float:
            own = self.record_of.real[self.record_of.labels == label].astype(np.float32)
            between = cdist(own, own)
            np.fill_diagonal(between, np.inf)
            return float(np.median(between.min(axis=1))) if len(own) > 1 else np.nan

        return self.once("usual", label, of=measured)

    def frechet(self, way: str, epoch: int) -> float:
        """Fréchet distance to the real features of what a way generates of the chosen class after an epoch."""
        course = self.course(way)
        if len(course):
            return float(course[f"Fréchet distance: {self.asked}"].iloc[epoch - 1])
        return float(self.record_of.quality[self.record_of.names.index(way), self.label])

    def course(self, way: str) -> pandas.DataFrame:
        """Losses and quality after each epoch of a way's generator, with the record's seed; empty without one."""
        table = self.by_amount[1].runs[way][self.record_of.provenance["seed"]].pretraining
        return self.once("course", way, of=lambda: table[table["stage"] == STAGE] if len(table) else table)

    def recalls(self, way: str) -> dict[float, list[Estimate]]:
        """By amount: each class's recall and the balanced accuracy, over the seeds that all results have."""
        metrics = [*(f"recall of {name}" for name in self.classes), "balanced accuracy"]

        def measured() -> dict[float, list[Estimate]]:
            asked = {0: (self._swept[1], NOTHING)} | {amount: (of, way) for amount, of in self._swept.items()}
            return {amount: [of.estimate(arm, m) for m in metrics] for amount, (of, arm) in asked.items()}

        return self.once("recalls", way, of=measured)
