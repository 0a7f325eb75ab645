"""A map that learns after the network: the stages, what moves in them, and how a training goes on through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits, thinned
from made_up_maps import attention_map
from small_grid import same_bits
from torch import nn

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError
from careedu.experiment.fit import fit
from careedu.methods.facts import TrainingFacts
from careedu.methods.global_attention import FIXED, LEARNED, MAPS, GlobalAttention, GlobalSpatialAttention
from careedu.methods.imbalance import LDAM, CrossEntropy, LogitAdjusted
from careedu.nn.backbones import build_model
from careedu.nn.spatial_mask import OPEN, START, FixedMask, FreeMask
from careedu.training.batch import Batch

DATA = thinned(made_up_splits(24, 9, 18), 2, 4)
OPTIONS = {
    "epochs": 4,
    "batch_size": 8,
    "probes": 1,
    "augmentation": "upright",
    "progress": False,
    "device": "cpu",
}


def after(which="free", **options):
    return GlobalAttention(**{"map": which, "order": "after", "map_epochs": 2, "components": 4, **options})


def facts_of(data=DATA.train):
    return TrainingFacts(tuple(data.counts.tolist()), (2,), tuple(data.images.shape[1:]), data)


def slot_of(name):
    return name.startswith(("before.", "after."))


# The open map


def mask_of_kind(kind, height, width, grid):
    if kind == "free":
        return FreeMask((height, width))
    if kind == "fixed":
        return FixedMask(torch.rand(height, width, generator=torch.Generator().manual_seed(0)))
    images = torch.rand(5, 1, height, width, generator=torch.Generator().manual_seed(0))
    mask = GlobalSpatialAttention(images, grid=min(grid, height, width) if kind == "coarse" else None)
    torch.nn.init.normal_(mask.weight)
    return mask


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["free", "fixed", "pixels", "coarse"]), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)
)
@example("coarse", 28, 28, 4)  # there the resized map is 1 but for rounding
def test_an_open_map_hides_nothing_moves_nothing_and_is_not_recorded(kind, height, width, grid):
    mask = mask_of_kind(kind, height, width, grid)
    assert mask.record().keys() == {"attention map"} or kind == "fixed"
    assert mask.flatten(OPEN) is mask
    values = mask.map()
    torch.testing.assert_close(values, torch.ones(height, width), rtol=0, atol=1e-6)
    assert kind == "coarse" or bool((values == 1).all())
    assert mask.record() == {}
    if kind != "fixed":
        values.sum().backward()
        assert not any(parameter.grad.any() for parameter in mask.parameters())
        torch.testing.assert_close(mask.flatten(START).map(), torch.full((height, width), START).sigmoid())
        assert mask.record()["attention map"].dtype == torch.uint16


# The network's bits


@pytest.fixture(scope="module")
def alone():
    """Networks that a loss alone gives, by the loss."""
    losses = (CrossEntropy(), LDAM(), LogitAdjusted())
    return {loss.name: fit(DATA, loss, **{**OPTIONS, "epochs": 5}).weights for loss in losses}


WAYS = [
    *((CrossEntropy(), {"which": which, "fill": "mean"}) for which in MAPS),
    (CrossEntropy(), {"which": "pixels", "grid": 8}),
    *((CrossEntropy(), {"which": which, "level": "features"}) for which in ("pixels", "free", "mean-mask")),
    # LDAM changes its weights late, so that it has to see how much of the training is done.
    *((loss, {"which": which}) for loss in (LDAM(), LogitAdjusted()) for which in ("free", "mean-image")),
    *((loss, {"which": "pixels", "level": "features"}) for loss in (LDAM(), LogitAdjusted())),
]


@pytest.mark.parametrize(("loss", "options"), WAYS, ids=lambda part: str(getattr(part, "name", part)))
def test_the_network_is_to_the_last_bit_that_of_the_loss_alone_and_only_the_map_moves_after_it(loss, options, alone):
    method = after(classification=loss, **options)
    run = fit(DATA, method, **{**OPTIONS, "epochs": 5})
    network = {name: tensor for name, tensor in run.weights.items() if not slot_of(name)}
    # Batch statistics too, and how many batches they are of.
    assert network.keys() == alone[loss.name].keys()
    assert all(torch.equal(tensor, network[name]) for name, tensor in alone[loss.name].items())
    values = attention_map(run.network())
    if method.map in FIXED:
        np.testing.assert_array_equal(values, GlobalAttention(map=method.map).mask(facts_of()).map())
        assert len(run.pretraining) == 0 and run.traces["attention map"].shape == (1, 32, 32)
    else:
        start = 1 / (1 + np.exp(-START))
        assert np.abs(values - start).max() > 1e-3
        assert list(run.pretraining["stage"]) == ["map", "map"]
        assert {"loss: classification", "loss: sparsity", "loss: variation"} <= set(run.pretraining)
        assert "attention map" not in run.traces  # while the network learns the map is open
        recorded = run.traces["map: attention map"]
        assert recorded.shape == (2, 32, 32) and not np.array_equal(*recorded)
        np.testing.assert_array_equal(np.round(values * np.float32(65535)), recorded[-1])
    assert list(run.history["stage"].unique()) == ["network"] and len(run.history) == 5


def test_predictions_are_those_through_the_map(alone):
    for which in ("free", "mean-image"):
        run = fit(DATA, after(which), **{**OPTIONS, "epochs": 5})
        plain = build_model("small", 3, 1).eval()
        plain.load_state_dict(alone["cross-entropy"])
        x = DATA.test.images.float() / 255
        with torch.no_grad():
            through = plain(x * torch.from_numpy(attention_map(run.network()))).double().softmax(1).numpy()
            unhidden = plain(x).double().softmax(1).numpy()
        np.testing.assert_allclose(run.probabilities, through, atol=1e-5)
        assert np.abs(run.probabilities - unhidden).max() > 1e-3
        assert run.class_maps(DATA.test.images[:2], DATA.test.labels[:2]).shape == (2, 32, 32)
        # What is measured while the network learns is that of the open network, but for the end, where a map is put on.
        open_run = fit(DATA, CrossEntropy(), **{**OPTIONS, "epochs": 5})
        same = run.history["balanced accuracy"] == open_run.history["balanced accuracy"]
        assert same[:-1].all() and (same.iloc[-1] or which == "mean-image")


@dataclass(frozen=True)
class Doubled(CrossEntropy):
    """Cross-entropy that puts something without parameters behind the features."""

    name: ClassVar[str] = "doubled features"

    def wrap(self, model, facts):
        """Features times two."""

        class Twice(nn.Module):
            def forward(self, features):
                return 2 * features

        model.fill("after", Twice())
        return model


@dataclass(frozen=True)
class Learning(CrossEntropy):
    """Cross-entropy with a part of its own that has to be learned."""

    name: ClassVar[str] = "learning part"

    def wrap(self, model, facts):
        """A convolution behind the features."""
        model.fill("after", nn.Conv2d(model.channels, model.channels, 1))
        return model


def test_what_a_loss_puts_into_the_network_stays_there_or_is_refused():
    run, plain = (fit(DATA, method, **OPTIONS) for method in (after(classification=Doubled()), Doubled()))
    assert all(torch.equal(tensor, run.weights[name]) for name, tensor in plain.weights.items())
    with pytest.raises(InvalidInputError, match=r"after\.weight.*order=\"together\""):
        fit(DATA, after(classification=Learning()), **OPTIONS)
    fit(DATA, GlobalAttention(classification=Learning()), **{**OPTIONS, "epochs": 1})


# What the loss sees


@dataclass(frozen=True)
class Watching(LogitAdjusted):
    """Logit adjustment that writes down what it is given."""

    name: ClassVar[str] = "watching"
    seen: ClassVar[list] = []

    def loss(self, logits, target, facts, progress):
        """The same loss."""
        self.seen.append((facts.counts, progress, target.tolist()))
        return super().loss(logits, target, facts, progress)


@pytest.mark.parametrize("retrain", [0.0, 0.5])
def test_batches_of_the_map_are_balanced_and_no_progress_is_seen_twice(retrain):
    Watching.seen.clear()
    fit(DATA, after(classification=Watching(), retrain=retrain, map_epochs=40), **OPTIONS)
    counts = tuple(DATA.train.counts.tolist())
    batches = -(-sum(counts) // OPTIONS["batch_size"])
    first = round(4 * (1 - retrain)) * batches
    parts = Watching.seen[:first], Watching.seen[first : first + 40 * batches], Watching.seen[first + 40 * batches :]
    for (network, alone, both), done in ((parts, 1 - retrain),):
        assert {given for given, _, _ in network + both} == {counts}
        assert {given for given, _, _ in alone} == {(max(counts),) * 3}
        shares = np.bincount([label for _, _, labels in alone for label in labels]) / (40 * sum(counts))
        np.testing.assert_allclose(shares, 1 / 3, atol=0.06)
        assert np.bincount([label for _, _, labels in network for label in labels]).tolist() == [
            n * first // batches for n in counts
        ]
        progress = [when for _, when, _ in network + both]
        np.testing.assert_allclose(progress, np.arange(4 * batches) / (4 * batches))
        assert {when for _, when, _ in alone} == {min(done, np.nextafter(1, 0))}  # in [0, 1), as a loss is promised


# Stopped and shared


class Died(Exception):
    """In the middle of an epoch."""


@pytest.fixture
def dying(monkeypatch):
    """Let the loss fail at its n-th call; how often it was called."""
    calls, original = [], CrossEntropy.loss

    def arm(number):
        calls.clear()

        def loss(self, logits, target, facts, progress):
            calls.append(progress)
            if len(calls) == number:
                raise Died
            return original(self, logits, target, facts, progress)

        monkeypatch.setattr(CrossEntropy, "loss", loss)
        return calls

    return arm


@pytest.mark.parametrize(
    "method",
    [
        after("pixels", fill="mean", retrain=0.5),
        after("shuffled", retrain=0.5, level="features"),
        after("mean-mask", fill="mean", retrain=0.5),
    ],
    ids=lambda method: f"{method.map} {method.level}",
)
def test_a_training_that_dies_in_any_stage_goes_on_to_the_same_bits(method, dying, tmp_path):
    whole = fit(DATA, method, **OPTIONS)
    stages = {row["stage"] for table in (whole.history, whole.pretraining) for _, row in table.iterrows()}
    assert stages == ({"network", "both"} if method.map in FIXED else {"network", "map", "both"})
    batches = -(-len(DATA.train) // OPTIONS["batch_size"])
    epochs = len(whole.history) + len(whole.pretraining)
    checkpoint = tmp_path / "checkpoint"
    for _ in range(epochs):  # in the second batch after the epoch that it went on from
        dying(batches + 2)
        try:
            fit(DATA, method, checkpoint=checkpoint, **OPTIONS)
        except Died:
            continue
    dying(0)
    resumed = fit(DATA, method, checkpoint=checkpoint, **OPTIONS)
    assert same_bits(resumed, whole) and resumed.pretraining.equals(whole.pretraining)


def test_arms_that_share_train_the_network_once_and_to_the_same_bits(dying, tmp_path):
    arms = [
        after("free"),
        after("pixels", fill="mean"),
        after("principal-components", sparsity=0.5),
        after("shuffled", map_epochs=1),
        after("permuted", images=5),
    ]
    apart = [fit(DATA, method, **OPTIONS) for method in arms]
    batches = -(-len(DATA.train) // OPTIONS["batch_size"])
    for number, (method, by_itself) in enumerate(zip(arms, apart, strict=True)):
        calls = dying(0)
        assert same_bits(fit(DATA, method, shared_stages=tmp_path, **OPTIONS), by_itself)
        assert len(calls) == (method.map_epochs + (4 if number == 0 else 0)) * batches
    assert len(list(tmp_path.iterdir())) == 1


def test_arms_of_which_another_network_is_measured_or_trained_do_not_share(tmp_path):
    for number, method in enumerate(
        [
            after("pixels"),
            after(level="features"),  # its open map lies elsewhere: measured bits differ
            after("pixels", grid=8),  # resized, an open map is 1 but for rounding
            after(retrain=0.5),
            after(classification="ldam"),
            after(classification=LDAM(beta=0.9)),
        ]
    ):
        shared = fit(DATA, method, shared_stages=tmp_path, **OPTIONS)
        assert number not in (1, 2) or same_bits(shared, fit(DATA, method, **OPTIONS))
        assert len(list(tmp_path.iterdir())) == number + 1
    fit(DATA, after("mean-mask", retrain=0.5), shared_stages=tmp_path, **OPTIONS)  # it may be of masks
    assert len(list(tmp_path.iterdir())) == number + 1


# Controls


def test_the_shuffled_map_has_the_free_masks_values_in_other_places():
    free, shuffled = (fit(DATA, after(which, fill="mean"), **OPTIONS) for which in ("free", "shuffled"))
    maps = [attention_map(run.network()) for run in (free, shuffled)]
    np.testing.assert_array_equal(*(np.sort(values, axis=None) for values in maps))
    assert (maps[0] != maps[1]).mean() > 0.9
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_array_equal(maps[1].ravel(), maps[0].ravel()[order])
    # Until then they are the same; then the shuffled one is what is recorded, and what predicts.
    np.testing.assert_array_equal(free.traces["map: attention map"][0], shuffled.traces["map: attention map"][0])
    np.testing.assert_array_equal(shuffled.traces["map: attention map"][1], np.round(maps[1] * np.float32(65535)))
    assert not np.array_equal(free.probabilities, shuffled.probabilities)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**16), st.booleans())
def test_the_mean_mask_is_that_of_the_training_masks(n, seed, some):
    train = made_up_dataset(max(n, 3), seed % 50)
    known = torch.rand(len(train), generator=torch.Generator().manual_seed(seed)) < 0.5
    known[0] = True
    if some:  # images of which nobody has drawn the lesion leave the map as it is
        train = replace(train, masks=train.masks & known[:, None, None], has_mask=known)
    mean = (train.masks[known] if some else train.masks).double().mean(0)
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    found = GlobalAttention(map="mean-mask").mask(facts_of(train)).map()
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)


def test_the_mean_mask_needs_masks():
    without = replace(DATA.train, masks=None, has_mask=None)
    nothing_drawn = replace(DATA.train, masks=torch.zeros_like(DATA.train.masks))
    for train in (without, nothing_drawn):
        with pytest.raises(InvalidInputError, match="mean-mask"):
            fit(replace(DATA, train=train), after("mean-mask"), **OPTIONS)


def test_both_learn_at_last_where_epochs_are_kept_for_it():
    run = fit(DATA, after("pixels", retrain=0.25), **OPTIONS)
    assert list(run.history["stage"]) == ["network"] * 3 + ["both"]
    maps = run.traces["map: attention map"][-1], run.traces["attention map"]
    assert maps[1].shape == (1, 32, 32) and not np.array_equal(maps[0], maps[1][0])
    shorter = fit(DATA, after("pixels"), **{**OPTIONS, "epochs": 3})
    moved = [name for name, tensor in run.weights.items() if not torch.equal(tensor, shorter.weights[name])]
    assert {"head.weight", "before.values"} < set(moved)
    with pytest.raises(InvalidInputError, match="at least 2 epochs"):
        fit(DATA, after(retrain=0.5), **{**OPTIONS, "epochs": 1})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fill": "mean", "level": "features"}, r'fill="mean".*level="input"'),
        ({"map": "shuffled"}, r'shuffled.*order="after"'),
        ({"retrain": 0.5}, r'retrain.*order="after"'),
        ({"retrain": 1.0, "order": "after"}, r"retrain=1.0.*\[0, 1\)"),
        ({"retrain": -0.1, "order": "after"}, r"retrain=-0.1.*\[0, 1\)"),
        ({"map_epochs": 0, "order": "after"}, "map_epochs=0.*at least 1"),
        ({"order": "afterwards"}, "after.*together|together.*after"),
        ({"fill": "average"}, "black.*mean"),
    ],
)
def test_what_cannot_be_is_named_with_the_remedy(options, words):
    with pytest.raises(InvalidInputError, match=words):
        GlobalAttention(**options)


def test_the_names_of_maps_are_what_is_learned_and_what_is_not():
    for which in MAPS:
        network = GlobalAttention(map=which, order="after", components=4).wrap(build_model("small", 3, 1), facts_of())
        assert bool(list(network.before.parameters())) == (which in LEARNED) == (which not in FIXED)
        assert bool((network.before.map() == 1).all())


def test_a_map_that_rests_is_not_decayed():
    """AdamW's decay moves what it holds, with or without a gradient; an open map is not in its hands."""
    method = after("pixels")
    stages = method.stages(facts_of(), 4)
    assert stages[0].trainable == ("body.", "head.") and stages[1].trainable == ("before.",)
    assert careedu.GlobalAttention(order="after", level="features").stages(facts_of(), 4)[1].trainable == ("after.",)
    batch = Batch(DATA.train, torch.arange(4), Augmentation(), torch.Generator())
    network = method.wrap(build_model("small", 3, 1), facts_of())
    sum(stages[0].updates[0].terms(network, batch).values()).backward()
    assert all(parameter.grad is None for parameter in network.before.parameters())
