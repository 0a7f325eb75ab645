"""The attention microscope in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

from __future__ import annotations

import io

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Without it JupyterLab would ask which kernel to take.
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
CELL = """
import careedu
from careedu.show.attention_widget import AttentionMicroscope, AttentionView

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
    ("Picture", ("ArrowRight",), "A", "picture", 1),
    ("A: method", ("Tab", "Space"), "A", "a", "inverse-frequency weights"),
    ("B: method", ("Tab",) * 6 + ("Space",), "B", "b", "balanced sampling"),
    ("Pictures", ("Tab", "Space"), "A", "source", "test images"),
    ("Picture", ("ArrowRight",), "B", "picture", 1),
    ("Map of", ("Tab", "Tab", "Space"), "wipe", "map_of", "globular"),
    ("Pictures", ("Tab", "Tab", "Space"), "wipe", "source", "new images"),
    ("B: method", ("Tab", "Tab", "Tab", "Space"), "B", "b", "focal"),
]
COUNT = """() => {
  window.sent = [];
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  kernel.anyMessage.connect((_, { msg, direction }) => {
    if (direction === "send") window.sent.push(msg.header.msg_type);
  });
}"""
BUSY = """() => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code: "import time; time.sleep(600)", silent: true });
  window.ended = false;
  future.done.then(() => { window.ended = true; });
}"""


@pytest.fixture
def open_widget(open_notebook, tmp_path):
    def opened(*more_cells):
        cells = [new_code_cell(text.strip()) for text in (CELL, *more_cells)]
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), tmp_path / "microscope.ipynb")
        return open_notebook(tmp_path / "microscope.ipynb", timeout=400)

    return opened


def pixels(page, name):
    """What a panel looks like, uint8 (H, W, 3)."""
    from PIL import Image

    shot = page.page.locator(PANELS[name]).first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def changed(before, after):
    """Which columns of a panel look other than before, bool (W,)."""
    return (np.abs(before - after).max(axis=2) > 8).any(axis=0)


def press(page, label, *keys):
    """Press keys on a control of the page without waiting for the kernel, which is busy."""
    page.control(label).focus()
    for key in keys:
        page.page.keyboard.press(key)


def test_every_control_changes_picture_and_state(open_widget):
    page = open_widget()
    print(f"the cell ran in {page.seconds:.1f} s")
    for theme in ("light", "dark"):
        page.set_theme(theme)
        page.screenshot_outputs("microscope")
        page.assert_nothing_clipped()
    page.set_theme("light")
    page.assert_all_pictures_have_alt_text()

    for label, keys, panel, setting, value in MOVES:
        before, after = page.move(label, keys, PANELS[panel], f"microscope.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("microscope-moved")
    page.assert_nothing_clipped()
    page.run_in_kernel("microscope.set(source='recorded each epoch', b='logit adjustment')")
    times = page.latency(page.control("Epoch"), ["ArrowRight"] * 8, PANELS["A"])
    print(f"epoch slider: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert page.evaluate_in_kernel("microscope.errors") == []


def test_opacity_wipe_and_outline_do_not_ask_the_kernel(open_widget):
    page = open_widget()
    page.page.evaluate(COUNT)
    page.page.evaluate(BUSY)
    page.page.wait_for_function("!harness.settled()")
    asked = page.page.evaluate("window.sent.length")

    for name in PANELS:
        before = pixels(page, name)
        press(page, "Map opacity", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
        assert changed(before, pixels(page, name)).mean() > 0.5, name
        press(page, "Map opacity", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
        assert not changed(before, pixels(page, name)).any(), "back where it was"

    alone = {side: pixels(page, side) for side in "AB"}
    middle = pixels(page, "wipe")
    press(page, "Wipe between A and B", "End")
    all_a = pixels(page, "wipe")
    press(page, "Wipe between A and B", "Home")
    all_b = pixels(page, "wipe")
    # Below the letters A and B in the corners, off the divider, and off the edges, which may lie between two pixels.
    for whole, side in ((all_a, "A"), (all_b, "B")):
        assert not changed(alone[side][30:-4], whole[30:-4])[6:-6].any(), f"the whole map is {side}'s"
    assert changed(all_a, all_b).any(), "the maps differ"
    assert not changed(all_a[30:-4], middle[30:-4])[6:120].any(), "A is on the left"
    assert not changed(all_b[30:-4], middle[30:-4])[136:-6].any(), "B is on the right"
    press(page, "Wipe between A and B", *["PageUp"] * 3)
    assert 5 < page.control("Wipe between A and B").value() < 100

    before = pixels(page, "A")
    press(page, "Outline the lesion", "Space")
    outlined = changed(before, pixels(page, "A"))
    assert outlined.any() and not outlined.all()

    assert page.page.evaluate("window.sent.length") == asked, page.page.evaluate("window.sent")
    assert not page.page.evaluate("window.ended"), "the kernel was busy all the time"
    page.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    page.page.wait_for_function("window.ended")
    # What was set in the page stays where the kernel draws anew.
    hidden = page.page.locator(f'{PANELS["A"]} > div[style*="--careedu-outline"]')
    control = page.control("Epoch").focus()
    drawn = page.picture_before(PANELS["A"])
    control.press("ArrowLeft")
    page.wait_until_picture_changes(PANELS["A"], drawn)
    assert hidden.evaluate("e => getComputedStyle(e).opacity") == "0"
    page.screenshot("microscope-wiped")
    # The interrupt is an error in the kernel that was asked for; nothing else went wrong.
    page.told = True
    assert all("KeyboardInterrupt" in error for error in page.errors())
