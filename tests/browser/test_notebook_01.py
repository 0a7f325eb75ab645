"""Notebook 01 as a student meets it: every control of the imbalance explorer moved by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURE = {side: f'svg[aria-label^="Method {side}"]' for side in "AB"}
# Label, keys (from the focused control on), side whose picture must change, and the setting that must follow.
MOVES = [
    ("A: weighting", ("Tab", "Space"), "A", "A_weighting"),
    ("A: weighting", ("Tab", "Tab", "Space"), "A", "A_weighting"),
    ("A: 1/(1−β)", ("ArrowLeft",), "A", "A_beta"),
    ("B: weighting", ("Tab", "Tab", "Tab", "Space"), "B", "B_weighting"),
    ("B: τ", ("ArrowRight",), "B", "B_tau"),
    ("Imbalance ratio", ("ArrowRight",), "A", "imbalance"),
    ("Rare images", ("ArrowLeft",), "B", "rare_images"),
    ("A: prior shift", ("ArrowRight",), "A", "A_prior_shift"),
    ("B: prior shift", ("ArrowRight",), "B", "B_prior_shift"),
]
# The same for the widget of the saved runs: label, keys, picture, setting.
METRICS, COURSE = 'svg[aria-label^="Metrics of A"]', 'svg[aria-label^="Probability of"]'
COMPARISON_MOVES = [
    ("A: method", ("Tab", "Space"), METRICS, "a"),
    ("B: method", ("Tab", "Tab", "Space"), METRICS, "b"),
    ("Metric", ("Tab", "Tab", "Tab", "Space"), 'svg[aria-label^="Seed by seed"]', "metric"),
    ("Pictures", ("Tab", "Tab", "Tab", "Tab", "Space"), '[data-panel="A"]', "group"),
    ("Picture", ("ArrowRight",), '[data-panel="B"]', "picture"),
    ("Class", ("Tab", "Space"), '[data-panel="A"]', "picture_of"),
    ("Epoch", ("ArrowLeft",), COURSE, "epoch"),
    ("Seed", ("Tab", "Space"), '[data-panel="B"]', "seed"),
]


def test_every_control_changes_picture_and_state(open_notebook):
    page = open_notebook("01_imbalance.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("01")

    for label, keys, side, setting in MOVES:
        page.move(label, keys, PICTURE[side], f"explorer.settings[{setting!r}]")

    # Whole networks, trained beside the notebook: the marks appear, and stop stops.
    picture = page.picture_before(PICTURE["B"])
    page.control("Train whole networks here").focus().press("Enter")
    page.wait_until_picture_changes(PICTURE["B"], picture, timeout=90)
    page.run_in_kernel("explorer.task.join()")
    assert page.evaluate_in_kernel("explorer.sides['B'].trained is not None")
    page.control("Train whole networks here").focus().press("Enter")
    page.control("Stop").focus().press("Enter")
    page.run_in_kernel("explorer.task.join()")
    assert page.evaluate_in_kernel("explorer.task.stopped")
    page.screenshot("01-explorer")

    # The saved runs, any two of them.
    for label, keys, picture, setting in COMPARISON_MOVES:
        page.move(label, keys, picture, f"view.state.settings[{setting!r}]")
    page.run_in_kernel("view.state.set(seed=view.state.results.seeds[0])")  # of other seeds no map was kept
    page.move_in_page("Map opacity", ("ArrowRight", "ArrowRight"), '[data-panel="B"]')
    page.move_in_page("Outline the lesion", ("Space",), '[data-panel="A"]')
    page.assert_nothing_clipped()
    page.screenshot("01-comparison")
