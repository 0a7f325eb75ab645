"""Notebook 06 as a student meets it: every control of the feature explorer moved by keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from test_feature_generation_in_jupyterlab import LOSSES, PANELS, PLANES, RECALLS

from careedu.show import GeneratedFeatures

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def moves(record):
    """Label, keys (from the first button on), picture that must change, setting that must follow, its value."""
    *_, before_last, last = record.epochs
    return [
        ("Generated", ("ArrowRight",), PLANES["A"], "generated", 2),
        ("Generated", ("End",), PANELS["B"], "generated", int((record.made_labels == 2).sum())),
        ("Epoch", ("ArrowLeft",), PLANES["B"], "epoch", before_last),
        ("Epoch", ("Home",), LOSSES, "epoch", 1),
        ("Epoch", ("End",), PLANES["A"], "epoch", last),
        ("Amount", ("ArrowRight",), RECALLS, "amount", 2),
        ("Amount", ("Home",), RECALLS, "amount", 0),
        ("Class", ("Tab", "Space"), PLANES["A"], "generated_of", record.classes[0]),
        ("A: way", ("Tab", "Space"), PLANES["A"], "a", record.names[1]),
        ("B: way", ("Space",), PLANES["B"], "b", record.names[0]),
    ]


def test_every_control_changes_picture_and_state(open_notebook):
    record = GeneratedFeatures.load("06-phantom-brain/generated")
    page = open_notebook("06_feature_generation.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("06")

    page.run_in_kernel("explorer.task.join()")
    page.settle()
    for label, keys, picture, setting, value in moves(record):
        before, after = page.move(label, keys, picture, f"explorer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot("06-explorer")
    page.assert_nothing_clipped()
    for label, key, picture in (("Generated", "ArrowRight", PLANES["A"]), ("Epoch", "ArrowLeft", PLANES["B"])):
        times = page.latency(page.control(label), [key] * 4, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    page.assert_no_errors()
    assert page.evaluate_in_kernel("explorer.errors") == []
