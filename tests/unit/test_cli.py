"""The command line does the main job, and says what is wrong when it cannot."""

from __future__ import annotations

import re

import pytest

import careedu
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
    folder = (
        tmp_path / "careedu-runs" / "phantom-skin-class-balanced-beta-0.9-largest-24-val-6-test-9-streaked-6-seed-3"
    )
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
    from PIL import Image

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
    assert names == {p.relative_to(shipped("notebooks")) for p in shipped("notebooks").rglob("*.ipynb")}
    start = tmp_path / "course" / "00_start_here.ipynb"
    start.write_text("mine")
    assert copy_notebooks(tmp_path / "course") == []
    assert start.read_text() == "mine"
