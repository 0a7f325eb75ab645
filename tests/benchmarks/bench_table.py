"""How long a whole table takes with more and more seeds: `python tests/benchmarks/bench_table.py`.

Nine methods, 300 test images of three classes, each a group of its own: estimates, differences and verdicts of all
metrics, as `Comparison.table()` shows them, the first time that they are asked for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from figures import tell
from made_up_runs import made_up_runs

from careedu.experiment.results import Results

METHODS = [f"method {number}" for number in range(9)]


def main() -> None:
    for seeds in (10, 20, 40):
        runs = made_up_runs(METHODS, seeds=seeds, per_class=(100, 100, 100))
        seconds = []
        for _ in range(3):
            results = Results(runs)
            start = perf_counter()
            results.table()
            seconds.append(perf_counter() - start)
        tell(f"`comparison.table()` of {len(METHODS)} methods, {seeds} seeds", min(seconds), "s")


if __name__ == "__main__":
    main()
