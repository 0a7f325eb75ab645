"""The drawings of the embedding explorer, as SVG and HTML text for the browser."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from careedu.show import drawing
from careedu.show.comparison.drawings import verdict
from careedu.show.comparison.explorer import Row
from careedu.show.deep_pneumonia.explorer import COLLAPSED, PRETRAINED, SCRATCH, Neighbourhood
from careedu.show.drawing import FAINT, HUES, QUIET, TEXT, WIDTH, Scale, short, signed_number
from careedu.show.style import COLOURS, if_rare

WIDE, HIGH, THUMBNAIL = 396, 290, 70
# The signs of sides A and B, blue circle and vermillion square, come last, so that few classes look like them.
ORDER = (2, 3, 4, 5, 6, 0, 1)
# Marks around a point, in the order of the colours: circle, square, triangle, diamond, triangle, plus, cross.
MARKS = (
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "m-3-3h6v6h-6z",
    "m0-4.5l4.5 8h-9z",
    "m0-4.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",
    "m0 4.5l4.5-8h-9z",
    "m-1.4-4.2h2.8v2.8h2.8v2.8h-2.8v2.8h-2.8v-2.8h-2.8v-2.8h2.8z",
    "m-4-2.5l1.5-1.5l2.5 2.5l2.5-2.5l1.5 1.5l-2.5 2.5l2.5 2.5l-1.5 1.5l-2.5-2.5l-2.5 2.5l-1.5-1.5l2.5-2.5z",
)


def class_mark(label: int, places: Sequence[tuple[float, float]]) -> str:
    """The mark of a class, which needs no colour to be known, at places in pixels."""
    which = ORDER[label % len(ORDER)]
    # Black is the colour of text: in a dark theme it is white.
    colour = COLOURS[which].replace("#000000", TEXT)
    # Where there are more classes than colours, those of the second round are hollow. The edge lets pale colours stand
    # out from white.
    style = f'fill="{colour}" stroke="{TEXT}"' if label < len(ORDER) else f'fill="none" stroke="{colour}"'
    path = "".join(f"M{x:.1f} {y:.1f}{MARKS[which]}" for x, y in places)
    return f'<path d="{path}" {style} stroke-width="0.7" fill-opacity="0.8"/>'


def class_key(classes: Sequence[str], rare: Sequence[str]) -> str:
    """Which mark is which class, and which of them are rare."""
    parts = [
        f'<svg aria-hidden="true" width="14" height="14" style="vertical-align:-3px">{class_mark(c, [(7, 7)])}</svg> '
        f"{html.escape(if_rare(name, rare))}"
        for c, name in enumerate(classes)
    ]
    return f'<div style="padding:2px 9px;color:{TEXT}">{" &emsp; ".join(parts)}</div>'


def beside(a: str, b: str) -> str:
    """Two drawings side by side, or below one another where there is no room."""
    columns = "".join(f'<div style="width:404px">{one}</div>' for one in (a, b))
    return f'<div style="display:flex;flex-wrap:wrap;color:{TEXT}">{columns}</div>'


def points(coordinates: np.ndarray, labels: np.ndarray) -> tuple[str, np.ndarray]:
    """All images in the plane, stretched to fill it: the drawing, and where they lie in pixels, float (N, 2)."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    places = 14 + (coordinates - low) / np.where(high > low, high - low, 1) * [WIDE - 28, HIGH - 28]
    frame = f'<rect x="1" y="1" width="{WIDE - 2}" height="{HIGH - 2}" rx="5" fill="none" stroke="{FAINT}"/>'
    return frame + "".join(class_mark(c, places[labels == c]) for c in np.unique(labels)), places


def plane(drawn: str, places: np.ndarray, row: int, seen: Neighbourhood, alt: str) -> str:
    """The plane with the chosen image ringed and joined with its neighbours: dashed where they are of another class."""
    (x, y), body = places[row], [drawn]
    for (u, v), same in zip(places[seen.neighbours], seen.same, strict=True):
        dash = "" if same else 'stroke-dasharray="4 3"'
        joined = f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="{TEXT}" stroke-width="1.3" {dash}/>'
        body += [joined, ring(u, v, 6, 1.3, dash)]
    return drawing.svg(WIDE, HIGH, [*body, ring(x, y, 9, 3)], alt)


def ring(x: float, y: float, radius: float, width: float, more: str = "") -> str:
    """A ring around what is chosen."""
    style = f'fill="none" stroke="{TEXT}" stroke-width="{width:g}" {more}'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" {style}/>'


def neighbour(uri: str, name: str, same: bool, image_id: str) -> str:
    """A small image of a neighbour with its class, and a sign whether it is that of the chosen image."""
    sign, words, line = ("✓", "same class", "solid") if same else ("✗", "another class", "dashed")
    alt = html.escape(f"Neighbour {image_id}: {name}, {words}", quote=True)
    style = f"width:{THUMBNAIL}px;height:{THUMBNAIL}px;max-width:none;margin:0;image-rendering:pixelated"
    frame = f"border:2px {line} {TEXT};border-radius:4px;box-sizing:content-box"
    picture = f'<img decoding="sync" alt="{alt}" src="{uri}" style="{style};{frame}">'
    if not uri:
        picture = f'<div role="img" aria-label="{alt}" style="{style};{frame};color:{QUIET}">no image</div>'
    label = f'<b aria-hidden="true">{sign}</b> {html.escape(short(name, 11))}'
    small = "font-size:12px;line-height:1.4;text-align:center"
    return f'<div style="width:{THUMBNAIL + 4}px;{small}">{picture}{label}</div>'


