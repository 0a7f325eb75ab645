"""CARE's loss against a loop and worked numbers, its boxes, its stages, and the plain loop of its docstring."""

import doctest
import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned
from torch import nn
from torch.nn import functional

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.methods import care, segmentation
from careedu.methods.building import build_method
from careedu.methods.care import CARE, FORMS, alpha_of_dose, attention_loss
from careedu.methods.facts import TrainingFacts
from careedu.nn.backbones import NormalizedLinear, build_model
from careedu.nn.maps import normalize_map, resize_map, true_class_map
from careedu.training.batch import Batch
from careedu.training.loop import TrainingStopped

DATA = thinned(made_up_splits(), 2, 12)
FACTS = TrainingFacts(counts=(50, 50, 12), rare=(2,), image_shape=(1, 32, 32), dataset=DATA.train)
QUICK = {"epochs": 4, "progress": False, "device": "cpu"}


# ---- the loss --------------------------------------------------------------------------------------------------------


def reference_loss(maps, inside, cap, outside_weight, form):
    losses = []
    for image, region in zip(maps.tolist(), inside.tolist(), strict=True):
        pixels = [(f, m) for row, cells in zip(image, region, strict=True) for f, m in zip(row, cells, strict=True)]
        own, others = [f for f, m in pixels if m], [f for f, m in pixels if not m]
        if not own:
            losses.append(0.0)
            continue
        out = sum(others) / len(others) if others else 0.0
        mass = sum(max(f, 0) for f in own + others)
        losses.append(
            {
                "inside-outside": -min(sum(own) / len(own), cap) + outside_weight * out,
                "outside": outside_weight * out,
                "energy": 1 - (sum(max(f, 0) for f in own) / mass if mass else len(own) / len(pixels)),
            }[form]
        )
    return np.array(losses)


def test_the_worked_example():
    maps = torch.zeros(1, 4, 4, dtype=torch.float64)
    maps[0, 1:3, 1:3], maps[0, 0, 0] = 1, 0.4
    inside = torch.zeros(1, 4, 4, dtype=torch.bool)
    inside[0, 1:3, 1:4] = True
    assert attention_loss(maps, inside, 0.5, 1.0).item() == pytest.approx(-0.46)
    assert attention_loss(maps, inside).item() == pytest.approx(-0.472)
    assert attention_loss(maps, inside, cap=1.0, outside_weight=0.0).item() == pytest.approx(-2 / 3)
    # 0.4 over the ten pixels outside; 4 of the 4.4 of evidence lie inside.
    assert attention_loss(maps, inside, form="outside").item() == pytest.approx(0.7 * 0.04)
    assert attention_loss(maps, inside, form="energy").item() == pytest.approx(0.4 / 4.4)
    # Neither what speaks against the class nor the size of the map's values is evidence.
    maps[0, 3, 3] = -5
    assert attention_loss(100 * maps, inside, form="energy").item() == pytest.approx(0.4 / 4.4)


@settings(deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 7),
    st.floats(0.05, 1),
    st.floats(0, 3),
    st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    st.sampled_from(FORMS),
    st.integers(0, 2**31),
)
def test_the_loss_equals_its_loop(images, height, width, cap, outside_weight, share, form, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(images, height, width, generator=generator, dtype=torch.float64)
    if form == "energy":
        maps = 10 * maps - 6
    inside = torch.rand(images, height, width, generator=generator) < share
    expected = reference_loss(maps, inside, cap, outside_weight, form)
    np.testing.assert_allclose(attention_loss(maps, inside, cap, outside_weight, form), expected, atol=1e-12)
    as_float = attention_loss(maps.float(), inside.float(), cap, outside_weight, form)
    assert as_float.dtype == torch.float32
    np.testing.assert_allclose(as_float, expected, atol=1e-5)


@pytest.mark.parametrize(("form", "of_a_full_one"), [("inside-outside", -0.4), ("outside", 0.0), ("energy", 0.0)])
def test_an_image_without_inside_gives_zero_and_no_gradient_and_a_full_one_has_no_outside(form, of_a_full_one):
    maps = torch.rand(3, 4, 4)
    maps[2] = 0.4
    maps.requires_grad_()
    inside = torch.zeros(3, 4, 4)
    inside[1, :2], inside[2] = 1, 1
    loss = attention_loss(maps, inside, form=form)
    assert loss[0] == 0
    assert loss[2].item() == pytest.approx(of_a_full_one)
    loss.sum().backward()
    assert maps.grad.isfinite().all()
    assert (maps.grad[0] == 0).all()
    assert (maps.grad[1, 2:] > 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_right(form):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 4, 5, generator=generator, dtype=torch.float64)
    inside = torch.rand(3, 4, 5, generator=generator) < 0.4
    if form == "energy":
        maps = 3 * maps - 1
    assert torch.autograd.gradcheck(lambda f: attention_loss(f, inside, 0.9, form=form), maps.requires_grad_())


def test_the_gradient_stops_at_the_cap():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 4, 5, generator=generator, requires_grad=True)
    inside = torch.rand(3, 4, 5, generator=generator) < 0.4
    (gradient,) = torch.autograd.grad(attention_loss(maps, inside, cap=0.01).sum(), maps)
    assert (gradient[inside] == 0).all() and (gradient[~inside] > 0).all()


