"""A comparison as one page that needs nothing beside itself: no network, no script, no other file."""

from __future__ import annotations

from pathlib import Path

from careedu import __version__
from careedu.data.phantom_splits import PHANTOMS
from careedu.data.sources import SOURCES
from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.files import write_bytes
from careedu.show.comparison_plots import plot_comparison, plot_differences
from careedu.show.report import tables
from careedu.show.report.layout import bullets, code, escape, facts, figure, notice, page, paragraph, section
from careedu.show.report.recipe import loop_settings, recipe
from careedu.show.report.words import DASH, few_groups, limits, number, out_of_reach, summary

_CONTENTS = ("Summary", "Methods", "Data", "Training", "Figures", "Results", "Differences", "Confusion", "Limits")


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
        If `path` is a folder, has another ending or cannot be written; nothing is written then.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; name a file in it, for instance {path / 'report.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidInputError(f"a report is an HTML page; name it {path.with_name(path.name + '.html').name!r}")
    content = report_page(comparison)
    try:
        write_bytes(path, content)
    except OSError as error:
        raise InvalidInputError(f"the report cannot be written to {path}: {error}") from error
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
    frame = results.table()
    n, data = len(results.methods), results.first.configuration["data"]
    compared = n > 1
    title = f"{number(n, 'method')} on {data['name']}"
    names = [name for name in _CONTENTS if compared or name != "Differences"]
    links = "".join(f'<li><a href="#{name.lower()}">{name}</a></li>' for name in [*names, "Again"])
    header = (
        f'<header><p class="eyebrow">careedu {escape(__version__)} · comparison of methods</p>\n'
        f"<h1>{escape(title)}</h1>\n"
        + paragraph(
            f"{number(len(results.seeds), 'seed')}, {number(len(results.classes), 'class')}, "
            f"{number(len(results.labels), 'test image')}. Reference: {results.reference}.",
            "quiet",
        )
        + f'\n<nav aria-label="Contents"><ul>{links}</ul></nav></header>'
    )
    sections = [
        section("summary", "Summary", *_notices(results), *map(paragraph, summary(results))),
        section("methods", "Methods", tables.methods_table(results)),
        _data_section(results),
        _training_section(results),
        _figures(results),
        section(
            "results",
            "Results",
            paragraph(
                "Each number is the mean over the seeds. The interval covers what other seeds and other test groups "
                "(patients, runs of slices, or single images) would do to it. Of the calibration error less is better."
            ),
            tables.estimates_tables(results, frame),
        ),
    ]
    if compared:
        sections.append(
            section(
                "differences",
                "Differences",
                paragraph(
                    f"Each method less {results.reference}, paired by seed and test image, with its 95 % interval. "
                    "“Better” and “worse” stand where the interval excludes zero and p, adjusted by Holm for the "
                    "number of methods in the same table, is at most 0.05. A true difference must be at least about as "
                    "large as “detectable” to be found four times in five, and somewhat larger where there are several "
                    "methods; “none” means that no difference could have been shown."
                ),
                tables.differences_tables(results, frame),
            )
        )
    sections += [
        section(
            "confusion",
            "Confusion",
            paragraph(
                "Test images by true class (rows) and predicted class (columns), mean over the seeds. The deeper the "
                "shade, the larger the share of the row."
            ),
            tables.confusion_tables(results),
        ),
        section("limits", "Limits", notice("Few test groups", few_groups(results)), bullets(limits(results))),
        _again(results),
    ]
    return page(title, header, sections)


def _notices(results: Results) -> list[str]:
    """What a reader has to know before anything else."""
    notes = []
    if results.provenance.get("exploratory"):
        notes.append("These runs are exploratory: they look around and prove nothing.")
    unlike = [name for name, values in loop_settings(results).items() if len(values) > 1]
    if needed := out_of_reach(results):
        have, m = number(len(results.seeds), "seed"), number(len(results.methods) - 1, "comparison")
        notes.append(f"With {have} and {m} no difference can be shown, however large; it takes {needed} seeds.")
    if unlike:
        notes.append(f"Not all methods were trained alike; they differ in: {', '.join(unlike)}.")
    for seed in results.seeds:
        if len({runs[seed].configuration["data"]["fingerprint"] for runs in results.runs.values()}) > 1:
            notes.append(f"With seed {seed} not all methods had the same images: more than the methods differs.")
    return [notice("These runs may be out of date", results.outdated()), notice("Please note", notes)]


def _data_section(results: Results) -> str:
    data = results.first.configuration["data"]
    made = {k: v for k, v in data["recipe"].items() if k != "redraw"}
    name = str(data["name"])
    shape = " × ".join(map(str, data["image shape"]))
    known = {"name": name, "rare classes": ", ".join(results.rare), "image": f"{shape} (channels × height × width)"}
    if name in PHANTOMS:
        known["what it is"] = PHANTOMS[name]
    elif name in SOURCES:
        source = SOURCES[name]
        known |= {"what it is": source.line, "citation": source.citation}
        known["licence"] = f"{source.licence}; see data/README.md of careedu"
    else:
        known["licence"] = "not known to careedu, which has not made these images; see data/README.md on named sets"
    known["recipe"] = ", ".join(f"{key}: {value}" for key, value in tables.flat(made).items() if value != DASH)
    seeds_of: dict[str, list[str]] = {}
    for runs in results.runs.values():
        for seed, run in runs.items():
            seeds = seeds_of.setdefault(run.configuration["data"]["fingerprint"], [])
            if str(seed) not in seeds:
                seeds.append(str(seed))
    known["fingerprint of all splits"] = ", ".join(f"{one} (seed {', '.join(s)})" for one, s in seeds_of.items())
    return section(
        "data",
        "Data",
        tables.counts_table(results),
        paragraph(
            "Validation and test images are the same for all seeds. Training images that are generated or thinned are "
            "drawn anew for each seed, alike for all methods.",
            "quiet",
        ),
        facts("What the images are and how they were made", known),
    )


def _training_section(results: Results) -> str:
    seconds = sum(run.seconds for runs in results.runs.values() for run in runs.values())
    seeds = ", ".join(map(str, results.seeds))
    kept = tables.flat(results.provenance)
    return section(
        "training",
        "Training",
        paragraph(
            f"Seeds: {seeds}. Seed s sets the first weights, the order of the images and their augmentation, alike for "
            f"all methods. All trainings together took {_duration(seconds)}."
        ),
        tables.settings_list(results),
        tables.versions_list(results),
        facts("Where these results come from", kept) if kept else "",
    )


def _figures(results: Results) -> str:
    shown = [figure(plot_comparison(results), "Recall of each class under each method, with 95 % intervals.")]
    if len(results.methods) > 1:
        for metric in ("balanced accuracy", "rare recall"):
            caption = f"Difference in {metric} to {results.reference}, paired, with 95 % intervals."
            shown.append(figure(plot_differences(results, metric=metric), caption))
    return section("figures", "Figures", *shown)


def _again(results: Results) -> str:
    command = results.provenance.get("command")
    return section(
        "again",
        "How to make it again",
        paragraph(
            "These lines make the table of this page again: with the versions above on the same kind of processor bit "
            "for bit (from saved results as far as float32 goes), elsewhere about. For several cores add n_jobs=2, and "
            'to be able to stop and go on add store="runs"; neither changes a number.'
        ),
        paragraph(f"In careedu itself: {command}") if isinstance(command, str) else "",
        code(recipe(results)),
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
