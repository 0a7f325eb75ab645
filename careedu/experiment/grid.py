"""Methods × seeds, trained on equal footing: in this process, on several cores, or on several machines.

What runs where is joblib's business: ``n_jobs=2`` uses two processes here, and inside
``joblib.parallel_config("dask")`` (or "ray") the same call uses a cluster. A run's bits depend on none of it, because
the number of threads belongs to its configuration.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from careedu.data.dataset import Splits
from careedu.errors import InvalidInputError
from careedu.experiment.configuration import Settings, configure, resolve_method, run_key
from careedu.experiment.fit import fit
from careedu.experiment.run import Run
from careedu.experiment.store import RunStore
from careedu.methods.method import Method


def name_methods(methods: Mapping[str, Method | str] | Sequence[Method | str]) -> dict[str, Method]:
    """Methods by unique name: their labels, or the names that a mapping gives them.

    Raises
    ------
    InvalidInputError
        If there is no method, or two of one name.
    """
    if isinstance(methods, str | Method):
        methods = [methods]
    pairs = methods.items() if isinstance(methods, Mapping) else ((None, method) for method in methods)
    named: dict[str, Method] = {}
    for name, method in pairs:
        resolved = resolve_method(method)
        name = resolved.label() if name is None else name
        if name in named:
            raise InvalidInputError(f"two methods are called {name!r}; give a mapping of names to methods")
        named[name] = resolved
    if not named:
        raise InvalidInputError("no method to train; give at least one, such as careedu.CrossEntropy()")
    return named


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to n − 1 from a number, or those that are given, all different."""
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        seeds = range(seeds)
    chosen = tuple(int(seed) for seed in seeds)
    if not chosen or len(set(chosen)) != len(chosen) or min(chosen) < 0:
        raise InvalidInputError(f"seeds={seeds!r} must be a number of seeds, or different whole numbers from 0 up")
    return chosen


def train_grid(
    data: Splits,
    methods: Mapping[str, Method | str] | Sequence[Method | str],
    *,
    seeds: int | Sequence[int] = 10,
    n_jobs: int = 1,
    store: str | os.PathLike | RunStore | None = None,
    threads: int | None = None,
    progress: bool = True,
    **fit_options: Any,
) -> dict[str, dict[int, Run]]:
    """Train every method with every seed, and give the runs by method and seed.

    Seed s redraws the thinned or generated training images (`Splits.redraw`) and the initialisation, alike for all
    methods, so that results are paired. Validation and test images are the same throughout.

    Parameters
    ----------
    data : Splits
    methods : sequence of Method or str, or mapping of name to Method
    seeds : int or sequence of int
        A number n stands for 0 to n − 1.
    n_jobs : int
        Trainings at a time, each in a process of its own. With 1, joblib's own configuration decides, if there is one.
    store : path or RunStore, optional
        Where finished runs are saved at once, and found again. A stopped grid goes on from there, epoch for epoch.
        Without a store nothing is saved.
    threads : int, optional
        torch's threads for each training, part of its configuration. By default 1, with which two trainings at a
        time use two cores best, and all bits are the same however many run at a time.
    progress : bool
    **fit_options
        Of `careedu.fit`: model, epochs, batch_size, …

    Returns
    -------
    dict of str to dict of int to Run

    Raises
    ------
    InvalidInputError
        If an argument does not fit, or the store cannot be written to.
    """
    named = name_methods(methods)
    seeds = seeds_of(seeds)
    threads = 1 if threads is None else threads
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InvalidInputError(f"threads={threads!r} must be a whole number, at least 1")
    for name in ("seed", "checkpoint", "shared_stages", "on_epoch"):
        if name in fit_options:
            raise InvalidInputError(f"{name}= is set by compare itself, run by run; leave it out")
    Settings.of(fit_options)
    if store is not None and not isinstance(store, RunStore):
        store = RunStore(store)

    runs: dict[str, dict[int, Run]] = {name: {} for name in named}
    missing = []
    for seed in seeds:
        # Each seed's images are drawn here once to look for its runs, and again where they are trained: drawing is
        # cheap, and sending images to another process is not.
        drawn = data.redraw(seed)
        for name, method in named.items():
            found = None
            if store is not None:
                with torch_threads(threads):
                    configuration = configure(drawn, method, Settings.of({**fit_options, "seed": seed}))
                found = store.find(configuration)
            if found is None:
                missing.append((name, seed))
            else:
                runs[name][seed] = found
    if missing and store is not None:
        store.check_writable()
    # One method after the other, so that a first stage which methods share is there when the second one comes.
    order = {name: place for place, name in enumerate(named)}
    missing.sort(key=lambda job: order[job[0]])
    serial = n_jobs == 1
    jobs = (
        delayed(_train)(data, name, named[name], seed, threads, store, progress and serial, fit_options)
        for name, seed in missing
    )
    total = len(named) * len(seeds)
    bar = tqdm(total=total, initial=total - len(missing), desc="runs", unit="run", disable=not progress)
    with bar, contextlib.closing(_results(jobs, n_jobs)) as finished:
        for name, seed, run in finished:
            runs[name][seed] = run
            bar.set_postfix_str(f"{name}, seed {seed}")
            bar.update()
    return {name: {seed: runs[name][seed] for seed in seeds} for name in named}


def _results(jobs: Iterator[Any], n_jobs: int) -> Iterator[tuple[str, int, Run]]:
    # With None joblib takes the number from its own configuration, which is 1 where nobody has set one.
    yield from Parallel(n_jobs=None if n_jobs == 1 else n_jobs, return_as="generator_unordered", batch_size=1)(jobs)


def _train(
    data: Splits,
    name: str,
    method: Method,
    seed: int,
    threads: int,
    store: RunStore | None,
    progress: bool,
    fit_options: Mapping[str, Any],
) -> tuple[str, int, Run]:
    """One training, in whatever process; a finished run is saved before it is given back."""
    drawn = data.redraw(seed)
    with torch_threads(threads):
        if store is None:
            return name, seed, fit(drawn, method, seed=seed, progress=progress, **fit_options)
        configuration = configure(drawn, method, Settings.of({**fit_options, "seed": seed}))
        # Another process may have finished it since, or this very job ran before and its worker was lost.
        run = store.find(configuration)
        if run is None:
            checkpoint = store.usable_checkpoint(run_key(configuration))
            run = fit(
                drawn,
                method,
                seed=seed,
                progress=progress,
                checkpoint=checkpoint,
                shared_stages=store.stages,
                **fit_options,
            )
            store.keep(run)
    return name, seed, run


@contextlib.contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """So many threads of torch inside, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
