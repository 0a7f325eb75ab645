"""What the dose of attention does: recall along the dose, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.show.care.doses import dose_series
from careedu.show.interval_rows import draw_along
from careedu.show.picture import Picture
from careedu.show.style import COLOURS, figure


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
    doses = sorted({dose for found in series.values() for dose in found})
    words = []
    with figure(6.4, 3.6) as fig:
        axis = fig.subplots()
        for k, (name, (results, metric)) in enumerate(curves.items()):
            found = [results.estimate(arm, metric) for arm in series[name].values()]
            places = [doses.index(dose) for dose in series[name]]
            draw_along(axis, places, found, k, len(curves), f"{name}: {metric}", size=7)
            told = ", ".join(f"{dose:g}: {one}" for dose, one in zip(series[name], found, strict=True))
            words.append(f"{name}, {metric}, at dose {told}")
        axis.set_xticks(range(len(doses)), [f"{dose:g}" if dose else "0\nno attention" for dose in doses])
        axis.set(ylim=(-0.03, 1.03), xlabel="dose: attention for each unit of classification, of an image with a box")
        axis.grid(axis="y")
        fig.legend(loc="outside upper left", ncols=1)
        return Picture.of_figure(fig, f"Recall along the dose, with 95 % intervals. {'; '.join(words)}.")
