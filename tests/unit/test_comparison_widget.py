"""The comparison explorer without a screen: it shows the comparison's own numbers, and says what it cannot show."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError, MissingDataError, UnknownNameError
from careedu.show.compare import Comparison
from careedu.show.comparison.explorer import GROUPS, PAGE, ComparisonExplorer
from careedu.show.comparison.view import ComparisonView
from careedu.show.widget import SIDES

DATA = thinned(made_up_splits(), 2, 12)
SEEDS = 6


@pytest.fixture(scope="module")
def comparison():
    """Three methods, six seeds; each first seed is a trained network with maps, of which the first keeps weights."""
    trained = careedu.fit(DATA, "cross-entropy", epochs=3, progress=False)
    other = careedu.fit(DATA, "logit-adjusted", epochs=2, progress=False)
    labels, runs = trained.labels, {}
    for number, (name, base) in enumerate({"plain": trained, "adjusted": other, "random": other}.items()):
        runs[name] = {0: base if name == "plain" else replace(base, weights=None)}
        for seed in range(1, SEEDS):
            generator = np.random.default_rng([number, seed])
            p = generator.dirichlet([1, 1, 1], len(labels))
            p[np.arange(len(labels)), labels] += 0.4 * number * generator.random(len(labels))
            p /= p.sum(axis=1, keepdims=True)
            # Saved results keep of other seeds nothing, or an attention map that is the same for all images.
            kept = {"attention map": np.zeros((1, 32, 32), dtype=np.uint16)} if name == "plain" else {}
            runs[name][seed] = replace(base, probabilities=p, traces=kept, weights=None)
    return Comparison(runs, data=DATA)


@pytest.fixture
def explorer(comparison):
    explorer = ComparisonExplorer(comparison)
    explorer.load_images()
    return explorer


@pytest.fixture
def saved(comparison, tmp_path):
    """The same as it comes from the disk: no images, and a recipe that nobody can follow."""
    comparison.save(tmp_path / "saved", weights=["plain"])
    return Comparison.load(tmp_path / "saved")


def absent(monkeypatch, error):
    def data(self):
        raise error

    monkeypatch.setattr(Comparison, "data", property(data))


def texts(view):
    """All mark-up that the view shows."""
    drawn = [part.value for name, part in view.parts.items() if name != "pictures"]
    return [*drawn, *(picture["title"] + picture["notes"] for picture in view.parts["pictures"].value)]


def layers(view):
    """Kinds and contents of the layers under A."""
    return [(layer["kind"], layer["content"]) for layer in view.parts["pictures"].value[0]["layers"]]


def test_it_opens_on_the_reference_and_another_method(explorer):
    assert (explorer.settings["a"], explorer.settings["b"]) == ("plain", "adjusted")
    assert ComparisonExplorer(explorer.results, "random").settings["b"] == "plain"
    with pytest.raises(UnknownNameError, match="adjusted"):
        ComparisonExplorer(explorer.results, "ajusted")


def test_metrics_are_those_of_the_comparison(explorer):
    results = explorer.results
    assert [row.label for row in explorer.compared] == ["dim", "middling", "bright (rare)", "balanced accuracy"]
    for row in explorer.compared:
        assert row.a == results.estimate("plain", row.metric) and row.b == results.estimate("adjusted", row.metric)
        assert row.difference == results.differences(row.metric)["adjusted"], "adjusted over the whole family"
        assert row.difference.effect == pytest.approx(row.b.estimate - row.a.estimate)
    chosen = next(row for row in explorer.compared if row.metric == explorer.settings["metric"])
    assert explorer.seed_differences.mean() == pytest.approx(chosen.difference.effect)
    assert explorer.adjusted_over == 2


def test_swapped_sides_swap_the_sign(explorer):
    before = explorer.compared
    explorer.set(a="adjusted", b="plain")
    for old, new in zip(before, explorer.compared, strict=True):
        d, e = old.difference, new.difference
        assert (e.effect, e.low, e.high, e.adjusted_p) == (-d.effect, -d.high, -d.low, d.adjusted_p)
        swapped = {"better": "worse", "worse": "better"}
        assert e.verdict == swapped.get(d.verdict, d.verdict)


def test_a_pair_without_the_reference_stands_for_itself(explorer):
    explorer.set(a="adjusted", b="random")
    assert explorer.adjusted_over == 1
    for row in explorer.compared:
        assert row.difference == explorer.results.difference("random", "adjusted", row.metric)
    explorer.set(b="adjusted")
    assert all(
        row.difference.effect == 0 and row.difference.verdict == "no difference shown" for row in explorer.compared
    )


def test_confusion_is_the_mean_over_seeds(explorer):
    for side in SIDES:
        runs = explorer.results.runs[explorer.method(side)].values()
        np.testing.assert_allclose(explorer.confusions[side], sum(run.confusion() for run in runs) / SEEDS)
        assert explorer.confusions[side].sum(axis=1).tolist() == DATA.test.counts.tolist()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_groups_are_what_their_names_say(comparison, data):
    explorer = ComparisonExplorer(comparison)
    a, b = (data.draw(st.sampled_from(comparison.methods)) for _ in SIDES)
    metric = data.draw(st.sampled_from(list(explorer.metrics)))
    explorer.set(a=a, b=b, metric=metric)
    right = {}
    for side, name in (("A", a), ("B", b)):
        votes = [run.probabilities.argmax(axis=1) == run.labels for run in comparison.runs[name].values()]
        right[side] = np.sum(votes, axis=0) * 2 > SEEDS
    about = comparison.labels == 2 if metric == "recall of bright" else np.ones(60, dtype=bool)
    if metric in ("recall of dim", "recall of middling"):
        about = comparison.labels == (0 if metric == "recall of dim" else 1)
    for group in GROUPS[:4]:
        explorer.set(group=group)
        wanted = {"A": group in ("only A right", "both right"), "B": group in ("only B right", "both right")}
        expected = np.flatnonzero((right["A"] == wanted["A"]) & (right["B"] == wanted["B"]) & about)
        assert sorted(explorer.members.tolist()) == expected.tolist()
        gap = np.abs(explorer.seeds_right(a) - explorer.seeds_right(b))[explorer.members]
        assert (np.diff(gap) <= 0).all(), "those that differ most come first"
    assert sum(explorer.group_sizes[group] for group in GROUPS[:4]) == about.sum()


def test_recorded_images_show_each_epoch(explorer):
    explorer.set(group="recorded each epoch", metric="balanced accuracy")
    run = explorer.run("A")
    assert sorted(explorer.members.tolist()) == sorted(run.probes.tolist()) and explorer.epochs == 3
    for epoch in (1, 2, 3):
        explorer.set(epoch=epoch)
        p = run.probes.tolist().index(explorer.row)
        a, b = explorer.seen["A"], explorer.seen["B"]
        np.testing.assert_allclose(a.map, run.traces["probe maps"][epoch - 1, p] / 255)
        np.testing.assert_allclose(a.probabilities, run.traces["probe probabilities"][epoch - 1, p])
        np.testing.assert_array_equal(a.course[epoch - 1], a.probabilities)
        assert a.probability == a.probabilities[run.labels[explorer.row]]
        assert (a.epoch, b.epoch) == (epoch, min(epoch, 2)), "the shorter training stays at its end"
    row = explorer.row
    explorer.set(seed=3)
    assert explorer.row == row and explorer.seen["A"].course is None, "the image stays, nothing was recorded of it"


def test_other_images_have_the_map_of_the_saved_network_or_say_why_not(explorer):
    recorded = set(explorer.run("A").probes.tolist())
    explorer.set(metric="balanced accuracy", group="both wrong")
    place = next(n for n, row in enumerate(explorer.members, 1) if row not in recorded)
    explorer.set(picture=place)
    a, b = explorer.seen["A"], explorer.seen["B"]
    rows = slice(explorer.row, explorer.row + 1)
    expected = explorer.run("A").class_maps(DATA.test.images[rows], DATA.test.labels[rows])[0]
    np.testing.assert_allclose(a.map, expected, atol=1e-6)
    assert a.course is None and a.about == "map of the trained network"
    assert b.map is None and 'maps only of images "recorded each epoch", seed 0' in b.about
    explorer.set(seed=3)
    assert explorer.seen["A"].map is None and "seed 0" in explorer.seen["A"].about
    np.testing.assert_array_equal(explorer.seen["A"].probabilities, explorer.run("A").probabilities[explorer.row])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": "plane"}, UnknownNameError, "plain"),
        ({"metric": "recall of dimm"}, UnknownNameError, "recall of dim"),
        ({"group": "A right"}, UnknownNameError, "only A right"),
        ({"seed": 7}, UnknownNameError, "Known: 0, 1"),
        ({"picture": 0}, InvalidInputError, "picture=0"),
        ({"picture_of": "dimm"}, UnknownNameError, "dim"),
        ({"epoch": 0}, InvalidInputError, "epoch=0"),
        ({"opacity": 1}, InvalidInputError, "no setting"),
        ({"page": 2}, InvalidInputError, "group"),
    ],
)
def test_settings_that_cannot_be_are_named(explorer, change, error, words):
    before = dict(explorer.settings)
    with pytest.raises(error, match=words):
        explorer.set(**change)
    assert explorer.settings == before


def test_places_beyond_the_end_are_the_last(explorer):
    explorer.set(metric="balanced accuracy", group="both wrong", picture=10_000, epoch=10_000)
    assert explorer.settings["picture"] == len(explorer.members) and explorer.settings["epoch"] == 3
    assert explorer.row == explorer.members[-1] and explorer.row in explorer.page and len(explorer.page) <= PAGE
    explorer.set(b="random")
    assert explorer.settings["picture"] == 1, "another pair begins with its first image"


def test_every_control_changes_what_is_shown(explorer):
    view = ComparisonView(explorer)
    explorer.set(metric="balanced accuracy", group="recorded each epoch", epoch=1)
    moves = {
        "b": ("random", "overview"),
        "a": ("adjusted", "confusion A"),
        "metric": ("recall of dim", "seeds"),
        "picture": (2, "strip"),
        "epoch": (2, "course"),
        "group": ("both wrong", "heading"),
        "picture_of": ("middling", "pictures"),
        "seed": (4, "pictures"),
    }
    for setting, (value, part) in moves.items():
        before = view.parts[part].value
        view.controls[setting].value = value
        assert view.parts[part].value != before, f"{setting} changed nothing in {part}"
        assert explorer.settings[setting] == value
    assert explorer.errors == [] and moves.keys() == view.controls.keys()


def test_controls_follow_the_state(explorer):
    view = ComparisonView(explorer)
    explorer.set(a="random", b="plain", metric="balanced accuracy", group="both wrong", picture=4, seed=2)
    explorer.set(picture=2)
    shown = {name: control.value for name, control in view.controls.items()}
    assert shown == explorer.settings
    assert explorer.settings["picture"] == 2 and view.controls["picture"].max == len(explorer.members)


def test_an_empty_group_is_told(explorer):
    view = ComparisonView(explorer)
    explorer.set(b=explorer.settings["a"], group="only A right")
    assert explorer.row is None and explorer.seen == {}
    assert "No test image is in this group" in view.parts["strip"].value and view.parts["pictures"].value == []
    assert view.controls["picture"].disabled and view.controls["epoch"].disabled


def test_pictures_say_in_words_what_they_show(explorer):
    view = ComparisonView(explorer)
    for row in explorer.compared:
        assert f"{row.label}: A {row.a}, B {row.b}" in view.parts["overview"].value
        assert row.difference.verdict in view.parts["overview"].value
    assert [picture["name"] for picture in view.parts["pictures"].value] == list(SIDES)
    for side, picture in zip(SIDES, view.parts["pictures"].value, strict=True):
        assert picture["alt"].startswith(f"{side}, {explorer.method(side)}: image {explorer.picture_id}")
        assert f"true class {explorer.true_class}" in picture["alt"] and explorer.seen[side].about in picture["alt"]
    for text in texts(view):
        for tag in re.findall(r"<svg[^>]*>|<div role=.img.[^>]*>", text):
            assert "aria-label" in tag or "aria-hidden" in tag
    assert all(control.description for control in view.controls.values())


def test_few_seeds_are_told(comparison):
    few = Comparison({name: {s: by[s] for s in range(5)} for name, by in comparison.runs.items()}, data=DATA)
    explorer = ComparisonExplorer(few)
    assert {row.difference.verdict for row in explorer.compared} == {"too few seeds"}
    assert "? too few seeds" in ComparisonView(explorer).parts["overview"].value


@pytest.mark.parametrize("error", [MissingDataError("no brain here"), InvalidInputError("no brain here")])
def test_without_images_the_rest_is_shown_and_a_sentence_in_their_place(saved, monkeypatch, error):
    absent(monkeypatch, error)
    view = ComparisonView(ComparisonExplorer(saved))
    state = view.state
    state.task.join(60)
    assert state.errors == [] and view.message.value == ""
    assert "images cannot be shown: no brain here" in view.parts["strip"].value.lower()
    assert layers(view) == [("words", "image not on this machine"), ("map", ""), ("outline", "")]
    state.set(metric="balanced accuracy", group="recorded each epoch")
    before = layers(view)[1]
    assert before[1], "maps were recorded, so they are shown without the image"
    state.set(epoch=1)
    assert layers(view)[1] != before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_another_error_of_loading_is_recorded_and_shown(saved, monkeypatch):
    absent(monkeypatch, RuntimeError("the disk is on fire"))
    view = ComparisonView(ComparisonExplorer(saved))
    view.state.task.join(60)
    assert len(view.state.errors) == 1 and "on fire" in view.message.value


def test_outdated_runs_are_told(comparison, monkeypatch):
    view = ComparisonView(ComparisonExplorer(comparison))
    view.state.task.join(60)
    assert view.parts["outdated"].value == ""
    monkeypatch.setattr(Comparison, "outdated", lambda self: ["plain is at revision 2"])
    view = ComparisonView(ComparisonExplorer(comparison))
    view.state.task.join(60)
    assert "older than the code: plain is at revision 2" in view.parts["outdated"].value


def test_names_cannot_break_out_of_the_page(comparison):
    evil = "<img src=x onerror=alert(1)>\"'"
    renamed = Comparison({evil: comparison.runs["plain"], "b": comparison.runs["random"]}, data=DATA)
    view = ComparisonView(ComparisonExplorer(renamed))
    view.state.task.join(60)
    assert all("<img src=x" not in text for text in texts(view))
