"""From key press to changed pixels in the attention microscope of notebook 02, on its saved results.

python tests/benchmarks/bench_care_widget.py
"""

from __future__ import annotations

from widget_latency import opened, tell_slowest

CELL = """
import careedu
from careedu.show.care import AttentionMicroscope, AttentionView

comparison = careedu.Comparison.load("01-phantom-skin")
unseen = careedu.load("phantom-skin", size=64, seed=99, largest=20, val=3, test=4).test
microscope = AttentionMicroscope(comparison, "cross-entropy", "logit adjustment", images=unseen)
view = AttentionView(microscope)
microscope.task.join()
view
"""
MOVES = {
    "epoch": ("Epoch", "ArrowLeft", "ArrowRight", '[data-panel="A"]'),
    "picture": ("Picture", "ArrowRight", "ArrowLeft", '[data-panel="B"]'),
}


def main() -> None:
    """Print median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        times = {
            name: page.latency(page.control(label), ([there] * 3 + [back] * 3) * 7, picture)
            for name, (label, there, back, picture) in MOVES.items()
        }
        tell_slowest("attention microscope", times)


if __name__ == "__main__":
    main()
