"""The one training loop: what it does the same for all methods, what it refuses, what it records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from made_up import made_up_splits, thinned
from torch import nn

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import CareeduError, CheckpointError, InvalidInputError, UnknownNameError
from careedu.experiment.fit import fit
from careedu.files import read_tensors
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import TrainedMethod
from careedu.methods.registry import METHODS
from careedu.nn.backbones import Classifier, NormalizedLinear, build_model
from careedu.training.loop import TrainingStopped
from careedu.training.prediction import class_maps, maps_and_logits, predict_logits
from careedu.training.reproducibility import choose_precision, derive_seed
from careedu.training.stage import Stage, Update

DATA = thinned(made_up_splits(), 2, 12)
QUICK = {"epochs": 3, "progress": False, "device": "cpu"}


def same_bits(first: careedu.Run, second: careedu.Run) -> bool:
    return (
        np.array_equal(first.probabilities, second.probabilities)
        and first.history.equals(second.history)
        and first.weights.keys() == second.weights.keys()
        and all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
        and all(np.array_equal(first.traces[name], second.traces[name]) for name in first.traces)
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_learns_an_easy_set(name):
    marks = torch.zeros_like(DATA.train.masks)
    marks[-20:, :4, :4] = True  # for methods that ask which images carry one
    data = replace(DATA, train=replace(DATA.train, marks=marks))
    run = fit(data, name, epochs=16, progress=False)
    assert run.probabilities.shape == (60, 3) and run.probabilities.dtype == np.float64
    np.testing.assert_allclose(run.probabilities.sum(axis=1), 1, atol=1e-6)
    if name != "lesion-size":  # all lesions of this set have one size
        assert run.balanced_accuracy() > 0.45
    if name not in ("lesion-size", "nearest-neighbour"):
        assert len(run.history) == 16
        assert run.traces["probe maps"].shape == (16, 12, 4, 4)
        assert run.class_maps(DATA.test.images[:5], DATA.test.labels[:5]).shape == (5, 32, 32)


@pytest.mark.parametrize("name", ["cross-entropy", "ldam", "classifier-retraining", "feature-smote"])
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(name):
    first, second = fit(DATA, name, seed=3, **QUICK), fit(DATA, name, seed=3, **QUICK)
    assert same_bits(first, second)
    assert not same_bits(first, fit(DATA, name, seed=4, **QUICK))


def test_the_callers_random_state_is_left_alone_and_without_effect():
    torch.manual_seed(1)
    first = fit(DATA, "cross-entropy", **QUICK)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(2)
    assert same_bits(first, fit(DATA, "cross-entropy", **QUICK))


def test_methods_start_from_the_same_network_and_see_the_same_batches():
    seen: dict[str, list] = {}

    @dataclass(frozen=True)
    class Watching(TrainedMethod):
        name: ClassVar[str] = "watching"
        tag: str = ""

        def stages(self, facts, epochs):
            def terms(model, batch):
                first_weight = next(model.parameters()).detach().clone()
                seen.setdefault(self.tag, []).append((first_weight, batch.inputs.clone(), batch.labels.clone()))
                return {"loss": torch.nn.functional.cross_entropy(model(batch.inputs), batch.labels)}

            return [Stage("all", epochs, terms)]

    for tag in ("a", "b"):
        fit(DATA, Watching(tag), **QUICK)
    assert len(seen["a"]) == len(seen["b"]) == 3 * 4  # 112 images in batches of at most 32
    assert torch.equal(seen["a"][0][0], seen["b"][0][0])
    for (_, inputs, labels), (_, other_inputs, other_labels) in zip(seen["a"], seen["b"], strict=True):
        assert torch.equal(inputs, other_inputs) and torch.equal(labels, other_labels)
        assert inputs.min() >= 0 and inputs.max() <= 1
    sizes = [len(labels) for _, _, labels in seen["a"]]
    assert max(sizes) - min(sizes) <= 1
    # Shuffled, each image comes once an epoch.
    epoch = torch.cat([labels for _, _, labels in seen["a"][:4]])
    assert torch.bincount(epoch).tolist() == DATA.train.counts.tolist()


def test_balanced_batches_have_all_classes_alike_and_as_many_updates():
    labels = []

    @dataclass(frozen=True)
    class Watching(TrainedMethod):
        name: ClassVar[str] = "watching"

        def stages(self, facts, epochs):
            def terms(model, batch):
                labels.append(batch.labels.clone())
                return CrossEntropy().terms(facts)(model, batch)

            return [Stage("all", epochs, terms, sampler="class-balanced")]

    fit(DATA, Watching(), epochs=6, progress=False)
    assert len(labels) == 6 * 4
    share = torch.bincount(torch.cat(labels)) / (6 * len(DATA.train))
    assert (share - 1 / 3).abs().max() < 0.06  # 672 draws: 3.3 standard errors


def test_frozen_parts_rest_entirely():
    weights = {}
    run = fit(DATA, "classifier-retraining", epochs=4, progress=False, on_epoch=lambda report: None)
    features_only = fit(DATA, "classifier-retraining", epochs=4, progress=False)
    assert same_bits(run, features_only)

    @dataclass(frozen=True)
    class HeadOnly(TrainedMethod):
        name: ClassVar[str] = "head-only"

        def stages(self, facts, epochs):
            def remember(model):
                weights.update({k: v.clone() for k, v in model.state_dict().items()})

            head = Update(CrossEntropy().terms(facts), trainable=("head.",))
            return [Stage("head", epochs, head, begin=remember)]

    after = fit(DATA, HeadOnly(), **QUICK).weights
    moved = {name for name in after if not torch.equal(after[name], weights[name])}
    assert moved == {"head.weight", "head.bias"}


def test_learning_rates_of_named_parameters_are_multiplied():
    @dataclass(frozen=True)
    class SlowBody(TrainedMethod):
        name: ClassVar[str] = "slow-body"
        factor: float = 0.0

        def stages(self, facts, epochs):
            terms = CrossEntropy().terms(facts)
            return [Stage("all", epochs, Update(terms, learning_rates={"body.": self.factor}))]

    still, moving = fit(DATA, SlowBody(0.0), **QUICK), fit(DATA, SlowBody(0.5), **QUICK)
    name = next(name for name in still.weights if name.startswith("body.") and name.endswith("weight"))
    start = fit(DATA, SlowBody(0.0), epochs=1, progress=False).weights[name]
    assert torch.equal(still.weights[name], start)
    assert not torch.equal(moving.weights[name], start)


def test_stages_must_add_up_to_the_epochs_asked_for():
    @dataclass(frozen=True)
    class Greedy(TrainedMethod):
        name: ClassVar[str] = "greedy"

        def stages(self, facts, epochs):
            terms = CrossEntropy().terms(facts)
            return [Stage("pretraining", 1, terms, supervised=False), Stage("all", epochs + 1, terms)]

    with pytest.raises(InvalidInputError, match="4 supervised epochs, not the 3"):
        fit(DATA, Greedy(), **QUICK)


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path):
    undisturbed = fit(DATA, "classifier-retraining", epochs=5, progress=False)
    path = tmp_path / "training.checkpoint"
    for stop_after in (1, 3, 4):

        def stop(report, stop_after=stop_after):
            return report.epoch < stop_after

        with pytest.raises(TrainingStopped, match=r"training\.checkpoint"):
            fit(DATA, "classifier-retraining", epochs=5, progress=False, checkpoint=path, on_epoch=stop)
        _, state = read_tensors(path)
        assert len(state["history"]) == stop_after
    resumed = fit(DATA, "classifier-retraining", epochs=5, progress=False, checkpoint=path)
    assert same_bits(undisturbed, resumed)
    assert same_bits(undisturbed, fit(DATA, "classifier-retraining", epochs=5, progress=False, checkpoint=path))
    assert [p.name for p in tmp_path.iterdir()] == ["training.checkpoint"]


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path):
    path = tmp_path / "training.checkpoint"
    fit(DATA, "cross-entropy", checkpoint=path, **QUICK)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"seed: 0 there, 1 here.*another file"):
        fit(DATA, "cross-entropy", seed=1, checkpoint=path, **QUICK)
    with pytest.raises(CheckpointError, match="method"):
        fit(DATA, "focal", checkpoint=path, **QUICK)
    assert path.read_bytes() == before
    for damaged in (before[: len(before) // 2], b"", b"not ours"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged.*delete"):
            fit(DATA, "cross-entropy", checkpoint=path, **QUICK)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 0}, InvalidInputError, "epochs=0"),
        ({"epochs": 2.5}, InvalidInputError, "epochs=2.5"),
        ({"seed": -1}, InvalidInputError, "seed=-1"),
        ({"seed": True}, InvalidInputError, "seed=True"),
        ({"batch_size": 1}, InvalidInputError, "batch_size=1"),
        ({"learning_rate": 0.0}, InvalidInputError, "learning_rate=0.0"),
        ({"learning_rate": float("nan")}, InvalidInputError, "learning_rate=nan"),
        ({"weight_decay": -0.1}, InvalidInputError, "weight_decay=-0.1"),
        ({"probes": -1}, InvalidInputError, "probes=-1"),
        ({"device": "gpu"}, UnknownNameError, "cuda"),
        ({"model": "resnet81"}, UnknownNameError, "resnet18"),
        ({"precision": "bfloat"}, UnknownNameError, "bfloat16"),
        ({"augmentation": "uprite"}, UnknownNameError, "upright"),
        ({"learning_rate": 1e12, "epochs": 3}, CareeduError, "lower learning_rate"),
    ],
)
def test_arguments_that_do_not_fit_are_named_and_nothing_is_written(options, error, words, tmp_path):
    path = tmp_path / "training.checkpoint"
    with pytest.raises(error, match=words):
        fit(DATA, "cross-entropy", checkpoint=path, **{**QUICK, **options})
    assert not path.exists() or "learning_rate" in options
    assert not list(tmp_path.glob(".*"))


def test_unusable_data_and_methods_are_named():
    with pytest.raises(InvalidInputError, match=r"Splits.*list"):
        fit([1, 2], "cross-entropy")
    with pytest.raises(InvalidInputError, match="method must be"):
        fit(DATA, 3)
    with pytest.raises(UnknownNameError, match="cross-entropy"):
        fit(DATA, "cross-entropie")
    with pytest.raises(InvalidInputError, match="no training image of class 'bright'"):
        fit(thinned(DATA, 2, 0), "cross-entropy")
    with pytest.raises(InvalidInputError, match="validation split is empty"):
        fit(replace(DATA, val=DATA.val[:0]), "cross-entropy")


def test_a_few_updates_are_enough_for_the_batch_statistics_to_keep_up():
    # Four updates an epoch: statistics that lag ten updates behind leave three of four seeds near chance here.
    runs = [fit(DATA, "cross-entropy", epochs=8, seed=seed, progress=False) for seed in range(4)]
    assert np.mean([run.balanced_accuracy() for run in runs]) > 0.6


def test_tiny_trainings_work():
    tiny = replace(DATA, train=DATA.train[:6])
    assert len(fit(tiny, "cross-entropy", epochs=1, progress=False).history) == 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_resumes_with_the_same_bits(precision, tmp_path):
    few = replace(DATA, train=DATA.train[:24], val=DATA.val[:3], test=DATA.test[:3])  # CPUs are slow in float16
    options = {**QUICK, "epochs": 3, "probes": 0, "precision": precision}
    undisturbed = fit(few, "cross-entropy", **options)
    loss = undisturbed.history["loss: classification"]
    assert loss.iloc[-1] < loss.iloc[0]
    assert not same_bits(undisturbed, fit(few, "cross-entropy", **{**options, "precision": "float32"}))
    assert all(tensor.dtype != getattr(torch, precision) for tensor in undisturbed.weights.values())
    path = tmp_path / "training.checkpoint"
    with pytest.raises(TrainingStopped):
        fit(few, "cross-entropy", checkpoint=path, on_epoch=lambda report: report.epoch < 2, **options)
    assert same_bits(undisturbed, fit(few, "cross-entropy", checkpoint=path, **options))
    assert choose_precision("auto", torch.device("cpu")) == "float32"


def test_every_epoch_is_reported_in_order():
    reports = []
    fit(DATA, "feature-smote", epochs=4, progress=False, on_epoch=reports.append)
    assert [(r.epoch, r.epochs) for r in reports] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [r.row["stage"] for r in reports] == ["features"] * 3 + ["head"]
    assert all(isinstance(r.model, Classifier) for r in reports)
    assert {"loss: classification", "balanced accuracy", "rare recall", "learning rate"} <= set(reports[0].row)


def test_augmentation_is_the_organs_unless_another_is_named():
    assert fit(DATA, "cross-entropy", epochs=1, progress=False).configuration["augmentation"]["rotation"] == 10
    plain = fit(DATA, "cross-entropy", epochs=1, progress=False, augmentation="none")
    assert not any(plain.configuration["augmentation"].values())
    own = fit(DATA, "cross-entropy", epochs=1, progress=False, augmentation=Augmentation(shift=0.2))
    assert own.configuration["augmentation"]["shift"] == 0.2


def test_test_images_are_not_touched_by_training():
    swapped = replace(DATA, test=made_up_splits(test=30).test[:9])
    first, second = fit(DATA, "class-balanced", **QUICK), fit(swapped, "class-balanced", **QUICK)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_derived_seeds_differ_by_purpose_and_fit_into_63_bits():
    seeds = {derive_seed(0), derive_seed(1), derive_seed(0, 0, 1), derive_seed(0, 1, 0), derive_seed(0, 1, 0, 0)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(5, 1, 2) == derive_seed(5, 1, 2)


def test_a_run_knows_which_test_images_carry_a_mark():
    plain = made_up_splits(24, 9, 18)
    marks = torch.zeros(18, 32, 32, dtype=torch.bool)
    marks[::4, 2:5, 2:5] = True
    data = replace(plain, test=replace(plain.test, marks=marks))
    for method in ("cross-entropy", "nearest-neighbour"):
        run = careedu.fit(data, method, epochs=1, progress=False)
        assert run.marked.dtype == bool and run.marked.tolist() == [i % 4 == 0 for i in range(18)]
        assert careedu.fit(plain, method, epochs=1, progress=False).marked is None


@pytest.mark.parametrize("head", [None, NormalizedLinear(128, 3), nn.Sequential(nn.Linear(128, 8), nn.Linear(8, 3))])
def test_maps_come_with_the_logits_of_the_same_pass(head):
    """Linear head, cosines (Grad-CAM), and a head of two layers: the bits of a pass of its own."""
    model = build_model("small", 3, 1)
    model.head = head or model.head
    images, labels = DATA.test.images, DATA.test.labels
    maps, logits = maps_and_logits(model, images, labels)
    assert torch.equal(logits, predict_logits(model, images)) and not logits.requires_grad
    assert torch.equal(maps, class_maps(model, images, labels)) and not maps.requires_grad


class _Doubled(Classifier):
    def forward(self, x):
        return 2 * super().forward(x)


@dataclass(frozen=True)
class _Doubling(CrossEntropy):
    name: ClassVar[str] = "doubling"

    def wrap(self, model, facts):
        model.__class__ = _Doubled
        return model


@pytest.mark.parametrize("method", [CrossEntropy(), _Doubling(), careedu.LDAM()], ids=lambda method: method.name)
def test_probed_images_are_predicted_as_all_others_are(method):
    run = fit(DATA, method, **QUICK)
    probed = predict_logits(run.network(), DATA.test.images[run.probes])
    expected = run.adjusted(probed).softmax(dim=1).numpy().astype(np.float32)
    np.testing.assert_array_equal(run.traces["probe probabilities"][-1], expected)
