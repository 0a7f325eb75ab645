"""How figures look: colours that colour-blind eyes and greyscale printers can tell apart, and quiet axes.

And what a figure becomes: a picture that a notebook shows sharp, with alternative text for those who cannot see it.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of Okabe and Ito (2008), in an order in which neighbours differ by at least 8 in lightness (CIE L*, 0 to
# 100) for greyscale, and the first four stand out from white by 3:1 or more.
COLOURS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
# A second sign beside the colour: no figure relies on colour alone.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LESION, MARK = "#E69F00", "#56B4E9"
INK, QUIET, FAINT = "#222222", "#666666", "#DDDDDD"
PIXEL_RATIO = 2
"""Image pixels per pixel of the page, for sharp text on dense screens."""

_STYLE = Path(__file__).with_suffix(".mplstyle")


def if_rare(name: str, rare: Collection[str]) -> str:
    """The name of a class, which says so where it is rare."""
    return f"{name} (rare)" if name in rare else name


def of_measured(metric: str, results: Any) -> str:
    """The name of a metric, which says of how many classes it is the mean where some have no test images."""
    measured, n = len(np.unique(results.labels)), len(results.classes)
    means = ("balanced accuracy", "macro F1", "AUROC")
    return f"{metric} (of {measured} of {n} classes)" if metric in means and measured < n else metric


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, sizes in inches of 100 page pixels. It belongs to no global state and no window."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(matplotlib.rc_params_from_file(_STYLE, use_default_template=False)):
        yield Figure(figsize=(width, height))


@cache
def cividis() -> np.ndarray:
    """The colours of maps, uint8 (256, 3), dark to light alike for all eyes."""
    from matplotlib import colormaps

    # Kept, as matplotlib computes them anew at each call.
    return (colormaps["cividis"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Picture:
    """A PNG with alternative text.

    Parameters
    ----------
    png : bytes
    alt : str
        What the picture shows, in words. Required: a figure that cannot be read aloud is not finished.
    width : int
        Width on the page, in pixels.
    """

    png: bytes
    alt: str
    width: int

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise InvalidInputError("a picture needs alternative text: say in words what it shows (alt=...)")

    @classmethod
    def of_figure(cls, figure: Figure, alt: str) -> Picture:
        """Draw a matplotlib figure, and let go of it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100 * PIXEL_RATIO)
        return cls(buffer.getvalue(), alt, round(figure.get_figwidth() * 100))

    @property
    def source(self) -> str:
        """The PNG as an address that a page can hold in itself."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    def _repr_html_(self) -> str:
        # White behind the picture and a little room around it, so that it reads in a dark theme as well.
        style = f"width:{self.width}px;max-width:100%;background:#fff;border-radius:6px"
        return f'<img alt="{html.escape(self.alt, quote=True)}" style="{style}" src="{self.source}">'

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def save(self, path: str | Path) -> Path:
        """Write the PNG, at once or not at all; a disk that does not take it is a `StorageError`."""
        write_bytes(Path(path), self.png)
        return Path(path)
