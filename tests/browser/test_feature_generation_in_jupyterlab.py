"""The feature explorer in a real JupyterLab: every control by keyboard."""

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
from careedu.show import feature_explorer
from made_up_generation import made_up_images, made_up_record, made_up_results

view = feature_explorer(made_up_record(), made_up_results(), made_up_images())
explorer = view.state
view
"""
PANELS = {side: f'[data-panel="{side}"]' for side in "AB"}
PLANES = {side: f'svg[aria-label^="Plane of {side}"]' for side in "AB"}
LOSSES, RECALLS = 'svg[aria-label^="Real or generated of A"]', 'svg[aria-label^="Recall by amount"]'
HIGHEST = 1400
# Label, keys (from the first button or handle on), picture that must change, setting that must follow, its value.
MOVES = [
    ("Generated", ("ArrowRight",), PANELS["A"], "generated", 2),
    ("Generated", ("End",), PLANES["A"], "generated", 30),
    ("Epoch", ("ArrowLeft",), PLANES["A"], "epoch", 5),
    ("Epoch", ("Home",), LOSSES, "epoch", 1),
    ("Class", ("Tab", "Space"), PLANES["B"], "generated_of", "dünn"),
    ("Amount", ("ArrowRight",), RECALLS, "amount", 2),
    ("Amount", ("Home",), RECALLS, "amount", 0),
    ("A: way", ("Tab", "Space"), PLANES["A"], "a", "SMOTE"),
    ("B: way", ("Space",), PLANES["B"], "b", "ACGAN"),
]


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    assert page.evaluate_in_kernel("careedu.__file__").startswith(str(MADE_UP.parents[1]))
    page.assert_looks_right("feature-generation")
    height = page.page.locator(".careedu-widget").bounding_box()["height"]
    assert height <= HIGHEST, f"{height:.0f} px high"

    for label, keys, picture, setting, value in MOVES:
        before, after = page.move(label, keys, picture, f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("feature-generation-moved")
    page.assert_nothing_clipped()
    for label, picture in (("Generated", PANELS["A"]), ("Epoch", PLANES["B"])):
        times = page.latency(page.control(label), ["ArrowRight"] * 2, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert page.evaluate_in_kernel("explorer.errors") == []


def test_an_error_in_a_callback_is_shown_and_heard(open_cells):
    page = open_cells(CELL, timeout=400)
    page.run_in_kernel("explorer._see = lambda way: 1 / 0")
    page.control("Generated").focus().press("ArrowRight")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_no_errors()
    assert "division by zero" in page.page.locator('[role="alert"]').first.inner_text()
