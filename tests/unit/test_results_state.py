"""What all states over results share: a picture is chosen by its class, and epochs are the supervised ones."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from made_up_runs import CLASSES, made_up_run, made_up_runs

import careedu.show
from careedu.errors import MissingDataError
from careedu.experiment.results import Results
from careedu.show.care import AttentionMicroscope
from careedu.show.comparison import ComparisonExplorer
from careedu.show.results_state import ALL, RECORDED

STATES = {"care": "microscope", "comparison": "explorer", "global_attention": "explorer", "imbalance": "explorer"}
MAPS = "global_attention.maps"
PROBES = np.array([0, 7, 30, 31, 50, 55])


def longer(run, epochs, kept=None):
    """The run with so many supervised epochs, of which the last `kept` were recorded of six images."""
    chance, kept = np.random.default_rng(epochs), epochs if kept is None else kept
    traces = {
        "probe maps": chance.integers(0, 256, (kept, len(PROBES), 4, 4), dtype=np.uint8),
        "probe probabilities": chance.dirichlet([1, 1, 1], (kept, len(PROBES))).astype(np.float32),
    }
    history = pandas.DataFrame({"stage": "features", "epoch": np.arange(1, epochs + 1)})
    return replace(run, traces=traces, probes=PROBES, history=history)


def results(a=(5, None), b=(3, None)):
    runs = made_up_runs(seeds=2)
    first, second = (longer(made_up_run(name), *of) for name, of in zip(runs, (a, b), strict=True))
    other = {name: replace(by[1], traces={}) for name, by in runs.items()}
    return Results({name: {0: run, 1: other[name]} for name, run in zip(runs, (first, second), strict=True)})


@pytest.fixture(params=[AttentionMicroscope, ComparisonExplorer], ids=["microscope", "explorer"])
def state(request):
    state = request.param(results())
    state.set(**{"source" if request.param is AttentionMicroscope else "group": RECORDED})
    return state


def test_a_picture_is_chosen_by_its_class(state):
    for number, name in enumerate(CLASSES):
        state.set(picture_of=name)
        assert state.settings["picture"] == 1, "another class begins with its first picture"
        assert sorted(state.members) == [row for row in PROBES if state.results.labels[row] == number]
        for picture in (1, 2, 99):
            state.set(picture=picture)
            assert state.true_class == name and state.label == number
            assert state.row == state.members[state.settings["picture"] - 1]
            assert state.picture_id == state.results.first.ids[state.row]
            assert all(seen.label == number for seen in state.seen.values())
        assert state.settings["picture"] == len(state.members), "beyond the end is the last"
    state.set(picture_of=ALL)
    assert sorted(state.members) == PROBES.tolist()


def test_a_class_without_pictures_is_told(state):
    few = results()
    for by_seed in few.runs.values():
        by_seed[0].probes = PROBES[:4]
        by_seed[0].traces = {name: trace[:, :4] for name, trace in by_seed[0].traces.items()}
    state = type(state)(few)
    state.set(**{"source" if "source" in state.settings else "group": RECORDED, "picture_of": CLASSES[2]})
    assert state.row is None and state.true_class == "" and state.seen == {} and len(state.members) == 0
    state.set(picture_of=CLASSES[0])
    assert state.true_class == CLASSES[0]


def test_both_sides_stand_at_the_same_supervised_epoch(state):
    state.set(picture_of=CLASSES[2])
    assert state.epochs == 5
    for epoch, (a, b) in {1: (1, 1), 3: (3, 3), 4: (4, 3), 99: (5, 3)}.items():
        state.set(epoch=epoch)
        assert (state.seen["A"].epoch, state.seen["B"].epoch) == (a, b), "the shorter training stays at its end"
        for side, at in (("A", a), ("B", b)):
            run, p = state.run(side), PROBES.tolist().index(state.row)
            np.testing.assert_allclose(state.seen[side].probabilities, run.traces["probe probabilities"][at - 1, p])
            assert state.seen[side].about == f"map after epoch {at} of {len(run.history)}"


def test_epochs_are_those_of_the_history_where_only_the_last_were_recorded(state):
    late = type(state)(results(a=(5, 2)))
    late.set(**{"source" if "source" in late.settings else "group": RECORDED, "picture_of": CLASSES[1]})
    trace, p = late.run("A").traces["probe probabilities"], PROBES.tolist().index(late.row)
    for epoch, at in {5: 1, 4: 0, 2: 0}.items():
        late.set(epoch=epoch)
        np.testing.assert_allclose(late.seen["A"].probabilities, trace[at, p])


def test_images_are_loaded_only_when_asked_for(state, monkeypatch):
    asked = []

    def data(self):
        asked.append(1)
        raise MissingDataError("fetch them")

    monkeypatch.setattr(Results, "data", property(data))
    state.set(picture_of=CLASSES[0], epoch=2)
    assert not asked and state.missing == "" and state.wants_images
    state.load_images()
    assert asked and "fetch them" in state.missing and not state.wants_images and state.tests is None
    assert state.seen["A"].map is not None, "what was recorded needs no image"


@pytest.mark.parametrize("name", ["widget", "results_state", *(f"{of}.{state}" for of, state in STATES.items()), MAPS])
def test_a_state_takes_no_number_from_what_draws(name):
    """Neither at the top of its file nor in a function: what is shown follows from the state, not the other way."""
    path = Path(careedu.show.__file__).parent.joinpath(*name.split(".")).with_suffix(".py")
    taken = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            taken |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            taken |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    draws = re.compile(r"plots?$|drawings?$|style$|picture$|view$|^ipywidgets|^matplotlib|^seaborn")
    assert len(taken) > 3 and not [module for module in taken if draws.search(module)]
