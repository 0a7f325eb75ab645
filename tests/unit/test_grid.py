"""Methods × seeds: paired, found again, gone on with, the same bits however many run at a time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_grid import DATA, OPTIONS, Failing, Own, finished, same_bits, same_runs

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment import configuration, grid
from careedu.experiment.configuration import Settings, configure, run_key
from careedu.experiment.fit import fit
from careedu.experiment.grid import name_methods, seeds_of, torch_threads, train_grid
from careedu.experiment.store import RunStore
from careedu.files import read_tensors, write_tensors
from careedu.methods.imbalance import ClassBalanced, CrossEntropy, Focal
from careedu.methods.references import NearestNeighbour

METHODS = ["cross-entropy", ClassBalanced(beta=0.9)]


@pytest.fixture(scope="module")
def undisturbed():
    """What every way to train these must give."""
    return train_grid(DATA, METHODS, seeds=2, **OPTIONS)


# What is asked for


@given(st.integers(1, 30), st.sets(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_number_of_seeds_or_the_seeds_themselves(n, some):
    assert seeds_of(n) == tuple(range(n)) == seeds_of(np.int64(n))
    assert seeds_of(list(some)) == tuple(some) == seeds_of(np.array(list(some)))


@pytest.mark.parametrize("seeds", [0, -1, True, 2.5, [], [1, 1], [-1], [0.5], ["1"], "12", None, [True, 2]])
def test_seeds_that_cannot_be_are_refused(seeds):
    with pytest.raises(InvalidInputError, match="seeds="):
        seeds_of(seeds)


def test_methods_are_named_by_label_or_by_mapping():
    named = name_methods(["focal", Focal(gamma=1.0), Own()])
    assert list(named) == ["focal", "focal (gamma=1.0)", "my own"]
    assert list(name_methods({"β": "focal", "zwei": Focal()})) == ["β", "zwei"]
    assert name_methods("focal") == {"focal": Focal()} == name_methods(Focal())


@pytest.mark.parametrize(
    ("methods", "error", "words"),
    [
        ([], InvalidInputError, "no method"),
        ({}, InvalidInputError, "no method"),
        (["focal", Focal()], InvalidInputError, "two methods are called 'focal'"),
        (["focl"], UnknownNameError, "Did you mean 'focal'"),
        ([3], InvalidInputError, "method must be"),
        ({3: "focal"}, InvalidInputError, "name must be"),
        ({"": "focal"}, InvalidInputError, "name must be"),
    ],
)
def test_methods_that_cannot_be_are_named(methods, error, words):
    with pytest.raises(error, match=words):
        name_methods(methods)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": 0}, "threads=0"),
        ({"threads": True}, "threads=True"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"n_jobs": 1.5}, "n_jobs=1.5"),
        ({"n_jobs": None}, "n_jobs=None"),
        ({"seeds": 0}, "seeds=0"),
        ({"checkpoint": "x"}, "checkpoint= is set by compare"),
        ({"seed": 1}, "seed= is set by compare"),
        ({"shared_stages": "x"}, "shared_stages="),
        ({"on_epoch": print}, "on_epoch="),
        ({"epohcs": 3}, "Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_what_cannot_be_is_refused_before_any_training_and_nothing_is_written(options, words, tmp_path):
    with pytest.raises(InvalidInputError, match=words):
        train_grid(DATA, [Failing()], **{**OPTIONS, "seeds": 1, "store": tmp_path / "store", **options})
    assert list(tmp_path.iterdir()) == []


def test_data_that_are_no_splits_are_refused():
    with pytest.raises(InvalidInputError, match=r"Splits.*LesionDataset"):
        train_grid(DATA.train, METHODS, seeds=1)


# Paired


@dataclass(frozen=True)
class Watching(CrossEntropy):
    """Writes down the first weights and the training images that it is given."""

    name: ClassVar[str] = "watching"
    seen: ClassVar[list] = []

    number: int = 0

    def stages(self, facts, epochs):
        [stage] = super().stages(facts, epochs)
        images = facts.dataset.images.sum().item()

        def begin(model):
            first = (
                model.features(torch.zeros(1, 1, 32, 32)).flatten()[:5].tolist() + model.head.weight.flatten().tolist()
            )
            self.seen.append((self.number, images, first))

        return [replace(stage, begin=begin)]


def test_a_seed_redraws_images_and_first_weights_alike_for_all_methods():
    Watching.seen.clear()
    runs = train_grid(DATA, [Watching(), Watching(number=1)], seeds=[3, 5], **{**OPTIONS, "epochs": 1})
    seen = {(method, k): what for k, (method, *what) in zip([3, 5, 3, 5], Watching.seen, strict=True)}
    assert seen[0, 3] == seen[1, 3]
    assert seen[0, 5] == seen[1, 5]
    assert seen[0, 3][0] != seen[0, 5][0]
    assert seen[0, 3][1] != seen[0, 5][1]
    for by_seed in runs.values():
        for seed, run in by_seed.items():
            assert run.configuration["seed"] == run.configuration["data"]["recipe"]["redraw"] == seed
            np.testing.assert_array_equal(run.ids, DATA.test.ids)
            np.testing.assert_array_equal(run.validation_labels, DATA.val.labels)


def test_a_run_is_that_of_fit_with_the_same_settings(undisturbed):
    with torch_threads(1):
        alone = fit(DATA.redraw(1), ClassBalanced(beta=0.9), seed=1, **OPTIONS)
    assert same_bits(alone, undisturbed["class-balanced (beta=0.9)"][1])


def test_runs_come_in_the_order_asked_for(undisturbed):
    assert list(undisturbed) == ["cross-entropy", "class-balanced (beta=0.9)"]
    assert [list(by_seed) for by_seed in undisturbed.values()] == [[0, 1], [0, 1]]


@pytest.mark.alone
def test_the_callers_threads_and_random_state_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_num_threads(), torch.random.get_rng_state()
    runs = train_grid(DATA, ["cross-entropy"], seeds=1, threads=2, **OPTIONS)
    assert runs["cross-entropy"][0].configuration["threads"] == 2
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


# Saved and found again


def test_finished_runs_are_found_again_and_not_trained_again(undisturbed, tmp_path):
    first = train_grid(DATA, METHODS, seeds=2, store=tmp_path, **OPTIONS)
    written = finished(tmp_path)
    assert len(written) == 4
    assert list((tmp_path / "unfinished").iterdir()) == []
    # In another order, under other names, with one seed more.
    again = train_grid(DATA, {"b": METHODS[1], "a": METHODS[0]}, seeds=[2, 1, 0], store=tmp_path, **OPTIONS)
    assert len(finished(tmp_path)) == 6
    assert written.items() <= finished(tmp_path).items()
    assert same_runs(undisturbed, first)
    assert same_bits(again["a"][1], undisturbed["cross-entropy"][1])
    assert [list(by_seed) for by_seed in again.values()] == [[2, 1, 0], [2, 1, 0]]


def test_references_without_network_are_found_again(tmp_path, monkeypatch):
    first = train_grid(DATA, ["nearest-neighbour"], seeds=1, store=tmp_path, **OPTIONS)
    monkeypatch.setattr(NearestNeighbour, "predict", None)
    again = train_grid(DATA, ["nearest-neighbour"], seeds=1, store=tmp_path, **OPTIONS)
    assert same_runs(first, again)


def test_an_error_names_the_training_and_leaves_the_finished_runs(tmp_path):
    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        train_grid(DATA, {"fine": "cross-entropy", "broken": Failing()}, seeds=[4], store=tmp_path, **OPTIONS)
    assert caught.value.__notes__ == ["This happened in the training of 'broken', seed 4."]
    assert len(finished(tmp_path)) == 1


@dataclass(frozen=True)
class Interrupted(CrossEntropy):
    """Ctrl-C in one of its updates."""

    name: ClassVar[str] = "interrupted"
    calls: ClassVar[list] = []
    at: ClassVar[int | None] = None

    def loss(self, logits, target, facts, progress):
        self.calls.append(progress)
        if len(self.calls) == self.at:
            raise KeyboardInterrupt
        return super().loss(logits, target, facts, progress)


@pytest.mark.parametrize("at", [1, 4, 7])
def test_ctrl_c_leaves_a_store_that_goes_on_epoch_for_epoch(at, tmp_path, monkeypatch):
    """Two trainings of three epochs of two updates; it is stopped in the `at`-th."""
    options = {**OPTIONS, "epochs": 3}
    whole = train_grid(DATA, [Interrupted()], seeds=2, **options)
    Interrupted.calls.clear()
    monkeypatch.setattr(Interrupted, "at", at)
    with pytest.raises(KeyboardInterrupt):
        train_grid(DATA, [Interrupted()], seeds=2, store=tmp_path, **options)
    assert len(finished(tmp_path)) == (at > 6)
    Interrupted.calls.clear()
    monkeypatch.setattr(Interrupted, "at", None)
    again = train_grid(DATA, [Interrupted()], seeds=2, store=tmp_path, **options)
    assert same_runs(whole, again)
    assert len(Interrupted.calls) == 12 - (at - 1) // 2 * 2  # whole epochs are not trained again
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_an_older_revision_is_trained_anew_and_kept(tmp_path, monkeypatch):
    train_grid(DATA, METHODS[:1], seeds=1, store=tmp_path, **OPTIONS)
    old = finished(tmp_path)
    monkeypatch.setattr(configuration, "REVISION", configuration.REVISION + 1)
    runs = train_grid(DATA, METHODS[:1], seeds=1, store=tmp_path, **OPTIONS)
    assert runs["cross-entropy"][0].configuration["revision"] == configuration.REVISION
    assert len(finished(tmp_path)) == 2
    assert old.items() <= finished(tmp_path).items()


def checkpoint_of(store: RunStore, method=METHODS[1], seed=0):
    with torch_threads(1):
        written = configure(DATA.redraw(seed), method, Settings.of({**OPTIONS_OF_FIT, "seed": seed}))
    return store.checkpoint(run_key(written))


OPTIONS_OF_FIT = {name: value for name, value in OPTIONS.items() if name != "progress"}


def unfinished(store: RunStore):
    """The checkpoint that a training leaves which is stopped after its first epoch."""
    path = checkpoint_of(store)
    with pytest.raises(Exception, match="stopped after epoch 1"), torch_threads(1):
        fit(DATA.redraw(0), METHODS[1], checkpoint=path, on_epoch=lambda report: report.epoch < 1, **OPTIONS)
    return path


@pytest.mark.parametrize("damage", ["truncated", "empty", "not ours", "other versions"])
def test_a_checkpoint_of_no_use_is_named_and_its_training_begins_again(damage, undisturbed, tmp_path):
    store = RunStore(tmp_path)
    path = unfinished(store)
    content = path.read_bytes()
    if damage == "other versions":
        tensors, state = read_tensors(path)
        state["identity"]["versions"]["torch"] = "1.0"
        write_tensors(path, tensors, state)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "not ours": b"something"}[damage])
    with pytest.warns(UserWarning, match=rf"{path.name}.*begins again"):
        runs = train_grid(DATA, METHODS[1:], seeds=1, store=store, **OPTIONS)
    assert same_bits(runs["class-balanced (beta=0.9)"][0], undisturbed["class-balanced (beta=0.9)"][0])
    assert not path.exists()


def test_a_usable_checkpoint_is_gone_on_with(undisturbed, tmp_path):
    store = RunStore(tmp_path)
    unfinished(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = train_grid(DATA, METHODS[1:], seeds=1, store=store, **OPTIONS)
    assert same_bits(runs["class-balanced (beta=0.9)"][0], undisturbed["class-balanced (beta=0.9)"][0])


def test_a_damaged_run_is_named_once_and_made_again(undisturbed, tmp_path):
    train_grid(DATA, METHODS[:1], seeds=2, store=tmp_path, **OPTIONS)
    key = next(iter(finished(tmp_path)))
    path = next((tmp_path / "runs" / key).glob("arrays-*.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=rf"{key}.*trained again") as caught:
        runs = train_grid(DATA, METHODS[:1], seeds=2, store=tmp_path, **OPTIONS)
    assert len(caught) == 1
    assert same_runs(runs, {"cross-entropy": undisturbed["cross-entropy"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_grid(DATA, METHODS[:1], seeds=2, store=tmp_path, **OPTIONS)


# Several at a time


def test_two_at_a_time_give_the_same_bits(undisturbed, tmp_path):
    both = train_grid(DATA, METHODS, seeds=2, n_jobs=2, store=tmp_path, **OPTIONS)
    assert same_runs(undisturbed, both)
    assert len(finished(tmp_path)) == 4


def test_a_method_of_ones_own_goes_to_other_processes(tmp_path):
    @dataclass(frozen=True)
    class Local(CrossEntropy):
        """Known to no other process, as one that is defined in a notebook."""

        name: ClassVar[str] = "ünlike any"

        def loss(self, logits, target, facts, progress):
            return 2 * super().loss(logits, target, facts, progress)

    methods = [Local(), Own(strength=2.0)]
    runs = train_grid(DATA, methods, seeds=1, n_jobs=2, store=tmp_path, **OPTIONS)
    assert list(runs) == ["ünlike any", "my own (strength=2.0)"]
    assert same_runs(runs, train_grid(DATA, methods, seeds=1, **OPTIONS))
    np.testing.assert_array_equal(runs["ünlike any"][0].probabilities, runs["my own (strength=2.0)"][0].probabilities)
    assert len(finished(tmp_path)) == 2
    assert same_runs(runs, train_grid(DATA, methods, seeds=1, store=tmp_path, **OPTIONS))


def test_threads_of_one_process_take_turns(undisturbed):
    """As with a Dask worker of several threads: they have one random state, and would spoil each other's."""
    with joblib.parallel_config("threading"):
        runs = train_grid(DATA, METHODS, seeds=2, n_jobs=4, **OPTIONS)
    assert same_runs(undisturbed, runs)


