"""From key press to changed pixels in the distractor viewer of notebook 05, and how long it takes to open.

python tests/benchmarks/bench_distractor_widget.py
"""

from __future__ import annotations

from figures import tell
from widget_latency import opened, tell_slowest

CELL = """
import time
start = time.perf_counter()
from careedu.show import distractor_viewer

view = distractor_viewer()
seconds = time.perf_counter() - start
view
"""
MOVES = {
    "image, map and outlines": ("Image", "ArrowRight", "ArrowLeft", '[data-panel="B"]'),
    "epoch": ("Epoch", "ArrowLeft", "ArrowRight", 'svg[aria-label^="Confusion matrix of A"]'),
    "map": ("Map", "ArrowLeft", "ArrowRight", '[data-panel="A"]'),
    "margin": ("Margin", "ArrowRight", "ArrowLeft", 'svg[aria-label^="Distance to the distractor"]'),
}


def main() -> None:
    """Print the seconds until it is open, and median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        tell("distractor viewer opens from saved results", page.evaluate_in_kernel("seconds"), "s", most=2.0)
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.settle()
        times = {}
        for name, (label, there, back, picture) in MOVES.items():
            steps = {"Epoch": 3, "Map": 2}.get(label, 4)
            times[name] = page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture)
        tell_slowest("distractor viewer", times)


if __name__ == "__main__":
    main()
