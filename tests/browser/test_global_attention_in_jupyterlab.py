"""The spatial explorer in a real JupyterLab: every control by keyboard, and what never asks the kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from notebook_page import changed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MADE_UP = Path(__file__).parents[1] / "unit"
# The comparison has a mean-image arm; the sweep with fewer images has none, and draws the phantoms.
CELLS = (
    f"""
import sys
sys.path.insert(0, {str(MADE_UP)!r})
import careedu
from made_up_maps import AFTER, ARMS, made_up_comparison
from careedu.show.global_attention import SpatialExplorer, SpatialView

comparison = made_up_comparison(worth={{"pixels": 0.5}}, epochs=16, arms=ARMS | AFTER)
chest = careedu.load("phantom-chest", size=32, largest=20, val=3, test=4)
learned = {{arm: kind for arm, kind in ARMS.items() if kind != "mean-image"}}
few = made_up_comparison(3, worth={{"pixels": 0.2}}, arms=learned, data=chest)
loose = made_up_comparison(3, worth={{"pixels": 0.0}}, jitter=0.1)
explorer = SpatialExplorer(comparison, {{(40, 0.02): few, (160, 0.1): loose}})
view = SpatialView(explorer)
view
""",
    """
alone = SpatialExplorer(made_up_comparison(2, data=chest, arms=learned))
SpatialView(alone)
""",
)
ROLES = ("pixels", "principal-components", "free", "permuted", "mean")
PANELS = {name: f'[data-panel="{name}"]' for name in ROLES}
# Label, keys, panel that must change, setting that must follow, its value.
# It opens on maps learned after the network, 16 and 4 epochs long; the sweep has only such as are learned with it.
MOVES = [
    ("Epoch", ("ArrowLeft",), "free", "epoch", 19),
    ("Epoch", ("Home",), "principal-components", "epoch", 1),
    ("Epoch", ("End",), "free", "epoch", 20),
    ("Behind the map", ("Space",), "principal-components", "fill", "black"),
    ("Behind the map", ("Tab", "Space"), "principal-components", "fill", "mean"),
    ("Map learns", ("Space",), "pixels", "order", "together"),
    ("Epoch", ("ArrowLeft",), "pixels", "epoch", 15),
    ("Epoch", ("Home",), "free", "epoch", 1),
    ("Epoch", ("End",), "permuted", "epoch", 16),
    ("Seed", ("ArrowRight", "ArrowRight"), "mean", "seed", 2),
    ("Training images N", ("ArrowLeft",), "pixels", "images", 40),
    ("Training images N", ("ArrowRight",), "mean", "images", 160),
    ("Map learns", ("Tab", "Space"), "pixels", "order", "after"),
    ("Alignment jitter", ("ArrowRight",), "free", "jitter", 0.1),
    ("Epoch", ("ArrowLeft",), "permuted", "epoch", 2),
]


def test_every_control_changes_picture_and_state(open_cells):
    page = open_cells(*CELLS, timeout=400)
    print(f"the cells ran in {page.seconds:.1f} s")
    assert page.evaluate_in_kernel("careedu.__file__").startswith(str(MADE_UP.parents[1]))
    page.assert_looks_right("spatial")

    for label, keys, panel, setting, value in MOVES:
        before, after = page.move(label, keys, PANELS[panel], f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot_outputs("spatial-moved")
    page.assert_nothing_clipped()
    page.run_in_kernel("explorer.set(images=160, jitter=0.02); explorer.set(epoch=2)")
    times = page.latency(page.control("Epoch"), ["ArrowRight"] * 8, PANELS["pixels"])
    print(f"epoch slider: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert page.evaluate_in_kernel("explorer.errors + alone.errors") == []
    # Without a sweep the two are there, say why they cannot be moved, and cannot be.
    for label in ("Training images N", "Alignment jitter"):
        assert page.control(label, 1).element.evaluate("e => !!e.querySelector('[disabled], .noUi-target[disabled]')")
    assert page.page.get_by_text("cannot be changed: they were given without a sweep").count() == 1


def test_opacity_and_outline_do_not_ask_the_kernel(open_cells):
    page = open_cells(*CELLS, timeout=400)
    page.run_in_kernel("explorer.set(order='together')")  # of which there are all maps
    page.settle()
    asked = page.sent()
    for name in PANELS:
        before = page.pixels(PANELS[name])
        page.control("Map opacity").focus().press(*["ArrowRight"] * 8)
        assert changed(before, page.pixels(PANELS[name])).mean() > 0.2, name
        page.control("Map opacity").press(*["ArrowLeft"] * 8)
        assert not changed(before, page.pixels(PANELS[name])).any(), "back where it was"

    with_outline = {name: page.pixels(PANELS[name]) for name in PANELS}
    page.control("Outline the lesion zones").focus().press("Space")
    for name, before in with_outline.items():
        gone = changed(before, page.pixels(PANELS[name]))
        assert 0 < gone.mean() < 0.2, name
    assert page.sent() == asked

    # What was set in the page stays where the kernel draws anew.
    hidden = page.page.locator(f"{PANELS['pixels']} > .careedu-outline").first
    control = page.control("Epoch").focus()
    drawn = page.picture_before(PANELS["pixels"])
    control.press("ArrowLeft")
    page.wait_until_picture_changes(PANELS["pixels"], drawn)
    assert hidden.evaluate("e => getComputedStyle(e).opacity") == "0"
