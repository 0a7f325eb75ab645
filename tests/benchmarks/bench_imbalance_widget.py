"""From key press to changed pixels in the imbalance explorer, 50 moves in a real JupyterLab in Chromium.

python tests/benchmarks/bench_imbalance_widget.py
"""

from __future__ import annotations

from widget_latency import opened, tell_slowest

CELL = """
import careedu
from careedu.show.imbalance import ImbalanceExplorer, ImbalanceView

data = careedu.load("phantom-skin", imbalance=10)
run = careedu.fit(data, "cross-entropy", epochs=4, progress=False)
explorer = ImbalanceExplorer(run, careedu.load("phantom-skin"))
ImbalanceView(explorer)
"""


def main() -> None:
    """Print median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        keys = (["ArrowRight"] * 5 + ["ArrowLeft"] * 5) * 5
        times = page.latency(page.control("Imbalance ratio"), keys, 'svg[aria-label^="Method A"]')
        tell_slowest("imbalance explorer", {"imbalance ratio": times})


if __name__ == "__main__":
    main()
