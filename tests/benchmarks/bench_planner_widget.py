"""From key press to changed pixels in the planner of patients of notebook 07.

python tests/benchmarks/bench_planner_widget.py
"""

from __future__ import annotations

from widget_latency import opened, tell_slowest

CELL = """
from careedu.show import plan_patients

plan_patients()
"""
PICTURE = '[aria-label^="Smallest difference shown"]'


def main() -> None:
    """Print median and 95th percentile of the milliseconds."""
    with opened(CELL) as page:
        keys = (["ArrowRight"] * 4 + ["ArrowLeft"] * 4) * 5
        labels = ("Rare test patients", "Difference sought", "Disagreement")
        tell_slowest(
            "planner of patients", {label: page.latency(page.control(label), keys, PICTURE) for label in labels}
        )


if __name__ == "__main__":
    main()
