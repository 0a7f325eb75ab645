"""Feature generation: segmentation features, what is generated of them, and what the head is trained on."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import made_up_dataset, made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment.fit import fit
from careedu.methods import feature_generation
from careedu.methods.adversarial import ACGAN, WGANGP
from careedu.methods.facts import TrainingFacts
from careedu.methods.feature_generation import GENERATORS, PART, FeatureGeneration
from careedu.methods.segmentation import Segmentation, add_decoder, dice_scores, segment, train_segmentation
from careedu.nn.backbones import build_model
from careedu.training.prediction import pooled_or_maps

DATA = thinned(made_up_splits(), 2, 12)
COUNTS = tuple(DATA.train.counts.tolist())
FACTS = TrainingFacts(counts=COUNTS, rare=(2,), image_shape=tuple(DATA.train.images.shape[1:]), dataset=DATA.train)
QUICK = {"epochs": 4, "progress": False, "device": "cpu"}
SHORT = {"pretrain": Segmentation(epochs=1), "generator_epochs": 5}


def table(counts=(20, 9, 3), width=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return (rng.normal(size=(len(labels), width)) + 10 * labels[:, None]).astype(np.float32), labels


def model_for(classes=3):
    return build_model("small", classes, 1)


def test_the_example_of_the_module_runs():
    assert doctest.testmod(feature_generation).failed == 0


# What the head is trained on


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 11, 17]),
        ({"amount": 0.5}, [0, 1, 7]),
        ({"amount": 2.0}, [20, 31, 37]),
        ({"generator": "none"}, [0, 0, 0]),
        ({"real": False}, [20, 20, 20]),
        ({"real": False, "amount": 0.5}, [10, 10, 10]),
    ],
)
def test_a_class_is_filled_up_to_a_share_of_the_largest(options, expected):
    assert FeatureGeneration(**options).counts((20, 9, 3)) == expected


@pytest.mark.parametrize("generator", ["smote", "gaussian", "deviations"])
@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_real_features_come_first_and_generated_ones_after(generator, amount):
    features, labels = table()
    method = FeatureGeneration(generator=generator, amount=amount)
    new, of = method.resample(model_for(), features, labels, 3)
    np.testing.assert_array_equal(new[: len(labels)], features)
    np.testing.assert_array_equal(of[: len(labels)], labels)
    assert np.bincount(of[len(labels) :], minlength=3).tolist() == method.counts((20, 9, 3))
    assert new.dtype == np.float32
    again, _ = method.resample(model_for(), features, labels, 3)
    np.testing.assert_array_equal(new, again)
    other, _ = method.resample(model_for(), features, labels, 4)
    assert not np.array_equal(new, other)


def test_without_real_features_there_are_only_generated_ones():
    features, labels = table()
    new, of = FeatureGeneration(generator="gaussian", real=False).resample(model_for(), features, labels, 0)
    assert np.bincount(of).tolist() == [20, 20, 20]
    assert not set(map(tuple, new)) & set(map(tuple, features))


def test_gaussian_features_have_mean_and_spread_of_their_class():
    features, labels = table((400, 50, 40))
    features[labels == 2] *= [1, 2, 3, 4, 5]
    new, of = FeatureGeneration(generator="gaussian", amount=20).resample(model_for(), features, labels, 0)
    for c in range(3):
        own, real = new[len(labels) :][of[len(labels) :] == c], features[labels == c]
        np.testing.assert_allclose(own.mean(axis=0), real.mean(axis=0), atol=0.05 * real.std(axis=0).max())
        np.testing.assert_allclose(own.std(axis=0), real.std(axis=0), rtol=0.05)


def test_deviations_are_those_of_any_training_feature_from_its_own_mean():
    features, labels = table((12, 6, 1))
    new, of = FeatureGeneration(generator="deviations").resample(model_for(), features, labels, 0)
    mean = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    known = features - mean[labels]
    for made, c in zip(new[19:], of[19:], strict=True):
        assert np.abs(known - (made - mean[c])).max(axis=1).min() < 1e-4
    assert len(np.unique(new[19:][of[19:] == 2], axis=0)) > 3  # though the class has a single feature


def test_the_head_is_told_how_many_features_there_are():
    seen = []

    class Counting(careedu.CrossEntropy):
        name = "counting"

        def loss(self, logits, target, facts, progress):
            seen.append(facts.counts)
            return super().loss(logits, target, facts, progress)

    fit(DATA, FeatureGeneration(Counting(), generator="gaussian", pretrain=Segmentation(epochs=1)), **QUICK)
    assert set(seen) == {(COUNTS[0],) * 3}
    seen.clear()
    fit(DATA, FeatureGeneration(Counting(), generator="none", pretrain=Segmentation(epochs=1)), **QUICK)
    assert set(seen) == {COUNTS}


def test_only_what_the_discriminator_agrees_with_is_learned_from(monkeypatch):
    features, labels = table((20, 9, 3))
    method, model = FeatureGeneration(), model_for()
    torch.manual_seed(0)
    gan = model.training_parts[PART] = ACGAN(5, 3).fit(features, labels, epochs=5)
    monkeypatch.setattr(gan, "agrees", lambda made, wanted: (wanted == 1) & (made[:, 0] > made[:, 0].median()))
    with pytest.warns(UserWarning, match=r"agrees with \[0, 11, 0\] of \[0, 11, 17\] features"):
        new, of = method.resample(model, features, labels, 0)
    assert np.bincount(of).tolist() == [20, 20, 3]
    first = gan.sample(torch.tensor([1] * 11 + [2] * 17), torch.Generator().manual_seed(0))
    kept = first[:11][(first[:11, 0] > first[:, 0].median()).numpy()]
    np.testing.assert_array_equal(new[32 : 32 + len(kept)], kept)
    monkeypatch.undo()
    monkeypatch.setattr(gan, "agrees", lambda made, wanted: torch.ones(len(made), dtype=torch.bool))
    new, of = method.resample(model, features, labels, 0)
    np.testing.assert_array_equal(new[32:], first)


def test_generated_maps_are_pooled():
    features, labels = table((12, 6, 6), width=4)
    maps = np.repeat(features, 9, axis=1).reshape(24, 4, 3, 3) * np.linspace(0, 2, 9).reshape(3, 3).astype(np.float32)
    model = model_for()
    torch.manual_seed(0)
    gan = model.training_parts[PART] = WGANGP((4, 3, 3), 3).fit(maps, labels, epochs=5)
    gan.agrees = lambda made, wanted: torch.ones(len(made), dtype=torch.bool)
    new, _ = FeatureGeneration(generator="wgan-gp", features="maps").resample(model, features, labels, 7)
    made = gan.sample(torch.tensor([1] * 6 + [2] * 6), torch.Generator().manual_seed(7))
    np.testing.assert_allclose(new[24:], made.mean(dim=(2, 3)), rtol=1e-5)


# The stages


@pytest.mark.parametrize("generator", ["acgan", "wgan-gp"])
@pytest.mark.parametrize("features", ["pooled", "maps"])
def test_the_features_rest_while_they_are_generated_and_classified(generator, features):
    kept = {}

    def look(report):
        kept[report.row["stage"], report.row["epoch"]] = {
            name: tensor.clone() for name, tensor in report.model.state_dict().items()
        }

    method = FeatureGeneration(generator=generator, features=features, **SHORT)
    run = fit(DATA, method, on_epoch=look, **QUICK)
    assert [key[0] for key in kept] == ["segmentation"] + ["generation"] * 5 + ["head"] * 4
    first, states = kept["segmentation", 1], list(kept.values())[1:]
    for state in states:
        assert all(torch.equal(state[name], tensor) for name, tensor in first.items() if name.startswith("body."))
    generation = [name for name in first if name.startswith(f"training_parts.{PART}.generator")]
    assert any(not torch.equal(first[name], states[4][name]) for name in generation)
    assert all(torch.equal(states[4][name], states[-1][name]) for name in generation)
    scale = f"training_parts.{PART}.scale"
    assert float(first[scale]) == 1.0 != float(states[0][scale])
    # Standardised over the training images from the first stage that looks at them on.
    network = build_model("small", 3, 1)
    network.load_state_dict({name: t for name, t in first.items() if not name.startswith(("after", "training_parts"))})
    z = pooled_or_maps(network, DATA.train.images, pooled=True)
    for state in states:
        torch.testing.assert_close(state["after.running_mean"], z.mean(dim=0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state["after.running_var"], z.var(dim=0, correction=0), rtol=1e-3, atol=1e-6)
    assert not any(name.startswith("training_parts") for name in run.weights)
    shape = states[0][f"training_parts.{PART}.generator.4.weight"].shape[0]
    assert shape == (128 if features == "pooled" else 128 * 4 * 4)


def test_the_history_tells_of_collapse_copies_and_agreement():
    run = fit(DATA, FeatureGeneration(**SHORT), **QUICK)
    rows = run.pretraining[run.pretraining["stage"] == "generation"]
    assert len(rows) == 5 and len(run.history) == 4
    columns = ["class agreement", "near copies", *(f"Fréchet distance: {name}" for name in DATA.classes)]
    columns += [f"loss: {part}, {term}" for part in ("discriminator", "generator") for term in ("source", "class")]
    assert np.isfinite(rows[columns].to_numpy(dtype=float)).all()
    assert (rows[[name for name in columns if name.startswith("Fréchet")]] > 0).all(axis=None)
    assert rows["Fréchet distance: dim"].nunique() == 5
    assert rows["class agreement"].between(0, 1).all() and rows["near copies"].between(0, 1).all()


def test_without_a_pretraining_the_features_come_from_cross_entropy():
    stages = FeatureGeneration(pretrain=None, generator="smote").all_stages(FACTS, 8)
    assert [(stage.name, stage.epochs) for stage in stages] == [("features", 6), ("head", 2)]
    stages = FeatureGeneration(pretrain=careedu.SimCLR(epochs=3), generator_epochs=7).all_stages(FACTS, 8)
    assert [(stage.name, stage.epochs) for stage in stages] == [("pretraining", 3), ("generation", 7), ("head", 8)]
    # As feature-smote has it: the same features, the same head.
    one, other = (
        fit(DATA, method, **QUICK)
        for method in (careedu.FeatureSMOTE(), FeatureGeneration(pretrain=None, generator="smote"))
    )
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


SEGMENTED = {"pretrain": Segmentation(epochs=1)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FeatureGeneration(generator="none", **SHORT), FeatureGeneration(generator="gaussian", **SHORT)),
        (FeatureGeneration(generator="none", **SHORT), FeatureGeneration(careedu.LDAM(), generator="none", **SHORT)),
        (careedu.GlobalAttention(**SEGMENTED), careedu.CrossEntropy(**SEGMENTED)),
        (careedu.CrossEntropy(**SEGMENTED), FeatureGeneration(generator="acgan", **SHORT)),
    ],
)
def test_arms_share_the_segmentation_and_have_the_bits_that_they_have_alone(tmp_path, first, second):
    fit(DATA, first, shared_stages=tmp_path, **QUICK)
    shared = fit(DATA, second, shared_stages=tmp_path, **QUICK)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    np.testing.assert_array_equal(shared.probabilities, fit(DATA, second, **QUICK).probabilities)


def test_networks_that_standardise_otherwise_share_no_segmentation(tmp_path):
    """The pool of images without labels tells how images are standardised."""
    brighter = made_up_dataset(60, 5)
    brighter = replace(brighter, images=brighter.images // 2 + 100)
    for data in (DATA, replace(DATA, pool=brighter)):
        run = fit(data, careedu.CrossEntropy(**SEGMENTED), shared_stages=tmp_path, **QUICK)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    alone = fit(data, careedu.CrossEntropy(**SEGMENTED), **QUICK)
    np.testing.assert_array_equal(run.probabilities, alone.probabilities)


def test_rare_features_that_are_generated_help_where_the_head_would_neglect_the_class():
    """On an easy set whose rare class the plain head has hardly learned."""
    hard = thinned(made_up_splits(), 2, 4)
    options = {"pretrain": careedu.SimCLR(epochs=0), "sampler": "shuffle"}
    plain, filled = (
        fit(hard, FeatureGeneration(generator=generator, **options), **{**QUICK, "epochs": 6})
        for generator in ("none", "deviations")
    )
    assert filled.rare_recall() > plain.rare_recall()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"generator": "vae"}, UnknownNameError, "acgan"),
        ({"amount": 0.0}, InvalidInputError, "amount"),
        ({"generator_epochs": 4}, InvalidInputError, "generator_epochs"),
        ({"generator": "smote", "real": False}, InvalidInputError, "leaves nothing"),
        ({"generator": "none", "real": False}, InvalidInputError, "leaves nothing"),
        ({"features": "pixels"}, UnknownNameError, "maps"),
        ({"classification": careedu.LDAM(), "pretrain": None}, InvalidInputError, "'ldam' has another head"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        FeatureGeneration(**options)


def test_every_generator_is_tried_here():
    assert set(GENERATORS) == {"none", "acgan", "wgan-gp", "smote", "gaussian", "deviations"}


# The segmentation


def test_a_segmentation_needs_masks_to_learn_from():
    bare = replace(DATA, train=replace(DATA.train, masks=None, has_mask=None))
    for method in (Segmentation(), FeatureGeneration(), careedu.CrossEntropy(pretrain=Segmentation())):
        with pytest.raises(InvalidInputError, match=r"0 of the training images have one.*SimCLR"):
            fit(bare, method, **QUICK)


def test_images_without_a_mask_are_left_to_the_head():
    few = torch.zeros(len(DATA.train), dtype=torch.bool)
    few[:6] = True
    data = replace(DATA, train=replace(DATA.train, masks=DATA.train.masks & few[:, None, None], has_mask=few))
    facts = replace(FACTS, dataset=data.train)
    (stage,) = Segmentation().pretraining(facts)
    assert torch.equal(stage.rows, few)
    run = fit(data, Segmentation(epochs=2), **QUICK)
    assert len(run.pretraining) == 2
    # Masks that are not known tell nothing, whatever stands there.
    other = replace(data, train=replace(data.train, masks=DATA.train.masks | ~few[:, None, None], has_mask=few))
    np.testing.assert_array_equal(run.probabilities, fit(other, Segmentation(epochs=2), **QUICK).probabilities)


@pytest.mark.parametrize("model", ["small", "unet", "resnet18"])
def test_any_network_can_learn_masks(model):
    network = add_decoder(build_model(model, 3, 1))
    logits = segment(network, torch.rand(2, 1, 40, 48))
    assert logits.shape == (2, 40, 48)
    logits.sum().backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.body.parameters())


def test_dice_scores_by_hand():
    images = made_up_dataset(4, 0)
    images.masks[3] = False

    def found(batch):  # all of the first, half of the second, nothing of the third, something where nothing is
        logits = torch.full((len(batch), 32, 32), -1.0)
        logits[0][images.masks[0]] = 1.0
        rows = images.masks[1].nonzero()
        half = rows[: len(rows) // 2]
        logits[1, half[:, 0], half[:, 1]] = 1.0
        logits[3, 0, 0] = 1.0
        return logits

    np.testing.assert_allclose(dice_scores(found, images), [1, 2 / 3, 0, 0])
    images.masks[2:] = False
    assert dice_scores(lambda batch: torch.full((len(batch), 32, 32), -1.0), images[2:]).tolist() == [1.0, 1.0]
    with pytest.raises(InvalidInputError, match="3 masks for 4 images"):
        dice_scores(found, replace(images, has_mask=torch.tensor([True, True, True, False])))


@pytest.mark.slow
def test_the_segmentation_of_brain_phantoms_is_good():
    data = careedu.load("phantom-brain", imbalance=10, largest=120)
    network = train_segmentation(data.train, careedu.Augmentation.named(data.augmentation), 0, 300)
    assert dice_scores(network, data.test).mean() >= 0.8