def test_a_map_without_evidence_looks_everywhere_alike_and_moves_nothing():
    maps = torch.zeros(5, 4, 4)
    maps[1], maps[2], maps[3] = -3, 1e-30, 1e-42  # so little that 1/mass is enormous, or infinite
    maps[4] = 1e-6
    maps.requires_grad_()
    inside = torch.zeros(5, 4, 4, dtype=torch.bool)
    inside[:, 1:3, 1:4] = True
    loss = attention_loss(maps, inside, form="energy")
    torch.testing.assert_close(loss, torch.full((5,), 10 / 16))
    loss.sum().backward()
    assert (maps.grad[:4] == 0).all()
    assert maps.grad[4].isfinite().all() and (maps.grad[4][inside[4]] < 0).all()
    broken = torch.full((1, 4, 4), torch.nan)
    assert attention_loss(broken, inside[:1], form="energy").isnan()  # not hidden: the loop stops at it


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_summed_in_single_precision(form):
    maps = torch.rand(2, 64, 64).to(torch.bfloat16)
    inside = torch.rand(2, 64, 64) < 0.3
    assert attention_loss(maps, inside, form=form).dtype == torch.float32
    torch.testing.assert_close(attention_loss(maps, inside, form=form), attention_loss(maps.float(), inside, form=form))


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_batch_has_no_losses(form):
    assert attention_loss(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4, dtype=torch.bool), form=form).shape == (0,)


def test_an_unknown_form_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'energy'"):
        attention_loss(torch.rand(1, 4, 4), torch.ones(1, 4, 4), form="enrgy")


@pytest.mark.parametrize(
    ("maps", "inside", "words"),
    [
        (torch.rand(2, 4, 4), torch.ones(2, 8, 8), "resize_map"),
        (torch.rand(2, 1, 4, 4), torch.ones(2, 1, 4, 4), r"\(B, H, W\)"),
        (torch.ones(2, 4, 4, dtype=torch.int64), torch.ones(2, 4, 4), "float"),
        (torch.rand(2, 4, 4), torch.full((2, 4, 4), 255.0), "zeros and ones"),
        (torch.rand(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.uint8), "uint8"),
        (torch.rand(2, 4, 4), torch.full((2, 4, 4), torch.nan), "zeros and ones"),
    ],
)
def test_maps_and_regions_that_do_not_fit_are_named(maps, inside, words):
    with pytest.raises(InvalidInputError, match=words):
        attention_loss(maps, inside)


# ---- the map ---------------------------------------------------------------------------------------------------------


def maps_of(model, second_order=False):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 32, 32, generator=generator)
    labels = torch.tensor([0, 2, 1])
    features = model.features(images)
    logits = model.head(model.pool(features))
    return true_class_map(model, features, logits, labels, (32, 32), second_order), features, labels


