"""What the attention microscope looks like: map A, a wipe between the two, map B, and how much lies in the lesion."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets
import numpy as np
from ipywidgets import HBox, IntSlider, Layout, ToggleButtons, VBox

from careedu.show.care import drawings
from careedu.show.care.drawings import PANEL, PICTURE, WIPE
from careedu.show.care.microscope import RECORDED, TRUE_CLASS, AttentionMicroscope, Look
from careedu.show.drawing import QUIET, TEXT, WIDTH, note
from careedu.show.layered_picture import (
    OPACITY,
    OUTLINE,
    framed,
    image_uri,
    layer,
    lesion_shape,
    looks_controls,
    map_uri,
)
from careedu.show.widget import SIDES, View

# Two columns of controls and three of pictures fit into a notebook on a screen of 1280 pixels with the side bar open.
COLUMN = "412px"
WHOLE = f"{WIDTH + 12}px"
WIDE = {"description_width": "95px"}
WAIT = 0.4
"""Seconds that the view waits for the images, so that those at hand are there at once."""


class AttentionView(View):
    """View of an `AttentionMicroscope`.

    Attributes
    ----------
    controls : dict of str to Widget
        By setting.
    parts : dict of str to HTML
        What is drawn: "note", "heading", "picture A", "picture wipe", "picture B", "energy A", "energy B", "course".
    """

    def __init__(self, state: AttentionMicroscope) -> None:
        super().__init__(state)
        self.state: AttentionMicroscope = state
        self._images: dict[tuple[str, int], tuple[str, str]] = {}
        self.controls: dict[str, Any] = self._controls()
        names = ("note", "heading", "picture A", "picture wipe", "picture B", "energy A", "energy B", "course")
        self.parts = {name: ipywidgets.HTML(layout=Layout(overflow="hidden", margin="2px 0")) for name in names}
        c, parts = self.controls, self.parts
        # Never written to again, so that the page's own controls keep their place.
        looks, wipe = (
            ipywidgets.HTML(text, layout=Layout(overflow="hidden", margin="0"))
            for text in (looks_controls("the lesion"), drawings.wipe_control())
        )
        column = Layout(width=f"{PANEL}px", overflow="hidden")
        wrap = Layout(flex_flow="row wrap", width=WHOLE, overflow="hidden")
        self.widget = self.column(
            [
                HBox([c["a"], c["b"]], layout=wrap),
                HBox([c["source"], c["map_of"]], layout=wrap),
                HBox([c["picture"], c["epoch"]], layout=wrap),
                parts["note"],
                HBox([parts["heading"], looks], layout=wrap),
                HBox(
                    [
                        VBox([parts["picture A"], parts["energy A"]], layout=column),
                        VBox([parts["picture wipe"], wipe], layout=column),
                        VBox([parts["picture B"], parts["energy B"]], layout=column),
                    ],
                    layout=wrap,
                ),
                parts["course"],
            ]
        )
        state.listen(self.refresh)
        if state.tests is None and not state.missing:
            state.start_loading().join(WAIT)
        self.refresh()

    def _controls(self) -> dict[str, Any]:
        state, settings = self.state, self.state.settings

        # Buttons, not a list: JupyterLab takes the arrow keys of dropdowns, lists and radio buttons for itself.
        def buttons(setting: str, title: str, options: Any) -> ToggleButtons:
            style = {**WIDE, "button_width": "auto"}
            width = Layout(width=COLUMN)
            return ToggleButtons(
                options=list(options), value=settings[setting], description=title, style=style, layout=width
            )

        def slider(title: str, value: int, most: int) -> IntSlider:
            return IntSlider(value, min=1, max=most, description=title, style=WIDE, layout=Layout(width=COLUMN))

        controls = {
            "a": buttons("a", "A: method", state.comparison.methods),
            "b": buttons("b", "B: method", state.comparison.methods),
            "source": buttons("source", "Pictures", state.sources),
            "map_of": buttons("map_of", "Map of", (TRUE_CLASS, *state.comparison.classes)),
            "picture": slider("Picture", settings["picture"] + 1, max(1, len(state.members))),
            "epoch": slider("Epoch", settings["epoch"], state.epochs),
        }
        self.watch(controls, {"picture": lambda shown: shown - 1})
        return controls

    def _follow(self) -> None:
        """Let the controls show what the settings are, whoever has changed them."""
        state, settings = self.state, self.state.settings
        recorded = settings["source"] == RECORDED
        with self.following():
            self.controls["picture"].max = max(1, len(state.members))
            self.controls["epoch"].max = state.epochs
            for setting, control in self.controls.items():
                control.value = settings[setting] + 1 if setting == "picture" else settings[setting]
            self.controls["picture"].disabled = len(state.members) < 2
            self.controls["epoch"].disabled = not recorded
            self.controls["map_of"].disabled = recorded

    def refresh(self) -> None:
        """Show what the state says."""
        state = self.state
        with self.lock:
            self._follow()
            image, lesion = self._picture()
            maps = {side: self._map(look) for side, look in self.state.looks.items()}
            drawn = {"note": self._note(), "heading": self._heading(), "course": ""}
            courses = {side: look for side, look in state.looks.items() if look.course is not None}
            if courses:
                drawn["course"] = drawings.course(courses, state.settings["epoch"], state.epochs, state.chance)
            for side in SIDES:
                drawn[f"picture {side}"] = self._panel(side, image, maps[side], lesion)
                drawn[f"energy {side}"] = drawings.energy(side, state.method(side), state.looks[side], state.chance)
            drawn["picture wipe"] = self._wiped(image, maps, lesion)
            self.write(self.parts, drawn)

    @property
    def _about(self) -> str:
        """The picture and the class that is mapped, in words."""
        state = self.state
        true, mapped = (state.comparison.classes[c] for c in (state.label, state.mapped))
        return f"image {state.picture_id}, true class {true}, map of the evidence for {mapped}"

    def _note(self) -> str:
        state = self.state
        if state.dataset is None and not state.missing:
            return note("The test images are being loaded or drawn …")
        lines = [f"{state.missing[0].upper()}{state.missing[1:]}."] if state.dataset is None else []
        if state.dataset is not None and np.isnan(state.chance):
            lines.append("Where the lesion lies in this image is not known, so nothing is measured.")
        lines += [f"{side}: {look.about}." for side, look in state.looks.items() if look.map is None]
        return "".join(note(line, alert=True) for line in lines)

    def _heading(self) -> str:
        state = self.state
        settings, seed = state.settings, state.comparison.seeds[0]
        where = f"{settings['source']}, {settings['picture'] + 1} of {len(state.members)}, seed {seed}"
        return (
            f'<div aria-live="polite" style="width:{WIDTH - 460}px;padding:2px 4px;line-height:1.45;color:{TEXT}">'
            f"<b>{html.escape(where)}</b><br>{html.escape(self._about)}</div>"
        )

    def _picture(self) -> tuple[str, str]:
        """The picture as it is, and its lesion, as HTML."""
        state = self.state
        if state.dataset is None:
            words = "image not on this machine" if state.missing else "image on its way"
            return f'<div style="padding:8px;color:{QUIET}">{words}</div>', ""
        key = state.settings["source"], state.row
        if key not in self._images:
            images, row = state.dataset, state.row
            pixels = images.images[row].permute(1, 2, 0).numpy()
            height, width = pixels.shape[:2]
            mask = images.masks[row].numpy() if images.has_mask[row] else None
            box = images.boxes[row].tolist() if images.has_box[row] else None
            # The outline and the box, where they are known.
            lesion = "".join(lesion_shape(*known, width, height) for known in ((None, mask), (box, None)))
            uri = image_uri(pixels[:, :, 0] if pixels.shape[2] < 3 else pixels[:, :, :3])
            self._images[key] = (
                layer(uri, "image-rendering:pixelated"),
                f'<div style="opacity:var({OUTLINE},1)">{lesion}</div>',
            )
        return self._images[key]

    def _map(self, look: Look) -> str:
        """Address of the map as a picture; empty where there is none."""
        return "" if look.map is None else map_uri(look.map, look.map.shape)

    def _panel(self, side: str, image: str, uri: str, lesion: str) -> str:
        state, look = self.state, self.state.looks[side]
        method = state.method(side)
        said = f"{look.about}; {drawings.in_words(look, state.chance)}" if uri else look.about
        layers = [image, layer(uri, f"opacity:var({OPACITY},.5)") if uri else "", lesion]
        return framed(
            f"{drawings.key_mark(side)} <b>{side}: {html.escape(method)}</b>",
            "".join(layers),
            self._shape,
            f"{side}, {method}: {self._about}; {said}",
            side,
            look.about if uri else "no map",
        )

    def _wiped(self, image: str, uris: dict[str, str], lesion: str) -> str:
        """Both maps on one picture, A left of the divider and B right of it."""
        clips = {"A": f"inset(0 calc(100% - var({WIPE},50%)) 0 0)", "B": f"inset(0 0 0 var({WIPE},50%))"}
        layers = [image]
        for side, place in (("A", "left:4px"), ("B", "right:4px")):
            chip = (
                f'<div style="position:absolute;top:4px;{place};padding:0 5px;border-radius:4px;background:#000b;'
                f'color:#fff;font:bold 12px/18px sans-serif">{side}</div>'
            )
            map_layer = layer(uris[side], f"opacity:var({OPACITY},.5)") if uris[side] else ""
            layers.append(f'<div style="position:absolute;inset:0;clip-path:{clips[side]}">{map_layer}{chip}</div>')
        divider = (
            f'<div style="position:absolute;top:0;bottom:0;left:calc(var({WIPE},50%) - 1px);width:2px;'
            'background:#fff;box-shadow:0 0 0 1px #000a"></div>'
        )
        names = " and right of it ".join(f"{side}, {self.state.method(side)}" for side in SIDES)
        alt = f"Left of the divider the map of {names}: {self._about}"
        return framed("<b>A | B</b>", "".join([*layers, lesion, divider]), self._shape, alt, "wipe", "wipe below")

    @property
    def _shape(self) -> tuple[int, int]:
        height, width = self.state.comparison.first.configuration["data"]["image shape"][1:]
        return PICTURE, round(PICTURE * height / width)
