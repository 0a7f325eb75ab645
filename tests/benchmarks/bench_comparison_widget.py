"""The comparison widget: how long 11 methods × 10 seeds take to open, and each key press to changed pixels.

python tests/benchmarks/bench_comparison_widget.py
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
from figures import tell
from widget_latency import opened, tell_slowest

import careedu

METHODS, SEEDS, EPOCHS = 11, 10, 16
OPEN = """
import time
start = time.perf_counter()
import careedu

comparison = careedu.Comparison.load({folder!r})
view = comparison.widget()
seconds = time.perf_counter() - start
view
"""
MOVES = {
    "epoch": ("Epoch", "ArrowLeft", "ArrowRight", 'svg[aria-label^="Probability of"]'),
    "class map after an epoch": ("Epoch", "ArrowLeft", "ArrowRight", '[data-panel="A"]'),
    "picture": ("Picture", "ArrowRight", "ArrowLeft", '[data-panel="A"]'),
}


def make(folder: Path) -> Path:
    """Save results of the full size: one short training, its probabilities varied for each method and seed."""
    data = careedu.load("phantom-skin", imbalance=10)
    base = careedu.fit(data, "cross-entropy", epochs=1, progress=False)
    # As many rows as there are maps: the widget's epochs are those of the history.
    base = replace(base, history=pandas.concat([base.history] * EPOCHS, ignore_index=True))
    labels, images = base.labels, np.arange(len(base.labels))
    runs = {}
    for number in range(METHODS):
        runs[f"method {number}"] = {}
        for seed in range(SEEDS):
            generator = np.random.default_rng([number, seed])
            p = generator.dirichlet([0.6] * len(base.classes), len(labels))
            p[images, labels] += (0.5 + 0.05 * number) * generator.random(len(labels))
            traces = {
                "probe maps": generator.integers(0, 256, (EPOCHS, len(base.probes), 8, 8), dtype=np.uint8),
                "probe probabilities": generator.dirichlet([1] * 3, (EPOCHS, len(base.probes))).astype(np.float32),
            }
            p /= p.sum(axis=1, keepdims=True)
            runs[f"method {number}"][seed] = replace(base, probabilities=p, traces=traces)
    return careedu.Comparison(runs).save(folder / "comparison", weights=["method 0", "method 1"])


def main() -> None:
    """Print the seconds until it is open, and median and 95th percentile of the milliseconds."""
    with tempfile.TemporaryDirectory() as folder, opened(OPEN.format(folder=str(make(Path(folder))))) as page:
        wall = page.evaluate_in_kernel("seconds")
        what = f"comparison of {METHODS} methods × {SEEDS} seeds opens from saved results, imports included"
        tell(what, wall, "s", most=2.0)
        page.run_in_kernel("view.state.task.join(); view.state.set(group='recorded each epoch')")
        page.settle()
        every = {}
        for name, (label, there, back, picture) in MOVES.items():
            keys = ([there] * 3 + [back] * 3) * 8
            every[name] = page.latency(page.control(label), keys, picture)
        page.run_in_kernel("view.state.set(group='both wrong')")
        page.settle()
        # New images only: each map is computed once.
        count = page.evaluate_in_kernel("len(view.state.members)")
        times = page.latency(page.control("Picture"), ["ArrowRight"] * min(40, count - 1), '[data-panel="A"]')
        tell_slowest("comparison widget", {**every, "picture, map computed by the saved network": times})


if __name__ == "__main__":
    main()
