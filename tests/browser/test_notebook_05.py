"""Notebook 05 as a student meets it: every control of the distractor viewer moved by keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from test_distractor_in_jupyterlab import COURSE, MATRIX, PANELS

from careedu.show import DistractorRecord

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def moves(record):
    """Label, keys (from the first button on), picture that must change, setting that must follow, its value."""
    *_, before_last, last = record.epochs
    return [
        ("Image", ("ArrowRight",), PANELS["A"], "image", 2),
        ("Image", ("End",), COURSE, "image", len(record.labels)),
        ("Epoch", ("ArrowLeft",), PANELS["B"], "epoch", before_last),
        ("Epoch", ("Home",), MATRIX, "epoch", 1),
        ("Epoch", ("End",), PANELS["A"], "epoch", last),
        ("Map", ("ArrowRight",), PANELS["A"], "map", "neuron 1"),
        ("Map", ("Home",), PANELS["B"], "map", "true class"),
        ("Margin", ("ArrowRight",), COURSE, "margin", 0.55),
        ("Margin", ("End",), PANELS["A"], "margin", 2.0),
        ("True class", ("Tab", "Tab", "Space"), MATRIX, "true", record.classes[1]),
        ("A predicts", ("Tab", "Space"), MATRIX, "predicted", record.classes[0]),
        ("A: network", ("Tab", "Space"), PANELS["A"], "a", record.names[1]),
        ("B: network", ("Space",), PANELS["B"], "b", record.names[0]),
    ]


def test_every_control_changes_picture_and_state(open_notebook):
    record = DistractorRecord.load("05-phantom-skin/distractors")
    page = open_notebook("05_distractor_loss.ipynb")
    print(f"all cells ran in {page.seconds:.1f} s")
    page.assert_looks_right("05")

    page.run_in_kernel("viewer.task.join()")
    page.settle()
    for label, keys, picture, setting, value in moves(record):
        before, after = page.move(label, keys, picture, f"viewer.settings[{setting!r}]")
        assert after == value, f"{label}: {before} became {after}, not {value}"
    page.screenshot("05-viewer")
    page.assert_nothing_clipped()
    page.run_in_kernel("viewer.set(true='any', predicted='any')")
    for label, key, picture in (("Image", "ArrowRight", PANELS["A"]), ("Epoch", "ArrowLeft", MATRIX)):
        times = page.latency(page.control(label), [key] * 4, picture)
        print(f"{label}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    page.assert_no_errors()
    assert page.evaluate_in_kernel("viewer.errors") == []
