"""What the planner looks like: what is known above, design A left and B right, what each could show below."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from ipywidgets import FloatSlider, IntSlider

from careedu.show import drawing
from careedu.show.drawing import HUES, QUIET, SHAPES, TEXT, WIDTH, Scale
from careedu.show.planner.planner import MOST, PATIENTS, PatientPlanner
from careedu.show.view import View
from careedu.show.widget import SIDES

X, Y = Scale(70, 780, np.log10(4), np.log10(MOST)), Scale(250, 22, 0, 0.5)
DASHES = {"A": "", "B": 'stroke-dasharray="7 3"'}
LEGEND = (
    "Disagreement: how often just one of two equally good methods finds an image, of how often it would if they knew "
    "nothing of each other. Seed spread: how far seeds lie apart with patients in plenty (standard deviation). Filled "
    "marks: the patients that are set; hollow: those that the difference sought would take. Two methods are compared."
)


def plan_patients() -> PlannerView:
    """A widget: the smallest difference in recall of a rare class that two designs of an experiment could show."""
    return PlannerView(PatientPlanner())


class PlannerView(View):
    """View of a `PatientPlanner`. Its parts: "words" and "curves"."""

    wide = "125px"

    def __init__(self, state: PatientPlanner) -> None:
        super().__init__(state)

        def slider(setting: str, title: str, step: float = 1) -> Any:
            kind = IntSlider if step == 1 else FloatSlider
            return self.slider(setting, title, lambda: state.limits()[setting], kind=kind, step=step)

        self.open(
            self.row(self.choice("patients", "Rare test patients"), slider("difference", "Difference sought", 0.01)),
            self.row(slider("recall", "Baseline's recall", 0.01), slider("disagreement", "Disagreement", 0.05)),
            slider("seed_spread", "Seed spread", 0.01),
            self.row(*(slider(f"{side}_images", f"{side}: images each") for side in SIDES)),
            self.row(*(slider(f"{side}_seeds", f"{side}: seeds") for side in SIDES)),
            *map(self.part, ("words", "curves")),
            self.part("legend", drawing.legend(LEGEND)),
        )

    def draw(self) -> dict[str, Any]:
        """What each part shows."""
        told = {side: self._told(side) for side in SIDES}
        lines = "".join(f"<div>{drawing.key_mark(side)} {html.escape(words)}</div>" for side, words in told.items())
        words = f'<div aria-live="polite" style="padding:2px 9px;line-height:1.45;color:{TEXT}">{lines}</div>'
        return {"words": words, "curves": self._curves(" ".join(told.values()))}

    def _told(self, side: str) -> str:
        """What one side could show, in words."""
        settings, found, needed = self.state.settings, self.state.smallest[side], self.state.needed[side]
        n, images, seeds = settings["patients"], settings[f"{side}_images"], settings[f"{side}_seeds"]
        least = f"a difference of less than {found:.2f} would not be shown four times in five"
        if found == np.inf:
            least = "no difference that the recall leaves room for would be shown four times in five"
        sought = f"for {settings['difference']:.2f} it would take"
        takes = needed if isinstance(needed, str) else f"{sought} {needed:,} patients"
        return f"{side}: with {_many(n, 'patient')}, {_many(images, 'image')} each and {seeds} seeds, {least}; {takes}."

    def _curves(self, told: str) -> str:
        """Smallest differences against patients, as SVG."""
        state, chosen, sought = self.state, self.state.settings["patients"], self.state.settings["difference"]
        body = Y.levels(X, (0, 0.1, 0.2, 0.3, 0.4, 0.5), room=-10)
        body += [drawing.text(_across(n), 268, str(n), "middle", QUIET) for n in (5, 10, 20, 50, 100, 200, 500, 1000)]
        body.append(drawing.text(X.end, 286, "test patients of the rare class", "end", QUIET))
        body.append(drawing.text(X.start, 10, "smallest difference that four studies in five would show"))
        body.append(drawing.line(_across(chosen), Y(0.5), _across(chosen), Y(0), TEXT, 1.4))
        for level, words in ((sought, "sought"), (1 - state.settings["recall"], "all the room there is")):
            label = drawing.text(X.end - 4, Y(level) - 5, words, "end", QUIET)
            body += [drawing.dashed(X.start, Y(level), X.end, Y(level)), label]
        for side, values in state.curves.items():
            there, (least, needed) = values < np.inf, (state.smallest[side], state.needed[side])
            body.append(drawing.curve(X, Y, np.log10(PATIENTS[there]), values[there], HUES[side], 2.4, DASHES[side]))
            if least < np.inf:
                body.append(drawing.mark(_across(chosen), Y(least), SHAPES[side], HUES[side]))
            if isinstance(needed, int) and needed <= MOST:
                body.append(drawing.mark(_across(needed), Y(sought), SHAPES[side], HUES[side], filled=False))
        return drawing.svg(WIDTH, 292, body, f"Smallest difference shown, against 5 to {MOST} test patients. {told}")


def _across(patients: float) -> float:
    """Where a number of patients lies."""
    return X(np.log10(max(patients, 4)))


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
