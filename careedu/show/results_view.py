"""What the views of saved results share: two methods and a picture to be chosen, the picture and its lesion."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import Any

from careedu.show.drawing import capital, key_mark, note
from careedu.show.layered_picture import image_uri, layer, lesion_shape
from careedu.show.results_state import PairState, ResultsState
from careedu.show.style import if_rare
from careedu.show.view import COLUMN, WHOLE, View

WAIT = 0.4
"""Seconds that a view waits for the images, so that those at hand are there at once."""


class ResultsView(View):
    """View of a `ResultsState`, which loads its images when it is first shown."""

    def open(self, *children: Any) -> None:
        """Put the parts below one another, and show what the state says."""
        state: ResultsState = self.state
        if state.wants_images:
            state.start_loading().join(WAIT)
        super().open(*children)

    def stand_in(self, what: str) -> dict[str, str]:
        """The layer that says why there is no image."""
        return layer("words", f"{what} {'not on this machine' if self.state.missing else 'on its way'}")

    @staticmethod
    def notes(lines: list[str]) -> str:
        """Sentences about what cannot be shown."""
        return "".join(note(f"{capital(line)}.", alert=True) for line in lines if line)


class PairView(ResultsView):
    """View of a `PairState`: its controls, and the layers that its pictures share."""

    state: PairState

    def methods(self) -> Any:
        """Which methods are A and B."""
        return self.row(*(self.buttons(side.lower(), f"{side}: method", width=COLUMN) for side in "AB"))

    def picture_class(self, width: str = WHOLE) -> Any:
        """Of which class the picture is."""
        return self.buttons("picture_of", "Class", width=width, label=partial(if_rare, rare=self.state.results.rare))

    def picture_and_epoch(self, usable: Callable[[], bool]) -> Any:
        """Which picture of its class, and after which epoch, where that is to be chosen."""
        state = self.state
        return self.row(
            self.slider("picture", "Picture", lambda: (1, max(1, len(state.members)))),
            self.slider("epoch", "Epoch", lambda: (1, state.epochs), usable=usable),
        )

    def title(self, side: str) -> str:
        """A side's sign and method, as HTML."""
        return f"{key_mark(side)} <b>{side}: {html.escape(self.state.method(side))}</b>"

    def image_and_lesion(self, row: int | None = None) -> tuple[dict[str, str], dict[str, str]]:
        """The layers below and above the map: the picture, and the outline of its lesion where that is known."""
        images, row = self.state.images, self.state.row if row is None else row
        if images is None:
            return self.stand_in("image"), layer("outline", "")
        outline = self.state.once("lesion", images is self.state.tests, row, of=lambda: self.outline(row))
        return layer("image", self.uri(row)), layer("outline", outline)

    def outline(self, row: int) -> str:
        """Outline and box of an image's lesion, where they are known, as SVG."""
        images = self.state.images
        mask = images.masks[row].numpy() if images.has_mask[row] else None
        box = images.boxes[row].tolist() if images.has_box[row] else None
        height, width = images.images.shape[2:]
        return "".join(lesion_shape(*known, width, height) for known in ((None, mask), (box, None)))

    def uri(self, row: int) -> str:
        """Address of an image as it is shown."""
        images = self.state.images
        pixels = images.images[row].permute(1, 2, 0).numpy()
        shown = pixels[:, :, 0] if pixels.shape[2] < 3 else pixels[:, :, :3]
        return self.state.once("uri", images is self.state.tests, row, of=lambda: image_uri(shown))
