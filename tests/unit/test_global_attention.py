"""Global spatial attention: the map's equation, what it depends on, where it is saved, and how it is trained."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits, thinned
from made_up_maps import attention_map

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError
from careedu.experiment.attention import recorded_maps, trained_map
from careedu.experiment.results import Results
from careedu.measure.map_quality import map_auroc
from careedu.methods.facts import TrainingFacts
from careedu.methods.global_attention import FIXED, MAPS, GlobalAttention, GlobalSpatialAttention
from careedu.methods.local_attention import LocalAttention
from careedu.nn.backbones import build_model
from careedu.nn.local_attention import SpatialAttention, SqueezeExcitation
from careedu.nn.pixel_features import mean_image, pixel_scores, principal_components
from careedu.nn.spatial_mask import FixedMask, FreeMask, MaskedFeatures, total_variation
from careedu.training.batch import Batch
from careedu.training.loop import TrainingStopped

DATA = thinned(made_up_splits(train=90, val=15, test=15), 2, 12)
OPTIONS = {"epochs": 2, "progress": False, "device": "cpu"}
TOGETHER = tuple(which for which in MAPS if which != "shuffled")
"""Maps that may learn with the network."""


def random_images(n=7, channels=1, height=6, width=5, seed=0, dtype=torch.float64):
    return torch.rand(
        n, channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def with_random_weights(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def facts_of(data=DATA.train):
    return TrainingFacts(tuple(data.counts.tolist()), (2,), tuple(data.images.shape[1:]), data)


# The map as a module


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.sampled_from(["uint8", "float64"])
)
def test_the_map_is_the_equation_and_forward_the_product(n, channels, height, width, kind):
    images = random_images(n, channels, height, width)
    if kind == "uint8":
        images = (images * 255).round().to(torch.uint8)
    module = with_random_weights(GlobalSpatialAttention(images).double())
    intensities = images.double().mean(1) / (255 if kind == "uint8" else 1)
    expected = torch.sigmoid(torch.einsum("n,nhw->hw", module.weight, intensities / n) + module.bias)
    torch.testing.assert_close(module.map(), expected, rtol=1e-12, atol=1e-12)
    x = torch.rand(3, channels, height, width, dtype=torch.float64)
    assert torch.equal(module(x), x * module.map())
    assert module.map().shape == (height, width) and module.map().min() >= 0 and module.map().max() <= 1


def test_it_starts_flat_at_the_sigmoid_of_two():
    module = GlobalSpatialAttention(random_images(dtype=torch.float32))
    assert not module.weight.any() and module.bias.item() == 2
    torch.testing.assert_close(module.map(), torch.full((6, 5), 1 / (1 + math.exp(-2))))


@pytest.mark.parametrize("options", [{}, {"neighbourhood": True}, {"grid": 3}, {"permutation": 4}, {"components": 3}])
def test_the_gradient_is_that_of_finite_differences(options):
    module = with_random_weights(GlobalSpatialAttention(random_images(), **options))
    x = random_images(2, 1, seed=5)
    parameters = [module.weight.detach().requires_grad_(), module.bias.detach().requires_grad_()]

    def output(weight, bias):
        return torch.func.functional_call(module, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(output, parameters)


def test_the_gradient_is_the_formula():
    images = random_images()
    module = with_random_weights(GlobalSpatialAttention(images))
    upstream = random_images(1, seed=9)[0, 0]
    (upstream * module.map()).sum().backward()
    m = module.map().detach()
    slope = upstream * m * (1 - m)
    torch.testing.assert_close(module.weight.grad, torch.einsum("hw,nhw->n", slope, images[:, 0]) / len(images))
    torch.testing.assert_close(module.bias.grad, slope.sum())


def test_whole_numbers_are_multiplied_part_by_part_without_a_trace(monkeypatch):
    stack = torch.randint(0, 256, (11, 30), dtype=torch.uint8)
    weight = torch.randn(2, 11, dtype=torch.float64, requires_grad=True)
    monkeypatch.setattr("careedu.nn.pixel_features._AT_A_TIME", 100)  # three rows at a time
    torch.testing.assert_close(pixel_scores(weight, stack), weight @ stack.double())
    assert torch.autograd.gradcheck(lambda w: pixel_scores(w, stack), weight)


def test_coloured_whole_numbers_are_summed_exactly():
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    module = GlobalSpatialAttention(images)
    assert module.pixels.dtype == torch.int16 and (module.pixels == 765).all()
    assert GlobalSpatialAttention(images[:, :1]).pixels.dtype == torch.uint8


def moved_logits(n):
    """How far one step of Adam moves the logits, with N images of one kind."""
    module = GlobalSpatialAttention(random_images(n, 1, 8, 8, seed=n, dtype=torch.float32))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    (0.1 * module.map().mean()).backward()
    optimizer.step()
    return (torch.logit(module.map()) - 2).detach()


def test_one_step_of_adam_moves_the_logits_alike_whatever_the_number_of_images():
    steps = {n: moved_logits(n).mean().item() for n in (16, 64, 256, 1024, 4096)}
    # b moves by .001, and a·v by .001 times the mean intensity, .5.
    assert all(step == pytest.approx(-1.5e-3, rel=0.03) for step in steps.values()), steps


def test_the_map_does_not_depend_on_the_order_of_the_images():
    images = (random_images(40, 1, 8, 8) * 255).to(torch.uint8)
    target = random_images(1, 1, 8, 8, seed=3, dtype=torch.float32)[0, 0]

    def trained(stack):
        module = GlobalSpatialAttention(stack)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.3)
        for _ in range(20):
            optimizer.zero_grad()
            (module.map() - target).square().mean().backward()
            optimizer.step()
        return module.map().detach()

    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trained(images), trained(images[order]), rtol=0, atol=1e-4)
    assert trained(images).std() > 0.01


def test_as_many_images_as_pixels_reach_any_map_and_so_does_the_free_mask():
    """The control that matters: nothing in the equation keeps the map to what the images show."""
    torch.manual_seed(0)
    module = with_random_weights(GlobalSpatialAttention(random_images(30, 1, 5, 5)))
    wanted = torch.rand(5, 5, dtype=torch.float64) * 0.8 + 0.1
    v = module.pixels * module.scale / 30
    with torch.no_grad():
        module.bias.zero_()
        module.weight.copy_(torch.linalg.lstsq(v.T, torch.logit(wanted).flatten()[:, None]).solution[:, 0])
    torch.testing.assert_close(module.map(), wanted, rtol=1e-6, atol=1e-6)


def test_a_constant_weight_gives_the_mean_image_or_its_negative():
    images = random_images(20, 1, 8, 8)
    module = GlobalSpatialAttention(images)
    zone = torch.zeros(8, 8, dtype=torch.bool)
    zone[2:5, 1:6] = True
    for sign in (1, -1):
        torch.nn.init.constant_(module.weight, 3.0 * sign)
        expected = map_auroc(sign * mean_image(images), zone)
        assert map_auroc(module.map().detach(), zone) == pytest.approx(expected)
    assert map_auroc(module.map().detach(), zone) != pytest.approx(0.5, abs=0.01)


def test_the_permuted_control_moves_every_image_by_the_same_permutation():
    images = random_images()
    plain, permuted = GlobalSpatialAttention(images), GlobalSpatialAttention(images, permutation=3)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    assert torch.equal(permuted.pixels, plain.pixels[:, order])
    for module in (plain, permuted):
        with_random_weights(module)
    torch.testing.assert_close(permuted.map().flatten(), plain.map().flatten()[order])


def test_the_neighbourhood_is_a_convolution():
    images = random_images()
    module = with_random_weights(GlobalSpatialAttention(images, neighbourhood=True))
    kernel = module.weight.T.reshape(1, 7, 3, 3).flip(2, 3)  # fold adds from the other side
    expected = torch.conv2d(images[None, :, 0], kernel, padding=1)[0, 0] / (9 * 7) + module.bias
    torch.testing.assert_close(module.map(), torch.sigmoid(expected))


def test_principal_components_are_those_of_the_pixels():
    images = random_images(9)[:, 0]
    stack, _ = principal_components(images, 3)
    pixels = images.flatten(1)
    u, _, _ = np.linalg.svd((pixels - pixels.mean(1, keepdim=True)).T.numpy(), full_matrices=False)
    for found, expected in zip(stack.flatten(1).numpy(), u.T, strict=False):
        assert abs(np.corrcoef(found, expected)[0, 1]) == pytest.approx(1, abs=1e-4)
        assert found.std() == pytest.approx(1, abs=1e-6) and found.mean() == pytest.approx(0, abs=1e-9)
    assert len(principal_components(images, 100)[0]) <= 9
    before = torch.random.get_rng_state()
    principal_components(images, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(InvalidInputError, match="no principal components"):
        principal_components(torch.full((3, 4, 4), 7, dtype=torch.uint8), 2)


def test_a_coarser_grid_is_averaged_and_the_map_resized():
    images = (random_images(5, 1, 8, 8) * 255).to(torch.uint8)
    module = with_random_weights(GlobalSpatialAttention(images, grid=4))
    assert module.pixels.shape == (5, 16)
    torch.testing.assert_close(module.pixels[0, 0], images[0, 0, :2, :2].float().mean())
    assert module.map().shape == (8, 8)
    assert module.map().min() >= 0 and module.map().max() <= 1


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (torch.zeros(3, 4, 4), {}, r"\(N, C, H, W\)"),
        (torch.zeros(0, 1, 4, 4), {}, "at least one image"),
        (torch.zeros(3, 1, 4, 4, dtype=torch.int64), {}, "uint8 or float"),
        (torch.full((3, 1, 4, 4), 200.0), {}, "divide by 255"),
        (torch.full((3, 1, 4, 4), math.nan), {}, r"\[0, 1\]"),
        (torch.zeros(3, 1, 4, 4), {"grid": 5}, "grid=5"),
        (torch.zeros(1, 129, 4, 4), {}, "129 channels"),
        (torch.zeros(64, 1, 32, 32, dtype=torch.uint8), {"memory_limit": 2**15}, "images=32"),
        (torch.zeros(64, 3, 32, 32, dtype=torch.uint8), {"memory_limit": 2**15}, "images=16"),
    ],
)
def test_images_that_do_not_fit_are_named_with_the_remedy(images, options, words):
    with pytest.raises(InvalidInputError, match=words):
        GlobalSpatialAttention(images, **options)


def test_too_many_pixels_fit_once_the_remedy_is_taken():
    images = torch.zeros(64, 1, 32, 32, dtype=torch.uint8)
    GlobalSpatialAttention(images[:32], memory_limit=2**15)
    GlobalSpatialAttention(images, grid=8, memory_limit=2**15)


def test_images_of_another_size_are_refused():
    module = GlobalSpatialAttention(random_images())
    for wrong in (torch.rand(2, 1, 5, 6), torch.rand(1, 6, 5), torch.zeros(2, 1, 6, 5, dtype=torch.uint8)):
        with pytest.raises(InvalidInputError, match="B, C, 6, 5"):
            module(wrong)


def test_the_pixels_are_a_copy():
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    module = with_random_weights(GlobalSpatialAttention(images))
    before = module.map().detach().clone()
    images.fill_(255)
    assert torch.equal(module.map(), before)


# Saving and freezing


@pytest.mark.parametrize("module", [GlobalSpatialAttention(random_images()), FreeMask((6, 5))])
def test_frozen_only_the_map_is_left(module):
    module = with_random_weights(copy.deepcopy(module))
    before = module.map().detach()
    module.freeze()
    assert list(module.parameters()) == [] and torch.equal(module.map(), before)
    assert {name: tuple(t.shape) for name, t in module.named_buffers()} == {"values": (6, 5)}
    assert list(module.state_dict()) == ["values"]
    assert torch.equal(module.freeze().map(), before)  # twice is once
    x = torch.rand(2, 1, 6, 5, dtype=torch.float64)
    assert torch.equal(module(x), x * before)


def test_no_saved_state_holds_an_image():
    images = (random_images(7) * 255).to(torch.uint8)
    state = GlobalSpatialAttention(images).state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == {"values": (6, 5), "weight": (7,), "bias": ()}
    facts = facts_of()
    network = GlobalAttention().wrap(build_model("small", 3, 1), facts)
    assert not any(
        t.numel() >= facts.dataset.images.numel() and "body" not in k for k, t in network.state_dict().items()
    )


def test_states_go_between_learning_and_fixed_masks():
    learning = with_random_weights(GlobalSpatialAttention(random_images(dtype=torch.float32)))
    frozen = copy.deepcopy(learning).freeze()
    expected = learning.map().detach()
    for state in (learning.state_dict(), frozen.state_dict()):
        fixed = FixedMask(torch.ones(6, 5))
        fixed.load_state_dict(state)
        assert torch.equal(fixed.map(), expected)
        again = GlobalSpatialAttention(random_images(dtype=torch.float32))
        again.load_state_dict(state)
        torch.testing.assert_close(again.map().detach(), expected)
    again = GlobalSpatialAttention(random_images(dtype=torch.float32))
    again.load_state_dict(learning.state_dict())
    assert again.weight.requires_grad and torch.equal(again.weight, learning.weight)
    with pytest.raises(RuntimeError, match=r"[Uu]nexpected"):
        again.load_state_dict({**learning.state_dict(), "pixels": torch.zeros(7, 30)})
    with pytest.raises(RuntimeError, match=r"[Mm]issing"):
        FixedMask(torch.ones(6, 5)).load_state_dict({})


def test_a_fixed_mask_must_be_a_mask():
    for wrong in (torch.full((2, 2), 2.0), torch.full((2, 2), math.nan), torch.ones(3), torch.ones(2, 2).long()):
        with pytest.raises(InvalidInputError, match=r"\[0, 1\]"):
            FixedMask(wrong)


# Regularisers


def test_total_variation_by_hand():
    values = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    assert total_variation(values).item() == pytest.approx(1 / 3 + 2 / 4)
    assert total_variation(torch.full((4, 4), 0.3)).item() == 0
    assert total_variation(torch.tensor([[0.0, 1.0]])).item() == 1
    assert total_variation(torch.tensor([[0.5]])).item() == 0


# A network that looks through the map


def seen_through(mask, model=None, level="input"):
    model = build_model("small", 3, 1) if model is None else model
    setattr(model, *(("before", mask) if level == "input" else ("after", MaskedFeatures(mask))))
    return model.eval()


def test_the_network_keeps_its_face_and_looks_through_the_map():
    torch.manual_seed(0)
    plain = build_model("small", 3, 1).eval()
    mask = FixedMask(torch.rand(32, 32))
    network = seen_through(mask, copy.deepcopy(plain))
    network.standardize([0.4], [0.2])
    plain.standardize([0.4], [0.2])
    x = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(network(x), plain(x * mask.map()))
    torch.testing.assert_close(network.head(network.pool(network.features(x))), network(x))
    assert {k for k in network.state_dict() if not k.startswith("before.")} == set(plain.state_dict())
    inner = seen_through(mask, copy.deepcopy(plain), "features")
    cells = mask.map().view(4, 8, 4, 8).mean(dim=(1, 3))
    torch.testing.assert_close(inner.features(x), plain.features(x) * cells)
    # What an image gives does not depend on which others are in the batch.
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-5)


def test_a_network_looks_through_its_map_only_at_images_of_its_size():
    network = seen_through(FixedMask(torch.rand(32, 32)))
    for height, width in ((32, 40), (64, 64)):
        with pytest.raises(InvalidInputError, match="the size they were trained at"):
            network(torch.rand(2, 1, height, width))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", ["input", "features"])
def test_of_images_that_are_not_moved_training_sees_what_prediction_sees(level, channels):
    torch.manual_seed(0)
    mask, method = FixedMask(torch.rand(32, 32)), GlobalAttention(level=level)
    network = seen_through(mask, build_model("small", 3, channels), level)
    batch = Batch(made_up_dataset(5, 0, channels=channels), torch.arange(4), Augmentation(), torch.Generator())
    assert method.mask_of(network) is mask
    torch.testing.assert_close(method.features(network, batch, mask.map()), network.features(batch.inputs))
    plain = network.body(network.standardized(batch.inputs))
    assert torch.equal(method.features(network, batch, None), plain)  # through no map


def test_the_map_moves_as_the_augmentation_moves_the_image():
    batch = Batch(DATA.train, torch.arange(6), Augmentation(flip_horizontal=True), torch.Generator().manual_seed(0))
    values = torch.rand(32, 32)
    seen = batch.inputs * batch.warp(values.expand(6, 1, 32, 32))
    flipped = batch.draw.forward[:, 0, 0] < 0
    assert 0 < flipped.sum() < 6
    for image, original, turned in zip(seen, batch.originals, flipped, strict=True):
        product = original * values
        torch.testing.assert_close(image, product.flip(-1) if turned else product, atol=1e-5, rtol=0)


def test_beyond_the_border_image_and_map_are_both_continued():
    """What a rotation brings in is neither black nor unweighted: it repeats the border, under the border's weight."""
    data = DATA.train[torch.arange(4)]
    data = replace(data, images=torch.full_like(data.images, 200))
    batch = Batch(data, torch.arange(4), Augmentation(rotation=40.0), torch.Generator().manual_seed(0))
    moved = batch.warp(torch.full((4, 1, 32, 32), 0.25))
    torch.testing.assert_close(batch.inputs * moved, torch.full((4, 1, 32, 32), 0.25 * 200 / 255))


