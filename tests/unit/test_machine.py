"""The check of the machine in notebook 00 says what is there."""

import os
import platform
from importlib.metadata import version

import torch

from careedu.course.machine import check_machine, machine
from careedu.data.shipped import shipped


def test_it_says_what_is_there():
    said = machine()
    assert said["Python"] == platform.python_version()
    assert said["torch"] == version("torch") and said["careedu"] == version("careedu")
    assert f"{os.cpu_count()} cores" in said["processor"] and str(torch.get_num_threads()) in said["processor"]
    assert said["saved runs"] == f"{len(list(shipped('runs').glob('*/results.json')))} comparisons"
    assert ("none" in said["GPU"]) != torch.cuda.is_available()


def test_real_images_are_found_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_DATA", str(tmp_path))
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))
    assert machine()["real images"].startswith("none")
    (tmp_path / "brain_tumor_mri").mkdir()
    assert machine()["real images"] == "brain-tumor"


def test_the_table_names_all_and_the_pulse_waits_for_a_browser():
    table, pulse = check_machine().children
    assert all(what in table.value for what in machine())
    assert not pulse.alive
