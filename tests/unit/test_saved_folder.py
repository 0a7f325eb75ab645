"""What is saved stays saved: nothing of others is lost, something whole is always there, flipped bits are noticed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killed_writer import found_results, found_run, run_of, write_format_1, write_results
from made_up_runs import made_up_runs

from careedu.errors import CareeduError, CheckpointError, InvalidInputError, MissingWeightsError
from careedu.experiment import saved_folder
from careedu.experiment.attention_results import AttentionResults
from careedu.experiment.results import Results
from careedu.experiment.run import SAVED_RUN, Run
from careedu.experiment.saved_folder import read_saved, write_saved
from careedu.files import STALE_SECONDS, write_tensors

HERE = Path(__file__).parent
OLD = HERE / "results_of_format_1"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def save(what: str, folder: Path) -> None:
    if what == "run.json":
        run_of("new").save(folder)
    else:
        write_results(folder, "new")


def grow_old(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - STALE_SECONDS - 60,) * 2, follow_symlinks=False)


# Nothing of others is lost

FOREIGN = {
    "another program's": '{"results": [1, 2, 3]}',
    "a list": "[1, 2]",
    "no JSON": "my notes",
    "empty": "",
    "no text": "\udcff\udcfe",
    "deep": "[" * 100_000,
    "a format of nothing else": '{"format": 1}',
    "a newer careedu's": '{"format": 99, "reference": "a"}',
}


@pytest.mark.parametrize("record", ["run.json", "results.json"])
@pytest.mark.parametrize("text", FOREIGN)
def test_a_record_of_others_keeps_the_folder_from_being_written(record, text, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / record).write_bytes(FOREIGN[text].encode(errors="surrogateescape"))
    (folder / "thesis.tex").write_text("years of work")
    before = content(tmp_path)
    with pytest.raises(InvalidInputError, match=rf"{record} stays.*choose another folder"):
        save(record, folder)
    assert content(tmp_path) == before


@pytest.mark.parametrize("record", ["run.json", "results.json"])
def test_what_lies_beside_what_is_saved_stays(record, tmp_path):
    folder = tmp_path / "saved"
    save(record, folder)
    mine = {"notes.md": b"why", "sub/weights.safetensors": b"mine", "arrays-mine.safetensors": b"mine"}
    for name, text in mine.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text)
    # A checkpoint of careedu's own that somebody lets lie here, and links to what lies elsewhere.
    write_tensors(folder / "checkpoint.safetensors", {"a": np.zeros(3)})
    (tmp_path / "elsewhere").write_text("mine")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "arrays-0123456789abcdef.safetensors").symlink_to(tmp_path / "elsewhere")
    grow_old(folder)
    there = {*mine, "checkpoint.safetensors", "link", "arrays-0123456789abcdef.safetensors"}
    before = {name: (folder / name).read_bytes() for name in there}
    tensors = {path.name for path in folder.glob("*-*.safetensors")} - there
    save(record, folder)
    assert {name: (folder / name).read_bytes() for name in there} == before
    assert not any((folder / name).exists() for name in tensors), "the older ones go"


def test_a_record_made_up_by_somebody_removes_nothing_of_others(tmp_path):
    run_of("old").save(tmp_path / "run")
    (tmp_path / "thesis.safetensors").write_text("mine")
    (tmp_path / "run" / "arrays.safetensors").write_text("mine")
    record = tmp_path / "run" / "run.json"
    text = json.loads(record.read_text())
    for name in ("../thesis.safetensors", str(tmp_path / "thesis.safetensors"), "arrays.safetensors", ".."):
        text["files"]["arrays"]["file"] = name
        record.write_text(json.dumps(text))
        run_of("new").save(tmp_path / "run")
        assert (tmp_path / "thesis.safetensors").read_text() == "mine"
        assert (tmp_path / "run" / "arrays.safetensors").read_text() == "mine"
        with pytest.raises(CheckpointError):
            record.write_text(json.dumps(text))
            Run.load(tmp_path / "run")


def test_an_empty_folder_and_a_link_to_a_folder_may_be_saved_to(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for which in ("old", "new"):
        run_of(which).save(tmp_path / "link")
        assert found_run(tmp_path / "empty") == which
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CareeduError, match="dangling"):
        run_of("new").save(tmp_path / "dangling")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "empty", "link"]


def test_what_other_records_name_stays(tmp_path):
    folder = tmp_path / "saved"
    write_results(folder, "old")
    shutil.copy2(folder / "results.json", folder / "kept.json")
    run_of("old").save(tmp_path / "run")
    shutil.copytree(tmp_path / "run", folder, dirs_exist_ok=True)
    grow_old(folder)
    write_results(folder, "new")
    assert found_results(folder) == "new"
    assert found_run(folder) == "old"
    (folder / "kept.json").replace(folder / "results.json")
    assert found_results(folder) == "old"


def test_a_checkpoint_called_as_files_of_ours_stays(tmp_path):
    folder = tmp_path / "saved"
    write_results(folder, "old")
    write_tensors(folder / "attention.safetensors", {"model/a": np.zeros(1)}, {"optimizers": []})
    write_results(folder, "new")
    assert (folder / "attention.safetensors").exists()


def test_a_whole_one_that_somebody_gave_a_hidden_name_stays(tmp_path):
    hidden = tmp_path / ".mine.0123456789abcdef"
    run_of("old").save(hidden)
    grow_old(tmp_path)
    run_of("new").save(tmp_path / "other")
    assert found_run(hidden) == "old"


def test_a_folder_that_somebody_made_in_between_is_looked_at(tmp_path, monkeypatch):
    write = saved_folder._write_into

    def slow(folder, *rest):
        write(folder, *rest)
        (tmp_path / "saved").mkdir(exist_ok=True)
        (tmp_path / "saved" / "run.json").write_text("mine")

    monkeypatch.setattr(saved_folder, "_write_into", slow)
    with pytest.raises(InvalidInputError, match=r"run\.json stays"):
        run_of("new").save(tmp_path / "saved")
    assert [path.read_text() for path in tmp_path.rglob("*.*")] == ["mine"]


# Something whole is always there


@pytest.mark.parametrize("fails", [False, True])
def test_a_record_that_cannot_be_read_for_a_moment_costs_nothing(fails, tmp_path, monkeypatch):
    folder = tmp_path / "saved"
    run_of("old").save(folder)
    named = iter([saved_folder._named(folder, SAVED_RUN)])
    with monkeypatch.context() as patch:  # as it is where too many files are open
        patch.setattr(saved_folder, "_named", lambda *_: next(named, None))
        if fails:
            patch.setattr(saved_folder, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(24, "too many")))
        with contextlib.suppress(CareeduError):
            run_of("new").save(folder)
    assert found_run(folder) == ("old" if fails else "new")


def test_what_a_kill_left_of_format_1_goes_later(tmp_path, monkeypatch):
    folder = tmp_path / "saved"
    write_format_1(run_of("old"), folder)
    with monkeypatch.context() as patch:
        patch.setattr(saved_folder, "_sweep", lambda *_: None)
        run_of("new").save(folder)
    grow_old(folder)
    run_of("new").save(folder)
    assert not (folder / "arrays.safetensors").exists()


@pytest.mark.slow
def test_ten_kills_leave_the_older_run_or_the_newer(tmp_path):
    """Many more, and of all that is written: `make test-kills`."""
    command = [sys.executable, "killed_writer.py", "run", str(tmp_path), "10"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10\n"


WRITER = """
import sys
from pathlib import Path
from killed_writer import write_results, write_run
write = {"run": write_run, "results": write_results}[sys.argv[1]]
for number in range(12):
    write(Path(sys.argv[2]), "old" if number % 2 else "new")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("what", "find"), [("run", found_run), ("results", found_results)])
