"""What the comparison explorer looks like: methods above, metrics and verdicts, then the images they differ on."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets
import numpy as np
from ipywidgets import FloatSlider, HBox, IntSlider, Layout, ToggleButtons, VBox

from careedu.show import drawing
from careedu.show.comparison import drawings
from careedu.show.comparison.explorer import GROUPS, ComparisonExplorer, Seen
from careedu.show.drawing import FAINT, HUES, QUIET, SHAPES, TEXT, WIDTH, note
from careedu.show.layered_picture import image_uri, lesion_shape, map_uri
from careedu.show.widget import SIDES, View

# Two columns side by side fit into a notebook on a screen of 1280 pixels with JupyterLab's side bar open.
COLUMN, DRAWING, LEFT = "412px", 400, 110
WHOLE = f"{WIDTH + 12}px"
PICTURE, THUMBNAIL = 220, 92
NARROW, WIDE = {"description_width": "80px"}, {"description_width": "95px"}
WAIT = 0.4
"""Seconds that the view waits for the images, so that those at hand are there at once."""


class ComparisonView(View):
    """View of a `ComparisonExplorer`.

    Attributes
    ----------
    controls : dict of str to Widget
        By setting.
    parts : dict of str to HTML
        What is drawn: "outdated", "overview", "seeds", "strip", "image A", "image B", "course", "confusion A" and
        "confusion B".
    """

    def __init__(self, state: ComparisonExplorer) -> None:
        super().__init__(state)
        self.state: ComparisonExplorer = state
        self._uris: dict[int, str] = {}
        self._shapes: dict[int, str] = {}
        names = ("outdated", "overview", "seeds", "heading", "strip", "course", "image A", "image B")
        self.parts = {
            name: ipywidgets.HTML(layout=Layout(overflow="hidden", margin="2px 0"))
            for name in (*names, "confusion A", "confusion B")
        }
        self.controls: dict[str, Any] = self._controls()
        c, parts = self.controls, self.parts
        columns = [
            VBox([parts[f"image {side}"], parts[f"confusion {side}"]], layout=Layout(width=COLUMN, overflow="hidden"))
            for side in SIDES
        ]
        wrap = Layout(flex_flow="row wrap", width=WHOLE)
        self.widget = self.column(
            [
                parts["outdated"],
                HBox([c["a"], c["b"]], layout=wrap),
                c["metric"],
                parts["overview"],
                parts["seeds"],
                c["group"],
                parts["heading"],
                HBox([c["image"], c["epoch"], c["opacity"]], layout=wrap),
                parts["strip"],
                HBox([c["seed"], c["outline"]], layout=wrap),
                parts["course"],
                HBox(columns, layout=wrap),
            ]
        )
        state.listen(self.refresh)
        if state.images is None and not state.missing:
            state.start_loading().join(WAIT)
        self.refresh()

    def _controls(self) -> dict[str, Any]:
        state, settings = self.state, self.state.settings
        methods, seeds = list(state.comparison.methods), list(state.comparison.seeds)

        # Buttons, not a list: JupyterLab takes the arrow keys of dropdowns, lists and radio buttons for itself.
        def buttons(setting: str, title: str, options: list, shown: Any = None, width: str = WHOLE) -> ToggleButtons:
            pairs = list(zip(shown or map(str, options), options, strict=True))
            return ToggleButtons(
                options=pairs,
                value=settings[setting],
                description=title,
                style={**WIDE, "button_width": "auto"},
                layout=Layout(width=width),
            )

        def slider(kind: type, title: str, value: float, **options: Any) -> Any:
            width = Layout(width="266px")
            return kind(value=value, description=title, style=NARROW, layout=width, **options)

        image = slider(IntSlider, "Image", settings["image"] + 1, min=1, max=max(1, len(state.members)))
        opacity = slider(FloatSlider, "Map opacity", settings["opacity"], min=0, max=1, step=0.1, readout_format=".1f")
        outline = ipywidgets.Checkbox(
            value=settings["outline"], description="Outline the lesion", indent=False, layout=Layout(width="180px")
        )
        controls = {
            "a": buttons("a", "A: method", methods, width=COLUMN),
            "b": buttons("b", "B: method", methods, width=COLUMN),
            "metric": buttons("metric", "Metric", list(state.metrics), list(state.metrics.values())),
            "group": buttons("group", "Images", list(GROUPS)),
            "image": image,
            "epoch": slider(IntSlider, "Epoch", settings["epoch"], min=1, max=state.epochs),
            "opacity": opacity,
            "seed": buttons("seed", "Seed", seeds, width="620px"),
            "outline": outline,
        }
        self.watch(controls, {"image": lambda shown: shown - 1})
        return controls

    def _follow(self) -> None:
        """Let the controls show what the settings are, whoever has changed them."""
        state, settings = self.state, self.state.settings
        recorded = any(one.course is not None for one in state.seen.values())
        with self.following():
            self.controls["image"].max = max(1, len(state.members))
            self.controls["epoch"].max = state.epochs
            for setting, control in self.controls.items():
                control.value = settings[setting] + 1 if setting == "image" else settings[setting]
            self.controls["image"].disabled = len(state.members) < 2
            self.controls["epoch"].disabled = not recorded

    def refresh(self) -> None:
        """Show what the state says."""
        with self.lock:
            self._follow()
            self._draw()

    def _draw(self) -> None:
        state, settings = self.state, self.state.settings
        results = state.comparison
        names = [state.method(side) for side in SIDES]
        chosen = next(row for row in state.rows if row.metric == settings["metric"])
        drawn = {
            "outdated": self._outdated(),
            "overview": drawings.overview(state.rows, settings["metric"], names, len(results.seeds)),
            "seeds": drawings.seed_strip(chosen, state.seed_differences, state.adjusted_over, results.reference),
            "heading": self._heading(),
            "strip": self._strip(),
            "course": self._course(),
        }
        for side in SIDES:
            drawn[f"image {side}"] = self._picture(side)
            drawn[f"confusion {side}"] = self._confusion(side)
        self.write(self.parts, drawn)

    def _outdated(self) -> str:
        lines = self.state.outdated
        return note(f"These runs are older than the code: {'; '.join(lines)}.", alert=True) if lines else ""

    def _heading(self) -> str:
        state, settings = self.state, self.state.settings
        listing = ", ".join(f"{group} {n}" for group, n in state.group_sizes.items())
        rests = state.metrics[settings["metric"]]
        about = "all classes" if rests == "balanced accuracy" else rests
        count = len(state.members)
        where = f"image {settings['image'] + 1} of {count}" if count else "no such image"
        return (
            f'<div style="color:{TEXT};line-height:1.5;padding:2px 4px;max-width:{WIDTH}px">'
            f"<b>Test images of {html.escape(about)}: {html.escape(settings['group'])}, "
            f'<span aria-live="polite">{where}</span></b><br>'
            f'<span style="color:{QUIET}">{html.escape(listing)}. Right: in more than half of the '
            f"{len(state.comparison.seeds)} seeds; those that A and B differ in most come first.</span></div>"
        )

    def _strip(self) -> str:
        state = self.state
        if state.missing:
            return note(f"{state.missing[0].upper()}{state.missing[1:]}", alert=True)
        if state.images is None:
            return note("The images are being loaded or drawn …")
        if not len(state.members):
            return note("No test image is in this group; choose another group, metric or method.")
        shown = "".join(map(self._thumbnail, state.page))
        return f'<div style="display:flex;gap:9px;padding:4px;min-height:126px">{shown}</div>'

    def _thumbnail(self, row: int) -> str:
        state, total = self.state, len(self.state.comparison.seeds)
        right = [f"{side} {state.seeds_right(state.method(side))[row]}" for side in SIDES]
        ring = f"box-shadow:0 0 0 3px {TEXT}" if row == state.row else f"box-shadow:0 0 0 1px {FAINT}"
        alt = html.escape(f"Test image {state.comparison.first.ids[row]}, seeds right of {total}: {', '.join(right)}")
        words = " &nbsp; ".join(
            f'<span style="color:{HUES[side]};font-size:10px">{"●" if side == "A" else "■"}</span> {text}'
            for side, text in zip(SIDES, right, strict=True)
        )
        return (
            f'<div style="width:{THUMBNAIL}px;font-size:12px;line-height:1.3;text-align:center;color:{TEXT}">'
            f'<img decoding="sync" alt="{alt}" src="{self._uri(row)}" style="width:{THUMBNAIL}px;height:{THUMBNAIL}px;'
            f"object-fit:cover;border-radius:4px;margin:0 0 4px;max-width:none;{ring};"
            f'image-rendering:pixelated">{words}</div>'
        )

    def _course(self) -> str:
        state = self.state
        if state.row is None:
            return ""
        if all(one.course is None for one in state.seen.values()):
            return note(
                "Epoch by epoch, maps and probabilities were recorded of a few test images in the first seed: "
                f'see images "{GROUPS[4]}". Of this one, the network at the end of the training is shown.'
            )
        label = state.comparison.classes[state.comparison.labels[state.row]]
        classes = len(state.comparison.classes)
        return drawings.course(state.seen, state.settings["epoch"], state.epochs, label, classes)

    def _picture(self, side: str) -> str:
        state, results = self.state, self.state.comparison
        if state.row is None:
            return ""
        seen, row = state.seen[side], state.row
        total, label = len(results.seeds), int(results.labels[row])
        predicted, true = results.classes[int(seen.probabilities.argmax())], results.classes[label]
        image_id, method = str(results.first.ids[row]), state.method(side)
        about = f"Image {image_id} under {side}, {method}, seed {state.settings['seed']}"
        alt = f"{about}: true class {true}, predicted {predicted} with {seen.probabilities.max():.2f}; {seen.about_map}"
        listing = ", ".join(f"{c} {p:.2f}" for c, p in zip(results.classes, seen.probabilities, strict=True))
        bars = drawings.probability_rows(
            results.classes, seen.probabilities, label, HUES[side], f"{about}: probabilities {listing}"
        )
        mark = drawing.mark(7, 8, SHAPES[side], HUES[side])
        key = f'<svg aria-hidden="true" width="16" height="16" style="vertical-align:-3px">{mark}</svg>'
        verdict = "right" if predicted == true else "wrong"
        return (
            f'<div style="width:{DRAWING}px;color:{TEXT};line-height:1.45;padding:4px 2px"><div>{key} <b>{side}: '
            f"{html.escape(method)}</b>, right in {seen.seeds_right} of {total} seeds</div>"
            f'<div style="display:flex;gap:14px;margin:4px 0">{self._layers(side, seen, row, alt)}'
            f'<div style="width:164px">{bars}</div></div>'
            f'<div style="color:{QUIET};font-size:12px">Seed {state.settings["seed"]}, '
            f"{html.escape(seen.about_map)}: {html.escape(predicted)}, {verdict}</div></div>"
        )

    def _layers(self, side: str, seen: Seen, row: int, alt: str) -> str:
        """The image, its map and its lesion on top of one another."""
        state = self.state
        whole = "position:absolute;inset:0;width:100%;height:100%;max-width:none;margin:0"
        layers, shape = [], (64, 64)
        if state.images is not None:
            shape = tuple(state.images.images.shape[2:])
            layers.append(
                f'<img decoding="sync" alt="" src="{self._uri(row)}" style="{whole};image-rendering:pixelated">'
            )
        else:
            words = "image not on this machine" if state.missing else "image on its way"
            layers.append(f'<div style="padding:8px;color:{QUIET}">{words}</div>')
        if seen.map is not None:
            opacity = state.settings["opacity"]
            uri = map_uri(seen.map, shape)
            layers.append(f'<img decoding="sync" alt="" src="{uri}" style="{whole};opacity:{opacity:g}">')
        if state.images is not None and state.settings["outline"]:
            layers.append(self._shape(row))
        height = round(PICTURE * shape[0] / shape[1])
        return (
            f'<div role="img" aria-label="{html.escape(alt, quote=True)}" data-side="{side}" style="position:relative;'
            f'flex:none;width:{PICTURE}px;height:{height}px;overflow:hidden;border-radius:5px;background:{FAINT}">'
            f"{''.join(layers)}</div>"
        )

    def _confusion(self, side: str) -> str:
        state, names = self.state, list(self.state.comparison.classes)
        matrix, seeds = state.confusions[side], len(state.comparison.seeds)
        body = [
            drawing.text(0, 14, f"{side}: confusion, images, mean of {seeds} seeds", weight="bold"),
            drawing.text(0, 30, "rows true, columns predicted", colour=QUIET),
            drawing.moved(0, 36, drawing.confusion_cells(names, matrix, LEFT)),
        ]
        told = "; ".join(
            f"{true}: {', '.join(f'{name} {n:.1f}' for name, n in zip(names, row, strict=True))}"
            for true, row in zip(names, matrix, strict=True)
        )
        alt = f"Confusion of {side}, images averaged over {seeds} seeds, predictions of each true class: {told}."
        return drawing.svg(max(DRAWING, LEFT + 44 * len(names)), 36 + 18 + 44 * len(names) + 6, body, alt)

    def _uri(self, row: int) -> str:
        if row not in self._uris:
            pixels = self.state.images.images[row].permute(1, 2, 0).numpy()
            self._uris[row] = image_uri(pixels[:, :, 0] if pixels.shape[2] < 3 else pixels[:, :, :3])
        return self._uris[row]

    def _shape(self, row: int) -> str:
        if row not in self._shapes:
            images = self.state.images
            height, width = images.images.shape[2:]
            mask = images.masks[row].numpy() if images.has_mask[row] else None
            box = images.boxes[row].tolist() if images.has_box[row] else None
            self._shapes[row] = lesion_shape(box, None if mask is None else np.asarray(mask), width, height)
        return self._shapes[row]
