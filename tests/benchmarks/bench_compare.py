"""What a second worker brings on two cores: two processes of one thread beside one of one thread and one of two.

    python tests/benchmarks/bench_compare.py [rounds] [epochs]

Each does the same four trainings on phantom-skin, in turn within each round, by the clock; processes are
started before. It is worth reading on a quiet machine only.
"""

from __future__ import annotations

import sys
from time import perf_counter

from figures import tell_beside

import careedu
from careedu.experiment.grid import train_grid

METHODS = ("cross-entropy", "balanced-sampling")
WORKERS = {
    "two workers of one thread": {"n_jobs": 2, "threads": 1},
    "one worker of one thread": {"n_jobs": 1, "threads": 1},
    "one worker of two threads": {"n_jobs": 1, "threads": 2},
}


def seconds(data: careedu.Splits, epochs: int, **workers: int) -> float:
    """Time of two methods with two seeds each."""
    started = perf_counter()
    train_grid(data, METHODS, seeds=2, epochs=epochs, device="cpu", progress=False, **workers)
    return perf_counter() - started


def main() -> None:
    """Print the seconds of each, and how much faster two workers are."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    data = careedu.load("phantom-skin", imbalance=10)
    for workers in WORKERS.values():
        seconds(data, 1, **workers)
    taken: dict[str, list[float]] = {name: [] for name in WORKERS}
    for _ in range(rounds):
        for name, workers in WORKERS.items():
            taken[name].append(seconds(data, epochs, **workers))
    two, *others = taken
    for name, bound in zip(others, (1 / 1.6, 1.0), strict=True):
        what = f"{len(METHODS) * 2} trainings of {epochs} epochs on {two}"
        tell_beside(what, taken[two], name, taken[name], "s", most=round(bound, 3))


if __name__ == "__main__":
    main()
