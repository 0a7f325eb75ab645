"""SimCLR: the pretraining by hand, what it may read, how it is shared, and the methods that begin with it."""

import doctest
from dataclasses import replace

import pytest
import torch
from made_up import made_up_splits, thinned
from torch import nn

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.methods import simclr
from careedu.methods.building import build_method
from careedu.methods.facts import TrainingFacts
from careedu.methods.simclr import VIEWS, SimCLR, projections, tinted
from careedu.nn.backbones import build_model
from careedu.nn.contrastive import nt_xent
from careedu.training.batch import Batch
from careedu.training.prediction import pooled_or_maps

DATA = thinned(made_up_splits(), 2, 12)
FACTS = TrainingFacts(counts=(50, 50, 12), rare=(2,), image_shape=(1, 32, 32), dataset=DATA.train)
QUICK = {"epochs": 2, "progress": False, "device": "cpu"}
SHORT = SimCLR(epochs=2, batch_size=64)
METHODS = [careedu.CARE, careedu.GlobalAttention, careedu.LesionTransplant, careedu.CrossEntropy]


def body_of(run):
    return {name: tensor for name, tensor in run.weights.items() if name.startswith("body.")}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def network(method=SHORT, facts=FACTS):
    torch.manual_seed(0)
    model = method.network(build_model("small", 3, facts.image_shape[0]), facts)
    model.standardize_by(facts.dataset.images)
    return model


def batch_of(stage, rows=16, facts=FACTS):
    index = torch.arange(rows)
    return Batch(facts.dataset, index, stage.augmentation, torch.Generator().manual_seed(3))


# ---- the stage -------------------------------------------------------------------------------------------------------


def test_the_term_is_nt_xent_of_two_views():
    model = network().train()
    (stage,) = SHORT.pretraining(FACTS)
    batch, again = batch_of(stage), batch_of(stage)
    term = stage.updates[0].terms(model, batch)["contrast"]
    assert stage.augmentation == VIEWS["turned"]
    views = torch.cat([again.inputs, again.view()])
    z = model.training_parts["projector"](model.body(model.standardized(views)).mean(dim=(2, 3)))
    assert torch.equal(term, nt_xent(z[:16], z[16:], 0.2))


def test_it_reads_images_alone():
    """Labels, boxes and masks of another set change nothing of what is learned before the head."""
    other = replace(DATA.train, labels=DATA.train.labels.flip(0), boxes=None, masks=None, has_mask=None)
    runs = [careedu.fit(replace(DATA, train=train, rare=DATA.rare), SHORT, **QUICK) for train in (DATA.train, other)]
    assert same(body_of(runs[0]), body_of(runs[1]))
    assert runs[0].pretraining.equals(runs[1].pretraining)
    assert not torch.equal(runs[0].weights["head.weight"], runs[1].weights["head.weight"])


@pytest.mark.parametrize("method", METHODS)
def test_any_method_can_begin_with_it(method, tmp_path):
    alone = careedu.fit(DATA, SHORT, shared_stages=tmp_path, **QUICK)
    (kept,) = tmp_path.iterdir()
    seen = kept.stat().st_mtime_ns
    run = careedu.fit(DATA, method(pretrain=SHORT), shared_stages=tmp_path, **QUICK)
    assert kept.stat().st_mtime_ns == seen  # found, and not made again
    assert run.pretraining["loss: contrast"].iloc[:2].tolist() == alone.pretraining["loss: contrast"].tolist()
    assert len(run.history) == 2 and not same(body_of(run), body_of(alone))
    unshared = careedu.fit(DATA, method(pretrain=SHORT), **QUICK)
    assert (run.probabilities == unshared.probabilities).all()
    assert not any("projector" in name for name in run.weights)


def test_the_head_is_trained_on_features_that_rest():
    run = careedu.fit(DATA, SHORT, **QUICK)
    again = careedu.fit(DATA, SHORT, **{**QUICK, "epochs": 5})
    assert same(body_of(run), body_of(again))
    untrained = careedu.fit(DATA, SimCLR(epochs=0), **QUICK)
    torch.manual_seed(0)
    assert untrained.pretraining.empty and not same(body_of(run), body_of(untrained))
    assert untrained.weights.keys() == run.weights.keys()


def test_the_pretraining_is_that_of_the_images_whatever_share_has_labels(tmp_path):
    few, more = DATA.with_labels(4), DATA.with_labels(8)
    assert len(few.train) == 12 and len(few.pool) == len(more.pool) == len(DATA.train)
    runs = [
        careedu.fit(data, careedu.CrossEntropy(pretrain=SHORT), shared_stages=tmp_path, **{**QUICK, "epochs": epochs})
        for data, epochs in ((few, 3), (more, 2), (DATA, 2))
    ]
    assert runs[0].pretraining.equals(runs[1].pretraining) and runs[0].pretraining.equals(runs[2].pretraining)
    assert len(list(tmp_path.iterdir())) == 1
    assert runs[0].configuration["data"]["train counts"] == [4, 4, 4]
    assert torch.equal(runs[0].weights["mean"], runs[2].weights["mean"])  # the pool's, whose labels nobody needs


