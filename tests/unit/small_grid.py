"""What the tests of comparisons share: very small images that each seed draws anew, and a method of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from made_up import made_up_dataset, made_up_splits

from careedu.experiment.run import Run
from careedu.methods.imbalance import CrossEntropy


def draw_train(seed: int):
    """Other training images for each seed."""
    return made_up_dataset(24, 100 + seed)


DATA = replace(made_up_splits(24, 9, 18), draw_train=draw_train)
OPTIONS = {"epochs": 2, "batch_size": 12, "probes": 1, "progress": False, "device": "cpu"}


def same_bits(first: Run, second: Run) -> bool:
    """Whether two runs are the same to the last bit, but for the seconds they took."""
    return (
        np.array_equal(first.probabilities, second.probabilities)
        and np.array_equal(first.validation_probabilities, second.validation_probabilities)
        and first.history.equals(second.history)
        and first.configuration == second.configuration
        and first.traces.keys() == second.traces.keys()
        and all(np.array_equal(first.traces[name], second.traces[name]) for name in first.traces)
        and (first.weights is None) == (second.weights is None)
        and all(np.array_equal(tensor, second.weights[name]) for name, tensor in (first.weights or {}).items())
    )


def same_runs(first, second) -> bool:
    """The same of all runs of two grids."""
    assert {m: list(s) for m, s in first.items()} == {m: list(s) for m, s in second.items()}
    return all(same_bits(run, second[method][seed]) for method, s in first.items() for seed, run in s.items())


def finished(store) -> dict[str, int]:
    """Key of each finished run in a store's folder → when its record was written, in ns."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in store.glob("runs/*/run.json")
        if not path.parent.name.startswith(".")
    }


@dataclass(frozen=True)
class Own(CrossEntropy):
    """A method that is not part of careedu."""

    name: ClassVar[str] = "my own"

    strength: float = 1.0

    def loss(self, logits, target, facts, progress):
        """Cross-entropy times a number."""
        return self.strength * super().loss(logits, target, facts, progress)


@dataclass(frozen=True)
class Failing(CrossEntropy):
    """A method in which something goes wrong."""

    name: ClassVar[str] = "failing"

    def loss(self, logits, target, facts, progress):
        """Never a loss."""
        raise ZeroDivisionError("on purpose")
