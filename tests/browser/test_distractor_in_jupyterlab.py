"""The distractor viewer in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MADE_UP = Path(__file__).parents[1] / "unit"
CELL = f"""
import sys
sys.path.insert(0, {str(MADE_UP)!r})
import careedu
from careedu.show import distractor_viewer
from made_up_distractors import made_up_images, made_up_record

view = distractor_viewer(made_up_record(), made_up_images())
viewer = view.state
view
"""
PANELS = {side: f'[data-panel="{side}"]' for side in "AB"}
MATRIX, COURSE = 'svg[aria-label^="Confusion matrix of A"]', 'svg[aria-label^="Distance to the distractor"]'
HIGHEST = 930
# Label, keys (from the first button or handle on), picture that must change, setting that must follow, its value.
MOVES = [
    ("Image", ("ArrowRight",), PANELS["A"], "image", 2),
    ("Image", ("End",), COURSE, "image", 30),
    ("Epoch", ("ArrowLeft",), PANELS["B"], "epoch", 6),
    ("Epoch", ("Home",), MATRIX, "epoch", 1),
    ("Map", ("ArrowRight",), PANELS["A"], "map", "neuron 1"),
    ("Map", ("Home",), PANELS["B"], "map", "true class"),
    ("Margin", ("ArrowRight",), COURSE, "margin", 0.55),
    ("Margin", ("End",), PANELS["A"], "margin", 2.0),
    ("True class", ("Tab", "Tab", "Space"), MATRIX, "true", "mittel"),
    ("A predicts", ("Tab", "Tab", "Tab", "Space"), MATRIX, "predicted", "selten"),
    ("A: network", ("Tab", "Space"), PANELS["A"], "a", "distractor"),
    ("B: network", ("Space",), PANELS["B"], "b", "plain"),
]


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    assert page.evaluate_in_kernel("careedu.__file__").startswith(str(MADE_UP.parents[1]))
    page.assert_looks_right("distractor")
    height = page.page.locator(".careedu-widget").bounding_box()["height"]
    assert height <= HIGHEST, f"{height:.0f} px high"

    for label, keys, picture, setting, value in MOVES:
        before, after = page.move(label, keys, picture, f"viewer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("distractor-moved")
    page.assert_nothing_clipped()
    page.run_in_kernel("viewer.set(true='any', predicted='any')")
    for label, picture in (("Image", PANELS["A"]), ("Epoch", MATRIX)):
        times = page.latency(page.control(label), ["ArrowRight"] * 3, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    asked = page.sent()
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["B"])
    page.move_in_page("Outline the lesion and look-alikes", ("Space",), PANELS["A"])
    assert page.sent() == asked, "the page alone has answered"
    assert page.evaluate_in_kernel("viewer.errors") == []


def test_an_error_in_a_callback_is_shown_and_heard(open_cells):
    page = open_cells(CELL, timeout=400)
    page.run_in_kernel("viewer._see = lambda side: 1 / 0")
    page.control("Image").focus().press("ArrowRight")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_no_errors()
    assert "division by zero" in page.page.locator('[role="alert"]').first.inner_text()
