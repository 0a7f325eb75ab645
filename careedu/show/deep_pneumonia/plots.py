"""What pretraining buys: a metric along the number of labels, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.show.interval_rows import draw_along
from careedu.show.picture import Picture
from careedu.show.style import COLOURS, figure


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
                found = [one.estimate(method, metric) for one in results.values()]
                label = method if axis is axes[0] else None
                draw_along(axis, range(len(found)), found, k, len(methods), label, size=6)
                told = ", ".join(f"{share}: {one}" for share, one in zip(results, found, strict=True))
                words.append(f"{name}, {method}, at {told}")
            axis.set_xticks(range(len(results)), list(results))
            axis.set(title=name, xlabel="labelled images of each class")
            axis.grid(axis="y")
        axes[0].set_ylabel(metric)
        fig.legend(loc="outside upper left", ncols=2)
        return Picture.of_figure(fig, f"{metric} along the number of labels, 95 % intervals. {'; '.join(words)}.")