def test_a_reader_beside_writers_always_finds_something_whole(what, find, tmp_path):
    folder = tmp_path / "saved"
    command = [sys.executable, "-c", WRITER, what, str(folder)]
    writers = [subprocess.Popen(command, cwd=HERE) for _ in range(2)]
    seen, reads = set(), 0
    while any(writer.poll() is None for writer in writers):
        if folder.exists():
            # Weights are opened late: it is said that they have gone, not guessed what they were.
            with contextlib.suppress(MissingWeightsError):
                seen.add(find(folder))
            reads += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == {"old", "new"} and reads > 2
    assert find(folder) in seen
    assert [path for path in tmp_path.iterdir() if path != folder] == []


def test_leftovers_of_the_killed_go_after_an_hour_and_younger_ones_stay(tmp_path):
    folder = tmp_path / "saved"
    run_of("old").save(folder)
    left = [
        folder / "arrays-0123456789abcdef.safetensors",
        folder / f".run.json.{'0' * 32}.partial",
        tmp_path / ".saved.0123456789abcdef" / "arrays-0123456789abcdef.safetensors",
        tmp_path / ".other.fedcba9876543210" / "run.json",
        tmp_path / ".saved.abcd_123" / f".arrays.safetensors.{'f' * 32}.partial",  # the first careedu's
    ]
    mine = [
        tmp_path / ".saved.abcd_124" / "notes",
        tmp_path / ".saved.fedcba9876543210" / "notes",
        tmp_path / ".saved.backup" / "run.json",
        tmp_path / ".git" / "config",
    ]
    for path in (*left, *mine):
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text("left")
    run_of("old").save(folder)
    assert all(path.exists() for path in (*left, *mine))
    grow_old(tmp_path)
    run_of("new").save(folder)
    assert not any(path.exists() for path in left)
    assert not any(path.parent.exists() for path in left[2:])
    assert all(path.exists() for path in mine)
    assert found_run(folder) == "new"


