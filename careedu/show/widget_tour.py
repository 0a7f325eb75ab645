"""A tour of the course's widgets: one of each kind, on saved runs, opened when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from careedu.show.view import View
from careedu.show.widget import WidgetState


def _compared() -> View:
    from careedu.show.compare import Comparison

    return Comparison.load("01-phantom-skin").widget("cross-entropy", "logit adjustment")


def _attention() -> View:
    from careedu.show.care import AttentionMicroscope, AttentionView
    from careedu.show.compare import Comparison

    return AttentionView(AttentionMicroscope(Comparison.load("02-dose-marked"), "logit adjustment", "dose 4"))


def _spatial() -> View:
    from careedu.show.compare import Comparison
    from careedu.show.global_attention import SpatialExplorer, SpatialView

    return SpatialView(SpatialExplorer(Comparison.load("03-phantom-chest")))


def _embedding() -> View:
    from careedu.show.deep_pneumonia import embedding_explorer

    return embedding_explorer()


def _distractor() -> View:
    from careedu.show.distractor import distractor_viewer

    return distractor_viewer()


def _features() -> View:
    from careedu.show.feature_generation import feature_explorer

    return feature_explorer()


WIDGETS: dict[str, Callable[[], View]] = {
    "01 two methods": _compared,
    "02 lesion attention": _attention,
    "03 one map for all": _spatial,
    "04 embedding": _embedding,
    "05 distractors": _distractor,
    "06 features": _features,
}
"""By the number of the notebook that explains it, and what it is about."""


class Tour(WidgetState):
    """State of the tour. Setting: ``widget``, a name in `WIDGETS`.

    Attributes
    ----------
    opened : dict of str to View
        The widgets that have been looked at, as they were left.
    """

    def __init__(self) -> None:
        super().__init__(widget=next(iter(WIDGETS)))
        self.opened: dict[str, View] = {}
        self.update()

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The widgets."""
        return {"widget": tuple(WIDGETS)}

    def update(self) -> None:
        """Open the widget, the first time that it is asked for."""
        name = self.settings["widget"]
        if name not in self.opened:
            self.opened[name] = WIDGETS[name]()


class TourView(View):
    """View of a `Tour`: a row of buttons, and below them the widget that is chosen."""

    def __init__(self, state: Tour) -> None:
        super().__init__(state)
        self.place = ipywidgets.VBox()
        self.open(self.buttons("widget", "Widget"), self.place)

    def draw(self) -> dict[str, Any]:
        """Put the chosen widget into its place."""
        self.place.children = (self.state.opened[self.state.settings["widget"]].widget,)
        return {}


def tour() -> TourView:
    """One widget of each kind, on saved runs; each opens in some seconds when its button is pressed.

    Returns
    -------
    TourView
    """
    return TourView(Tour())
