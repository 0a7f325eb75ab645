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


def test_every_control_changes_picture_and_state(open_notebook):
    page = open_notebook("01_imbalance.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    for theme in ("light", "dark"):
        page.set_theme(theme)
        page.screenshot_outputs("01")
        page.assert_nothing_clipped()
    page.set_theme("light")
    page.assert_code_fits()
    page.assert_all_pictures_have_alt_text()

    for label, keys, side, setting in MOVES:
        before = page.evaluate_in_kernel(f"explorer.settings[{setting!r}]")
        control = page.control(label).focus()
        picture = page.picture_before(PICTURE[side])
        control.press(*keys)
        milliseconds = page.wait_until_picture_changes(PICTURE[side], picture)
        after = page.evaluate_in_kernel(f"explorer.settings[{setting!r}]")
        assert after != before, f"{label}: the picture changed, the state did not"
        print(f"{label} {keys[-1]}: {before} → {after}, {milliseconds:.0f} ms")

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
