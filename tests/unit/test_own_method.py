"""A class of one's own, as a notebook's cell defines it: all that careedu's can, and an error where it is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.methods import build_method, method_class
from careedu.methods.method import LossMethod, Method
from careedu.methods.registry import OWN
from careedu.show.compare import Comparison

DATA = thinned(made_up_splits(24, 9, 18), 2, 4)

CELL = """
from dataclasses import dataclass
import careedu, torch
from careedu.methods.method import LossMethod

@dataclass(frozen=True)
class Sharpened(LossMethod):
    name = "sharpened"
    power: float = 1.0

    def wrap(self, model, facts):
        model.after = torch.nn.BatchNorm2d(model.channels)
        return model

    def loss(self, logits, target, facts, progress):
        return torch.nn.functional.cross_entropy(self.power * logits, target)
"""
COMPARED = """
data = careedu.load("phantom-chest", size=32, largest=8, val=2, test=2)
methods = {"mine": Sharpened(power=2.0), "inside": careedu.BalancedSampling(Sharpened()), "plain": "cross-entropy"}
options = dict(seeds=1, epochs=2, device="cpu", progress=False, store="store")
comparison = careedu.compare(data, methods, n_jobs=2, **options)
"""
USED = """
from careedu.experiment.store import RunStore
assert len(RunStore("store")) == 3
again = careedu.compare(data, methods, **options)
assert [r[0].seconds for r in again.runs.values()] == [r[0].seconds for r in comparison.runs.values()]
for name in ("mine", "inside"):
    run = careedu.Run.load(comparison.runs[name][0].save(f"run of {name}"))
    assert run.network().after.weight.shape == (128,)
    assert run.class_maps(data.test.images[:2], data.test.labels[:2]).shape == (2, 32, 32)
comparison.save("results", weights=["mine"])
assert careedu.Comparison.load("results").outdated() == []
comparison.report("report.html")
view = comparison.widget()
view.state.set(a="mine", b="inside")
assert view.state.errors == []
"""


def run_code(code, folder):
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the cells have run in a Python of their own, whose `__main__` is gone now."""
    folder = tmp_path_factory.mktemp("notebook")
    run_code(CELL + COMPARED + USED, folder)
    return folder


def test_it_is_fitted_compared_kept_found_shown_and_reported(folder):
    assert "mine" in (folder / "report.html").read_text(encoding="utf-8")


def test_without_its_class_a_run_opens_but_for_its_network_which_says_what_is_missing(folder):
    assert "sharpened" not in OWN
    for name in ("mine", "inside"):
        run = careedu.Run.load(folder / f"run of {name}")
        assert len(run.table()) == 3
        with pytest.raises(
            UnknownNameError, match=r"'sharpened' .* class Sharpened of the module __main__.* run the cell"
        ):
            run.network()
    results = Comparison.load(folder / "results")
    first, second = results.outdated()
    assert first.startswith("mine cannot be made") and second.startswith("inside cannot be made")
    assert "run the cell, or import the module" in first
    assert results.table().shape[0] == 3


class Halved(LossMethod):
    """Half of cross-entropy."""

    name: ClassVar[str] = "halved"

    def loss(self, logits, target, facts, progress):
        """Half of it."""
        return careedu.CrossEntropy().loss(logits, target, facts, progress) / 2


def test_it_goes_by_its_name_everywhere():
    assert build_method("halved") == Halved()
    assert careedu.LocalAttention("halved").classification == Halved()
    assert Halved().own_classes() == {"halved": f"{__name__}:Halved"}
    assert careedu.CrossEntropy().own_classes() == {}
    run = careedu.fit(DATA, "halved", epochs=1, progress=False)
    assert run.configuration["method"]["own classes"] == {"halved": f"{__name__}:Halved"}
    with pytest.raises(UnknownNameError, match="Did you mean 'halved'"):
        build_method("halfed")


def test_the_latest_definition_of_a_cell_that_is_run_again_counts():
    def cell(size):
        @dataclass(frozen=True)
        class Again(Halved):
            name: ClassVar[str] = "run again"
            factor: float = size

        return Again

    first, second = cell(1.0), cell(2.0)
    assert method_class("run again") is second is not first
    assert build_method("run again").factor == 2.0


def test_names_of_careedu_cannot_be_taken():
    with pytest.raises(InvalidInputError, match=r"'focal' is taken by careedu\.Focal: give Mine another"):

        class Mine(LossMethod):
            name = "focal"

    assert method_class("focal") is careedu.Focal


def test_a_class_without_a_name_of_its_own_is_refused_before_it_passes_for_another():
    class Quiet(careedu.Focal):
        pass

    class Silent(LossMethod):
        def loss(self, logits, target, facts, progress):
            raise AssertionError

    for method in (Quiet(), Silent()):
        for use in (careedu.fit, careedu.compare):
            with pytest.raises(InvalidInputError, match=f"{type(method).__name__} states no name of its own"):
                use(DATA, method)


def test_options_that_are_not_declared_are_refused_before_two_settings_pass_for_one():
    class Loose(Halved):
        name = "loose"

        def __init__(self, factor):
            object.__setattr__(self, "factor", factor)

    @dataclass(frozen=True)
    class Named(Halved):
        name: str = "named"

    for method in (Loose(2.0), Named()):
        with pytest.raises(InvalidInputError, match=r"put @dataclass\(frozen=True\) above it"):
            careedu.fit(DATA, method)


@pytest.mark.parametrize(
    "build", [careedu.BalancedSampling, careedu.LocalAttention, careedu.CARE, careedu.GlobalAttention]
)
def test_methods_built_on_a_loss_take_its_name_and_nothing_but_a_loss(build):
    assert build("focal") == build(careedu.Focal())
    assert build("focal").label() == build(careedu.Focal()).label()
    for wrong in (careedu.CARE(), "nearest-neighbour", None, careedu.Focal):
        with pytest.raises(InvalidInputError, match=r"must be a loss, such as careedu\.Focal\(\)"):
            build(wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'focal'"):
        build("focl")


def test_the_bases_take_no_name():
    assert not any(cls.__module__.startswith("careedu.") for cls in OWN.values())
    assert not hasattr(Method, "name")
