"""The methods declare what they should, and the references predict what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import CareeduError, InvalidInputError, UnknownNameError
from careedu.methods.building import build_method
from careedu.methods.facts import TrainingFacts
from careedu.methods.method import Method, TrainedMethod
from careedu.methods.references import lesion_area
from careedu.methods.registry import METHODS, method_class
from careedu.nn import losses

FACTS = TrainingFacts(counts=(300, 95, 30), rare=(2,), image_shape=(3, 64, 64))
LOGITS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.arange(12) % 3
COUNTS = torch.tensor([300.0, 95, 30], dtype=torch.float64)


def test_the_table_of_methods_names_each_class_by_its_own_name():
    for name, (_, class_name, line) in METHODS.items():
        cls = method_class(name)
        assert issubclass(cls, Method)
        assert (cls.name, cls.__name__) == (name, class_name)
        assert getattr(careedu, class_name) is cls
        assert 20 < len(line) < 90 and not line.endswith(".")


def test_options_survive_json_and_come_back_as_the_same_method():
    for method in (
        careedu.CrossEntropy(),
        careedu.ClassBalanced(beta=0.9),
        careedu.BalancedSampling(classification=careedu.Focal(gamma=1.0)),
    ):
        assert build_method(method.name, **method.options()) == method


def test_labels_tell_two_settings_of_one_method_apart():
    assert careedu.ClassBalanced().label() == "class-balanced"
    assert careedu.ClassBalanced(beta=0.9).label() == "class-balanced (beta=0.9)"
    nested = careedu.BalancedSampling(classification=careedu.Focal(gamma=1.0)).label()
    assert nested == "balanced-sampling (classification=focal (gamma=1.0))"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("class-balnced", {}, "class-balanced"),
        ("class-balanced", {"betta": 0.9}, "beta"),
        ("class-balanced", {"beta": 1.0}, "beta=1.0"),
        ("class-balanced", {"weighting": "inverze"}, "inverse"),
        ("focal", {"gamma": -1}, "gamma=-1"),
        ("ldam", {"scale": 0}, "scale=0"),
        ("logit-adjusted", {"tau": float("nan")}, "tau=nan"),
        ("classifier-retraining", {"share": 1.0}, "share=1.0"),
        ("nearest-neighbour", {"size": 0}, "size=0"),
        ("balanced-sampling", {"classification": "focl"}, "focal"),
    ],
)
def test_wrong_names_and_options_are_named_with_the_remedy(name, options, words):
    with pytest.raises(CareeduError, match=words) as caught:
        build_method(name, **options)
    assert isinstance(caught.value, InvalidInputError | UnknownNameError | ValueError)


def test_each_loss_method_is_its_loss():
    weight = losses.effective_number_weights(COUNTS, 0.99)
    inverse = losses.inverse_frequency_weights(COUNTS)
    cases = {
        careedu.CrossEntropy(): torch.nn.functional.cross_entropy(LOGITS, TARGET),
        careedu.ClassBalanced(): losses.weighted_cross_entropy(LOGITS, TARGET, weight),
        careedu.ClassBalanced(weighting="inverse"): losses.weighted_cross_entropy(LOGITS, TARGET, inverse),
        careedu.Focal(gamma=1.5): losses.focal_loss(LOGITS, TARGET, 1.5),
        careedu.Focal(weighting="inverse"): losses.focal_loss(LOGITS, TARGET, 2.0, inverse),
        careedu.LogitAdjusted(tau=0.5): losses.logit_adjusted_loss(LOGITS, TARGET, COUNTS, 0.5),
        careedu.LogitAdjusted(post_hoc=True): torch.nn.functional.cross_entropy(LOGITS, TARGET),
    }
    for method, expected in cases.items():
        torch.testing.assert_close(method.loss(LOGITS, TARGET, FACTS, 0.0), expected, rtol=1e-12, atol=0)


def test_ldam_weights_the_classes_only_late_and_scales_its_predictions():
    method = careedu.LDAM(reweight_from=0.8)
    cosines = LOGITS.tanh()
    weight = losses.effective_number_weights(COUNTS, 0.99)
    early, late = (method.loss(cosines, TARGET, FACTS, progress) for progress in (0.79, 0.8))
    torch.testing.assert_close(early, losses.ldam_loss(cosines, TARGET, COUNTS))
    torch.testing.assert_close(late, losses.ldam_loss(cosines, TARGET, COUNTS, weight=weight))
    assert not torch.isclose(early, late)
    torch.testing.assert_close(method.adjust(cosines, FACTS), 30 * cosines)


def test_post_hoc_adjustment_takes_the_log_priors_off():
    logits = torch.zeros(1, 3, dtype=torch.float64)
    adjusted = careedu.LogitAdjusted(tau=1.0, post_hoc=True).adjust(logits, FACTS)
    # With equal logits what is left is the inverse prior: the rarest class wins.
    np.testing.assert_allclose(adjusted[0].softmax(0), (1 / COUNTS) / (1 / COUNTS).sum())
    assert careedu.LogitAdjusted().adjust(logits, FACTS) is logits


@pytest.mark.parametrize("name", [name for name in METHODS if issubclass(method_class(name), TrainedMethod)])
@pytest.mark.parametrize("epochs", [2, 3, 20, 37])
def test_stages_share_out_exactly_the_epochs_asked_for(name, epochs):
    stages = build_method(name).stages(FACTS, epochs)
    assert sum(stage.epochs for stage in stages if stage.supervised) == epochs
    assert all(stage.epochs >= 1 for stage in stages)


def test_retraining_moves_nothing_but_the_head():
    for method in (careedu.ClassifierRetraining(), careedu.FeatureSMOTE()):
        features, head = method.stages(FACTS, 20)
        assert features.trainable is None and head.trainable == ("head.",)
        assert (features.epochs, head.epochs) == (15, 5)
    with pytest.raises(InvalidInputError, match="at least 2 epochs"):
        careedu.ClassifierRetraining().stages(FACTS, 1)


def test_smote_fills_up_the_rare_classes_between_their_own_neighbours():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 12, 3])
    features = generator.normal(size=(55, 4)).astype(np.float32) + 10 * labels[:, None]
    new, new_labels = careedu.FeatureSMOTE().resample(features, labels, seed=1)
    assert np.bincount(new_labels).tolist() == [40, 40, 40]
    np.testing.assert_array_equal(new[:55], features)
    for c in (1, 2):
        real, made = features[labels == c], new[55:][new_labels[55:] == c]
        assert (made >= real.min(0) - 1e-5).all() and (made <= real.max(0) + 1e-5).all()
    again, _ = careedu.FeatureSMOTE().resample(features, labels, seed=1)
    np.testing.assert_array_equal(new, again)


def test_smote_repeats_the_only_image_of_a_class():
    features, labels = np.arange(10, dtype=np.float32).reshape(5, 2), np.array([0, 0, 0, 0, 1])
    new, new_labels = careedu.FeatureSMOTE().resample(features, labels, seed=0)
    assert np.bincount(new_labels).tolist() == [4, 4]
    assert (new[new_labels == 1] == features[4]).all()


def test_nearest_neighbour_finds_a_copy_and_sums_to_one():
    data = made_up_splits()
    probabilities = careedu.NearestNeighbour().predict(data.train, data.train)
    assert (probabilities.argmax(1) == data.train.labels.numpy()).all()
    assert probabilities.shape == (len(data.train), 3) and (probabilities.sum(1) == 1).all()


def test_lesion_size_tells_classes_apart_by_area_alone():
    data = made_up_splits(size_tells=True)
    probabilities = careedu.LesionSize().predict(data.train, data.test)
    assert (probabilities.argmax(1) == data.test.labels.numpy()).mean() > 0.95
    same = made_up_splits(size_tells=False)
    probabilities = careedu.LesionSize().predict(same.train, same.test)
    np.testing.assert_allclose(probabilities, 1 / 3, atol=1e-9)


def test_lesion_size_needs_lesions_to_be_known():
    data = made_up_splits(lesions=False)
    with pytest.raises(InvalidInputError, match="needs a mask or box"):
        careedu.LesionSize().predict(data.train, data.test)


def test_lesion_area_prefers_the_mask_to_the_box():
    data = made_up_splits()
    masks = data.train.masks.float().mean(dim=(1, 2))
    np.testing.assert_allclose(lesion_area(data.train), masks, atol=1e-7)


def test_references_have_a_column_for_a_class_that_training_lacks():
    data = made_up_splits()
    without = data.train[data.train.labels != 1]
    assert careedu.NearestNeighbour().predict(without, data.test).shape[1] == 3
    assert thinned(data, 1, 5).train.counts[1] == 5
