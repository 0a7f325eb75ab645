"""Trainings in processes of their own, which tests kill: what is left of them, and what they end with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from small_grid import same_bits

from careedu.experiment.run import Run

UNIT = Path(__file__).parent
SOON = 5
"""Seconds that workers may live longer than the process that started them."""

FIT = """
import json, sys
from made_up import made_up_splits
import careedu
from careedu.methods import build_method
checkpoint, out, epochs, method = sys.argv[1:]
data = made_up_splits(24, 9, 18)
method = build_method(**json.loads(method))
run = careedu.fit(data, method, epochs=int(epochs), batch_size=12, progress=False, checkpoint=checkpoint)
run.save(out)
"""
COMPARE = """
import sys, time
from killing import compared
store, n_jobs, epochs = sys.argv[1:]
try:
    compared(store, int(n_jobs), int(epochs))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(60)
"""


def compared(store: Path | str, n_jobs: int, epochs: int):
    """Two methods with two seeds each; the second one has two stages."""
    from small_grid import DATA, OPTIONS

    from careedu.experiment.grid import train_grid

    methods = ["cross-entropy", "classifier-retraining"]
    return train_grid(DATA, methods, seeds=2, n_jobs=n_jobs, store=store, **{**OPTIONS, "epochs": epochs})


def start(*command: object) -> subprocess.Popen:
    """Start Python with these arguments, with one thread, in a group of its own."""
    path = os.pathsep.join([str(UNIT), str(UNIT.parents[1])])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    # Whatever it says when it is killed is no news.
    silent = {"stderr": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    arguments = [sys.executable, *map(str, command)]
    return subprocess.Popen(arguments, env=environment, start_new_session=True, cwd=UNIT, **silent)


def started_by(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that it has started, and those that these have."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A dead one that nobody has asked for does not."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if runs(process)]


def left_after(processes: list[psutil.Process], seconds: float) -> list[str]:
    """What processes still run after some seconds, in words; these are ended."""
    until = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < until:
        time.sleep(0.02)
    left = alive(processes)
    words = [" ".join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    return words


def kill(process: subprocess.Popen) -> bool:
    """Kill it, hold that nothing it has started lives on, and say whether it was killed and not over."""
    started = started_by(process)
    process.kill()
    code = process.wait()
    process.stdout.close()
    left = left_after(started, SOON)
    assert not left, f"still there {SOON} s after what started it: {left}"
    return code != 0


def finished_runs(store: Path) -> Iterator[tuple[str, Run]]:
    """The runs of a store by their keys. Each can be opened."""
    for path in (store / "runs").glob("*/run.json"):
        if not path.parent.name.startswith("."):
            yield path.parent.name, Run.load(path.parent)


def same_stores(one: Path, other: Path) -> bool:
    """Whether two stores hold the same runs, to the last bit."""
    first, second = dict(finished_runs(one)), dict(finished_runs(other))
    return first.keys() == second.keys() and all(same_bits(run, second[key]) for key, run in first.items())
