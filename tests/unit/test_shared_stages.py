"""A first stage that methods have in common is trained once, and changes no bit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from small_grid import DATA, OPTIONS, same_bits, same_runs

from careedu.experiment.fit import fit
from careedu.experiment.grid import train_grid
from careedu.methods.imbalance import ClassifierRetraining, CrossEntropy, FeatureSMOTE
from careedu.training.stage import Update

FOUR = {**OPTIONS, "epochs": 4}  # three of features, one of the head
BOTH = ["classifier-retraining", "feature-smote"]


@pytest.fixture
def updates(monkeypatch):
    """Updates of the first stage, counted: plain cross-entropy of images."""
    counted = []
    original = CrossEntropy.loss

    def loss(self, logits, target, facts, progress):
        counted.append(progress)
        return original(self, logits, target, facts, progress)

    monkeypatch.setattr(CrossEntropy, "loss", loss)
    return counted


@pytest.fixture(scope="module")
def apart():
    return {name: fit(DATA, name, **FOUR) for name in BOTH}


def test_the_same_bits_as_unshared_and_trained_once(apart, tmp_path, updates):
    for order in (BOTH, BOTH[::-1]):
        folder = tmp_path / order[0]
        updates.clear()
        for name in order:
            assert same_bits(fit(DATA, name, shared_stages=folder, **FOUR), apart[name])
        # Three epochs of two updates once; the one epoch of each head is cross-entropy too.
        assert len(updates) == 3 * 2 + 2 * 2
        assert len(list(folder.iterdir())) == 1


def test_a_grid_shares_without_being_told(tmp_path, updates):
    kept = train_grid(DATA, BOTH, seeds=2, store=tmp_path, **FOUR)
    assert len(updates) == 2 * (3 * 2 + 2 * 2)
    assert len(list((tmp_path / "stages").iterdir())) == 2
    assert same_runs(kept, train_grid(DATA, BOTH, seeds=2, **FOUR))


@dataclass(frozen=True)
class OtherFeatures(ClassifierRetraining):
    """Says of its first stage that it is another one."""

    name: ClassVar[str] = "other features"
    changed: str = "shared"

    def stages(self, facts, epochs):
        first, second = super().stages(facts, epochs)
        terms = first.updates[0].terms
        changes = {
            "shared": {"shared": {"loss": "another"}},
            "sampler": {"sampler": "class-balanced"},
            "rate": {"updates": Update(terms, learning_rate=0.5)},
            "lesions": {"shared": {"loss": "of masks"}},
            "marks": {"shared": {"loss": "of masks"}},
        }
        return [replace(first, **changes[self.changed]), second]

    def prepare(self, data, seed):
        masks = data.train.masks.roll(seed, 0)
        changed = {"lesions": {"masks": masks}, "marks": {"masks": masks, "marks": masks}}
        return replace(data.train, **changed.get(self.changed, {}))


def test_what_differs_is_not_shared(tmp_path, updates):
    one = {"shared_stages": tmp_path, **FOUR}
    for number, (data, method, options) in enumerate(
        [
            (DATA, ClassifierRetraining(), {}),
            (DATA, ClassifierRetraining(), {"seed": 1}),
            (DATA, ClassifierRetraining(), {"learning_rate": 1e-3}),
            (DATA, ClassifierRetraining(), {"augmentation": "none"}),
            (DATA, ClassifierRetraining(), {"epochs": 5}),
            (DATA, ClassifierRetraining(share=0.5), {}),
            (DATA.redraw(1), ClassifierRetraining(), {}),
            (DATA, OtherFeatures(), {}),
            (DATA, OtherFeatures(changed="sampler"), {}),
            (DATA, OtherFeatures(changed="rate"), {}),
            # Boxes and masks that a method has changed make another stage, unless it says that it reads none.
            (DATA, OtherFeatures(changed="lesions"), {}),
            (DATA, OtherFeatures(changed="lesions"), {"seed": 1}),
            (DATA, OtherFeatures(changed="marks"), {}),
        ]
    ):
        shared = fit(data, method, **{**one, **options})
        assert len(list(tmp_path.iterdir())) == number + 1
        assert same_bits(shared, fit(data, method, **{**FOUR, **options}))


@pytest.mark.parametrize("damage", ["truncated", "empty", "of another training"])
def test_a_damaged_shared_stage_is_named_and_made_again(damage, apart, tmp_path):
    fit(DATA, BOTH[0], shared_stages=tmp_path, **FOUR)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "of another training":
        fit(DATA, BOTH[0], shared_stages=tmp_path / "other", seed=1, **{**FOUR, "epochs": 6})
        [other] = (tmp_path / "other").iterdir()
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes(whole[:-5] if damage == "truncated" else b"")
    with pytest.warns(UserWarning, match=rf"{path.name}.*stage is trained again"):
        run = fit(DATA, BOTH[1], shared_stages=tmp_path, **FOUR)
    assert same_bits(run, apart[BOTH[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_bits(fit(DATA, BOTH[0], shared_stages=tmp_path, **FOUR), apart[BOTH[0]])


def test_a_training_stopped_after_the_shared_stage_goes_on(apart, tmp_path, updates):
    path = tmp_path / "checkpoint"
    for stop_after in (1, 3):
        with pytest.raises(Exception, match=f"stopped after epoch {stop_after}"):
            fit(
                DATA,
                BOTH[0],
                checkpoint=path,
                shared_stages=tmp_path / "stages",
                on_epoch=lambda report, last=stop_after: report.epoch < last,
                **FOUR,
            )
    assert same_bits(fit(DATA, BOTH[0], checkpoint=path, shared_stages=tmp_path / "stages", **FOUR), apart[BOTH[0]])
    assert len(updates) == 3 * 2 + 2
    assert same_bits(fit(DATA, BOTH[1], shared_stages=tmp_path / "stages", **FOUR), apart[BOTH[1]])


def test_a_single_stage_is_not_kept(tmp_path):
    fit(DATA, "cross-entropy", shared_stages=tmp_path / "stages", **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_both_declare_the_same_first_stage():
    first = [method.stages(None, 8)[0] for method in (ClassifierRetraining(), FeatureSMOTE())]
    assert first[0].shared == first[1].shared
    assert (first[0].epochs, first[0].sampler, first[0].inputs) == (first[1].epochs, first[1].sampler, first[1].inputs)
