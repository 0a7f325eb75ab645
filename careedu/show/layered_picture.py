"""Pictures in layers (image, map, outline), and the controls that change their looks without asking the kernel.

Opacity and outline are plain controls of the page. Inline handlers set CSS variables on the widget's outermost element,
which has the class `ROOT`, and the pictures are drawn by these variables, also those that come later. ipywidgets puts
the text of its ``HTML`` into the page as it is: scripts in it would not run, such handlers do.
"""

from __future__ import annotations

import html

from careedu.show.drawing import FAINT, QUIET, TEXT
from careedu.show.style import COLOURS

ROOT = "careedu-layered"
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
