"""From key press to changed pixels in the feature explorer of notebook 06, and how long it takes to open.

python tests/benchmarks/bench_feature_generation_widget.py
"""

from __future__ import annotations

from figures import tell
from widget_latency import opened, tell_slowest

CELL = """
import time
start = time.perf_counter()
from careedu.show import feature_explorer

view = feature_explorer()
seconds = time.perf_counter() - start
view
"""
MOVES = {
    "generated feature": ("Generated", "ArrowRight", "ArrowLeft", 'svg[aria-label^="Plane of B"]'),
    "epoch": ("Epoch", "ArrowLeft", "ArrowRight", 'svg[aria-label^="Plane of B"]'),
    "amount": ("Amount", "ArrowLeft", "ArrowRight", 'svg[aria-label^="Recall by amount"]'),
}


def main() -> None:
    """Print the seconds until it is open, and median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        tell("feature explorer opens from saved results", page.evaluate_in_kernel("seconds"), "s", most=2.0)
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.settle()
        times = {}
        for name, (label, there, back, picture) in MOVES.items():
            steps = {"Amount": 2}.get(label, 4)
            times[name] = page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture)
        tell_slowest("feature explorer", times)


if __name__ == "__main__":
    main()
