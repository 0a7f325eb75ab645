"""What is seen where a map is closed: the mean training image, folded into the standardisation, moved and saved."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits, thinned

import careedu
from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.errors import CheckpointError
from careedu.experiment.results import Results
from careedu.methods.facts import TrainingFacts
from careedu.methods.global_attention import GlobalAttention, GlobalSpatialAttention
from careedu.nn.backbones import build_model
from careedu.nn.pixel_features import average_image, mean_image
from careedu.nn.spatial_mask import FixedMask, FreeMask
from careedu.training.batch import Batch
from careedu.training.prediction import predict_logits

DATA = thinned(made_up_splits(24, 9, 18), 2, 4)
OPTIONS = {"epochs": 2, "batch_size": 12, "probes": 1, "progress": False, "device": "cpu"}


def facts_of(train):
    return TrainingFacts(tuple(train.counts.tolist()), (2,), tuple(train.images.shape[1:]), train)


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def with_behind(mask, behind):
    mask.behind = behind
    return mask


def wrapped(method, train, channels=1):
    """A network that sees through the method's map, which is not flat, in evaluation mode."""
    torch.manual_seed(0)
    network = method.wrap(build_model("small", 3, channels), facts_of(train)).eval()
    network.standardize_by(train.images)
    with torch.no_grad():
        for parameter in network.before.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return network


# The fold

SMALL = {channels: build_model("small", 3, channels) for channels in (1, 3)}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([1, 3]),
    st.integers(1, 4),
    st.tuples(st.integers(16, 24), st.integers(16, 24)),
    st.integers(0, 2**16),
    st.sampled_from(["mean", "black"]),
)
def test_the_fold_is_what_the_mask_makes_of_the_images_standardised(dtype, channels, n, size, seed, fill):
    network = copy.deepcopy(SMALL[channels]).to(dtype)
    network.standardize(drawn(channels, seed=seed), 0.5 + drawn(channels, seed=seed + 1))
    behind = drawn(channels, *size, seed=seed + 2, dtype=dtype) if fill == "mean" else None
    values = drawn(*size, seed=seed + 3, dtype=dtype).mul(1.2).clamp(max=1)
    network.before = with_behind(FixedMask(values), behind)
    x = drawn(n, channels, *size, seed=seed + 4, dtype=dtype)
    masked = network.before(x)
    if fill == "black":
        assert torch.equal(masked, x * values)
    else:
        expected = values.double() * x.double() + (1 - values.double()) * behind.double()
        torch.testing.assert_close(masked.double(), expected, rtol=0, atol=1e-6)
        assert torch.equal(masked, x * values + (1 - values) * behind)
    seen = network.seen(x)
    assert seen.dtype == dtype and seen.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        seen, network.standardized(masked), rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-13
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_the_maps_gradient_through_the_fold_is_that_of_finite_differences(channels):
    network = build_model("small", 3, channels).double()
    network.smallest = 4  # nothing but the images is computed
    network.standardize([0.4] * channels, [0.3] * channels)
    mask = GlobalSpatialAttention(drawn(4, channels, 8, 9))
    network.before = with_behind(mask, drawn(channels, 8, 9, seed=1))
    network.forward = network.seen
    x = drawn(2, channels, 8, 9, seed=2)

    def seen(weight, bias):
        return torch.func.functional_call(network, {"before.weight": weight, "before.bias": bias}, (x,))

    assert torch.autograd.gradcheck(seen, [drawn(4, seed=3).requires_grad_(), drawn(1, seed=4)[0].requires_grad_()])
    # The more an image differs from what is behind, the more the map matters there; where it does not, not at all.
    same = network.before.behind.expand(2, channels, 8, 9)
    values = mask.map().detach().requires_grad_()
    (slope,) = torch.autograd.grad(network.standardized(same, values, network.before.behind).square().sum(), values)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_closed_map_shows_the_mean_image_in_every_image(channels):
    train = made_up_dataset(12, 0, channels=channels)
    network = wrapped(GlobalAttention(map="free", fill="mean"), train, channels)
    torch.nn.init.constant_(network.before.logits, -200.0)
    logits = predict_logits(network, train.images)
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=0, atol=1e-5)
    plain = copy.deepcopy(network)
    plain.before = torch.nn.Identity()
    with torch.no_grad():
        expected = plain(average_image(train.images)[None])
    torch.testing.assert_close(logits[:1], expected, rtol=0, atol=1e-5)
    assert predict_logits(plain, train.images).std(dim=0).max() > 1e-3


