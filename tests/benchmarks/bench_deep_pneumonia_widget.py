"""From key press to changed pixels in the embedding explorer of notebook 04, and how long it takes to open.

python tests/benchmarks/bench_deep_pneumonia_widget.py
"""

from __future__ import annotations

from figures import tell
from widget_latency import opened, tell_slowest

CELL = """
import time
start = time.perf_counter()
from careedu.show import embedding_explorer

view = embedding_explorer()
seconds = time.perf_counter() - start
view
"""
MOVES = {
    "image": ("Image", "ArrowRight", "ArrowLeft", 'svg[aria-label*=" of A, "]'),
    "image, attention and outline": ("Image", "ArrowRight", "ArrowLeft", '[data-panel="B"]'),
    "temperature": ("Temperature", "ArrowRight", "ArrowLeft", 'svg[aria-label^="Weights of the negatives under A"]'),
    "labels": ("Labels a class", "ArrowRight", "ArrowLeft", 'svg[aria-label^="With "]'),
}


def main() -> None:
    """Print the seconds until it is open, and median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        tell("embedding explorer opens from saved results", page.evaluate_in_kernel("seconds"), "s", most=2.0)
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.run_in_kernel("view.state.set(b=view.state.embeddings.names[-1], image_of='all classes')")
        page.settle()
        times = {}
        for name, (label, there, back, picture) in MOVES.items():
            steps = 2 if label == "Labels a class" else 4
            times[name] = page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture)
        tell_slowest("embedding explorer", times)


if __name__ == "__main__":
    main()
