"""Pictures of a comparison state the numbers of its table, and the verdicts beside them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned
from matplotlib.axes import Axes
from metric_by_name import metric_value
from PIL import Image

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment.results import Results
from careedu.measure.metrics import METRICS
from careedu.show.comparison_plots import SIGNS, plot_comparison, plot_differences, plot_methods
from careedu.show.style import PIXEL_RATIO

DATA = thinned(made_up_splits(), 2, 12)
BASE = careedu.fit(DATA, careedu.NearestNeighbour())


def results(strengths, seeds=8, rare=None, reference=None):
    """Methods that lean towards the true class with the given strengths."""
    labels = BASE.labels
    configuration = BASE.configuration
    if rare is not None:
        configuration = {**configuration, "data": {**configuration["data"], "rare": list(rare)}}
    runs = {}
    for number, (name, strength) in enumerate(strengths.items()):
        runs[name] = {}
        for seed in range(seeds):
            generator = np.random.default_rng([number, seed])
            p = generator.dirichlet([1, 1, 1], len(labels))
            p[np.arange(len(labels)), labels] += strength * generator.random(len(labels))
            p /= p.sum(axis=1, keepdims=True)
            runs[name][seed] = replace(BASE, probabilities=p, configuration=configuration)
    return Results(runs, reference=reference)


THREE = results({"plain": 0.2, "strong": 3.0, "weak": -0.2})


def test_the_words_state_the_table():
    alt = plot_comparison(THREE).alt
    for name in THREE.methods:
        for metric in ("recall of dim", "recall of bright", "balanced accuracy"):
            e = THREE.estimate(name, metric)
            assert f"{e.estimate:.2f} ({e.low:.2f} to {e.high:.2f})" in alt
    assert THREE.differences("balanced accuracy")["strong"].verdict == "better"
    assert "plain (reference)" in alt and alt.count(", better") == 2, "balanced accuracy and the rare class"


def test_only_the_methods_asked_for_are_drawn_and_judged_as_in_the_whole_family():
    some = plot_comparison(THREE, ["weak", "plain"])
    assert "strong" not in some.alt and some.alt.index("weak") < some.alt.index("plain (reference)")
    verdict = THREE.differences("balanced accuracy")["weak"].verdict
    assert f"{verdict};" in some.alt


@pytest.mark.parametrize(("rare", "panels"), [(["bright"], 4), (["middling", "bright"], 5)])
def test_several_rare_classes_get_a_panel_of_their_mean(rare, panels):
    alt = plot_comparison(results({"plain": 0.2, "strong": 3.0}, rare=rare)).alt
    assert alt.count(" to ") == 2 * panels
    assert ("rare recall (mean)" in alt) == (len(rare) > 1)


def test_few_seeds_give_no_verdict():
    few = results({"plain": 0.2, "strong": 3.0}, seeds=5)
    assert "too few seeds" in plot_comparison(few).alt and "better" not in plot_comparison(few).alt
    assert "too few seeds" in plot_differences(few).alt


def test_one_method_and_one_seed_can_be_drawn():
    assert "plain (reference)" in plot_comparison(results({"plain": 0.2}, seeds=1)).alt


def test_pictures_fit_and_have_the_same_bits_each_time():
    many = results({f"a method with a rather long name {n}": 0.2 * n for n in range(11)})
    for picture in (plot_comparison(many), plot_differences(many, "balanced accuracy")):
        with Image.open(io.BytesIO(picture.png)) as image:
            assert picture.width <= 960 and image.width == PIXEL_RATIO * picture.width
    assert plot_comparison(THREE).png == plot_comparison(THREE).png
    assert plot_differences(THREE).png == plot_differences(THREE).png


def test_a_tick_below_each_row_is_one_seed(monkeypatch):
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or save(self, *a, **k))
    plot_comparison(THREE)
    plot_differences(THREE, "balanced accuracy")
    metrics = [*(f"recall of {c}" for c in THREE.classes), "balanced accuracy"]
    for axis, metric in zip(figures[0].axes, metrics, strict=True):
        strips = [c for c in axis.collections if hasattr(c, "get_positions")]
        for row, (strip, name) in enumerate(zip(strips, THREE.methods, strict=True)):
            assert sorted(strip.get_positions()) == pytest.approx(sorted(THREE.values_per_seed(name, metric)))
            assert row < strip.get_lineoffset() < row + 0.5
    strips = [c for c in figures[1].axes[0].collections if hasattr(c, "get_positions")]
    base = THREE.values_per_seed("plain", "balanced accuracy")
    for strip, name in zip(strips, ("strong", "weak"), strict=True):
        expected = THREE.values_per_seed(name, "balanced accuracy") - base
        assert sorted(strip.get_positions()) == pytest.approx(sorted(expected))


@pytest.mark.filterwarnings("error")
def test_a_class_without_test_images_leaves_its_panel_empty(monkeypatch):
    titles, name = [], Axes.set_title
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **k: titles.append(text) or name(self, text, **k))
    keep = BASE.labels != 1
    parts = {name: getattr(BASE, name)[keep] for name in ("probabilities", "labels", "groups", "ids")}
    short = replace(BASE, **parts)
    alt = plot_comparison(Results({"a": {0: short}, "b": {0: short}})).alt
    assert "middling no test images" in alt and "nan" not in alt
    assert "balanced accuracy (of 2 of 3 classes) 0." in alt and "(of" not in plot_comparison(THREE).alt
    assert titles[BASE.classes.index("middling")].replace("\n", " ") == "middling: no test images"


def test_the_reference_moves_line_and_signs():
    other = results({"plain": 0.2, "strong": 3.0, "weak": -0.2}, reference="strong")
    assert plot_comparison(other).png != plot_comparison(THREE).png
    assert "strong (reference)" in plot_comparison(other).alt and ", worse" in plot_comparison(other).alt


def test_differences_are_those_of_the_results():
    alt = plot_differences(THREE, "recall of bright", reference="weak").alt
    for name, d in THREE.differences("recall of bright", "weak").items():
        assert f"{name} {d.effect:+.2f} ({d.low:+.2f} to {d.high:+.2f}), {d.verdict}" in alt
        assert f"could be shown {d.smallest:.2f}" in alt


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InvalidInputError, match="different methods"):
        plot_comparison(THREE, ["plain", "plain"])
    with pytest.raises(InvalidInputError, match="different methods"):
        plot_comparison(THREE, [])
    with pytest.raises(UnknownNameError, match="plain"):
        plot_comparison(THREE, ["plane"])
    with pytest.raises(UnknownNameError, match="rare recall"):
        plot_differences(THREE, "rare recal")
    with pytest.raises(InvalidInputError, match="no method to compare"):
        plot_differences(results({"plain": 0.2}))


def test_signs_differ_without_colour():
    assert len(set(SIGNS.values())) == len(SIGNS)


@settings(max_examples=20, deadline=None)
@given(metric=st.sampled_from([*METRICS, "recall of dim", "recall of bright"]), name=st.sampled_from(THREE.methods))
def test_the_dots_are_the_metrics_of_single_runs(metric, name):
    found = THREE.values_per_seed(name, metric)
    for value, run in zip(found, THREE.runs[name].values(), strict=True):
        if metric in METRICS:
            expected = metric_value(metric, run.probabilities, run.labels, THREE.rare_indices)
        else:
            expected = run.recall()[THREE.classes.index(metric.removeprefix("recall of "))]
        assert value == pytest.approx(expected, abs=1e-6)


# Runs side by side


@pytest.fixture(scope="module")
def runs():
    return {"nearest": BASE, "size": careedu.fit(DATA, careedu.LesionSize())}


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
