"""A real process, killed with SIGKILL at moments that nobody chose, ends with the bits of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import careedu

SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
from made_up import made_up_splits
import careedu
data = made_up_splits(train=120)
run = careedu.fit(data, "classifier-retraining", epochs=24, progress=False, checkpoint=sys.argv[1])
run.save(sys.argv[2])
"""


def start(checkpoint: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(checkpoint), str(out)]
    return subprocess.Popen(command, cwd=Path(__file__).parent, env=None)


@pytest.mark.slow
def test_sigkill_at_any_moment_changes_no_bit(tmp_path):
    whole = start(tmp_path / "whole.checkpoint", tmp_path / "whole")
    assert whole.wait() == 0

    checkpoint, out = tmp_path / "killed.checkpoint", tmp_path / "killed"
    drawn = random.Random(0)
    kills = 0
    while kills < 3:
        process = start(checkpoint, out)
        started = time.monotonic()
        while not checkpoint.exists() and process.poll() is None and kills > 0:
            time.sleep(0.005)
        # The first kill may fall into the imports; the later ones fall into training and writing.
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None and time.monotonic() - started < 60:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                break
            time.sleep(0.002)
        time.sleep(drawn.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break  # it was done before the signal came
        kills += 1
        assert not out.exists(), "a killed training must not leave a run"
    assert kills == 3, "the training was over too soon for this test to mean anything"
    assert start(checkpoint, out).wait() == 0

    first, second = careedu.Run.load(tmp_path / "whole"), careedu.Run.load(out)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.history.equals(second.history)
    for name, tensor in first.weights.items():
        np.testing.assert_array_equal(tensor, second.weights[name])
    for name, trace in first.traces.items():
        np.testing.assert_array_equal(trace, second.traces[name])
