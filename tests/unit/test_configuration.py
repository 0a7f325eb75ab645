"""What a run depends on, and the key under which it is found again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_grid import DATA, Own

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment import configuration as module
from careedu.experiment.configuration import Settings, configure, digest, identity, resolve_method, run_key
from careedu.methods.building import build_method
from careedu.methods.imbalance import ClassBalanced, CrossEntropy


def key(data=DATA, method="cross-entropy", **options):
    return run_key(configure(data, resolve_method(method), Settings.of({"epochs": 3, "device": "cpu", **options})))


PINNED = {
    "data": {"fingerprint": "0123456789abcdef"},
    "method": {"name": "cross-entropy", "options": {}, "revision": "1"},
    "model": "small",
    "epochs": 20,
    "seed": 0,
    "batch size": 32,
    "learning rate": 3e-3,
    "weight decay": 0.05,
    "augmentation": {"flip": True},
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
    "probes": 4,
    "revision": 1,
}


def test_the_key_of_a_known_configuration_never_changes():
    """Saved runs are found by it: whoever changes this loses them all."""
    assert run_key(PINNED) == "43b1cc9800bccf71d3726217"
    assert run_key({**PINNED, "versions": {"torch": "9"}, "method": {**PINNED["method"], "label": "x"}}) == run_key(
        PINNED
    )


@pytest.mark.parametrize("name", [name for name in PINNED if name not in ("data", "method")])
def test_every_setting_makes_another_key(name):
    assert run_key({**PINNED, name: "other"}) != run_key(PINNED)


@pytest.mark.parametrize(
    ("part", "name"), [("data", "fingerprint"), ("method", "name"), ("method", "options"), ("method", "revision")]
)
def test_data_and_method_make_another_key(part, name):
    assert run_key({**PINNED, part: {**PINNED[part], name: "other"}}) != run_key(PINNED)


def test_the_same_training_has_the_same_key_and_another_one_another():
    keys = {
        "as it is": key(),
        "seed": key(seed=1),
        "epochs": key(epochs=4),
        "options": key(method=ClassBalanced(beta=0.9)),
        "other options": key(method=ClassBalanced(beta=0.99)),
        "images": key(data=DATA.redraw(1)),
        "model": key(model="resnet18"),
        "learning rate": key(learning_rate=1e-3),
        "augmentation": key(augmentation="none"),
        "rare": key(data=replace(DATA, rare=("dim",))),
    }
    assert len(set(keys.values())) == len(keys)
    assert key() == keys["as it is"]
    assert key(data=replace(DATA, name="another name", recipe={})) == keys["as it is"]
    assert key(learning_rate=np.float64(3e-3), epochs=np.int64(3)) == keys["as it is"]


def test_the_number_of_threads_and_raised_revisions_make_another_key(monkeypatch):
    before = key()
    torch.set_num_threads(2)
    try:
        assert key() != before
    finally:
        torch.set_num_threads(1)
    monkeypatch.setattr(module, "REVISION", 99)
    assert key() != before
    monkeypatch.undo()
    monkeypatch.setattr(CrossEntropy, "revision", 99)
    assert key() != before
    assert key(method=build_method("balanced-sampling")) != before
    monkeypatch.undo()
    assert key() == before


def test_a_raised_revision_of_a_method_inside_a_method_counts(monkeypatch):
    before = key(method="balanced-sampling")
    monkeypatch.setattr(CrossEntropy, "revision", 2)
    assert key(method="balanced-sampling") != before


def test_that_images_are_squeezed_is_written_down_and_makes_no_other_key():
    width = torch.full((len(DATA.test), 2), 32)
    width[3] = torch.tensor([767, 576])
    squeezed = replace(DATA, test=replace(DATA.test, stored=width))
    written = configure(squeezed, CrossEntropy(), Settings())["data"]
    assert written["squeezed"] == f"into squares of {DATA.test.images.shape[3]} pixels (one of 767x576 the most)"
    assert key(data=squeezed) == key()
    assert "squeezed" not in configure(DATA, CrossEntropy(), Settings())["data"]
    width[3] = torch.tensor([65, 60])  # less than a tenth
    assert "squeezed" not in configure(squeezed, CrossEntropy(), Settings())["data"]


def test_a_reference_without_network_is_the_same_with_every_model():
    assert key(method="nearest-neighbour", model="small") == key(method="nearest-neighbour", model="resnet18")
    written = configure(DATA, build_method("nearest-neighbour"), Settings())
    assert written["model"] == "none"


def test_a_configuration_reads_back_equal_from_a_file():
    written = configure(DATA, ClassBalanced(), Settings())
    assert json.loads(json.dumps(written)) == written
    assert identity(written)["method"] == {
        "name": "class-balanced",
        "options": {"beta": 0.99, "weighting": "effective-number"},
        "revision": "1",
    }
    assert "method" not in identity(written, method=False)


@dataclass(frozen=True)
class Odd(Own):
    name: ClassVar[str] = "odd"

    option: Any = None


@pytest.mark.parametrize("option", [float("nan"), float("inf"), np.int64(1), {1, 2}, object()])
def test_an_option_that_no_file_can_hold_is_named_with_its_method(option):
    with pytest.raises(InvalidInputError, match=r"JSON.*method 'odd'"):
        configure(DATA, Odd(option=option), Settings())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"learning_rate": "fast"}, InvalidInputError, "learning_rate='fast'.*number above 0"),
        ({"learning_rate": None}, InvalidInputError, "learning_rate=None"),
        ({"learning_rate": True}, InvalidInputError, "learning_rate=True"),
        ({"weight_decay": float("inf")}, InvalidInputError, "weight_decay=inf.*at least 0"),
        ({"epochs": "3"}, InvalidInputError, "epochs='3'"),
        ({"epoch": 3}, UnknownNameError, "Did you mean 'epochs'"),
    ],
)
def test_settings_that_cannot_be_are_named(options, error, words):
    with pytest.raises(error, match=words):
        Settings.of(options)


def test_numbers_of_numpy_are_settings_too():
    settings = Settings(epochs=np.int64(3), learning_rate=np.float32(0.5), weight_decay=0)
    assert [type(v) for v in (settings.epochs, settings.learning_rate)] == [int, float]
    assert settings.weight_decay == 0
    assert isinstance(settings.weight_decay, int)  # 0 and 0.0 keep the keys they have


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_a_digest_depends_on_values_and_on_nothing_else(first, second):
    assert digest(first) == digest(json.loads(json.dumps(first)))
    assert (digest(first) == digest(second)) == (
        json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    )


def test_a_method_is_itself_or_its_name():
    assert resolve_method("cross-entropy") == CrossEntropy()
    own = Own()
    assert resolve_method(own) is own
    with pytest.raises(UnknownNameError, match="Did you mean 'focal'"):
        resolve_method("focl")
    for wrong in (CrossEntropy, 3, None):
        with pytest.raises(InvalidInputError, match="method must be"):
            resolve_method(wrong)
