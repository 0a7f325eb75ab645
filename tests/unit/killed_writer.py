"""Writers that are killed, at each step of their writing and at any moment: run as a program, for each kill a process.

    python killed_writer.py SCENARIO FOLDER [STEPS [MOMENTS]]

What is written lies in FOLDER. After each kill what is there is opened: it must be the older thing or the newer one, to
the last bit. In the end what the killed ones left is made to look old, and one more writer must remove it. The number
of kills is printed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from made_up_runs import made_up_attention, made_up_run

from careedu import files
from careedu.data import cache
from careedu.experiment.results import Results
from careedu.experiment.run import Run

STEPS = ("mkdir", "replace", "rename", "fsync", "unlink", "rmdir")


@dataclass
class Scenario:
    """How something is written, first as "old" and then as "new", and which of the two is found."""

    write: Callable[[Path, str], object]
    find: Callable[[Path], str | None]
    parts: list[str]
    old: bool = True


def run_of(which: str) -> Run:
    run = made_up_run(seed=1 if which == "new" else 0)
    return replace(run, weights={"body.weight": np.full((40, 1000), run.seconds, dtype=np.float32)})


def name_of(run: Run) -> str:
    """Which of the two a run is, if it is that to the last bit."""
    which = "new" if run.configuration["seed"] == 1 else "old"
    made = run_of(which)
    assert np.array_equal(run.probabilities, made.probabilities) and run.seconds == made.seconds
    assert all(np.array_equal(run.traces[name], made.traces[name]) for name in made.traces)
    assert np.array_equal(np.asarray(run.weights["body.weight"]), made.weights["body.weight"])
    return which


def found_run(folder: Path) -> str | None:
    return name_of(Run.load(folder)) if folder.exists() else None


def write_format_1(run: Run, folder: Path) -> None:
    """As the first careedu saved a run."""
    import json

    from safetensors.numpy import save_file

    folder.mkdir()
    arrays = {
        "probabilities": run.probabilities,
        "labels": run.labels,
        "validation probabilities": run.validation_probabilities,
        "validation labels": run.validation_labels,
        "probes": run.probes,
        **{f"trace/{name}": array for name, array in run.traces.items()},
    }
    save_file(arrays, folder / "arrays.safetensors", metadata={"careedu": "{}"})
    if run.weights is not None:
        weights = {name: np.asarray(tensor) for name, tensor in run.weights.items()}
        save_file(weights, folder / "weights.safetensors", metadata={"careedu": "{}"})
    history = {
        name: [None if isinstance(value, float) and np.isnan(value) else value for value in column.tolist()]
        for name, column in run.history.items()
    }
    text = {"format": 1, "configuration": run.configuration, "seconds": run.seconds, "groups": run.groups.tolist()}
    text |= {"ids": run.ids.tolist(), "history": history, "pretraining": {}}
    (folder / "run.json").write_text(json.dumps(text, indent=1))


def write_run(folder: Path, which: str) -> None:
    run_of(which).save(folder)


def write_over_format_1(folder: Path, which: str) -> None:
    if which == "old" and not folder.exists():
        write_format_1(run_of(which), folder)
    else:
        run_of(which).save(folder)


def write_results(folder: Path, which: str) -> None:
    import torch

    runs = {m: {0: replace(run_of(which), weights={"w": torch.full((50, 100), 0.5)})} for m in ("a", "longer")}
    results = Results(runs, provenance={"which": which})
    results.attention = made_up_attention(results) if which == "old" else None
    results.save(folder, weights=list(runs) if which == "new" else "a")


def found_results(folder: Path) -> str | None:
    if not folder.exists():
        return None
    results = Results.load(folder)
    which = results.provenance["which"]
    made = run_of(which).probabilities.astype(np.float32)
    assert all(np.array_equal(by_seed[0].probabilities, made) for by_seed in results.runs.values())
    held = [name for name, by_seed in results.runs.items() if by_seed[0].weights is not None]
    assert held == (["a", "longer"] if which == "new" else ["a"])
    assert (results.attention is None) == (which == "new")
    assert all(float(results.runs[name][0].weights["w"].sum()) == 2500 for name in held)
    return which


def kept_run(which: str) -> Run:
    configuration = {
        **{name.replace("_", " "): 1 for name in ("epochs", "batch_size", "learning_rate", "weight_decay", "probes")},
        "augmentation": {},
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        **run_of("old").configuration,
    }
    run = run_of("old")
    return replace(run, configuration=configuration, weights=run.weights if which == "new" else None)


def keep(folder: Path, which: str) -> None:
    from careedu.experiment.store import RunStore

    RunStore(folder).keep(kept_run(which))


def found_in_store(folder: Path) -> str | None:
    from careedu.experiment.store import RunStore

    run = RunStore(folder).find(kept_run("new").configuration)
    if run is None:
        return None
    assert np.array_equal(run.probabilities, kept_run("new").probabilities)
    return "old" if run.weights is None else name_of(run).replace("old", "new")


def batches_of(which: str) -> Callable:
    def batches():
        for start in range(3):
            yield {"images": np.full((5, 30, 30), start + 10 * (which == "new"), dtype=np.uint8)}

    return batches


def write_cache(folder: Path, which: str) -> None:
    os.environ["CAREEDU_CACHE"] = str(folder)
    cache.cached_arrays("key", 15, batches_of(which))


def found_in_cache(folder: Path) -> str | None:
    found = cache._open(folder / "decoded" / "key")
    if found is None:
        return None
    assert np.array_equal(found["images"], np.concatenate([part["images"] for part in batches_of("new")()]))
    return "new"


def write_checkpoint(folder: Path, which: str) -> None:
    value = 1.0 if which == "new" else 0.0
    files.write_tensors(folder / "run.checkpoint", {"a": np.full((50, 1000), value)}, {"which": which})


def found_checkpoint(folder: Path) -> str | None:
    path = folder / "run.checkpoint"
    if not path.exists():
        return None
    tensors, state = files.read_tensors(path, framework="numpy")
    assert (tensors["a"] == (state["which"] == "new")).all()
    return state["which"]


RUN, RESULTS = ["arrays", "weights"], ["arrays", "weights", "weights"]
SCENARIOS = {
    "run": Scenario(write_run, found_run, RUN),
    "first run": Scenario(write_run, found_run, RUN, old=False),
    "run of format 1": Scenario(write_over_format_1, found_run, RUN),
    "comparison": Scenario(write_results, found_results, RESULTS),
    "first comparison": Scenario(write_results, found_results, RESULTS, old=False),
    "store": Scenario(keep, found_in_store, RUN, old=False),
    "store without weights": Scenario(keep, found_in_store, RUN),
    "cache": Scenario(write_cache, found_in_cache, [], old=False),
    "checkpoint": Scenario(write_checkpoint, found_checkpoint, []),
}


def arm(kill_at: int | None) -> list[int]:
    """Count the steps of this process from now on, before and after each, and end it at one of them."""
    count = [0]

    def armed(function: Callable) -> Callable:
        def step(*arguments: object, **options: object) -> object:
            for after in (False, True):
                if count[0] == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count[0] += 1
                if not after:
                    done = function(*arguments, **options)
            return done

        return step

    for name in STEPS:
        setattr(os, name, armed(getattr(os, name)))
    return count


def forked(work: Callable[[], object], moment: float | None = None) -> int:
    """Do work in a process of its own, which is killed at a moment if one is given; the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def main(name: str, place: str, most_steps: int = 1000, moments: int = 0) -> int:
    """Kill, look, and count."""
    scenario, place = SCENARIOS[name], Path(place)
    place.mkdir(exist_ok=True)
    allowed = {"old", "new"} if scenario.old else {None, "new"}
    seen, killed = set(), []

    def prepared(number: int) -> Path:
        folder = place / f"{number}"
        if scenario.old:
            scenario.write(folder, "old")
        return folder

    def steps(folder: Path, kill_at: int | None) -> None:
        count = arm(kill_at)
        scenario.write(folder, "new")
        (place / "count").write_text(str(count[0]))

    assert forked(lambda: steps(prepared(0), None)) == 0
    total = int((place / "count").read_text())
    chosen = sorted({round(step) for step in np.linspace(0, total - 1, min(total, most_steps))})
    assert total >= 4
    for number, step in enumerate(chosen, 1):
        folder = prepared(number)
        assert forked(lambda folder=folder, step=step: steps(folder, step)) == signal.SIGKILL
        killed.append(folder)
        seen.add(found := scenario.find(folder))
        assert found in allowed, f"killed at step {step}: {found}"

    def endless(folder: Path) -> None:
        for number in range(10_000):
            scenario.write(folder, "old" if scenario.old and number % 2 else "new")

    chance = random.Random(name)
    for number in range(moments):
        folder = prepared(1000 + (0 if scenario.old else number))
        assert forked(lambda folder=folder: endless(folder), chance.uniform(0, 0.05)) == signal.SIGKILL
        killed.append(folder)
        seen.add(found := scenario.find(folder))
        assert found in allowed, f"killed at some moment: {found}"
    assert seen == allowed, "all kills came too early, or too late"

    # What is left of them goes in time.
    for path in place.rglob("*"):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2, follow_symlinks=False)
    for folder in killed:
        for which in ("old", "new") if scenario.old else ("new",):
            scenario.write(folder, which)
        assert scenario.find(folder) == "new"
        parts = [path.name.partition("-")[0] for path in folder.rglob("*") if path.is_file() and "-" in path.name]
        assert sorted(parts) == scenario.parts, sorted(folder.rglob("*"))
    left = [path for path in place.rglob("*") if path.name.startswith((".", "partial-"))]
    assert left == []
    return len(killed)


if __name__ == "__main__":
    warnings.simplefilter("error")
    print(main(*sys.argv[1:3], *map(int, sys.argv[3:])))
