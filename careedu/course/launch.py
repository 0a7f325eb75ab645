"""Open the course in JupyterLab, from a copy that belongs to the user."""

import os
import subprocess
import sys
from pathlib import Path

from careedu.data.shipped import shipped
from careedu.files import write_bytes

PROMPT = "--ServerApp.kernel_websocket_connection_class=careedu.course.connection.PromptConnection"
"""Widgets answer some 30 ms sooner with it: what it does stands at the class."""


def copy_notebooks(folder: Path) -> list[Path]:
    """Copy the notebooks, with the pictures and pages that they link to, into a folder; what is there stays as it is.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Returns
    -------
    list of Path
        The notebooks that were copied.
    """
    source, copied = shipped("notebooks"), []
    for file in sorted(path for path in source.rglob("*") if path.suffix in (".ipynb", ".md", ".svg", ".png")):
        target = folder / file.relative_to(source)
        if ".ipynb_checkpoints" not in file.parts and not target.exists():
            write_bytes(target, file.read_bytes())
            copied.append(target)
    return [path for path in copied if path.suffix == ".ipynb"]


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
