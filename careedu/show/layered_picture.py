"""Pictures in layers (image, map, outline), and the controls that change their looks without asking the kernel.

Opacity, wipe and outline are controls of the page: the script and the style sheet beside this file answer them.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from careedu.show.style import LESION, MARK, cividis


class LayeredPicture(anywidget.AnyWidget):
    """Pictures side by side, each of layers on top of one another.

    Whatever it holds, it gives the sliders of the widget around it the names that a screen reader looks for.

    Attributes
    ----------
    value : list of dict
        The pictures, as `panel` makes them.
    size : list of int
        Width and height of each, in pixels of the page.
    outlined : str
        What the outline is drawn around, which may become something else; without it there are no controls of the
        looks.
    """

    _esm, _css = Path(__file__).with_suffix(".js"), Path(__file__).with_suffix(".css")
    value = traitlets.List(traitlets.Dict()).tag(sync=True)
    size = traitlets.List(traitlets.Int(), [256, 256]).tag(sync=True)
    outlined = traitlets.Unicode().tag(sync=True)


def panel(
    name: str, title: str, alt: str, layers: Sequence[dict[str, str]], caption: str = "", notes: str = ""
) -> dict[str, Any]:
    """One of the pictures.

    Parameters
    ----------
    name : str
        Its own in the page.
    title : str
        Above it, as HTML.
    alt : str
        What it shows, in words.
    layers : sequence of dict
        From the lowest on, as `layer` makes them.
    caption : str
        Below it.
    notes : str
        What belongs to it, as HTML.
    """
    return {"name": name, "title": title, "alt": alt, "layers": list(layers), "caption": caption, "notes": notes}


def layer(kind: str, content: str, side: str = "") -> dict[str, str]:
    """A layer that fills its frame.

    Parameters
    ----------
    kind : str
        "image" or "map" (`content` is an address), "outline" (SVG), or "words" that stand in for an image.
    content : str
        Empty where there is nothing to show.
    side : str
        "A" is shown left of the wipe's divider, "B" right of it.
    """
    return {"kind": kind, "content": content, "side": side}


def map_layer(values: np.ndarray | None, size: tuple[int, int], side: str = "") -> dict[str, str]:
    """A map float (h, w) in [0, 1] over an image of `size` (height, width); nothing where there is none."""
    return layer("map", "" if values is None else map_uri(values, size), side)


def lesion_shape(box: Sequence[float] | None, mask: np.ndarray | None, width: int, height: int) -> str:
    """Outline of a lesion, or its box where only that is known, as SVG over an image of `width` × `height` pixels."""
    if mask is not None and mask.any():
        path, dash = outline_path(mask), ""
    elif box is not None:
        x0, y0, x1, y1 = box
        path, dash = f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z", 'stroke-dasharray="6 4"'
    else:
        return ""
    return _strokes(path, width, height, ("#000", 4, 0.55), (LESION, 2, 1), more=dash)


def mark_shape(mask: np.ndarray, width: int, height: int) -> str:
    """Outline of a mark as a double line, which no colour is needed for; nothing where it is nowhere or everywhere."""
    if mask.all() or not mask.any():
        return ""
    # The pieces of the path are joined by their square ends.
    square = 'stroke-linecap="square"'
    return _strokes(outline_path(mask), width, height, ("#000", 7.5, 0.55), (MARK, 6, 1), ("#000", 1.6, 1), more=square)


def _strokes(path: str, width: int, height: int, *lines: tuple[str, float, float], more: str) -> str:
    """Lines of a colour, a width and an opacity along one path, from the lowest on."""
    line = f'fill="none" vector-effect="non-scaling-stroke" {more}'
    drawn = [
        f'<path d="{path}" {line} stroke="{colour}" stroke-width="{wide}" stroke-opacity="{opacity:g}"/>'
        for colour, wide, opacity in lines
    ]
    return f'<svg aria-hidden="true" viewBox="0 0 {width} {height}">{"".join(drawn)}</svg>'


def outline_path(mask: np.ndarray) -> str:
    """The edges between the pixels inside and outside of a mask (H, W), as an SVG path in pixels."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # edges along x, (H + 1, W)
    down = padded[1:-1, 1:] != padded[1:-1, :-1]  # edges along y, (H, W + 1)
    parts = [f"M{x0} {y}H{x1}" for y, x0, x1 in _stretches(across)]
    parts += [f"M{x} {y0}V{y1}" for x, y0, y1 in _stretches(down.T)]
    return "".join(parts)


def _stretches(rows: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Row, beginning and end of each stretch of True, row by row; found at once, as a slider waits for it."""
    row, step = np.nonzero(np.diff(np.pad(rows, ((0, 0), (1, 1))).astype(np.int8), axis=1))
    return zip(row[::2].tolist(), step[::2].tolist(), step[1::2].tolist(), strict=True)


def image_uri(pixels: np.ndarray) -> str:
    """Pixels uint8 (H, W) or (H, W, 3) as a PNG in a data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "png", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def map_uri(values: np.ndarray, size: tuple[int, int]) -> str:
    """A map (h, w) in [0, 1] in the colours of cividis, bilinear on an image of `size` (height, width)."""
    from PIL import Image

    # As `careedu.nn.maps.resize_map` enlarges, without torch: the widget is open before torch is imported.
    small = Image.fromarray(np.asarray(values, dtype=np.float32))
    whole = np.asarray(small.resize(size[::-1], Image.Resampling.BILINEAR))
    return image_uri(cividis()[(whole * 255).round().clip(0, 255).astype(np.uint8)])
