"""Results in one small folder: what is read is what was written, whole or not at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import made_up_run, made_up_runs, mark_every_third
from small_grid import DATA, OPTIONS, Own

from careedu.errors import CheckpointError, InvalidInputError, StorageError
from careedu.experiment import saved_results
from careedu.experiment.results import Results
from careedu.experiment.run import Run
from careedu.experiment.saved_checks import check_run
from careedu.experiment.saved_folder import FORMAT
from careedu.experiment.saved_results import _with_largest, _without_largest, join_common, split_common
from careedu.files import tensor_names
from careedu.show.compare import Comparison, compare


def same_table(first: Results, second: Results) -> bool:
    pandas.testing.assert_frame_equal(first.table(), second.table(), check_exact=True)
    return True


def mixed(**options) -> Results:
    """Trained methods with different losses, a reference without network, a method of one's own; names of all kinds."""
    runs = made_up_runs(("cross-entropy", "focal", "мой / método"), weights=True, **options)
    seeds = list(runs["focal"])
    runs["nächster Nachbar"] = {s: made_up_run("nearest-neighbour", s, trained=False) for s in seeds}
    return Results(runs, reference="focal", provenance={"of": "tests", "größe": [1, 2.5, None]})


def test_what_is_read_is_what_was_written(tmp_path):
    results = mixed()
    folder = results.save(tmp_path / "a folder" / "ergebnisse")
    back = Results.load(folder)
    assert (back.methods, back.seeds, back.reference) == (results.methods, results.seeds, "focal")
    assert back.provenance == results.provenance
    assert same_table(results, back)
    for name, by_seed in results.runs.items():
        for seed, run in by_seed.items():
            read = back.runs[name][seed]
            assert read.configuration == run.configuration
            for array in ("labels", "groups", "ids", "validation_labels", "probes"):
                np.testing.assert_array_equal(getattr(read, array), getattr(run, array))
                assert getattr(read, array).dtype.kind == getattr(run, array).dtype.kind
            np.testing.assert_array_equal(read.probabilities, run.probabilities.astype(np.float32))
            assert read.probabilities.dtype == read.validation_probabilities.dtype == np.float64
            half = run.validation_probabilities.astype(np.float16)
            np.testing.assert_array_equal(read.validation_probabilities, half)
            pandas.testing.assert_frame_equal(read.history, run.history, rtol=1e-5)
            assert read.seconds == run.seconds
            assert read.weights is None
            if seed > 0:
                assert read.traces == {}
                continue
            assert read.traces.keys() == run.traces.keys()
            for trace, array in run.traces.items():
                assert read.traces[trace].dtype == array.dtype
                np.testing.assert_allclose(read.traces[trace], array, atol=1e-3)


@settings(deadline=None)
@given(scale=st.sampled_from([0, 1, 20, 200]), classes=st.integers(2, 9), seed=st.integers(0, 99))
def test_no_bit_of_probabilities_is_lost_without_their_largest(scale, classes, seed):
    """Ties, certainty, and rows that add up to 1 as nearly as single precision has it."""
    scores = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 40, classes)).astype(np.float32))
    before = torch.softmax(scale * scores, dim=-1).numpy()
    parts = _without_largest(before)
    assert _with_largest(**parts).tobytes() == before.tobytes()
    assert parts["others"].shape == (3, 40, classes - 1) and np.abs(parts["missed"]).max() < 16


def test_nothing_changes_when_it_is_saved_again(tmp_path):
    mixed().save(tmp_path / "first", weights="focal")
    Results.load(tmp_path / "first").save(tmp_path / "second", weights="focal")
    first, second = content(tmp_path / "first"), content(tmp_path / "second")
    assert sorted(first) == ["arrays", "results", "weights-1"]
    texts = [json.loads(files.pop("results")) for files in (first, second)]
    assert first == second
    assert [text.pop("files").keys() for text in texts] == [first.keys()] * 2
    assert texts[0].pop("digest") != texts[1].pop("digest"), "the files of tensors have names of their own"
    assert texts[0] == texts[1]
    # Also in its own place.
    Results.load(tmp_path / "first").save(tmp_path / "first")
    assert content(tmp_path / "first").keys() == {"arrays", "results"}
    assert content(tmp_path / "first")["arrays"] == first["arrays"]


def content(folder):
    """What each file holds, by its name without what is drawn at random."""
    return {re.sub(r"(-[0-9a-f]{16})?\..*", "", path.name): path.read_bytes() for path in folder.iterdir()}


def test_losses_that_a_stage_did_not_have_are_nan_and_numbers(tmp_path):
    read = Results.load(mixed(seeds=1).save(tmp_path / "r")).runs["focal"][0].history
    assert np.isnan(read["loss: classification"][0])
    assert read["rare recall"].isna().all()
    assert read["rare recall"].dtype == read["loss: classification"].dtype == np.float64
    assert "loss: of focal alone" in read
    assert "loss: of cross-entropy alone" not in read
    assert read["epoch"].tolist() == [1, 2, 3]


