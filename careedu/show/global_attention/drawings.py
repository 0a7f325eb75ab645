"""The drawings of the spatial explorer, and its verdict in words."""

from collections.abc import Sequence

import numpy as np

from careedu.measure.intervals import Interval
from careedu.measure.statistics import FEWEST_SEEDS, Difference, Estimate
from careedu.show import drawing
from careedu.show.comparison_plots import SIGNS
from careedu.show.global_attention.maps import MEAN, METRICS, SpatialMap

PICTURE = 145
"""Width of a picture: five of them with their margins fill the widget."""


def measures(look: SpatialMap, rival: float, rival_name: str, no_zone: str) -> str:
    """What a map and its arm score, with intervals, on axes from 0 to 1.

    Parameters
    ----------
    look : SpatialMap
    rival : float
        Mean AUROC of what the map has to beat, marked by a hollow square; NaN where there is none.
    rival_name : str
    no_zone : str
        Why there is no AUROC; empty where there is one.
    """
    x, height = drawing.Scale(8, PICTURE - 8), 60
    rows = {"AUROC, all seeds": look.over_seeds, **{metric: look.metrics.get(metric) for metric in METRICS}}
    body = x.numbers(height * len(rows) + 11)
    for number, (name, interval) in enumerate(rows.items()):
        top = height * number
        body += [*x.grid(top + 36, top + height - 4), drawing.text(0, top + 13, name, colour=drawing.QUIET)]
        body.append(drawing.text(0, top + 29, interval_words(interval), weight="bold"))
        if interval is not None:
            body += drawing.estimate(x, interval, top + 46, "A")
        if not number and np.isfinite(rival) and look.role != MEAN:
            body.append(drawing.mark(x(rival), top + 46, "square", drawing.TEXT, filled=False))
    alt = f"{look.role}: {in_words(look, no_zone, rival, rival_name)}."
    return drawing.svg(PICTURE, height * len(rows) + 18, body, alt)


def interval_words(interval: Interval | Estimate | None) -> str:
    """An interval in few letters, or that nothing is known; of one seed there is none."""
    if interval is None or not np.isfinite(interval.estimate):
        return "not known"
    return str(interval) if np.isfinite(interval.high) else f"{interval.estimate:.2f}, one seed"


def in_words(look: SpatialMap, no_zone: str, rival: float, rival_name: str) -> str:
    """All that is measured of a map and its arm."""
    if look.map is None and not look.metrics:
        return look.about
    seeds = f"{len(look.aurocs)} seed{'s' * (len(look.aurocs) != 1)}"
    told = [f"AUROC against the lesion zones {interval_words(look.over_seeds)} over {seeds}"]
    if no_zone:
        told = [f"AUROC of the trained map not known ({no_zone})"]
    if np.isfinite(rival) and look.role != MEAN:
        told.append(f"hollow square: {rival_name}, {rival:.2f}")
    told += [f"{metric} {estimate}" for metric, estimate in look.metrics.items()]
    if look.role == MEAN and not look.metrics:
        told.append("no network was trained with it here")
    return "; ".join(told)


def range_words(shown: np.ndarray) -> str:
    """What a map's colours mean: blue is its lowest value, yellow its highest."""
    low, high = f"{shown.min():.3f}", f"{shown.max():.3f}"
    return f"flat at {low}" if low == high else f"{low} to {high}"


def verdicts(looks: Sequence[SpatialMap], rival: float, negative: bool) -> list[tuple[str, str]]:
    """Whether each arm's map beats the mean image: a sign and a sentence, of those arms that can be compared.

    Parameters
    ----------
    looks : sequence of SpatialMap
    rival : float
        Mean AUROC of the mean image, or of its negative.
    negative : bool
        Whether it is the negative's.
    """
    return [
        (SIGNS[look.against_mean.verdict], verdict_words(look.role, look.against_mean, rival, negative))
        for look in looks
        if look.against_mean is not None
    ]


def verdict_words(role: str, against: Difference, rival: float, negative: bool) -> str:
    """Whether a map beats the mean image, in a sentence that claims no more than the interval allows."""
    beats = "beats" if against.verdict == "better" else "does not beat"
    scores = f"{'its negative scores' if negative else 'AUROC'} {rival:.2f}"
    seeds = f"{against.seeds} seed{'s' * (against.seeds != 1)}"
    # Three digits: a difference of a few thousandths is one here, and its interval may exclude zero or not.
    effect, low, high = (drawing.signed_number(value, ".3f") for value in (against.effect, against.low, against.high))
    change = f"{effect} [{low}, {high}]" if np.isfinite(against.high) else f"{effect}, no interval"
    said = f"{role}: the map {beats} the mean image ({scores}): difference {change}, {seeds}"
    if against.verdict == "too few seeds":
        return f"{said}. Fewer than {FEWEST_SEEDS} show nothing either way."
    worse = " It scores worse." if against.verdict == "worse" else ""
    return f"{said}, adjusted p = {against.adjusted_p:.3f}.{worse}"


def reach_words(images: int, cells: int) -> str:
    """How many images there are for so many pixels, and what follows for the pixel classifier."""
    enough, few = "in general the pixel classifier reaches any map", "some maps are out of the pixel classifier's reach"
    sign, words = ("≥", f"{enough}, like a free mask") if images >= cells else ("<", few)
    return f"N = {images} images {sign} {cells} pixels: {words}"
