"""Processes that train beside another one end soon after it, and the store is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from killing import COMPARE, compared, finished_runs, kill, left_after, same_stores, start, started_by

from careedu.experiment import workers

EPOCHS = 16


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed")
    assert torch.get_num_threads() == 1
    compared(store, 1, EPOCHS)
    return store


def in_training(store):
    """A comparison in two processes, both of which are at it."""
    process = start("-c", COMPARE, store, 2, EPOCHS)
    until = time.monotonic() + 60
    while len(list(store.glob("unfinished/*.safetensors"))) < 2 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_workers_end_soon_after_the_process_that_started_them_is_killed(undisturbed, tmp_path):
    process = in_training(tmp_path / "killed")
    assert sum("loky" in " ".join(one.cmdline()) for one in started_by(process)) >= 2
    time.sleep(random.Random(0).uniform(0, 0.5))
    assert kill(process)
    assert len(list(finished_runs(tmp_path / "killed"))) < 4
    compared(tmp_path / "killed", 1, EPOCHS)
    assert same_stores(tmp_path / "killed", undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_workers_end_soon_after_their_parent_is_interrupted_which_lives_on(tmp_path):
    process = in_training(tmp_path)
    at_work = [one for one in started_by(process) if "LokyProcess" in " ".join(one.cmdline())]
    assert len(at_work) == 2
    process.send_signal(signal.SIGINT)
    assert left_after(at_work, 5) == []
    assert process.stdout.readline() == b"interrupted\n"
    assert process.poll() is None
    kill(process)


def test_a_worker_is_watched_before_it_loads_anything_large():
    code = "import sys, careedu.experiment.workers; sys.exit(bool({'torch', 'numpy', 'joblib'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("parent", [None, 10**9])
def test_a_process_that_others_have_started_is_left_alone(parent, monkeypatch):
    """This one has no parent in `multiprocessing`; a cluster's has, which is not the one that sent the job."""
    started = []
    monkeypatch.setattr(workers.threading, "Thread", lambda **options: started.append(options))
    if parent is not None:
        process = type("Process", (), {"pid": parent})()
        monkeypatch.setattr(workers.multiprocessing, "parent_process", lambda: process)
    workers.end_with_parent(os.getppid())
    assert started == []