def test_a_reference_without_network_has_no_history_no_probes_and_no_traces(tmp_path):
    read = Results.load(mixed(seeds=1).save(tmp_path / "r")).runs["nächster Nachbar"][0]
    assert read.history.empty
    assert read.traces == {}
    assert read.probes.shape == (0,)
    assert Results.load(tmp_path / "r").runs["focal"][0].probes.tolist() == [0, 30]


def test_runs_with_different_probes_keep_their_own(tmp_path):
    runs = made_up_runs(seeds=1)
    runs["focal"][0].probes, runs["focal"][0].traces = np.array([1, 2, 3]), {}
    back = Results.load(Results(runs).save(tmp_path / "r"))
    assert [back.runs[name][0].probes.tolist() for name in back.methods] == [[0, 30], [1, 2, 3]]


def test_weights_of_chosen_methods_come_back_in_half_precision(tmp_path):
    results = mixed()
    results.save(tmp_path / "r", weights=["focal", "мой / método"])
    back = Results.load(tmp_path / "r")
    for name in back.methods:
        for seed, run in back.runs[name].items():
            if seed == 0 and name in ("focal", "мой / método"):
                assert run.weights["head.weight"].dtype == torch.float32
                assert torch.equal(run.weights["head.weight"], results.runs[name][0].weights["head.weight"])
                assert torch.equal(run.weights["steps"], torch.tensor(0))
            else:
                assert run.weights is None


def test_which_test_images_carry_a_mark_comes_back(tmp_path):
    results = Results(mark_every_third(mixed(seeds=2).runs))
    back = Results.load(results.save(tmp_path / "r"))
    np.testing.assert_array_equal(back.marked, results.marked)
    assert back.marked.dtype == bool
    for name in results.methods:
        pandas.testing.assert_frame_equal(back.recalls_by_mark(name), results.recalls_by_mark(name), check_exact=True)
    run = Run.load(results.first.save(tmp_path / "run"))
    np.testing.assert_array_equal(run.marked, results.marked)


def test_without_marks_files_are_what_they_were(tmp_path):
    results = mixed(seeds=1)
    for folder in (results.save(tmp_path / "r"), results.first.save(tmp_path / "run")):
        assert "marked" not in tensor_names(next(folder.glob("arrays-*")))
        assert "mark" not in next(folder.glob("*.json")).read_text()
    assert Results.load(tmp_path / "r").marked is None
    assert Run.load(tmp_path / "run").marked is None


@pytest.mark.parametrize("wrong", [np.zeros(59, dtype=bool), np.zeros(60), np.zeros((60, 1), dtype=bool)])
def test_marks_of_other_images_are_not_saved_and_not_opened(wrong, tmp_path):
    results = mixed(seeds=1)
    results.first.marked = wrong
    for thing in (results, results.first):
        with pytest.raises(InvalidInputError, match="nobody could open it: what says which test images carry a mark"):
            thing.save(tmp_path / "r")
    with pytest.raises(ValueError, match="one truth value an image"):
        check_run(results.first)


# Writing


def test_a_foreign_folder_is_refused_and_nothing_is_written(tmp_path):
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "cat.png").write_bytes(b"cat")
    for target in (foreign, foreign / "cat.png"):
        with pytest.raises(InvalidInputError, match=r"holds no saved results \((cat.png|a file)\); choose another"):
            mixed(seeds=1).save(target)
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "cat.png"]
    assert (foreign / "cat.png").read_bytes() == b"cat"


def test_older_results_are_replaced_whole(tmp_path):
    mixed(seeds=2).save(tmp_path / "r", weights="focal")
    Results(made_up_runs(("ldam",), seeds=1)).save(tmp_path / "r")
    assert sorted(content(tmp_path / "r")) == ["arrays", "results"]
    assert Results.load(tmp_path / "r").methods == ("ldam",)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_what_cannot_be_saved_leaves_the_older_results(tmp_path, monkeypatch):
    results = mixed(seeds=1)
    results.save(tmp_path / "r")
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    with pytest.raises(InvalidInputError, match="holds no weights"):
        results.save(tmp_path / "r", weights=["nächster Nachbar"])
    for wrong in (np.zeros(2), float("nan")):
        with pytest.raises(InvalidInputError, match="provenance must hold"):
            Results(results.runs, provenance={"x": wrong}).save(tmp_path / "r")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("careedu.files.os.fsync", full)
    for name in ("r", "new"):
        with pytest.raises(StorageError, match=r"cannot be written.*No space.*make room"):
            results.save(tmp_path / name)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


# Reading


def test_what_is_not_there_is_said_with_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_results, "shipped", lambda what: tmp_path / "shipped" / what)
    with pytest.raises(CheckpointError, match=r"no saved results in 'nothing'.*with careedu come: none"):
        Results.load("nothing")
    mixed(seeds=1).save(tmp_path / "shipped" / "runs" / "01-made-up")
    with pytest.raises(CheckpointError, match="with careedu come: 01-made-up"):
        Results.load("nothing")
    assert Comparison.load("01-made-up").seeds == (0,)
    with pytest.raises(CheckpointError, match="no saved results"):
        Results.load("../runs/01-made-up")