def test_the_map_is_that_of_the_true_class_in_the_images_size():
    torch.manual_seed(0)
    model = build_model("small", 3, 1)
    maps, features, labels = maps_of(model)
    raw = torch.stack([(features[b] * model.head.weight[labels[b]][:, None, None]).sum(0) for b in range(3)])
    torch.testing.assert_close(maps, resize_map(normalize_map(raw), 32))
    assert maps.min() >= 0 and maps.max() <= 1
    logits = model.head(model.pool(features))
    unstretched = true_class_map(model, features, logits, labels, (32, 32), stretch=False)
    torch.testing.assert_close(unstretched, resize_map(raw, 32))
    assert unstretched.min() < 0


@pytest.mark.parametrize("head", ["linear", "normalised"])
def test_the_maps_weights_carry_gradient_only_where_asked(head):
    torch.manual_seed(0)
    model = build_model("small", 3, 1)
    if head == "normalised":
        model.head = NormalizedLinear(128, 3)
    first, features, _ = maps_of(model)
    gradients = torch.autograd.grad(first.sum(), [model.head.weight, features], allow_unused=True)
    assert gradients[0] is None and gradients[1].abs().sum() > 0
    second, _, _ = maps_of(model, second_order=True)
    torch.testing.assert_close(second, first)
    assert torch.autograd.grad(second.sum(), model.head.weight)[0].abs().sum() > 0


def test_a_linear_head_that_does_more_than_be_linear_gets_grad_cam():
    class Scaled(nn.Linear):
        def forward(self, z):
            return super().forward(z * torch.linspace(-1, 1, z.shape[1]))

    torch.manual_seed(0)
    model = build_model("small", 3, 1)
    model.head = Scaled(128, 3)
    maps, features, labels = maps_of(model)
    weight = model.head.weight[labels] * torch.linspace(-1, 1, 128)
    torch.testing.assert_close(maps, resize_map(normalize_map(torch.einsum("bkhw,bk->bhw", features, weight)), 32))


# ---- the terms of a batch --------------------------------------------------------------------------------------------


def batch_of(rows, data=None, augmentation="none"):
    train = CARE().prepare(DATA, 0) if data is None else data
    return Batch(train, torch.as_tensor(rows), Augmentation.named(augmentation), torch.Generator().manual_seed(0))


def rows_of_class(label, n):
    return (DATA.train.labels == label).nonzero()[:n, 0]


def boxed_batch(common=5, rare=3):
    """A network, a batch of which the images of the rare class have boxes, and F and box of each of those."""
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    alone = []
    for row in rows_of_class(2, rare):
        features = model.features(DATA.train.images[row : row + 1] / 255)
        raw = (features[0] * model.head.weight[2].detach()[:, None, None]).sum(0, keepdim=True)
        x0, y0, x1, y1 = DATA.train.boxes[row].int().tolist()
        inside = torch.zeros(1, 32, 32, dtype=torch.bool)
        inside[0, y0:y1, x0:x1] = True
        alone.append((raw, inside))
    return model, batch_of(torch.cat([rows_of_class(0, common), rows_of_class(2, rare)])), alone


