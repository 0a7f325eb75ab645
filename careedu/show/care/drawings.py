"""The drawings of the attention microscope, and what it measures in words."""

from __future__ import annotations

import numpy as np

from careedu.show import drawing
from careedu.show.care.microscope import Look
from careedu.show.drawing import HUES, QUIET, SHAPES, Scale

PICTURE = 256


def energy(side: str, method: str, look: Look, chance: float) -> str:
    """Shares of the map inside and outside the lesion, and what a map that knows nothing has inside."""
    x, hue = Scale(62, 212), HUES[side]
    body = [drawing.text(0, 13, f"{side}: share of the map's mass", weight="bold"), *x.grid(20, 92), *x.numbers(107)]
    rows = (("inside", look.inside, hue, 1), ("outside", look.outside, QUIET, 0), ("chance", chance, QUIET, 0.35))
    for number, (name, value, colour, fill) in enumerate(rows):
        y, weight = 32 + 24 * number, "normal" if number else "bold"
        body.append(drawing.text(54, y + 4, name, "end", weight=weight))
        if not np.isfinite(value):
            body.append(drawing.text(70, y + 4, "not known", colour=QUIET))
            continue
        body.append(
            f'<rect x="62" y="{y - 6}" width="{x(value) - 62:.1f}" height="12" fill="{colour}" fill-opacity="{fill}" '
            f'stroke="{colour}"/>'
        )
        if not number:
            body.append(drawing.mark(x(value), y, SHAPES[side], hue))
        body.append(drawing.text(224, y + 4, f"{value:.2f}", weight=weight))
    if np.isfinite(chance) and np.isfinite(look.inside):
        body.append(drawing.dashed(x(chance), 22, x(chance), 90))
    body.append(drawing.text(0, 128, f"Maximum of the map: {pointing_words(look.pointing)}"))
    body.append(drawing.text(0, 146, f"Probability of the true class {number_words(look.probability)}"))
    return drawing.svg(PICTURE, 152, body, f"Energy of {side}, {method}: {in_words(look, chance)}.")


def pointing_words(hit: float) -> str:
    """The pointing game, in words."""
    if not np.isfinite(hit):
        return "not known"
    return {1.0: "in the lesion", 0.0: "beside the lesion"}.get(hit, f"{hit:.0%} in the lesion")


def number_words(value: float) -> str:
    """A number, or that nobody knows it."""
    return f"{value:.2f}" if np.isfinite(value) else "not known"


def in_words(look: Look, chance: float) -> str:
    """All that is measured of a map."""
    shares = "share inside the lesion not known"
    if np.isfinite(look.inside):
        shares = f"inside the lesion {look.inside:.2f}, outside {look.outside:.2f}, by chance {chance:.2f} inside"
    rest = f"maximum {pointing_words(look.pointing)}; probability of the true class {number_words(look.probability)}"
    return f"{shares}; {rest}"
