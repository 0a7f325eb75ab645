"""Pictures of a comparison: recall of each class under each method, and paired differences seed by seed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from careedu.errors import InvalidInputError
from careedu.measure.leave_one_out import metric_without
from careedu.show.picture import Picture
from careedu.show.style import COLOURS, FAINT, INK, MARKERS, QUIET, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from careedu.experiment.results import Results
    from careedu.measure.statistics import Difference, Estimate

SIGNS = {"better": "▲", "worse": "▼", "no difference shown": "–", "too few seeds": "?", "reference": "ref."}
"""A sign for each verdict that differs from the others without colour."""
PANELS_A_ROW, MOST_PANELS_A_ROW = 4, 5
MOST_METHODS = 26


def values_per_seed(results: Results, method: str, metric: str) -> np.ndarray:
    """A metric of each seed's run.

    Parameters
    ----------
    results : Results
    method : str
    metric : str
        As `Results.estimate` takes it.

    Returns
    -------
    float64 (S,)
        In the order of ``results.seeds``; NaN where the test images do not define the metric.
    """
    everything = np.zeros(len(results.labels), dtype=np.int64)
    probabilities = results.probabilities(method)
    name = results.metric(metric)
    return metric_without(name, probabilities, results.labels, everything, results.rare_indices)[0]


def plot_comparison(results: Results, methods: Sequence[str] | None = None) -> Picture:
    """Recall of each class under each method, as dots with 95 % intervals over seeds and test groups.

    One panel a class and one for balanced accuracy (and one for rare recall where several classes are rare), one row a
    method. A faint dot is one seed; the dotted line is the reference. Beside the rows of balanced accuracy and of rare
    recall stands the verdict on the paired difference to the reference. It is Holm-adjusted over all methods of the
    comparison, whichever of them are drawn.

    Parameters
    ----------
    results : Results
    methods : sequence of str, optional
        The methods to draw, in this order; all where not given.

    Returns
    -------
    Picture
        960 pixels wide at most.

    Raises
    ------
    InvalidInputError
        If there is none or one twice, or more than 26.
    UnknownNameError
        If one is not among the results.
    """
    names = list(results.methods if methods is None else methods)
    if not 0 < len(names) <= MOST_METHODS or len(set(names)) != len(names):
        raise InvalidInputError(f"one to {MOST_METHODS} different methods can be drawn, not {names}")
    panels = _panels(results)
    found = {metric: [results.estimate(name, metric) for name in names] for metric in panels}
    judged = {metric: results.differences(_judged_as(results, metric)) for metric in panels if _judged(results, metric)}
    shown = [_wrap(name) for name in names]
    columns = len(panels) if len(panels) <= MOST_PANELS_A_ROW else PANELS_A_ROW
    rows = -(-len(panels) // columns)
    lines = sum(name.count("\n") + 1 for name in shown)
    with figure(min(9.6, 2.1 + 1.9 * columns), 0.8 + rows * (0.62 + 0.27 * lines)) as fig:
        axes = fig.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axis, (metric, title) in zip(axes, panels.items(), strict=False):
            rare = metric.removeprefix("recall of ") in results.rare or metric == "rare recall"
            style = (COLOURS[1], MARKERS[1]) if rare else (COLOURS[0], MARKERS[0])
            if metric == "balanced accuracy":
                style = COLOURS[2], MARKERS[3]
            for row, name in enumerate(names):
                _draw_row(axis, row, found[metric][row], values_per_seed(results, name, metric), style)
                if metric in judged:
                    _draw_sign(axis, row, _verdict(judged[metric], name))
            line = results.estimate(results.reference, metric).estimate
            axis.axvline(line, color=QUIET, linestyle=":", lw=1.4, zorder=0)
            axis.set(xlim=(-0.04, 1.04), ylim=(len(names) - 0.5, -0.5))
            axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
            axis.set_title("\n".join(textwrap.wrap(title, 19)))
            axis.grid(axis="x")
            axis.tick_params(axis="y", length=0)
            axis.set_yticks(range(len(names)), shown)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        fig.supxlabel(
            "mean over seeds with 95 % interval over seeds and test groups; faint: single seeds\n"
            f"Dotted, and compared with: {results.reference}.   " + "   ".join(_legend(judged.values())),
            fontsize=9.5,
        )
        return Picture.of_figure(fig, _in_words(results, names, panels, found, judged))


def plot_differences(results: Results, metric: str = "rare recall", reference: str | None = None) -> Picture:
    """Paired differences of one metric, every other method less the reference: seed by seed, mean and 95 % interval.

    The grey band reaches to the smallest true difference that would have been found four times in five: where it is
    wide, "no difference shown" says little.

    Parameters
    ----------
    results : Results
    metric : str
        A name of `careedu.measure.metrics.METRICS`, or "recall of" and the name of a class.
    reference : str, optional
        The results' own where not given.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there is no other method.
    UnknownNameError
        If there is no such metric or reference.
    """
    reference = results.reference if reference is None else reference
    found = results.differences(metric, reference)
    if not found:
        raise InvalidInputError(f"there is no method to compare {reference!r} with; give careedu.compare two or more")
    base = values_per_seed(results, reference, metric)
    single = {name: values_per_seed(results, name, metric) - base for name in found}
    reach = max(abs(value) for d in found.values() for value in (d.low, d.high))
    limit = min(
        1.0, 1.08 * max([reach, *(float(np.nanmax(np.abs([*values, 0]))) for values in single.values())]) + 0.01
    )
    shown = [_wrap(name) for name in found]
    with figure(9.2, 1.3 + 0.42 * len(found) + 0.14 * sum(name.count("\n") for name in shown)) as fig:
        axis = fig.subplots()
        for row, (name, d) in enumerate(found.items()):
            half = min(d.smallest, limit)
            axis.fill_betweenx([row - 0.36, row + 0.36], -half, half, color=FAINT, alpha=0.75, lw=0, zorder=0)
            axis.plot(single[name], _spread_out(row, len(base)), "o", color=QUIET, alpha=0.55, ms=3.5, mew=0)
            colour, marker = _look(d)
            _draw_interval(axis, row, d.effect, d.low, d.high, colour, marker, 7)
            said = f"{SIGNS[d.verdict]} {d.verdict}" + (
                "" if d.verdict == "too few seeds" else f", p {_p(d.adjusted_p)}"
            )
            axis.text(1.02, row, said, transform=axis.get_yaxis_transform(), va="center", color=INK)
        axis.axvline(0, color=INK, lw=1.2, zorder=1)
        axis.set(xlim=(-limit, limit), ylim=(len(found) - 0.5, -0.5))
        axis.set_yticks(range(len(found)), shown)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")
        axis.set_title(f"{metric}: paired difference to {reference}")
        seeds = len(results.seeds)
        axis.set_xlabel(
            f"mean over {seeds} seeds with 95 % interval; small dots: single seeds\n"
            "grey: differences too small to be found four times in five"
        )
        words = "; ".join(f"{name} {_difference_in_words(d)}" for name, d in found.items())
        return Picture.of_figure(fig, f"Paired differences in {metric} to {reference} over {seeds} seeds: {words}.")


@cache
def _panels(results: Results) -> dict[str, str]:
    """Metric and title of each panel."""
    titles = {f"recall of {c}": f"{c} (rare)" if c in results.rare else c for c in results.classes}
    if len(results.rare) > 1:
        titles["rare recall"] = "rare recall (mean)"
    return titles | {"balanced accuracy": "balanced accuracy"}


def _judged(results: Results, metric: str) -> bool:
    """Whether a panel shows verdicts: balanced accuracy and rare recall, which one rare class stands for."""
    return metric in ("balanced accuracy", "rare recall") or [metric] == [f"recall of {c}" for c in results.rare]


def _judged_as(results: Results, metric: str) -> str:
    return metric if metric == "balanced accuracy" else "rare recall"


def _verdict(differences: dict[str, Difference], name: str) -> str:
    return differences[name].verdict if name in differences else "reference"


def _draw_row(axis: Axes, row: int, e: Estimate, values: np.ndarray, style: tuple[str, str]) -> None:
    axis.plot(values, _spread_out(row, len(values)), "o", color=style[0], alpha=0.25, ms=2.6, mew=0, zorder=1)
    if np.isfinite(e.estimate):
        _draw_interval(axis, row, e.estimate, e.low, e.high, *style, 6)


def _draw_interval(axis: Axes, row: int, mean: float, low: float, high: float, colour: str, mark: str, ms: int) -> None:
    spread = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
    axis.errorbar([mean], [row], xerr=spread, fmt=mark, color=colour, ms=ms, elinewidth=1.6, capsize=3, zorder=3)


def _draw_sign(axis: Axes, row: int, verdict: str) -> None:
    heavy = verdict in ("better", "worse")
    axis.text(
        *(1.03, row, SIGNS[verdict]),
        transform=axis.get_yaxis_transform(),
        va="center",
        color=INK if heavy else QUIET,
        fontsize=11 if heavy else 9,
    )


def _look(d: Difference) -> tuple[str, str]:
    """Colour and marker of a difference by its verdict."""
    return {"better": (COLOURS[0], MARKERS[2]), "worse": (COLOURS[1], "v")}.get(d.verdict, (COLOURS[2], MARKERS[3]))


def _legend(judged: Sequence[dict[str, Difference]]) -> list[str]:
    there = {d.verdict for differences in judged for d in differences.values()}
    return [f"{SIGNS[verdict]} {verdict}" for verdict in SIGNS if verdict in there]


def _spread_out(row: int, n: int) -> np.ndarray:
    """Heights of the dots of `n` seeds below the mark of a row, so that few cover each other."""
    return row + 0.2 + 0.16 * (np.arange(n) % 3 - 1) / 2


def _wrap(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 26)) or name


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def _difference_in_words(d: Difference) -> str:
    smallest = f"{d.smallest:.2f}" if np.isfinite(d.smallest) else "none"
    return (
        f"{d.effect:+.2f} ({d.low:+.2f} to {d.high:+.2f}), {d.verdict}, adjusted p {_p(d.adjusted_p)}, "
        f"smallest difference that could be shown {smallest}"
    )


def _in_words(
    results: Results,
    names: Sequence[str],
    panels: dict[str, str],
    found: dict[str, list[Estimate]],
    judged: dict[str, dict[str, Difference]],
) -> str:
    told = []
    for row, name in enumerate(names):
        parts = []
        for metric, title in panels.items():
            e = found[metric][row]
            verdict = f", {_verdict(judged[metric], name)}" if metric in judged and name != results.reference else ""
            parts.append(f"{title} {e.estimate:.2f} ({e.low:.2f} to {e.high:.2f}){verdict}")
        told.append(f"{name}{' (reference)' if name == results.reference else ''}: {', '.join(parts)}")
    seeds = len(results.seeds)
    return f"Recall per class and balanced accuracy, mean over {seeds} seeds with 95 % interval. {'; '.join(told)}."
