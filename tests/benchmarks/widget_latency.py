"""From key press to changed pixels: what the benchmarks of the widgets share. Not a benchmark itself."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
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


def tell(name: str, times: Sequence[float]) -> None:
    """Print one line: median and 95th percentile of the milliseconds."""
    median, high = np.percentile(times, [50, 95])
    print(f"{name}, key press to changed pixels, {len(times)} moves: ", end="")
    print(f"median {median:.0f} ms, 95th percentile {high:.0f} ms (bound: 75 ms)", flush=True)
