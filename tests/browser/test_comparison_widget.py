"""The comparison widget in a real JupyterLab, opened on saved results: every control moved by keyboard."""

from __future__ import annotations

import pytest

import careedu

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
import careedu

view = careedu.Comparison.load({folder!r}).widget()
explorer = view.state
explorer.task.join()
explorer.set(metric="balanced accuracy", group="both wrong")
view
"""
A, B = '[data-panel="A"]', '[data-panel="B"]'
METRICS, SEEDS, COURSE = (f'svg[aria-label^="{words}"]' for words in ("Metrics of A", "Seed by seed", "Probability of"))
# Label, keys (from the first button or the handle on), picture that must change, setting that must follow, its value.
MOVES = [
    ("B: method", ("Tab", "Tab", "Space"), METRICS, "b", "balanced-sampling"),
    ("A: method", ("Tab", "Space"), METRICS, "a", "logit-adjusted"),
    ("Metric", ("Tab", "Tab", "Space"), SEEDS, "metric", "recall of streaked"),
    ("Pictures", ("Tab", "Tab", "Tab", "Tab", "Space"), A, "group", "recorded each epoch"),
    ("Picture", ("ArrowRight",), B, "picture", 2),
    ("Class", ("Tab", "Space"), B, "picture_of", "reticular"),
    ("Epoch", ("ArrowLeft",), COURSE, "epoch", 2),
    ("Epoch", ("ArrowLeft",), A, "epoch", 1),
    ("Seed", ("Tab", "Space"), B, "seed", 1),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small comparison on disk: the images are drawn again where it is opened."""
    data = careedu.load("phantom-skin", size=32, imbalance=4, largest=40, val=6, test=12)
    methods = ["cross-entropy", "logit-adjusted", "balanced-sampling"]
    comparison = careedu.compare(data, methods, seeds=6, epochs=3, progress=False)
    return comparison.save(tmp_path_factory.mktemp("saved") / "comparison", weights=["logit-adjusted"])


@pytest.fixture
def open_widget(open_cells, saved):
    return lambda *more_cells: open_cells(CELL.format(folder=str(saved)), *more_cells)


def test_every_control_changes_picture_and_state(open_widget):
    page = open_widget("view.state.results.plot()")
    page.assert_looks_right("comparison")

    for label, keys, picture, setting, value in MOVES:
        before, after = page.move(label, keys, picture, f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot("comparison-moved")
    page.run_in_kernel("explorer.set(seed=0)")  # of other seeds no map was kept
    asked = page.sent()
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), A)
    page.move_in_page("Outline the lesion", ("Space",), B)
    assert page.sent() == asked, "the page alone has answered"
    page.assert_nothing_clipped()
    assert page.evaluate_in_kernel("explorer.errors") == []


def test_an_error_in_a_callback_is_shown_and_heard(open_widget):
    page = open_widget()
    page.run_in_kernel("explorer.see = lambda *arguments: 1 / 0")
    page.control("Pictures").focus().press("Tab", "Tab", "Tab", "Tab", "Space")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_no_errors()
    assert "division by zero" in page.page.locator('[role="alert"]').first.inner_text()