def negatives(side: str, seen: Neighbourhood, nearest: int, temperature: float, true_class: str) -> str:
    """What each negative weighs in the loss, heaviest first, the nearest ones filled, and how unequal that is."""
    weights = np.sort(seen.weights)[::-1][:-1]  # without the image itself, which weighs nothing
    x, y = Scale(44, WIDE - 12, 0, len(weights)), Scale(96, 12, 0, float(weights[0]))
    even, tops = 1 / len(weights), list(zip(y(weights).tolist(), x(np.arange(len(weights)) + 1).tolist(), strict=True))
    body = [drawing.text(38, y(value) + 5, f"{value:.2g}", "end", QUIET) for value in (weights[0], 0)]
    fills = {f'fill="{HUES[side]}"': (0, nearest), f'fill="{QUIET}" fill-opacity="0.45"': (nearest, len(weights))}
    for style, (first, last) in fills.items():
        steps = "".join(f"V{top:.1f}H{end:.1f}" for top, end in tops[first:last])
        body.append(f'<path d="M{x(first):.1f} {y(0):g}{steps}V{y(0):g}z" {style}/>')
    body += [drawing.line(x(0), y(0), x(len(weights)), y(0)), drawing.dashed(x(0), y(even), x(len(weights)), y(even))]
    words = [
        f"the nearest {nearest} of {len(weights)} carry {seen.nearest_share:.0%}",
        f"as many as {seen.effective:.0f} of equal weight",
        f"{seen.own_share:.0%} lies on images of its own class, {true_class}",
    ]
    body += [drawing.text(x(0), 116 + 17 * n, line, weight="normal" if n else "bold") for n, line in enumerate(words)]
    alt = f"Weights of the negatives under {side}, {seen.network}, at temperature {temperature:g}: {'; '.join(words)}."
    return drawing.svg(WIDE, 156, body, alt)


def with_few_labels(rows: Sequence[Row], values: Mapping[str, Sequence[np.ndarray]], labels: str) -> str:
    """Each metric from scratch and pretrained, with intervals and every seed, and the paired difference in words."""
    x, bottom, ticks, told = Scale(200, 510), 66 * len(rows), (0, 0.25, 0.5, 0.75, 1), []
    body = [*x.grid(4, bottom, ticks), *x.numbers(bottom + 14, ticks)]
    for number, row in enumerate(rows):
        top, d = 66 * number, row.difference
        body.append(drawing.text(0, top + 20, row.label, weight="bold"))
        for place, (side, arm, found) in enumerate((("A", SCRATCH, row.a), ("B", PRETRAINED, row.b))):
            at = top + 16 + 27 * place
            body += [drawing.text(190, at + 4, arm, "end"), *drawing.estimate(x, found, at, side, room=10)]
            seeds = (x(value) for value in values[row.metric][place] if np.isfinite(value))
            body += [drawing.line(seed, at + 7, seed, at + 13, HUES[side]) for seed in seeds]
        effect, low, high = (signed_number(value, ".2f") for value in (d.effect, d.low, d.high))
        change, said = f"{effect} [{low}, {high}]", verdict(d.verdict).replace("B ", f"{PRETRAINED} ")
        body += [drawing.text(580, top + 20, change), drawing.text(580, top + 37, said, weight="bold")]
        told.append(f"{row.label}: {SCRATCH} {row.a}, {PRETRAINED} {row.b}, difference {change}, {d.verdict}")
    return drawing.svg(WIDTH, bottom + 20, body, f"With {labels}: {'; '.join(told)}.")


def spread_words(spreads: Mapping[int, np.ndarray]) -> str:
    """How far apart the outputs are at the end of the pretraining, and whether any seed has collapsed."""
    last = np.array([values[-1] for values in spreads.values()])
    collapsed = int((last < COLLAPSED).sum())
    words = f"Embedding spread at the end of the pretraining {last.mean():.2f}, mean of {len(last)} seeds: "
    if collapsed:
        return f"{words}collapse in {collapsed} of them: all images are put at nearly one place."
    return f"{words}no collapse. (1: images are put everywhere; near 0: all at one place.)"


def spread(spreads: Mapping[int, np.ndarray]) -> str:
    """The embedding spread after each epoch of the pretraining, one line a seed, and what we call collapse."""
    epochs = max(len(values) for values in spreads.values())
    x, y = Scale(200, 760, 1, max(2, epochs)), Scale(86, 10)
    body = [drawing.text(190, 40, "embedding spread", "end"), drawing.text(190, 57, "after each epoch", "end", QUIET)]
    body += [*y.levels(x), drawing.dashed(x.start, y(COLLAPSED), x.end, y(COLLAPSED))]
    body.append(drawing.text(x.start + 4, y(COLLAPSED) - 4, "collapse below", colour=QUIET))
    for values in spreads.values():
        at = range(1, len(values) + 1)
        body.append(drawing.curve(x, y, at, values, HUES["B"], 1.4, 'stroke-opacity="0.7"'))
    body += x.numbers(102, sorted({1, epochs}))
    mean = ", ".join(f"{value:.2f}" for value in np.mean(list(spreads.values()), axis=0))
    return drawing.svg(WIDTH, 108, body, f"{spread_words(spreads)} After each epoch, mean over seeds: {mean}.")
