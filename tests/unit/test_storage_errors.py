"""A disk that is full, read-only or otherwise in the way: a careedu error with the remedy, early, and nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_writer import found_run, run_of
from made_up_runs import made_up_runs
from PIL import Image
from small_grid import DATA, OPTIONS

import careedu
from careedu.data.folder import read_folder
from careedu.errors import InvalidInputError, StorageError
from careedu.files import write_bytes, write_tensors
from careedu.show.style import Picture

HERE = Path(__file__).parent


def writers(place: Path) -> dict:
    """Whatever writes for a user, each to a place of its own."""
    comparison = careedu.Comparison(made_up_runs(seeds=1))
    return {
        "run": lambda: run_of("new").save(place / "run"),
        "comparison": lambda: comparison.save(place / "comparison"),
        "picture": lambda: Picture(bytes(200_000), "a picture", 100).save(place / "picture.png"),
        "tensors": lambda: write_tensors(place / "tensors", {"a": np.zeros(50_000)}),
    }


@pytest.mark.parametrize("what", writers(Path()))
def test_a_file_in_the_way_of_a_folder(what, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot be written \(.*make room on the disk.*choose another place"):
        writers(tmp_path / "file")[what]()
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("what", writers(Path()))
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_the_system_refuses_leaves_what_stood(what, call, code, tmp_path, monkeypatch):
    write = writers(tmp_path)[what]
    write()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    original = Path.open

    def refuse(*arguments, **options):
        raise OSError(code, os.strerror(code))

    def opened(path, mode="r", **options):
        return (refuse if mode == "xb" else original)(path, mode, **options)

    with monkeypatch.context() as patched:
        if call == "open":
            patched.setattr(Path, "open", opened)
        else:
            patched.setattr(os, call, refuse)
        with pytest.raises(StorageError, match=f"cannot be written.*{os.strerror(code)}"):
            write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    write()


LIMITED = """
import resource, sys
from pathlib import Path
from careedu.errors import StorageError
from killed_writer import run_of, write_results
place = Path(sys.argv[1])
run_of("old").save(place / "run")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for name in ("run", "new"):
    try:
        run_of("new").save(place / name)
    except StorageError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_real_limit_of_what_may_be_written(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("File too large): make room on the disk") == 2
    assert found_run(tmp_path / "run") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert len(list((tmp_path / "run").iterdir())) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A disk of half a megabyte, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk; the limits and refusals above stand for it")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a disk is mounted as Linux does it")
def test_a_disk_that_is_full_and_then_read_only(small_disk):
    run_of("old").save(small_disk / "run")
    write_bytes(small_disk / "filler", bytes(300_000))
    with pytest.raises(StorageError, match="No space left"):
        run_of("new").save(small_disk / "run")
    with pytest.raises(StorageError, match="No space left"):
        careedu.fit(DATA, "cross-entropy", checkpoint=small_disk / "checkpoint", on_epoch=never, **OPTIONS)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for write in (
        lambda: run_of("new").save(small_disk / "run"),
        lambda: run_of("new").save(small_disk / "new"),
        lambda: careedu.fit(DATA, "cross-entropy", checkpoint=small_disk / "checkpoint", on_epoch=never, **OPTIONS),
        lambda: careedu.compare(DATA, ["cross-entropy"], seeds=1, store=small_disk / "store", **OPTIONS),
    ):
        with pytest.raises(StorageError, match="Read-only file system"):
            write()
    assert found_run(small_disk / "run") == "old"
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "run"]


def never(report):
    raise AssertionError("an epoch was trained before the disk was tried")


@pytest.mark.parametrize("option", ["checkpoint", "shared_stages"])
def test_a_place_that_cannot_be_written_is_told_before_the_training(option, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"file.*Not a directory"):
        careedu.fit(DATA, "cross-entropy", on_epoch=never, **{option: tmp_path / "file" / "sub" / "x"}, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_trying_a_place_leaves_nothing_there(tmp_path):
    careedu.fit(DATA, "cross-entropy", checkpoint=tmp_path / "new" / "checkpoint", **OPTIONS)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["checkpoint"]


def test_the_command_line_looks_at_its_folder_before_the_training(tmp_path, capsys):
    from careedu.course.cli import main

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    data = ["phantom-skin", "--size", "32", "--option", "largest=6", "--option", "val=2", "--option", "test=2"]
    assert main(["fit", *data, "--epochs", "1", "--quiet", "--out", str(tmp_path / "mine")]) != 0
    assert "thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


# Images of one's own, and their cache


@pytest.fixture
def images(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    rows = ["image,label"]
    for i in range(60):
        Image.new("L", (24, 24), 4 * i).save(place / f"{i}.png")
        rows.append(f"{i}.png,{'ab'[i % 2]}")
    (place / "labels.csv").write_text("\n".join(rows))
    return place


@pytest.mark.parametrize("size", [24, 200])
def test_images_are_loaded_though_their_cache_does_not_fit_on_the_disk(size, images, small_disk, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(small_disk))
    write_bytes(small_disk / "filler", bytes(490_000))
    with pytest.warns(UserWarning, match=r"cannot be kept.*No space left.*make the folder writable.*CAREEDU_CACHE"):
        parts = careedu.load(images, size=size)
    assert len(parts.train) > 30
    assert list((small_disk / "decoded").iterdir()) == []


def test_a_cache_file_that_fails_when_it_is_closed_costs_a_warning(images, tmp_path, monkeypatch):
    """Less than a buffer: the system hears of it no sooner."""
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))

    class Full:
        def __init__(self):
            self.closed = 0

        def write(self, piece):
            return len(piece)

        def close(self):
            self.closed += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    original = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **o: Full() if a == ("wb",) else original(path, *a, **o))
    with pytest.warns(UserWarning, match=r"cannot be kept.*No space left"):
        parts = read_folder(images)
    assert len(parts["train"]) > 30
    assert list((tmp_path / "cache" / "decoded").iterdir()) == []


def test_types_that_cannot_be_saved_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match="'a' is complex128"):
        write_tensors(tmp_path / "x", {"a": np.zeros(2, dtype=complex)})
    assert list(tmp_path.iterdir()) == []
