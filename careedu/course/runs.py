"""Make the saved runs of a notebook again: ``make runs NOTEBOOK=01``.

Each experiment is trained into a store, from which a stopped making goes on, and then saved into ``data/runs`` as one
small folder with what it takes to make it again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from careedu.course.cli import exit_status
from careedu.course.experiments import EXPERIMENTS, Experiment
from careedu.data.shipped import shipped
from careedu.errors import CareeduError, unknown_name


def make_runs(experiment: Experiment, store: str | os.PathLike, target: Path, n_jobs: int = 2) -> Path:
    """Train one experiment as far as the store does not hold it yet, and save its results.

    Parameters
    ----------
    experiment : Experiment
    store : path
    target : Path
        Folder in which the experiment gets a folder of its name.
    n_jobs : int
        Trainings at a time, of one thread each.

    Returns
    -------
    Path
        The folder that was written.
    """
    from careedu.experiment.attention_results import measure_attention
    from careedu.show.compare import compare
    from careedu.show.deep_pneumonia.embeddings import embed
    from careedu.show.distractor.records import record_distractors
    from careedu.show.feature_generation.records import BEFORE, record_generation

    comparison = compare(
        experiment.load(),
        experiment.methods(),
        seeds=experiment.seeds,
        n_jobs=n_jobs,
        store=store,
        reference=experiment.reference,
        **experiment.fit,
    )
    comparison.provenance = {
        "command": f"make runs NOTEBOOK={experiment.notebook}",
        "experiment": experiment.name,
        "exploratory": experiment.exploratory,
        "processor": processor(),
        "seconds of training": round(sum(r.seconds for runs in comparison.runs.values() for r in runs.values())),
    }
    if experiment.maps:
        comparison.attention = measure_attention(comparison, comparison.data.test)
    if not experiment.generated:  # after each of hundreds of epochs only beside what is generated
        for run in [run for by_seed in comparison.runs.values() for run in by_seed.values() if len(run.pretraining)]:
            run.pretraining = run.pretraining[run.pretraining["stage"] != BEFORE[1]]
    folder = comparison.save(target / experiment.name, weights=experiment.weights, courses=experiment.courses)
    if experiment.embedded:
        seed = comparison.seeds[0]
        networks = {name: comparison.runs[arm][seed] for name, arm in experiment.embedded.items()}
        embed(networks, comparison.data.test).save(folder / "embeddings.safetensors")
    if experiment.tempted:
        methods = {arm: experiment.methods()[arm] for arm in experiment.tempted}
        record_distractors(comparison, methods, **experiment.fit).save(folder / "distractors.safetensors")
    if experiment.generated:
        methods = {arm: experiment.methods()[arm] for arm in experiment.generated}
        known = {"shared_stages": Path(store) / "stages", **experiment.fit}
        record_generation(comparison, methods, **known).save(folder / "generated.safetensors")
    return folder


def processor() -> dict[str, str]:
    """What a training's last bits depend on, beside versions and threads: the processor and torch's code for it."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "model": models[0] if models else platform.processor(),
        "machine": platform.machine(),
        "torch code": torch.backends.cpu.get_cpu_capability(),
    }


def experiments_of(notebook: str) -> list[Experiment]:
    """The experiments of a notebook, named by its number, or the one experiment of that name."""
    found = [e for name, e in EXPERIMENTS.items() if notebook in (e.notebook, name)]
    if not found:
        known = dict.fromkeys([*(e.notebook for e in EXPERIMENTS.values()), *EXPERIMENTS])
        raise unknown_name("notebook or experiment", notebook, known)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what the command line names; 1 where something has to be mended first."""
    parser = argparse.ArgumentParser(description="Make the saved runs of a notebook again.")
    parser.add_argument("notebook", help="number of a notebook, such as 01, or name of an experiment")
    parser.add_argument("--store", default="careedu-runs/store", help="where finished trainings are kept")
    parser.add_argument("--target", type=Path, help="where results are saved (default data/runs)")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default 2)")
    return exit_status(lambda: _make_all(parser.parse_args(arguments)))


def _make_all(options: argparse.Namespace) -> int:
    status = 0
    for experiment in experiments_of(options.notebook):
        started = perf_counter()
        try:
            folder = make_runs(experiment, options.store, options.target or shipped("runs"), options.jobs)
        except CareeduError as error:
            print(f"{experiment.name}: {error}", file=sys.stderr)
            status = 1
            continue
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        print(f"{experiment.name}: {perf_counter() - started:.0f} s, {size:.1f} MB in {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