@pytest.mark.parametrize(("averaging", "images"), [("batch", 8), ("boxed images", 3)])
@pytest.mark.parametrize("form", FORMS)
def test_attention_is_summed_over_the_images_with_a_box_and_divided_by_those_of_the_batch(form, averaging, images):
    model, batch, alone = boxed_batch()
    method = CARE(alpha=0.3, cap=0.4, outside_weight=0.6, form=form, averaging=averaging)
    terms = method.terms(FACTS)(model, batch)
    loss = method.classification.loss(model(batch.inputs), batch.labels, FACTS, 0.0)
    torch.testing.assert_close(terms["classification"], 0.7 * loss)
    away = [
        attention_loss(resize_map(raw if form == "energy" else normalize_map(raw), 32), inside, 0.4, 0.6, form)
        for raw, inside in alone
    ]
    torch.testing.assert_close(terms["attention"], 0.3 * torch.cat(away).sum() / images, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rare", [0, 3])
def test_the_old_averaging_has_the_bits_that_it_had(rare):
    """Written out as the method computed it at its first revision."""
    model, batch, _ = boxed_batch(5, rare)
    terms = CARE(alpha=0.3, averaging="boxed images").terms(FACTS)(model, batch)
    features = model.features(batch.inputs)
    logits = model.head(model.pool(features))
    loss = careedu.LogitAdjusted().loss(logits, batch.labels, FACTS, 0.0)
    inside = care.inside_boxes(batch.boxes, (32, 32))
    area = inside.float().sum(dim=(1, 2))
    maps = true_class_map(model, features, logits, batch.labels, (32, 32))
    mean_inside = (maps * inside.float()).sum(dim=(1, 2)) / area.clamp_min(1)
    mean_outside = (maps * (1 - inside.float())).sum(dim=(1, 2)) / (32 * 32 - area).clamp_min(1)
    away = torch.where(area > 0, 0.7 * mean_outside - mean_inside.clamp_max(0.5), 0)
    boxed = inside.any(dim=2).any(dim=1).sum()
    alpha = 0.3 * (boxed > 0)
    assert torch.equal(terms["classification"], (1 - alpha) * loss)
    assert torch.equal(terms["attention"], alpha * (away.sum() / boxed.clamp_min(1)))
    parameters = list(model.parameters())
    new, old = (
        torch.autograd.grad(sum(losses), parameters)
        for losses in (terms.values(), [(1 - alpha) * loss, alpha * (away.sum() / boxed.clamp_min(1))])
    )
    assert all(torch.equal(a, b) for a, b in zip(new, old, strict=True))


@pytest.mark.parametrize(("averaging", "scale"), [("batch", 1 - 0.9), ("boxed images", 1.0)])
@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_boxes_has_the_classification_loss_alone(form, averaging, scale):
    """As the equation has it, read per image, 1 − α of it; unscaled with the old averaging."""
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    batch = batch_of(rows_of_class(0, 5))
    terms = CARE(alpha=0.9, averaging=averaging, form=form).terms(FACTS)(model, batch)
    loss = CARE().classification.loss(model(batch.inputs), batch.labels, FACTS, 0.0)
    torch.testing.assert_close(terms["classification"], scale * loss)
    assert terms["attention"] == 0
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ---- the dose --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dose", "alpha"), [(0, 0.0), (1, 0.5), (4, 0.8), (14, 14 / 15)])
def test_the_alpha_of_a_dose(dose, alpha):
    assert alpha_of_dose(dose) == pytest.approx(alpha, abs=1e-15)
    assert CARE(alpha=alpha_of_dose(dose)).alpha < 1


@pytest.mark.parametrize("dose", [-1, float("nan"), float("inf")])
def test_a_dose_that_cannot_be_is_named(dose):
    with pytest.raises(InvalidInputError, match=f"dose={dose!r}"):
        alpha_of_dose(dose)


def doses(**options):
    return careedu.fit(DATA, CARE(**options), **QUICK, batch_size=16).history


def test_the_dose_stands_in_the_history_of_the_attention_stage():
    history = doses(alpha=0.8)
    assert history["dose"][:2].isna().all()
    np.testing.assert_allclose(history["dose"][2:], 4.0, rtol=1e-12)
    assert (doses(alpha=0.0)["dose"][2:] == 0).all()


class Remembering(CARE):
    """Notes how many images, and how many with a box, each batch of each attention epoch had."""

    name = "remembering"
    seen: ClassVar[list] = []

    def terms(self, facts, progress=lambda within: within, given=None):
        inner = super().terms(facts, progress, given)

        def noted(model, batch):
            inside = care.inside_boxes(batch.boxes, batch.image_size)
            self.seen.append((batch.progress, len(batch), int(inside.any(2).any(1).sum())))
            return inner(model, batch)

        return noted


def test_the_old_averaging_gives_a_dose_that_depends_on_the_batch():
    Remembering.seen.clear()
    history = careedu.fit(DATA, Remembering(alpha=0.5, averaging="boxed images"), **QUICK, batch_size=16).history
    for value, within in zip(history["dose"][2:], ((0.0, 0.5), (0.5, 1.0)), strict=True):
        batches = [(n, boxed) for progress, n, boxed in Remembering.seen if within[0] <= progress < within[1]]
        of_images = [n / boxed for n, boxed in batches for _ in range(boxed)]
        assert len(of_images) > 5 and len({boxed for _, boxed in batches}) > 1
        assert value == pytest.approx(np.mean(of_images), rel=1e-12)


def test_a_stopped_training_goes_on_with_the_same_doses(tmp_path):
    method = CARE(averaging="boxed images")
    whole = careedu.fit(DATA, method, **QUICK, batch_size=16)
    options = {**QUICK, "batch_size": 16, "checkpoint": tmp_path / "part.safetensors"}
    with pytest.raises(TrainingStopped):  # between the two epochs of the attention stage
        careedu.fit(DATA, method, **options, on_epoch=lambda report: report.epoch < 3)
    resumed = careedu.fit(DATA, method, **options)
    assert resumed.history.equals(whole.history) and whole.history["dose"][2:].nunique() == 2
    assert np.array_equal(resumed.probabilities, whole.probabilities)


def test_a_box_that_augmentation_moved_out_of_the_image_counts_as_none():
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    batch = batch_of(torch.cat([rows_of_class(0, 2), rows_of_class(2, 2)]))
    batch.boxes = torch.tensor([[torch.nan] * 4] * 4)
    assert CARE().terms(FACTS)(model, batch)["attention"] == 0
    # One with no area left, beside one that is whole: it counts for nothing.
    one = replace(batch.dataset)
    batch = batch_of(rows_of_class(2, 2), one)
    whole = batch.boxes.clone()
    batch.boxes = torch.stack([torch.tensor([5.0, 5, 5, 9]), whole[1]])
    both = CARE().terms(FACTS)(model, batch)["attention"]
    batch.boxes = torch.stack([torch.full((4,), torch.nan), whole[1]])
    assert torch.equal(both, CARE().terms(FACTS)(model, batch)["attention"]) and both != 0


def test_the_boxes_move_with_the_augmentation():
    # A tiny network with features = the image itself shows where the map was asked to lie.
    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 3)
            nn.init.ones_(self.head.weight)

        def features(self, x):
            return functional.avg_pool2d(x, 2)

        def pool(self, features):
            return features.mean(dim=(2, 3))

    images = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 4:12, 18:28] = 255
    box = torch.tensor([18.0, 4, 28, 12])
    data = careedu.LesionDataset(images, torch.tensor([0, 1, 2]), ("a", "b", "c"), boxes=box.repeat(3, 1))
    upright = Augmentation(flip_horizontal=True, flip_vertical=True, quarter_turns=True)
    facts = TrainingFacts(counts=(1, 1, 1), rare=(2,), image_shape=(1, 32, 32))
    for seed in range(8):
        batch = Batch(data, torch.arange(3), upright, torch.Generator().manual_seed(seed))
        away = CARE(alpha=0.5, cap=1.0).terms(facts)(Pixels(), batch)["attention"].item()
        # All of the map lies inside, but for the bilinear rim: near −1 inside, near 0 outside.
        assert away < 0.5 * -0.85


