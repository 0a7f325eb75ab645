"""What the spatial explorer looks like: four maps over the mean image, what they score, and a verdict in words."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets
import numpy as np
from ipywidgets import HBox, IntSlider, Layout, SelectionSlider, VBox

from careedu.show.drawing import QUIET, TEXT, WIDTH, note
from careedu.show.global_attention import drawings
from careedu.show.global_attention.drawings import PANEL, PICTURE
from careedu.show.global_attention.explorer import SpatialExplorer
from careedu.show.global_attention.maps import MEAN, ROLES, SpatialMap
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
from careedu.show.widget import View

# Two of them and their margins in a row.
COLUMN, WHOLE = "404px", f"{WIDTH + 12}px"
WIDE = {"description_width": "130px"}
WAIT = 0.4
"""Seconds that the view waits for the mean image, so that one at hand is there at once."""
REST = 0.3
"""Seconds without a move before a mean image is drawn beside the widget: what is chosen comes first, undisturbed."""
NAMES = dict(zip((*ROLES.values(), MEAN), (*ROLES, "mean"), strict=True))
"""What the panels are called in the page, by role."""
UNKNOWN = "not known"
LEGEND = (
    "Yellow is where the map is high, blue where it is low; each is stretched to its own range, written below it. The "
    "outline is where lesions can lie. AUROC: how well the trained map tells the zones from the rest, .5 by chance, "
    "mean and 95 % interval over seeds; the hollow square is what the mean image or its negative scores, without "
    "learning. Balanced accuracy and rare recall: mean and 95 % interval over seeds and test groups."
)


class SpatialView(View):
    """View of a `SpatialExplorer`.

    Attributes
    ----------
    controls : dict of str to Widget
        By setting.
    parts : dict of str to HTML
        What is drawn: "note", "heading", "verdict", and of each panel, "pixels", "free", "permuted" and "mean",
        "picture …" and "measures …".
    """

    def __init__(self, state: SpatialExplorer) -> None:
        super().__init__(state)
        self.state: SpatialExplorer = state
        self.controls: dict[str, Any] = self._controls()
        names = ["note", "heading", "verdict"]
        names += [f"{what} {name}" for name in NAMES.values() for what in ("picture", "measures")]
        self.parts = {name: ipywidgets.HTML(layout=Layout(overflow="hidden", margin="2px 0")) for name in names}
        c, parts = self.controls, self.parts
        # Never written to again, so that the page's own controls keep their place.
        looks, legend = (
            ipywidgets.HTML(text, layout=Layout(overflow="hidden", margin="0"))
            for text in (
                looks_controls("the lesion zones"),
                f'<p style="width:{WIDTH}px;margin:6px 9px;font-size:12px;line-height:1.45;color:{QUIET}">{LEGEND}</p>',
            )
        )
        column = Layout(width=f"{PANEL}px", overflow="hidden")
        measured = Layout(width=f"{PANEL}px", overflow="hidden", padding="0 9px")
        wrap = Layout(flex_flow="row wrap", width=WHOLE, overflow="hidden")
        self.widget = self.column(
            [
                HBox([c["epoch"], c["seed"]], layout=wrap),
                HBox([c["images"], c["jitter"]], layout=wrap),
                parts["note"],
                HBox([parts["heading"], looks], layout=wrap),
                HBox(
                    [
                        VBox(
                            [parts[f"picture {name}"], VBox([parts[f"measures {name}"]], layout=measured)],
                            layout=column,
                        )
                        for name in NAMES.values()
                    ],
                    layout=wrap,
                ),
                parts["verdict"],
                legend,
            ]
        )
        state.listen(self.refresh)
        if state.here.wants_images:
            state.start_loading().join(WAIT)
        self.refresh()

    def _controls(self) -> dict[str, Any]:
        state, settings = self.state, self.state.settings

        def choice(setting: str, title: str, options: list[tuple[str, Any]]) -> SelectionSlider:
            return SelectionSlider(
                options=options,
                value=_choice(settings[setting]),
                description=title,
                style=WIDE,
                layout=Layout(width=COLUMN),
            )

        epoch = IntSlider(
            settings["epoch"],
            min=1,
            max=state.epochs,
            description="Epoch",
            style=WIDE,
            layout=Layout(width=COLUMN),
        )
        controls = {
            "epoch": epoch,
            "seed": choice("seed", "Seed", self._options("seed")),
            "images": choice("images", "Training images N", self._options("images")),
            "jitter": choice("jitter", "Alignment jitter", self._options("jitter")),
        }
        self.watch(controls, {"jitter": lambda shown: None if shown == UNKNOWN else shown})
        return controls

    def _options(self, setting: str) -> list[tuple[str, Any]]:
        state = self.state
        values = {"seed": state.comparison.seeds, "images": state.image_counts, "jitter": state.jitters}[setting]
        # None would stand for no choice at all.
        return [(UNKNOWN, UNKNOWN) if value is None else (f"{value:g}", value) for value in values]

    def _follow(self) -> None:
        """Let the controls show what the settings are, whoever has changed them."""
        state, settings = self.state, self.state.settings
        with self.following():
            epoch = self.controls["epoch"]
            # Never a smallest value above the largest, not even between two lines.
            epoch.min = 1
            epoch.max = max(1, state.epochs)
            epoch.value = settings["epoch"]
            epoch.min = state.lowest
            epoch.disabled = state.lowest == state.epochs
            for setting in ("seed", "images", "jitter"):
                control, options = self.controls[setting], self._options(setting)
                if list(control.options) != options:
                    control.options = options
                control.value = _choice(settings[setting])
                control.disabled = len(options) < 2

    def refresh(self) -> None:
        """Show what the state says."""
        state = self.state
        with self.lock:
            self._follow()
            rival, rival_name = self._rival()
            drawn = {"note": self._note(), "heading": self._heading(), "verdict": self._verdict(rival)}
            image, zones = self._mean_picture(), self._zones()
            for role, look in state.maps.items():
                drawn[f"picture {NAMES[role]}"] = self._panel(look, image, zones)
                drawn[f"measures {NAMES[role]}"] = drawings.measures(look, rival, rival_name, state.no_zone)
            self.write(self.parts, drawn)
            if state.here.wants_images and (state.task is None or not (state.task.running or state.task.failure)):
                state.start_loading(REST)

    def _rival(self) -> tuple[float, str]:
        """What a map has to beat, and its name: the mean image, or its negative where that scores higher."""
        scores = list(self.state.here.mean_aurocs().values())
        if not scores:
            return np.nan, "the mean image"
        mean = float(np.mean(scores))
        return (1 - mean, "the negative of the mean image") if self.state.here.negative else (mean, "the mean image")

    def _note(self) -> str:
        state, seed = self.state, self.state.settings["seed"]
        lines = []
        fixed = [
            name
            for name, values in (("the number of images", state.image_counts), ("the jitter", state.jitters))
            if len(values) < 2
        ]
        if fixed:
            why = "they were given without a sweep" if len(state.points) == 1 else "the sweep does not vary it"
            lines.append(f"In these results {' and '.join(fixed)} cannot be changed: {why}.")
        if state.lowest == state.epochs > 1:
            lines.append(f"Of seed {seed} only the map after the last epoch was kept.")
        if state.no_zone:
            lines.append(f"No AUROC: {state.no_zone}.")
        lines += [f"{role}: {look.about}." for role, look in state.maps.items() if look.map is None]
        return "".join(note(line, alert=True) for line in lines)

    def _heading(self) -> str:
        state, settings = self.state, self.state.settings
        arm = next(iter(state.here.arms.values()))
        options = state.comparison.runs[arm][settings["seed"]].configuration["method"]["options"]
        height, width = state.size
        cells = options["grid"] ** 2 if options.get("grid") else height * width
        name = state.comparison.first.configuration["data"]["name"]
        jitter = "" if settings["jitter"] is None else f", jitter {settings['jitter']:g}"
        where = f"{name}{jitter}, seed {settings['seed']}, epoch {settings['epoch']}"
        reach = drawings.reach_words(settings["images"], cells)
        return (
            f'<div aria-live="polite" style="width:{WIDTH - 460}px;padding:2px 4px;line-height:1.45;color:{TEXT}">'
            f"<b>{html.escape(where)}</b><br>{html.escape(reach)}</div>"
        )

    def _verdict(self, rival: float) -> str:
        told = drawings.verdicts(list(self.state.maps.values()), rival, self.state.here.negative)
        if not told:
            known = "the zones are" if self.state.no_zone else "the mean image is"
            told = [("?", f"Whether a map beats the mean image is not known as long as {known} not.")]
        lines = "".join(
            f'<div style="display:flex"><span aria-hidden="true" style="flex:0 0 20px">{sign}</span>'
            f"<span>{html.escape(words)}</span></div>"
            for sign, words in told
        )
        style = f"width:{WIDTH - 18}px;padding:4px 9px;line-height:1.5;color:{TEXT}"
        return f'<div role="status" style="{style}">{lines}</div>'

    def _mean_picture(self) -> str:
        """The mean training image, as HTML."""
        shown = self.state.maps[MEAN].map
        if shown is None:
            words = "mean image not on this machine" if self.state.here.missing else "mean image on its way"
            return f'<div style="padding:8px;color:{QUIET}">{words}</div>'
        return layer(image_uri((shown * 255).round().astype(np.uint8)), "image-rendering:pixelated")

    def _zones(self) -> str:
        """The outline of the zones where lesions can lie, as HTML."""
        if self.state.zone is None:
            return ""
        height, width = self.state.size
        return f'<div style="opacity:var({OUTLINE},1)">{lesion_shape(None, self.state.zone, width, height)}</div>'

    def _panel(self, look: SpatialMap, image: str, zones: str) -> str:
        height, width = self.state.size
        uri, below, said = "", "no map", look.about
        if look.map is not None:
            low, high = look.map.min(), look.map.max()
            stretched = (look.map - low) / (high - low) if high > low else np.zeros_like(look.map)
            uri = map_uri(stretched, self.state.size)
            below = drawings.range_words(look.map)
            own = f"; AUROC of this map {look.auroc:.2f}" if np.isfinite(look.auroc) else ""
            said = f"{look.about}, values {below}{own}, over the mean training image"
            below = f"{below}{f', AUROC {look.auroc:.2f}' if np.isfinite(look.auroc) else ''}"
        picture = framed(
            f"<b>{look.role}</b>",
            "".join([image, layer(uri, f"opacity:var({OPACITY},.5)") if uri else "", zones]),
            (PICTURE, round(PICTURE * height / width)),
            f"{look.role}{f', {look.arm}' if look.arm else ''}: {said}",
            NAMES[look.role],
            below,
        )
        # A name may be long: it wraps.
        arm = f"arm: {html.escape(look.arm)}" if look.arm else "no arm here"
        style = f"width:{PICTURE}px;padding:0 9px;font-size:12px;line-height:1.4;overflow-wrap:anywhere;color:{QUIET}"
        return f'{picture}<div style="{style}">{arm}</div>'


def _choice(value: Any) -> Any:
    return UNKNOWN if value is None else value
