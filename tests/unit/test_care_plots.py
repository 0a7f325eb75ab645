"""The curve of the dose tells each mean with its interval, and refuses results without doses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_runs import made_up_run

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.methods.care import alpha_of_dose
from careedu.show.result_plots import plot_doses


def care(dose, seed):
    run = made_up_run("care", seed=seed, per_class=(30, 20, 10))
    method = run.configuration["method"]
    options = method["options"] | {"alpha": alpha_of_dose(dose), "averaging": "batch", "form": "inside-outside"}
    about = {"name": "care", "label": "CARE", "options": options, "revision": "9"}
    return replace(run, configuration=run.configuration | {"method": about})


def results(*doses, first=0):
    return Results({f"at {dose}": {seed: care(dose, seed) for seed in (first, first + 1)} for dose in doses})


def test_each_dose_is_told_with_its_interval():
    some, others = results(4, 0, 1), results(0, 16, first=5)
    picture = plot_doses({"with": (some, "rare recall"), "without": (others, "balanced accuracy")})
    assert picture.png.startswith(b"\x89PNG")
    for dose in (0, 1, 4):
        assert f"{dose:g}: {some.estimate(f'at {dose}', 'rare recall')}" in picture.alt
    assert f"16: {others.estimate('at 16', 'balanced accuracy')}" in picture.alt
    assert picture.alt.index("with, rare recall, at dose 0") < picture.alt.index(
        "without, balanced accuracy, at dose 0"
    )
    assert plot_doses({"with": (some, "rare recall")}).png != picture.png


def test_results_without_doses_and_no_curve_are_refused():
    with pytest.raises(InvalidInputError, match="lonely: these results have no two arms"):
        plot_doses({"lonely": (results(1), "rare recall")})
    with pytest.raises(InvalidInputError, match="from 1 to 7 curves"):
        plot_doses({})
