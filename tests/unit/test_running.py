"""Running the tests on all cores: nothing is skipped where all is required, and what needs quiet has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
UNIT = """
import os, pytest

@pytest.mark.alone
def test_timed():
    assert "PYTEST_XDIST_WORKER" not in os.environ

def test_images(real_data):
    pass

@pytest.mark.parametrize("n", range(2))
def test_one_thread(n):
    assert os.environ["OMP_NUM_THREADS"] == "1" and "PYTEST_XDIST_WORKER" in os.environ
"""


def run(folder, *options, **environment):
    """The last line of a pytest of its own and all that it printed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CAREEDU", "OMP"))}
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # most of them take seconds to load
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *options]
    done = subprocess.run(command, cwd=folder, env=own | environment, capture_output=True, text=True, timeout=100)
    return done.stdout.strip().splitlines()[-1], done.stdout


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    for name, content in {"unit": UNIT, "real": "def test_real():\n    pass\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(content)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    return tmp_path


def test_workers_skip_aloud_and_fail_where_all_is_required(folder):
    assert "3 passed, 1 skipped" in run(folder, "-m", "not alone", "--numprocesses", "auto")[0]
    last, printed = run(folder, "-m", "not alone", "--numprocesses", "2", CAREEDU_REQUIRE_ALL="1")
    assert "3 passed, 1 error" in last
    assert "CAREEDU_REQUIRE_ALL=1 says that it must be here" in printed


def test_what_is_timed_runs_alone(folder):
    assert "1 passed, 4 deselected" in run(folder, "-m", "alone")[0]
