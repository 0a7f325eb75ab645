"""The drawings of the feature explorer, as SVG text for the browser."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from careedu.measure.statistics import Estimate
from careedu.show import drawing
from careedu.show.deep_pneumonia.drawings import HIGH, ORDER, WIDE, class_mark, ring
from careedu.show.drawing import FAINT, HUES, QUIET, SHAPES, TEXT, WIDTH, Scale, short
from careedu.show.style import COLOURS

LEFT = 34


def extent(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the plane: where the real features lie, and some room on each side."""
    low, high = real.min(axis=0), real.max(axis=0)
    room = np.maximum(high - low, 1e-6) / 9
    return low - room, high + room


def pixels(places: np.ndarray, corners: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Where features lie in the picture, float (N, 2); what lies outside the plane stands at its edge."""
    low, high = corners
    return (12 + (places - low) / (high - low) * [WIDE - 24, HIGH - 24]).clip(6, [WIDE - 6, HIGH - 6])


def real_points(places: np.ndarray, labels: np.ndarray) -> str:
    """The real features as dots in the colours of their classes."""
    body = f'<rect x="1" y="1" width="{WIDE - 2}" height="{HIGH - 2}" rx="5" fill="none" stroke="{FAINT}"/>'
    for c in np.unique(labels):
        colour = COLOURS[ORDER[c % len(ORDER)]].replace("#000000", TEXT)
        path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in places[labels == c])
        body += f'<path d="{path}" stroke="{colour}" stroke-width="5" stroke-linecap="round" stroke-opacity="0.4"/>'
    return body


def generated_points(places: np.ndarray, labels: np.ndarray) -> str:
    """The generated features, as the marks of their classes."""
    return "".join(class_mark(c, places[labels == c]) for c in np.unique(labels))


def plane(body: Sequence[str], chosen: np.ndarray, nearest: np.ndarray, alt: str) -> str:
    """The plane with the chosen generated feature ringed, and joined with the real one nearest to it."""
    (x, y), (u, v) = chosen, nearest
    joined = f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="{TEXT}" stroke-width="1.3"/>'
    return drawing.svg(WIDE, HIGH, [*body, joined, ring(u, v, 6, 1.3), ring(x, y, 9, 3)], alt)


def curves(
    title: str,
    lines: Mapping[str, tuple[np.ndarray, str]],
    epoch: int,
    about: str,
    level: tuple[str, float] | None = None,
) -> str:
    """Numbers after each epoch of a generator, the present epoch marked.

    Parameters
    ----------
    title : str
    lines : mapping of str to (float (E,), str)
        What each is, its values, and the dashes of its line.
    epoch : int
        From 1.
    about : str
        Whose they are, for the alternative text.
    level : (str, float), optional
        A level to compare with, and what it is.
    """
    values = np.concatenate([own for own, _ in lines.values()])
    # A first epoch, or one that goes astray, may be far above what matters.
    low, top = min(0.0, float(np.quantile(values, 0.01))), float(np.quantile(values, 0.97)) * 1.1
    top = max(top, low + 1e-6, level[1] * 1.1 if level else top)
    x, y = Scale(LEFT, WIDE - 12, 1, max(2, len(next(iter(lines.values()))[0]))), Scale(126, 26, low, top)
    words = {name: f"{name} {own[epoch - 1]:.2f}".replace("-", "−") for name, (own, _) in lines.items()}
    body = [drawing.text(0, 13, title if len(lines) > 1 else f"{title}:{words[next(iter(lines))]}", weight="bold")]
    body += [*y.levels(x, (low, top), room=-5, digits=".2g")]
    body += [drawing.line(x(epoch), y(top) - 4, x(epoch), y(low) + 4, TEXT, 1.4), *x.numbers(142, (1, x.high))]
    for number, (name, (own, dashes)) in enumerate(lines.items()):
        step, at = max(1, len(own) // 130), 70 + 160 * number
        shown, dashed = own.clip(low, top)[::step], f'stroke-dasharray="{dashes}"'
        body.append(drawing.curve(x, y, range(1, len(own) + 1, step), shown, TEXT, 1.5, dashed))
        if len(lines) > 1:
            key = f'<path d="M{at} 9h20" fill="none" stroke="{TEXT}" stroke-width="1.5" {dashed}/>'
            body += [key, drawing.text(at + 25, 13, words[name])]
    if level:
        body += [drawing.dashed(x.start, y(level[1]), x.end, y(level[1]))]
        body.append(drawing.text(x.end - 4, y(level[1]) - 4, level[0], "end", QUIET))
        words[level[0]] = f"{level[0]} {level[1]:.2f}"
    about = f"{title} of {about}, after epoch {epoch} of {len(own)}: {', '.join(words.values())}."
    return drawing.svg(WIDE, 146, body, about)


def amounts(names: Sequence[str], found: Mapping[str, Mapping[float, list[Estimate]]], amount: float) -> str:
    """Recall of each class, and balanced accuracy, by how far classes are filled up, the present amount marked.

    Parameters
    ----------
    names : sequence of str
        Of the panels.
    found : mapping of str to mapping
        By side, amount → estimates of the panels.
    amount : float
    """
    steps, wide = list(found["A"]), WIDTH / max(4, len(names))
    body, told = [], []
    for panel, name in enumerate(names):
        x, y = Scale(panel * wide + 30, (panel + 1) * wide - 16, 0, len(steps) - 1), Scale(150, 46)
        body.append(drawing.text(x.start - 12, 13, short(name, 26), weight="bold"))
        body += y.levels(Scale(x.start - 8, x.end + 8), room=-4)
        at = x(steps.index(amount))
        body.append(drawing.line(at, y(1) - 4, at, y(0) + 4, TEXT, 1.4))
        body += [drawing.text(x(n), 166, f"{step:g}", "middle", QUIET) for n, step in enumerate(steps)]
        for shift, (side, by_amount) in zip((-3, 3), found.items(), strict=True):
            own = [by_amount[step][panel] for step in steps]
            beside = replace(x, start=x.start + shift, end=x.end + shift)
            body.append(drawing.curve(beside, y, range(len(own)), [one.estimate for one in own], HUES[side], 1.5))
            for n, one in enumerate(own):
                low, high = (y(float(np.clip(end, 0, 1))) for end in (one.low, one.high))
                body.append(drawing.line(beside(n), low, beside(n), high, HUES[side], 1.5))
            now = by_amount[amount][panel]
            body.append(drawing.mark(at + shift, y(now.estimate), SHAPES[side], HUES[side]))
            change = drawing.signed_number(now.estimate - by_amount[0][panel].estimate, ".2f")
            words = f"{side} {now.estimate:.2f}" + (f" ({change})" if amount else "")
            body.append(drawing.text(x.start - 12 + (0 if side == "A" else 84), 31, words, colour=HUES[side]))
            told.append(f"{name} {side} {now}" + (f", {change} against nothing generated" if amount else ""))
    alt = (
        f"Recall by amount of generated features ({', '.join(f'{step:g}' for step in steps)}), amount {amount:g} marked"
    )
    return drawing.svg(WIDTH, 172, body, f"{alt}: {'; '.join(told)}.")