def test_alpha_zero_is_the_classification_loss_whatever_the_boxes():
    data = CARE(alpha=0.0).prepare(made_up_splits(lesions=False), 0)
    assert not data.has_box.any()
    stages = CARE(alpha=0.0).stages(FACTS, 4)
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    batch = batch_of(rows_of_class(2, 4))
    first, second = (stage.updates[0].terms(model, batch) for stage in stages)
    assert first.keys() == second.keys() == {"classification"}
    torch.testing.assert_close(first["classification"], second["classification"])


def test_no_gradient_is_left_behind_by_the_map():
    torch.manual_seed(0)
    for head in (nn.Linear(128, 3), NormalizedLinear(128, 3)):
        model = build_model("small", 3, 1)
        model.head = head
        CARE().terms(FACTS)(model, batch_of(rows_of_class(2, 4)))
        assert all(p.grad is None for p in model.parameters())


# ---- stages ----------------------------------------------------------------------------------------------------------


def test_the_first_stage_is_the_same_for_all_that_share_it():
    sources = [
        CARE(),
        CARE(boxes="random"),
        CARE(boxes="mark"),
        CARE(alpha=0.0),
        CARE(classes="all", box_scale=1.3, learning_rate=0.1),
        CARE(form="energy", averaging="boxed images"),
    ]
    known = marked(DATA, DATA.train.labels == 2)
    data = [method.prepare(known, 0) for method in sources]
    assert all(torch.equal(d.images, DATA.train.images) and torch.equal(d.labels, DATA.train.labels) for d in data)
    shared = [method.stages(FACTS, 6)[0].shared for method in sources]
    assert all(s == shared[0] and s is not None for s in shared)
    assert CARE(classification=careedu.CrossEntropy()).stages(FACTS, 6)[0].shared != shared[0]
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    losses = {
        method.stages(FACTS, 6)[0].updates[0].terms(model, batch_of([0, 1, 2, 5], part))["classification"].item()
        for method, part in zip(sources, data, strict=True)
    }
    assert len(losses) == 1