def test_joblibs_own_configuration_decides_where_n_jobs_is_one(undisturbed, monkeypatch):
    asked = []
    original = grid.Parallel
    monkeypatch.setattr(grid, "Parallel", lambda **options: asked.append(made := original(**options)) or made)
    with joblib.parallel_config("threading", n_jobs=3):
        runs = train_grid(DATA, METHODS[:1], seeds=2, **OPTIONS)
    assert asked[0].n_jobs == 3
    assert same_runs(runs, {"cross-entropy": undisturbed["cross-entropy"]})


# Progress


def test_progress_is_nested_and_silent_where_not_wanted(capfd):
    train_grid(DATA, ["cross-entropy", "classifier-retraining"], seeds=1, **{**OPTIONS, "progress": True})
    shown = capfd.readouterr().err
    assert "2/2" in shown.split("runs")[-1]
    assert "cross-entropy, seed 0: epoch 2/2" in shown
    assert "classifier-retraining, seed 0, head: epoch 2/2" in shown
    train_grid(DATA, ["cross-entropy"], seeds=1, **OPTIONS)
    assert capfd.readouterr().err == ""


def test_runs_that_are_found_count_as_progress(capfd, tmp_path):
    train_grid(DATA, ["cross-entropy"], seeds=1, store=tmp_path, **OPTIONS)
    train_grid(DATA, ["cross-entropy"], seeds=2, store=tmp_path, **{**OPTIONS, "progress": True})
    shown = capfd.readouterr().err
    assert "1/2" in shown
    assert "2/2" in shown
