"""The planner in a real JupyterLab: every control by keyboard."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
from careedu.show import plan_patients

view = plan_patients()
view
"""
PICTURE = '[aria-label^="Smallest difference shown"]'
# Label, keys, setting that must follow, its value.
MOVES = [
    ("Rare test patients", ("ArrowRight",), "patients", 14),
    ("Rare test patients", ("ArrowRight", "ArrowRight"), "patients", 18),
    ("Difference sought", ("ArrowRight",), "difference", 0.11),
    ("Baseline's recall", ("ArrowRight", "ArrowRight"), "recall", 0.72),
    ("Disagreement", ("ArrowLeft",), "disagreement", 0.45),
    ("Seed spread", ("ArrowRight",), "seed_spread", 0.04),
    ("A: images each", ("ArrowRight",), "A_images", 2),
    ("B: images each", ("ArrowLeft",), "B_images", 4),
    ("A: seeds", ("Home",), "A_seeds", 2),
    ("B: seeds", ("End",), "B_seeds", 30),
    ("A: seeds", ("PageUp",), "A_seeds", 7),
]


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    page.assert_looks_right("planner")

    for label, keys, setting, value in MOVES:
        before, after = page.move(label, keys, PICTURE, f"view.state.settings[{setting!r}]")
        assert after == pytest.approx(value), f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("planner-moved")
    page.assert_nothing_clipped()
    said = page.page.locator('[aria-live="polite"]').filter(has_text="would take").first.inner_text()
    assert "with 18 patients, 4 images each and 30 seeds, a difference of less than" in said, said
    times = page.latency(page.control("Rare test patients"), ["ArrowRight"] * 8, PICTURE)
    print(f"patients slider: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert page.evaluate_in_kernel("view.state.errors") == []
