"""What the attention microscope looks like: map A, a wipe between the two, map B, and how much lies in the lesion."""

from typing import Any

import numpy as np
from ipywidgets import Layout, VBox

from careedu.show import drawing
from careedu.show.care import drawings
from careedu.show.care.drawings import PICTURE
from careedu.show.care.microscope import AttentionMicroscope
from careedu.show.drawing import capital
from careedu.show.layered_picture import map_layer, mark_shape, panel
from careedu.show.view import COLUMN, PairView
from careedu.show.widget import SIDES

LEGEND = (
    "Left of the divider A, right of it B. The outline is the lesion, dashes are its box. Yellow is strong evidence, "
    "blue weak; each map is scaled to its own range. The dashed line is chance: the lesion's share of the image."
)
MARKED = " The double line is a mark, which is no part of the disease; the dashes in its row are its own chance."


def dose_words(dose: float) -> str:
    """What is told of a dose."""
    return f"dose {dose:g}" if dose else "none"


class AttentionView(PairView):
    """View of an `AttentionMicroscope`. Its parts: "note", "heading", "pictures" ("A", "wipe" and "B") and "course"."""

    def __init__(self, state: AttentionMicroscope) -> None:
        super().__init__(state)
        self.state: AttentionMicroscope = state
        self.open(
            self.methods(),
            self.row(self.buttons("source", "Pictures", width=COLUMN), self.picture_class(COLUMN)),
            self.picture_and_epoch(lambda: state.per_epoch),
            self.buttons("map_of", "Map of", usable=lambda: not state.per_epoch),
            *map(self.part, ("note", "heading")),
            self.pictures(PICTURE, state.size, "the lesion"),
            self.part("course"),
        )

    def methods(self) -> Any:
        """Which methods are A and B, and how much attention weighs under B, where saved runs differ in that."""
        row = super().methods()
        if self.state.doses:
            a, b = row.children
            dose = self.choice("dose", "Dose of B", label=dose_words, unknown="other method")
            row.children = a, VBox([b, dose], layout=Layout(overflow="hidden"))
        return row

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        state, settings = self.state, self.state.settings
        where = f"{settings['source']}, {settings['picture_of']}: picture {settings['picture']} of {len(state.members)}"
        if state.row is None:
            said = f"there is no picture of {settings['picture_of']} among the {settings['source']}"
            return {"note": self.notes([said]), "heading": "", "pictures": [], "course": ""}
        shares = {side: look.shares for side, look in state.seen.items() if look.shares is not None}
        words = ("share of the map", "inside the lesion")
        # Other images may have marks, or none.
        marked = "" if np.isnan(state.mark_chance) else " and the mark"
        self.parts["pictures"].outlined = f"the lesion{marked}"
        return {
            "note": self._note(),
            "heading": drawing.heading(capital(f"{where}, seed {state.seed}"), capital(f"{self._about}.")),
            "pictures": [self._panel("A"), self._wiped(), self._panel("B")],
            "course": drawing.course(shares, settings["epoch"], state.epochs, words, state.chance),
        }

    @property
    def _about(self) -> str:
        """The picture and the class that is mapped, in words."""
        state = self.state
        marked = drawings.mark_words(state.mark_chance)
        about = f"image {state.picture_id}, true class {state.true_class}{marked and ', '}{marked}"
        return f"{about}, map of the evidence for {state.results.classes[state.mapped]}"

    def outline(self, row: int) -> str:
        """The outline of a mark too, where the picture has one."""
        marked, marks = 0 < self.state.mark_chance < 1, self.state.images.marks
        return super().outline(row) + (mark_shape(marks[row].numpy(), *self.state.size[::-1]) if marked else "")

    def _note(self) -> str:
        state = self.state
        if state.images is None and not state.missing:
            return drawing.note("The test images are being loaded or drawn …")
        lines = [state.missing if state.images is None else ""]
        if state.images is not None and np.isnan(state.chance):
            lines.append("where the lesion lies in this image is not known, so nothing is measured")
        lines += [f"{side}: {look.about}" for side, look in state.seen.items() if look.map is None]
        return self.notes(lines)

    def _panel(self, side: str) -> dict[str, Any]:
        state, look = self.state, self.state.seen[side]
        image, lesion = self.image_and_lesion()
        method, there = state.method(side), look.map is not None
        said = f"{look.about}; {drawings.in_words(look, state.chance, state.mark_chance)}" if there else look.about
        return panel(
            side,
            self.title(side),
            f"{side}, {method}: {self._about}; {said}",
            [image, map_layer(look.map, state.size), lesion],
            look.about if there else "no map",
            drawings.energy(side, method, look, state.chance, state.mark_chance),
        )

    def _wiped(self) -> dict[str, Any]:
        """Both maps on one picture, A left of the divider and B right of it."""
        image, lesion = self.image_and_lesion()
        maps = [map_layer(look.map, self.state.size, side) for side, look in self.state.seen.items()]
        names = " and right of it ".join(f"{side}, {self.state.method(side)}" for side in SIDES)
        alt = f"Left of the divider the map of {names}: {self._about}"
        legend = drawing.legend(LEGEND + ("" if np.isnan(self.state.mark_chance) else MARKED))
        return panel("wipe", "<b>A | B</b>", alt, [image, *maps, lesion], "wipe below", legend)
