"""Pictures that set methods side by side, and that show what a recall is worth where the disease is rare."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from careedu.errors import InvalidInputError
from careedu.experiment.run import Run
from careedu.show.picture import Picture
from careedu.show.style import COLOURS, MARKERS, QUIET, figure


def plot_methods(runs: Mapping[str, Run], reference: str | None = None) -> Picture:
    """Recall of each class under each method: one panel a class, one row a method, dots with 95 % intervals.

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
    classes = runs[reference].classes
    if any(run.classes != classes for run in runs.values()):
        raise InvalidInputError("the runs must be on the same classes to be set side by side")
    intervals = {name: run.recall_intervals() for name, run in runs.items()}
    rare = set(runs[reference].rare)
    names = ["\n".join(textwrap.wrap(name, 28)) for name in runs]
    with figure(9.6, 1.1 + 0.31 * sum(name.count("\n") + 1 for name in names)) as fig:
        axes = np.atleast_1d(fig.subplots(1, len(classes), sharey=True))
        for c, (axis, label) in enumerate(zip(axes, classes, strict=True)):
            estimate, low, high = np.array([rows[c] for rows in intervals.values()]).T
            colour, marker = (COLOURS[1], MARKERS[1]) if label in rare else (COLOURS[0], MARKERS[0])
            spread = np.abs(np.vstack([estimate - low, high - estimate]))
            axis.errorbar(estimate, range(len(names)), xerr=spread, fmt=marker, color=colour, capsize=3, markersize=6)
            axis.axvline(intervals[reference][c].estimate, color=QUIET, linestyle=":", zorder=0)
            axis.set_xlim(-0.03, 1.03)
            axis.set_title(f"{label} (rare)" if label in rare else label)
            axis.grid(axis="x")
            axis.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        fig.supxlabel("recall with 95 % interval over test images", fontsize=10)
        rows = (
            f"{name}: " + ", ".join(f"{label} {i.estimate:.2f}" for label, i in zip(classes, found, strict=True))
            for name, found in intervals.items()
        )
        return Picture.of_figure(fig, f"Recall per class and method. {'; '.join(rows)}.")


def positive_predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of the positive findings that are right: s·π / (s·π + (1−spec)·(1−π)), Bayes' rule.

    Parameters
    ----------
    sensitivity : float
        Recall of the disease.
    specificity : float
        Share of the others that are not called diseased.
    prevalence : float
        π, share of those examined who have the disease.

    Returns
    -------
    float
        NaN where nothing is called diseased at all.
    """
    found, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return found / (found + alarms) if found + alarms > 0 else float("nan")


def plot_prevalence(runs: Mapping[str, Run], prevalences: Sequence[float] = (0.3, 0.1, 0.01)) -> Picture:
    """Precision over recall of the rare class at several prevalences, one panel a run.

    The test images are re-weighted so that the rare class has the stated prevalence; its own threshold runs along each
    curve, and the mark is where the network's own decision (the most probable class) lies.

    Parameters
    ----------
    runs : mapping of name to Run
    prevalences : sequence of float
        Each in (0, 1).

    Returns
    -------
    Picture
    """
    from sklearn.metrics import precision_recall_curve

    words = []
    with figure(3.6 * len(runs) + 0.6, 3.1) as fig:
        axes = np.atleast_1d(fig.subplots(1, len(runs), sharey=True))
        for axis, (name, run) in zip(axes, runs.items(), strict=True):
            rare = run.classes.index(run.rare[-1])
            truth = run.labels == rare
            called = run.probabilities.argmax(axis=1) == rare
            sensitivity, specificity = called[truth].mean(), 1 - called[~truth].mean()
            for k, prevalence in enumerate(prevalences):
                weight = np.where(truth, prevalence / truth.sum(), (1 - prevalence) / (~truth).sum())
                precision, recall, _ = precision_recall_curve(truth, run.probabilities[:, rare], sample_weight=weight)
                # The curve's last point, recall 0 at precision 1, belongs to no threshold.
                axis.plot(recall[:-1], precision[:-1], color=COLOURS[k], lw=1.8, label=f"{prevalence:.0%} have it")
                value = positive_predictive_value(sensitivity, specificity, prevalence)
                axis.plot(sensitivity, value, MARKERS[k], color=COLOURS[k], ms=8, mec="white")
                words.append(f"{name} at prevalence {prevalence:.0%}: recall {sensitivity:.2f}, precision {value:.2f}")
            axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=f"recall of {run.classes[rare]}")
            axis.set_title(name)
            axis.grid()
        axes[0].set_ylabel("precision (positive predictive value)")
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside right upper")
        return Picture.of_figure(fig, f"Precision over recall of the rare class. {'; '.join(words)}.")