def test_a_training_with_other_boxes_differs_in_the_second_stage_only():
    runs = [careedu.fit(DATA, CARE(boxes=boxes), **QUICK) for boxes in ("given", "shifted")]
    first, second = (run.history for run in runs)
    loss = "loss: classification"
    assert list(first["stage"]) == ["classification"] * 2 + ["attention"] * 2
    assert (first[loss][:2] == second[loss][:2]).all()
    assert (first["loss: attention"][2:] != second["loss: attention"][2:]).all()
    again = careedu.fit(DATA, CARE(), **QUICK)
    assert again.history.equals(first) and np.array_equal(again.probabilities, runs[0].probabilities)


def test_losses_that_change_late_are_told_how_far_the_whole_training_is():
    told = []

    class Listening(careedu.LDAM):
        name = "listening"

        def loss(self, logits, target, facts, progress):
            told.append(progress)
            return super().loss(logits, target, facts, progress)

    method = CARE(classification=Listening(), share=0.25)
    model = method.wrap(build_model("small", 3, 1), FACTS)
    assert isinstance(model.head, NormalizedLinear)
    batch = batch_of(rows_of_class(2, 4))
    for within in (0.0, 0.5):
        batch.progress = within
        for stage in method.stages(FACTS, 8):
            stage.updates[0].terms(model, batch)
    assert told == [0.0, 0.75, 0.375, 0.875]
    logits = torch.randn(2, 3)
    torch.testing.assert_close(method.adjust(logits, FACTS), 30 * logits)


def test_it_learns_to_look_where_it_is_told():
    from careedu.experiment.attention import attention_of

    shares = {}
    for boxes in ("given", "shifted"):
        run = careedu.fit(DATA, CARE(boxes=boxes, classes="all", alpha=0.8), epochs=10, seed=1, progress=False)
        shares[boxes] = attention_of(run, DATA.test)["inside share"].mean()
    assert shares["given"] > shares["shifted"] + 0.1


@pytest.mark.parametrize("epochs", [2, 3, 16])
def test_both_stages_have_at_least_one_epoch(epochs):
    for share in (0.01, 0.5, 0.99):
        first, second = CARE(share=share).stages(FACTS, epochs)
        assert first.epochs + second.epochs == epochs and min(first.epochs, second.epochs) >= 1
    with pytest.raises(InvalidInputError, match="at least 2 epochs"):
        CARE().stages(FACTS, 1)


# ---- boxes -----------------------------------------------------------------------------------------------------------


def test_only_rare_training_images_have_boxes_and_none_has_a_mask_or_mark():
    train = CARE().prepare(marked(DATA, DATA.train.labels == 0), 0)
    assert torch.equal(train.has_box, DATA.train.labels == 2)
    assert torch.equal(train.boxes[train.has_box], DATA.train.boxes[train.has_box])
    assert train.masks is None and not train.has_mask.any() and train.marks is None
    assert CARE(classes="all").prepare(DATA, 0).has_box.all()


def marked(data, rows):
    """The same with a mark of three by two pixels in a corner of some training images."""
    marks = torch.zeros_like(data.train.masks)
    marks[rows, 28:31, 1:3] = True
    return replace(data, train=replace(data.train, marks=marks))


