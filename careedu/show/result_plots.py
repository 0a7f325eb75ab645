"""Pictures of results as a whole: which class is taken for which, and how metrics change along a setting.

Such as the dose of attention, or the number of labels, which says what pretraining buys.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.experiment.run import Run
from careedu.measure.metrics import confusion
from careedu.measure.statistics import Estimate
from careedu.show.care.doses import dose_series
from careedu.show.interval_rows import wrap
from careedu.show.style import COLOURS, MARKERS, Picture, figure

MOST_MATRICES = 6
"""So many confusion matrices stand in one picture: it fits a printed page."""
MOST_COUNTED = 9
"""Up to so many classes the numbers stand in the fields of a confusion matrix."""


def plot_confusion(results: Results, methods: Sequence[str] | None = None) -> Picture:
    """Test images by true and predicted class, mean over the seeds: one matrix a method, shaded by share of its row.

    Parameters
    ----------
    results : Results
    methods : sequence of str, optional
        The methods to draw, in this order, six at most; all where not given.

    Returns
    -------
    Picture
        960 pixels wide at most.

    Raises
    ------
    InvalidInputError
        If there is none, or more than six.
    UnknownNameError
        If one is not among the results.
    """
    import seaborn

    names = list(results.methods if methods is None else methods)
    if not 0 < len(names) <= MOST_MATRICES:
        raise InvalidInputError(f"one to {MOST_MATRICES} methods can be drawn, not {len(names)}: name them")
    size = len(results.classes)
    # Long names, or many, have no room below narrow columns: numbers stand there instead.
    short = size * max(map(len, results.classes)) <= 30
    rows = results.classes if short else [wrap(f"{c} {name}", 24) for c, name in enumerate(results.classes, start=1)]
    columns = results.classes if short else range(1, size + 1)
    across = min(len(names), 3 if short else 2)
    down, words = -(-len(names) // across), []
    with figure(min(9.6, 1.6 + across * (2.4 if short else 4.0)), down * (0.75 + max(1.3, 0.36 * size))) as fig:
        axes = fig.subplots(down, across, sharey=True, squeeze=False).ravel()
        for axis in axes[len(names) :]:
            axis.set_axis_off()
        for axis, name in zip(axes, names, strict=False):
            matrix = np.mean([confusion(p, results.labels) for p in results.probabilities(name)], axis=0)
            total = matrix.sum(axis=1, keepdims=True)
            share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
            numbers = {"annot": matrix if size <= MOST_COUNTED else False, "fmt": ".1f", "annot_kws": {"fontsize": 9}}
            look = {"vmin": 0, "vmax": 1, "cmap": "cividis", "cbar": False, "linewidths": 0.8}
            seaborn.heatmap(share, xticklabels=columns, yticklabels=rows, ax=axis, **look, **numbers)
            axis.tick_params(length=0, rotation=0, labelsize=9)
            axis.set_title(wrap(name, 25 if short else 40), fontsize=10)
            words.append(f"{name}: {_confusion_in_words(share, results.classes)}")
        fig.supylabel("true class", fontsize=10)
        fig.supxlabel("predicted class", fontsize=10)
        title = f"Test images by true and predicted class, mean over {len(results.seeds)} seeds"
        return Picture.of_figure(fig, f"{title}. {'. '.join(words)}.")


def _confusion_in_words(share: np.ndarray, classes: Sequence[str]) -> str:
    """Of each class how many are found, and for which other most of the rest are taken."""
    told = []
    for c, name in enumerate(classes):
        wrong = np.delete(np.arange(len(classes)), c)
        other = wrong[share[c, wrong].argmax()]
        taken = f", {share[c, other]:.0%} taken for {classes[other]}" if share[c, other] >= 0.005 else ""
        told.append(f"of {name} {share[c, c]:.0%} found{taken}" if share[c].any() else f"of {name} no test images")
    return "; ".join(told)


def plot_sweep(
    results: Mapping[float, Results],
    setting: str,
    metrics: Sequence[str | Callable[[Results], Mapping[str, Estimate]]] | Mapping[str, Callable[[Run], float]] = (
        "balanced accuracy",
        "rare recall",
    ),
    *,
    intervals: bool = False,
) -> Picture:
    """Means over seeds along a setting, one panel a metric; a faint sign is one seed.

    Parameters
    ----------
    results : mapping of float to Results
        Value of the setting → results there, all of the same methods, seven at most.
    setting : str
        What the horizontal axis is called.
    metrics : sequence of str or callable, or mapping of str to callable
        As `Results.estimate` takes them; or a function that gives estimates by method, none where there is nothing to
        measure, and whose name, with blanks for underscores, is the panel's title. A mapping gives by name what is
        measured of each run, NaN where there is nothing to measure; it has no intervals.
    intervals : bool
        Whether bars in the place of the seeds' signs show 95 % intervals, for other seeds and other test groups.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are fewer than two values, no metric, other methods at another value, or intervals of a mapping.
    """
    import pandas
    import seaborn

    values = sorted(results)
    if len(values) < 2 or not metrics:
        raise InvalidInputError(f"a sweep needs two values and a metric at least, not {values} and {list(metrics)}")
    of_run = metrics if isinstance(metrics, Mapping) else {}
    if of_run and intervals:
        raise InvalidInputError("what is measured of single runs has no intervals: give a function of results instead")
    methods = results[values[0]].methods
    for value in values:
        if results[value].methods != methods or len(methods) > len(COLOURS):
            raise InvalidInputError(
                f"{setting}={value:g} has the methods {', '.join(results[value].methods)}; all must have the same, "
                f"{len(COLOURS)} at most"
            )
    # A little apart, so that the marks of one value do not cover each other.
    apart = 0.012 * (values[-1] - values[0])
    look, words = {"palette": COLOURS[: len(methods)], "markers": MARKERS[: len(methods)]}, []
    with figure(0.4 + 4.2 * len(metrics), 3.4) as fig:
        axes = fig.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            named, rows = isinstance(metric, str), []
            title = metric if named else metric.__name__.replace("_", " ")
            for value in values:
                at, told = results[value], {}
                if not of_run:
                    told = {m: at.estimate(m, metric) for m in methods if intervals} if named else metric(at)
                for k, method in enumerate(methods):
                    place, one = value + apart * (k - (len(methods) - 1) / 2), told.get(method)
                    if of_run:
                        seeds = [of_run[metric](run) for run in at.runs[method].values()]
                    else:
                        seeds = at.values_per_seed(method, metric) if named else [one.estimate if one else np.nan]
                    rows += [(place, method, value, of_seed) for of_seed in seeds]
                    if intervals and one:
                        axis.plot([place, place], [one.low, one.high], color=COLOURS[k], lw=1, alpha=0.6)
            found = pandas.DataFrame(rows, columns=["place", "method", "value", "metric"])
            drawn = {"data": found, "x": "place", "y": "metric", "hue": "method", "style": "method", "ax": axis, **look}
            if named and not intervals:
                seaborn.scatterplot(**drawn, alpha=0.35, s=14, legend=False)
            seaborn.lineplot(**drawn, dashes=False, errorbar=None, lw=1.6, ms=7, mec="none")
            axis.get_legend().remove()
            means = found.groupby(["method", "value"], sort=False)["metric"].mean().unstack()
            for method in methods:
                told = ", ".join(f"{value:g}: {mean:.2f}" for value, mean in means.loc[method].items())
                words.append(f"{title} of {method} at {told}")
            axis.set(ylim=(-0.04, 1.04), xlabel=setting, ylabel="", title=title)
            axis.set_xticks(values, [f"{value:g}" for value in values])
            axis.grid(axis="y")
        handles, columns = axes[0].get_legend_handles_labels(), min(4, 2 * len(axes), len(methods))
        fig.legend(*handles, loc="outside lower center", ncols=columns)
        count = len(results[values[0]].seeds)
        bars = ", bars being 95 % intervals" if intervals else ""
        return Picture.of_figure(fig, f"Means over {count} seeds along {setting}{bars}. {'; '.join(words)}.")


def plot_doses(curves: Mapping[str, tuple[Results, str]]) -> Picture:
    """A metric along the dose of attention, one curve for each set of results, with 95 % intervals.

    Parameters
    ----------
    curves : mapping of str to (Results, str)
        What to call a curve → results with arms of CARE that differ in their dose alone, and a metric as
        `Results.estimate` takes it. Seven at most.

    Returns
    -------
    Picture
        Doses that follow one another stand equally far apart, dose 0 first. The bars are the intervals of
        `Results.estimate`: they cover other seeds and other test groups.

    Raises
    ------
    InvalidInputError
        If there is no curve or too many, or results have fewer than two doses.
    """
    if not 1 <= len(curves) <= len(COLOURS):
        raise InvalidInputError(f"from 1 to {len(COLOURS)} curves can be shown, not {len(curves)}")
    series = {name: dose_series(results) for name, (results, _) in curves.items()}
    if lacking := [name for name, found in series.items() if not found]:
        raise InvalidInputError(f"{lacking[0]}: these results have no two arms of CARE that differ in the dose alone")
    doses, words = sorted({dose for found in series.values() for dose in found}), []
    with figure(6.4, 3.6) as fig:
        axis = fig.subplots()
        for k, (name, (results, metric)) in enumerate(curves.items()):
            found = {f"{dose:g}": results.estimate(arm, metric) for dose, arm in series[name].items()}
            places = [doses.index(dose) for dose in series[name]]
            told = _draw_along(axis, places, found, k, len(curves), f"{name}: {metric}", size=7)
            words.append(f"{name}, {metric}, at dose {told}")
        axis.set_xticks(range(len(doses)), [f"{dose:g}" if dose else "0\nno attention" for dose in doses])
        axis.set(ylim=(-0.03, 1.03), xlabel="dose: attention for each unit of classification, of an image with a box")
        axis.grid(axis="y")
        fig.legend(loc="outside upper left", ncols=1)
        return Picture.of_figure(fig, f"Recall along the dose, with 95 % intervals. {'; '.join(words)}.")


def plot_label_shares(
    sets: Mapping[str, Mapping[str, Results]], metric: str = "balanced accuracy", methods: Sequence[str] | None = None
) -> Picture:
    """A metric along the number of labelled images, one panel a data set, with 95 % intervals.

    Parameters
    ----------
    sets : mapping of str to mapping of str to Results
        Name of a data set → labelled images of each class, in words and in order → results there.
    metric : str
        As `Results.estimate` takes it.
    methods : sequence of str, optional
        Which ones, seven at most; those of the first results where it is left out.

    Returns
    -------
    Picture
        The bars are the intervals of `Results.estimate`: they cover other seeds and other test groups. That of a
        paired difference is narrower.

    Raises
    ------
    InvalidInputError
        If there is no set, or no or too many methods.
    """
    shares = [share for results in sets.values() for share in results]
    methods = next(iter(next(iter(sets.values())).values())).methods if methods is None and shares else methods
    if not shares or not 1 <= len(methods) <= len(COLOURS):
        raise InvalidInputError(f"there must be a set with results, and from 1 to {len(COLOURS)} methods")
    words = []
    with figure(0.8 + 2.7 * len(sets), 3.4) as fig:
        axes = fig.subplots(1, len(sets), sharey=True, squeeze=False)[0]
        for axis, (name, results) in zip(axes, sets.items(), strict=True):
            for k, method in enumerate(methods):
                found = {share: one.estimate(method, metric) for share, one in results.items()}
                label = method if axis is axes[0] else None
                told = _draw_along(axis, range(len(found)), found, k, len(methods), label, size=6)
                words.append(f"{name}, {method}, at {told}")
            axis.set_xticks(range(len(results)), list(results))
            axis.set(title=name, xlabel="labelled images of each class")
            axis.grid(axis="y")
        axes[0].set_ylabel(metric)
        fig.legend(loc="outside upper left", ncols=2)
        return Picture.of_figure(fig, f"{metric} along the number of labels, 95 % intervals. {'; '.join(words)}.")


def _draw_along(
    axis: Axes, places: ArrayLike, found: Mapping[str, Estimate], k: int, curves: int, label: str | None, size: float
) -> str:
    """Draw estimates along an axis with their intervals, joined by a line: the k-th curve of so many; tell them.

    Parameters
    ----------
    axis : Axes
    places : float (n,)
    found : mapping of str to Estimate
        What is told of a place → the estimate there.
    k, curves : int
        Curves stand a little apart, so that the marks of one place do not cover each other.
    label : str or None
        For the legend.
    size : float
        Of the marks, in points.
    """
    mean, low, high = np.array([(one.estimate, one.low, one.high) for one in found.values()]).T
    apart = np.asarray(places) + 0.06 * (k - (curves - 1) / 2)
    look = {"color": COLOURS[k], "marker": MARKERS[k], "ms": size, "mec": "white", "lw": 0.2 * size + 0.2}
    axis.errorbar(apart, mean, np.abs([low - mean, high - mean]), capsize=3, elinewidth=1.2, label=label, **look)
    return ", ".join(f"{what}: {one}" for what, one in found.items())
