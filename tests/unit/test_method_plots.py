"""Pictures that set methods side by side say what they show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError
from careedu.show.method_plots import plot_methods, plot_prevalence, positive_predictive_value

DATA = thinned(made_up_splits(), 2, 12)


@pytest.fixture(scope="module")
def runs():
    references = {"nearest": careedu.NearestNeighbour(), "size": careedu.LesionSize()}
    return {name: careedu.fit(DATA, method) for name, method in references.items()}


def test_every_run_and_class_is_in_picture_and_words(runs):
    picture = plot_methods(runs)
    assert picture.png.startswith(b"\x89PNG")
    for name, run in runs.items():
        recalls = ", ".join(f"{label} {r:.2f}" for label, r in zip(run.classes, run.recall(), strict=True))
        assert f"{name}: {recalls}" in picture.alt
    assert plot_methods(runs).png == picture.png
    assert plot_methods(runs, reference="size").png != picture.png, "the dotted line moves"


def test_runs_that_cannot_be_set_side_by_side_are_refused(runs):
    with pytest.raises(InvalidInputError, match="no run"):
        plot_methods({})
    with pytest.raises(InvalidInputError, match="'naive' is none of the runs"):
        plot_methods(runs, reference="naive")


@given(*[st.floats(0.01, 0.99)] * 3)
def test_positive_predictive_value_is_bayes_rule_by_counting(sensitivity, specificity, prevalence):
    patients = 1_000_000
    ill = patients * prevalence
    found, alarms = ill * sensitivity, (patients - ill) * (1 - specificity)
    assert positive_predictive_value(sensitivity, specificity, prevalence) == pytest.approx(found / (found + alarms))


def test_a_test_that_never_alarms_has_no_predictive_value():
    assert positive_predictive_value(0.0, 1.0, 0.1) != positive_predictive_value(0.0, 1.0, 0.1)  # NaN


def test_precision_falls_with_the_prevalence(runs):
    alt = plot_prevalence(runs).alt
    values = [float(part.split("precision ")[1][:4]) for part in alt.split(";") if part.strip().startswith("nearest")]
    assert len(values) == 2  # the first stands behind the opening sentence
    assert values[0] > values[1]
