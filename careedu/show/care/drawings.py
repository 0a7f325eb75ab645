"""The drawings of the attention microscope, and what it measures in words."""

import numpy as np

from careedu.show import drawing
from careedu.show.care.microscope import Look
from careedu.show.drawing import HUES, QUIET, SHAPES, Scale
from careedu.show.style import MARK

PICTURE, ON_MARK = 256, "on the mark"


def energy(side: str, method: str, look: Look, chance: float, mark_chance: float = np.nan) -> str:
    """Shares of the map inside and outside the lesion and on the mark, and what a map that knows nothing has there."""
    hue = HUES[side]
    rows = [("inside", look.inside, hue, 1), ("outside", look.outside, QUIET, 0), ("chance", chance, QUIET, 0.35)]
    known = np.isfinite(mark_chance)
    if known:
        # Of no mark and of the whole image there is nothing to be measured.
        rows.append((ON_MARK, look.mark if 0 < mark_chance < 1 else np.nan, MARK, 1))
    x, bottom = Scale(74 if known else 62, 212), 20 + 24 * len(rows)
    body = [drawing.text(0, 13, f"{side}: share of the map's mass", weight="bold"), *x.grid(20, bottom)]
    body += x.numbers(bottom + 15)
    for number, (name, value, colour, fill) in enumerate(rows):
        y, weight = 32 + 24 * number, "normal" if number else "bold"
        body.append(drawing.text(x(0) - 8, y + 4, name, "end", weight=weight))
        if not np.isfinite(value):
            why = {(ON_MARK, 0): "no mark here", (ON_MARK, 1): "the whole image"}.get((name, mark_chance), "not known")
            body.append(drawing.text(x(0) + 8, y + 4, why, colour=QUIET))
            continue
        size, style = f'width="{x(value) - x(0):.1f}" height="12"', f'fill="{colour}" fill-opacity="{fill}"'
        body.append(f'<rect x="{x(0):g}" y="{y - 6}" {size} {style} stroke="{colour}"/>')
        if not number:
            body.append(drawing.mark(x(value), y, SHAPES[side], hue))
        body.append(drawing.text(224, y + 4, f"{value:.2f}", weight=weight))
        if name == ON_MARK:
            body.append(drawing.dashed(x(mark_chance), y - 10, x(mark_chance), y + 10))
    if np.isfinite(chance) and np.isfinite(look.inside):
        body.append(drawing.dashed(x(chance), 22, x(chance), 90))
    body.append(drawing.text(0, bottom + 36, f"Maximum of the map: {pointing_words(look.pointing)}"))
    body.append(drawing.text(0, bottom + 54, f"Probability of the true class {number_words(look.probability)}"))
    alt = f"Energy of {side}, {method}: {in_words(look, chance, mark_chance)}."
    return drawing.svg(PICTURE, bottom + 60, body, alt)


def pointing_words(hit: float) -> str:
    """The pointing game, in words."""
    if not np.isfinite(hit):
        return "not known"
    return {1.0: "in the lesion", 0.0: "beside the lesion"}.get(hit, f"{hit:.0%} in the lesion")


def number_words(value: float) -> str:
    """A number, or that nobody knows it."""
    return f"{value:.2f}" if np.isfinite(value) else "not known"


def mark_words(mark_chance: float) -> str:
    """Whether the image is marked, where that is known."""
    if np.isnan(mark_chance):
        return ""
    return {0: "without a mark", 1: "its mark is the whole image"}.get(mark_chance, "with a mark")


def in_words(look: Look, chance: float, mark_chance: float = np.nan) -> str:
    """All that is measured of a map."""
    shares = "share inside the lesion not known"
    if np.isfinite(look.inside):
        shares = f"inside the lesion {look.inside:.2f}, outside {look.outside:.2f}, by chance {chance:.2f} inside"
    if 0 < mark_chance < 1 and np.isfinite(look.mark):
        shares += f"; on the mark {look.mark:.2f}, by chance {mark_chance:.2f}"
    rest = f"maximum {pointing_words(look.pointing)}; probability of the true class {number_words(look.probability)}"
    return f"{shares}; {rest}"