def test_what_a_method_draws_before_changes_nothing():
    """Neither that it has a module of its own, nor that few images have labels, where no stage was found."""
    runs = [
        careedu.fit(data, method, **QUICK)
        for data, method in (
            (DATA, careedu.CrossEntropy(pretrain=SHORT)),
            (DATA, careedu.DeepPneumonia(pretrain=SHORT)),
            (DATA.with_labels(4), careedu.CrossEntropy(pretrain=SHORT)),
        )
    ]
    assert all(run.pretraining.equals(runs[0].pretraining) for run in runs)


def test_shuffled_pixels_are_the_same_for_all_images_and_both_views():
    shuffled = replace(SHORT, pixels="shuffled")
    model = network(shuffled).train()
    (stage,) = shuffled.pretraining(FACTS)
    batch, again = batch_of(stage), batch_of(stage)
    term = stage.updates[0].terms(model, batch)["contrast"]
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
    views = torch.cat([again.inputs, again.view()]).flatten(2)[:, :, order].view(32, 1, 32, 32)
    assert torch.equal(term, nt_xent(*projections(model, views).chunk(2), 0.2))


def test_collapse_is_seen_in_the_spread():
    model = network().eval()
    (stage,) = SHORT.pretraining(FACTS)
    spread = stage.record(model)["embedding spread"].item()
    assert 0 < spread <= 1
    last = model.training_parts["projector"][-1]
    last.running_mean.fill_(-1e6)  # all outputs point one way
    assert stage.record(model)["embedding spread"].item() < 1e-3


def test_identical_views_have_nothing_to_tell_apart():
    (stage,) = replace(SHORT, views="identical").pretraining(FACTS)
    batch = batch_of(stage)
    assert torch.equal(batch.inputs, batch.view())


# ---- colour ----------------------------------------------------------------------------------------------------------


def test_a_tint_changes_each_channel_by_one_factor():
    images = torch.rand(5, 3, 6, 6) * 0.6 + 0.1
    changed = tinted(images, 0.3, torch.Generator().manual_seed(0))
    factors = changed / images
    assert torch.allclose(factors, factors[:, :, :1, :1].expand_as(factors), atol=1e-5)
    assert (factors - 1).abs().max() <= 0.3 + 1e-5 and factors[:, :, 0, 0].std() > 0.05
    assert torch.equal(tinted(images, 0.0, torch.Generator()), images)
    assert tinted(torch.ones(1, 3, 2, 2), 1.0, torch.Generator().manual_seed(0)).max() <= 1


def test_only_colour_images_are_tinted(monkeypatch):
    calls = []
    monkeypatch.setattr(simclr, "tinted", lambda images, *rest: calls.append(images.shape) or images)
    for channels in (1, 3):
        data = made_up_splits(12, 6, 6, channels=channels)
        facts = TrainingFacts((4, 4, 4), (2,), (channels, 32, 32), data.train)
        (stage,) = SHORT.pretraining(facts)
        stage.updates[0].terms(network(facts=facts), batch_of(stage, 8, facts))
    assert calls == [(16, 3, 32, 32)]


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"epochs": -1}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"width": 1}, "width"),
        ({"temperature": 0.0}, "temperature"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"tint": 1.5}, "tint"),
        ({"pretrain": SHORT}, "pretraining itself"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, names):
    with pytest.raises(InvalidInputError, match=names):
        SimCLR(**options)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="turned"):
        SimCLR(views="turnd")
    with pytest.raises(UnknownNameError, match="shuffled"):
        SimCLR(pixels="shufled")


def test_where_pretrain_is_given():
    assert careedu.CARE(pretrain="simclr").pretrain == SimCLR()
    with pytest.raises(InvalidInputError, match="must be a pretraining"):
        careedu.CARE(pretrain=careedu.CrossEntropy())
    with pytest.raises(InvalidInputError, match="'care' itself"):
        careedu.CARE(classification=careedu.CrossEntropy(pretrain=SHORT))


def test_a_method_without_it_is_the_one_that_it_was():
    """Options that nobody uses make no other run: saved runs from before are found again."""
    assert "pretrain" not in careedu.CARE().options()
    options = careedu.CARE(pretrain=SHORT).options()
    assert options["pretrain"]["method"] == "simclr" and options["pretrain"]["epochs"] == 2
    assert build_method("care", **options) == careedu.CARE(pretrain=SHORT)
    assert careedu.CARE(pretrain=SHORT).all_revisions() == "2.1.1.1"
    # Where a method begins with one by default, that it does not is told.
    without = careedu.DeepPneumonia(pretrain=None)
    assert without.options()["pretrain"] is None and build_method("deep-pneumonia", **without.options()) == without


def test_embeddings_of_a_run():
    run = careedu.fit(DATA, SHORT, **QUICK)
    features = pooled_or_maps(run.network(), DATA.test.images, True)
    assert features.shape == (60, 128)
    # A linear evaluation standardises over the images that it learns from.
    seen = pooled_or_maps(run.network(), DATA.train.images, True)
    assert seen.mean(dim=0).abs().max() < 1e-4
    assert torch.allclose(seen.std(dim=0, correction=0)[seen.std(dim=0) > 0.5], torch.tensor(1.0), atol=0.05)
    assert isinstance(run.network().head, nn.Linear)


def test_the_loop_of_the_docstring_runs():
    assert doctest.testmod(simclr).failed == 0
