"""The contract: every method keeps it, a user's own can, and whoever breaks a clause is told which."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from made_up import made_up_splits, thinned
from torch import nn
from torch.nn import functional

import careedu
from careedu.errors import ContractError
from careedu.methods import METHODS
from careedu.methods.global_attention import MAPS
from careedu.methods.method import LossMethod, TrainedMethod, UntrainedMethod
from careedu.nn.backbones import Classifier
from careedu.nn.spatial_mask import FixedMask
from careedu.training.prediction import predict_logits
from careedu.training.stage import Stage, Update

CLAUSES = (
    *("options", "epochs", "held-out images", "training", "gradients", "same seed", "held-out lesions"),
    *("absent class", "one image", "resume", "shared stages", "network", "saved run"),
)


def broken_clauses(method):
    """The clauses that a method breaks, with what is said of each."""
    with pytest.raises(ContractError) as caught:
        careedu.check_method(method)
    found = dict(re.findall(r"^- ([\w -]+): (.+)$", str(caught.value), re.MULTILINE))
    assert found and set(found) <= set(CLAUSES)
    assert len(caught.value.__cause__.exceptions) == len(found)
    return found


# As short as they still have all their stages: what else they are does not depend on how long they take.
BRIEF = careedu.SimCLR(epochs=2, batch_size=16)
PRETRAINED = {
    "simclr": BRIEF,
    "deep-pneumonia": careedu.DeepPneumonia(pretrain=BRIEF),
    "segmentation": careedu.Segmentation(epochs=2),
    "feature-generation": careedu.FeatureGeneration(pretrain=careedu.Segmentation(epochs=2), generator_epochs=5),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_contract(name):
    careedu.check_method(PRETRAINED.get(name, name))


@pytest.mark.parametrize(
    "method",
    [
        careedu.GlobalAttention("ldam", level="features", map="free"),
        careedu.LocalAttention("focal", kind="spatial"),
        careedu.CARE("ldam", classes="all"),
        careedu.LesionTransplant("ldam"),
    ],
    ids=lambda method: method.name,
)
def test_methods_built_on_a_loss_keep_it_with_others_too(method):
    careedu.check_method(method)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        *(replace(BRIEF, **options) for options in ({"epochs": 0}, {"pixels": "shuffled"}, {"classification": "ldam"})),
        careedu.CARE(pretrain=BRIEF),
        careedu.GlobalAttention(order="after", map_epochs=2, map="free", pretrain=BRIEF),
        careedu.ClassifierRetraining(pretrain=BRIEF),
        careedu.DeepPneumonia(pretrain=BRIEF),
        *(careedu.DeepPneumonia(attention=a, pretrain=None) for a in ("product", "none")),
        *(careedu.DeepPneumonia(masks=m, classes="rare", pretrain=None) for m in ("shuffled", "none")),
        careedu.DeepPneumonia("ldam", regulation="ratio", teacher_forcing=True, pretrain=None),
    ],
    ids=lambda method: method.label(),
)
def test_pretraining_and_masks_keep_it(method):
    careedu.check_method(method)


AFTER = careedu.GlobalAttention(order="after", map_epochs=2, components=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        *(replace(AFTER, map=which, fill="mean") for which in MAPS),
        *(replace(AFTER, map=which, level="features") for which in ("pixels", "free", "shuffled", "mean-mask")),
        *(replace(AFTER, map=which, retrain=0.5) for which in ("pixels", "shuffled", "mean-mask")),
        replace(AFTER, classification=careedu.LDAM(), map="free", retrain=0.5, fill="mean"),
        replace(AFTER, grid=8, images=5, classification=careedu.LogitAdjusted(post_hoc=True)),
        *(careedu.GlobalAttention(map=which, fill="mean") for which in ("pixels", "free", "negative-mean-image")),
        *(careedu.GlobalAttention(map="mean-mask", level=level) for level in ("input", "features")),
    ],
    ids=lambda method: method.label(),
)
def test_maps_keep_it_whenever_they_learn_and_whatever_is_behind_them(method):
    careedu.check_method(method)


@dataclass(frozen=True)
class Toy(LossMethod):
    """Cross-entropy to which something is added."""

    name: ClassVar[str] = "toy"

    strength: float = 1.0

    def loss(self, logits, target, facts, progress):
        """Cross-entropy and a small penalty."""
        return functional.cross_entropy(logits, target) + 1e-3 * self.strength * self.penalty(logits).mean()

    def penalty(self, logits):
        """Something finite."""
        return logits.square()


def test_a_class_of_ones_own_keeps_it():
    careedu.check_method(Toy(strength=2.0))


def test_a_class_without_options_needs_no_decorator():
    class Plain(LossMethod):
        name = "undecorated"

        def loss(self, logits, target, facts, progress):
            return functional.cross_entropy(logits, target)

    careedu.check_method(Plain())


def test_other_data_may_be_given():
    data = careedu.load("phantom-skin", size=32, largest=8, val=2, test=2)
    careedu.check_method(Toy(), data=data)


def test_what_is_no_method_is_said_at_once():
    with pytest.raises(careedu.CareeduError, match="must be a method"):
        careedu.check_method(Toy)
    with pytest.raises(careedu.CareeduError, match="class-balanced"):
        careedu.check_method("class-balnced")


# One breach each


def test_options_that_json_does_not_keep():
    @dataclass(frozen=True)
    class Sizes(Toy):
        name: ClassVar[str] = "sizes"
        sizes: tuple[int, ...] = (3, 4)

    assert "JSON" in broken_clauses(Sizes())["options"]


def test_an_option_that_is_not_declared():
    class Hidden(Toy):
        name = "hidden"

        def __init__(self, factor=1.0):
            object.__setattr__(self, "strength", factor)

    assert "must be the fields of a dataclass" in broken_clauses(Hidden())["options"]


def test_a_name_that_is_another_class_s():
    @dataclass(frozen=True)
    class Nameless(Toy):
        bias: float = 0.0

    assert "states no name of its own" in broken_clauses(Nameless())["options"]


def test_epochs_that_do_not_add_up():
    @dataclass(frozen=True)
    class Greedy(Toy):
        name: ClassVar[str] = "greedy at length"

        def stages(self, facts, epochs):
            return super().stages(facts, epochs + (epochs > 10))

    assert broken_clauses(Greedy()) == {"epochs": "of 20 epochs asked for, the supervised stages have 21"}


def test_test_images_in_training():
    @dataclass(frozen=True)
    class Peeping(Toy):
        name: ClassVar[str] = "peeping"

        def prepare(self, data, seed):
            fresh = replace(data.val, ids=[f"v{i}" for i in range(len(data.val))])
            return replace(data.train, images=data.train.images.roll(int(fresh.images.sum() % 2), 0))

    def prepare(self, data, seed):
        mean = data.test.images.float().mean().to(torch.uint8)
        return replace(data.train, images=data.train.images.clamp(max=mean + 100))

    Peeping.prepare = prepare
    assert set(broken_clauses(Peeping())) == {"held-out images"}


def test_no_training_at_all():
    @dataclass(frozen=True)
    class Failing(Toy):
        name: ClassVar[str] = "failing at once"

        def penalty(self, logits):
            raise ZeroDivisionError("on purpose")

    assert broken_clauses(Failing()) == {"training": "ZeroDivisionError: on purpose"}


def test_test_images_in_what_is_trained_beforehand():
    @dataclass(frozen=True)
    class Leaking(Toy):
        name: ClassVar[str] = "leaking-beforehand"

        def prepare_in(self, workspace, data, seed):
            brightest = int(data.test.images.max())
            return replace(data.train, images=data.train.images.clamp(max=brightest // 2))

    assert set(broken_clauses(Leaking())) == {"held-out images"}


def test_another_pool_under_a_linear_head():
    class Highest(Classifier):
        def pool(self, features):
            return features.amax(dim=(2, 3))

    @dataclass(frozen=True)
    class Peaked(Toy):
        name: ClassVar[str] = "peaked"

        def wrap(self, model, facts):
            model.__class__ = Highest
            return model

    assert "pool is not the mean" in broken_clauses(Peaked())["network"]


@dataclass(frozen=True)
class Afterwards(TrainedMethod):
    """The last stage is unsupervised, and moves what the predictions come from."""

    name: ClassVar[str] = "afterwards"

    def stages(self, facts, epochs):
        """Classification, then smaller weights."""

        def terms(model, batch):
            return {"loss": functional.cross_entropy(model(batch.inputs), batch.labels)}

        def smaller(model, batch):
            return {"size": model.head.weight.square().sum()}

        shrinking = Update(smaller, trainable=("head.",))
        return [Stage("first", epochs, terms), Stage("then", 2, shrinking, supervised=False)]


def test_an_unsupervised_stage_may_be_the_last():
    careedu.check_method(Afterwards())
    data = thinned(made_up_splits(24, 9, 18), 2, 4)
    run = careedu.fit(data, Afterwards(), epochs=2, progress=False, device="cpu")
    assert list(run.pretraining["stage"]) == ["then"] * 2 and len(run.history) == 2
    network = run.network()
    for part, probabilities in ((data.val, run.validation_probabilities), (data.test, run.probabilities)):
        logits = predict_logits(network, part.images)
        assert np.array_equal(run.adjusted(logits).softmax(dim=1).numpy(), probabilities)


def test_a_shared_stage_that_leaves_something_beside_the_networks_state():
    @dataclass(frozen=True)
    class Forgetful(TrainedMethod):
        name: ClassVar[str] = "forgetful"

        def stages(self, facts, epochs):
            def terms(model, batch):
                logits = getattr(model, "factor", 1.0) * model(batch.inputs)
                return {"loss": functional.cross_entropy(logits, batch.labels)}

            def end(model):
                model.factor = 3.0

            return [Stage("first", 1, terms, end=end, shared={}), Stage("second", epochs - 1, terms)]

    assert {"shared stages", "resume"} == set(broken_clauses(Forgetful()))


def test_a_gradient_that_is_not_finite():
    @dataclass(frozen=True)
    class Rooted(Toy):
        name: ClassVar[str] = "rooted"

        def penalty(self, logits):
            return (0 * logits).sqrt()  # 0, but with a slope of 0/0

    found = broken_clauses(Rooted())
    assert "a gradient is NaN or infinite" in found["gradients"] and "loss term" in found["training"]


def test_a_gradient_that_is_not_finite_late_in_a_stage_of_few_parameters():
    @dataclass(frozen=True)
    class Late(TrainedMethod):
        name: ClassVar[str] = "late"

        def stages(self, facts, epochs):
            def terms(model, batch):
                return {"loss": functional.cross_entropy(model(batch.inputs), batch.labels)}

            def begin(model):
                model.head.bias.register_hook(lambda gradient: gradient / 0)

            return [
                Stage("first", epochs - 1, terms),
                Stage("second", 1, Update(terms, trainable=("head.bias",)), begin=begin),
            ]

    assert broken_clauses(Late())["gradients"] == "a gradient is NaN or infinite in epoch 4"


def test_randomness_of_ones_own():
    @dataclass(frozen=True)
    class Restless(Toy):
        name: ClassVar[str] = "restless"

        def penalty(self, logits):
            return logits * random.SystemRandom().random()

    found = broken_clauses(Restless())
    assert "two trainings with one seed differ in probabilities" in found["same seed"]
    assert "resume" in found


def test_boxes_of_test_images():
    @dataclass(frozen=True)
    class Boxed(Toy):
        name: ClassVar[str] = "boxed"

        def prepare(self, data, seed):
            shift = int(data.test.boxes.nan_to_num(0).sum()) % 7 + int(data.test.has_box.any())
            return replace(data.train, images=data.train.images.roll(shift, 3))

    assert set(broken_clauses(Boxed())) == {"held-out lesions"}


def test_a_reference_that_reads_boxes_must_say_so():
    @dataclass(frozen=True)
    class Sized(UntrainedMethod):
        name: ClassVar[str] = "sized"

        def predict(self, train, images):
            wide = (images.boxes[:, 2] - images.boxes[:, 0]).nan_to_num(0).double().numpy() / 100
            return np.stack([wide, (1 - wide) / 2, (1 - wide) / 2], axis=1)

    assert set(broken_clauses(Sized())) == {"held-out lesions"}
    Sized.needs_lesions = True
    careedu.check_method(Sized())


def test_predictions_that_are_no_probabilities():
    @dataclass(frozen=True)
    class Odds(UntrainedMethod):
        name: ClassVar[str] = "odds"

        def predict(self, train, images):
            return np.ones((len(images), 3))

    assert "add up to 1" in broken_clauses(Odds())["training"]


def test_a_class_that_validation_lacks():
    @dataclass(frozen=True)
    class Needy(Toy):
        name: ClassVar[str] = "needy"

        def prepare(self, data, seed):
            if data.val.counts.min() == 0:
                raise ValueError("an empty class")
            return data.train

    assert broken_clauses(Needy()) == {"absent class": "ValueError: an empty class"}


def test_a_class_of_one_image():
    @dataclass(frozen=True)
    class Spread(Toy):
        name: ClassVar[str] = "spread"

        def loss(self, logits, target, facts, progress):
            return functional.cross_entropy(logits, target, 1 / (facts.counts_like(logits) - 1).to(logits))

    found = broken_clauses(Spread())
    assert set(found) == {"one image"} and "loss term" in found["one image"]


def test_state_that_a_checkpoint_does_not_hold():
    @dataclass(frozen=True)
    class Counting(Toy):
        name: ClassVar[str] = "counting"

        def stages(self, facts, epochs):
            seen = []

            def terms(model, batch):
                seen.append(batch)
                loss = functional.cross_entropy(model(batch.inputs), batch.labels)
                return {"loss": loss / len(seen)}

            return [Stage("all", epochs, terms)]

    assert set(broken_clauses(Counting())) == {"resume"}


def test_a_network_that_is_not_in_its_weights():
    @dataclass(frozen=True)
    class Forgetful(Toy):
        name: ClassVar[str] = "forgetful"

        def wrap(self, model, facts):
            if facts.dataset is not None:  # what a saved run is opened without
                model.before = FixedMask(torch.rand(facts.image_shape[1:]))
            return model

    assert "weights are not of this network" in broken_clauses(Forgetful())["network"]


def test_a_network_with_another_face():
    @dataclass(frozen=True)
    class Sideways(Toy):
        name: ClassVar[str] = "sideways"

        def wrap(self, model, facts):
            model.forward = lambda x: 2 * model.head(model.pool(model.features(x)))
            return model

    assert "head(pool(features))" in broken_clauses(Sideways())["network"]


def test_what_cannot_be_saved():
    class Shown(nn.Identity):
        def record(self):
            return {"seen": torch.zeros(2, dtype=torch.complex128)}

    @dataclass(frozen=True)
    class Recording(Toy):
        name: ClassVar[str] = "recording"

        def wrap(self, model, facts):
            model.after = Shown()
            return model

    assert set(broken_clauses(Recording())) == {"resume", "saved run"}


def test_every_breach_is_told_in_one_error():
    @dataclass(frozen=True)
    class Bad(Toy):
        name: ClassVar[str] = "bad in many ways"
        sizes: tuple[int, ...] = field(default=(1,))

        def stages(self, facts, epochs):
            return super().stages(facts, epochs + (epochs > 10))

        def penalty(self, logits):
            return logits * random.SystemRandom().random()

    assert {"options", "epochs", "same seed", "resume"} <= set(broken_clauses(Bad()))


def test_each_clause_is_described():
    assert all(f"``{clause}``" in careedu.check_method.__doc__ for clause in CLAUSES)
