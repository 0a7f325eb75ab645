"""Notebook 02 as a student meets it: every control of the attention microscope moved by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PANELS = {name: f'[data-panel="{name}"]' for name in ("A", "wipe", "B")}
# Label, keys (from the first button or the handle on), panel that must change, setting that must follow.
MOVES = [
    ("Epoch", ("ArrowLeft",), "A", "epoch"),
    ("Epoch", ("Home",), "B", "epoch"),
    ("Picture", ("ArrowRight",), "wipe", "picture"),
    ("Class", ("Tab", "Tab", "Space"), "A", "picture_of"),
    ("Dose of B", ("ArrowRight",), "B", "dose"),
    ("Dose of B", ("Home",), "wipe", "b"),
    ("B: method", ("Tab", "Tab", "Tab", "Space"), "B", "b"),
    ("A: method", ("Tab", "Tab", "Space"), "A", "a"),
    ("Pictures", ("Tab", "Space"), "wipe", "source"),
    ("Picture", ("ArrowRight",), "A", "picture"),
    ("Map of", ("Tab", "Space"), "B", "map_of"),
    ("Pictures", ("Tab", "Tab", "Space"), "wipe", "source"),
    ("Picture", ("ArrowRight",), "B", "picture"),
]


def test_every_control_changes_picture_and_state(open_notebook):
    page = open_notebook("02_lesion_attention.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("02")

    for label, keys, panel, setting in MOVES:
        page.move(label, keys, PANELS[panel], f"microscope.settings[{setting!r}]")
    # What the page does alone, without the kernel.
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), PANELS["A"])
    page.move_in_page("Wipe between A and B", ("Home",), PANELS["wipe"])
    page.move_in_page("Outline the lesion and the mark", ("Space",), PANELS["B"])
    page.screenshot("02-microscope")
    page.assert_nothing_clipped()
    page.assert_no_errors()
    assert page.evaluate_in_kernel("microscope.errors") == []
