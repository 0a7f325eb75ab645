"""Making the saved runs from the command line: what can be mended is said, and what else there is gets made."""

import pytest

from careedu.course import runs
from careedu.errors import MissingDataError


@pytest.fixture
def made(monkeypatch):
    """Names of the experiments that were asked for; those on brain images find no data, and one is interrupted."""
    names = []

    def make_runs(experiment, store, target, n_jobs):
        names.append(experiment.name)
        if "brain" in experiment.name:
            raise MissingDataError("no images here")
        if "smoke" in experiment.name:
            raise KeyboardInterrupt
        folder = target / experiment.name
        folder.mkdir()
        (folder / "results.json").write_bytes(b" " * 100_000)
        return folder

    monkeypatch.setattr(runs, "make_runs", make_runs)
    return names


def test_what_lacks_its_images_is_named_and_the_others_are_made(made, tmp_path, capsys):
    assert runs.main(["01", "--target", str(tmp_path)]) == 1
    assert made == ["01-phantom-skin", "01-brain-tumor"]
    out, err = capsys.readouterr()
    assert "01-phantom-skin: 0 s, 0.1 MB" in out
    assert err == "01-brain-tumor: no images here\n"


def test_one_experiment_can_be_made_by_its_name(made, tmp_path):
    assert runs.main(["02-sweep", "--target", str(tmp_path)]) == 0
    assert made == ["02-sweep"]


def test_an_interruption_says_how_to_go_on(made, tmp_path, capsys):
    assert runs.main(["03-smoke-vgg16", "--target", str(tmp_path)]) == 130
    assert "goes on" in capsys.readouterr().err


def test_an_unknown_notebook_is_told_those_there_are(capsys):
    assert runs.main(["77"]) == 1
    assert "77" in capsys.readouterr().err
