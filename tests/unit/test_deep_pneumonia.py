"""Deep Pneumonia: its losses against loops and worked numbers, its module, masks and stages, its docstring's loop."""

import doctest
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned
from torch.nn import functional

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.methods import deep_pneumonia
from careedu.methods.deep_pneumonia import (
    DeepPneumonia,
    MaskAttention,
    attention_mask_loss,
    contrastive_regulation,
    lesion_and_background,
    masks_on_grid,
    regulation_ratio,
)
from careedu.methods.facts import TrainingFacts
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch

DATA = thinned(made_up_splits(), 2, 12)
FACTS = TrainingFacts(counts=(50, 50, 12), rare=(2,), image_shape=(1, 32, 32), dataset=DATA.train)
QUICK = {"epochs": 2, "progress": False, "device": "cpu"}
PLAIN = DeepPneumonia(pretrain=None)


# ---- the losses ------------------------------------------------------------------------------------------------------


def test_the_mask_loss_by_hand():
    a = torch.tensor([[[0.5, 0.9], [0.1, 0.2]]], dtype=torch.float64)
    m = torch.tensor([[[0, 1], [0, 0]]])
    entropy = -(math.log(0.5) + math.log(0.9) + math.log(0.9) + math.log(0.8)) / 4
    dice = (2 * 0.9 + 1) / (1.7 + 1 + 1)
    assert attention_mask_loss(a, m).item() == pytest.approx(entropy + 1 - dice)
    assert attention_mask_loss(a[:, None], m[:, None].bool()).item() == pytest.approx(entropy + 1 - dice)
    assert attention_mask_loss(m.double(), m).item() == pytest.approx(0)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_the_mask_loss_is_finite_and_the_mean_over_images(n, h, w, seed):
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(n, h, w, generator=generator, dtype=torch.float64).round(decimals=1).requires_grad_()  # 0 and 1 too
    m = torch.rand(n, h, w, generator=generator) > 0.5
    loss = attention_mask_loss(a, m)
    each = [attention_mask_loss(a[i : i + 1], m[i : i + 1]) for i in range(n)]
    assert torch.allclose(loss, torch.stack(each).mean()) and loss >= -1e-12
    loss.backward()
    assert bool(a.grad.isfinite().all())


def test_half_precision_and_no_images():
    a, m = torch.rand(3, 1, 4, 4), torch.rand(3, 4, 4) > 0.5
    assert attention_mask_loss(a.bfloat16(), m).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(attention_mask_loss(a, m), attention_mask_loss(a, m).float())
    assert attention_mask_loss(a[:0], m[:0]) == 0
    nothing = torch.zeros(0, 5)
    assert contrastive_regulation(nothing, nothing, nothing) == regulation_ratio(nothing, nothing, nothing) == 0


def test_the_regulation_by_hand():
    z = torch.tensor([[2.0, 0], [0, 3]], dtype=torch.float64)
    p, q = torch.tensor([[1.0, 0], [1, 0]]).double(), torch.tensor([[0, 1.0], [0, 5]]).double()
    # First image: cos with p is 1, with both backgrounds 0; second: 0 and 1, 1.
    first = -math.log(math.exp(10) / (math.exp(10) + 2))
    second = -math.log(1 / (1 + 2 * math.exp(10)))
    assert contrastive_regulation(z, p, q).item() == pytest.approx((first + second) / 2)
    assert contrastive_regulation(z, p, q, 1.0).item() == pytest.approx(
        (-math.log(math.e / (math.e + 2)) - math.log(1 / (1 + 2 * math.e))) / 2
    )
    # L1 of unit vectors: 0 / 2 and 2 / 0, the latter held at 1e-3.
    assert regulation_ratio(z, p, q).item() == pytest.approx((0 + 2 / 1e-3) / 2)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 2), st.integers(0, 10**6))
def test_the_regulation_is_infonce(n, k, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    z, p, q = torch.randn(3, n, k, generator=generator, dtype=torch.float64)
    z.requires_grad_(), p.requires_grad_(), q.requires_grad_()
    loss = contrastive_regulation(z, p, q, temperature)
    total = 0.0
    for i in range(n):
        near = float(functional.cosine_similarity(z[i], p[i], dim=0)) / temperature
        far = [float(functional.cosine_similarity(z[i], q[j], dim=0)) / temperature for j in range(n)]
        total += np.logaddexp.reduce([near, *far]) - near
    assert loss.item() == pytest.approx(total / n, rel=1e-6, abs=1e-9)
    loss.backward()
    assert p.grad is None and q.grad is None and bool(z.grad.isfinite().all())


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InvalidInputError, match="masks_on_grid"):
        attention_mask_loss(torch.rand(2, 8, 8), torch.zeros(2, 64, 64))
    with pytest.raises(InvalidInputError, match="float"):
        attention_mask_loss(torch.zeros(2, 8, 8, dtype=torch.long), torch.zeros(2, 8, 8))
    z = torch.rand(3, 4)
    for function in (contrastive_regulation, regulation_ratio):
        with pytest.raises(InvalidInputError, match=r"\(B, K\)"):
            function(z, z, z[:2])
    with pytest.raises(InvalidInputError, match="temperature"):
        contrastive_regulation(z, z, z, 0.0)


