"""Seconds and peak memory of each notebook, run from top to bottom in a kernel of its own, nothing in a cache.

    python tests/benchmarks/bench_notebooks.py [part of a name ...]

The solved ones, which compute more than the exercises do. Bounds: 60 s and 1.5 GB.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import psutil
from figures import tell
from nbclient import NotebookClient

CLONE = Path(__file__).resolve().parents[2]
NOTEBOOKS = [CLONE / "notebooks/00_start_here.ipynb", *sorted((CLONE / "notebooks/solutions").glob("0*.ipynb"))]


def run(notebook: Path) -> tuple[float, float]:
    """Seconds from the start of the kernel to the end of the last cell, and the most bytes that it and its own held."""
    client = NotebookClient(nbformat.read(notebook, 4), resources={"metadata": {"path": str(notebook.parent)}})
    most, ended = 0.0, threading.Event()
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.1):
            held = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    held += child.memory_info().rss * (child.pid not in before)
                except psutil.NoSuchProcess:  # it has ended since it was listed
                    continue
            most = max(most, held)

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.perf_counter()
    try:
        client.execute()
    finally:
        ended.set()
        watching.join()
    return time.perf_counter() - start, most


def main() -> None:
    """Print both of each, and the seconds of all."""
    asked = [notebook for notebook in NOTEBOOKS if any(name in notebook.stem for name in sys.argv[1:])]
    total = 0.0
    for notebook in asked or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["CAREEDU_CACHE"] = cache
            seconds, memory = run(notebook)
        total += seconds
        tell(f"notebook {notebook.stem}", seconds, "s", most=60)
        tell(f"notebook {notebook.stem}, peak memory", memory, "GB", most=1.5)
    if not asked:
        tell("all notebooks, solved", total, "s", most=360)


if __name__ == "__main__":
    main()
