"""What the embedding explorer looks like: two planes, neighbours, attention, weights of negatives, shares of labels."""

from __future__ import annotations

import html
import os
from collections.abc import Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.show import drawing
from careedu.show.deep_pneumonia import drawings
from careedu.show.deep_pneumonia.embeddings import Embeddings
from careedu.show.deep_pneumonia.explorer import METRICS, PLANES, PRETRAINED, SCRATCH, EmbeddingExplorer
from careedu.show.layered_picture import map_layer, panel
from careedu.show.style import if_rare
from careedu.show.view import COLUMN, PairView
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results

PICTURE = 220
SHARES = (15, 50, "all")
"""Labelled images a class of the saved results."""
LEGEND = (
    "The thick ring is the chosen image, thin rings are its five nearest neighbours by the cosine of the features; "
    "solid and ✓: of its class, dashed and ✗: of another. A plane draws many numbers with two: near in t-SNE is "
    "mostly alike, how far apart two groups lie means nothing, and the axes have no unit. Weights: softmax of cosine / "
    "temperature over all other images, as NT-Xent weighs its negatives; filled: the nearest 5 %, dashed: an equal "
    "weight for all. The loss of a pretraining itself sees two views of training images, behind a projector."
)


class EmbeddingView(PairView):
    """View of an `EmbeddingExplorer`.

    Its parts: "note", "key", "heading", "planes", "neighbours", "pictures" ("A" and "B"), "negatives", "legend",
    "shares" and "spread".
    """

    def __init__(self, state: EmbeddingExplorer) -> None:
        super().__init__(state)
        self.state: EmbeddingExplorer = state
        self.size = tuple(state.embeddings.data["image shape"][1:])
        rare = state.embeddings.data["rare"]
        map_layer(np.zeros((1, 1)), (1, 1))  # the colours of maps are made now, not at the first move that shows one
        self.open(
            self.methods("network"),
            self.row(
                self.buttons("plane", "Plane", width=COLUMN, label=PLANES.get),
                self.buttons("image_of", "Class", width=COLUMN, label=partial(if_rare, rare=rare)),
            ),
            self.slider("image", "Image", lambda: (1, len(state.members))),
            *(self.part(name) for name in ("note", "heading")),
            self.part("key", drawings.class_key(state.classes, rare)),
            *(self.part(name) for name in ("planes", "neighbours")),
            self.pictures(PICTURE, self.size, "the lesion", beside=True),
            self.choice("temperature", "Temperature", label=lambda value: f"{value:g}"),
            self.part("negatives"),
            self.part("legend", drawing.legend(LEGEND)),
            self.choice("labels", "Labels a class", unknown="no results"),
            *(self.part(name) for name in ("shares", "spread")),
        )

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        state = self.state
        of_side = {"planes": self._plane, "neighbours": self._neighbours, "negatives": self._negatives}
        # In the order in which they are sent: what the browser takes longest for comes first.
        return {
            "pictures": [self._panel(side) for side in SIDES],
            **{name: drawings.beside(*map(drawn, SIDES)) for name, drawn in of_side.items()},
            "note": self.notes([state.missing]),
            "heading": drawing.heading(
                f"{state.embeddings.data['name']}: image {state.image_id}, {state.true_class}",
                f"{state.settings['image']} of {len(state.members)} ({state.settings['image_of']}), "
                f"{len(state.labels)} images in all",
            ),
            "shares": state.once("shares", state.settings["labels"], of=self._shares),
            "spread": state.once("spread", state.settings["labels"], of=self._spread),
        }

    def _about(self, side: str) -> str:
        """How many of an image's neighbours are of its class, of this one and of all."""
        state, seen = self.state, self.state.seen[side]
        return (
            f"{seen.same.sum()} of {len(seen.same)} neighbours share its class; over all images {seen.share:.0%} (by "
            f"chance {state.chance:.0%}), over those of {state.true_class} {seen.class_share:.0%}"
        )

    def _plane(self, side: str) -> str:
        state, seen, plane = self.state, self.state.seen[side], self.state.settings["plane"]
        drawn = partial(drawings.points, state.plane(side), state.labels)
        points = state.once("points", seen.network, plane, of=drawn)
        alt = (
            f"{PLANES[plane]} of {side}, {seen.network}: {len(state.labels)} images by class; image {state.image_id} "
            f"of {state.true_class} is ringed and joined with its neighbours: {self._about(side)}."
        )
        return f'<div style="padding:0 4px">{self.title(side)}</div>' + drawings.plane(*points, state.row, seen, alt)

    def _neighbours(self, side: str) -> str:
        state, seen = self.state, self.state.seen[side]

        def shown(row: int, same: bool) -> str:
            uri = "" if state.images is None else self.uri(row)
            return drawings.neighbour(uri, state.classes[state.labels[row]], same, str(state.ids[row]))

        images = "".join(map(shown, seen.neighbours.tolist(), seen.same.tolist()))
        words = f'<div style="padding:0 4px;line-height:1.4">{side}: {html.escape(self._about(side))}.</div>'
        return words + f'<div style="display:flex;flex-wrap:wrap;gap:5px;padding:4px">{images}</div>'

    def _negatives(self, side: str) -> str:
        state, temperature = self.state, self.state.settings["temperature"]
        return drawings.negatives(side, state.seen[side], state.nearest, temperature, state.true_class)

    def _panel(self, side: str) -> dict[str, Any]:
        state, attention = self.state, self.state.seen[side].attention
        image, lesion = self.image_and_lesion()
        share, chance = state.inside(side)
        told = "attention of the network" if attention is not None else "no attention: all places weigh alike"
        alt, notes = f"{side}, {state.method(side)}: image {state.image_id}, {state.true_class}; {told}", ""
        if np.isfinite(share):
            inside = f"{share:.0%} of the attention lies on the lesion, which covers {chance:.0%} of the image"
            alt, notes = f"{alt}; {inside}", drawing.legend(inside)
        return panel(side, self.title(side), alt, [image, map_layer(attention, self.size), lesion], told, notes)

    def _shares(self) -> str:
        state = self.state
        if not state.rows:
            return drawing.note("What few labels make of that is not shown: no results by labels were given.")
        results, arms = state.labelled, (SCRATCH, PRETRAINED)
        values = {metric: [results.values_per_seed(arm, metric) for arm in arms] for metric in METRICS}
        words = f"{state.settings['labels']} labelled images a class, {len(results.seeds)} seeds"
        return drawings.with_few_labels(state.rows, values, words)

    def _spread(self) -> str:
        spreads = self.state.spreads
        return drawing.note(drawings.spread_words(spreads)) + drawings.spread(spreads) if spreads else ""


