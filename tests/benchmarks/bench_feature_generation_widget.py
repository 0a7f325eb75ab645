"""From key press to changed pixels in the feature explorer of notebook 06, and how long it takes to open.

python tests/benchmarks/bench_feature_generation_widget.py

On its saved record where that is there, else on a made-up one, of which it says so.
"""

from __future__ import annotations

from pathlib import Path

from widget_latency import opened, tell

from careedu.data.shipped import shipped
from careedu.show.feature_generation.view import SAVED

SHIPPED = (shipped("runs") / SAVED / "generated.safetensors").is_file()
UNIT = Path(__file__).parents[1] / "unit"
MADE_UP = f"""
import sys
sys.path.insert(0, {str(UNIT)!r})
from made_up_generation import made_up_images, made_up_record, made_up_results
made = made_up_record(), made_up_results(), made_up_images()
"""
CELL = f"""
{"made = ()" if SHIPPED else MADE_UP}
import time
start = time.perf_counter()
from careedu.show import feature_explorer

view = feature_explorer(*made)
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
        kind = "the saved" if SHIPPED else "a made-up"
        print(f"On {kind} record, open in {page.evaluate_in_kernel('seconds'):.2f} s")
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.settle()
        for name, (label, there, back, picture) in MOVES.items():
            steps = {"Amount": 2}.get(label, 4)
            tell(name, page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture))


if __name__ == "__main__":
    main()
