"""What the imbalance explorer looks like: controls above, method A left and method B right of one another."""

from collections.abc import Callable
from typing import Any

import ipywidgets
from ipywidgets import FloatLogSlider, FloatSlider, Layout, VBox

from careedu.show import drawing
from careedu.show.imbalance.explorer import WEIGHTINGS, ImbalanceExplorer, Side
from careedu.show.view import COLUMN, View
from careedu.show.widget import SIDES

DRAWING, LEFT = 400, 95
SHORT = dict(zip(WEIGHTINGS, ("none", "inverse", "effective", "logit"), strict=True))


class ImbalanceView(View):
    """View of an `ImbalanceExplorer`. Its parts: "A", "B" and "doing"."""

    wide = "110px"

    def __init__(self, state: ImbalanceExplorer) -> None:
        super().__init__(state)
        self.state: ImbalanceExplorer = state
        most = min(100, min(len(members) for members in state.members))
        train, stop, bar = (Layout(width=width) for width in ("230px", "90px", "160px"))
        self.button = ipywidgets.Button(description="Train whole networks here", icon="play", layout=train)
        self.stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, layout=stop)
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=bar)
        self.button.on_click(self.guard(lambda _: self._train()))
        self.stop.on_click(self.guard(lambda _: state.task.stop()))
        self.open(
            self.row(
                self.slider("imbalance", "Imbalance ratio", kind=FloatLogSlider, base=10, min=0, max=2, step=0.1),
                self.slider("rare_images", "Rare images", min=1, max=most),
            ),
            self.row(*map(self._column, SIDES)),
            self.row(self.button, self.stop, self.bar, self.part("doing")),
        )

    def _column(self, side: str) -> VBox:
        def weighted(name: str) -> Callable[[], bool]:
            return lambda: self.state.settings[f"{side}_weighting"] == name

        def slider(setting: str, title: str, **options: Any) -> Any:
            return self.slider(f"{side}_{setting}", f"{side}: {title}", **{"kind": FloatSlider, "step": 0.1, **options})

        named = {"label": SHORT.get, "tooltips": WEIGHTINGS}
        weighting = self.buttons(f"{side}_weighting", f"{side}: weighting", width=COLUMN, **named)
        # β is set by the images after which a class is taken to be known, 1/(1−β): a slider of β itself would have
        # everything of interest in its last pixel.
        known = {"shown": lambda beta: 1 / (1 - beta), "meant": lambda known: 1 - 1 / known}
        axis = {"kind": FloatLogSlider, "base": 10, "min": 0.2, "max": 4, "readout_format": ".0f"}
        beta = slider("beta", "1/(1−β)", usable=weighted("effective number"), **known, **axis)
        tau = slider("tau", "τ", min=0, max=3, usable=weighted("logit adjustment"))
        shift = slider("prior_shift", "prior shift", min=-1, max=3)
        return VBox([weighting, beta, tau, shift, self.part(side)], layout=Layout(width="412px", overflow="hidden"))

    def _train(self) -> None:
        self.state.train_networks()
        self.refresh()

    def draw(self) -> dict[str, str]:
        """What each part shows; bar and buttons tell of the training beside the notebook."""
        task = self.state.task
        running = task is not None and task.running and task.share < 1
        self.button.disabled, self.stop.disabled = running, not running
        self.bar.value = task.share if running else 0
        self.bar.layout.visibility = "visible" if running else "hidden"
        done = "stopped" if task and task.stopped else "hollow marks: whole networks, trained briefly"
        words = (task.text if running else done) if task else ""
        sides = {side: self._side(side, shown) for side, shown in self.state.sides.items()}
        return {**sides, "doing": f'<span aria-live="polite">{words}</span>'}

    def _side(self, side: str, shown: Side) -> str:
        """The picture of one side, as SVG."""
        names, counts, n = list(self.state.classes), self.state.counts, len(self.state.classes)
        labels = [f"{count} × {weight:.2f}" for count, weight in zip(counts, shown.weights, strict=True)]
        trained = [] if shown.trained is None else list(shown.trained)
        below_bars, below_recalls = 34 + 22 * n, 34 + 22 * n + 48 + 26 * n + 18
        body = [
            drawing.text(0, 14, f"{side}: training images × weight", weight="bold"),
            drawing.moved(0, 22, drawing.bars(names, counts, labels, drawing.HUES[side], LEFT)),
            drawing.text(0, below_bars + 14, f"{side}: recall, 95 % interval", weight="bold"),
            drawing.moved(0, below_bars + 24, drawing.recall_rows(names, shown.recalls, side, LEFT, trained)),
            drawing.text(0, below_recalls + 18, f"balanced accuracy {shown.balanced_accuracy}"),
            drawing.text(0, below_recalls + 46, f"{side}: confusion, rows true, columns predicted", weight="bold"),
            drawing.moved(0, below_recalls + 54, drawing.confusion_cells(names, shown.confusion, LEFT)),
        ]
        recalls = ", ".join(f"{name} {r}" for name, r in zip(names, shown.recalls, strict=True))
        alt = f"Method {side}. Training images {dict(zip(names, counts, strict=True))}. Recall: {recalls}."
        return drawing.svg(DRAWING, below_recalls + 54 + 18 + 44 * n + 6, body, alt)