def loss_terms(method, model, batch, facts):
    return method.stages(facts, 2)[0].updates[0].terms(model, batch)


def test_the_loss_is_cross_entropy_and_the_two_regularisers():
    torch.manual_seed(0)
    facts = facts_of()
    method = GlobalAttention(sparsity=0.3, variation=0.7, map="free")
    network = method.wrap(build_model("small", 3, 1), facts).eval()
    with_random_weights(network.before)
    batch = Batch(DATA.train, torch.arange(6), Augmentation(flip_horizontal=True), torch.Generator().manual_seed(0))
    terms = loss_terms(method, network, batch, facts)
    values = network.before.map()
    weighted = torch.stack(
        [x.flip(-1) if f else x for x, f in zip(batch.originals * values, batch.draw.forward[:, 0, 0] < 0, strict=True)]
    )
    logits = network.head(network.pool(network.body(network.standardized(weighted))))
    torch.testing.assert_close(terms["classification"], torch.nn.functional.cross_entropy(logits, batch.labels))
    torch.testing.assert_close(terms["sparsity"], 0.3 * values.mean())
    torch.testing.assert_close(terms["variation"], 0.7 * total_variation(values))
    assert set(terms) == {"classification", "sparsity", "variation"}


@pytest.mark.parametrize("which", TOGETHER)
@pytest.mark.parametrize("level", ["input", "features"])
def test_every_map_gets_gradient_exactly_where_it_is_learned(which, level):
    torch.manual_seed(0)
    facts = facts_of()
    method = GlobalAttention(map=which, level=level, components=4)
    network = method.wrap(build_model("small", 3, 1), facts)
    batch = Batch(DATA.train, torch.arange(8), Augmentation.named("upright"), torch.Generator().manual_seed(0))
    sum(loss_terms(method, network, batch, facts).values()).backward()
    learned = {name: p for name, p in network.named_parameters() if name.startswith(("before.", "after."))}
    assert bool(learned) == (which not in FIXED)
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in learned.values())
    (stage,) = method.stages(facts, 2)
    (update,) = stage.updates
    assert all(name.startswith(tuple(update.learning_rates)) for name in learned)
    assert list(update.learning_rates.values()) == [10.0]


