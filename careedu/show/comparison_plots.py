"""Pictures that set methods side by side: recall of each class, and paired differences seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.show.interval_rows import draw_intervals, draw_seeds, in_words, name_rows, wrap
from careedu.show.style import COLOURS, FAINT, INK, MARKERS, QUIET, Picture, figure, if_rare, of_measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from careedu.experiment.results import Results
    from careedu.experiment.run import Run
    from careedu.measure.intervals import Interval
    from careedu.measure.statistics import Difference, Estimate

TOO_FEW = ("too few seeds", "too few groups")
SIGNS = {
    "better": "▲",
    "worse": "▼",
    "no difference shown": "–",
    **dict(zip(TOO_FEW, "?¿", strict=True)),
    "reference": "ref.",
}
"""A sign for each verdict that differs from the others without colour."""
PANELS_A_ROW, MOST_PANELS_A_ROW = 4, 5
MOST_METHODS = 26
PLAIN, RARE, OVERALL = ((COLOURS[colour], MARKERS[marker]) for colour, marker in ((0, 0), (1, 1), (2, 3)))
"""Looks of the panels: colour and marker."""


@dataclass(frozen=True)
class _Panel:
    """One metric of all methods: estimates with intervals, the reference's, values of single seeds, verdicts."""

    title: str
    found: Sequence[Estimate | Interval]
    line: float
    look: tuple[str, str]
    seeds: Sequence[np.ndarray] = ()
    verdicts: Sequence[str] = ()


