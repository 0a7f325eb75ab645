"""The drawings of the distractor viewer, as SVG and HTML text for the browser."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from careedu.show import drawing
from careedu.show.drawing import FAINT, HUES, QUIET, SHAPES, TEXT, Scale, short
from careedu.show.style import LESION, MARK

# Where the cells of a confusion matrix begin below its title, and how large `confusion_cells` draws them.
LEFT, TOP, CELL = 74, 40, 44
COURSE = 394


def outlines_key() -> str:
    """Which line is drawn around what."""
    lines = {"lesion": (("#000", 4), (LESION, 2)), "look-alike": (("#000", 7.5), (MARK, 6), ("#000", 1.6))}
    told = ""
    for name, strokes in lines.items():
        drawn = "".join(drawing.line(0, 9, 30, 9, *stroke) for stroke in strokes)
        told += f'<svg aria-hidden="true" width="30" height="14" >{drawn}</svg> {name} &emsp; '
    return f'<div style="padding:0 9px;color:{TEXT}">{told}(a patch with the texture of another class)</div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """What is told of an image beside it: names, and their values in bold."""
    told = "".join(f"<div>{html.escape(name)}: <b>{html.escape(value)}</b></div>" for name, value in rows)
    return f'<div style="font-size:12px;line-height:17px;color:{TEXT};overflow-wrap:anywhere">{told}</div>'


def shares(title: str, rows: Sequence[tuple[str, float, str]], bold: int = -1) -> str:
    """Names and shares, as parts of a bar that is the whole, the row at place `bold` in bold; NaN is not known."""
    told = f'<div style="font-weight:bold;margin-top:4px">{html.escape(title)}</div>'
    for n, (name, value, colour) in enumerate(rows):
        style = "display:flex;align-items:center;gap:5px" + ";font-weight:bold" * (n == bold)
        bar = f"width:46px;height:10px;background:linear-gradient(to right,{colour} {value:.1%},{FAINT} 0)"
        words = f'<span style="{bar}"></span>{value:.0%}' if np.isfinite(value) else "not known"
        told += f'<div style="{style}"><span style="width:74px">{html.escape(name)}</span>{words}</div>'
    return f'<div style="font-size:12px;line-height:17px;color:{TEXT}">{told}</div>'


def confusion(
    side: str, about: str, names: Sequence[str], matrix: np.ndarray, chosen: np.ndarray, here: Sequence[int]
) -> str:
    """A confusion matrix: `chosen` cells (first row, first column), (rows, columns) are framed, `here` is the image."""
    body = drawing.confusion_cells([short(name, 11) for name in names], matrix, LEFT)
    (y, x), (height, width) = CELL * chosen
    size = f'width="{width}" height="{height}" rx="5"'
    body.append(f'<rect x="{LEFT + x}" y="{18 + y}" {size} fill="none" stroke="{TEXT}" stroke-width="2.5"/>')
    body.append(drawing.mark(LEFT + CELL * here[1] + 35, 27 + CELL * here[0], SHAPES[side], TEXT))
    title = drawing.text(0, 13, f"{side}: rows true, columns predicted", weight="bold")
    told = "; ".join(f"{name} {', '.join(map(str, row))}" for name, row in zip(names, matrix.tolist(), strict=True))
    alt = f"Confusion matrix of {side}, {about}; rows true, columns predicted, in the same order: {told}."
    size = CELL * len(names) + 2
    return drawing.svg(LEFT + size, TOP + size, [title, drawing.moved(0, TOP - 18, body)], alt)


def course(curves: Mapping[str, Sequence[np.ndarray]], epochs: Sequence[int], epoch: int, margin: float) -> str:
    """Distance to the distractor after each epoch, of an image and the mean of all, epoch and margin marked."""
    # The axis stays as it is while the margin is moved, but for margins that few images reach.
    top = 1 if max(margin, *(float(values.max()) for values, _ in curves.values())) <= 1 else 2
    x, y = Scale(14, COURSE - 34, epochs[0], max(epochs[-1], epochs[0] + 1)), Scale(150, 30, 0, top)
    size = f'width="{x.end - x.start}" height="{y(0) - y(margin):.1f}"'
    body = [f'<rect x="{x.start}" y="{y(margin):.1f}" {size} fill="{FAINT}" fill-opacity="0.45"/>']
    body.append(drawing.text(x.start, 13, "Distance to the distractor, by epoch", weight="bold"))
    body.append(drawing.text(COURSE, 13, "thin: mean of all images", "end", QUIET))
    body += [*y.levels(x, (0, top / 2, top)), drawing.dashed(x.start, y(margin), x.end, y(margin))]
    body.append(drawing.text(x.start + 5, y(top) + 14, f"grey: nearer than the margin, {margin:g}", colour=QUIET))
    body += [drawing.line(x(epoch), y(top) - 6, x(epoch), y(0) + 4, TEXT, 1.4), *x.numbers(168, epochs)]
    told = []
    for side, both in curves.items():
        widths = zip(both, (2.4, 1), strict=True)
        body += [drawing.curve(x, y, epochs, values, HUES[side], width) for values, width in widths]
        body.append(drawing.mark(x(epoch), y(both[0][epochs.index(epoch)]), SHAPES[side], HUES[side]))
        own, mean = (", ".join(f"{v:.2f}" for v in values) for values in both)
        told.append(f"{side} {own} (mean of all images {mean})")
    at = ", ".join(map(str, epochs))
    alt = f"Distance to the distractor after epochs {at}; epoch {epoch} marked, margin {margin:g}: {'; '.join(told)}."
    return drawing.svg(COURSE, 174, body, alt)
