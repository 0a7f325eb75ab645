"""The embedding explorer: where two networks put the same images, and what that is worth with few labels.

It opens on saved embeddings. Neighbours and weights of negatives are those of the features behind the pooling; the
planes only draw them. The loss of a pretraining itself looks at two views of training images behind a projector.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import check_known
from careedu.measure.map_quality import inside_share
from careedu.show.comparison.explorer import Row
from careedu.show.deep_pneumonia import embeddings as embedded
from careedu.show.record_state import RecordState
from careedu.show.results_state import ALL, of_class
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results

PLANES = {"pca": "PCA", "tsne": "t-SNE"}
TEMPERATURES = (0.05, 0.063, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8, 1.0)
NEAREST = 0.05
"""The share of the negatives that are nearest, of which it is told how much of the weight they carry."""
SCRATCH, PRETRAINED = "from scratch", "pretrained"
"""The arms that the shares of labels compare."""
METRICS = ("balanced accuracy", "rare recall")
SPREAD = "embedding spread"
COLLAPSED = 0.1
"""Below this spread all outputs point nearly one way: our word for it is collapse."""


class Neighbourhood:
    """What one network says of the chosen image.

    Parameters
    ----------
    explorer : EmbeddingExplorer
    network : str

    Attributes
    ----------
    neighbours : ndarray
        int64 (k,), rows of its nearest others by the cosine, nearest first.
    same : ndarray
        bool (k,), whether they are of its class.
    share, class_share : float
        Mean share of an image's neighbours that are of its class, over all images and over those of this class.
    weights : ndarray
        float64 (N,), what each negative of the image weighs in the loss, summing to 1; 0 for itself.
    nearest_share : float
        What the nearest `NEAREST` of the negatives carry of that.
    own_share : float
        What images of its own class carry.
    effective : float
        1 / Σ w²: so many negatives of equal weight would do the same.
    attention : ndarray or None
        float64 (h, w) in [0, 1]; None where the network has no attention module.
    """

    def __init__(self, explorer: EmbeddingExplorer, network: str) -> None:
        once, row = explorer.once, explorer.row
        units = once("units", network, of=lambda: embedded.unit_rows(explorer.embeddings.of(network)))
        nearest = once("neighbours", network, of=lambda: embedded.nearest_neighbours(units))
        shares = embedded.share_of_class(nearest, explorer.labels)
        own, maps = explorer.labels == explorer.label, explorer.embeddings.attention.get(network)
        self.network, self.neighbours, self.same = network, nearest[row], own[nearest[row]]
        self.share, self.class_share = float(shares.mean()), float(shares[own].mean())
        self.weights = embedded.negative_weights(units @ units[row], row, explorer.settings["temperature"])
        self.nearest_share = float(np.sort(self.weights)[-explorer.nearest :].sum())
        self.own_share = float(self.weights[own].sum())
        self.effective = float(1 / (self.weights**2).sum())
        self.attention = None if maps is None else maps[row] / 255


class EmbeddingExplorer(RecordState):
    """State of the embedding explorer. It opens on an image of a rare class.

    Settings: ``a`` and ``b``, networks; ``plane``, one of `PLANES`; ``image_of``, the name of a class or `ALL`, and
    ``image``, the place among its images, from 1; ``temperature``, one of `TEMPERATURES`; ``labels``, a key of
    `by_labels`, None where there is none.

    Parameters
    ----------
    embeddings : Embeddings
    by_labels : mapping of int or str to Results, optional
        Labelled images a class → results with the arms "from scratch" and "pretrained".
    images : LesionDataset, optional
        That hold those of the embeddings; loaded by their recipe where not given.

    Attributes
    ----------
    seen : dict of str to Neighbourhood
        By side.
    nearest : int
        How many images are the nearest `NEAREST` of the negatives.
    chance : float
        Share of an image's neighbours that would be of its class if they were drawn at random.
    rows : list of Row
        Of each of `METRICS`: "from scratch" as A, "pretrained" as B, and B − A, Holm-adjusted over the arms; empty
        without results.
    spreads : dict of int to ndarray
        Seed → float64 (E,), embedding spread after each epoch of the pretraining.
    present : tuple of str
        Classes that have images.
    members : ndarray
        Rows of the images that can be chosen.
    row, label : int
        The chosen one and its class.
    true_class, image_id : str
    images : LesionDataset or None
        The embeddings' images in their order, after `load_images`.

    Raises
    ------
    InvalidInputError
        If results lack an arm, or `images` an image.
    """

    chooses, place = ("image_of",), "image"

    def __init__(
        self,
        embeddings: embedded.Embeddings,
        by_labels: Mapping[Hashable, Results] | None = None,
        images: LesionDataset | None = None,
    ) -> None:
        self.embeddings, self.by_labels = embeddings, dict(by_labels or {})
        for share, results in self.by_labels.items():
            for arm in (SCRATCH, PRETRAINED):
                check_known(f"arm of the results with {share} labels", arm, results.methods)
        self.present = tuple(embeddings.classes[c] for c in np.unique(embeddings.labels))
        rare = next((name for name in embeddings.data["rare"] if name in self.present), ALL)
        opening = {"plane": "tsne", "image_of": rare, "image": 1, "temperature": 0.2}
        super().__init__(embeddings, images, "embed", labels=next(iter(self.by_labels), None), **opening)
        self.nearest = ceil(NEAREST * (len(self.labels) - 1))
        counts = np.bincount(self.labels, minlength=len(self.classes))
        self.chance = float(((counts[self.labels] - 1) / (len(self.labels) - 1)).mean())
        self.update()

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        networks = dict.fromkeys("ab", self.embeddings.names)
        kept = {"plane": tuple(PLANES), "temperature": TEMPERATURES, "labels": tuple(self.by_labels) or (None,)}
        return networks | kept | {"image_of": (ALL, *self.present)}

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings = self.settings
        self.row = self.pick(np.flatnonzero(of_class(settings["image_of"], self.labels, self.classes)))
        self.label = int(self.labels[self.row])
        self.true_class, self.image_id = self.classes[self.label], str(self.ids[self.row])
        self.seen = {side: self._see(self.method(side)) for side in SIDES}
        self.rows = self.once("rows", settings["labels"], of=self._compared) if self.by_labels else []
        self.spreads = self.once("spreads", settings["labels"], of=self._spreads) if self.by_labels else {}

    @property
    def labelled(self) -> Results:
        """The results with the chosen share of labels."""
        return self.by_labels[self.settings["labels"]]

    def plane(self, side: str) -> np.ndarray:
        """Where a side's network puts the images, float32 (N, 2)."""
        return getattr(self.embeddings, self.settings["plane"])[self.embeddings.names.index(self.method(side))]

    def inside(self, side: str) -> tuple[float, float]:
        """Share of a side's attention on the lesion, and of the image that the lesion covers; NaN where not known."""
        attention, images = self.seen[side].attention, self.images
        if attention is None or images is None or not images.has_mask[self.row] or not images.masks[self.row].any():
            return np.nan, np.nan

        def measured() -> tuple[float, float]:
            from PIL import Image

            # Bilinear as the map is drawn, without torch, whose first resizing takes longer than a move may.
            mask = images.masks[self.row].numpy()
            small = Image.fromarray(attention.astype(np.float32))
            whole = np.asarray(small.resize(mask.shape[::-1], Image.Resampling.BILINEAR))[None]
            return float(inside_share(whole, mask[None])[0]), float(mask.mean())

        return self.once("inside", self.method(side), self.row, of=measured)

    def _see(self, network: str) -> Neighbourhood:
        return Neighbourhood(self, network)

    def _compared(self) -> list[Row]:
        of = self.labelled
        both = {metric: [of.estimate(arm, metric) for arm in (SCRATCH, PRETRAINED)] for metric in METRICS}
        return [Row(m, m, *arms, of.differences(m, SCRATCH)[PRETRAINED]) for m, arms in both.items()]

    def _spreads(self) -> dict[int, np.ndarray]:
        tables = {seed: run.pretraining for seed, run in self.labelled.runs[PRETRAINED].items()}
        return {seed: table[SPREAD].to_numpy() for seed, table in tables.items() if SPREAD in table}
