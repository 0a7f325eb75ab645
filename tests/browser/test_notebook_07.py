"""Notebook 07 as a student meets it: the widget on a loss of one's own, and every slider of the planner."""

from __future__ import annotations

import pytest
from test_planner_in_jupyterlab import PICTURE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Label, keys, setting that must follow, its value.
MOVES = [
    ("Rare test patients", ("ArrowRight",), "patients", 14),
    ("Difference sought", ("ArrowRight",), "difference", 0.11),
    ("Baseline's recall", ("ArrowRight",), "recall", 0.71),
    ("Disagreement", ("ArrowLeft",), "disagreement", 0.45),
    ("Seed spread", ("ArrowRight",), "seed_spread", 0.04),
    ("A: images each", ("ArrowRight",), "A_images", 2),
    ("B: images each", ("ArrowLeft",), "B_images", 4),
    ("A: seeds", ("End",), "A_seeds", 30),
    ("B: seeds", ("Home",), "B_seeds", 2),
]


def test_every_control_changes_picture_and_state(open_notebook):
    page = open_notebook("07_compare_everything.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("07")

    assert page.evaluate_in_kernel("len(verdicts) > 3 and len(texts) > 20")
    for label, keys, setting, value in MOVES:
        before, after = page.move(label, keys, PICTURE, f"planner.state.settings[{setting!r}]")
        assert after == pytest.approx(value), f"{label}: {before} became {after}, not {value}"
    page.screenshot("07-planner")
    page.assert_nothing_clipped()
    page.assert_no_errors()
    assert page.evaluate_in_kernel("recorded_errors()") == []
