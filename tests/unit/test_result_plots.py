"""The pictures of confusion and of a sweep state their numbers in words, and refuse what they cannot draw."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from made_up_runs import made_up_runs
from matplotlib.figure import Figure
from PIL import Image

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment.results import Results
from careedu.show.result_plots import MOST_MATRICES, plot_confusion, plot_sweep
from careedu.show.style import Picture


@pytest.fixture(scope="module")
def results():
    return Results(made_up_runs(("cross-entropy", "focal"), seeds=3))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, to be looked into."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or save(self, *a, **k))
    return figures


def test_each_field_of_a_matrix_holds_the_mean_count_and_the_words_its_share(results, drawn):
    picture = plot_confusion(results)
    assert "mean over 3 seeds" in picture.alt and picture.width <= 960
    for axis, (name, by_seed) in zip(drawn[0].axes, results.runs.items(), strict=True):
        matrix = np.mean([run.confusion() for run in by_seed.values()], axis=0)
        assert [text.get_text() for text in axis.texts] == [f"{n:.1f}" for n in matrix.ravel()]
        assert axis.get_title(loc="left") == name
        share = matrix / matrix.sum(axis=1, keepdims=True)
        said = picture.alt.split(f"{name}: ")[1].split(". ")[0].split("; ")
        for c, (label, words) in enumerate(zip(results.classes, said, strict=True)):
            assert words.startswith(f"of {label} {share[c, c]:.0%} found")
            wrong = np.where(np.arange(len(share)) == c, -1, share[c])
            assert f"{wrong.max():.0%} taken for {results.classes[wrong.argmax()]}" in words or wrong.max() < 0.005


def test_a_matrix_is_shaded_by_the_share_of_its_row(results, drawn):
    plot_confusion(results, ["focal"])
    matrix = np.mean([run.confusion() for run in results.runs["focal"].values()], axis=0)
    [mesh] = drawn[0].axes[0].collections
    assert np.asarray(mesh.get_array()).ravel() == pytest.approx((matrix / matrix.sum(axis=1, keepdims=True)).ravel())
    assert mesh.get_clim() == (0, 1) and mesh.get_cmap().name == "cividis"


@pytest.mark.filterwarnings("error")  # matplotlib warns where it finds no room
@pytest.mark.parametrize("name", ["cross-entropy", "class-balanced(weighting=inverse) under some other name"])
@pytest.mark.parametrize("classes", [("a", "b", "c"), ("a rather long name", "another one, longer than that", "c")])
def test_names_of_any_length_have_room_in_a_matrix(results, name, classes):
    run = results.first
    data = {**run.configuration["data"], "classes": list(classes), "rare": ["c"]}
    run = replace(run, configuration={**run.configuration, "data": data})
    picture = plot_confusion(Results({f"{n} {name}": {0: run} for n in range(3)}))
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("L"))
    assert all((edge == 255).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))


def test_matrices_that_cannot_be_drawn_are_refused(results):
    for methods in ([], ["focal"] * (MOST_MATRICES + 1)):
        with pytest.raises(InvalidInputError, match="one to 6 methods"):
            plot_confusion(results, methods)
    with pytest.raises(UnknownNameError, match="focal"):
        plot_confusion(results, ["fokal"])


def test_the_words_state_every_mean(results):
    other = Results({"cross-entropy": results.runs["focal"], "focal": results.runs["cross-entropy"]})
    picture = plot_sweep({0.0: results, 0.25: other}, "jitter", ["balanced accuracy"])
    assert picture.png.startswith(b"\x89PNG")
    first, second = (np.mean(results.values_per_seed(m, "balanced accuracy")) for m in results.methods)
    assert f"balanced accuracy of cross-entropy at 0: {first:.2f}, 0.25: {second:.2f}" in picture.alt
    assert f"balanced accuracy of focal at 0: {second:.2f}, 0.25: {first:.2f}" in picture.alt
    assert "over 3 seeds along jitter" in picture.alt


def test_a_sweep_can_show_what_is_measured_of_each_run(results):
    shown = {"seed": lambda run: float(run.configuration["seed"] == 0)}
    picture = plot_sweep({0.0: results, 0.25: results}, "jitter", shown)
    assert f"seed of {results.methods[0]} at 0: {1 / len(results.seeds):.2f}, 0.25: " in picture.alt
    with pytest.raises(InvalidInputError, match="single runs has no intervals"):
        plot_sweep({0.0: results, 0.25: results}, "jitter", shown, intervals=True)


def bars_of(axis):
    """Ends of the upright lines of a panel."""
    ends = [line.get_ydata() for line in axis.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    return sorted(tuple(np.round(np.asarray(end, dtype=float), 6)) for end in ends)


def test_a_sweep_can_show_what_is_measured_of_results(results):
    def how_often_they_agree(at):
        return {} if at is nothing else {m: at.estimate(m, "macro F1") for m in at.methods}

    nothing = Results(results.runs)
    picture = plot_sweep({0.0: results, 0.25: nothing}, "jitter", [how_often_they_agree])
    first = results.methods[0]
    mean = results.estimate(first, "macro F1").estimate
    assert f"how often they agree of {first} at 0: {mean:.2f}, 0.25: nan" in picture.alt


def test_intervals_are_drawn_where_they_are_asked_for(results, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "of_figure", lambda fig, alt: drawn.append((fig, alt)))
    for intervals in (False, True):
        plot_sweep({0.0: results, 1.0: results}, "jitter", ["balanced accuracy", "rare recall"], intervals=intervals)
    (without, _), (with_bars, alt) = drawn
    assert not any(bars_of(axis) for axis in without.axes) and "95 % intervals" in alt
    for axis, metric in zip(with_bars.axes, ("balanced accuracy", "rare recall"), strict=True):
        found = [results.estimate(m, metric) for m in results.methods] * 2
        assert bars_of(axis) == sorted((round(one.low, 6), round(one.high, 6)) for one in found)


def test_what_is_no_sweep_is_refused(results):
    with pytest.raises(InvalidInputError, match="two values and a metric"):
        plot_sweep({0.0: results}, "jitter")
    with pytest.raises(InvalidInputError, match="two values and a metric"):
        plot_sweep({0.0: results, 1.0: results}, "jitter", [])
    with pytest.raises(InvalidInputError, match="jitter=1 has the methods focal"):
        plot_sweep({0.0: results, 1.0: Results({"focal": results.runs["focal"]})}, "jitter")


def test_seaborn_touches_neither_numpys_random_numbers_nor_pyplot(results):
    import matplotlib.pyplot as plt

    settings = dict(plt.rcParams)
    before = np.random.get_state()  # noqa: NPY002 - the state that is not to change
    first = plot_confusion(results).png, plot_sweep({0.0: results, 1.0: results}, "jitter").png
    assert (plot_confusion(results).png, plot_sweep({0.0: results, 1.0: results}, "jitter").png) == first
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1]) and before[2:] == after[2:]
    assert plt.get_fignums() == [] and dict(plt.rcParams) == settings