def test_boxes_on_the_mark_are_those_of_the_wanted_images_that_carry_one():
    rare = (DATA.train.labels == 2).nonzero()[:, 0]
    with_marks = torch.zeros(len(DATA.train), dtype=torch.bool)
    with_marks[rare[:8]] = with_marks[DATA.train.labels == 0] = True
    data = marked(DATA, with_marks)
    train = CARE(boxes="mark").prepare(data, 0)
    assert torch.equal(train.has_box.nonzero()[:, 0], rare[:8])
    assert train.boxes[rare[:8]].tolist() == [[1.0, 28.0, 3.0, 31.0]] * 8
    assert train.marks is None and train.masks is None
    assert torch.equal(CARE(boxes="mark", classes="all").prepare(data, 0).has_box, with_marks)
    # A share of those that carry one, and the place is the mark's whatever else is known of the lesions.
    assert CARE(boxes="mark", box_share=0.5).prepare(data, 0).has_box.sum() == 4
    blind = replace(data, train=replace(data.train, boxes=None, masks=None, has_mask=None))
    assert torch.equal(CARE(boxes="mark").prepare(blind, 0).has_box, train.has_box)


def test_boxes_on_the_mark_want_marks():
    with pytest.raises(InvalidInputError, match=r'marks in these images.*shortcut="mark"'):
        CARE(boxes="mark").prepare(DATA, 0)
    elsewhere = marked(DATA, DATA.train.labels == 0)
    with pytest.raises(InvalidInputError, match=r"rare class 'bright' has a box \('mark'\).*marks, for.*with rare="):
        CARE(boxes="mark").prepare(elsewhere, 0)
    assert not CARE(boxes="mark", alpha=0.0).prepare(DATA, 0).has_box.any()


def test_marks_make_no_difference_to_other_boxes_nor_to_the_training():
    data = marked(DATA, DATA.train.labels == 2)
    for boxes in ("given", "random", "saliency"):
        one, other = (CARE(boxes=boxes).prepare(part, 0).boxes.nan_to_num(-1.0) for part in (data, DATA))
        assert torch.equal(one, other)
    one, other = (careedu.fit(part, CARE(), **QUICK) for part in (data, DATA))
    assert np.array_equal(one.probabilities, other.probabilities)


def test_a_mask_stands_in_for_a_box_that_is_missing():
    without = replace(DATA, train=replace(DATA.train, boxes=None))
    assert not without.train.has_box.any()
    assert torch.equal(
        CARE().prepare(without, 0).boxes.nan_to_num(-1.0), CARE().prepare(DATA, 0).boxes.nan_to_num(-1.0)
    )


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 1.0])
def test_a_share_of_the_boxes_is_kept_and_smaller_shares_are_part_of_larger_ones(share):
    kept = CARE(box_share=share).prepare(DATA, 4).has_box
    assert kept.sum() == max(1, math.ceil(12 * share - 1e-9))
    assert (CARE(box_share=1.0).prepare(DATA, 4).has_box | ~kept).all()
    assert (CARE(box_share=min(1.0, share + 0.2)).prepare(DATA, 4).has_box | ~kept).all()
    if share < 1:
        assert any(not torch.equal(CARE(box_share=share).prepare(DATA, s).has_box, kept) for s in range(5, 9))


def test_controls_know_the_sizes_of_the_boxes_and_are_the_same_for_a_seed():
    given, chosen = CARE().prepare(DATA, 0).boxes, DATA.train.labels == 2
    for source in ("random", "shifted"):
        one, again, other = (CARE(boxes=source).prepare(DATA, seed).boxes[chosen] for seed in (0, 0, 1))
        assert torch.equal(one, again) and not torch.equal(one, other)
        true = given[chosen]
        torch.testing.assert_close(one[:, 2:] - one[:, :2], true[:, 2:] - true[:, :2])
        overlap = (torch.minimum(one[:, 2:], true[:, 2:]) - torch.maximum(one[:, :2], true[:, :2])).clamp_min(0)
        assert (overlap.prod(1) == 0).all() or source == "random"


def test_boxes_without_a_doctor_do_not_look_at_the_truth(monkeypatch):
    monkeypatch.setattr(segmentation, "UPDATES", 5)
    blind = replace(DATA.train, boxes=None, masks=None, has_mask=None)
    with_truth = CARE(boxes="saliency").prepare(DATA, 0)
    assert torch.equal(
        with_truth.boxes.nan_to_num(-1.0),
        CARE(boxes="saliency").prepare(replace(DATA, train=blind), 0).boxes.nan_to_num(-1.0),
    )
    # The segmentation sees the common classes' masks, and nothing of the rare ones.
    known = DATA.train.labels != 2
    partly = replace(
        DATA.train, boxes=None, masks=DATA.train.masks & known[:, None, None], has_mask=known & DATA.train.has_mask
    )
    one, other = (
        CARE(boxes="segmentation").prepare(replace(DATA, train=part), 0).boxes.nan_to_num(-1.0)
        for part in (DATA.train, partly)
    )
    assert torch.equal(one, other)


