"""What the distractor viewer looks like: maps over the image and its look-alikes, confusion matrices, distances."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from careedu.show import drawing
from careedu.show.distractor import drawings
from careedu.show.distractor.records import DistractorRecord
from careedu.show.distractor.viewer import ANY, DISTRACTOR, MAPS, TRUE, WRONG, DistractorViewer
from careedu.show.layered_picture import lesion_shape, map_layer, mark_shape, panel
from careedu.show.style import if_rare
from careedu.show.view import COLUMN, PairView
from careedu.show.widget import SIDES

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset

PICTURE, SAVED = 220, "05-phantom-skin/distractors"
VERDICTS = {"better": "more than chance", "worse": "less than chance"}
CELLS = {"true": "True class", "predicted": "A predicts"}
"""What chooses cells of A's confusion matrix."""
LEGEND = (
    "Frame: the chosen cells; mark: the image, which stays while it is in them. Tempting: the likeliest class but the "
    "true one; the distractor is what speaks for it at each place, d its distance, 1 − cosine. The map of a class goes "
    "from least to most. Nearer than the margin, the distractor loss pushes apart, max(0, margin − d) times a weight."
)


class DistractorView(PairView):
    """View of a `DistractorViewer`.

    Its parts: "note", "heading", "pictures" ("A" and "B"), "key", "measures", "verdict" and "legend".
    """

    def __init__(self, state: DistractorViewer) -> None:
        super().__init__(state)
        self.state: DistractorViewer = state
        self.size = tuple(state.distractors.data["image shape"][1:])
        map_layer(np.zeros((1, 1)), (1, 1))  # the colours of maps are made now, not at the first move that shows one
        self.open(
            self.methods("network"),
            self.row(*(self.buttons(name, title, width=COLUMN) for name, title in CELLS.items())),
            self.row(
                self.slider("image", "Image", lambda: (1, len(state.members))),
                self.choice("epoch", "Epoch"),
                self.choice("map", "Map"),
                self.slider("margin", "Margin", kind=ipywidgets.FloatSlider, min=0, max=2, step=0.05),
            ),
            *(self.part(name) for name in ("note", "heading")),
            self.pictures(PICTURE, self.size, "the lesion and look-alikes", beside=True),
            self.part("key", drawings.outlines_key()),
            *(self.part(name) for name in ("measures", "verdict")),
            self.part("legend", drawing.legend(LEGEND)),
        )

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        state, record, settings = self.state, self.state.distractors, self.state.settings
        curves = {side: (state.seen[side].distances, state.mean_distances(side)) for side in SIDES}
        course = drawings.course(curves, record.epochs, settings["epoch"], settings["margin"])
        measures, cells = [*map(self._confusion, SIDES), course], self._cells()
        # In the order in which they are sent: what the browser takes longest for comes first.
        return {
            "pictures": [self._panel(side) for side in SIDES],
            "measures": f'<div style="display:flex;flex-wrap:wrap;padding:0 4px">{"".join(measures)}</div>',
            "note": self.notes([state.missing, f"there are no {cells}: others are shown" if state.empty else ""]),
            "heading": drawing.heading(
                f"{record.data['name']}: {self._about_image()}",
                f"{settings['image']} of {len(state.members)} {'others' if state.empty else cells}; "
                "those that tempt A most after the last epoch come first",
            ),
            "verdict": "".join(drawing.note(self._verdict(side)) for side in SIDES),
        }

    def _about_image(self) -> str:
        state = self.state
        true_class = if_rare(state.true_class, state.distractors.data["rare"])
        look_alikes = "no look-alikes" if state.look_alike < 0 else f"look-alikes of {state.classes[state.look_alike]}"
        return f"image {state.image_id}, true class {true_class}, {look_alikes}"

    def _cells(self) -> str:
        """Which images are chosen, in words."""
        true, predicted, epoch = (self.state.settings[name] for name in ("true", "predicted", "epoch"))
        taken = "" if predicted == ANY else f" that A takes for {predicted} after epoch {epoch}"
        return f"images{'' if true == ANY else f' of {true}'}{taken}"

    def outline(self, row: int) -> str:
        """The outlines of an image's lesion and look-alikes, no boxes, as SVG."""
        images, size = self.state.images, self.size[::-1]
        lesion, marks = (np.zeros((1, 1)) if of is None else of[row].numpy() for of in (images.masks, images.marks))
        return lesion_shape(None, lesion, *size) + mark_shape(marks, *size)

    def _about_map(self, side: str) -> str:
        state, seen, wanted = self.state, self.state.seen[side], self.state.settings["map"]
        tempting = state.classes[seen.tempting]
        if wanted in (TRUE, WRONG):
            return f"map of the evidence for {state.true_class if wanted == TRUE else tempting}"
        if not seen.shares.any():
            return f"nothing in the features speaks for {tempting}"
        where = "in all neurons" if wanted == DISTRACTOR else f"in neuron {seen.neurons[int(wanted[-1]) - 1]}"
        return f"what speaks for {tempting} {where}"

    def _panel(self, side: str) -> dict[str, Any]:
        state, seen, about, hue = self.state, self.state.seen[side], self._about_map(side), drawing.HUES[side]
        image, outlines = self.image_and_lesion()
        predicted, tempting = state.classes[seen.predicted], state.classes[seen.tempting]
        look_alikes = {None: "none", True: "✓ the same", False: f"✗ {state.classes[state.look_alike]}"}
        rows = [
            ("predicted", f"{'✓' if seen.predicted == state.label else '✗'} {predicted}"),
            ("P(true class)", f"{seen.probabilities[state.label]:.0%}"),
            ("tempting", f"{tempting} {seen.probabilities[seen.tempting]:.0%}"),
            ("look-alikes", look_alikes[seen.look_alike]),
            ("distance d", f"{seen.distance:.2f}"),
            (f"max(0, {state.settings['margin']:g} − d)", f"{seen.loss:.2f}"),
        ]
        neurons = [(f"neuron {n}", float(part), hue) for n, part in zip(seen.neurons, seen.shares, strict=True)]
        of_map = zip(("this map", "by chance"), state.on_look_alikes(side), (hue, drawing.QUIET), strict=True)
        told = drawings.shares("main neurons for it", neurons, MAPS.index(state.settings["map"]) - 3)
        told = drawings.facts(rows) + told + drawings.shares("share on look-alikes", tuple(of_map))
        said = "; ".join(f"{name}: {value}" for name, value in rows)
        alt = f"{side}, {state.method(side)}: {self._about_image()}; {about}; {said}"
        return panel(side, self.title(side), alt, [image, map_layer(seen.map, self.size), outlines], about, told)

    def _confusion(self, side: str) -> str:
        state, seen, settings = self.state, self.state.seen[side], self.state.settings
        named = [None if settings[of] == ANY else state.classes.index(settings[of]) for of in CELLS]
        chosen = np.array([[n or 0 for n in named], [len(state.classes) if n is None else 1 for n in named]])
        about, here = f"{state.method(side)}, after epoch {settings['epoch']}", (state.label, seen.predicted)
        return drawings.confusion(side, about, state.classes, seen.confusion, chosen, here)

    def _verdict(self, side: str) -> str:
        state, seen, found = self.state, self.state.seen[side], self.state.over_seeds(side)
        epoch, margin, at_random = state.settings["epoch"], state.settings["margin"], 1 / (len(state.classes) - 1)
        words = f"{side}, after epoch {epoch}: {seen.near:.0%} of the images are nearer than {margin:g}"
        if np.isfinite(seen.tempted):
            words += f"; the look-alikes' class tempts in {seen.tempted:.0%} (at random {at_random:.0%})"
        if found is None:
            return f"{words}. How much of the distractor lies on look-alikes was not measured over seeds."
        (share, apart), chance = found, found[0].estimate - found[1].effect
        words += f". After the last epoch, {apart.seeds} seed{'s' * (apart.seeds != 1)}: {share} of the distractor"
        return f"{words} lies on look-alikes, by chance {chance:.2f}: {VERDICTS.get(apart.verdict, apart.verdict)}."


def distractor_viewer(
    record: DistractorRecord | str | os.PathLike | None = None, images: LesionDataset | None = None
) -> DistractorView:
    """The distractor viewer, to be shown as a cell's last line.

    Parameters
    ----------
    record : DistractorRecord or path, optional
        The one that comes with careedu where not given.
    images : LesionDataset, optional
        That hold those of the record; loaded by their recipe where not given.

    Returns
    -------
    DistractorView

    Raises
    ------
    CheckpointError
        If there is no such saved record, or it is damaged.
    InvalidInputError
        If `images` lack one of the record's, or have other classes.
    """
    return DistractorView(DistractorViewer(DistractorRecord.opened(record, SAVED), images))
