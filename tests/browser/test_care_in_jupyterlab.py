"""The attention microscope in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

from __future__ import annotations

import numpy as np
import pytest
from marked_runs import DOSES, save_marked_runs
from notebook_page import changed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
import careedu
from careedu.show.care import AttentionMicroscope, AttentionView

comparison = careedu.Comparison.load("01-phantom-skin")
unseen = careedu.load("phantom-skin", size=64, seed=99, largest=20, val=3, test=4).test
microscope = AttentionMicroscope(comparison, "cross-entropy", "logit adjustment", images=unseen)
view = AttentionView(microscope)
microscope.task.join()
view
"""
PANELS = {name: f'[data-panel="{name}"]' for name in ("A", "wipe", "B")}
# Label, keys (from the first button or the handle on), panel that must change, setting that must follow, its value.
MOVES = [
    ("Epoch", ("ArrowLeft",), "A", "epoch", 15),
    ("Epoch", ("ArrowLeft",), "B", "epoch", 14),
    ("Epoch", ("Home",), "wipe", "epoch", 1),
    ("Picture", ("ArrowRight",), "A", "picture", 2),
    ("Class", ("Tab", "Tab", "Space"), "B", "picture_of", "globular"),
    ("A: method", ("Tab", "Space"), "A", "a", "inverse-frequency weights"),
    ("B: method", ("Tab",) * 6 + ("Space",), "B", "b", "balanced sampling"),
    ("Pictures", ("Tab", "Space"), "A", "source", "test images"),
    ("Picture", ("ArrowRight",), "B", "picture", 2),
    ("Map of", ("Tab", "Space"), "wipe", "map_of", "reticular"),
    ("Pictures", ("Tab", "Tab", "Space"), "wipe", "source", "new images"),
    ("B: method", ("Tab", "Tab", "Tab", "Space"), "B", "b", "focal"),
]
BUSY = """() => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code: "import time; time.sleep(600)", silent: true });
  window.ended = false;
  future.done.then(() => { window.ended = true; });
}"""