# In training


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("which", ["pixels", "free", "mean-image"])
def test_of_images_that_are_not_moved_training_sees_what_prediction_sees(which, channels):
    train = made_up_dataset(12, 0, channels=channels)
    method = GlobalAttention(map=which, fill="mean")
    network = wrapped(method, train, channels)
    batch = Batch(train, torch.arange(5), Augmentation(), torch.Generator())
    with torch.no_grad():
        found = method.features(network, batch, network.before.map())
        torch.testing.assert_close(found, network.features(batch.inputs), rtol=1e-4, atol=1e-5)
        black = GlobalAttention(map=which).features(with_behind_of(network, None), batch, network.before.map())
    assert (found - black).abs().max() > 1e-2


def with_behind_of(network, behind):
    network = copy.deepcopy(network)
    network.before.behind = behind
    return network


MOVES = {
    "any-orientation": Augmentation.named("any-orientation"),
    "upright": Augmentation.named("upright"),
    "turned": Augmentation(rotation=40.0),
    "toned": Augmentation(brightness=0.4, contrast=0.6),
}


@pytest.mark.parametrize("moves", MOVES)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([1, 3]))
def test_an_image_that_is_the_mean_image_stays_itself_whatever_the_map(moves, seed, channels):
    """So what is behind is moved and toned as the image is: else a map would show where the two differ."""
    image = (drawn(1, channels, 16, 16, seed=seed) * 255).to(torch.uint8)
    train = LesionDataset(image.repeat(6, 1, 1, 1), torch.arange(6) % 3, classes=("a", "b", "c"))
    method = GlobalAttention(map="free", fill="mean")
    network = method.wrap(build_model("small", 3, channels), facts_of(train))
    network.body = torch.nn.Identity()
    batch = Batch(train, torch.arange(6), MOVES[moves], torch.Generator().manual_seed(seed))
    values = drawn(16, 16, seed=seed + 1, dtype=torch.float32).round()
    torch.testing.assert_close(method.features(network, batch, values), batch.inputs, rtol=0, atol=1e-5)
    assert not torch.allclose(batch.inputs, batch.originals, atol=1e-3)
    # Where the map is closed, other images are what the mean image became.
    other = LesionDataset(255 - train.images, train.labels, classes=("a", "b", "c"))
    batch = Batch(other, torch.arange(6), MOVES[moves], torch.Generator().manual_seed(seed))
    closed = method.features(network, batch, torch.zeros(16, 16))
    torch.testing.assert_close(closed, batch.augmented(average_image(train.images)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("moves", MOVES)
def test_one_more_image_is_moved_and_toned_as_each_of_the_batch(moves):
    batch = Batch(DATA.train, torch.arange(8), MOVES[moves], torch.Generator().manual_seed(3))
    for row in range(8):
        moved = batch.augmented(batch.originals[row])
        assert moved.shape == batch.inputs.shape
        torch.testing.assert_close(moved[row], batch.inputs[row], rtol=0, atol=1e-6)
    assert not torch.allclose(moved[0], moved[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**16))
def test_the_average_image_is_the_mean_over_images_part_by_part(n, channels, height, width, seed):
    images = (drawn(n, channels, height, width, seed=seed) * 255).round().to(torch.uint8)
    found = average_image(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("careedu.nn.pixel_features._AT_A_TIME", 50)  # a few images at a time
        assert torch.equal(average_image(images), found)
        stretched = mean_image(images)
    assert torch.equal(mean_image(images), stretched)  # whole numbers: sums are exact
    torch.testing.assert_close(found.double(), images.double().mean(0) / 255, rtol=0, atol=1e-7)
    assert found.dtype == torch.float32 and found.min() >= 0 and found.max() <= 1


def test_the_mean_image_is_that_of_all_images_also_where_the_map_is_of_some():
    mask = GlobalAttention(fill="mean", images=3).mask(facts_of(DATA.train))
    assert len(mask.weight) == 3 and torch.equal(mask.behind, average_image(DATA.train.images))
    assert GlobalAttention().mask(facts_of(DATA.train)).behind is None


# Saved and opened

RUNS = {
    "together": GlobalAttention(fill="mean"),
    "after": GlobalAttention(map="free", order="after", fill="mean", map_epochs=2),
    "both": GlobalAttention(map="free", order="after", fill="mean", map_epochs=2, retrain=0.5),
    "fixed": GlobalAttention(map="mean-mask", order="after", fill="mean"),
}


@pytest.fixture(scope="module")
def runs():
    return {name: careedu.fit(DATA, method, **OPTIONS) for name, method in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_opens_without_images_and_predicts_the_same(name, runs, tmp_path):
    run = runs[name]
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    assert torch.equal(network.before.behind, average_image(DATA.train.images))
    assert network.before.map().std() > 0 and list(network.before.parameters()) == []
    logits = predict_logits(network, DATA.test.images)
    np.testing.assert_array_equal(run.adjusted(logits).softmax(dim=1).numpy(), run.probabilities)
    black = with_behind_of(network, None)
    assert np.abs(predict_logits(black, DATA.test.images).softmax(1).numpy() - run.probabilities).max() > 1e-4
    assert {key for key in run.weights if key.startswith("before.")} == {"before.values", "before.behind"}


def test_saved_results_hold_it_in_half_precision(runs, tmp_path):
    run = runs["after"]
    results = Results({"after": {0: run}, "fixed": {0: runs["fixed"]}})
    back = Results.load(results.save(tmp_path / "results", weights=["after"])).runs["after"][0]
    network = back.network()
    behind = network.before.behind
    assert behind.dtype == torch.float32
    torch.testing.assert_close(behind, average_image(DATA.train.images).half().float(), rtol=0, atol=0)
    probabilities = predict_logits(network, DATA.test.images).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, run.probabilities, atol=2e-2)


@pytest.mark.parametrize("kind", ["pixels", "free", "fixed"])
def test_states_with_a_mean_image_go_between_learning_and_fixed_masks(kind):
    def mask():
        images = drawn(5, 3, 6, 7, dtype=torch.float32)
        kinds = {"pixels": lambda: GlobalSpatialAttention(images), "free": lambda: FreeMask((6, 7))}
        return kinds.get(kind, lambda: FixedMask(drawn(6, 7, dtype=torch.float32)))()

    first = with_behind(mask(), drawn(3, 6, 7, seed=1, dtype=torch.float32))
    x = drawn(2, 3, 6, 7, seed=2, dtype=torch.float32)
    expected = first(x).detach()
    frozen = copy.deepcopy(first).freeze()
    assert torch.equal(frozen(x), expected) and torch.equal(frozen.behind, first.behind)
    assert list(frozen.state_dict()) == ["behind", "values"] or set(frozen.state_dict()) == {"behind", "values"}
    for state in (first.state_dict(), frozen.state_dict(), {k: t.half() for k, t in frozen.state_dict().items()}):
        for opened in (FixedMask(torch.ones(6, 7)), mask(), with_behind(mask(), torch.zeros(3, 6, 7))):
            opened.load_state_dict(state)
            assert opened.behind.dtype == torch.float32
            torch.testing.assert_close(opened(x).detach(), expected, rtol=0, atol=2e-3)
    with pytest.raises(RuntimeError, match=r"[Mm]issing.*behind"):
        with_behind(mask(), torch.zeros(3, 6, 7)).load_state_dict(mask().state_dict())


def test_weights_without_the_mean_image_are_not_taken_for_those_with_it():
    with_it, without = (wrapped(GlobalAttention(fill=fill), DATA.train) for fill in ("mean", "black"))
    with pytest.raises(CheckpointError, match="behind"):
        with_it.load_state_dict(without.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["googlenet", "vgg16", "resnet18", "densenet121"])
def test_the_networks_of_the_paper(model, tmp_path):
    data = made_up_splits(train=12, val=6, test=6, channels=3)
    method = GlobalAttention(order="after", fill="mean", map_epochs=1)
    options = {**OPTIONS, "epochs": 1, "model": model}
    run, plain = careedu.fit(data, method, **options), careedu.fit(data, "cross-entropy", **options)
    assert all(torch.equal(tensor, run.weights[name]) for name, tensor in plain.weights.items())
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    np.testing.assert_allclose(predict_logits(network, data.test.images).softmax(1), run.probabilities, atol=1e-6)
    assert run.class_maps(data.test.images[:1], data.test.labels[:1]).shape == (1, 32, 32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_mixed_precision_leaves_the_map_in_float32(precision):
    run = careedu.fit(DATA, RUNS["after"], **{**OPTIONS, "precision": precision})
    assert run.weights["before.values"].dtype == run.weights["before.behind"].dtype == torch.float32
    assert np.isfinite(run.probabilities).all() and len(run.traces["map: attention map"]) == 2
