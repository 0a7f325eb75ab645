"""Notebook 03 as a student meets it: every control of the spatial explorer moved by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PANELS = {name: f'[data-panel="{name}"]' for name in ("pixels", "free", "permuted", "mean")}
# Label, keys (from the handle on), panel that must change, setting that must follow.
MOVES = [
    ("Epoch", ("ArrowLeft",), "pixels", "epoch"),
    ("Epoch", ("Home",), "free", "epoch"),
    ("Epoch", ("ArrowRight",), "permuted", "epoch"),
    ("Alignment jitter", ("End",), "mean", "jitter"),
    ("Alignment jitter", ("ArrowLeft",), "pixels", "jitter"),
    ("Seed", ("ArrowRight",), "pixels", "seed"),
    ("Training images N", ("Home",), "pixels", "images"),
]


def test_every_control_changes_picture_and_state(open_notebook):
    page = open_notebook("03_global_attention.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("03")

    for label, keys, panel, setting in MOVES:
        page.move(label, keys, PANELS[panel], f"explorer.settings[{setting!r}]")
    # The mean image of the last point comes a moment later, and its picture with it.
    page.run_in_kernel("explorer.task.join()")
    page.settle()
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["pixels"])
    page.move_in_page("Outline the lesion zones", ("Space",), PANELS["free"])
    page.screenshot("03-explorer")
    page.assert_nothing_clipped()
    page.assert_no_errors()
    assert page.evaluate_in_kernel("explorer.errors") == []
