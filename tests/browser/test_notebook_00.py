"""Notebook 00 as a student meets it: the machine answers, and each widget of the tour opens."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_it_runs_and_looks_right_in_both_themes(open_notebook):
    page = open_notebook("00_start_here.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("00")

    page.page.get_by_text("✓ Widgets answer in this browser.").first.wait_for()
    assert page.evaluate_in_kernel("pulse.alive") is True
    names = page.evaluate_in_kernel("list(openers)")
    for name in names:
        page.page.locator(".widget-toggle-button", has_text=name).first.click()
        page.settle()
        assert page.evaluate_in_kernel("choice.value") == name
        page.page.locator(".careedu-widget:visible").first.wait_for()
    assert page.evaluate_in_kernel("list(opened)") == names
    page.screenshot("00-tour")
    page.assert_no_errors()
    assert page.evaluate_in_kernel("recorded_errors()") == []
