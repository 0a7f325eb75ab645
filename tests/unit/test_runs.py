"""Making the saved runs from the command line: what can be mended is said, and what else there is gets made."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_grid import DATA, OPTIONS

import careedu
from careedu.course import runs
from careedu.course.experiments import EXPERIMENTS
from careedu.data.shipped import shipped
from careedu.errors import MissingDataError
from careedu.experiment.attention import MARK_MEASURES, MEASURES
from careedu.experiment.results import Results
from careedu.show.deep_pneumonia.embeddings import Embeddings
from careedu.show.distractor.records import DistractorRecord
from careedu.show.feature_generation.records import GeneratedFeatures


@pytest.fixture
def made(monkeypatch):
    """Names of the experiments that were asked for; those on brain images find no data, and one is interrupted."""
    names = []

    def make_runs(experiment, store, target, n_jobs):
        names.append(experiment.name)
        if "brain" in experiment.name:
            raise MissingDataError("no images here")
        if "search" in experiment.name:
            raise KeyboardInterrupt
        folder = target / experiment.name
        folder.mkdir()
        (folder / "results.json").write_bytes(b" " * 100_000)
        return folder

    monkeypatch.setattr(runs, "make_runs", make_runs)
    return names


def test_what_lacks_its_images_is_named_and_the_others_are_made(made, tmp_path, capsys):
    assert runs.main(["01", "--target", str(tmp_path)]) == 1
    assert made == ["01-phantom-skin", "01-brain-tumor"]
    out, err = capsys.readouterr()
    assert "01-phantom-skin: 0 s, 0.1 MB" in out
    assert err == "01-brain-tumor: no images here\n"


def test_one_experiment_can_be_made_by_its_name(made, tmp_path):
    assert runs.main(["02-dose-plain", "--target", str(tmp_path)]) == 0
    assert made == ["02-dose-plain"]


def test_an_interruption_says_how_to_go_on(made, tmp_path, capsys):
    assert runs.main(["03-search", "--target", str(tmp_path)]) == 130
    assert "goes on" in capsys.readouterr().err


def test_an_unknown_notebook_is_told_those_there_are(capsys):
    assert runs.main(["77"]) == 1
    assert "77" in capsys.readouterr().err


@pytest.mark.parametrize(("notebook", "most"), [("03", 3e6), ("04", 3e6), ("05", 3e6), ("06", 3e6)])
def test_what_was_saved_for_a_notebook_takes_no_more_room_than_it_was_given(notebook, most):
    folders = [shipped("runs") / name for name, e in EXPERIMENTS.items() if e.notebook == notebook]
    sizes = {folder.name: sum(file.stat().st_size for file in folder.iterdir()) for folder in folders}
    print(f"{notebook}: {sum(sizes.values()) / 1e6:.2f} MB of {most / 1e6:.1f}", sizes)
    assert set(sizes) == {folder.name for folder in shipped("runs").glob(f"{notebook}-*")} and all(sizes.values())
    assert sum(sizes.values()) <= most


def test_where_the_networks_look_is_saved_with_the_results(tmp_path):
    marks = torch.zeros(18, 32, 32, dtype=torch.bool)
    marks[::2, :4, :4] = True
    about = {"name": "99-small", "notebook": "99", "seeds": (0, 1), "reference": None, "fit": OPTIONS, "weights": ()}
    experiment = SimpleNamespace(
        **about,
        load=lambda: replace(DATA, test=replace(DATA.test, marks=marks)),
        methods=lambda: {"plain": "cross-entropy", "nearest": "nearest-neighbour"},
        courses=False,
        exploratory=False,
        maps=True,
        embedded={},
        tempted=(),
        generated=(),
    )
    back = Results.load(runs.make_runs(experiment, tmp_path / "store", tmp_path, n_jobs=1))
    assert back.marked.tolist() == [True, False] * 9
    assert back.attention.methods == ("plain",)
    assert list(back.attention.table().columns) == [*MEASURES, *MARK_MEASURES]
    assert back.worst_group("plain")[1].estimate == back.recalls_by_mark("plain")["mean"].min()


def test_where_the_networks_put_the_images_is_saved_beside_the_results(tmp_path):
    about = {"name": "99-small", "notebook": "99", "seeds": (0, 1), "reference": None, "fit": OPTIONS, "weights": ()}
    experiment = SimpleNamespace(
        **about,
        load=lambda: DATA,
        methods=lambda: {"plain": "cross-entropy", "other": "logit-adjusted"},
        courses=False,
        exploratory=False,
        maps=False,
        embedded={"one": "other", "two": "plain"},
        tempted=(),
        generated=(),
    )
    folder = runs.make_runs(experiment, tmp_path / "store", tmp_path, n_jobs=1)
    found = Embeddings.load(folder / "embeddings.safetensors")
    assert found.names == ("one", "two") and found.ids.tolist() == DATA.test.ids.tolist()
    assert [found.provenance[name]["seed"] for name in found.names] == [0, 0]
    assert found.provenance["one"]["method"]["name"] == "logit-adjusted"
    assert Results.load(folder).methods == ("plain", "other")


def test_what_tempts_the_networks_is_saved_beside_the_results(tmp_path):
    knobs = {"largest": 12, "val": 6, "test": 8, "size": 32, "look_alike": 1.0, "distractors": 3}
    about = {"name": "99-small", "notebook": "99", "seeds": (3, 4), "reference": None, "weights": ()}
    experiment = SimpleNamespace(
        **about,
        fit={"epochs": 3, "device": "cpu"},  # its probabilities are compared to .0001
        load=lambda: careedu.load("phantom-skin", **knobs),
        methods=lambda: {"plain": careedu.LogitAdjusted(), "apart": careedu.DistractorAware()},
        courses=False,
        exploratory=False,
        maps=False,
        embedded={},
        tempted=("apart", "plain"),
        generated=(),
    )
    folder = runs.make_runs(experiment, tmp_path / "store", tmp_path, n_jobs=1)
    found, results = DistractorRecord.load(folder / "distractors.safetensors"), Results.load(folder)
    assert found.names == ("apart", "plain") and found.epochs == (1, 2, 3) and found.arms == results.methods
    for k, name in enumerate(found.names):
        kept = results.runs[name][3].probabilities
        assert np.allclose(found.probabilities[k, -1], kept, atol=1e-4), "it is the network of the first seed"
        assert not np.allclose(found.probabilities[k, 0], kept, atol=1e-4), "which looked otherwise at first"
    assert found.provenance["seed"] == 3


def test_what_is_generated_is_saved_beside_the_results(tmp_path):
    knobs = {"largest": 24, "imbalance": 4, "val": 6, "test": 8, "size": 32}
    begin = {"pretrain": careedu.Segmentation(epochs=1), "generator_epochs": 5}
    about = {"name": "99-small", "notebook": "99", "seeds": (3, 4), "reference": None, "weights": ()}
    experiment = SimpleNamespace(
        **about,
        fit={"epochs": 1, "model": "unet"},
        load=lambda: careedu.load("phantom-brain", **knobs),
        methods=lambda: {"GAN": careedu.FeatureGeneration(**begin), "other": "cross-entropy"},
        courses=False,
        exploratory=False,
        maps=False,
        embedded={},
        tempted=(),
        generated=("GAN",),
    )
    folder = runs.make_runs(experiment, tmp_path / "store", tmp_path, n_jobs=1)
    found = GeneratedFeatures.load(folder / "generated.safetensors")
    assert found.names == ("GAN",) and found.epochs == (1, 2, 3, 4, 5) and found.provenance["seed"] == 3
    assert found.dice.shape == (2, 24) and Results.load(folder).methods == ("GAN", "other")
    assert set(found.weights) == {"segmentation", "GAN"}
    # How the generators went is kept only there: it would be most of what the other experiments weigh.
    kept = {name: by_seed[3].pretraining for name, by_seed in Results.load(folder).runs.items()}
    stages = {name: list(table.get("stage", [])) for name, table in kept.items()}
    assert stages == {"GAN": ["segmentation"] + 5 * ["generation"], "other": []}
    experiment.generated = ()
    bare = Results.load(runs.make_runs(experiment, tmp_path / "store", tmp_path / "bare", n_jobs=1))
    assert bare.runs["GAN"][3].pretraining["stage"].tolist() == ["segmentation"]
    assert np.array_equal(bare.runs["GAN"][3].probabilities, Results.load(folder).runs["GAN"][3].probabilities)
