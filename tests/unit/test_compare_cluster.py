"""Grids in several processes that are killed, interrupted or doubled: nothing is lost, and no bit changes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import pytest
from small_grid import DATA, OPTIONS, Failing, finished, same_runs

from careedu.experiment.grid import train_grid

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
METHODS = ["cross-entropy", "classifier-retraining", "feature-smote"]
# Long enough to be killed in the middle, short enough to be done in a second.
LONGER = {**OPTIONS, "epochs": 12}
SCRIPT = """
import sys
from small_grid import DATA, OPTIONS
from careedu.experiment.grid import train_grid
methods = ["cross-entropy", "classifier-retraining", "feature-smote"]
if __name__ == "__main__":
    train_grid(DATA, methods, seeds=2, n_jobs=int(sys.argv[2]), store=sys.argv[1], **{**OPTIONS, "epochs": 12})
"""


@pytest.fixture(scope="module")
def undisturbed():
    return train_grid(DATA, METHODS, seeds=2, **LONGER)


def start(store: Path, n_jobs: int = 1) -> subprocess.Popen:
    """The grid in a process of its own, leader of its own group, as one started from a terminal is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", SCRIPT, str(store), str(n_jobs)]
    return subprocess.Popen(command, cwd=HERE, env=environment, start_new_session=True, stderr=subprocess.PIPE)


def wait_for(condition, seconds=240):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


def checkpoints(store: Path) -> int:
    return len(list(store.glob("unfinished/*.safetensors")))


def in_the_middle(store: Path, process: subprocess.Popen | None = None) -> bool:
    """At least one run is finished, and another one in training."""
    assert process is None or process.poll() is None, process.stderr.read().decode()
    return bool(finished(store)) and checkpoints(store) > 0


def goes_on(store: Path, undisturbed) -> None:
    """The same grid again: what was finished stays untouched, and the bits are those of an undisturbed one."""
    before = finished(store)
    assert 0 < len(before) < 6, "the grid was over too soon, or nothing was saved, for this to mean anything"
    assert same_runs(undisturbed, train_grid(DATA, METHODS, seeds=2, store=store, **LONGER))
    assert before.items() <= finished(store).items()
    assert len(finished(store)) == 6


# One machine


def test_a_grid_that_is_killed_goes_on(tmp_path, undisturbed):
    process = start(tmp_path)
    wait_for(lambda: in_the_middle(tmp_path, process))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    goes_on(tmp_path, undisturbed)


@pytest.mark.parametrize(("n_jobs", "whole_group"), [(1, False), (2, True)])
def test_ctrl_c_leaves_a_store_that_goes_on(n_jobs, whole_group, tmp_path, undisturbed):
    """A terminal sends the signal to the whole group, a notebook to its kernel alone."""
    process = start(tmp_path, n_jobs)
    wait_for(lambda: in_the_middle(tmp_path, process))
    os.killpg(process.pid, signal.SIGINT) if whole_group else process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=120)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in shown
    goes_on(tmp_path, undisturbed)


def test_two_grids_at_once_into_one_store(tmp_path, undisturbed):
    both = [start(tmp_path), start(tmp_path)]
    for process in both:
        _, shown = process.communicate(timeout=240)
        assert process.returncode == 0, shown.decode()
    before = finished(tmp_path)
    assert len(before) == 6
    assert same_runs(undisturbed, train_grid(DATA, METHODS, seeds=2, store=tmp_path, **LONGER))
    assert finished(tmp_path) == before
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_lost_process_is_replaced(tmp_path, undisturbed):
    """Two processes at a time, of which one is killed as by a machine short of memory."""
    from joblib.externals.loky import reusable_executor

    before = {}

    def kill():
        wait_for(lambda: in_the_middle(tmp_path))
        before.update(finished(tmp_path))
        os.kill(next(iter(reusable_executor._executor._processes)), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.warns(UserWarning, match=r"a process was lost.*runs are left"):
        runs = train_grid(DATA, METHODS, seeds=2, n_jobs=2, store=tmp_path, **LONGER)
    thread.join()
    assert same_runs(undisturbed, runs)
    assert before
    assert before.items() <= finished(tmp_path).items()


def test_an_error_in_another_process_names_the_training(tmp_path):
    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        train_grid(DATA, ["cross-entropy", Failing()], seeds=[3, 7], n_jobs=2, store=tmp_path, **OPTIONS)
    assert any("the training of 'failing', seed " in note for note in caught.value.__notes__)
    assert len(finished(tmp_path)) >= 1


@pytest.mark.alone
def test_two_threads_of_torch_are_two_in_every_process(tmp_path):
    two = train_grid(DATA, METHODS[:1], seeds=2, n_jobs=2, threads=2, **OPTIONS)
    assert same_runs(two, train_grid(DATA, METHODS[:1], seeds=2, threads=2, **OPTIONS))


# A cluster


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Two worker processes of one thread each, which find the tests' own modules."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    made = distributed.LocalCluster(**options, local_directory=str(tmp_path / "dask"), silence_logs=50)
    with contextlib.closing(made), distributed.Client(made) as client:
        yield client


def test_a_cluster_gives_the_same_bits_and_loses_nothing_when_a_worker_is_killed(cluster, tmp_path, undisturbed):
    with joblib.parallel_config("dask"):
        assert joblib.effective_n_jobs() == 2

        # Undisturbed, without a store and with one.
        few = train_grid(DATA, METHODS[:1], seeds=2, **LONGER)
        assert same_runs(few, {METHODS[0]: undisturbed[METHODS[0]]})

        # What goes wrong in a worker is told here, with the name of the training.
        with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
            train_grid(DATA, [Failing()], seeds=[3], **OPTIONS)
        assert any("the training of 'failing', seed 3" in note for note in caught.value.__notes__)

        # A worker is killed in the middle.
        store, before = tmp_path / "store", {}

        def kill():
            wait_for(lambda: in_the_middle(store))
            before.update(finished(store))
            os.kill(next(iter(pids.values())), signal.SIGKILL)

        pids = cluster.run(os.getpid)
        thread = threading.Thread(target=kill)
        thread.start()
        runs = train_grid(DATA, METHODS, seeds=2, store=store, **LONGER)
        thread.join()
    assert same_runs(undisturbed, runs)
    assert 0 < len(before) < 6
    assert before.items() <= finished(store).items()
    assert len(finished(store)) == 6
    assert checkpoints(store) == 0
