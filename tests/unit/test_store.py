"""A folder of finished runs: whatever happens to it, what is found there is right, and what is damaged is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_grid import DATA, OPTIONS, Failing, finished, same_bits, same_runs

from careedu import files
from careedu.errors import CheckpointError, InvalidInputError, StorageError
from careedu.experiment.configuration import run_key
from careedu.experiment.fit import fit
from careedu.experiment.grid import train_grid
from careedu.experiment.store import RunStore
from careedu.files import read_tensors, write_bytes, write_tensors

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def run():
    return fit(DATA, "cross-entropy", **OPTIONS)


@pytest.fixture
def store(tmp_path, run):
    store = RunStore(tmp_path / "store")
    store.keep(run)
    return store


def test_a_run_is_found_again_to_the_last_bit(store, run):
    found = store.find(run.configuration)
    assert same_bits(run, found)
    assert found.seconds == run.seconds
    assert len(store) == 1
    assert repr(store).endswith("store', 1 runs)")
    assert store.find({**run.configuration, "seed": 1}) is None


def test_looking_for_runs_makes_no_folder(tmp_path, run):
    store = RunStore(tmp_path / "nothing" / "yet")
    assert store.find(run.configuration) is None
    assert len(store) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_stays_where_it_was_named(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    store = RunStore("here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.keep(run)
    assert len(finished(tmp_path / "here")) == 1


def test_a_file_in_its_place_or_above_it_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="is a file; name a folder"):
        RunStore(tmp_path / "file")
    with pytest.raises(StorageError, match=r"cannot be written.*another place"):
        train_grid(DATA, [Failing()], seeds=1, store=tmp_path / "file" / "store", **OPTIONS)
    assert (tmp_path / "file").read_text() == "mine"


# Damage


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGES = {
    "run.json truncated": lambda folder: halved(folder / "run.json"),
    "run.json empty": lambda folder: (folder / "run.json").write_bytes(b""),
    "run.json zeros": lambda folder: (folder / "run.json").write_bytes(bytes(400)),
    "run.json no text": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\xfd"),
    "run.json other JSON": lambda folder: (folder / "run.json").write_text("[1, 2]"),
    "run.json null": lambda folder: (folder / "run.json").write_text("null"),
    "run.json without configuration": lambda folder: change(folder / "run.json", configuration={}),
    "run.json with a ragged history": lambda folder: change(folder / "run.json", history={"a": [1], "b": [1, 2]}),
    "run.json of a newer careedu": lambda folder: change(folder / "run.json", format=99),
    "run.json missing": lambda folder: (folder / "run.json").unlink(),
    "run.json a folder": lambda folder: [(folder / "run.json").unlink(), (folder / "run.json").mkdir()],
    "run.json with another number": lambda folder: change(folder / "run.json", seconds=0.5),
    "arrays truncated": lambda folder: halved(tensors(folder, "arrays")),
    "arrays missing": lambda folder: tensors(folder, "arrays").unlink(),
    "weights truncated": lambda folder: halved(tensors(folder, "weights")),
    "weights empty": lambda folder: tensors(folder, "weights").write_bytes(b""),
    "weights missing": lambda folder: tensors(folder, "weights").unlink(),
    "arrays without a header of ours": lambda folder: write_tensors_of_another(tensors(folder, "arrays")),
    "arrays of another run": lambda folder: write_tensors(tensors(folder, "arrays"), {"labels": np.zeros(1)}),
}


def tensors(folder, part):
    return next(folder.glob(f"{part}-*.safetensors"))


def write_tensors_of_another(path):
    from safetensors.numpy import save_file

    save_file({"probabilities": np.zeros((1, 3))}, path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_replaced_by_a_whole_one(damage, store, run):
    folder = store.path(run_key(run.configuration))
    DAMAGES[damage](folder)
    with pytest.warns(UserWarning, match=rf"{folder.name}.*trained again"):
        assert store.find(run.configuration) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.find(run.configuration, warn=False) is None
        store.keep(run)
        assert same_bits(store.find(run.configuration), run)
    assert len(store) == 1


def test_what_somebody_put_beside_a_damaged_run_stays(store, run):
    folder = store.path(run_key(run.configuration))
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    (folder / "run.json" / "mine").write_text("first")
    (folder / "note").write_text("second")
    store.keep(run)
    assert same_bits(store.find(run.configuration), run)
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("third")  # a file in the place of a run
    store.keep(run)
    assert same_bits(store.find(run.configuration), run)
    files = [
        path for path in folder.parent.rglob("*") if path.is_file() and path.suffix not in (".json", ".safetensors")
    ]
    assert sorted(path.read_text() for path in files) == ["first", "second", "third"]


def test_a_run_in_the_place_of_another_is_named(store, run):
    other = replace(run, configuration={**run.configuration, "seed": 7})
    there = store.keep(other)
    there.rename(there.with_name("aside"))
    (there.parent / run_key(run.configuration)).rename(there)
    with pytest.warns(UserWarning, match="another one than its folder says"):
        assert store.find(other.configuration) is None


def test_half_written_folders_are_no_runs(store, run):
    folder = store.path(run_key(run.configuration))
    run.save(folder.with_name(f".{folder.name}.killed"))
    assert len(store) == 1


# Keeping


def test_a_whole_run_is_not_replaced_but_for_missing_weights(store, run):
    record = store.path(run_key(run.configuration)) / "run.json"
    before = record.stat().st_mtime_ns
    store.keep(run)
    store.keep(run, weights=False)
    assert record.stat().st_mtime_ns == before
    assert store.find(run.configuration).weights is not None


def test_weights_can_be_left_out_and_come_later(tmp_path, run):
    store = RunStore(tmp_path)
    store.keep(run, weights=False)
    assert store.find(run.configuration).weights is None
    store.keep(run)
    assert same_bits(store.find(run.configuration), run)


def test_a_kept_run_needs_no_checkpoint_any_more(store, run):
    path = store.checkpoint(run_key(run.configuration))
    write_bytes(path, b"checkpoint")
    store.keep(run)
    assert not path.exists()


def test_writers_and_readers_at_once_leave_one_whole_run(tmp_path, run):
    """Threads keep, read and replace the same run; nobody fails, nothing is left lying about."""

    class Forgetful(RunStore):
        def find(self, configuration, *, warn=True):
            return None

    store, errors = RunStore(tmp_path), []

    def work(number):
        try:
            for _ in range(4):
                (store if number % 2 else Forgetful(tmp_path)).keep(run)
                store.find(run.configuration, warn=False)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert same_bits(store.find(run.configuration), run)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run_key(run.configuration)]


@pytest.mark.alone
def test_a_hundred_runs_are_found_within_a_second(tmp_path, run):
    store = RunStore(tmp_path)
    configurations = [{**run.configuration, "seed": seed} for seed in range(100)]
    for written in configurations:
        store.keep(replace(run, configuration=written))
    started = time.process_time()
    found = [store.find(written) for written in configurations]
    assert time.process_time() - started < 1
    assert [one.configuration["seed"] for one in found] == list(range(100))


# Files


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=r"file'.*No space.*make room on the disk"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_tensors_and_state_come_back_in_either_framework(tmp_path):
    arrays = {"ä": np.arange(6.0).reshape(2, 3)[:, ::2], "none": np.zeros(0, dtype=np.int64), "b": np.array([True])}
    write_tensors(tmp_path / "file", arrays, {"name": "naïve", "value": None})
    back, state = read_tensors(tmp_path / "file", framework="numpy")
    assert state == {"name": "naïve", "value": None}
    assert all(np.array_equal(back[name], array) and back[name].dtype == array.dtype for name, array in arrays.items())
    tensors, _ = read_tensors(tmp_path / "file")
    assert torch.equal(tensors["ä"], torch.from_numpy(arrays["ä"].copy()))
    with pytest.raises(CheckpointError, match="no file"):
        read_tensors(tmp_path / "missing")


def test_safetensors_reads_every_type_as_it_was_written(tmp_path):
    from safetensors.torch import load_file

    names = [
        "float16",
        "float32",
        "float64",
        "bfloat16",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    ]
    tensors = {name: (torch.rand(2, 3, 4, 5) * 9).to(getattr(torch, name)) for name in names}
    tensors["laid out otherwise"] = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    tensors["one number"], tensors["nothing"] = torch.tensor(3), torch.zeros(0, 2)
    tensors["a part"] = tensors["the whole"] = torch.rand(3, 4).T
    write_tensors(tmp_path / "file", tensors, {"a": 1})
    for read in (load_file(tmp_path / "file"), read_tensors(tmp_path / "file")[0]):
        assert read.keys() == tensors.keys()
        assert all(
            read[name].dtype == tensor.dtype and torch.equal(read[name], tensor) for name, tensor in tensors.items()
        )


def test_every_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    path, tensors = tmp_path / "checkpoint", {"model/weight": torch.rand(3, 4), "steps": torch.tensor(3)}
    write_tensors(path, tensors, {"identity": {"seed": 0}, "history": [{"loss": 0.5}]})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match=r"damaged.*delete it|not written by careedu"):
            read_tensors(path)


def test_a_checkpoint_of_the_first_careedu_is_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "file", metadata={"careedu": json.dumps({"history": []})})
    assert read_tensors(tmp_path / "file")[1] == {"history": []}


def test_a_file_of_a_broken_state_is_damaged(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "file", metadata={"careedu": "{"})
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(tmp_path / "file")


# A folder that may be read but not written

UNPRIVILEGED = """
import os, sys, warnings
from pathlib import Path
import torch
from small_grid import DATA, OPTIONS, Failing
from careedu.experiment.grid import train_grid
from careedu.experiment.run import Run
# What is imported late may lie where only root comes.
Run.load(next(Path(sys.argv[1]).glob("runs/*")))
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
warnings.simplefilter("error")
runs = train_grid(DATA, ["cross-entropy"], seeds=1, store=sys.argv[1], **OPTIONS)
print("read", runs["cross-entropy"][0].probabilities.sum().item())
try:
    train_grid(DATA, ["cross-entropy", Failing()], seeds=1, store=sys.argv[1], **OPTIONS)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def passable():
    """A folder that other users come through to; pytest closes its own again whenever a session of it begins."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["all", "runs", "stages"])
def test_a_read_only_store_is_read_and_refused_before_any_training(closed, passable):
    folder = passable / "store"
    runs = train_grid(DATA, ["cross-entropy"], seeds=1, store=folder, **OPTIONS)
    for name in ("unfinished", "stages"):
        (folder / name).mkdir(exist_ok=True)
    # Open to all but for what is closed.
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if closed in ("all", path.name) else 0o777)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(folder)],
            cwd=HERE,
            env={
                **os.environ,
                "HOME": "/nonexistent",
                "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"read {runs['cross-entropy'][0].probabilities.sum().item()}"
    assert second.startswith("StorageError ")
    assert "cannot be written" in second and "choose another place" in second
    assert same_runs(runs, train_grid(DATA, ["cross-entropy"], seeds=1, store=folder, **OPTIONS))
