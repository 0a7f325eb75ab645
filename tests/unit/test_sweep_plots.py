"""The picture of a sweep states its means in words, and refuses what is no sweep."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_runs import made_up_runs

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.show.comparison_plots import values_per_seed
from careedu.show.sweep_plots import plot_sweep


@pytest.fixture(scope="module")
def results():
    return Results(made_up_runs(("cross-entropy", "focal"), seeds=3))


def test_the_words_state_every_mean(results):
    other = Results({"cross-entropy": results.runs["focal"], "focal": results.runs["cross-entropy"]})
    picture = plot_sweep({0.0: results, 0.25: other}, "jitter", ["balanced accuracy"])
    assert picture.png.startswith(b"\x89PNG")
    first, second = (np.mean(values_per_seed(results, m, "balanced accuracy")) for m in results.methods)
    assert f"balanced accuracy of cross-entropy at 0: {first:.2f}, 0.25: {second:.2f}" in picture.alt
    assert f"balanced accuracy of focal at 0: {second:.2f}, 0.25: {first:.2f}" in picture.alt
    assert "over 3 seeds along jitter" in picture.alt


def test_what_is_no_sweep_is_refused(results):
    with pytest.raises(InvalidInputError, match="two values and a metric"):
        plot_sweep({0.0: results}, "jitter")
    with pytest.raises(InvalidInputError, match="two values and a metric"):
        plot_sweep({0.0: results, 1.0: results}, "jitter", [])
    with pytest.raises(InvalidInputError, match="jitter=1 has the methods focal"):
        plot_sweep({0.0: results, 1.0: Results({"focal": results.runs["focal"]})}, "jitter")
