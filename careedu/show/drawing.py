"""Small drawings as SVG text: sharp at any size, drawn by the browser, in the colours of its light or dark theme.

A widget that moves with a slider sends a few kilobytes of text instead of a picture, so that nothing flickers.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from careedu.measure.intervals import Interval
from careedu.show.style import COLOURS

TEXT, QUIET = "var(--jp-content-font-color1,#222)", "var(--jp-content-font-color2,#666)"
FAINT = "var(--jp-border-color2,#ccc)"
# The two sides of a widget: told apart by colour and by shape.
HUES, SHAPES = {"A": COLOURS[0], "B": COLOURS[1]}, {"A": "circle", "B": "square"}
WIDTH = 812
"""Of a widget, in pixels."""


@dataclass(frozen=True)
class Scale:
    """An axis: where values lie, in pixels.

    Parameters
    ----------
    start, end : float
        Pixels of `low` and of `high`.
    low, high : float
    """

    start: float
    end: float
    low: float = 0
    high: float = 1

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def grid(self, top: float, bottom: float, ticks: Sequence[float] = (0, 0.5, 1)) -> list[str]:
        """Upright lines at the ticks."""
        return [line(self(tick), top, self(tick), bottom) for tick in ticks]

    def levels(
        self, across: Scale, ticks: Sequence[float] = (0, 0.5, 1), room: float = 10, digits: str = "g"
    ) -> list[str]:
        """Of an upright axis: lines at the ticks over the other, numbers on its right; `room` < 0: on its left."""
        x, anchor = (across.end + room, "start") if room > 0 else (across.start + room, "end")
        body = []
        for y, tick in ((self(tick), tick) for tick in ticks):
            number = f"{tick:{digits}}".replace("-", "−")
            body += [line(across.start, y, across.end, y), text(x, y + 4, number, anchor, QUIET)]
        return body

    def numbers(self, y: float, ticks: Sequence[float] = (0, 0.5, 1), signed: bool = False) -> list[str]:
        """The ticks' numbers, in a row."""
        return [text(self(t), y, signed_number(t) if signed else f"{t:g}", "middle", QUIET) for t in ticks]


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


