"""A picture of how metrics change with one setting, for several methods at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from careedu.errors import InvalidInputError
from careedu.show.comparison_plots import values_per_seed
from careedu.show.picture import Picture
from careedu.show.style import COLOURS, MARKERS, figure

if TYPE_CHECKING:
    from careedu.experiment.results import Results


def plot_sweep(
    results: Mapping[float, Results], setting: str, metrics: Sequence[str] = ("balanced accuracy", "rare recall")
) -> Picture:
    """Means over seeds along a setting, one panel a metric; a faint sign is one seed.

    There are no intervals: a sweep has few seeds and is there to look around.

    Parameters
    ----------
    results : mapping of float to Results
        Value of the setting → results there, all of the same methods, seven at most.
    setting : str
        What the horizontal axis is called.
    metrics : sequence of str
        As `Results.estimate` takes them.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are fewer than two values, no metric, or other methods at another value.
    """
    values = sorted(results)
    if len(values) < 2 or not metrics:
        raise InvalidInputError(f"a sweep needs two values and a metric at least, not {values} and {list(metrics)}")
    methods = results[values[0]].methods
    for value in values:
        if results[value].methods != methods or len(methods) > len(COLOURS):
            raise InvalidInputError(
                f"{setting}={value:g} has the methods {', '.join(results[value].methods)}; all must have the same, "
                f"{len(COLOURS)} at most"
            )
    apart = 0.012 * (values[-1] - values[0])
    words = []
    with figure(0.4 + 4.2 * len(metrics), 3.4) as fig:
        axes = fig.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            for k, method in enumerate(methods):
                seeds = [values_per_seed(results[value], method, metric) for value in values]
                means = [float(np.mean(found)) for found in seeds]
                x = np.array(values) + apart * (k - (len(methods) - 1) / 2)
                axis.plot(x, means, color=COLOURS[k], marker=MARKERS[k], lw=1.6, label=method)
                for place, found in zip(x, seeds, strict=True):
                    axis.scatter([place] * len(found), found, s=10, color=COLOURS[k], alpha=0.35, marker=MARKERS[k])
                told = ", ".join(f"{value:g}: {mean:.2f}" for value, mean in zip(values, means, strict=True))
                words.append(f"{metric} of {method} at {told}")
            axis.set(ylim=(-0.04, 1.04), xlabel=setting, title=metric)
            axis.set_xticks(values, [f"{value:g}" for value in values])
            axis.grid(axis="y")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(methods)))
        count = len(results[values[0]].seeds)
        return Picture.of_figure(fig, f"Means over {count} seeds along {setting}. {'; '.join(words)}.")
