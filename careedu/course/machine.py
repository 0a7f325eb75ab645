"""What of this machine the course needs: versions, processor, data, and whether widgets answer in the browser."""

from __future__ import annotations

import os
import platform
from html import escape
from importlib.metadata import version
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from careedu.data.cache import cache_folder
from careedu.data.shipped import shipped
from careedu.data.sources import SOURCES

PACKAGES = ("careedu", "torch", "torchvision", "jupyterlab", "ipywidgets")


def machine() -> dict[str, str]:
    """What this machine has, in words: versions, processor, real images and saved runs that were found.

    Returns
    -------
    dict of str to str
    """
    import torch

    cores, threads = os.cpu_count(), torch.get_num_threads()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, and none is needed"
    places = [Path(place).expanduser() for place in (os.environ.get("CAREEDU_DATA"), cache_folder()) if place]
    found = [name for name, source in SOURCES.items() if any((place / source.folder).is_dir() for place in places)]
    return {
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "processor": f"{cores} cores, of which torch uses {threads}",
        "GPU": gpu,
        "saved runs": f"{sum(1 for _ in shipped('runs').glob('*/results.json'))} comparisons",
        "real images": ", ".join(found) or "none, and none are needed: the course draws its own",
    }


class Pulse(anywidget.AnyWidget):
    """A line that the browser writes, and tells the kernel that it has.

    Attributes
    ----------
    alive : bool
        Whether a browser has answered.
    """

    _esm = """
    export default {
      render({ model, el }) {
        el.textContent = "✓ Widgets answer in this browser.";
        model.set("alive", true);
        model.save_changes();
      },
    };
    """
    alive = traitlets.Bool(False).tag(sync=True)


def check_machine() -> ipywidgets.VBox:
    """Show what this machine has, and a line that appears where widgets work.

    Returns
    -------
    VBox
        Its last child is the `Pulse`.
    """
    rows = "".join(f"<tr><th scope=row style='text-align:left'>{k}<td>{escape(v)}" for k, v in machine().items())
    return ipywidgets.VBox([ipywidgets.HTML(f"<table>{rows}</table>"), Pulse()])
