"""The embedding explorer in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

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
from careedu.show import embedding_explorer
from made_up_embeddings import made_up_embeddings, made_up_images, made_up_results

by_labels = {{15: made_up_results(0.6), 50: made_up_results(0.1), "all": made_up_results(-0.2, spread=0.02)}}
view = embedding_explorer(made_up_embeddings(), by_labels, made_up_images())
explorer = view.state
view
"""
PLANE, WEIGHTS = (
    {s: f'svg[aria-label*=" of {s}, "]' for s in "AB"},
    'svg[aria-label^="Weights of the negatives under A"]',
)
PANELS = {side: f'[data-panel="{side}"]' for side in "AB"}
SHARES, SPREAD = 'svg[aria-label^="With "]', 'svg[aria-label^="Embedding spread"]'
# Label, keys (from the first button or the handle on), picture that must change, setting that must follow, its value.
MOVES = [
    ("A: network", ("Tab", "Space"), PLANE["A"], "a", "pretrained"),
    ("B: network", ("Tab", "Tab", "Tab", "Space"), PANELS["B"], "b", "with attention"),
    ("Plane", ("Space",), PLANE["B"], "plane", "pca"),
    ("Image", ("ArrowRight",), PLANE["A"], "image", 2),
    ("Image", ("End",), PANELS["A"], "image", 10),
    ("Class", ("Space",), PLANE["B"], "image_of", "all classes"),
    ("Temperature", ("ArrowLeft",), WEIGHTS, "temperature", 0.16),
    ("Temperature", ("End",), WEIGHTS, "temperature", 1.0),
    ("Labels a class", ("ArrowRight",), SHARES, "labels", 50),
    ("Labels a class", ("ArrowRight",), SPREAD, "labels", "all"),
]


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    assert page.evaluate_in_kernel("careedu.__file__").startswith(str(MADE_UP.parents[1]))
    page.assert_looks_right("embeddings")

    for label, keys, picture, setting, value in MOVES:
        before, after = page.move(label, keys, picture, f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("embeddings-moved")
    page.assert_nothing_clipped()
    assert "collapse in 8 of them" in page.page.locator(SPREAD).get_attribute("aria-label")
    for label, key, picture in (("Image", "ArrowRight", PLANE["B"]), ("Temperature", "ArrowLeft", WEIGHTS)):
        times = page.latency(page.control(label), [key] * 8, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")

    asked = page.sent()
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["B"])
    page.move_in_page("Outline the lesion", ("Space",), PANELS["A"])
    assert page.sent() == asked, "the page alone has answered"
    assert page.evaluate_in_kernel("explorer.errors") == []


def test_an_error_in_a_callback_is_shown_and_heard(open_cells):
    page = open_cells(CELL, timeout=400)
    page.run_in_kernel("explorer._see = lambda network: 1 / 0")
    page.control("Image").focus().press("ArrowRight")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_no_errors()
    assert "division by zero" in page.page.locator('[role="alert"]').first.inner_text()
