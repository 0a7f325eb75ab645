"""The tour of notebook 00: every widget of the course opens on its saved runs, once, and is left as it was."""

import pytest

from careedu.data.shipped import shipped
from careedu.errors import UnknownNameError
from careedu.show.widget_tour import WIDGETS, Tour, TourView


@pytest.fixture(scope="module")
def view():
    return TourView(Tour())


@pytest.mark.parametrize("name", WIDGETS)
def test_each_widget_opens_and_stays_as_it_was_left(view, name):
    view.controls["widget"].value = name
    assert view.state.settings["widget"] == name
    opened = view.state.opened[name]
    assert view.place.children == (opened.widget,)
    view.state.set(widget=next(iter(WIDGETS)))
    view.state.set(widget=name)
    assert view.state.opened[name] is opened
    if opened.state.task is not None:
        opened.state.task.join()
    assert view.state.errors == [] and opened.state.errors == []


def test_only_what_is_asked_for_is_opened():
    assert list(Tour().opened) == [next(iter(WIDGETS))]


def test_there_is_a_widget_for_each_notebook_that_has_saved_runs():
    notebooks = {path.name[:2] for path in shipped("notebooks").glob("*.ipynb")} - {"00", "07"}
    assert {name[:2] for name in WIDGETS} == notebooks


def test_another_name_is_refused_and_nothing_has_changed(view):
    before = dict(view.state.settings)
    with pytest.raises(UnknownNameError, match="widget"):
        view.state.set(widget="09 telepathy")
    assert view.state.settings == before