def curve(
    x: Scale, y: Scale, at: Sequence[float], values: Sequence[float], colour: str, width: float, more: str = ""
) -> str:
    """Values joined by lines; `more` of their looks."""
    points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in zip(at, values, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"{more and " "}{more}/>'


def mark(x: float, y: float, shape: str, colour: str, filled: bool = True) -> str:
    """A mark told apart by shape as well as colour: "circle" or "square", filled or hollow."""
    style = f'fill="{colour if filled else "none"}" stroke="{colour}" stroke-width="2"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {style}/>'
    return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {style}/>'


def bars(names: Sequence[str], values: Sequence[float], labels: Sequence[str], colour: str, left: float) -> list[str]:
    """Horizontal bars, one row of 22 pixels each, starting at y = 0; the longest is 150 pixels long."""
    largest, body = max(max(values), 1e-9), []
    for row, (name, value, label) in enumerate(zip(names, values, labels, strict=True)):
        y, length = 22 * row, 150 * value / largest
        bar = f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="14" rx="2" fill="{colour}"/>'
        body += [text(left - 8, y + 15, name, "end"), bar, text(left + length + 6, y + 15, label, colour=QUIET)]
    return body


def recall_rows(
    names: Sequence[str], intervals: Sequence[Interval], side: str, left: float, extra: Sequence[float] = ()
) -> list[str]:
    """Recalls with their intervals on an axis from 0 to 1, one row of 26 pixels each; `extra` ones as hollow marks."""
    x, bottom = Scale(left, left + 190), 26 * len(names)
    body = [*x.grid(0, bottom, (0, 0.25, 0.5, 0.75, 1)), *x.numbers(bottom + 15)]
    for row, (name, interval) in enumerate(zip(names, intervals, strict=True)):
        y = 26 * row + 13
        body += [text(left - 8, y + 4, name, "end"), *estimate(x, interval, y, side, room=12)]
        if len(extra):
            body.append(mark(x(extra[row]), y, SHAPES[side], TEXT, filled=False))
    return body


def course(values: Mapping[str, np.ndarray], epoch: int, epochs: int, words: tuple[str, str], level: float) -> str:
    """What a number in [0, 1] was after each supervised epoch under both sides, the present epoch marked.

    Parameters
    ----------
    values : mapping of str to float (E,)
        By side; a shorter training stays at its end.
    epoch, epochs : int
        The present one, from 1, and the last.
    words : pair of str
        What the number is; the second is written in bold.
    level : float
        What chance gives.
    """
    if not values:
        return ""
    x, y = Scale(162, 780, 1, max(2, epochs)), Scale(92, 12)
    body = [
        text(144, 40, words[0], "end"),
        text(144, 56, short(words[1], 21), "end", weight="bold"),
        text(144, 72, "after each epoch", "end", QUIET),
    ]
    body += [*y.levels(x, room=12), dashed(x.start, y(level), x.end, y(level))]
    body.append(text(x.end - 14, y(level) - 5, "chance", "end", QUIET))
    body.append(line(x(epoch), y(1) - 6, x(epoch), y(0) + 4, TEXT, 1.4))
    step = max(1, round(epochs / 10))
    body += x.numbers(110, sorted({1, epochs, *(t for t in range(step, epochs, step) if epochs - t > step / 2)}))
    told = []
    for side, numbers in values.items():
        body.append(curve(x, y, range(1, len(numbers) + 1), numbers, HUES[side], 2))
        last = min(epoch, len(numbers))
        body.append(mark(x(last), y(numbers[last - 1]), SHAPES[side], HUES[side]))
        told.append(f"{side} {', '.join(f'{v:.2f}' for v in numbers)}")
    about = f"{' '.join(words)} after each epoch, epoch {epoch} marked, chance {level:.2f}: {'; '.join(told)}."
    return svg(WIDTH, 116, body, capital(about))


def confusion_cells(names: Sequence[str], matrix: np.ndarray, left: float) -> list[str]:
    """A confusion matrix, rows true and columns predicted; each row shaded by its shares, numbers being images.

    Images may be averages over seeds: they are told to one decimal.
    """
    side, size = 44, 'width="42" height="42" rx="3"'
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    heads = [name if len(name) < 8 else f"{name[:6]}…" for name in names]
    body = [text(left + side * (column + 0.5), 12, name, "middle", QUIET) for column, name in enumerate(heads)]
    for row, name in enumerate(names):
        body.append(text(left - 8, 18 + side * (row + 0.5) + 4, name, "end"))
        for column in range(len(names)):
            x, y = left + side * column, 18 + side * row
            # Blue for what is right, vermillion for what is wrong; the number says it without colour.
            fill = f'fill="{COLOURS[int(row != column)]}" fill-opacity="{0.08 + 0.62 * share[row, column]:.2f}"'
            body.append(f'<rect x="{x + 1}" y="{y + 1}" {size} {fill}/>')
            count = f"{round(float(matrix[row, column]), 1):g}"
            body.append(text(x + side / 2, y + side / 2 + 4, count, "middle", weight="bold"))
    return body


def moved(x: float, y: float, body: Sequence[str]) -> str:
    """Part of a drawing, moved."""
    return f'<g transform="translate({x:g} {y:g})">{"".join(body)}</g>'


def whiskers(x: Scale, low: float, high: float, y: float, colour: str = TEXT) -> list[str]:
    """An interval with its ends, cut off where the axis ends."""
    low, high = (x(float(np.clip(end, x.low, x.high))) for end in (low, high))
    return [line(low, y, high, y, colour, 2), *(line(end, y - 4, end, y + 4, colour, 2) for end in (low, high))]


def estimate(x: Scale, found: Interval, y: float, side: str, room: float = 0) -> list[str]:
    """An estimate of one side, if any, with its interval, and where there is `room` its number behind the axis."""
    if not np.isfinite(found.estimate):
        return []
    number = [text(x.end + room, y + 4, f"{found.estimate:.2f}")] if room else []
    sign = mark(x(found.estimate), y, SHAPES[side], HUES[side])
    return [*whiskers(x, found.low, found.high, y, HUES[side]), sign, *number]


def dashed(x0: float, y0: float, x1: float, y1: float) -> str:
    """The line of chance."""
    path = f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"
    return f'<path d="{path}" stroke="{TEXT}" stroke-width="1.4" stroke-dasharray="3 3"/>'


def key_mark(side: str) -> str:
    """The sign of a side, for a line of text."""
    sign = mark(7, 8, SHAPES[side], HUES[side])
    return f'<svg aria-hidden="true" width="16" height="16" style="vertical-align:-3px">{sign}</svg>'


def signed_number(value: float, digits: str = ".2g") -> str:
    """A difference in few letters, with a true minus sign."""
    return "0" if value == 0 else f"{value:+{digits}}".replace("-", "−")


def short(words: str, length: int) -> str:
    """Words cut off at `length` letters."""
    return words if len(words) <= length else f"{words[: length - 1]}…"


def capital(words: str) -> str:
    """A sentence with a capital letter at its beginning."""
    return words[:1].upper() + words[1:]


def note(text: str, alert: bool = False) -> str:
    """A sentence in the widget."""
    colour, role = ("#E69F00", ' role="status"') if alert else (FAINT, "")
    return (
        f'<div{role} style="border-left:4px solid {colour};padding:3px 10px;margin:4px 0;line-height:1.45;'
        f'color:{TEXT}">{html.escape(text)}</div>'
    )


def heading(title: str, below: str) -> str:
    """What the widget shows now, said by screen readers when it changes."""
    bold, quiet = (html.escape(words) for words in (title, below))
    return (
        f'<div aria-live="polite" style="max-width:{WIDTH}px;padding:2px 9px;line-height:1.45;color:{TEXT}">'
        f'<b>{bold}</b><br><span style="color:{QUIET}">{quiet}</span></div>'
    )


def legend(words: str) -> str:
    """How the drawings are to be read, in small print."""
    style = f"max-width:{WIDTH - 18}px;margin:6px 9px;font-size:12px;line-height:1.45;color:{QUIET}"
    return f'<p style="{style}">{html.escape(words)}</p>'
