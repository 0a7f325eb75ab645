"""An audit as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import io
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from careedu.checks.audit import Audit
from careedu.errors import InvalidInputError
from careedu.files import write_bytes

_SIDE = 128
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def write_page(audit: Audit, path: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    audit : Audit
    path : Path
        Of the file, which must end in ``.html`` or ``.htm`` and is replaced where it exists.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        If it has another ending.
    StorageError
        If it cannot be written.
    """
    path = path.expanduser()
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidInputError(f"a report is an HTML page; name it {path.with_name(path.name + '.html').name!r}")
    write_bytes(path, page(audit))
    return path


def page(audit: Audit) -> bytes:
    """The page itself, UTF-8.

    Parameters
    ----------
    audit : Audit

    Returns
    -------
    bytes
    """
    shown = {name for finding in audit.findings for row in finding.images for name in row}
    pictures, about = {}, {}
    for split, part in audit.splits.parts().items():
        for i, name in enumerate(part.ids.tolist()):
            if name in shown:
                pictures[name] = _picture(part.images[i].numpy())
                about[name] = f"{name}, {part.classes[int(part.labels[i])]}, {split}"
    template = _TEMPLATES.get_template("audit.html")
    text = template.render(audit=audit, pictures=pictures, about=about, version=version("careedu"))
    return text.encode("utf-8", errors="replace")


def _picture(pixels: object) -> str:
    """The address of a PNG that the page holds in itself; `pixels` are uint8 (C, H, W)."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = io.BytesIO()
    image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