def test_weights_that_went_before_they_were_asked_for_are_said_to_be_missing(tmp_path):
    run_of("old").save(tmp_path / "run")
    opened = Run.load(tmp_path / "run")
    run_of("new").save(tmp_path / "run")
    for ask in (dict, len, lambda weights: weights["body.weight"]):
        with pytest.raises(MissingWeightsError, match=r"removed or replaced.*open what is saved there again"):
            ask(opened.weights)
    again = Run.load(tmp_path / "run")
    assert list(again.weights) == ["body.weight"]
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(MissingWeightsError):
        again.weights["body.weight"]


# What the first careedu saved


def test_a_run_of_format_1_opens_and_is_replaced_by_the_next(tmp_path):
    write_format_1(run_of("old"), tmp_path / "run")
    assert found_run(tmp_path / "run") == "old"
    run_of("new").save(tmp_path / "run")
    assert found_run(tmp_path / "run") == "new"
    assert len(list((tmp_path / "run").iterdir())) == 3


def test_results_of_format_1_open_untouched_and_are_replaced_by_the_next(tmp_path):
    shutil.copytree(OLD, tmp_path / "r")
    before = content(OLD)
    results = Results.load(tmp_path / "r")
    assert content(tmp_path / "r") == before == content(OLD)
    results.save(tmp_path / "r")
    assert len(list((tmp_path / "r").iterdir())) == 2
    assert Results.load(tmp_path / "r").table().equals(results.table())


def test_what_was_measured_on_older_results_goes_with_them(tmp_path):
    write_results(tmp_path / "r", "old")
    state = {"methods": ["a"], "classes": ["x", "y"], "groups": ["1"]}
    write_tensors(tmp_path / "r" / "attention.safetensors", {"labels": np.zeros(1)}, state)
    write_results(tmp_path / "r", "new")
    assert not (tmp_path / "r" / "attention.safetensors").exists()
    with pytest.raises(CheckpointError, match="do not say where their networks look"):
        AttentionResults.load(tmp_path / "r")


