"""The drawings of the comparison explorer, as SVG and HTML text for the browser."""

import html
from collections.abc import Sequence

import numpy as np

from careedu.measure.statistics import Difference
from careedu.show import drawing
from careedu.show.comparison.explorer import Row
from careedu.show.comparison_plots import SIGNS, p_words
from careedu.show.drawing import FAINT, HUES, QUIET, SHAPES, TEXT, WIDTH, Scale, short, whiskers
from careedu.show.widget import SIDES

BAND = "var(--jp-border-color2,#bdbdbd)"
LABELS, VERDICTS = 144, 664
"""Where the names end and the verdicts begin, in pixels."""


def overview(rows: Sequence[Row], metric: str, names: Sequence[str], seeds: int) -> str:
    """All metrics of both sides on one axis, the paired difference on another, and its verdict in words.

    Parameters
    ----------
    rows : sequence of Row
    metric : str
        The one that is marked.
    names : sequence of str
        Of methods A and B.
    seeds : int
    """
    height, top = 38, 50
    bottom = top + height * len(rows)
    share, change = Scale(162, 392), _around_zero(470, 650, [end for row in rows for end in _ends(row)])
    body = [
        *_key(share.start, 14, names),
        drawing.text(share.start, 40, "mean over seeds, 95 % interval", colour=QUIET),
        drawing.text(change(0), 40, "paired difference B − A", "middle", QUIET),
    ]
    marked = f'y="{top + height * [row.metric for row in rows].index(metric)}" width="{WIDTH}" height="{height}"'
    body.append(f'<rect x="0" {marked} rx="5" fill="{BAND}" opacity="0.3"/>')
    body += [*share.grid(top, bottom, (0, 0.25, 0.5, 0.75, 1)), *share.numbers(bottom + 15)]
    body += [*change.grid(top, bottom, (change.low, change.high)), _zero(change, top, bottom)]
    body += change.numbers(bottom + 15, (change.low, 0, change.high), signed=True)
    told = []
    for number, row in enumerate(rows):
        y = top + height * (number + 0.5)
        body.append(_label(row.label, y + 4, "bold" if row.metric == metric else "normal"))
        for side, found, at in (("A", row.a, y - 8), ("B", row.b, y + 8)):
            body += drawing.estimate(share, found, at, side, room=12)
        said, weight = row.difference.verdict, "bold" if row.difference.verdict in ("better", "worse") else "normal"
        body += [*_difference(change, row, y), drawing.text(VERDICTS, y + 4, verdict(said), weight=weight)]
        told.append(f"{row.label}: A {row.a}, B {row.b}, difference {change_words(row.difference)}, {said}")
    alt = f"Metrics of A, {names[0]}, and B, {names[1]}, over {seeds} seeds. {'; '.join(told)}."
    return drawing.svg(WIDTH, bottom + 24, body, alt)


def seed_strip(row: Row, values: np.ndarray, adjusted_over: int, reference: str) -> str:
    """The paired difference in one metric: every seed, mean and interval, and what could have been found."""
    d, x = row.difference, _around_zero(162, 650, [*_ends(row), *values])
    half = min(d.smallest, x.high)
    body = [
        _label(row.label, 34, "bold"),
        drawing.text(LABELS, 51, "B − A, seed by seed", "end", QUIET),
        drawing.text(LABELS, 68, "grey: too small to find", "end", QUIET),
        f'<rect x="{x(-half):.1f}" y="22" width="{x(half) - x(-half):.1f}" height="48" rx="4" fill="{BAND}" '
        'opacity="0.45"/>',
        drawing.line(x.start, 70, x.end, 70),
        *x.numbers(85, (x.low, x.low / 2, 0, x.high / 2, x.high), signed=True),
        _zero(x, 18, 70),
    ]
    dots = [(x(value), 56 + 5 * (number % 3)) for number, value in enumerate(values) if np.isfinite(value)]
    body += [f'<circle cx="{at:.1f}" cy="{y}" r="3" fill="{TEXT}" fill-opacity="0.45"/>' for at, y in dots]
    body += _difference(x, row, 36)
    over = f"Holm over {adjusted_over}" if adjusted_over > 1 else "this pair alone"
    p = p_words(d.adjusted_p)
    said = [verdict(d.verdict), change_words(d), f"p {p}, {over}"]
    body += [drawing.text(VERDICTS, 26 + 17 * n, line, weight="normal" if n else "bold") for n, line in enumerate(said)]
    smallest = f"±{d.smallest:.2f}" if np.isfinite(d.smallest) else "none"
    body.append(drawing.text(VERDICTS, 77, f"grey: {smallest}", colour=QUIET))
    listed = ", ".join(f"{value:+.2f}" for value in values)
    against = f"compared with {reference} and adjusted for {adjusted_over} methods" if adjusted_over > 1 else over
    alt = (
        f"Seed by seed, difference B − A in {row.label}: {listed}. Mean {said[1]}, {d.verdict}, p {p}, {against}. "
        f"Smallest difference that could be found: {smallest}."
    )
    return drawing.svg(WIDTH, 92, body, alt)


