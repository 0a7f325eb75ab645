"""The embedding explorer in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from embedding_moves import SPREAD, move_all

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


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    assert page.evaluate_in_kernel("careedu.__file__").startswith(str(MADE_UP.parents[1]))
    page.assert_looks_right("embeddings")

    move_all(page, 10, ("with attention", 3), SPREAD)
    page.screenshot_outputs("embeddings-moved")
    page.assert_nothing_clipped()
    assert "collapse in 8 of them" in page.page.locator(SPREAD).get_attribute("aria-label")
    assert page.evaluate_in_kernel("explorer.errors") == []


def test_an_error_in_a_callback_is_shown_and_heard(open_cells):
    page = open_cells(CELL, timeout=400)
    page.run_in_kernel("explorer._see = lambda network: 1 / 0")
    page.control("Image").focus().press("ArrowRight")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page.assert_no_errors()
    assert "division by zero" in page.page.locator('[role="alert"]').first.inner_text()
