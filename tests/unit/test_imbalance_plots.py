"""The picture of precision over recall says what it shows, with the precision and recall of scikit-learn."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError
from careedu.measure.precision import average_precision_interval, positive_predictive_value_interval
from careedu.show.imbalance.plots import plot_prevalence

DATA = thinned(made_up_splits(), 2, 12)


@pytest.fixture(scope="module")
def runs():
    references = {"nearest": careedu.NearestNeighbour(), "size": careedu.LesionSize()}
    return {name: careedu.fit(DATA, method) for name, method in references.items()}


def in_words(alt, name, prevalence):
    """What the alternative text says of one run at one prevalence."""
    return re.search(rf"{name} at prevalence {prevalence}: (.*?)(;|\.$)", alt).group(1)


def test_precision_falls_with_the_prevalence(runs):
    alt = plot_prevalence(runs).alt
    said = [in_words(alt, "nearest", prevalence) for prevalence in ("30 %", "10 %", "1 %")]
    values = [float(re.search(r"precision (\S+)", words).group(1)) for words in said]
    assert values[0] > values[1] > values[2]


def test_the_words_state_each_interval_at_the_networks_own_decision(runs):
    alt = plot_prevalence(runs, prevalences=(0.005,)).alt
    for name, run in runs.items():
        truth, called = run.labels == 2, run.probabilities.argmax(axis=1) == 2
        expected = (
            f"recall {run.recall_intervals()[2]}, "
            f"precision {positive_predictive_value_interval(called, truth, run.groups, 0.005)}, "
            f"average precision {average_precision_interval(run.probabilities[:, 2], truth, run.groups, 0.005)}"
        )
        assert in_words(alt, name, "0.5 %") == expected


def test_the_curve_has_the_precision_and_recall_of_sklearn_and_a_band_around(monkeypatch, runs):
    from matplotlib.axes import Axes
    from sklearn.metrics import precision_recall_curve

    drawn, bands = [], []
    step, fill = Axes.step, Axes.fill_between
    monkeypatch.setattr(Axes, "step", lambda self, x, y, **k: drawn.append((x, y)) or step(self, x, y, **k))
    monkeypatch.setattr(
        Axes, "fill_between", lambda self, x, y1, y2, **k: bands.append((y1, y2)) or fill(self, x, y1, y2, **k)
    )
    noise = np.random.default_rng(0).dirichlet([1, 1, 1], size=len(DATA.test))
    run = replace(runs["nearest"], probabilities=0.5 * runs["nearest"].probabilities + 0.5 * noise)
    plot_prevalence({"noisy": run}, prevalences=(0.1,))
    truth = run.labels == 2
    weight = np.where(truth, 0.1 / truth.sum(), 0.9 / (~truth).sum())
    precision, recall, _ = precision_recall_curve(truth, run.probabilities[:, 2], sample_weight=weight)
    best = {round(r, 9): max(precision[:-1][np.isclose(recall[:-1], r)]) for r in recall[:-1] if r > 0}
    ((x, y),) = drawn
    assert {round(r, 9): p for r, p in zip(x[1:], y[1:], strict=True)} == pytest.approx(best)
    ((low, high),) = bands
    assert (low <= y).all() and (y <= high).all() and (low < high).all()
    area = average_precision_interval(run.probabilities[:, 2], truth, run.groups, 0.1).estimate
    assert float(np.diff(x) @ y[1:]) == pytest.approx(area), "the steps enclose the average precision"


def test_a_precision_that_cannot_be_drawn_is_refused(runs):
    for given, prevalences, words in [
        ({}, (0.1,), "one run or more"),
        (runs, (), "one to 7"),
        (runs, [0.1] * 8, "one to 7"),
        (runs, (0.0,), r"prevalence=0.0 must be a number in \(0, 1\)"),
        ({"none": replace(runs["size"], labels=runs["size"].labels * 0)}, (0.1,), "none: precision needs test images"),
    ]:
        with pytest.raises(InvalidInputError, match=words):
            plot_prevalence(given, prevalences)
