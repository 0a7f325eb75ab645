"""The distractor's features and loss against loops and autograd, and the method with its controls."""

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
from careedu.methods import distractor
from careedu.methods.distractor import (
    RELEVANCES,
    DistractorAware,
    distractor_features,
    distractor_loss,
    relevance,
    tempting_class,
)
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import OHEM, LogitAdjusted
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch

DATA = thinned(made_up_splits(), 2, 12)
COUNTS = tuple(DATA.train.counts.tolist())
FACTS = TrainingFacts(counts=COUNTS, rare=(2,), image_shape=tuple(DATA.train.images.shape[1:]), dataset=DATA.train)
QUICK = {"epochs": 4, "progress": False, "device": "cpu"}
AT_ONCE = {"warm_up": 0.0, "weight": 1.0, "margin": 2.0}


def made_up(seed, n=4, k=5, size=3, classes=3):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, k, size, size, generator=generator, dtype=torch.float64).relu()
    weight = torch.randn(classes, k, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (n,), generator=generator)
    return features, weight, features.mean(dim=(2, 3)) @ weight.T, target


def features_by_loops(features, weight, logits, target):
    n, k, h, w = features.shape
    z_d = torch.zeros(n, k, dtype=features.dtype)
    for i in range(n):
        wrong = max((c for c in range(len(weight)) if c != target[i]), key=lambda c: logits[i, c])
        r = {}
        for neuron in range(k):
            for y in range(h):
                for x in range(w):
                    r[neuron, y, x] = max(0.0, float(features[i, neuron, y, x] * weight[wrong, neuron]) / (h * w))
        most = max(r.values())
        for (neuron, y, x), value in r.items():
            if most > 0:
                z_d[i, neuron] += features[i, neuron, y, x] * value / most / (h * w)
    return z_d


def loss_by_loops(z, z_d, margin, weight):
    total = 0.0
    for a, b, w in zip(z, z_d, weight, strict=True):
        lengths = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
        total += float(w) * max(0.0, margin - (1 - (float(a @ b) / lengths if lengths else 0.0)))
    return total / len(z)


# ---- plain functions -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(2, 5))
def test_features_and_loss_are_those_of_loops(seed, n, k, size, classes):
    features, weight, logits, target = made_up(seed, n, k, size, classes)
    z_d = distractor_features(features, weight, logits, target)
    torch.testing.assert_close(z_d, features_by_loops(features, weight, logits, target), rtol=0, atol=1e-6)
    z, likely = features.mean(dim=(2, 3)), torch.rand(n, dtype=torch.float64)
    for margin in (0.0, 0.5, 2.0):
        assert float(distractor_loss(z, z_d, margin, likely)) == pytest.approx(
            loss_by_loops(z, z_d, margin, likely), abs=1e-6
        )
        assert float(distractor_loss(z, z_d, margin)) == pytest.approx(loss_by_loops(z, z_d, margin, [1] * n), abs=1e-6)


def test_the_closed_form_is_the_gradient():
    features, weight, logits, target = made_up(0)
    features.requires_grad_()
    wrong = tempting_class(logits, target)
    score = (features.mean(dim=(2, 3)) @ weight.T).gather(1, wrong[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, features)
    expected = functional.relu(features * gradient)
    expected = expected / expected.amax(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(relevance(features, weight[wrong]), expected.detach(), rtol=1e-9, atol=1e-12)


def test_no_gradient_runs_through_the_relevance():
    features, weight, logits, target = made_up(1)
    features.requires_grad_(), weight.requires_grad_()
    r = relevance(features, weight[tempting_class(logits, target)])
    assert not r.requires_grad and float(r.min()) >= 0 and float(r.max()) == 1
    distractor_features(features, weight, logits, target).sum().backward()
    # As if r were a constant; were it none, there would be a second part.
    torch.testing.assert_close(features.grad, r / r[0, 0].numel())
    assert weight.grad is None


def test_the_wrong_class_that_tempts_most():
    logits = torch.tensor([[3.0, 1, 2], [3, 1, 2], [-9, -8, -8.5], [0, 0, 0]])
    assert tempting_class(logits, torch.tensor([0, 1, 1, 0])).tolist() == [2, 0, 2, 1]
    assert tempting_class(logits[:, :2], torch.tensor([0, 1, 0, 1])).tolist() == [1, 0, 1, 0]


def test_the_worked_numbers():
    z, z_d = torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 1]])
    assert distractor_loss(z, z_d, 0.5) == 0  # a right angle is further than the margin
    assert distractor_loss(z, 3 * z, 0.5) == pytest.approx(0.5)
    assert distractor_loss(z, -z, 2.0) == 0
    assert distractor_loss(z, z_d, 1.5) == pytest.approx(0.5)
    assert distractor_loss(z, z, 0.5, torch.tensor([0.2])) == pytest.approx(0.1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_nothing_is_divided_by_nothing(dtype):
    features, weight, _, target = (t.to(dtype) if t.is_floating_point() else t for t in made_up(2))
    cases = {
        "nothing speaks for the wrong class": (features, -weight.abs()),
        "no neuron is active": (features * 0, weight),
        "one class dominates": (features, weight + torch.tensor([[60.0], [0], [0]], dtype=dtype)),
        "tiny": (features * torch.finfo(dtype).tiny, weight),
        "one neuron, equal vectors": (features[:, :1] + 1, weight[:, :1].abs() + 1),
    }
    for case, (a, w) in cases.items():
        a = a.clone().requires_grad_()
        z = a.mean(dim=(2, 3))
        z_d = distractor_features(a, w, z @ w.T, target)
        loss = distractor_loss(z, z_d, 1.5)
        loss.backward()
        assert bool(loss.isfinite()) and bool(a.grad.isfinite().all()), case
        assert bool(z_d.isfinite().all()), case


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a, w, s, y: distractor_features(a, w, s[:, :1], y * 0), "at least two columns"),
        (lambda a, w, s, y: distractor_features(a[0], w, s, y), r"features must be \(B, K, h, w\)"),
        (lambda a, w, s, y: distractor_features(a, w[:, 1:], s, y), r"pass the head's row"),
        (lambda a, w, s, y: distractor_features(a, w, s, y + 9), "target holds"),
        (lambda a, w, s, y: distractor_loss(a[:, :, 0, 0], a[:, 1:, 0, 0]), r"must be \(B, K\)"),
        (lambda a, w, s, y: distractor_loss(s[:0], s[:0]), r"must be \(B, K\)"),
        (lambda a, w, s, y: distractor_loss(s, s, 2.1), r"margin=2.1 must be a number in \[0, 2\]"),
        (lambda a, w, s, y: distractor_loss(s, s, weight=s), r"weight must be \(4,\)"),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises(InvalidInputError, match=says):
        call(*made_up(3))


