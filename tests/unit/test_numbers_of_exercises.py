"""What the exercises say in numbers is so; the numbers of notebook 02's are tested in test_care_exercises.py."""

from __future__ import annotations

from math import exp, log

import pytest

from careedu.course.exercises import global_attention, imbalance
from careedu.measure import recall_interval


def sigmoid(x):
    return 1 / (1 + exp(-x))


def short(value, digits=2):
    return f"{value:.{digits}f}".removeprefix("0")


def test_the_interval_of_twelve_in_twentythree_is_the_package_s():
    found = recall_interval([True] * 12 + [False] * 11, range(23))
    assert f"reaches from {found.low:.2f} to {found.high:.2f}. " in imbalance.exercise_4.thought


def test_the_predictive_value_that_is_asked_for_is_far_from_certain():
    assert "sensitivity .9, specificity .95 and a prevalence of 1 %" in imbalance.exercise_3.thought
    assert round(100 * imbalance.exercise_3.right(0.9, 0.95, 0.01)) == 15


def test_the_jump_of_a_pixel_is_so():
    praise, start, jump = global_attention.exercise_3.praise, sigmoid(2), 4096 * 0.001
    up, down = sigmoid(2 + jump), sigmoid(2 - jump)
    assert f"= {jump:.1f} in one step: from σ(2) = {short(start)} to {short(up, 3)}, or down to {short(down)}" in praise
    assert "With the division by N it is .001" in praise and pytest.approx(0.001) == 4096 * 0.001 / 4096
    assert log(start / (1 - start)) == pytest.approx(2)


def test_the_logits_of_a_small_map_are_counted():
    assert "from N = 24 · 24 = 576 on" in global_attention.exercise_1.praise and 24 * 24 == 576
