"""An audit as one HTML page that needs nothing beside itself."""

import base64
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from careedu.checks.finding import Finding
from careedu.data.dataset import Splits
from careedu.errors import InvalidInputError
from careedu.files import write_bytes

_SIDE = 128
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def write_page(splits: Splits, findings: Sequence[Finding], path: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    splits : Splits
    findings : sequence of Finding
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
    write_bytes(path, page(splits, findings))
    return path


def page(splits: Splits, findings: Sequence[Finding]) -> bytes:
    """The page itself, UTF-8.

    Parameters
    ----------
    splits : Splits
    findings : sequence of Finding

    Returns
    -------
    bytes
    """
    shown = {name for finding in findings for row in finding.images for name in row}
    pictures, about = {}, {}
    for split, part in splits.parts().items():
        for i, name in enumerate(part.ids.tolist()):
            if name in shown:
                pictures[name] = _picture(part.images[i].numpy())
                about[name] = f"{name}, {part.classes[int(part.labels[i])]}, {split}"
    look = sum(finding.attention for finding in findings)
    template = _TEMPLATES.get_template("audit.html")
    text = template.render(
        name=splits.name, findings=findings, look=look, pictures=pictures, about=about, version=version("careedu")
    )
    return text.encode("utf-8", errors="replace")


def _picture(pixels: object) -> str:
    """The address of a PNG that the page holds in itself; `pixels` are uint8 (C, H, W)."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = io.BytesIO()
    image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