def cut(path, n=7):
    path.write_bytes(path.read_bytes()[:-n])


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGES = {
    "text cut": lambda folder: cut(folder / "results.json"),
    "text empty": lambda folder: (folder / "results.json").write_bytes(b""),
    "text no text": lambda folder: (folder / "results.json").write_bytes(b"\xff\xfe"),
    "text a list": lambda folder: (folder / "results.json").write_text("[]"),
    "text null": lambda folder: (folder / "results.json").write_text("null"),
    "no runs": lambda folder: change(folder / "results.json", runs=[]),
    "runs no mapping": lambda folder: change(folder / "results.json", runs=[1, 2, 3, 4]),
    "newer": lambda folder: change(folder / "results.json", format=FORMAT + 1),
    "a method more": lambda folder: change(
        folder / "results.json",
        methods=["a", "b"],
        runs=json.loads((folder / "results.json").read_text())["runs"] * 2,
    ),
    "arrays cut": lambda folder: cut(next(folder.glob("arrays-*"))),
    "arrays missing": lambda folder: next(folder.glob("arrays-*")).unlink(),
    "weights cut": lambda folder: cut(next(folder.glob("weights-0-*"))),
    "weights missing": lambda folder: next(folder.glob("weights-0-*")).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_named(damage, tmp_path):
    Results(made_up_runs(("focal",), seeds=2, weights=True)).save(tmp_path / "r", weights="focal")
    DAMAGES[damage](tmp_path / "r")
    with pytest.raises(CheckpointError, match=r"(/r\b.*(damaged|newer careedu)|no file.*/r/)"):
        Results.load(tmp_path / "r")


def test_results_of_an_older_revision_open_and_say_so(tmp_path):
    runs = made_up_runs(seeds=1)
    for by_seed in runs.values():
        by_seed[0].configuration["revision"] = 0
    Results(runs).save(tmp_path / "r")
    back = Comparison.load(tmp_path / "r")
    assert back.outdated() == ["the training loop is at revision 1, these runs were made with revision 0"]


@pytest.mark.alone
def test_a_hundred_runs_open_within_a_second_and_take_little_room(tmp_path):
    runs = made_up_runs([f"my method {k}" for k in range(10)], seeds=10, per_class=(200, 100, 100), weights=True)
    Results(runs).save(tmp_path / "r", weights=list(runs))
    started = time.process_time()
    opened = Comparison.load(tmp_path / "r")
    assert time.process_time() - started < 1
    assert sum(len(by_seed) for by_seed in opened.runs.values()) == 100
    assert sum(path.stat().st_size for path in (tmp_path / "r").iterdir()) < 1e6


# What configurations have in common

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 0.5]) | st.sampled_from(["", "a", "ü"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=4))
def test_configurations_come_back_to_the_last_type(configurations):
    common, own = split_common(configurations)
    joined = [join_common(common, mine) for mine in own]
    written = [json.dumps(configuration, sort_keys=True) for configuration in configurations]
    assert [json.dumps(configuration, sort_keys=True) for configuration in joined] == written


def test_what_all_share_is_written_once():
    common, own = split_common([{"a": 1, "b": {"c": 1, "d": k}} for k in range(3)])
    assert common == {"a": 1, "b": {"c": 1}}
    assert own == [{"b": {"d": k}} for k in range(3)]


# The whole way


def test_trained_runs_and_references_from_compare_to_load(tmp_path):
    methods = {"网络": "classifier-retraining", "nearest": "nearest-neighbour", "mine": Own()}
    comparison = compare(DATA, methods, seeds=2, reference="mine", store=tmp_path / "store", **OPTIONS)
    comparison.save(tmp_path / "r", weights=["mine"])
    back = Comparison.load(tmp_path / "r")
    assert isinstance(back, Comparison)
    assert same_table(comparison, back)
    assert same_table(back, Comparison.load(tmp_path / "r"))
    assert set(back.table().xs("verdict", axis=1, level=1).loc["网络"]) == {"too few seeds"}
    assert back.outdated() == []
    assert back.runs["网络"][0].configuration == comparison.runs["网络"][0].configuration
    # From the store, the same table.
    assert same_table(
        comparison, compare(DATA, methods, seeds=2, reference="mine", store=tmp_path / "store", **OPTIONS)
    )


def test_compare_refuses_an_unknown_reference_before_training(tmp_path):
    with pytest.raises(InvalidInputError, match="reference='y'"):
        compare(DATA, {"x": "focal"}, seeds=1, reference="y", store=tmp_path / "s", **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_results_with_weights_open_without_torch(tmp_path):
    Results(made_up_runs(("focal",), seeds=2, weights=True)).save(tmp_path / "r", weights="focal")
    code = (
        "import sys, careedu\n"
        "results = careedu.Comparison.load(sys.argv[1])\n"
        "run = results.first\n"
        "assert run.weights is not None and len(run.weights) and 'head.weight' in set(run.weights)\n"
        "assert 'torch' not in sys.modules, 'opening results is to be quick'\n"
        "run.weights['head.weight']\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], check=True, timeout=120)
