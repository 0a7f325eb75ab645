"""Pictures in layers (image, map, outline), and the controls that change their looks without asking the kernel.

Opacity and outline are plain controls of the page. Inline handlers set CSS variables on the widget's outermost element,
of the class `careedu.show.widget.ROOT`, and the pictures are drawn by these variables, also those that come later.
ipywidgets puts the text of its ``HTML`` into the page as it is: scripts in it would not run, such handlers do.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np

from careedu.show.drawing import FAINT, QUIET, TEXT
from careedu.show.style import COLOURS, LESION, cividis
from careedu.show.widget import ROOT

OPACITY, OUTLINE = (f"--careedu-{name}" for name in ("opacity", "outline"))


def layer(uri: str, style: str) -> str:
    """A picture that fills its frame."""
    whole = "position:absolute;inset:0;width:100%;height:100%;max-width:none;margin:0"
    return f'<img decoding="sync" alt="" src="{uri}" style="{whole};{style}">'


def framed(title: str, layers: str, size: tuple[int, int], alt: str, name: str, below: str) -> str:
    """Layers on top of one another in a frame of `size` (width, height) pixels, with a line above and one below."""
    line = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis;line-height:1.5"
    return (
        f'<div style="width:{size[0]}px;padding:2px 9px;color:{TEXT}"><div style="{line}">{title}</div>'
        f'<div role="img" aria-label="{html.escape(alt, quote=True)}" data-panel="{name}" style="position:relative;'
        f'width:{size[0]}px;height:{size[1]}px;overflow:hidden;border-radius:5px;background:{FAINT}">{layers}</div>'
        f'<div style="{line};font-size:12px;color:{QUIET}">{html.escape(below)}</div></div>'
    )


def css_setter(variable: str, value: str) -> str:
    """Handler that sets a CSS variable for the whole widget."""
    return f"this.closest('.{ROOT}').style.setProperty('{variable}',{value})"


def page_slider(label: str, variable: str, unit: str, start: int, style: str) -> str:
    """A slider of the page, 0 to 100; JupyterLab is told to leave its keys alone."""
    value = f"this.value+'{unit}'"
    handler = f"{css_setter(variable, value)};this.setAttribute('aria-valuetext',this.value+' %')"
    return (
        f'<input type="range" aria-label="{label}" min="0" max="100" step="5" value="{start}" '
        f'aria-valuetext="{start} %" oninput="{handler}" data-lm-suppress-shortcuts="true" '
        f'style="margin:0;accent-color:{COLOURS[0]};{style}">'
    )


def looks_controls(outlined: str) -> str:
    """How maps and outlines are drawn: opacity, and whether what is called `outlined` is."""
    outline = css_setter(OUTLINE, "this.checked?1:0")
    return (
        f'<div style="display:flex;gap:8px;align-items:center;padding:2px 4px;color:{TEXT}"><span>Map opacity</span>'
        f"{page_slider('Map opacity', OPACITY, '%', 50, 'width:150px')}"
        '<label style="display:flex;gap:6px;align-items:center;margin-left:14px"><input type="checkbox" checked '
        f'aria-label="Outline {outlined}" onchange="{outline}" data-lm-suppress-shortcuts="true" style="margin:0;'
        f'accent-color:{COLOURS[0]}">Outline {outlined}</label></div>'
    )


def lesion_shape(box: Sequence[float] | None, mask: np.ndarray | None, width: int, height: int) -> str:
    """Outline of a lesion, or its box where only that is known, as SVG over an image of `width` × `height` pixels."""
    if mask is not None and mask.any():
        path, dash = outline_path(mask), ""
    elif box is not None:
        x0, y0, x1, y1 = box
        path, dash = f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z", 'stroke-dasharray="6 4"'
    else:
        return ""
    line = f'fill="none" vector-effect="non-scaling-stroke" {dash}'
    return (
        f'<svg aria-hidden="true" viewBox="0 0 {width} {height}" '
        'style="position:absolute;inset:0;width:100%;height:100%">'
        f'<path d="{path}" {line} stroke="#000" stroke-width="4" stroke-opacity="0.55"/>'
        f'<path d="{path}" {line} stroke="{LESION}" stroke-width="2"/></svg>'
    )


def outline_path(mask: np.ndarray) -> str:
    """The edges between the pixels inside and outside of a mask (H, W), as an SVG path in pixels."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # edges along x, (H + 1, W)
    down = padded[1:-1, 1:] != padded[1:-1, :-1]  # edges along y, (H, W + 1)
    parts = [f"M{x0} {y}H{x1}" for y, row in enumerate(across) for x0, x1 in _stretches(row)]
    parts += [f"M{x} {y0}V{y1}" for x, column in enumerate(down.T) for y0, y1 in _stretches(column)]
    return "".join(parts)


def _stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """Beginnings and ends of the stretches of True."""
    steps = np.flatnonzero(np.diff(np.r_[False, values, False].astype(np.int8)))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


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
    whole = np.asarray(
        Image.fromarray(np.asarray(values, dtype=np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    )
    return image_uri(cividis()[(whole * 255).round().clip(0, 255).astype(np.uint8)])
