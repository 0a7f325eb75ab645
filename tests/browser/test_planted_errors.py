"""An error planted into the explorer's callback or training fails the browser test."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOK = """
import careedu
from careedu.show.imbalance import ImbalanceExplorer, ImbalanceView

data = careedu.load("phantom-skin", size=32, largest=40, val=6, test=12, imbalance=4)
explorer = ImbalanceExplorer(careedu.fit(data, "cross-entropy", epochs=1, progress=False), data)
ImbalanceView(explorer)
"""
BROKEN = """
def broken(*arguments):
    raise RuntimeError("planted")

explorer.{what} = broken
"""


@pytest.mark.parametrize(
    ("what", "label", "key"),
    [("class_weights", "Imbalance ratio", "ArrowRight"), ("method", "Train whole networks here", "Enter")],
    ids=["callback", "background training"],
)
def test_planted_errors_are_seen(open_cells, what, label, key):
    page = open_cells(NOTEBOOK)
    page.assert_no_errors()
    page.run_in_kernel(BROKEN.format(what=what))
    page.control(label).focus().press(key)
    page.run_in_kernel("explorer.task and explorer.task.join()")
    with pytest.raises(AssertionError, match="planted"):
        page.assert_no_errors()
    shown = page.page.locator('[role="alert"]').first
    assert "planted" in shown.inner_text(), "the error is shown in place"
