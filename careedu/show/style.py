"""How figures look: colours that colour-blind eyes and greyscale printers can tell apart, and quiet axes."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of Okabe and Ito (2008), in an order in which neighbours differ by at least 8 in lightness (CIE L*, 0 to
# 100) for greyscale, and the first four stand out from white by 3:1 or more.
COLOURS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
# A second sign beside the colour: no figure relies on colour alone.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LESION, MARK = "#E69F00", "#56B4E9"
INK, QUIET, FAINT = "#222222", "#666666", "#DDDDDD"

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "text.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar in the name of a class is a dollar
}


def if_rare(name: str, rare: Collection[str]) -> str:
    """The name of a class, which says so where it is rare."""
    return f"{name} (rare)" if name in rare else name


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, sizes in inches of 100 page pixels. It belongs to no global state and no window."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        yield Figure(figsize=(width, height))


@cache
def cividis() -> np.ndarray:
    """The colours of maps, uint8 (256, 3), dark to light alike for all eyes."""
    from matplotlib import colormaps

    # Kept, as matplotlib computes them anew at each call.
    return (colormaps["cividis"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
