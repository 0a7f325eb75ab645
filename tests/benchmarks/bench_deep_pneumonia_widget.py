"""From key press to changed pixels in the embedding explorer of notebook 04, and how long it takes to open.

python tests/benchmarks/bench_deep_pneumonia_widget.py

On its saved results where they are there, else on made-up ones, of which it says so.
"""

from __future__ import annotations

from pathlib import Path

from widget_latency import opened, tell

from careedu.data.shipped import shipped

SAVED = (shipped("runs") / "04-labels-15-chest/embeddings.safetensors").is_file()
UNIT = Path(__file__).parents[1] / "unit"
MADE_UP = f"""
import sys
sys.path.insert(0, {str(UNIT)!r})
from made_up_embeddings import made_up_embeddings, made_up_images, made_up_results
made = made_up_embeddings(), {{n: made_up_results(seeds=10) for n in (15, 50, "all")}}, made_up_images()
"""
CELL = f"""
{"made = ()" if SAVED else MADE_UP}
import time
start = time.perf_counter()
from careedu.show import embedding_explorer

view = embedding_explorer(*made)
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
        print(f"On {'saved' if SAVED else 'made-up'} results, open in {page.evaluate_in_kernel('seconds'):.2f} s")
        page.run_in_kernel("view.state.task is None or view.state.task.join()")
        page.run_in_kernel("view.state.set(b=view.state.embeddings.names[-1], image_of='all classes')")
        page.settle()
        for name, (label, there, back, picture) in MOVES.items():
            steps = 2 if label == "Labels a class" else 4
            tell(name, page.latency(page.control(label), ([there] * steps + [back] * steps) * 5, picture))


if __name__ == "__main__":
    main()
