"""A picture that a notebook shows sharp, with alternative text for those who cannot see it."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from careedu.errors import InvalidInputError
from careedu.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXEL_RATIO = 2
"""Image pixels per pixel of the page, for sharp text on dense screens."""


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