def test_the_mean_image_and_its_negative():
    facts = facts_of()
    mean = facts.dataset.images.double().mean(dim=(0, 1))
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    positive = GlobalAttention(map="mean-image").mask(facts).map()
    torch.testing.assert_close(positive.double(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(GlobalAttention(map="negative-mean-image").mask(facts).map(), 1 - positive)
    assert torch.equal(mean_image(torch.full((3, 1, 4, 4), 9, dtype=torch.uint8)), torch.ones(4, 4))


def test_each_name_of_a_map_gives_that_map():
    facts = facts_of()
    masks = {which: GlobalAttention(map=which, components=4).mask(facts) for which in TOGETHER}
    n, pixels = len(facts.dataset), masks["pixels"].pixels
    assert torch.equal(pixels, facts.dataset.images.flatten(1))
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(masks["permuted"].pixels, pixels[:, order]) and not torch.equal(pixels[:, order], pixels)
    assert masks["pixels"].weight.shape == masks["permuted"].weight.shape == (n,)
    assert masks["neighbourhood"].weight.shape == (9, n)
    assert masks["principal-components"].weight.shape == (4,)
    assert masks["free"].logits.shape == (32, 32)
    assert GlobalAttention(grid=8).mask(facts).pixels.shape == (n, 64)


def test_fewer_images_are_evenly_spaced():
    facts = facts_of()
    mask = GlobalAttention(images=3).mask(facts)
    rows = [0, round((len(DATA.train) - 1) / 2), len(DATA.train) - 1]
    assert torch.equal(mask.pixels, DATA.train.images[rows].flatten(1))
    assert len(GlobalAttention(images=10**6).mask(facts).weight) == len(DATA.train)


@pytest.mark.parametrize(
    "options",
    [
        {"map": "pixel"},
        {"level": "output"},
        {"sparsity": -1.0},
        {"variation": math.nan},
        {"learning_rate": math.inf},
        {"images": 0},
        {"grid": 2.5},
        {"components": True},
        {"components": None},
        {"map_epochs": 0},
        {"map_epochs": None},
        {"order": "before"},
        {"fill": "grey"},
        {"retrain": 1.0},
        {"retrain": math.nan},
        {"classification": careedu.BalancedSampling()},
    ],
)
def test_wrong_options_are_named(options):
    (name,) = options
    with pytest.raises(InvalidInputError, match=name):
        GlobalAttention(**options)
    with pytest.raises(InvalidInputError, match="spatial"):
        LocalAttention(kind="spacial")


# In the training loop


@pytest.fixture(scope="module")
def run():
    return careedu.fit(DATA, GlobalAttention(), **OPTIONS)


def test_the_map_is_learned_recorded_and_opened_again_without_images(run, tmp_path):
    last = run.traces["attention map"]
    assert last.shape == (2, 32, 32) and last.dtype == np.uint16
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    values = attention_map(network)
    assert values.shape == (32, 32) and values.dtype == np.float32
    np.testing.assert_array_equal(np.round(values * np.float32(65535)), last[-1])
    assert np.abs(values - 1 / (1 + math.exp(-2))).max() > 0.005
    with torch.no_grad():
        probabilities = network(DATA.test.images.float() / 255).double().softmax(1)
    np.testing.assert_allclose(probabilities, run.probabilities, atol=1e-6)
    assert run.class_maps(DATA.test.images[:2], DATA.test.labels[:2]).shape == (2, 32, 32)
    assert {"loss: classification", "loss: sparsity", "loss: variation"} <= set(run.history)


def test_test_and_validation_images_have_no_part_in_the_map(run):
    other = made_up_dataset(15, 7)
    changed = replace(DATA, val=replace(other, ids=[f"v{i}" for i in range(15)], groups=None), test=other[:9])
    again = careedu.fit(changed, GlobalAttention(), **OPTIONS)
    for name in run.weights:
        assert torch.equal(again.weights[name], run.weights[name]), name


def test_a_stopped_training_goes_on_to_the_same_bits(run, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(TrainingStopped):
        careedu.fit(DATA, GlobalAttention(), checkpoint=checkpoint, on_epoch=lambda report: False, **OPTIONS)
    resumed = careedu.fit(DATA, GlobalAttention(), checkpoint=checkpoint, **OPTIONS)
    for name in run.weights:
        assert torch.equal(resumed.weights[name], run.weights[name]), name
    np.testing.assert_array_equal(resumed.traces["attention map"], run.traces["attention map"])
    assert checkpoint.stat().st_size < 20 * sum(t.numel() for t in run.weights.values())


@pytest.mark.parametrize(
    "method",
    [
        GlobalAttention(map="free"),
        GlobalAttention(map="mean-image", level="features"),
        GlobalAttention(grid=8, classification=careedu.LDAM()),
        LocalAttention(),
        LocalAttention(kind="spatial", classification=careedu.LDAM()),
    ],
    ids=lambda m: m.label(),
)
def test_each_control_trains_and_opens_again(method, tmp_path):
    run = careedu.fit(DATA, method, **{**OPTIONS, "epochs": 1})
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    with torch.no_grad():
        logits = network(DATA.test.images.float() / 255).double()
    probabilities = method.adjust(logits, facts_of()).softmax(1)
    np.testing.assert_allclose(probabilities, run.probabilities, atol=1e-6)


def test_a_mask_of_ones_is_plain_cross_entropy(monkeypatch):
    monkeypatch.setattr(GlobalAttention, "mask", lambda self, facts: FixedMask(torch.ones(32, 32)))
    once = {
        **OPTIONS,
        "epochs": 1,
    }  # in more, rounding moves a maximum on some processors
    plain = careedu.fit(DATA, careedu.CrossEntropy(), **once)
    masked = careedu.fit(DATA, GlobalAttention(), **once)
    np.testing.assert_allclose(masked.probabilities, plain.probabilities, atol=1e-5)


def test_coloured_images():
    data = made_up_splits(train=24, val=9, test=9, channels=3)
    run = careedu.fit(data, GlobalAttention(), **{**OPTIONS, "epochs": 1})
    assert run.traces["attention map"].shape == (1, 32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["googlenet", "vgg16", "resnet18", "densenet121"])
def test_the_networks_of_the_paper(model, tmp_path):
    data = made_up_splits(train=12, val=6, test=6)
    run = careedu.fit(data, GlobalAttention(), model=model, **{**OPTIONS, "epochs": 1})
    network = careedu.Run.load(run.save(tmp_path / "run")).network()
    assert attention_map(network).shape == (32, 32)
    assert run.class_maps(data.test.images[:1], data.test.labels[:1]).shape == (1, 32, 32)


# Local attention


def test_squeeze_and_excitation_by_hand():
    torch.manual_seed(0)
    block = SqueezeExcitation(8, reduction=4)
    features = torch.rand(3, 8, 5, 4)
    first, _, second, _ = block.gate
    z = features.mean(dim=(2, 3))
    gate = torch.sigmoid(torch.relu(z @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    torch.testing.assert_close(block(features), features * gate[:, :, None, None])
    assert first.out_features == 2 and SqueezeExcitation(3).gate[0].out_features == 1


def test_spatial_attention_weights_positions_of_each_image():
    torch.manual_seed(0)
    block = SpatialAttention()
    features = torch.rand(2, 8, 9, 9) + 0.1
    weight = block(features) / features
    torch.testing.assert_close(weight, weight[:, :1].expand_as(weight))  # the same for all channels
    assert not torch.allclose(weight[0], weight[1])  # but not for all images
    assert weight.min() > 0 and weight.max() < 1
    for wrong in (2, 0):
        with pytest.raises(InvalidInputError, match="odd"):
            SpatialAttention(wrong)


# The map that is measured


def test_what_is_recorded_orders_the_pixels_as_the_map_itself(run):
    """Of a short training the whole map lies within a few hundredths, which 256 steps do not tell apart."""
    zone = np.zeros((32, 32), dtype=bool)
    zone[8:20, 8:20] = True
    exact = attention_map(run.network())
    assert map_auroc(recorded_maps(run)[-1], zone) == pytest.approx(map_auroc(exact, zone), abs=1e-3)
    np.testing.assert_array_equal(trained_map(run), recorded_maps(run)[-1])
    # Eight bits as in older runs, or nothing recorded: then what the weights hold is better.
    older = {"attention map": (recorded_maps(run) * 255).round().astype(np.uint8)}
    for traces in (older, {}):
        np.testing.assert_array_equal(trained_map(replace(run, traces=traces)), exact.astype(np.float64))
    np.testing.assert_allclose(trained_map(replace(run, traces=older, weights=None)), exact, atol=1 / 255)
    plain = careedu.fit(DATA, "nearest-neighbour", progress=False)
    for slot in ("before.", "after.mask.", "attention."):  # the last in weights of an older careedu
        held = {f"{slot}values": torch.from_numpy(exact)}
        np.testing.assert_array_equal(trained_map(replace(run, traces={}, weights=held)), exact.astype(np.float64))
    assert trained_map(plain) is None and recorded_maps(plain).shape == (0, 32, 32)


def test_saved_results_keep_the_last_map_of_every_seed(run, tmp_path):
    other = careedu.fit(DATA, GlobalAttention(), **{**OPTIONS, "seed": 1})
    results = Results(
        {
            "method": {0: run, 1: other},
            "plain": {s: careedu.fit(DATA, "nearest-neighbour", progress=False) for s in (0, 1)},
        }
    )
    back = Results.load(results.save(tmp_path / "results"))
    np.testing.assert_array_equal(back.runs["method"][0].traces["attention map"], run.traces["attention map"])
    kept = back.runs["method"][1].traces
    assert kept.keys() == {"attention map"} and kept["attention map"].shape == (1, 32, 32)
    np.testing.assert_allclose(kept["attention map"][0], other.traces["attention map"][-1], rtol=0, atol=1)
    assert back.runs["plain"][1].traces == {}
    again = Results.load(back.save(tmp_path / "again")).runs["method"][1].traces
    np.testing.assert_array_equal(again["attention map"], kept["attention map"])
    small = Results.load(results.save(tmp_path / "small", courses=False)).runs["method"]
    for seed, whole in ((0, run), (1, other)):
        assert small[seed].traces.keys() == {"attention map"}
        np.testing.assert_allclose(small[seed].traces["attention map"], whole.traces["attention map"][-1:], atol=1)
