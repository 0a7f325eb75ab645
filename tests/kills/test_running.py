"""Trainings and comparisons, killed again and again at moments that nobody chose: the same bits, and nothing left over.

Each is begun again after a kill until it is done, and then anew, until there were as many kills as asked for.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from killing import COMPARE, FIT, finished_runs, kill, same_stores, start
from small_grid import same_bits

from careedu.experiment.run import Run


def same_run(folder: Path, undisturbed: Path) -> bool:
    """Whether the run is that of the one that nobody killed; a killed training has left none, or this one."""
    return same_bits(Run.load(folder / "run"), Run.load(undisturbed / "run"))


def no_run_or_this(folder: Path, undisturbed: Path) -> bool:
    return not (folder / "run").exists() or same_run(folder, undisturbed)


def whole_runs(folder: Path, undisturbed: Path) -> bool:
    """Whether every run that a killed comparison has left can be opened, and is that of the one nobody killed."""
    known = dict(finished_runs(undisturbed))
    return all(same_bits(run, known[key]) for key, run in finished_runs(folder))


def fit_command(name: str, **options: Any) -> Callable[[Path], list[object]]:
    method = json.dumps({"name": name, **options})
    return lambda folder: ["-c", FIT, folder / "checkpoint", folder / "run", 60, method]


def command_line(folder: Path) -> list[object]:
    options = [part for option in ("largest=16", "val=3", "test=4") for part in ("--option", option)]
    chosen = ["phantom-chest", "--method", "classifier-retraining", "--size", 32, "--epochs", 40, "--quiet", *options]
    main = "import sys; from careedu.course.cli import main; sys.exit(main())"
    return ["-c", main, "fit", *chosen, "--out", folder / "run"]


def compare_command(n_jobs: int) -> Callable[[Path], list[object]]:
    return lambda folder: ["-c", COMPARE, folder, n_jobs, 20]


AFTER = {"name": "global-attention", "order": "after", "fill": "mean", "map_epochs": 30, "retrain": 0.5}
CASES = {
    "fit": (30, fit_command("classifier-retraining"), no_run_or_this, same_run),
    "a map after its network": (18, fit_command(**AFTER), no_run_or_this, same_run),
    "command line": (16, command_line, no_run_or_this, same_run),
    "compare": (20, compare_command(1), whole_runs, same_stores),
    "compare, two at a time": (24, compare_command(2), whole_runs, same_stores),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_killed_goes_on_to_the_same_bits(case, tmp_path):
    wanted, command, left_whole, same = CASES[case]
    undisturbed, folder, drawn = tmp_path / "undisturbed", tmp_path / "killed", random.Random(case)
    undisturbed.mkdir()
    started = time.monotonic()
    process = start(*command(undisturbed))
    assert process.wait() == 0
    process.stdout.close()
    whole = time.monotonic() - started

    kills = ends = 0
    while kills < wanted or folder.exists():
        folder.mkdir(exist_ok=True)
        process = start(*command(folder))
        if kills < wanted:
            # The beginning is imports.
            time.sleep(drawn.uniform(0.3, 1.0) * whole)
            if kill(process):
                kills += 1
                assert left_whole(folder, undisturbed)
                continue
        else:
            assert process.wait() == 0
            process.stdout.close()
        ends += 1
        assert same(folder, undisturbed)
        shutil.rmtree(folder)
    print(f"{case}: {kills} kills, {ends} times to the end")
    assert ends > 0