def test_the_grid_and_the_two_means():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 5, 2] = True  # one pixel is enough
    inside = masks_on_grid(masks, (2, 4))
    assert inside.tolist() == [[[False] * 4, [False, True, False, False]], [[False] * 4] * 2]
    features = torch.arange(16.0).view(2, 1, 2, 4)
    p, q = lesion_and_background(features, inside)
    assert p[0].item() == 5 and q[0].item() == pytest.approx((28 - 5) / 7)
    assert p[1].item() == 0 and q[1].item() == pytest.approx(11.5)


# ---- the module ------------------------------------------------------------------------------------------------------


def test_the_weighted_mean_and_the_product():
    torch.manual_seed(0)
    features = torch.rand(3, 6, 4, 5)
    for pooling in ("weighted-mean", "product"):
        module = MaskAttention(6, pooling)
        assert torch.equal(module.attention(features), torch.full((3, 1, 4, 5), 0.5))
        torch.nn.init.normal_(module.score[2].weight)
        a = module.attention(features)
        pooled = module(features).mean(dim=(2, 3))
        expected = (features * a).mean(dim=(2, 3))
        if pooling == "weighted-mean":
            expected = (features * a).sum(dim=(2, 3)) / a.sum(dim=(2, 3))
        assert torch.allclose(pooled, expected, atol=1e-6)
        assert torch.equal(module(features, a), module(features))
    assert bool(MaskAttention(6)(features, torch.zeros(3, 1, 4, 5)).isfinite().all())
    with pytest.raises(UnknownNameError, match="product"):
        MaskAttention(6, "produkt")


def test_at_the_start_the_weighted_mean_is_the_plain_network():
    x = torch.rand(4, 1, 32, 32)
    outputs = []
    for method in (careedu.CrossEntropy(), PLAIN):
        torch.manual_seed(0)
        outputs.append(method.network(build_model("small", 3), FACTS).eval()(x))
    assert torch.allclose(*outputs, atol=1e-6)


# ---- the method ------------------------------------------------------------------------------------------------------


def terms_of(method, rows=12, data=DATA):
    train = method.prepare(data, 0)
    facts = replace(FACTS, dataset=train)
    torch.manual_seed(0)
    model = method.network(build_model("small", 3), facts)
    batch = Batch(train, torch.arange(rows), Augmentation(), torch.Generator().manual_seed(0))
    return model, batch, method.stages(facts, 4)[0].updates[0].terms(model, batch)


def test_the_terms_by_hand():
    model, batch, terms = terms_of(PLAIN)
    features = model.body(model.standardized(batch.inputs))
    a, inside = model.after.attention(features), masks_on_grid(batch.masks, features.shape[2:])
    z = (features * a).sum(dim=(2, 3)) / a.sum(dim=(2, 3))
    own = {
        "classification": careedu.ClassBalanced().loss(model.head(z), batch.labels, FACTS, 0.0),
        "attention": attention_mask_loss(a, inside),
        "regulation": 0.1 * contrastive_regulation(z, *lesion_and_background(features, inside)),
    }
    assert terms.keys() == own.keys()
    for name, term in own.items():
        assert torch.allclose(terms[name], term, atol=1e-5), name


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"classification", "attention", "regulation"}),
        ({"attention": "none"}, {"classification", "regulation"}),
        ({"regulation": "none"}, {"classification", "attention"}),
        ({"attention": "none", "regulation": "none"}, {"classification"}),
        ({"masks": "none"}, {"classification"}),
        ({"regulation": "ratio", "attention": "product"}, {"classification", "attention", "regulation"}),
    ],
)
def test_each_part_can_be_switched(options, names):
    method = replace(PLAIN, **options)
    model, _, terms = terms_of(method)
    assert terms.keys() == names
    assert isinstance(model.after, MaskAttention) == (method.attention != "none")
    assert all(bool(term.isfinite()) for term in terms.values())


def test_with_all_switched_off_it_is_the_loss():
    bare = DeepPneumonia(careedu.CrossEntropy(), attention="none", regulation="none", pretrain=None)
    runs = [careedu.fit(DATA, method, **QUICK) for method in (bare, careedu.CrossEntropy())]
    assert (runs[0].probabilities == runs[1].probabilities).all()


