"""What a recall is worth where the disease is rare: precision over recall at several prevalences."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from careedu.errors import InvalidInputError
from careedu.experiment.run import Run
from careedu.measure.intervals import Interval, recall_interval
from careedu.measure.precision import average_precision_interval, positive_predictive_value_interval
from careedu.show.style import COLOURS, MARKERS, Picture, figure

MOST_THRESHOLDS = 60
"""So many points of a precision-recall curve are computed at most."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), "-.", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Dash patterns that go with the colours and marks, for greyscale."""


def plot_prevalence(runs: Mapping[str, Run], prevalences: Sequence[float] = (0.3, 0.1, 0.01)) -> Picture:
    """Precision over recall of the rare class at several prevalences, with 95 % intervals, one panel a run.

    The test images are re-weighted so that the rare class has the stated prevalence. Its own threshold runs along each
    curve, which is stepped since no threshold lies between two images; the band is the 95 % interval of the precision
    at each threshold (pointwise: it is not the whole curve that lies in it 19 times of 20). The mark with bars is where
    the network's own decision (the most probable class) lies. The legend gives the average precision, with [0, 1]
    beside it where the test images are too few to tell. All intervals are those of one trained network over the groups
    of the test images.

    Parameters
    ----------
    runs : mapping of name to Run
    prevalences : sequence of float
        Each in (0, 1), seven at most.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there is no run, the prevalences are none or too many or not in (0, 1), or a run has no test images of the
        rare class or none of the others.
    """
    if not runs or not 0 < len(prevalences) <= len(COLOURS):
        raise InvalidInputError(f"one run or more and one to {len(COLOURS)} prevalences can be shown")
    words = []
    with figure(3.9 * len(runs) + 0.4, 3.6 + 0.2 * len(prevalences)) as fig:
        axes = np.atleast_1d(fig.subplots(1, len(runs), sharey=True))
        for axis, (name, run) in zip(axes, runs.items(), strict=True):
            rare = run.classes.index(run.rare[-1])
            truth = run.labels == rare
            if truth.all() or not truth.any():
                raise InvalidInputError(f"{name}: precision needs test images of {run.classes[rare]} and of others")
            for k, prevalence in enumerate(prevalences):
                said = _draw_precision(axis, run, rare, prevalence, k, len(prevalences))
                words.append(f"{name} at prevalence {_percent(prevalence)}: {said}")
            axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel=f"recall of {run.classes[rare]}")
            axis.set_title(name)
            axis.grid()
            axis.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.17), handlelength=4, title="prevalence: average precision"
            )
        axes[0].set_ylabel("precision (positive predictive value)")
        title = "Precision over recall of the rare class, bands and brackets being 95 % intervals over test images"
        return Picture.of_figure(fig, f"{title}. {'; '.join(words)}.")


def _draw_precision(axis: Axes, run: Run, rare: int, prevalence: float, k: int, of: int) -> str:
    """Draw the k-th curve `of` some with its band and mark, and say it in words."""
    truth, scores = run.labels == rare, run.probabilities[:, rare]
    groups = np.unique(run.groups, return_inverse=True)[1]  # numbers: they are sorted many times

    def precision(called: np.ndarray) -> Interval:
        return positive_predictive_value_interval(called, truth, groups, prevalence)

    # Recall changes where the threshold passes an image of the rare class: there its precision is the best.
    thresholds = np.unique(scores[truth])[::-1]
    rows = np.unique(np.linspace(0, len(thresholds) - 1, MOST_THRESHOLDS).round().astype(int))
    recall = [(scores[truth] >= t).mean() for t in thresholds[rows]]
    estimate, low, high = np.array([precision(scores >= t) for t in thresholds[rows]]).T
    # Each step runs leftwards from its threshold's recall, as average precision counts it.
    steps = {"x": np.r_[0, recall], "step": "pre"}
    axis.fill_between(**steps, y1=np.r_[low[0], low], y2=np.r_[high[0], high], color=COLOURS[k], alpha=0.16, lw=0)
    axis.step(np.r_[0, recall], np.r_[estimate[0], estimate], color=COLOURS[k], lw=1.6, linestyle=DASHES[k])

    called = run.probabilities.argmax(axis=1) == rare
    found, value = recall_interval(called[truth], groups[truth]), precision(called)
    average = average_precision_interval(scores, truth, groups, prevalence)
    # The vertical bars stand at one recall: each is thinner than the one it is drawn upon, so that all are seen.
    width = 1.2 + 1.3 * (of - 1 - k)
    common = {"x": [found.estimate], "y": [value.estimate], "fmt": "none", "ecolor": COLOURS[k]}
    axis.errorbar(**common, yerr=_spread(value), elinewidth=width, capsize=2 + width)
    axis.errorbar(**common, xerr=_spread(found), elinewidth=1.2, capsize=3)
    axis.plot(found.estimate, value.estimate, MARKERS[k], color=COLOURS[k], ms=8, mec="white", zorder=3)
    key = {"color": COLOURS[k], "linestyle": DASHES[k], "marker": MARKERS[k], "mec": "white", "ms": 8, "lw": 1.6}
    axis.plot([], [], **key, label=f"{_percent(prevalence)}: {average}")
    return f"recall {found}, precision {value}, average precision {average}"


def _spread(interval: Interval) -> np.ndarray:
    """Lengths (2, 1) of the bars of one interval."""
    return np.array([[interval.estimate - interval.low], [interval.high - interval.estimate]])


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
