"""Saved runs: whole or not there, the same when opened again, and open without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas
import pytest
import torch
from made_up import made_up_splits, thinned
from torch import nn
from torch.nn import functional

import careedu
from careedu.errors import CheckpointError, InvalidInputError, MissingWeightsError, StorageError
from careedu.files import tensor_names
from careedu.measure.metrics import METRICS
from careedu.methods.method import LossMethod
from careedu.training.prediction import predict_logits

DATA = thinned(made_up_splits(), 2, 12)


@pytest.fixture(scope="module")
def run():
    return careedu.fit(DATA, "class-balanced", epochs=3, progress=False, device="cpu")


def test_a_run_comes_back_bit_for_bit(run, tmp_path):
    again = careedu.Run.load(run.save(tmp_path / "run"))
    assert again.configuration == json.loads(json.dumps(run.configuration))
    for name in ("probabilities", "labels", "groups", "ids", "validation_probabilities", "validation_labels", "probes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(run, name))
        assert getattr(again, name).dtype.kind == getattr(run, name).dtype.kind
    pandas.testing.assert_frame_equal(again.history, run.history, check_exact=True)
    assert again.traces.keys() == run.traces.keys()
    assert all(np.array_equal(again.traces[name], run.traces[name]) for name in run.traces)
    assert all(torch.equal(again.weights[name], run.weights[name]) for name in run.weights)
    pandas.testing.assert_frame_equal(again.table(), run.table(), check_exact=True)
    images, labels = DATA.test.images[:4], DATA.test.labels[:4]
    assert torch.equal(again.class_maps(images, labels), run.class_maps(images, labels))


def test_the_opened_network_predicts_what_the_run_says(run, tmp_path):
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    with torch.no_grad():
        probabilities = network(DATA.test.images.float() / 255).double().softmax(1)
    np.testing.assert_allclose(probabilities, run.probabilities, atol=1e-6)


def test_what_a_method_has_added_is_laid_out_as_in_training(tmp_path):
    """Else its convolution rounds otherwise than the trained one, on some processors."""
    added = careedu.fit(DATA, careedu.LocalAttention(kind="spatial"), epochs=1, progress=False, device="cpu")
    network = careedu.Run.load(added.save(tmp_path / "run")).network()
    weights = [p for p in network.parameters() if p.dim() == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


@dataclass(frozen=True)
class Projected(LossMethod):
    """Cross-entropy through a projector that only training needs."""

    name: ClassVar[str] = "projected"

    def wrap(self, model, facts):
        """A network with a projector beside it."""
        model.training_parts["projector"] = nn.Linear(model.channels, 3)
        return model

    def loss(self, logits, target, facts, progress):
        """Cross-entropy."""
        return functional.cross_entropy(logits, target)


def test_what_only_training_needs_is_in_checkpoints_and_not_in_runs(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    run = careedu.fit(DATA, Projected(), epochs=1, progress=False, checkpoint=checkpoint)
    assert "model/training_parts.projector.weight" in tensor_names(checkpoint)
    assert not [name for name in run.weights if name.startswith("training_parts")]
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    assert network.state_dict().keys() == run.weights.keys()


@pytest.mark.parametrize(
    ("method", "new", "old"),
    [("global-attention", "before.", "attention."), ("local-attention", "after.", "body.1.")],
)
def test_weights_of_an_older_careedu_are_an_error_with_the_remedy(method, new, old):
    run = careedu.fit(DATA, method, epochs=1, progress=False)
    assert [name for name in run.weights if name.startswith(new)]
    older = {name.replace(new, old): tensor for name, tensor in run.weights.items()}
    with pytest.raises(CheckpointError, match=r"train it again with careedu\.fit"):
        replace(run, weights=older).network()


def test_a_reference_has_no_weights_and_says_so(tmp_path):
    run = careedu.Run.load(careedu.fit(DATA, "nearest-neighbour").save(tmp_path / "run"))
    assert len(run.history) == 0
    with pytest.raises(MissingWeightsError, match="holds no weights"):
        run.class_maps(DATA.test.images[:1], DATA.test.labels[:1])


def test_saved_without_weights_a_run_names_the_remedy(run, tmp_path):
    folder = run.save(tmp_path / "run", weights=False)
    assert sorted(p.name.partition("-")[0] for p in folder.iterdir()) == ["arrays", "run.json"]
    with pytest.raises(MissingWeightsError, match="weights=True"):
        careedu.Run.load(folder).class_maps(DATA.test.images[:1], DATA.test.labels[:1])


def test_class_maps_lie_in_the_unit_range_and_refuse_what_does_not_fit(run):
    maps = run.class_maps(DATA.test.images[:6], DATA.test.labels[:6])
    assert maps.shape == (6, 32, 32) and maps.min() >= 0 and maps.max() <= 1
    with pytest.raises(InvalidInputError, match="uint8"):
        run.class_maps(DATA.test.images[:1].float(), DATA.test.labels[:1])
    with pytest.raises(InvalidInputError, match="32, 32"):
        run.class_maps(DATA.test.images[:1, :, :16, :16], DATA.test.labels[:1])
    with pytest.raises(InvalidInputError, match="class indices from 0 to 2"):
        run.class_maps(DATA.test.images[:1], torch.tensor([3]))


def test_an_older_run_is_replaced_and_other_folders_are_not(run, tmp_path):
    run.save(tmp_path / "run")
    (tmp_path / "run" / "recall.png").write_text("a figure")
    run.save(tmp_path / "run", weights=False)
    assert careedu.Run.load(tmp_path / "run").weights is None
    assert (tmp_path / "run" / "recall.png").read_text() == "a figure"
    assert len(list((tmp_path / "run").iterdir())) == 3
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidInputError, match=r"not a saved run \(thesis\.txt\); choose another folder"):
        run.save(mine)
    assert (mine / "thesis.txt").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"run", "mine"}


def test_a_failed_save_leaves_the_older_run_and_nothing_else(run, tmp_path, monkeypatch):
    run.save(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("careedu.files.os.fsync", full_disk)
    for name in ("run", "new"):
        with pytest.raises(StorageError, match=r"cannot be written.*No space.*make room"):
            run.save(tmp_path / name)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert len(list((tmp_path / "run").iterdir())) == 3


def test_damaged_and_missing_runs_are_named(run, tmp_path):
    with pytest.raises(CheckpointError, match="no saved run"):
        careedu.Run.load(tmp_path / "nowhere")
    folder = run.save(tmp_path / "run")
    text = (folder / "run.json").read_text()
    path = next(folder.glob("arrays-*.safetensors"))
    arrays = path.read_bytes()
    for name, content in (("run.json", text[:100]), ("run.json", "{}"), ("run.json", '{"format": 99}')):
        (folder / name).write_text(content)
        with pytest.raises(CheckpointError, match=r"damaged|newer"):
            careedu.Run.load(folder)
        (folder / name).write_text(text)
    path.write_bytes(arrays[:-20])
    with pytest.raises(CheckpointError, match="damaged"):
        careedu.Run.load(folder)


def test_a_saved_run_opens_without_torch(run, tmp_path):
    folder = run.save(tmp_path / "run", weights=False)
    code = (
        "import sys; from careedu.experiment.run import Run; "
        f"run = Run.load({str(folder)!r}); run.table(); run.summary(); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_agree_with_the_metrics(run):
    table, summary = run.table(), run.summary()
    np.testing.assert_array_equal(table["recall"], run.recall())
    assert (table["low"] <= table["recall"]).all() and (table["recall"] <= table["high"]).all()
    assert table["n train"].tolist() == [50, 50, 12] and table["n test"].tolist() == [20, 20, 20]
    assert list(summary.index) == list(METRICS)
    assert summary.loc["balanced accuracy", "value"] == pytest.approx(run.balanced_accuracy())
    assert summary.loc["rare recall", "value"] == run.rare_recall() == run.recall()[2]
    assert isinstance(run.balanced_accuracy(), float) and isinstance(run.rare_recall(), float)
    assert (summary["low"] <= summary["value"]).all() and (summary["value"] <= summary["high"]).all()


def test_opening_the_network_leaves_the_random_state_alone_and_its_output_is_adjusted_as_in_training():
    data = made_up_splits(24, 9, 18)
    run = careedu.fit(data, careedu.LDAM(), epochs=1, progress=False, device="cpu")
    before = torch.random.get_rng_state()
    network = run.network()
    assert torch.equal(torch.random.get_rng_state(), before)
    logits = predict_logits(network, data.test.images)
    assert np.array_equal(run.adjusted(logits).softmax(dim=1).numpy(), run.probabilities)
    assert not np.allclose(logits.softmax(dim=1).numpy(), run.probabilities)
