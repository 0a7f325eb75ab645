"""`compare`: methods × seeds in, a comparison out that can be read, shown, moved and handed on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results

if TYPE_CHECKING:
    import pandas

    from careedu.data.dataset import Splits
    from careedu.experiment.store import RunStore
    from careedu.methods.method import Method
    from careedu.show.comparison.view import ComparisonView
    from careedu.show.style import Picture


def compare(
    data: Splits,
    methods: Mapping[str, Method | str] | Sequence[Method | str],
    *,
    seeds: int | Sequence[int] = 10,
    n_jobs: int = 1,
    store: str | os.PathLike | RunStore | None = None,
    threads: int | None = None,
    reference: str | None = None,
    progress: bool = True,
    **fit_options: Any,
) -> Comparison:
    """Train several methods with several seeds on equal footing, and compare them.

    Seed s redraws the thinned or generated training images and the initialisation, alike for all methods: results are
    paired. Validation and test images are the same throughout.

    Parameters
    ----------
    data : Splits
    methods : sequence of Method or str, or mapping of name to Method
        The first is the reference, unless `reference` says otherwise.
    seeds : int or sequence of int
        A number n stands for 0 to n − 1. Under six no difference can be shown; six show one, and none of several after
        Holm's correction. Ten are enough for a family of 25.
    n_jobs : int
        Trainings at a time on this machine. On a cluster, leave it at 1 and call inside
        ``joblib.parallel_config("dask")`` or ``("ray")``.
    store : path, optional
        A folder where every finished run is saved at once and found again: a stopped comparison goes on where it was.
        Without it nothing is saved.
    threads : int, optional
        torch's threads of each training, 1 by default; part of what its bits depend on.
    reference : str, optional
        Name of the method that the others are compared with.
    progress : bool
    **fit_options
        Of `careedu.fit`: model, epochs, batch_size, …

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        If an argument does not fit.
    StorageError
        If the store cannot be written to.

    Examples
    --------
    >>> data = load("phantom-skin", imbalance=10)
    >>> comparison = compare(data, ["cross-entropy", "logit-adjusted"], seeds=10, n_jobs=2, store="runs")
    >>> comparison.table()
    """
    from careedu.experiment.grid import name_methods, train_grid

    named = name_methods(methods)
    if reference is not None and reference not in named:
        raise InvalidInputError(f"reference={reference!r} is none of the methods: {', '.join(named)}")
    runs = train_grid(
        data, named, seeds=seeds, n_jobs=n_jobs, store=store, threads=threads, progress=progress, **fit_options
    )
    return Comparison(runs, reference=reference, data=data)


class Comparison(Results):
    """Results of several methods, to be read as a table, a picture, a widget or a report. Made like `Results`."""

    def summary(
        self, metrics: Sequence[str] = ("rare recall", "balanced accuracy"), reference: str | None = None
    ) -> pandas.DataFrame:
        """The table to be read: of each metric mean and interval, and how it stands against the reference.

        Parameters
        ----------
        metrics : sequence of str
        reference : str, optional

        Returns
        -------
        DataFrame
            Of text, one row a method. `table` has the numbers.
        """
        import pandas

        against, columns = self.reference if reference is None else reference, {}
        for metric in metrics:
            found = self.differences(metric, against)
            known = {name: d for name, d in found.items() if d.effect == d.effect}  # else there are no test images
            told = {name: f"{d.effect:+.2f} [{d.low:+.2f}, {d.high:+.2f}], {d.verdict}" for name, d in known.items()}
            signed = [told.get(name, "").replace("-", "−") for name in self.methods]
            columns[metric] = [_unbroken(str(self.estimate(name, metric))) for name in self.methods]
            columns[f"{metric}, against {against}"] = list(map(_unbroken, signed))
        return pandas.DataFrame(columns, index=pandas.Index(self.methods, name="method"))

    def plot(self, methods: Sequence[str] | None = None) -> Picture:
        """Recall of each class under each method, as dots with 95 % intervals over seeds and test groups."""
        from careedu.show.comparison_plots import plot_comparison

        return plot_comparison(self, methods)

    def widget(self, a: str | None = None, b: str | None = None) -> ComparisonView:
        """Two methods side by side: metrics, confusion, images on which they differ, class maps, epochs."""
        from careedu.show.comparison import ComparisonExplorer, ComparisonView

        return ComparisonView(ComparisonExplorer(self, a, b))

    def report(self, path: str | os.PathLike) -> Path:
        """Write one self-contained HTML page: methods, data, seeds, versions, figures, tables, limits, recipe."""
        from careedu.show.report import write_report

        return write_report(self, Path(path))


def _unbroken(text: str) -> str:
    """The text with its interval on one line, and the number before it."""
    number, bracket, rest = text.partition("]")
    return number.replace(" ", "\N{NO-BREAK SPACE}") + bracket + rest
