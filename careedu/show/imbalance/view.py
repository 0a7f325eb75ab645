"""What the imbalance explorer looks like: controls above, method A left and method B right of one another."""

from __future__ import annotations

from typing import Any

import ipywidgets
from ipywidgets import FloatSlider, HBox, IntSlider, Layout, VBox

from careedu.show import drawing
from careedu.show.drawing import HUES, SHAPES
from careedu.show.imbalance.explorer import WEIGHTINGS, ImbalanceExplorer, Side
from careedu.show.widget import SIDES, View

WIDE, WIDER = {"description_width": "95px"}, {"description_width": "115px"}
# Two columns side by side fit into a notebook on a screen of 1280 pixels with JupyterLab's side bar open.
COLUMN, DRAWING, LEFT = "412px", 400, 95
SHORT = ("none", "inverse", "effective", "logit")


class ImbalanceView(View):
    """View of an `ImbalanceExplorer`."""

    def __init__(self, state: ImbalanceExplorer) -> None:
        super().__init__(state)
        settings = state.settings
        most = min(100, min(len(members) for members in state.members))
        ratio = ipywidgets.FloatLogSlider(
            value=settings["imbalance"], base=10, min=0, max=2, step=0.1, description="Imbalance ratio", style=WIDER
        )
        rare = IntSlider(value=settings["rare_images"], min=1, max=most, description="Rare images", style=WIDER)
        self.bind(ratio, "imbalance", float)
        self.bind(rare, "rare_images", int)
        self.controls: dict[str, Any] = {"imbalance": ratio, "rare_images": rare}
        self.pictures = {side: ipywidgets.HTML(layout=Layout(overflow="hidden")) for side in SIDES}
        columns = [self._column(side) for side in SIDES]

        self.button = ipywidgets.Button(
            description="Train whole networks here", icon="play", layout=Layout(width="230px")
        )
        self.stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, layout=Layout(width="90px"))
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=Layout(width="160px"))
        self.doing = ipywidgets.HTML()
        self.button.on_click(self.guard(lambda _: self._train()))
        self.stop.on_click(self.guard(lambda _: state.task.stop()))
        self.widget = self.column(
            [
                HBox([ratio, rare], layout=Layout(flex_flow="row wrap")),
                HBox(columns, layout=Layout(flex_flow="row wrap")),
                HBox([self.button, self.stop, self.bar, self.doing], layout=Layout(flex_flow="row wrap")),
            ]
        )
        state.listen(self.refresh)
        self.refresh()

    def _column(self, side: str) -> VBox:
        settings = self.state.settings

        def slider(name: str, low: float, high: float, step: float, title: str) -> FloatSlider:
            control = FloatSlider(
                value=settings[f"{side}_{name}"],
                min=low,
                max=high,
                step=step,
                description=f"{side}: {title}",
                style=WIDE,
            )
            self.controls[f"{side}_{name}"] = self.bind(control, f"{side}_{name}", float)
            return control

        # Buttons, not a dropdown: JupyterLab takes a dropdown's arrow keys for itself.
        weighting = ipywidgets.ToggleButtons(
            options=list(zip(SHORT, WEIGHTINGS, strict=True)),
            value=settings[f"{side}_weighting"],
            description=f"{side}: weighting",
            tooltips=WEIGHTINGS,
            style={**WIDE, "button_width": "auto"},
        )
        self.controls[f"{side}_weighting"] = self.bind(weighting, f"{side}_weighting")
        # β is set by the images after which a class is taken to be known, 1/(1−β): a slider of β itself would have
        # everything of interest in its last pixel.
        known = ipywidgets.FloatLogSlider(
            value=1 / (1 - settings[f"{side}_beta"]),
            base=10,
            min=0.2,
            max=4,
            step=0.1,
            description=f"{side}: 1/(1−β)",
            readout_format=".0f",
            style=WIDE,
        )
        self.controls[f"{side}_beta"] = self.bind(known, f"{side}_beta", lambda value: 1 - 1 / value)
        tau = slider("tau", 0, 3, 0.1, "τ")
        shift = slider("prior_shift", -1, 3, 0.1, "prior shift")
        return VBox([weighting, known, tau, shift, self.pictures[side]], layout=Layout(width=COLUMN, overflow="hidden"))

    def _train(self) -> None:
        self.state.train_networks()
        self.refresh()

    def refresh(self) -> None:
        """Show what the state says."""
        settings, task = self.state.settings, self.state.task
        for side in SIDES:
            weighting = settings[f"{side}_weighting"]
            self.controls[f"{side}_beta"].disabled = weighting != "effective number"
            self.controls[f"{side}_tau"].disabled = weighting != "logit adjustment"
            self.pictures[side].value = self.draw(side, self.state.sides[side])
        running = task is not None and task.running and task.share < 1
        self.button.disabled, self.stop.disabled = running, not running
        self.bar.value = task.share if running else 0
        self.bar.layout.visibility = "visible" if running else "hidden"
        done = "stopped" if task and task.stopped else "hollow marks: whole networks, trained briefly"
        words = (task.text if running else done) if task else ""
        self.doing.value = f'<span aria-live="polite">{words}</span>'
        if task is not None and task.failure:
            self.show_error(task.failure)

    def draw(self, side: str, shown: Side) -> str:
        """The picture of one side, as SVG."""
        names, colour, n = list(self.state.classes), HUES[side], len(self.state.classes)
        counts = self.state.counts
        labels = [f"{count} × {weight:.2f}" for count, weight in zip(counts, shown.weights, strict=True)]
        trained = [] if shown.trained is None else list(shown.trained)
        below_bars, below_recalls = 34 + 22 * n, 34 + 22 * n + 48 + 26 * n + 18
        body = [
            drawing.text(0, 14, f"{side}: training images × weight", weight="bold"),
            drawing.moved(0, 22, drawing.bars(names, counts, labels, colour, LEFT)),
            drawing.text(0, below_bars + 14, f"{side}: recall, 95 % interval", weight="bold"),
            drawing.moved(
                0, below_bars + 24, drawing.recall_rows(names, shown.recalls, SHAPES[side], colour, LEFT, trained)
            ),
            drawing.text(0, below_recalls + 18, f"balanced accuracy {shown.balanced_accuracy}"),
            drawing.text(0, below_recalls + 46, f"{side}: confusion, rows true, columns predicted", weight="bold"),
            drawing.moved(0, below_recalls + 54, drawing.confusion_cells(names, shown.confusion, LEFT)),
        ]
        recalls = ", ".join(f"{name} {r}" for name, r in zip(names, shown.recalls, strict=True))
        alt = f"Method {side}. Training images {dict(zip(names, counts, strict=True))}. Recall: {recalls}."
        return drawing.svg(DRAWING, below_recalls + 54 + 18 + 44 * n + 6, body, alt)
