"""The drawings of the attention microscope and its wipe, a control that never asks the kernel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from careedu.show import drawing
from careedu.show.care.microscope import Look
from careedu.show.drawing import HUES, QUIET, SHAPES, TEXT, WIDTH
from careedu.show.layered_picture import page_slider

PANEL, PICTURE = 274, 256
WIPE = "--careedu-wipe"


def energy(side: str, method: str, look: Look, chance: float) -> str:
    """Shares of the map inside and outside the lesion, and what a map that knows nothing has inside."""
    left, length = 62, 150
    hue = HUES[side]
    body = [drawing.text(0, 13, f"{side}: share of the map's mass", weight="bold")]
    body += [drawing.line(left + length * t, 20, left + length * t, 92) for t in (0, 0.5, 1)]
    body += [drawing.text(left + length * t, 107, f"{t:g}", "middle", QUIET) for t in (0, 0.5, 1)]
    rows = (("inside", look.inside, hue, 1), ("outside", look.outside, QUIET, 0), ("chance", chance, QUIET, 0.35))
    for number, (name, value, colour, fill) in enumerate(rows):
        y = 32 + 24 * number
        bold = "normal" if number else "bold"
        body.append(drawing.text(left - 8, y + 4, name, "end", weight=bold))
        if not np.isfinite(value):
            body.append(drawing.text(left + 8, y + 4, "not known", colour=QUIET))
            continue
        width = length * value
        body.append(
            f'<rect x="{left}" y="{y - 6}" width="{width:.1f}" height="12" fill="{colour}" fill-opacity="{fill}" '
            f'stroke="{colour}"/>'
        )
        if not number:
            body.append(drawing.mark(left + width, y, SHAPES[side], hue))
        body.append(drawing.text(left + length + 12, y + 4, f"{value:.2f}", weight=bold))
    if np.isfinite(chance) and np.isfinite(look.inside):
        x = left + length * chance
        body.append(f'<path d="M{x:.1f} 22V90" stroke="{TEXT}" stroke-width="1.4" stroke-dasharray="3 3"/>')
    said = [
        f"Maximum of the map: {pointing_words(look.pointing)}",
        f"Probability of the true class {number_words(look)}",
    ]
    body += [drawing.text(0, 128 + 18 * n, line) for n, line in enumerate(said)]
    alt = f"Energy of {side}, {method}: {in_words(look, chance)}."
    return drawing.svg(PICTURE, 152, body, alt)


def course(looks: Mapping[str, Look], epoch: int, epochs: int, chance: float) -> str:
    """Share of the map inside the lesion after each epoch, under both sides."""
    courses = {side: look for side, look in looks.items() if look.course is not None}
    if not courses:
        return ""
    top, bottom, axis = 12, 92, (162, 780)
    last = max(2, epochs)

    def x(number: float) -> float:
        return axis[0] + (axis[1] - axis[0]) * (number - 1) / (last - 1)

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    lines = (
        ("share of the map", "normal", TEXT),
        ("inside the lesion", "bold", TEXT),
        ("by epoch", "normal", QUIET),
    )
    body = [
        drawing.text(144, 40 + 16 * n, line, "end", colour, weight) for n, (line, weight, colour) in enumerate(lines)
    ]
    body += [drawing.line(axis[0], y(t), axis[1], y(t)) for t in (0, 0.5, 1)]
    body += [drawing.text(axis[1] + 12, y(t) + 4, f"{t:g}", colour=QUIET) for t in (0, 0.5, 1)]
    level = f"M{axis[0]} {y(chance):.1f}H{axis[1]}"
    body.append(f'<path d="{level}" stroke="{TEXT}" stroke-width="1.4" stroke-dasharray="3 3"/>')
    body.append(drawing.text(axis[1], y(chance) - 5, "chance", "end", QUIET))
    body.append(drawing.line(x(epoch), top - 6, x(epoch), bottom + 4, TEXT, 1.4))
    step = max(1, round(last / 10))
    ticks = sorted({1, last, *(t for t in range(step, last, step) if last - t > step / 2)})
    body += [drawing.text(x(t), bottom + 18, str(t), "middle", QUIET) for t in ticks]
    told = []
    for side, look in courses.items():
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(look.course, 1))
        body.append(f'<polyline points="{points}" fill="none" stroke="{HUES[side]}" stroke-width="2"/>')
        body.append(drawing.mark(x(look.epoch), y(look.inside), SHAPES[side], HUES[side]))
        told.append(f"{side} {', '.join(f'{v:.2f}' for v in look.course)}")
    alt = (
        f"Share of the map inside the lesion after each epoch, epoch {epoch} marked, chance "
        f"{chance:.2f}: {'; '.join(told)}."
    )
    return drawing.svg(WIDTH, 116, body, alt)


def key_mark(side: str) -> str:
    """The sign of a side."""
    mark = drawing.mark(7, 8, SHAPES[side], HUES[side])
    return f'<svg aria-hidden="true" width="16" height="16" style="vertical-align:-3px">{mark}</svg>'


def pointing_words(hit: float) -> str:
    """The pointing game, in words."""
    if not np.isfinite(hit):
        return "not known"
    return {1.0: "in the lesion", 0.0: "beside the lesion"}.get(hit, f"{hit:.0%} in the lesion")


def number_words(look: Look) -> str:
    """The probability of the true class, or that nobody knows it."""
    return f"{look.probability:.2f}" if np.isfinite(look.probability) else "not known"


def in_words(look: Look, chance: float) -> str:
    """All that is measured of a map."""
    shares = "share inside the lesion not known"
    if np.isfinite(look.inside):
        shares = f"inside the lesion {look.inside:.2f}, outside {look.outside:.2f}, by chance {chance:.2f} inside"
    return f"{shares}; maximum {pointing_words(look.pointing)}; probability of the true class {number_words(look)}"


def wipe_control() -> str:
    """The wipe's slider, as wide as its picture plus its handle, and what the drawings mean."""
    words = (
        "Left of the divider A, right of it B. The outline is the lesion, dashes are its box. Yellow is strong "
        "evidence, blue weak; each map is scaled to its own range. The dashed line in the bars is chance: the lesion's "
        "share of the image."
    )
    return (
        f'<div style="width:{PICTURE + 16}px;color:{TEXT}">'
        f"{page_slider('Wipe between A and B', WIPE, '%', 50, f'display:block;width:{PICTURE + 16}px')}"
        f'<p style="margin:6px 9px;font-size:12px;line-height:1.45;color:{QUIET}">{words}</p></div>'
    )