# Flipped bits


def flip(path: Path, bit: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)


@pytest.mark.parametrize("part", ["run.json", "arrays", "weights"])
def test_every_flipped_bit_is_noticed(part, tmp_path):
    folder = run_of("old").save(tmp_path / "run")
    path = next(path for path in folder.iterdir() if path.name.startswith(part))
    whole, chance = path.read_bytes(), random.Random(part)
    bits = {*range(0, 2400, 17), *chance.sample(range(8 * len(whole)), 100)}
    for bit in bits:
        flip(path, bit)
        with pytest.raises(CheckpointError, match=str(folder)):
            dict(Run.load(folder).weights)
        path.write_bytes(whole)
    assert found_run(folder) == "old"


def test_a_bit_flipped_in_weights_of_a_store_is_named_and_made_again(tmp_path):
    from killed_writer import kept_run

    from careedu.experiment.store import RunStore

    store, run = RunStore(tmp_path), kept_run("new")
    folder = store.keep(run)
    flip(next(folder.glob("weights-*")), 80_001)
    opened = store.find(run.configuration)  # nobody has asked for the weights
    with pytest.raises(CheckpointError, match=r"weights-.*damaged.*run again"):
        opened.weights["body.weight"]
    with pytest.warns(UserWarning, match="trained again"):
        assert store.find(run.configuration) is None
    store.keep(run)
    assert np.array_equal(store.find(run.configuration).weights["body.weight"], run.weights["body.weight"])


def test_files_of_another_save_do_not_pass(tmp_path):
    for which in ("old", "new"):
        run_of(which).save(tmp_path / which)
    there, here = (next((tmp_path / which).glob("arrays-*")) for which in ("old", "new"))
    here.write_bytes(there.read_bytes())
    with pytest.raises(CheckpointError, match="not what was written"):
        Run.load(tmp_path / "new")


def test_line_ends_of_other_systems_are_no_damage(tmp_path):
    record = run_of("old").save(tmp_path / "run") / "run.json"
    record.write_bytes(record.read_bytes().replace(b"\n", b"\r\n"))
    assert found_run(tmp_path / "run") == "old"


def test_what_could_not_be_opened_is_not_saved(tmp_path):
    wrong = run_of("old")
    wrong.probabilities = wrong.probabilities * 2
    runs = made_up_runs(seeds=1)
    runs["focal"][0].configuration["data"]["train counts"] = [1, 2]
    for what, told in ((wrong, "add up to 1"), (Results(runs), "counts are of other classes")):
        with pytest.raises(InvalidInputError, match=f"cannot be saved.*{told}"):
            what.save(tmp_path / "new")
    noted = run_of("old")
    noted.history["note"] = "fine"
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    some = made_up_runs(seeds=1)
    for what in (
        noted,
        Results({"a": {0: noted}}),
        Results({"a": {-1: run_of("old")}}),
        Results(some, provenance={"": deep}),
    ):
        with pytest.raises(InvalidInputError, match=r"cannot be saved.*must be|provenance must hold"):
            what.save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_folder_gives_back_what_it_was_given(tmp_path):
    run_of("old").save(tmp_path / "run")
    text, _, _ = read_saved(tmp_path / "run", SAVED_RUN)
    text = {key: text[key] for key in SAVED_RUN.keys}
    write_saved(tmp_path / "x", SAVED_RUN, text, {"arrays": {"a": np.arange(3)}, "weights-12": {"b": np.ones(2)}})
    read, arrays, weights = read_saved(tmp_path / "x", SAVED_RUN)
    assert {key: read[key] for key in text} == text
    assert arrays["a"].tolist() == [0, 1, 2]
    assert [name for name, held in weights.items() if list(held) == ["b"]] == ["weights-12"]
