"""Notebook 04 as a student meets it: every control of the embedding explorer moved by keyboard."""

from __future__ import annotations

import pytest
from embedding_moves import SHARES, move_all

from careedu.show import Embeddings

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_every_control_changes_picture_and_state(open_notebook):
    saved = Embeddings.load("04-labels-15-chest/embeddings")
    rare = int((saved.labels == saved.classes.index(saved.data["rare"][0])).sum())
    page = open_notebook("04_contrastive_pretraining.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("04")

    page.run_in_kernel("explorer.task.join()")
    page.settle()
    # All shares of labels have the same pretraining, so its spread stays.
    move_all(page, rare, ("pretrained, then trained with masks", 4), SHARES)
    page.screenshot("04-explorer")
    page.assert_nothing_clipped()
    page.assert_no_errors()
    assert page.evaluate_in_kernel("explorer.errors") == []
