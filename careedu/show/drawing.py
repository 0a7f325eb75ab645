"""Small drawings as SVG text: sharp at any size, drawn by the browser, in the colours of its light or dark theme.

A widget that moves with a slider sends a few kilobytes of text instead of a picture, so that nothing flickers.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from careedu.measure.intervals import Interval
from careedu.show.style import COLOURS

TEXT = "var(--jp-content-font-color1,#222)"
QUIET = "var(--jp-content-font-color2,#666)"
FAINT = "var(--jp-border-color2,#ccc)"
# The two sides of a widget: told apart by colour and by shape.
HUES = {"A": COLOURS[0], "B": COLOURS[1]}
SHAPES = {"A": "circle", "B": "square"}
WIDTH = 812
"""Of a widget, in pixels."""


def svg(width: float, height: float, body: Sequence[str], alt: str) -> str:
    """A drawing of `width` x `height` pixels with alternative text."""
    words = html.escape(alt, quote=True)
    return (
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {width:g} {height:g}" '
        f'style="width:100%;max-width:{width:g}px;height:auto;display:block" '
        f'font-family="sans-serif" font-size="12"><title>{words}</title>{"".join(body)}</svg>'
    )


def text(x: float, y: float, content: str, anchor: str = "start", colour: str = TEXT, weight: str = "normal") -> str:
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">'
        f"{html.escape(content)}</text>"
    )


def line(x0: float, y0: float, x1: float, y1: float, colour: str = FAINT, width: float = 1) -> str:
    """A straight line."""
    points = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    return f'<line {points} stroke="{colour}" stroke-width="{width:g}"/>'


def mark(x: float, y: float, shape: str, colour: str, filled: bool = True) -> str:
    """A mark told apart by shape as well as colour: "circle" or "square", filled or hollow."""
    style = f'fill="{colour if filled else "none"}" stroke="{colour}" stroke-width="2"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {style}/>'
    return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {style}/>'


def bars(names: Sequence[str], values: Sequence[float], labels: Sequence[str], colour: str, left: float) -> list[str]:
    """Horizontal bars, one row of 22 pixels each, starting at y = 0; the longest is 150 pixels long."""
    largest = max(max(values), 1e-9)
    body = []
    for row, (name, value, label) in enumerate(zip(names, values, labels, strict=True)):
        y = 22 * row
        body.append(text(left - 8, y + 15, name, "end"))
        length = 150 * value / largest
        body.append(f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="14" rx="2" fill="{colour}"/>')
        body.append(text(left + length + 6, y + 15, label, colour=QUIET))
    return body


def recall_rows(
    names: Sequence[str],
    intervals: Sequence[Interval],
    shape: str,
    colour: str,
    left: float,
    extra: Sequence[float] = (),
) -> list[str]:
    """Recalls with their intervals on an axis from 0 to 1, one row of 26 pixels each; `extra` ones as hollow marks."""
    width = 190

    def x(value: float) -> float:
        return left + width * value

    bottom = 26 * len(names)
    body = [line(x(tick), 0, x(tick), bottom) for tick in (0, 0.25, 0.5, 0.75, 1)]
    body += [text(x(tick), bottom + 15, f"{tick:g}", "middle", QUIET) for tick in (0, 0.5, 1)]
    for row, (name, interval) in enumerate(zip(names, intervals, strict=True)):
        y = 26 * row + 13
        body.append(text(left - 8, y + 4, name, "end"))
        if np.isfinite(interval.estimate):
            body.append(line(x(interval.low), y, x(interval.high), y, colour, 2))
            body += [line(x(end), y - 4, x(end), y + 4, colour, 2) for end in (interval.low, interval.high)]
            body.append(mark(x(interval.estimate), y, shape, colour))
            body.append(text(x(1) + 12, y + 4, f"{interval.estimate:.2f}"))
        if len(extra):
            body.append(mark(x(extra[row]), y, shape, TEXT, filled=False))
    return body


def confusion_cells(names: Sequence[str], matrix: np.ndarray, left: float) -> list[str]:
    """A confusion matrix, rows true and columns predicted; each row shaded by its shares, numbers being images.

    Images may be averages over seeds: they are told to one decimal.
    """
    side = 44
    body = []
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for column, name in enumerate(names):
        body.append(text(left + side * (column + 0.5), 12, name if len(name) < 8 else f"{name[:6]}…", "middle", QUIET))
    for row, name in enumerate(names):
        body.append(text(left - 8, 18 + side * (row + 0.5) + 4, name, "end"))
        for column in range(len(names)):
            x, y = left + side * column, 18 + side * row
            # Blue for what is right, vermillion for what is wrong; the number says it without colour.
            colour = "#0072B2" if row == column else "#D55E00"
            opacity = 0.08 + 0.62 * share[row, column]
            body.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" rx="3" fill="{colour}" '
                f'fill-opacity="{opacity:.2f}"/>'
            )
            count = f"{round(float(matrix[row, column]), 1):g}"
            body.append(text(x + side / 2, y + side / 2 + 4, count, "middle", weight="bold"))
    return body


def moved(x: float, y: float, body: Sequence[str]) -> str:
    """Part of a drawing, moved."""
    return f'<g transform="translate({x:g} {y:g})">{"".join(body)}</g>'


def whiskers(x0: float, x1: float, y: float, colour: str) -> list[str]:
    """An interval with its ends."""
    ends = [line(x, y - 4, x, y + 4, colour, 2) for x in (x0, x1)]
    return [line(x0, y, x1, y, colour, 2), *ends]


def note(text: str, alert: bool = False) -> str:
    """A sentence in the widget."""
    colour, role = ("#E69F00", ' role="status"') if alert else (FAINT, "")
    return (
        f'<div{role} style="border-left:4px solid {colour};padding:3px 10px;margin:4px 0;line-height:1.45;'
        f'color:{TEXT}">{html.escape(text)}</div>'
    )
