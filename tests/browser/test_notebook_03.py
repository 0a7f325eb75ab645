"""Notebook 03 as a student meets it: every control of the spatial explorer moved by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROLES = ("pixels", "principal-components", "free", "permuted", "mean")
PANELS = {name: f'[data-panel="{name}"]' for name in ROLES}
# Label, keys (from the first button or the handle on), panel that must change, setting that must follow.
MOVES = [
    ("Epoch", ("ArrowLeft",), "free", "epoch"),
    ("Epoch", ("Home",), "principal-components", "epoch"),
    ("Epoch", ("ArrowRight",) * 25, "pixels", "epoch"),
    ("Epoch", ("End",), "free", "epoch"),
    ("Behind the map", ("Space",), "free", "fill"),
    ("Behind the map", ("Tab", "Space"), "free", "fill"),
    ("Map learns", ("Space",), "pixels", "order"),
    ("Map learns", ("Tab", "Space"), "free", "order"),
    ("Seed", ("ArrowRight",), "pixels", "seed"),
    ("Training images N", ("Home",), "principal-components", "images"),
    ("Training images N", ("End",), "principal-components", "images"),
    ("Alignment jitter", ("End",), "mean", "jitter"),
    ("Alignment jitter", ("ArrowLeft",), "free", "jitter"),
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
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["principal-components"])
    page.move_in_page("Outline the lesion zones", ("Space",), PANELS["free"])
    page.screenshot("03-explorer")
    page.assert_nothing_clipped()
    page.assert_no_errors()
    assert page.evaluate_in_kernel("explorer.errors") == []
