"""Open the course in JupyterLab, from a copy that belongs to the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from careedu.data.shipped import shipped
from careedu.files import write_bytes

PROMPT = "--ServerApp.kernel_websocket_connection_class=careedu.course.connection.PromptConnection"
"""Widgets answer some 30 ms sooner with it: what it does stands at the class."""


def copy_notebooks(folder: Path) -> list[Path]:
    """Copy the notebooks that are not there yet into a folder; what the user has changed stays.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Returns
    -------
    list of Path
        The notebooks that were copied.
    """
    source = shipped("notebooks")
    copied = []
    for notebook in sorted(source.rglob("*.ipynb")):
        target = folder / notebook.relative_to(source)
        if ".ipynb_checkpoints" not in notebook.parts and not target.exists():
            write_bytes(target, notebook.read_bytes())
            copied.append(target)
    return copied


def launch(folder: Path) -> int:
    """Open JupyterLab on a copy of the notebooks.

    Parameters
    ----------
    folder : Path
        Where the copy lies.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    copied = copy_notebooks(folder)
    print(f"{len(copied)} notebooks copied to {folder}; those that were there stay as they are")
    # JupyterLab refuses to run as root unless told so, as in a container.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    start = folder / "00_start_here.ipynb"
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(start), PROMPT, *root], check=False).returncode
