"""From key press to changed pixels in the imbalance explorer, 50 moves in a real JupyterLab in Chromium.

python tests/benchmarks/bench_imbalance_explorer.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from lab import CHROMIUM_ARGUMENTS, Lab, find_chromium
from notebook_page import NotebookPage

# Without it JupyterLab would ask which kernel to take.
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
CELL = """
import careedu
from careedu.show.imbalance_explorer import ImbalanceExplorer
from careedu.show.imbalance_view import ImbalanceView

data = careedu.load("phantom-skin", imbalance=10)
run = careedu.fit(data, "cross-entropy", epochs=4, progress=False)
explorer = ImbalanceExplorer(run, careedu.load("phantom-skin"))
ImbalanceView(explorer)
"""


def main() -> None:
    """Print median and 95th percentile of the milliseconds."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is needed: install it, for example with apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        notebook = Path(folder) / "explorer.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(CELL)], metadata=KERNEL), notebook)
        lab = Lab(Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
            page = NotebookPage(lab, browser, notebook, Path(folder)).run_all()
            keys = (["ArrowRight"] * 5 + ["ArrowLeft"] * 5) * 5
            times = page.latency(page.control("Imbalance ratio"), keys, 'svg[aria-label^="Method A"]')
            page.assert_no_errors()
            page.close()
            browser.close()
        finally:
            lab.stop()
    median, high = np.percentile(times, [50, 95])
    print(f"imbalance explorer, key press to changed pixels, {len(times)} moves: ", end="")
    print(f"median {median:.0f} ms, 95th percentile {high:.0f} ms (bound: 100 ms)")


if __name__ == "__main__":
    main()
