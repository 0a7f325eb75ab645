"""How long a thousand runs of a store take to open, and how much memory they hold.

    python tests/benchmarks/bench_store.py [runs]

They are of the size of real ones: the small network's weights, 16 epochs of 12 probed images, 300 test images. Nobody
asks for weights here, so that none are to be read. Bounds for a thousand runs: 2 seconds and 300 MB (memory is told on
Linux only).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from careedu.experiment.results import Results
from careedu.experiment.store import RunStore
from careedu.nn.backbones import build_model

OPEN = """
import sys
from pathlib import Path
from time import perf_counter
from figures import tell

from careedu.experiment.run import Run

def memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))

folders = sorted(Path(sys.argv[1]).glob("runs/*"))
if sys.argv[2] == "RunStore.find":
    from careedu.experiment.store import RunStore  # with torch, from which a run's key follows
    asked, opened = [Run.load(folder).configuration for folder in folders], RunStore(sys.argv[1]).find
else:
    asked, opened = folders, Run.load
before, started = memory(), perf_counter()
runs = [opened(one) for one in asked]
seconds = perf_counter() - started
assert all(run.weights is not None for run in runs)
tell(f"opening {len(runs):,} runs by {sys.argv[2]}", seconds, "s", most=2.0)
tell(f"memory of {len(runs):,} runs opened by {sys.argv[2]}", 1e6 * (memory() - before), "MB", most=300)
"""


def main() -> None:
    """Make runs that differ in their seed alone, and open them in a process of its own."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    model = replace(Results.load("01-phantom-skin").first, weights=build_model("small", 3, 3).state_dict())
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(folder)
        for seed in range(number):
            store.keep(replace(model, configuration={**model.configuration, "seed": seed}))
        for how in ("Run.load", "RunStore.find"):
            told = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
            subprocess.run([sys.executable, "-c", OPEN, folder, how], check=True, env=told)


if __name__ == "__main__":
    main()