# ---- the method ------------------------------------------------------------------------------------------------------


def terms_of(method, progress=0.5, head=None):
    torch.manual_seed(0)
    model = method.wrap(build_model("small", 3, FACTS.image_shape[0]), FACTS)
    model.train()
    (stage,) = method.stages(FACTS, 4)
    generator = torch.Generator().manual_seed(1)
    batch = Batch(DATA.train, torch.arange(12), Augmentation(), generator, progress)
    state = generator.get_state()
    found = stage.updates[0].terms(model, batch)
    assert torch.equal(generator.get_state(), state)  # so that all arms see the same images
    return model, batch, found, stage


def test_the_terms_are_those_of_the_plain_functions():
    model, batch, found, stage = terms_of(DistractorAware(weight=0.3, margin=1.2, warm_up=0.5))
    features = model.features(batch.inputs)
    z, logits = model.pool(features), model(batch.inputs)
    z_d = distractor_features(features, model.head.weight, logits, batch.labels)
    wrong = tempting_class(logits, batch.labels)
    likely = logits.softmax(dim=1).gather(1, wrong[:, None])[:, 0]
    torch.testing.assert_close(found["distractor"], 0.3 * distractor_loss(z, z_d, 1.2, likely), rtol=1e-4, atol=1e-6)
    loss = LogitAdjusted().loss(logits, batch.labels, FACTS, 0.5)
    torch.testing.assert_close(found["classification"], loss, rtol=1e-4, atol=1e-5)
    distance = 1 - functional.cosine_similarity(z, z_d)
    assert float(stage.record(model)["distractor distance"]) == pytest.approx(float(distance.detach().mean()), abs=1e-5)
    assert math.isnan(stage.record(model)["distractor distance"])  # each epoch has its own
    alike = terms_of(DistractorAware(weight=0.3, margin=1.2, confidence=False))[2]["distractor"]
    torch.testing.assert_close(alike, 0.3 * distractor_loss(z, z_d, 1.2), rtol=1e-4, atol=1e-6)


def test_in_the_warm_up_the_loss_is_alone():
    for which in RELEVANCES:
        early = terms_of(DistractorAware(relevance=which, **{**AT_ONCE, "warm_up": 0.5}), progress=0.49)[2]
        plain = terms_of(DistractorAware(weight=0.0), progress=0.49)[2]
        assert torch.equal(early["classification"], plain["classification"])
        assert not early.get("distractor", torch.tensor(0.0)).any()


def test_a_gradient_that_must_not_run_does_not():
    """The likelihood that weighs an image is a constant too, and a normalised head gets no gradient from its own."""
    for loss in ("logit-adjusted", "ldam"):
        model, _, found, _ = terms_of(DistractorAware(loss, **AT_ONCE))
        found["distractor"].backward()
        assert all(p.grad is None for p in model.head.parameters())
        assert any(bool((p.grad != 0).any()) for p in model.body.parameters())


