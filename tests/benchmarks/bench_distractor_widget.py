"""From key press to changed pixels in the distractor viewer of notebook 05, and how long it takes to open.

python tests/benchmarks/bench_distractor_widget.py

On its saved record where that is there, else on a made-up one, of which it says so.
"""

from __future__ import annotations

from pathlib import Path

from widget_latency import opened, tell

from careedu.data.shipped import shipped
from careedu.show.distractor.view import SAVED

SHIPPED = (shipped("runs") / f"{SAVED}.safetensors").is_file()
UNIT = Path(__file__).parents[1] / "unit"
MADE_UP = f"""
import sys
sys.path.insert(0, {str(UNIT)!r})
from made_up_distractors import made_up_images, made_up_record
made = made_up_record(), made_up_images()
"""
CELL = f"""
{"made = ()" if SHIPPED else MADE_UP}
import time
start = time.perf_counter()
from careedu.show import distractor_viewer

view = distractor_viewer(*made)
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
        kind = "the saved" if SHIPPED else "a made-up"
        print(f"On {kind} record, open in {page.evaluate_in_kernel('seconds'):.2f} s")
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.settle()
        for name, (label, there, back, picture) in MOVES.items():
            steps = {"Epoch": 3, "Map": 2}.get(label, 4)
            tell(name, page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture))


if __name__ == "__main__":
    main()
