"""Rows of estimates with their intervals, and below each the values of single seeds: what many pictures consist of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


def wrap(name: str, width: int = 26) -> str:
    """A name broken into lines of so many characters."""
    return textwrap.fill(name, width) or name


def in_words(one: Any) -> str:
    """An estimate with its interval, as an alternative text has it."""
    known = f"{one.estimate:.2f} ({one.low:.2f} to {one.high:.2f})"
    return known if one.estimate == one.estimate else "no test images"


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