def press(page, label, *keys):
    """Press keys on a control of the page without waiting for the kernel, which is busy."""
    page.control(label).focus()
    for key in keys:
        page.page.keyboard.press(key)


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(CELL, timeout=400)
    print(f"the cell ran in {page.seconds:.1f} s")
    page.assert_looks_right("microscope")

    for label, keys, panel, setting, value in MOVES:
        before, after = page.move(label, keys, PANELS[panel], f"microscope.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("microscope-moved")
    page.assert_nothing_clipped()
    page.run_in_kernel("microscope.set(source='recorded each epoch', b='logit adjustment')")
    times = page.latency(page.control("Epoch"), ["ArrowRight"] * 8, PANELS["A"])
    print(f"epoch slider: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert page.evaluate_in_kernel("microscope.errors") == []


def test_opacity_wipe_and_outline_do_not_ask_the_kernel(open_cells):
    page = open_cells(CELL, timeout=400)
    page.page.evaluate(BUSY)
    page.page.wait_for_function("!harness.settled()")
    asked = page.sent()

    for name in PANELS:
        before = page.pixels(PANELS[name])
        press(page, "Map opacity", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
        assert changed(before, page.pixels(PANELS[name])).any(axis=0).mean() > 0.5, name
        press(page, "Map opacity", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
        assert not changed(before, page.pixels(PANELS[name])).any(), "back where it was"

    alone = {side: page.pixels(PANELS[side]) for side in "AB"}
    middle = page.pixels(PANELS["wipe"])
    press(page, "Wipe between A and B", "End")
    all_a = page.pixels(PANELS["wipe"])
    press(page, "Wipe between A and B", "Home")
    all_b = page.pixels(PANELS["wipe"])
    # Below the letters A and B in the corners, off the divider, and off the edges, which may lie between two pixels.
    for whole, side in ((all_a, "A"), (all_b, "B")):
        assert not changed(alone[side][30:-4], whole[30:-4])[:, 6:-6].any(), f"the whole map is {side}'s"
    assert changed(all_a, all_b).any(), "the maps differ"
    assert not changed(all_a[30:-4], middle[30:-4])[:, 6:120].any(), "A is on the left"
    assert not changed(all_b[30:-4], middle[30:-4])[:, 136:-6].any(), "B is on the right"
    press(page, "Wipe between A and B", *["PageUp"] * 3)
    assert 5 < page.control("Wipe between A and B").value() < 100

    before = page.pixels(PANELS["A"])
    press(page, "Outline the lesion", "Space")
    outlined = changed(before, page.pixels(PANELS["A"])).any(axis=0)
    assert outlined.any() and not outlined.all()

    assert page.sent() == asked
    assert not page.page.evaluate("window.ended"), "the kernel was busy all the time"
    page.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    page.page.wait_for_function("window.ended")
    # What was set in the page stays where the kernel draws anew.
    hidden = page.page.locator(f"{PANELS['A']} > .careedu-outline")
    control = page.control("Epoch").focus()
    drawn = page.picture_before(PANELS["A"])
    control.press("ArrowLeft")
    page.wait_until_picture_changes(PANELS["A"], drawn)
    assert hidden.evaluate("e => getComputedStyle(e).opacity") == "0"
    page.screenshot("microscope-wiped")
    # The interrupt is an error in the kernel that was asked for; nothing else went wrong.
    page.told = True
    assert all("KeyboardInterrupt" in error for error in page.errors())


def test_the_dose_slider_moves_b_and_the_mark_has_an_outline(open_cells, tmp_path):
    page = open_cells(save_marked_runs(tmp_path / "marked"), timeout=400)
    page.assert_looks_right("microscope-marked")
    assert page.evaluate_in_kernel("(microscope.true_class, microscope.doses)") == ["streaked", list(DOSES)]

    dose = page.control("Dose of B")
    assert dose.value() == "dose 1"
    steps = [("End", 14), ("ArrowLeft", 4), ("Home", 0)]
    for key, expected in steps:
        before, after = page.move("Dose of B", (key,), PANELS["B"], "microscope.settings['dose']")
        assert after == expected, f"{before} became {after}"
        assert dose.value() == (f"dose {expected}" if expected else "none")
    assert page.control("B: method").value() == "no attention"
    page.move("B: method", ("Space",), PANELS["B"], "microscope.settings['dose']")
    assert dose.value() == "other method", "B is none of these arms"
    page.move("Dose of B", ("ArrowRight",), PANELS["B"], "microscope.settings['b']")
    assert page.control("B: method").value() == "no attention" and dose.value() == "none"
    times = page.latency(dose, ["ArrowRight"] * 3 + ["ArrowLeft"] * 3, PANELS["B"])
    print(f"dose slider: {np.median(times):.0f} ms, at most {max(times):.0f} ms")

    # Four pixels of the page are one of the image.
    mark = np.kron(page.evaluate_in_kernel("microscope.tests.marks[microscope.row].int().tolist()"), np.ones((4, 4)))
    edge = (mark[:-1, :-1] != mark[1:, :-1]) | (mark[:-1, :-1] != mark[:-1, 1:])
    shown = {name: page.pixels(PANELS[name]) for name in PANELS}
    press(page, "Outline the lesion and the mark", "Space")
    for name in PANELS:
        drawn = changed(shown[name], page.pixels(PANELS[name]))[:255, :255]
        assert drawn[edge].mean() > 0.9 and 0 < drawn.mean() < 0.25, name
    press(page, "Outline the lesion and the mark", "Space")
    outlines = page.page.locator(f"{PANELS['B']} .careedu-outline svg")
    assert outlines.count() == 3, "lesion, box and mark"
    page.move("Pictures", ("Tab", "Tab", "Space"), PANELS["B"], "microscope.mark_chance")
    assert outlines.count() == 2 and page.page.get_by_text("the whole image", exact=True).count() == 2, "a cast"
    page.move("Class", ("Tab", "Space"), PANELS["B"], "microscope.mark_chance")
    assert page.page.get_by_text("no mark here", exact=True).count() == 2
    page.screenshot_outputs("microscope-cast")
    page.assert_nothing_clipped()
    assert page.evaluate_in_kernel("microscope.errors") == []