def embedding_explorer(
    embeddings: Embeddings | str | os.PathLike | None = None,
    by_labels: Mapping[Hashable, Results] | None = None,
    images: LesionDataset | None = None,
    *,
    anatomy: str = "chest",
) -> EmbeddingView:
    """The embedding explorer, to be shown as a cell's last line.

    Parameters
    ----------
    embeddings : Embeddings or path, optional
        Those that come with careedu where not given.
    by_labels : mapping of int or str to Results, optional
        Labelled images a class → results with the arms "from scratch" and "pretrained". Where neither this nor
        `embeddings` is given, those that come with careedu.
    images : LesionDataset, optional
        That hold those of the embeddings; loaded by their recipe where not given.
    anatomy : str
        Which of the saved ones: "chest", "skin" or "brain".

    Returns
    -------
    EmbeddingView

    Raises
    ------
    CheckpointError
        If there are no such saved embeddings or results, or they are damaged.
    InvalidInputError
        If results lack an arm, or `images` an image.
    """
    from careedu.show.compare import Comparison

    if embeddings is None and by_labels is None:
        by_labels = {share: Comparison.load(f"04-labels-{share}-{anatomy}") for share in SHARES}
    embeddings = Embeddings.opened(embeddings, f"04-labels-15-{anatomy}/embeddings")
    return EmbeddingView(EmbeddingExplorer(embeddings, by_labels, images))