def test_the_controls_are_what_they_say(monkeypatch):
    seen = {}

    def spy(name):
        def wrapped(self, model, features, classes, batch):
            seen[name] = (original(self, model, features, classes, batch), features.detach(), batch)
            return seen[name][0]

        return wrapped

    original = DistractorAware._relevance
    for which in RELEVANCES:
        monkeypatch.setattr(DistractorAware, "_relevance", spy(which))
        model, batch, found, _ = terms_of(DistractorAware(relevance=which, **AT_ONCE))
        seen[which] += (model, found)
    wrong, true, random, dropout = (seen[which] for which in RELEVANCES)
    rows = wrong[3].head.weight[batch.labels]
    assert torch.equal(true[0], relevance(true[1], rows))
    assert not torch.equal(true[0], wrong[0])
    # The same values of each image, elsewhere.
    assert torch.equal(random[0].flatten(1).sort().values, wrong[0].flatten(1).sort().values)
    assert not torch.equal(random[0], wrong[0])
    assert set(dropout[4]) == {"classification"}
    assert not torch.equal(dropout[4]["classification"], wrong[4]["classification"])


def test_dropout_takes_as_much_as_the_distractor_holds():
    features = torch.rand(400, 8, 6, 6)
    z = features.mean(dim=(2, 3))
    z_d = z * torch.linspace(0, 0.6, 400)[:, None]
    batch = Batch(DATA.train, torch.arange(12), Augmentation(), torch.Generator().manual_seed(0), 0.5)
    thinned_features = DistractorAware._thinned(features, z, z_d, batch)
    gone = (thinned_features == 0).float().mean(dim=(1, 2, 3))
    assert (gone - torch.linspace(0, 0.6, 400)).abs().max() < 0.15  # 288 drawn: six standard errors
    assert torch.allclose(thinned_features.mean(), features.mean(), atol=0.01)
    kept = thinned_features[100][thinned_features[100] > 0] / features[100][thinned_features[100] > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - 0.6 * 100 / 399)))


def test_a_weight_of_nothing_is_the_loss_alone_bit_for_bit():
    plain = careedu.fit(DATA, "logit-adjusted", **QUICK)
    nothing = careedu.fit(DATA, DistractorAware(weight=0.0), **QUICK)
    assert np.array_equal(plain.probabilities, nothing.probabilities)
    assert np.array_equal(plain.history["balanced accuracy"], nothing.history["balanced accuracy"])


def test_each_control_trains_another_network_and_the_same_seed_the_same():
    method = DistractorAware(weight=0.5, margin=1.0, warm_up=0.25)
    found = {w: careedu.fit(DATA, replace(method, relevance=w), **QUICK) for w in RELEVANCES}
    assert len({run.probabilities.tobytes() for run in found.values()}) == len(RELEVANCES)
    again = careedu.fit(DATA, method, **QUICK)
    assert np.array_equal(again.probabilities, found["wrong class"].probabilities)
    history = again.history
    assert history["loss: distractor"].iloc[0] == 0 and (history["loss: distractor"].iloc[1:] > 0).all()
    assert history["distractor distance"].between(0, 2).all()
    # It does what it is there for: with it the distance is larger than without, from the same beginning.
    alone = careedu.fit(DATA, replace(method, weight=0.0), **QUICK).history["distractor distance"]
    assert history["distractor distance"].iloc[0] == alone.iloc[0]
    assert history["distractor distance"].iloc[-1] > alone.iloc[-1]


def test_bad_options_are_named():
    for options, says in (
        ({"weight": -1}, "weight=-1 must be"),
        ({"margin": 3}, "margin=3 must be"),
        ({"warm_up": 1}, "warm_up=1 must be"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            DistractorAware(**options)
    with pytest.raises(UnknownNameError, match="Did you mean 'wrong class'"):
        DistractorAware(relevance="wrong clas")


def test_the_loop_of_the_docstring_runs():
    assert doctest.testmod(distractor).failed == 0


# ---- online hard example mining --------------------------------------------------------------------------------------


def test_ohem_by_hand():
    logits = torch.tensor([[2.0, 0, 0], [0, 0, 0], [0, 0, 5], [1, 0, 0], [0, 3, 0]], dtype=torch.float64)
    target = torch.tensor([0, 1, 0, 0, 1])
    for tau in (0.0, 1.0):
        prior = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
        each = [float(functional.cross_entropy(s + tau * prior.log(), y)) for s, y in zip(logits, target, strict=True)]
        for share, n in ((1.0, 5), (0.5, 3), (0.01, 1)):
            expected = sum(sorted(each)[-n:]) / n
            assert float(OHEM(share, tau).loss(logits, target, FACTS, 0.0)) == pytest.approx(expected)
    assert float(OHEM(1.0, 1.0).loss(logits, target, FACTS, 0.0)) == pytest.approx(
        float(LogitAdjusted().loss(logits, target, FACTS, 0.0))
    )
    with pytest.raises(InvalidInputError, match=r"share=0 must be a number in \(0, 1\]"):
        OHEM(0)