def test_teacher_forcing_pools_by_the_mask_where_there_is_one():
    half = DATA.train.has_mask.clone()
    half[::2] = False
    data = replace(DATA, train=replace(DATA.train, has_mask=half, masks=DATA.train.masks & half[:, None, None]))
    model, batch, terms = terms_of(replace(PLAIN, teacher_forcing=True), data=data)
    features = model.body(model.standardized(batch.inputs))
    a = model.after.attention(features)
    a = torch.where(batch.has_mask[:, None, None, None], masks_on_grid(batch.masks, features.shape[2:])[:, None], a)
    z = (features * a).sum(dim=(2, 3)) / a.sum(dim=(2, 3))
    loss = careedu.ClassBalanced().loss(model.head(z), batch.labels, FACTS, 0.0)
    assert torch.allclose(terms["classification"], loss, atol=1e-5)
    _, _, free = terms_of(PLAIN, data=data)
    assert not torch.allclose(terms["classification"], free["classification"], atol=1e-4)


def test_images_without_mask_train_without_nan():
    few = torch.zeros(len(DATA.train), dtype=torch.bool)
    few[2] = True  # in all batches but one there is none
    data = replace(DATA, train=replace(DATA.train, has_mask=few, masks=DATA.train.masks & few[:, None, None]))
    run = careedu.fit(data, PLAIN, **QUICK)
    assert np.isfinite(run.history.filter(like="loss").to_numpy()).all() and np.isfinite(run.probabilities).all()
    _, _, terms = terms_of(PLAIN, 2, data)
    assert terms["attention"] == 0 and terms["regulation"] == 0


def test_masks_are_not_read_at_test_time():
    parts = {n: replace(getattr(DATA, n), boxes=None, masks=None, has_mask=None) for n in ("val", "test")}
    runs = [careedu.fit(data, PLAIN, **QUICK) for data in (DATA, replace(DATA, **parts))]
    assert (runs[0].probabilities == runs[1].probabilities).all()
    network = runs[0].network()
    assert torch.allclose(runs[1].network()(DATA.test.images[:5] / 255), network(DATA.test.images[:5] / 255))


def test_which_masks_it_is_given():
    train = PLAIN.prepare(DATA, 0)
    assert torch.equal(train.masks, DATA.train.masks) and bool(train.boxes.isnan().all())
    rare = replace(PLAIN, classes="rare").prepare(DATA, 0)
    assert torch.equal(rare.has_mask, DATA.train.labels == 2)
    assert not rare.masks[DATA.train.labels != 2].any()
    none = replace(PLAIN, masks="none").prepare(DATA, 0)
    assert none.masks is None and not none.has_mask.any()
    shuffled = replace(PLAIN, masks="shuffled")
    one, again, other = (shuffled.prepare(DATA, seed).masks for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)
    counted = [sorted(masks.flatten(1).nonzero()[:, 1].tolist()) for masks in (one, DATA.train.masks)]
    assert counted[0] == counted[1]  # the same masks, at other images
    assert (one != DATA.train.masks).flatten(1).any(dim=1).float().mean() > 0.9
    bare = replace(DATA, train=replace(DATA.train, masks=None, has_mask=None))
    with pytest.raises(InvalidInputError, match="no training image of any class has a mask"):
        PLAIN.prepare(bare, 0)
    assert replace(PLAIN, masks="none").prepare(bare, 0).masks is None


def test_the_annotation_that_a_switched_off_method_needs_is_none():
    bare = replace(DATA, train=replace(DATA.train, masks=None, has_mask=None))
    off = replace(PLAIN, attention="none", regulation="none")
    assert off.prepare(bare, 0).masks is None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"attention": "weighted"}, "weighted-mean"),
        ({"regulation": "contrst"}, "contrast"),
        ({"masks": "shufled"}, "shuffled"),
        ({"classes": "al"}, "all"),
        ({"attention_weight": -1.0}, "attention_weight"),
        ({"regulation_weight": float("nan")}, "regulation_weight"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_options_that_cannot_be(options, match):
    with pytest.raises(InvalidInputError, match=match):
        DeepPneumonia(**options)


def test_its_parts_share_one_pretraining(tmp_path):
    pretrain = careedu.SimCLR(epochs=1, batch_size=64)
    for method in (DeepPneumonia(pretrain=pretrain), DeepPneumonia(attention="none", pretrain=pretrain), pretrain):
        careedu.fit(DATA, method, shared_stages=tmp_path, **QUICK)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_loop_of_the_docstring_runs():
    assert doctest.testmod(deep_pneumonia).failed == 0
