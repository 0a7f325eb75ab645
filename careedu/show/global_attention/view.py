"""What the spatial explorer looks like: five maps over the mean image, what they score, and a verdict in words."""

import html
from typing import Any

import numpy as np

from careedu.show import drawing
from careedu.show.global_attention import drawings
from careedu.show.global_attention.drawings import PICTURE
from careedu.show.global_attention.explorer import SpatialExplorer
from careedu.show.global_attention.maps import FILLS, MEAN, ORDERS, ROLES, SpatialMap, options_of
from careedu.show.layered_picture import image_uri, layer, lesion_shape, map_layer, panel
from careedu.show.view import COLUMN, ResultsView

REST = 0.3
"""Seconds without a move before a mean image is drawn beside the widget: what is chosen comes first, undisturbed."""
NAMES = dict(zip((*ROLES.values(), MEAN), (*ROLES, "mean"), strict=True))
"""What the panels are called in the page, by role."""
SETTINGS = {
    "images": "the number of images",
    "jitter": "the jitter",
    "order": "when the map learns",
    "fill": "what is behind the map",
}
LEGEND = drawing.legend(
    "Yellow is where the map is high, blue where it is low; each is stretched to its own range, written below it, and "
    "an open one is yellow all over. The outline is where lesions can lie. AUROC: how well the trained map tells the "
    "zones from the rest, .5 by chance, mean and 95 % interval over seeds; the hollow square is what the mean image "
    "or its negative scores, without learning. Balanced accuracy and rare recall: mean and 95 % interval over seeds "
    "and test groups."
)


class SpatialView(ResultsView):
    """View of a `SpatialExplorer`. Its parts: "note", "heading", "verdict" and "pictures", named as `NAMES` says."""

    wide = "130px"

    def __init__(self, state: SpatialExplorer) -> None:
        super().__init__(state)
        self.state: SpatialExplorer = state
        self.open(
            self.row(
                self.buttons("order", "Map learns", width=COLUMN, label=ORDERS.get),
                self.buttons("fill", "Behind the map", width=COLUMN, label=FILLS.get),
                self.slider("epoch", "Epoch", lambda: (state.lowest, state.epochs)),
                self.choice("seed", "Seed"),
                self.choice("images", "Training images N"),
                self.choice("jitter", "Alignment jitter", label=lambda value: f"{value:g}"),
            ),
            *map(self.part, ("note", "heading")),
            self.pictures(PICTURE, state.size, "the lesion zones"),
            self.part("verdict"),
            self.part("legend", LEGEND),
        )

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        rival, rival_name = self._rival()
        image, zones = self._mean_picture(), self._zones()
        return {
            "note": self._note(),
            "heading": self._heading(),
            "verdict": self._verdict(rival),
            "pictures": [
                self._panel(look, image, zones, drawings.measures(look, rival, rival_name, self.state.no_zone))
                for look in self.state.maps.values()
            ],
        }

    def refresh(self) -> None:
        """Show what the state says, and have images drawn that only the chosen point wants."""
        super().refresh()
        task = self.state.task
        if self.state.wants_images and (task is None or not (task.running or task.failure)):
            self.state.start_loading(REST)

    def _rival(self) -> tuple[float, str]:
        """What a map has to beat, and its name: the mean image, or its negative where that scores higher."""
        scores = list(self.state.here.mean_aurocs().values())
        mean = float(np.mean(scores)) if scores else np.nan
        return (1 - mean, "the negative of the mean image") if self.state.here.negative else (mean, "the mean image")

    def _note(self) -> str:
        state, choices, lines = self.state, self.state.choices(), []
        unswept = "the sweep does not vary it" if len(state.points) > 1 else "they were given without a sweep"
        for names, why in ((("images", "jitter"), unswept), (("order", "fill"), "no arm has another")):
            if fixed := [SETTINGS[name] for name in names if len(choices[name]) < 2]:
                lines.append(f"In these results {' and '.join(fixed)} cannot be changed: {why}")
        if state.lowest == state.epochs > 1:
            lines.append(f"Of seed {state.settings['seed']} only the map after the last epoch was kept")
        if state.no_zone:
            lines.append(f"No AUROC: {state.no_zone}")
        # That there is no arm for a role stands in its panel: of most orders and fills there are but a few.
        lacking = [look for look in state.maps.values() if look.map is None and (look.arm or look.role == MEAN)]
        return self.notes(lines + [f"{look.role}: {look.about}" for look in lacking])

    def _heading(self) -> str:
        state, settings = self.state, self.state.settings
        options = options_of(state.results, next(iter(state.here.ways[state.way].values())))
        height, width = state.size
        cells = options["grid"] ** 2 if options.get("grid") else height * width
        name = state.results.first.configuration["data"]["name"]
        jitter = "" if settings["jitter"] is None else f", jitter {settings['jitter']:g}"
        where = f"{name}{jitter}, seed {settings['seed']}, {state.when}"
        return drawing.heading(where, drawings.reach_words(settings["images"], cells))

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
        style = f"max-width:{drawing.WIDTH - 18}px;padding:4px 9px;line-height:1.5;color:{drawing.TEXT}"
        return f'<div role="status" style="{style}">{lines}</div>'

    def _mean_picture(self) -> dict[str, str]:
        """The mean training image."""
        shown = self.state.maps[MEAN].map
        if shown is None:
            return self.stand_in("mean image")
        point = (self.state.settings[name] for name in ("images", "jitter", "seed"))
        uri = self.state.once("mean", *point, of=lambda: image_uri((shown * 255).round().astype(np.uint8)))
        return layer("image", uri)

    def _zones(self) -> dict[str, str]:
        """The outline of the zones where lesions can lie."""
        zone, size = self.state.zone, self.state.size[::-1]
        return layer("outline", self.state.once("zones", of=lambda: lesion_shape(None, zone, *size)))

    def _panel(self, look: SpatialMap, image: dict[str, str], zones: dict[str, str], measures: str) -> dict[str, Any]:
        stretched, caption, said = None, "no map", look.about
        if look.map is not None:
            low, high = look.map.min(), look.map.max()
            stretched = (look.map - low) / (high - low) if high > low else look.map
            reach = drawings.range_words(look.map)
            caption, own = reach, ""
            if np.isfinite(look.auroc):
                caption, own = f"{reach}\nAUROC {look.auroc:.2f}", f"; AUROC of this map {look.auroc:.2f}"
            said = f"{look.about}, values {reach}{own}, over the mean training image"
        if look.arm is None and look.role != MEAN:
            arm, measures = html.escape(look.about), ""
        else:
            arm = f"arm: {html.escape(look.arm)}" if look.arm else "no arm here"
        # A name may be long: it wraps, and what is measured stands at one height for all as long as it has two lines.
        style = f"font-size:12px;line-height:1.4;min-height:2.8em;overflow-wrap:anywhere;color:{drawing.QUIET}"
        return panel(
            NAMES[look.role],
            f'<b style="font:bold 12px/1.5 sans-serif">{look.role}</b>',
            f"{look.role}{f', {look.arm}' if look.arm else ''}: {said}",
            [image, map_layer(stretched, self.state.size), zones],
            caption,
            f'<div style="{style}">{arm}</div>{measures}',
        )
