"""From key press to changed pixels: what the benchmarks of the widgets share. Not a benchmark itself."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
from figures import tell
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from lab import CHROMIUM_ARGUMENTS, KERNEL, Lab, find_chromium
from notebook_page import NotebookPage


@contextmanager
def opened(cell: str) -> Iterator[NotebookPage]:
    """A notebook of one cell, run in a real JupyterLab in Chromium; afterwards it must have shown no error."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is needed: install it, for example with apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        notebook = Path(folder) / "widget.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(cell)], metadata=KERNEL), notebook)
        lab = Lab(Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
            page = NotebookPage(lab, browser, notebook, Path(folder)).run_all()
            yield page
            page.assert_no_errors()
            page.close()
            browser.close()
        finally:
            lab.stop()


def tell_slowest(widget: str, moves: Mapping[str, Sequence[float]]) -> None:
    """Print median and 95th percentile of each control's milliseconds, and put the slowest into the table."""
    highest = {}
    for control, times in moves.items():
        median, highest[control] = np.percentile(times, [50, 95])
        print(
            f"{widget}, {control}: {len(times)} moves, median {median:.0f} ms, 95th percentile {highest[control]:.0f}"
        )
    slowest = max(highest, key=highest.get)
    tell(f"{widget}, key press to changed pixels, 95th percentile ({slowest})", highest[slowest] / 1000, "ms", most=75)
