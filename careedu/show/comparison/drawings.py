"""The drawings of the comparison explorer, as SVG and HTML text for the browser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from careedu.show import drawing
from careedu.show.comparison.explorer import Row, Seen
from careedu.show.comparison_plots import SIGNS
from careedu.show.drawing import FAINT, HUES, QUIET, SHAPES, TEXT, WIDTH, whiskers
from careedu.show.widget import SIDES

BAND = "var(--jp-border-color2,#bdbdbd)"
LABELS, RECALLS, DIFFERENCES, VERDICTS = 152, (162, 392), (470, 650), 664
"""Where the names end, the two axes lie and the verdicts begin, in pixels."""


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
    limit = _limit([value for row in rows for value in (row.difference.low, row.difference.high)])

    def share(value: float) -> float:
        return RECALLS[0] + (RECALLS[1] - RECALLS[0]) * value

    def difference(value: float) -> float:
        return _onto(value, limit, DIFFERENCES)

    body = [
        *drawing_key(share(0), 14, names),
        drawing.text(share(0), 40, "mean over seeds, 95 % interval", colour=QUIET),
        drawing.text(difference(0), 40, "paired difference B − A", "middle", QUIET),
    ]
    for number, row in enumerate(rows):
        if row.metric == metric:
            y = top + height * number
            body.append(f'<rect x="0" y="{y}" width="{WIDTH}" height="{height}" rx="5" fill="{BAND}" opacity="0.3"/>')
    body += [drawing.line(share(t), top, share(t), bottom) for t in (0, 0.25, 0.5, 0.75, 1)]
    body += [drawing.text(share(t), bottom + 15, f"{t:g}", "middle", QUIET) for t in (0, 0.5, 1)]
    body += [drawing.line(difference(t), top, difference(t), bottom) for t in (-limit, limit)]
    body.append(drawing.line(difference(0), top, difference(0), bottom, TEXT, 1.4))
    body += [drawing.text(difference(t), bottom + 15, _signed(t), "middle", QUIET) for t in (-limit, 0, limit)]
    told = []
    for number, row in enumerate(rows):
        y = top + height * (number + 0.5)
        chosen = row.metric == metric
        body.append(
            drawing.text(LABELS - 8, y + 4, _short(row.label, 21), "end", weight="bold" if chosen else "normal")
        )
        for side, e, at in (("A", row.a, y - 8), ("B", row.b, y + 8)):
            if np.isfinite(e.estimate):
                body += whiskers(share(e.low), share(e.high), at, HUES[side])
                body.append(drawing.mark(share(e.estimate), at, SHAPES[side], HUES[side]))
                body.append(drawing.text(share(1) + 12, at + 4, f"{e.estimate:.2f}"))
        d = row.difference
        if np.isfinite(d.effect):
            body += whiskers(difference(d.low), difference(d.high), y, TEXT)
            body.append(diamond(difference(d.effect), y))
        body.append(
            drawing.text(VERDICTS, y + 4, verdict(d.verdict), weight="bold" if d.verdict in _HEAVY else "normal")
        )
        told.append(
            f"{row.label}: A {row.a}, B {row.b}, difference {d.effect:+.2f} [{d.low:+.2f}, {d.high:+.2f}], {d.verdict}"
        )
    alt = f"Metrics of A, {names[0]}, and B, {names[1]}, over {seeds} seeds. {'; '.join(told)}."
    return drawing.svg(WIDTH, bottom + 24, body, alt)


def seed_strip(row: Row, values: np.ndarray, adjusted_over: int, reference: str) -> str:
    """The paired difference in one metric: every seed, mean and interval, and what could have been found."""
    d = row.difference
    axis = (162, 650)
    limit = _limit([d.low, d.high, *values])

    def x(value: float) -> float:
        return _onto(value, limit, axis)

    half = min(d.smallest, limit)
    body = [drawing.text(LABELS - 8, 34, _short(row.label, 21), "end", weight="bold")]
    body.append(drawing.text(LABELS - 8, 51, "B − A, seed by seed", "end", QUIET))
    body.append(drawing.text(LABELS - 8, 68, "grey: too small to find", "end", QUIET))
    body.append(
        f'<rect x="{x(-half):.1f}" y="22" width="{x(half) - x(-half):.1f}" height="48" rx="4" fill="{BAND}" '
        'opacity="0.45"/>'
    )
    body.append(drawing.line(*axis[:1], 70, axis[1], 70))
    body += [drawing.text(x(t), 85, _signed(t), "middle", QUIET) for t in (-limit, -limit / 2, 0, limit / 2, limit)]
    body.append(drawing.line(x(0), 18, x(0), 70, TEXT, 1.4))
    for number, value in enumerate(values):
        if np.isfinite(value):
            y = 56 + 5 * (number % 3)
            body.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="3" fill="{TEXT}" fill-opacity="0.45"/>')
    if np.isfinite(d.effect):
        body += whiskers(x(d.low), x(d.high), 36, TEXT)
        body.append(diamond(x(d.effect), 36))
    over = f"Holm over {adjusted_over}" if adjusted_over > 1 else "this pair alone"
    said = [verdict(d.verdict), f"{d.effect:+.2f} [{d.low:+.2f}, {d.high:+.2f}]", f"p {_p(d.adjusted_p)}, {over}"]
    body += [drawing.text(VERDICTS, 26 + 17 * n, line, weight="normal" if n else "bold") for n, line in enumerate(said)]
    smallest = f"±{d.smallest:.2f}" if np.isfinite(d.smallest) else "none"
    body.append(drawing.text(VERDICTS, 77, f"grey: {smallest}", colour=QUIET))
    listed = ", ".join(f"{value:+.2f}" for value in values)
    against = f"compared with {reference} and adjusted for {adjusted_over} methods" if adjusted_over > 1 else over
    alt = (
        f"Seed by seed, difference B − A in {row.label}: {listed}. Mean {said[1]}, {d.verdict}, p {_p(d.adjusted_p)}, "
        f"{against}. Smallest difference that could be found: {smallest}."
    )
    return drawing.svg(WIDTH, 92, body, alt)


def course(seen: dict[str, Seen], epoch: int, epochs: int, label: str, classes: int) -> str:
    """Probability of the true class after each epoch under both sides, the present epoch marked."""
    top, bottom, axis = 28, 100, (162, 780)

    def x(number: float) -> float:
        return axis[0] + (axis[1] - axis[0]) * (number - 1) / max(1, epochs - 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value

    body = [
        drawing.text(LABELS - 8, 50, "probability of", "end"),
        drawing.text(LABELS - 8, 66, _short(label, 21), "end", weight="bold"),
        drawing.text(LABELS - 8, 82, "after each epoch", "end", QUIET),
    ]
    for value in (0, 0.5, 1):
        body.append(drawing.line(axis[0], y(value), axis[1], y(value)))
        body.append(drawing.text(axis[1] + 12, y(value) + 4, f"{value:g}", colour=QUIET))
    body.append(
        f'<line x1="{axis[0]}" y1="{y(1 / classes):.1f}" x2="{axis[1]}" y2="{y(1 / classes):.1f}" stroke="{QUIET}" '
        'stroke-dasharray="2 4"/>'
    )
    body.append(drawing.line(x(epoch), top - 8, x(epoch), bottom + 4, TEXT, 1.4))
    step = max(1, round(epochs / 10))
    ticks = sorted({1, epochs, *(t for t in range(step, epochs, step) if epochs - t > step / 2)})
    body += [drawing.text(x(t), bottom + 18, str(t), "middle", QUIET) for t in ticks]
    told = []
    for side, one in seen.items():
        if one.course is None:
            continue
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(one.course, 1))
        body.append(f'<polyline points="{points}" fill="none" stroke="{HUES[side]}" stroke-width="2"/>')
        body.append(drawing.mark(x(one.epoch), y(one.course[one.epoch - 1]), SHAPES[side], HUES[side]))
        told.append(f"{side} {', '.join(f'{v:.2f}' for v in one.course)}")
    alt = f"Probability of {label} after each epoch, epoch {epoch} marked: {'; '.join(told)}."
    return drawing.svg(WIDTH, 124, body, alt)


def probability_rows(names: Sequence[str], probabilities: np.ndarray, label: int, colour: str, alt: str) -> str:
    """Probability of each class as a bar of its own, the true class in bold."""
    body = []
    for c, (name, value) in enumerate(zip(names, probabilities, strict=True)):
        y, true = 32 * c, c == label
        weight = "bold" if true else "normal"
        body.append(drawing.text(0, y + 12, _short(f"{name}, true" if true else name, 20), weight=weight))
        body.append(drawing.text(164, y + 12, f"{value:.2f}", "end", weight=weight))
        body.append(f'<rect x="0" y="{y + 17}" width="164" height="8" rx="2" fill="{FAINT}" opacity="0.5"/>')
        fill = colour if true else QUIET
        body.append(f'<rect x="0" y="{y + 17}" width="{164 * value:.1f}" height="8" rx="2" fill="{fill}"/>')
    return drawing.svg(164, 32 * len(names), body, alt)


def drawing_key(x: float, y: float, names: Sequence[str]) -> list[str]:
    """Which mark is which method."""
    body = []
    for side, name in zip(SIDES, names, strict=True):
        body.append(drawing.mark(x, y - 4, SHAPES[side], HUES[side]))
        body.append(drawing.text(x + 12, y, f"{side}: {_short(name, 34)}", weight="bold"))
        x += 30 + 7.4 * min(len(name) + 3, 37)
    return body


def diamond(x: float, y: float) -> str:
    """The mark of a difference."""
    return f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" fill="{TEXT}"/>'


def verdict(said: str) -> str:
    """A verdict on B − A, with its sign."""
    return f"{SIGNS[said]} " + {"better": "B better", "worse": "B worse"}.get(said, said)


_HEAVY = ("better", "worse")


def _limit(values: Sequence[float]) -> float:
    """A round number that all values lie within."""
    finite = [abs(value) for value in values if np.isfinite(value)]
    return next((end for end in (0.1, 0.2, 0.4, 0.6, 0.8) if max(finite, default=0) <= end), 1.0)


def _onto(value: float, limit: float, axis: tuple[int, int]) -> float:
    return (axis[0] + axis[1]) / 2 + (axis[1] - axis[0]) / 2 * value / limit


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.2g}".replace("-", "−")


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
