"""A comparison as one page that needs nothing beside itself: no network, no script, no other file."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from careedu.errors import InvalidInputError
from careedu.experiment.results import MAIN_METRICS, Results
from careedu.files import write_bytes
from careedu.show.comparison_plots import plot_comparison, plot_differences
from careedu.show.report import facts, words
from careedu.show.report.recipe import loop_settings, recipe
from careedu.show.report.words import number
from careedu.show.result_plots import MOST_MATRICES, plot_confusion
from careedu.show.style import Picture, of_measured

COLUMNS = 5
"""Columns of numbers that fit the width of a printed page."""
# Whatever a template puts into a page is escaped, and a name that is not there is an error.
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["of_measured"] = of_measured
_TEMPLATES.globals |= {name: getattr(words, name) for name in ("number", "p_value", "plain", "signed")}
_TEMPLATES.globals |= {"told": facts, "words": words}


def write_report(comparison: Results, path: Path) -> Path:
    """Write a comparison as one HTML page: methods, data, seeds, versions, figures, tables, limits, recipe.

    Parameters
    ----------
    comparison : Results
    path : Path
        Of the file, which must end in ``.html`` or ``.htm`` and is replaced where it exists. Missing folders are made.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInputError
        If `path` is a folder or has another ending.
    StorageError
        If it cannot be written. What stood there stands.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; name a file in it, for instance {path / 'report.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidInputError(f"a report is an HTML page; name it {path.with_name(path.name + '.html').name!r}")
    content = report_page(comparison)
    write_bytes(path, content)
    return path


def report_page(results: Results) -> bytes:
    """The page itself, UTF-8. The same results give the same bytes.

    Parameters
    ----------
    results : Results

    Returns
    -------
    bytes
    """
    groups = words.groups_of_classes(results)
    recalls = [f"recall of {label}" for label in results.classes]
    parts = [part.tolist() for part in np.array_split(np.array(recalls, dtype=object), -(-len(recalls) // COLUMNS))]
    page = _TEMPLATES.get_template("page.html").render(
        title=f"{number(len(results.methods), 'method')} on {results.first.configuration['data']['name']}",
        version=version("careedu"),
        results=results,
        notes=_notes(results),
        duration=_duration(sum(run.seconds for runs in results.runs.values() for run in runs.values())),
        figures=_figures(results),
        # Evenly: six columns are three and three, not five and one.
        estimates=[("Main metrics", MAIN_METRICS), *(("Recall of each class", part) for part in parts)],
        differences=[*MAIN_METRICS, *recalls] if len(results.methods) > 1 else [],
        confusions=_confusions(results),
        fewest=min(groups, key=groups.get),
        groups=groups,
        recipe=recipe(results),
    )
    return page.encode("utf-8", errors="replace")


def _notes(results: Results) -> list[str]:
    """What a reader has to know before anything else."""
    notes = []
    if results.provenance.get("exploratory"):
        notes.append("These runs are exploratory: they look around and prove nothing.")
    unlike = [name for name, values in loop_settings(results).items() if len(values) > 1]
    if needed := words.out_of_reach(results):
        have, m = number(len(results.seeds), "seed"), number(len(results.methods) - 1, "comparison")
        notes.append(f"With {have} and {m} no difference can be shown, however large; it takes {needed} seeds.")
    if unlike:
        notes.append(f"Not all methods were trained alike; they differ in: {', '.join(unlike)}.")
    more = {name: max(len(run.pretraining) for run in runs.values()) for name, runs in results.runs.items()}
    if told := ", ".join(f"{name} {n}" for name, n in more.items() if n):
        notes.append(f"Some methods had epochs that are counted apart: {told}.")
    for seed in results.seeds:
        if len({runs[seed].configuration["data"]["fingerprint"] for runs in results.runs.values()}) > 1:
            notes.append(f"With seed {seed} not all methods had the same images: more than the methods differs.")
    return notes


def _figures(results: Results) -> dict[str, Picture]:
    """Caption to picture."""
    shown = {"Recall of each class under each method, with 95 % intervals.": plot_comparison(results)}
    for metric in reversed(words.JUDGED) if len(results.methods) > 1 else ():
        caption = f"Difference in {metric} to {results.reference}, paired, with 95 % intervals."
        shown[caption] = plot_differences(results, metric=metric)
    return shown


def _confusions(results: Results) -> dict[str, Picture]:
    """Caption to picture, some methods each."""
    names = results.methods
    parts = [names[start : start + MOST_MATRICES] for start in range(0, len(names), MOST_MATRICES)]
    return {f"Confusion under {', '.join(part)}.": plot_confusion(results, part) for part in parts}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
