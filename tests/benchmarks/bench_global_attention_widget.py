"""From key press to changed pixels in the spatial explorer of notebook 03, on its saved results.

python tests/benchmarks/bench_global_attention_widget.py

A first step to another number of images or jitter reads maps that were not read before, and draws the training images
beside it; the explorer is made anew for each round of them.
"""

from __future__ import annotations

from widget_latency import opened, tell_slowest

from careedu.course.experiments.global_attention import IMAGES, JITTERS

CELL = f"""
import torch  # as notebook 03 has done before

import careedu
from careedu.show.global_attention import SpatialExplorer, SpatialView

saved = careedu.Comparison.load("03-phantom-chest")
N = sum(saved.first.configuration["data"]["train counts"])
sweeps = {{(N, jitter): f"03-jitter-{{jitter:g}}" for jitter in {JITTERS}}}
sweeps |= {{(n, 0.02): f"03-images-{{n}}" for n in {IMAGES}}}
explorer = SpatialExplorer(saved, {{at: careedu.Comparison.load(name) for at, name in sweeps.items()}})
SpatialView(explorer)
"""
PICTURE = '[data-panel="principal-components"]'
ROUNDS = 2


def main() -> None:
    """Print median and 95th percentile of the milliseconds."""
    images, jitter, others = [], [], {}
    for number in range(ROUNDS):
        with opened(CELL) as page:
            images += page.latency(page.control("Training images N"), ["ArrowLeft"] * len(IMAGES), PICTURE)
            page.run_in_kernel("explorer.set(images=N, jitter=0.02)")
            page.settle()
            # From .02 down to 0, back, and up to the largest.
            down, _, *up = page.latency(
                page.control("Alignment jitter"), ["ArrowLeft", *["ArrowRight"] * len(JITTERS)], PICTURE
            )
            jitter += [down, *up]
            if number == 0:
                for label, there, back in (("Epoch", "ArrowLeft", "ArrowRight"), ("Seed", "ArrowRight", "ArrowLeft")):
                    page.run_in_kernel("explorer.set(images=N, jitter=0.02)")
                    page.settle()
                    keys = ([there] * 2 + [back] * 2) * 10
                    others[label.lower()] = page.latency(page.control(label), keys, PICTURE)
    tell_slowest("spatial explorer", {"another number of images": images, "another jitter": jitter, **others})


if __name__ == "__main__":
    main()