def test_validation_and_test_images_make_no_difference_to_the_boxes(monkeypatch):
    monkeypatch.setattr(segmentation, "UPDATES", 5)
    other = replace(DATA, val=DATA.val[:5], test=DATA.test[:5])
    for source in ("given", "random", "saliency", "segmentation"):
        one, two = (CARE(boxes=source).prepare(data, 3).boxes.nan_to_num(-1.0) for data in (DATA, other))
        assert torch.equal(one, two)


def test_scaled_boxes_are_part_of_the_image():
    boxes = CARE(box_scale=1.3).prepare(DATA, 0).boxes[DATA.train.labels == 2]
    given = DATA.train.boxes[DATA.train.labels == 2]
    assert ((boxes[:, 2] - boxes[:, 0]) <= 1.3 * (given[:, 2] - given[:, 0]) + 1e-4).all()
    assert (boxes >= 0).all() and (boxes <= 32).all()


def test_data_without_boxes_are_refused_with_the_remedy():
    data = thinned(made_up_splits(lesions=False), 2, 12)
    with pytest.raises(InvalidInputError, match=r"'bright' has a box.*saliency"):
        CARE().prepare(data, 0)
    with pytest.raises(InvalidInputError, match="masks of the common classes"):
        CARE(boxes="segmentation").prepare(data, 0)


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 1.0}, "alpha=1.0"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"cap": 0}, "cap=0"),
        ({"outside_weight": -1}, "outside_weight=-1"),
        ({"box_scale": 0}, "box_scale=0"),
        ({"box_share": 0}, "box_share=0"),
        ({"share": 1}, "share=1"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"averaging": "images"}, "averaging.*boxed images"),
        ({"form": "energie"}, "form.*'energy'"),
        ({"classification": careedu.BalancedSampling()}, "classification="),
    ],
)
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(InvalidInputError, match=words):
        CARE(**options)


def test_unknown_words_get_a_suggestion():
    with pytest.raises(UnknownNameError, match="'saliency'"):
        CARE(boxes="salient")
    with pytest.raises(UnknownNameError, match="'rare'"):
        CARE(classes="rae")


def test_options_survive_json():
    method = CARE(
        classification=careedu.Focal(gamma=1.0), alpha=0.2, boxes="mark", form="energy", averaging="boxed images"
    )
    assert build_method("care", **method.options()) == method
    assert build_method("care", classification="cross-entropy").classification == careedu.CrossEntropy()


# ---- the plain loop --------------------------------------------------------------------------------------------------


def test_the_loop_of_the_docstring_runs_and_is_ten_lines():
    result = doctest.testmod(care)
    assert result.attempted >= 10 and result.failed == 0
    (example,) = [e for e in doctest.DocTestParser().get_examples(care.__doc__) if e.source.startswith("for ")]
    assert len(example.source.strip().splitlines()) - 1 <= 10


def test_the_loop_of_the_docstring_computes_the_methods_loss():
    torch.manual_seed(0)
    model = build_model("small", 3, 1).eval()
    batch = batch_of(torch.cat([rows_of_class(0, 4), rows_of_class(2, 3)]))
    terms = CARE(classification=careedu.CrossEntropy()).terms(FACTS)(model, batch)
    scope = {}
    source = [e.source for e in doctest.DocTestParser().get_examples(care.__doc__)]
    imports = [line for line in source if line.startswith(("import", "from"))]
    (loop,) = [line for line in source if line.startswith("for ")]
    scope |= {"model": model, "images": batch.inputs, "labels": batch.labels, "boxes": batch.boxes}
    scope["optimizer"] = torch.optim.SGD(model.parameters(), lr=0.0)
    exec("".join(imports) + loop, scope)
    torch.testing.assert_close(scope["loss"], sum(terms.values()))
