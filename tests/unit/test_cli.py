"""The command line does the main job, and says what is wrong when it cannot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import made_up_run
from PIL import Image

import careedu
from careedu.course import commands
from careedu.course.cli import main
from careedu.course.launch import copy_notebooks
from careedu.data.load import available
from careedu.data.shipped import shipped
from careedu.methods.registry import METHODS
from careedu.nn.backbones import MODELS

SMALL = [
    "--option",
    "largest=24",
    "--option",
    "val=6",
    "--option",
    "test=9",
    "--size",
    "32",
    "--epochs",
    "2",
    "--quiet",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))


def test_fit_prints_a_table_and_saves_run_and_figure(tmp_path, capsys):
    command = ["fit", "phantom-skin", "--method", "class-balanced", "--seed", "3", *SMALL]
    assert main([*command, "--method-option", "beta=0.9", "--thin", "streaked=6"]) == 0
    printed = capsys.readouterr().out
    name = "phantom-skin-class-balanced-beta-0.9-size-32-epochs-2-largest-24-val-6-test-9-streaked-6-seed-3"
    (folder,) = (tmp_path / "careedu-runs").glob(f"{name}-??????")
    run = careedu.Run.load(folder)
    assert (folder / "recall.png").read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in folder.parent.iterdir()} == {folder.name}, "the checkpoint goes when the run is saved"
    for name, row in run.table().iterrows():
        line = next(line for line in printed.splitlines() if line.startswith(name))
        wanted = [str(int(row["n train"])), str(int(row["n test"])), f"{row['recall']:.2f}", f"[{row['low']:.2f},"]
        assert line.split()[-5:-1] == wanted or line.replace(name, "").split()[:4] == wanted
    assert str(run.interval("balanced accuracy")) in printed
    assert re.search(r"\d+\.\d seconds", printed)
    assert run.table()["n train"].tolist()[-1] == 6
    assert run.configuration["method"]["options"]["beta"] == 0.9 and run.configuration["seed"] == 3


def test_fit_reads_a_folder_of_ones_own(tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = ["image,label,split"]
    for i in range(60):
        name, label = f"{i}.png", ("healthy", "ill")[i % 2]
        Image.new("L", (32, 32), 40 + 150 * (i % 2) + i % 7).save(folder / name)
        rows.append(f"{name},{label},{('train', 'train', 'train', 'val', 'test')[i // 2 % 5]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    assert main(["fit", str(folder), "--epochs", "2", "--quiet", "--out", "out"]) == 0
    assert "healthy" in capsys.readouterr().out
    assert careedu.Run.load("out").classes == ("healthy", "ill")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "phantom-skim"], "phantom-skin"),
        (["fit", "phantom-skin", "--method", "class-balance"], "class-balanced"),
        (["fit", "phantom-skin", "--method-option", "beta"], "NAME=VALUE"),
        (["fit", "phantom-skin", "--method", "focal", "--method-option", "gama=1"], "gamma"),
        (["fit", "phantom-skin", "--thin", "streakd=5"], "streaked"),
        (["fit", "phantom-skin", "--thin", "streaked=5", "--thin", "streaked=6"], "twice"),
        (["fit", "phantom-skin", "--option", "distractor=1"], "distractors"),
        (["fit", "phantom-skin", "--imbalance", "0.5"], "imbalance"),
        (["fit", "phantom-skin", "--seed", "-1"], "seed"),
        (["fit", "phantom-skin", "--epochs", "0", "--option", "largest=20"], "epochs"),
    ],
)
def test_mistakes_are_named_on_standard_error_and_nothing_is_written(arguments, words, tmp_path, capsys):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("careedu: ") and words in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "careedu-runs").exists()


def test_list_has_one_line_for_everything_that_can_be_named(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in [*available(), *METHODS, *MODELS]:
        described = [line for line in lines if line.split()[:1] == [name]]
        assert len(described) == 1 and len(described[0].split()) > 3
    assert max(map(len, lines)) <= 130


def test_lab_copies_notebooks_and_keeps_what_was_changed(tmp_path):
    copied = copy_notebooks(tmp_path / "course")
    names = {p.relative_to(tmp_path / "course") for p in copied}
    source = shipped("notebooks")
    assert names == {p.relative_to(source) for p in source.rglob("*.ipynb")}
    assert (tmp_path / "course" / "GLOSSARY.md").read_bytes() == (source / "GLOSSARY.md").read_bytes()
    start = tmp_path / "course" / "00_start_here.ipynb"
    start.write_text("mine")
    assert copy_notebooks(tmp_path / "course") == []
    assert start.read_text() == "mine"


def a_folder(place, columns="image,label,split", n=60, size=(32, 32), cells=lambda i: ()):
    """Images of two classes, one darker, with a table."""
    place.mkdir(parents=True)
    rows = [columns]
    for i in range(n):
        name, label = f"{i}.png", ("healthy", "ill")[i % 2]
        pixels = np.random.default_rng(i).integers(0, 60, size[::-1], dtype=np.uint8) + np.uint8(60 * (i % 2))
        Image.fromarray(pixels).save(place / name)
        rows.append(",".join([name, label, ("train", "train", "train", "val", "test")[i // 2 % 5], *cells(i)]))
    (place / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(place)


QUICK = ["--epochs", "1", "--quiet"]


def test_no_run_is_ever_overwritten(tmp_path, capsys):
    data = a_folder(tmp_path / "mine")
    other = a_folder(tmp_path / "there" / "mine")
    commands = [[data], [data, "--size", "16"], [data, "--epochs", "2"], [data, "--seed", "1"], [other]]
    commands += [[data, "--rare", "healthy"], [data, "--split-seed", "4"], [data, "--method", "focal"]]
    for command in commands:
        assert main(["fit", *QUICK, *command]) == 0
    saved = sorted((tmp_path / "careedu-runs").iterdir())
    assert len(saved) == len(commands)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "careedu-runs").rglob("*")}
    assert main(["fit", *QUICK, data]) == 1
    assert "no run is overwritten" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "careedu-runs").rglob("*")} == before


def test_names_beyond_ascii_have_folders_of_their_own(tmp_path):
    for name in ("日本", "中国"):
        assert main(["fit", a_folder(tmp_path / name), *QUICK]) == 0
    assert len(list((tmp_path / "careedu-runs").iterdir())) == 2


def test_what_cannot_be_written_is_said_before_the_training(tmp_path, capsys, monkeypatch):
    data = a_folder(tmp_path / "mine")
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(careedu, "fit", lambda *a, **k: pytest.fail("trained"))
    assert main(["fit", data, *QUICK, "--out", "taken/run"]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["true", "1.50", "01", "null"])
def test_rows_are_chosen_by_what_stands_in_the_table(value, tmp_path):
    data = a_folder(tmp_path / "mine", "image,label,split,field", n=120, cells=lambda i: [value if i < 60 else "other"])
    assert main(["fit", data, *QUICK, "--option", f"field={value}", "--out", "run"]) == 0
    assert careedu.Run.load("run").configuration["data"]["train counts"] == [18, 18]


def test_an_option_with_a_flag_of_its_own_is_refused(tmp_path, capsys):
    assert main(["fit", a_folder(tmp_path / "mine"), "--option", "size=32"]) == 1
    assert "--size" in capsys.readouterr().err


def test_a_terminal_without_unicode_has_its_table(tmp_path):
    data = a_folder(tmp_path / "mine")
    table = Path(data) / "labels.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("healthy", "gesünd"), encoding="utf-8")
    command = [sys.executable, "-c", "import sys; from careedu.course.cli import main; sys.exit(main())"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command, "fit", data, *QUICK], capture_output=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0 and b"balanced accuracy" in done.stdout and b"Traceback" not in done.stderr


def test_a_class_without_test_images_is_told_in_words(tmp_path, capsys):
    data = a_folder(tmp_path / "mine")
    table = Path(data) / "labels.csv"
    lines = [line for line in table.read_text().splitlines() if not line.endswith("ill,test")]
    table.write_text("\n".join(lines))
    assert main(["fit", data, *QUICK, "--out", "run"]) == 0
    printed = capsys.readouterr()
    assert "no test images" in printed.out and "of 1 of 2 classes: ill cannot be measured" in printed.out
    assert "nan" not in printed.out.lower()
    assert "careedu: note: no test image of ill" in printed.err and ".py" not in printed.err


def test_tables_of_five_classes_fit_a_terminal(capsys):
    names = ["melanocytic nevus", "basal cell carcinoma", "benign keratosis-like lesion", "dermatofibroma", "melanoma"]

    def run_of(seed, skill=1.0):
        labels = np.arange(50) % 5
        scores = np.random.default_rng([seed, round(10 * skill)]).random((50, 5)) + skill * np.eye(5)[labels]
        facts = {"probabilities": scores / scores.sum(axis=1, keepdims=True), "labels": labels, "probes": np.arange(2)}
        ids = np.arange(50).astype(str)
        told = {"classes": names, "rare": names[3:], "train counts": [100, 50, 40, 9, 7]}
        return replace(made_up_run(seed=seed, **told), **facts, ids=ids, groups=ids)

    commands._tell(run_of(0))
    methods = {"cross-entropy": {}, "class-balanced (weighting=inverse)": {}, "lesion-transplant (target=0.5)": {}}
    for k, by_seed in enumerate(methods.values()):
        by_seed |= {seed: run_of(seed, k / 2) for seed in range(2)}
    commands._tell_comparison(careedu.Comparison(methods))
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("Intervals: ")]
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    for word in (*names, *methods, "n train", "95 % interval", "rare recall, against cross-entropy"):
        assert any(word in line for line in lines), word


def test_from_a_folder_to_a_report_in_three_commands(tmp_path, capsys):
    data = a_folder(tmp_path / "mine", n=300)
    assert main(["check", data, "--report", "check.html", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "class by mean intensity" in printed and "! class by mean intensity" in printed
    assert "<h1>mine" in Path("check.html").read_text(encoding="utf-8")
    command = ["compare", data, "--methods", "cross-entropy", "logit-adjusted", "--seeds", "2", *QUICK]
    assert main([*command, "--report", "result.html"]) == 0
    printed = capsys.readouterr().out
    assert "rare recall, against cross-entropy" in printed and Path("result.html").stat().st_size > 10_000
    (saved,) = (path for path in Path("careedu-runs").iterdir() if path.name != "store")
    assert main(["show", str(saved)]) == 0
    assert "balanced accuracy, against cross-entropy" in capsys.readouterr().out
    assert main([*command, "--report", "again.html"]) == 0, "it goes on, and finds everything made"


def test_the_cache_is_told_and_cleared(tmp_path, capsys):
    careedu.load(a_folder(tmp_path / "mine"), size=16)
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith("1 decoded sets, 0.")
    assert main(["cache", "--clear"]) == 0 and main(["cache"]) == 0
    assert "0 decoded sets" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "begun", "kept"),
    [
        (
            ["fit", "--epochs", "900"],
            "careedu-runs/*.checkpoint",
            "to the last whole epoch, and the same command goes on",
        ),
        pytest.param(
            ["compare", "--methods", "focal", "ohem", "--seeds", "2", "--jobs", "2", "--epochs", "900"],
            "careedu-runs/store/unfinished/*.safetensors",
            "are kept in careedu-runs/store, and the same command goes on from there",
            marks=pytest.mark.slow,
        ),
        (["check"], "cache/decoded", "only decoded images are kept, and the same command begins again"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_control_c_says_in_one_line_what_is_kept(arguments, begun, kept, tmp_path):
    command, *options = arguments
    data = a_folder(tmp_path / "mine", n=60 if options else 1500)
    called = [sys.executable, "-m", "careedu", command, data, *options, "--quiet"]
    process = subprocess.Popen(called, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 300
    while not list(tmp_path.glob(begun)) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to its workers too
    said = process.communicate(timeout=60)[1]
    told = [line for line in said.splitlines() if line and not line.startswith("careedu: note: ")]
    assert process.returncode == 130 and len(told) == 1, said
    assert told[0].startswith("careedu: interrupted; ") and kept in told[0]
    assert list(tmp_path.glob(begun)), "what is said to be kept is there"
