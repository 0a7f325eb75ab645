"""Methods × seeds, trained on equal footing: in this process, on several cores, or on several machines.

What runs where is joblib's business: ``n_jobs=2`` uses two processes here, and inside
``joblib.parallel_config("dask")`` (or "ray") the same call uses a cluster. A run's bits depend on none of it, because
the number of threads belongs to its configuration. On several machines the store lies on a disk that all of them see.
"""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs
from tqdm.auto import tqdm

from careedu.data.dataset import Splits
from careedu.errors import InvalidInputError, check_number
from careedu.experiment.configuration import Settings, configure, resolve_method, run_key
from careedu.experiment.fit import fit
from careedu.experiment.run import Run
from careedu.experiment.store import RunStore
from careedu.experiment.workers import end_with_parent
from careedu.methods.method import Method
from careedu.training.checkpoint import again_if_damaged
from careedu.training.isolation import plain_torch, turn

LOST_WORKERS = 3
"""So often a process may be lost before the grid gives up, as many times as Dask allows."""


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
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"a method's name must be a word or more, not {name!r}")
        if name in named:
            raise InvalidInputError(f"two methods are called {name!r}; give a mapping of names to methods")
        named[name] = resolved
    if not named:
        raise InvalidInputError("no method to train; give at least one, such as careedu.CrossEntropy()")
    return named


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to n − 1 from a number, or those that are given, all different."""
    chosen = tuple(range(seeds) if _is_whole(seeds) else seeds if isinstance(seeds, Iterable) else ())
    if not chosen or not all(map(_is_whole, chosen)) or len(set(chosen)) != len(chosen) or min(chosen) < 0:
        raise InvalidInputError(f"seeds={seeds!r} must be a number of seeds, or different whole numbers from 0 up")
    return tuple(map(int, chosen))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


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
        Trainings at a time, each in a process of its own, which ends soon after this one; −1 for as many as there are
        cores. With 1, joblib's own configuration decides, if there is one.
    store : path or RunStore, optional
        Where finished runs are saved at once, and found again. A stopped grid goes on from there, epoch for epoch.
        Without a store nothing is saved. A method of your own is told from what it was before by its options and its
        `revision`: raise that when you change what it computes.
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
        If an argument does not fit.
    StorageError
        If the store cannot be written to.
    Exception
        What went wrong in a training, with a note that names method and seed. Runs that were finished are in the store.
    """
    if not isinstance(data, Splits):
        raise InvalidInputError(f"data must be Splits, as careedu.load makes them, not {type(data).__name__}")
    named = name_methods(methods)
    seeds = seeds_of(seeds)
    threads = 1 if threads is None else threads
    check_number("threads", threads, "whole [1, inf)")
    if not _is_whole(n_jobs) or n_jobs == 0:
        raise InvalidInputError(f"n_jobs={n_jobs!r} must be a number of trainings at a time, or −1 for all cores")
    for name in ("seed", "checkpoint", "shared_stages", "on_epoch"):
        if name in fit_options:
            raise InvalidInputError(f"{name}= is set by compare itself, run by run; leave it out")
    Settings.of(fit_options)
    if store is not None and not isinstance(store, RunStore):
        store = RunStore(store)

    runs: dict[str, dict[int, Run]] = {name: {} for name in named}
    for seed in seeds if store is not None else ():
        # Each seed's images are drawn here once to look for its runs, and again where they are trained: drawing is
        # cheap, and sending images to another process is not.
        settings = Settings.of({**fit_options, "seed": seed})
        with plain_torch(), torch_threads(threads):
            drawn = data.redraw(seed)
            for name, method in named.items():
                if (found := store.find(configure(drawn, method, settings))) is not None:
                    runs[name][seed] = found
    # One method after the other, so that a first stage which methods share is there when the second one comes.
    missing = [(name, seed) for name in named for seed in seeds if seed not in runs[name]]
    if missing and store is not None:
        store.check_writable()
    # With None joblib takes the number from its own configuration, which is 1 where nobody has set one.
    processes = None if n_jobs == 1 else int(n_jobs)
    options = {"progress": progress and bool(missing) and effective_n_jobs(processes) == 1, **fit_options}
    total = len(named) * len(seeds)
    bar = tqdm(total=total, initial=total - len(missing), desc="runs", unit="run", disable=not progress)
    lost = 0
    with bar:
        while missing:
            jobs = [
                delayed(_train)(data, name, named[name], int(threads), store, {**options, "seed": seed})
                for name, seed in missing
            ]
            try:
                with contextlib.closing(_results(jobs, processes)) as finished:
                    for name, seed, run in finished:
                        runs[name][seed] = run
                        missing.remove((name, seed))
                        bar.set_postfix_str(f"{name}, seed {seed}")
                        bar.update()
            except BrokenProcessPool as error:
                lost += 1
                if lost > LOST_WORKERS:
                    error.add_note(
                        f"{lost} times a process was lost, perhaps for want of memory: try fewer at a time (n_jobs)"
                    )
                    raise
                warnings.warn(
                    f"a process was lost (killed, or out of memory); {len(missing)} runs are left, and go on",
                    stacklevel=2,
                )
    return {name: {seed: runs[name][seed] for seed in seeds} for name in named}


def _results(jobs: Sequence[Any], n_jobs: int | None) -> Iterator[tuple[str, int, Run]]:
    options = {"initializer": end_with_parent, "initargs": (os.getpid(),)}  # Dask and Ray have processes of their own
    yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, **options)(jobs)


def _train(
    data: Splits, name: str, method: Method, threads: int, store: RunStore | None, options: Mapping[str, Any]
) -> tuple[str, int, Run]:
    """One training, in whatever process; a finished run is saved before it is given back."""
    # Jobs that joblib's threading backend or a Dask worker of several threads runs take turns, and that is no news.
    waiting = None if threading.current_thread() is threading.main_thread() else lambda: None
    seed = options["seed"]
    try:
        with turn(waiting), plain_torch(), torch_threads(threads):
            drawn = data.redraw(seed)
            run = fit(drawn, method, **options) if store is None else _found_or_trained(drawn, method, store, options)
    except Exception as error:
        error.add_note(f"This happened in the training of {name!r}, seed {seed}.")
        raise
    return name, seed, run


def _found_or_trained(data: Splits, method: Method, store: RunStore, options: Mapping[str, Any]) -> Run:
    settings = {name: value for name, value in options.items() if name != "progress"}
    configuration = configure(data, method, Settings.of(settings))
    # Another process may have finished it since, or this very job ran before and its worker was lost.
    run = store.find(configuration, warn=False)
    if run is not None:
        return run
    checkpoint = store.checkpoint(run_key(configuration))
    options = {**options, "checkpoint": checkpoint, "shared_stages": store.stages}
    run = again_if_damaged(partial(fit, data, method, **options), checkpoint, "this training begins again")
    store.keep(run)
    return run


@contextlib.contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """So many threads of torch inside, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