def plot_comparison(results: Results, methods: Sequence[str] | None = None) -> Picture:
    """Recall of each class under each method, as dots with 95 % intervals over seeds and test groups.

    One panel a class and one for balanced accuracy (and one for rare recall where several classes are rare), one row a
    method. A tick is one seed; the dotted line is the reference. Beside the rows of balanced accuracy and of rare
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
    rare = results.rare
    kinds = {f"recall of {c}": (if_rare(c, rare), RARE if c in rare else PLAIN) for c in results.classes}
    if len(rare) > 1:
        kinds["rare recall"] = "rare recall (mean)", RARE
    kinds["balanced accuracy"] = of_measured("balanced accuracy", results), OVERALL
    # Where one class is rare, its panel bears the verdicts on rare recall.
    judged = {f"recall of {rare[0]}" if len(rare) == 1 else "rare recall": "rare recall"}
    judged["balanced accuracy"] = "balanced accuracy"
    verdicts = {
        metric: {results.reference: "reference"} | {name: d.verdict for name, d in results.differences(metric).items()}
        for metric in judged.values()
    }
    panels = [
        _Panel(
            title,
            [results.estimate(name, metric) for name in names],
            results.estimate(results.reference, metric).estimate,
            look=look,
            seeds=[results.values_per_seed(name, metric) for name in names],
            verdicts=[verdicts[judged[metric]][name] for name in names] if metric in judged else (),
        )
        for metric, (title, look) in kinds.items()
    ]
    there = {verdict for of in verdicts.values() for verdict in of.values()} - {"reference"}
    with _drawn_panels(names, panels) as fig:
        fig.supxlabel(
            "mean over seeds with 95 % interval over seeds and test groups; ticks: single seeds\n"
            f"Dotted, and compared with: {results.reference}.   "
            + "   ".join(f"{sign} {verdict}" for verdict, sign in SIGNS.items() if verdict in there),
            fontsize=9.5,
        )

        def said(row: int, panel: _Panel, judged: bool) -> str:
            verdict = f", {panel.verdicts[row]}" if panel.verdicts and judged else ""
            return f"{panel.title} {in_words(panel.found[row])}{verdict}"

        told = []
        for row, name in enumerate(names):
            parts = ", ".join(said(row, panel, name != results.reference) for panel in panels)
            told.append(f"{name}{' (reference)' if name == results.reference else ''}: {parts}")
        words = f"mean over {len(results.seeds)} seeds with 95 % interval. {'; '.join(told)}."
        return Picture.of_figure(fig, f"Recall per class and balanced accuracy, {words}")


def plot_methods(runs: Mapping[str, Run], reference: str | None = None) -> Picture:
    """Recall of each class under each method, one training each: one panel a class, dots with 95 % intervals.

    Parameters
    ----------
    runs : mapping of name to Run
        On the same classes and test images.
    reference : str, optional
        The run whose recall is drawn as a dotted line through each panel; by default the first.

    Returns
    -------
    Picture
    """
    if not runs:
        raise InvalidInputError("no run to show")
    reference = next(iter(runs)) if reference is None else reference
    if reference not in runs:
        raise InvalidInputError(f"reference={reference!r} is none of the runs: {', '.join(runs)}")
    classes, rare = runs[reference].classes, runs[reference].rare
    if any(run.classes != classes for run in runs.values()):
        raise InvalidInputError("the runs must be on the same classes to be set side by side")
    intervals = {name: run.recall_intervals() for name, run in runs.items()}
    panels = [
        _Panel(
            if_rare(label, rare),
            [rows[c] for rows in intervals.values()],
            intervals[reference][c].estimate,
            look=RARE if label in rare else PLAIN,
        )
        for c, label in enumerate(classes)
    ]
    with _drawn_panels(list(runs), panels) as fig:
        fig.supxlabel(f"recall with 95 % interval over test images; dotted: {reference}", fontsize=9.5)
        rows = (
            f"{name}: " + ", ".join(f"{c} {in_words(i).split(' (')[0]}" for c, i in zip(classes, found, strict=True))
            for name, found in intervals.items()
        )
        return Picture.of_figure(fig, f"Recall per class and method. {'; '.join(rows)}.")


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
    base = results.values_per_seed(reference, metric)
    single = [results.values_per_seed(name, metric) - base for name in found]
    shown = np.concatenate([*single, [0.0], *([d.low, d.high] for d in found.values())])
    limit = min(1.0, 1.08 * float(np.nanmax(np.abs(shown))) + 0.01)
    names = [wrap(name) for name in found]
    with figure(9.2, 1.3 + 0.42 * len(found) + 0.14 * sum(name.count("\n") for name in names)) as fig:
        axis = fig.subplots()
        draw_seeds(axis, single, QUIET)
        for row, d in enumerate(found.values()):
            half = min(d.smallest, limit)
            axis.barh(row, 2 * half, left=-half, height=0.72, color=FAINT, alpha=0.75, zorder=0)
            look = {"better": (COLOURS[0], MARKERS[2]), "worse": (COLOURS[1], MARKERS[4])}.get(d.verdict, OVERALL)
            draw_intervals(axis, (d.effect, d.low, d.high), [row], *look, size=7)
            p = "" if d.verdict in TOO_FEW else f", p {p_words(d.adjusted_p)}"
            _beside(axis, row, f"{SIGNS[d.verdict]} {d.verdict}{p}", color=INK)
        axis.axvline(0, color=INK, lw=1.2, zorder=1)
        name_rows(axis, names)
        seeds = len(results.seeds)
        axis.set(
            xlim=(-limit, limit),
            title=f"{of_measured(metric, results)}: paired difference to {reference}",
            xlabel=f"mean over {seeds} seeds with 95 % interval; ticks: single seeds\n"
            "grey: differences too small to be found four times in five",
        )
        words = "; ".join(f"{name} {_difference_in_words(d)}" for name, d in found.items())
        return Picture.of_figure(
            fig, f"Paired differences in {of_measured(metric, results)} to {reference} over {seeds} seeds: {words}."
        )


@contextmanager
def _drawn_panels(methods: Sequence[str], panels: Sequence[_Panel]) -> Iterator[Figure]:
    """One panel beside the other, of which the rows are the methods."""
    names = [wrap(name) for name in methods]
    columns = len(panels) if len(panels) <= MOST_PANELS_A_ROW else PANELS_A_ROW
    rows, lines = -(-len(panels) // columns), sum(name.count("\n") + 1 for name in names)
    with figure(min(9.6, 2.1 + 1.9 * columns), 0.8 + rows * (0.62 + 0.27 * lines)) as fig:
        axes = fig.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            if panel.seeds:
                draw_seeds(axis, panel.seeds, panel.look[0])
            found = [(one.estimate, one.low, one.high) for one in panel.found]
            draw_intervals(axis, found, range(len(names)), *panel.look)
            for row, verdict in enumerate(panel.verdicts):
                heavy = verdict in ("better", "worse")
                _beside(axis, row, SIGNS[verdict], color=INK if heavy else QUIET, fontsize=11 if heavy else 9)
            axis.axvline(panel.line, color=QUIET, linestyle=":", lw=1.4, zorder=0)
            axis.set_xlim(-0.04, 1.04)
            axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
            empty = all(np.isnan(one.estimate) for one in panel.found)
            axis.set_title(wrap(f"{panel.title}: no test images" if empty else panel.title, 19))
            name_rows(axis, names)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        yield fig


def _beside(axis: Axes, row: int, text: str, **look: Any) -> None:
    """Write to the right of a row."""
    axis.text(1.03, row, text, transform=axis.get_yaxis_transform(), va="center", **look)


def p_words(p: float) -> str:
    """A p-value as it stands behind its sign."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def _difference_in_words(d: Difference) -> str:
    smallest = f"{d.smallest:.2f}" if np.isfinite(d.smallest) else "none"
    if np.isnan(d.effect):
        return "no test images"
    return (
        f"{d.effect:+.2f} ({d.low:+.2f} to {d.high:+.2f}), {d.verdict}, adjusted p {p_words(d.adjusted_p)}, "
        f"smallest difference that could be shown {smallest}"
    )
