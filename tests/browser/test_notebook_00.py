"""Notebook 00 as a student meets it."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_it_runs_and_looks_right_in_both_themes(open_notebook):
    page = open_notebook("00_start_here.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("00")
