"""An error in a widget, in the kernel's thread or in background work, fails the notebook test."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

WIDGET = """
from careedu.show.view import View
from careedu.show.widget import BackgroundTask, WidgetState, recorded_errors

class Fragile(WidgetState):
    def update(self):
        if self.settings["number"] == 13:
            raise RuntimeError("planted")

state = Fragile(number=1)
control = View(state).slider("number", "Number", max=100)
"""
LAST = "assert not recorded_errors(), recorded_errors()"
BACKGROUND = """
def work(task):
    state.set(number=13)

BackgroundTask(state, work).start().join()
"""
# As a browser would send it: the message arrives by itself, outside any cell, and no cell sees its exception.
FROM_BROWSER = """
message = {"content": {"data": {"method": "update", "state": {"value": 13}, "buffer_paths": []}}, "buffers": []}
try:
    control._handle_msg(message)
except RuntimeError:
    print("the kernel logs it and goes on")
"""


@pytest.mark.parametrize(
    ("cells", "passes"),
    [
        ([WIDGET, "control.value = 12", LAST], True),
        ([WIDGET, "control.value = 13"], False),
        ([WIDGET, FROM_BROWSER, LAST], False),
        ([WIDGET, BACKGROUND, LAST], False),
    ],
    ids=["no error", "callback in a cell", "callback from the browser", "background work"],
)
def test_planted_errors_fail_the_run(cells, passes, tmp_path):
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-kernel-name", "python3", "-q"]
    done = subprocess.run([*command, "planted.ipynb"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is passes, done.stdout[-2000:]
    assert ("planted" in done.stdout.replace("planted.ipynb", "")) is not passes
