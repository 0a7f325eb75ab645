"""Every way of saving, killed at each of its steps and at any moment: what is found is the older one or the newer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from killed_writer import SCENARIOS

WRITER = Path(__file__).parents[1] / "unit" / "killed_writer.py"
LEAST = 200


@pytest.fixture(scope="module")
def kills():
    """Number of kills of each scenario."""
    counted: dict[str, int] = {}
    yield counted
    if len(counted) == len(SCENARIOS):
        print(f"\n{sum(counted.values())} kills while saving: {counted}")
        assert sum(counted.values()) >= LEAST


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_found_after_a_kill_is_whole(scenario, tmp_path, kills):
    command = [sys.executable, str(WRITER), scenario, str(tmp_path), "1000", "15"]
    done = subprocess.run(command, cwd=WRITER.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    kills[scenario] = int(done.stdout)
