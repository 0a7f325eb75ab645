"""Notebook 00 as a student meets it."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_it_runs_and_looks_right_in_both_themes(open_notebook):
    page = open_notebook("00_start_here.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    for theme in ("light", "dark"):
        page.set_theme(theme)
        page.screenshot_outputs("00")
        page.assert_nothing_clipped()
    page.assert_all_pictures_have_alt_text()
    page.assert_code_fits()
