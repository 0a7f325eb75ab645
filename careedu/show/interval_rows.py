"""Rows of estimates with their intervals, and below each the values of single seeds: what many pictures consist of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from careedu.show.style import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from careedu.measure.statistics import Estimate


def wrap(name: str, width: int = 26) -> str:
    """A name broken into lines of so many characters."""
    return textwrap.fill(name, width) or name


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Name the rows of an axis from top to bottom, and leave room for each."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")


def draw_intervals(
    axis: Axes,
    found: ArrayLike,
    rows: ArrayLike,
    colour: str,
    marker: str,
    *,
    size: float = 6,
    label: str | None = None,
) -> None:
    """Draw estimates as marks, each with its interval.

    Parameters
    ----------
    axis : Axes
    found : float (n, 3)
        Estimate, low and high; a NaN estimate is left out.
    rows : float (n,)
        Their heights.
    colour, marker : str
    size : float
        Of the mark, in points.
    label : str, optional
        For the legend.
    """
    estimate, low, high = np.asarray(found, dtype=np.float64).reshape(-1, 3).T
    spread = np.abs([estimate - low, high - estimate])
    style = {"fmt": marker, "color": colour, "markersize": size, "elinewidth": 1.6, "capsize": 3, "zorder": 3}
    axis.errorbar(estimate, rows, xerr=spread, label=label, **style)


def draw_along(
    axis: Axes, places: ArrayLike, found: Sequence[Estimate], k: int, curves: int, label: str | None, size: float
) -> None:
    """Draw estimates along an axis with their intervals, joined by a line: the k-th curve of so many.

    Parameters
    ----------
    axis : Axes
    places : float (n,)
    found : sequence of Estimate
    k, curves : int
        Curves stand a little apart, so that the marks of one place do not cover each other.
    label : str or None
        For the legend.
    size : float
        Of the marks, in points.
    """
    mean, low, high = np.array([(one.estimate, one.low, one.high) for one in found]).T
    apart = np.asarray(places) + 0.06 * (k - (curves - 1) / 2)
    look = {"color": COLOURS[k], "marker": MARKERS[k], "ms": size, "mec": "white", "lw": 0.2 * size + 0.2}
    axis.errorbar(apart, mean, np.abs([low - mean, high - mean]), capsize=3, elinewidth=1.2, label=label, **look)


def draw_seeds(axis: Axes, values: Sequence[np.ndarray], colour: str) -> None:
    """Draw the values of single seeds as a strip of ticks below the estimate of their row.

    Parameters
    ----------
    axis : Axes
    values : sequence of float (S,)
        One a row.
    colour : str
    """
    # Not seaborn's strip: it takes from numpy's global random numbers even where nothing is jittered.
    below = np.arange(len(values)) + 0.32
    axis.eventplot(values, lineoffsets=below, linelengths=0.24, linewidths=1, colors=colour, alpha=0.5, zorder=1)