def probability_rows(names: Sequence[str], probabilities: np.ndarray, label: int, colour: str, alt: str) -> str:
    """Probability of each class as a bar of its own, the true class in bold."""
    body = []
    for c, (name, value) in enumerate(zip(names, probabilities, strict=True)):
        y, words, weight, fill = 32 * c, name, "normal", QUIET
        if c == label:
            words, weight, fill = f"{name}, true", "bold", colour
        body.append(drawing.text(0, y + 12, short(words, 20), weight=weight))
        body.append(drawing.text(164, y + 12, f"{value:.2f}", "end", weight=weight))
        body.append(f'<rect x="0" y="{y + 17}" width="164" height="8" rx="2" fill="{FAINT}" opacity="0.5"/>')
        body.append(f'<rect x="0" y="{y + 17}" width="{164 * value:.1f}" height="8" rx="2" fill="{fill}"/>')
    return drawing.svg(164, 32 * len(names), body, alt)


def confusion(side: str, names: Sequence[str], matrix: np.ndarray, seeds: int, width: float, left: float) -> str:
    """Which class is taken for which, in images, averaged over seeds."""
    body = [
        drawing.text(0, 14, f"{side}: confusion, images, mean of {seeds} seeds", weight="bold"),
        drawing.text(0, 30, "rows true, columns predicted", colour=QUIET),
        drawing.moved(0, 36, drawing.confusion_cells(names, matrix, left)),
    ]
    told = "; ".join(
        f"{true}: {', '.join(f'{name} {n:.1f}' for name, n in zip(names, row, strict=True))}"
        for true, row in zip(names, matrix, strict=True)
    )
    alt = f"Confusion of {side}, images averaged over {seeds} seeds, predictions of each true class: {told}."
    return drawing.svg(max(width, left + 44 * len(names)), 60 + 44 * len(names), body, alt)


def thumbnail(uri: str, alt: str, right: Sequence[int], chosen: bool, width: int) -> str:
    """A small image with a ring around the chosen one, and below it in how many seeds A and B are right."""
    ring = f"box-shadow:0 0 0 3px {TEXT}" if chosen else f"box-shadow:0 0 0 1px {FAINT}"
    words = " &nbsp; ".join(
        f'<span style="color:{HUES[side]};font-size:10px">{"●" if side == "A" else "■"}</span> {side} {seeds}'
        for side, seeds in zip(SIDES, right, strict=True)
    )
    return (
        f'<div style="width:{width}px;font-size:12px;line-height:1.3;text-align:center;color:{TEXT}">'
        f'<img decoding="sync" alt="{html.escape(alt)}" src="{uri}" style="width:{width}px;height:{width}px;'
        f"object-fit:cover;border-radius:4px;margin:0 0 4px;max-width:none;{ring};"
        f'image-rendering:pixelated">{words}</div>'
    )


def verdict(said: str) -> str:
    """A verdict on B − A, with its sign."""
    return f"{SIGNS[said]} " + {"better": "B better", "worse": "B worse"}.get(said, said)


def change_words(d: Difference) -> str:
    """A difference with its interval."""
    return f"{d.effect:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"


def _key(x: float, y: float, names: Sequence[str]) -> list[str]:
    """Which mark is which method."""
    body = []
    for side, name in zip(SIDES, names, strict=True):
        body.append(drawing.mark(x, y - 4, SHAPES[side], HUES[side]))
        body.append(drawing.text(x + 12, y, f"{side}: {short(name, 34)}", weight="bold"))
        x += 30 + 7.4 * min(len(name) + 3, 37)
    return body


def _label(label: str, y: float, weight: str) -> str:
    return drawing.text(LABELS, y, short(label, 21), "end", weight=weight)


def _ends(row: Row) -> tuple[float, float]:
    return row.difference.low, row.difference.high


def _around_zero(start: float, end: float, values: Sequence[float]) -> Scale:
    """An axis of differences to a round number that all values lie within."""
    largest = max((abs(value) for value in values if np.isfinite(value)), default=0)
    limit = next((limit for limit in (0.1, 0.2, 0.4, 0.6, 0.8) if largest <= limit), 1.0)
    return Scale(start, end, -limit, limit)


def _zero(x: Scale, top: float, bottom: float) -> str:
    return drawing.line(x(0), top, x(0), bottom, TEXT, 1.4)


def _difference(x: Scale, row: Row, y: float) -> list[str]:
    """The mean difference as a diamond, with its interval."""
    effect = row.difference.effect
    if not np.isfinite(effect):
        return []
    return [*whiskers(x, *_ends(row), y), f'<path d="M{x(effect):.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" fill="{TEXT}"/>']
