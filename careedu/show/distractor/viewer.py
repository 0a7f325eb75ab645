"""The distractor viewer: what tempts two networks to a wrong class, and how much of that lies on look-alikes.

It opens on a saved record. What is told of one image is of one training; what is told over seeds stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.show.record_state import RecordState
from careedu.show.results_state import ANY, of_class
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.measure.statistics import Difference, Estimate
    from careedu.show.distractor.records import DistractorRecord

TRUE, WRONG, DISTRACTOR = "true class", "wrong class", "distractor"
MAPS = (TRUE, WRONG, DISTRACTOR, "neuron 1", "neuron 2", "neuron 3")
"""What can be shown over the image."""


class Temptation:
    """What tempts one side's network on the chosen image.

    Parameters
    ----------
    viewer : DistractorViewer
    side : str

    Attributes
    ----------
    probabilities : ndarray
        float32 (C,), of all classes.
    predicted, tempting : int
        The class that it predicts, and the most likely wrong one, after the chosen epoch.
    look_alike : bool or None
        Whether the tempting class is the one whose texture the image's look-alikes carry; None where it has none.
    distances : ndarray
        float32 (E,), 1 − cosine between the image's features and its distractor's, after each epoch.
    distance : float
        After the chosen one.
    loss : float
        max(0, margin − distance), before any weight.
    near : float
        Share of all images that are nearer to their distractor than the margin.
    tempted : float
        Share of the images with look-alikes whose tempting class is that of their look-alikes; NaN without such images.
    neurons, shares : ndarray
        The three neurons with most of the relevance for the tempting class, and their shares of it, (3,).
    map : ndarray
        float64 (h, w) in [0, 1], the chosen map.
    confusion : ndarray
        int64 (C, C), images by true class (row) and predicted class (column), after the chosen epoch.
    """

    def __init__(self, viewer: DistractorViewer, side: str) -> None:
        record, row, margin = viewer.distractors, viewer.row, viewer.settings["margin"]
        probabilities, distances = (viewer.now(side, of) for of in (record.probabilities, record.distances))
        predicted = probabilities.argmax(axis=1)
        tempting = record.tempting(viewer.method(side), viewer.settings["epoch"])
        there, classes = record.patch_labels >= 0, len(viewer.classes)
        self.probabilities = probabilities[row]
        self.predicted, self.tempting = int(predicted[row]), int(tempting[row])
        self.look_alike = bool(tempting[row] == viewer.look_alike) if there[row] else None
        self.distances = viewer.of_network(side, record.distances)[:, row]
        self.distance = float(distances[row])
        self.loss = max(0.0, margin - self.distance)
        self.near = float((distances < margin).mean())
        self.tempted = float((tempting == record.patch_labels)[there].mean()) if there.any() else np.nan
        self.neurons, self.shares = (viewer.now(side, of)[row] for of in (record.neurons, record.neuron_shares))
        self.map = viewer.now(side, viewer.maps[viewer.settings["map"]])[row] / 255
        counts = np.bincount(viewer.labels * classes + predicted, minlength=classes**2)
        self.confusion = counts.reshape(classes, classes)


class DistractorViewer(RecordState):
    """State of the distractor viewer. It opens on the image that tempts A most.

    Settings: ``a`` and ``b``, networks; ``true`` and ``predicted``, names of classes or `ANY`, which choose cells of
    A's confusion matrix after the chosen epoch; ``image``, the place among their images, from 1, most confused first;
    ``epoch``, one of the record's; ``map``, one of `MAPS`; ``margin``, of the loss. Another epoch or network keeps the
    image, as long as it is in the chosen cells.

    Parameters
    ----------
    record : DistractorRecord
    images : LesionDataset, optional
        That hold those of the record; loaded by their recipe where not given.

    Attributes
    ----------
    distractors : DistractorRecord
    seen : dict of str to Temptation
        By side.
    members : ndarray
        Rows of the images that can be chosen, by how likely A takes their most tempting wrong class after the last
        epoch, most first.
    empty : bool
        Whether the chosen cells hold no image, so that others are offered.
    row, label, look_alike : int
        The chosen image, its class, and the class that its look-alikes carry, −1 where it has none.
    true_class, image_id : str
    images : LesionDataset or None
        The record's images in their order, after `load_images`.

    Raises
    ------
    InvalidInputError
        If `images` lack one of the record's, or have other classes.
    """

    chooses, place = ("true", "predicted"), "image"

    def __init__(self, record: DistractorRecord, images: LesionDataset | None = None) -> None:
        self.distractors = record
        opening = {"true": ANY, "predicted": ANY, "image": 1, "map": DISTRACTOR, "margin": 0.5}
        super().__init__(record, images, "record_distractors", epoch=record.epochs[-1], **opening)
        kept = record.true_maps, record.wrong_maps, record.relevance, *np.moveaxis(record.neuron_maps, 3, 0)
        self.row, self._choice, self.maps = 0, None, dict(zip(MAPS, kept, strict=True))
        self.update()

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        cells = dict.fromkeys(("true", "predicted"), (ANY, *self.classes))
        return dict.fromkeys("ab", self.distractors.names) | cells | {"epoch": self.distractors.epochs, "map": MAPS}

    def limits(self) -> dict[str, tuple[float, float]]:
        """The image is clamped above, not refused: other cells have other images."""
        return super().limits() | {"margin": (0, 2)}

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings, record = self.settings, self.distractors
        predicted = self.now("A", record.probabilities).argmax(axis=1)
        own = of_class(settings["true"], self.labels, self.classes)
        chosen = own & of_class(settings["predicted"], predicted, self.classes)
        self.empty = not chosen.any()
        if self.empty:
            chosen = own if own.any() else np.ones(len(self.labels), dtype=bool)
        wrong = np.where(np.eye(len(self.classes))[self.labels], -1, self.of_network("A", record.probabilities)[-1])
        order = np.argsort(-wrong.max(axis=1), kind="stable")
        members, cells = order[chosen[order]], (settings["true"], settings["predicted"])
        if self._choice == (settings["image"], *cells):
            rank = np.argsort(order)
            settings["image"] = 1 + int(np.searchsorted(rank[members], rank[self.row]))
        self.row = self.pick(members)
        self._choice = settings["image"], *cells
        self.label, self.look_alike = int(self.labels[self.row]), int(record.patch_labels[self.row])
        self.true_class, self.image_id = self.classes[self.label], str(record.ids[self.row])
        self.seen = {side: self._see(side) for side in SIDES}

    def of_network(self, side: str, values: np.ndarray) -> np.ndarray:
        """What the record holds (A, E, …) of a side's network."""
        return values[self.distractors.names.index(self.method(side))]

    def now(self, side: str, values: np.ndarray) -> np.ndarray:
        """The same after the chosen epoch."""
        return self.of_network(side, values)[self.distractors.epochs.index(self.settings["epoch"])]

    def _see(self, side: str) -> Temptation:
        return Temptation(self, side)

    def mean_distances(self, side: str) -> np.ndarray:
        """Mean over all images of the distance to their distractors after each epoch, float32 (E,)."""
        return self.of_network(side, self.distractors.distances).mean(axis=1)

    def on_look_alikes(self, side: str) -> tuple[float, float]:
        """Share of a side's map on look-alikes, and of the image that they cover; NaN where there is nothing to tell.

        As the record measures: each place of the map counts by the part of it that look-alikes cover.
        """
        if self.images is None or self.images.marks is None or self.look_alike < 0:
            return np.nan, np.nan
        from PIL import Image

        shown, marks = self.seen[side].map, Image.fromarray(self.images.marks[self.row].numpy().astype(np.float32))
        covered = np.asarray(marks.resize(shown.shape[::-1], Image.Resampling.BOX), dtype=np.float64)
        return float((shown * covered).sum() / shown.sum()) if shown.any() else np.nan, float(covered.mean())

    def over_seeds(self, side: str) -> tuple[Estimate, Difference] | None:
        """Mean share of the relevance on look-alikes, over seeds and images, and its difference from chance.

        None where that was not measured of a side's method.
        """
        name, record = self.method(side), self.distractors
        if name not in record.arms or not (record.patch_labels >= 0).any():
            return None
        of = record.estimate, record.difference
        return self.once("over seeds", name, of=lambda: (of[0](name, "relevance"), of[1](name, "relevance", "chance")))
