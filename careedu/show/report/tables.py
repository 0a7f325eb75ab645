"""The tables of a report: methods, data, settings, metrics with intervals, differences with verdicts."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from careedu.data.phantom_splits import PHANTOMS
from careedu.data.sources import SOURCES
from careedu.experiment.results import MAIN_METRICS, Results
from careedu.methods import METHODS, method_class
from careedu.show.report.recipe import loop_settings
from careedu.show.report.words import DASH, out_of_reach, p_value, plain, signed

COLUMNS = 5
"""Columns of numbers that fit the width of a printed page."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Parameters
    ----------
    text : str
    detail : str
        A second, smaller line.
    values : tuple of float
        The numbers behind the text, in full, so that they can be read back from the page.
    kind : str
        A class of the style sheet.
    """

    text: str
    detail: str = ""
    values: tuple[float, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table of which the first cell of each row is the row's heading.

    Parameters
    ----------
    caption : str
    head : sequence of str
        Headings of all columns, that of the row headings included.
    rows : sequence of sequence of Cell or str
    kind : str
        A class of the style sheet.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    kind: str = "numbers"


def methods_table(results: Results) -> Table:
    """One row a method: name in tables, what it is, where it comes from, options, revision."""
    rows = []
    for name, by_seed in results.runs.items():
        method = next(iter(by_seed.values())).configuration["method"]
        rows.append(
            [
                Cell(
                    name + (" (reference)" if name == results.reference else ""),
                    "" if method["label"] == name else method["label"],
                ),
                METHODS[method["name"]][2] if method["name"] in METHODS else "a method that is not careedu's",
                source_of(method["name"]),
                Cell(", ".join(f"{k}={_option(v)}" for k, v in method["options"].items()) or DASH, kind="options"),
                method["revision"],
            ]
        )
    head = ["method", "what it is", "source", "options", "revision"]
    return Table("The methods, with all their options", head, rows, "stack")


def source_of(name: str) -> str:
    """The papers that the method's documentation names; a dash where there is none."""
    if name not in METHODS:
        return DASH
    text = " ".join(inspect.getdoc(method_class(name)).split("\n\n")[0].split())
    # A bracket with a year or an arXiv number is a reference; that of the one-line description is shorter.
    for where in (text, METHODS[name][2]):
        found = re.findall(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*|[^()]*arXiv[^()]*)\)", where)
        if found:
            return "; ".join(found)
    return "our choice" if "our choice" in text else DASH


def counts_table(results: Results) -> Table:
    """One row a class: images in training (range over seeds), validation and test, and groups of test images."""
    first = results.first
    by_seed = results.runs[results.reference].values()
    train = np.array([run.configuration["data"]["train counts"] for run in by_seed])
    val = np.bincount(first.validation_labels, minlength=len(results.classes))
    rows = []
    for c, name in enumerate(results.classes):
        of_class = results.labels == c
        low, high = train[:, c].min(), train[:, c].max()
        images = [f"{low}" if low == high else f"{low} to {high}", f"{val[c]}", f"{of_class.sum()}"]
        rows.append([f"{name} (rare)" if name in results.rare else name, *images])
        rows[-1].append(f"{len(np.unique(results.groups[of_class]))}")
    head = ["class", "training", "validation", "test", "test groups"]
    return Table("Images of each class, those of training as a range over the seeds", head, rows)


def data_facts(results: Results) -> dict[str, str]:
    """What the images are, whose they are, and how they were made."""
    data = results.first.configuration["data"]
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
    made = flat({key: value for key, value in data["recipe"].items() if key != "redraw"})
    known["recipe"] = ", ".join(f"{key}: {value}" for key, value in made.items() if value != DASH)
    seeds_of: dict[str, dict[int, None]] = {}
    for runs in results.runs.values():
        for seed, run in runs.items():
            seeds_of.setdefault(run.configuration["data"]["fingerprint"], {})[seed] = None
    prints = (f"{one} (seed {', '.join(map(str, seeds))})" for one, seeds in seeds_of.items())
    return {**known, "fingerprint of all splits": ", ".join(prints)}


def settings(results: Results) -> dict[str, str]:
    """Every setting of the loop; several values where runs differ."""
    values = {name: " | ".join(map(_option, found)) for name, found in loop_settings(results).items()}
    prefix = "augmentation: "
    moved = [f"{name.removeprefix(prefix)} {values.pop(name)}" for name in list(values) if name.startswith(prefix)]
    return {**values, "augmentation": ", ".join(moved)}


def versions(results: Results) -> dict[str, str]:
    """Versions of what the numbers depend on; several where runs differ."""
    found: dict[str, dict[str, None]] = {}
    for by_seed in results.runs.values():
        for run in by_seed.values():
            for name, version in run.configuration["versions"].items():
                found.setdefault(name, {})[version] = None
    return {name: " | ".join(values) for name, values in found.items()}


def estimates_tables(results: Results, frame: pandas.DataFrame) -> list[Table]:
    """Mean over seeds and 95 % interval of every metric: the main ones, then the recall of each class."""
    recalls = [f"recall of {label}" for label in results.classes]
    # Evenly: six columns are three and three, not five and one.
    chunks = np.array_split(recalls, math.ceil(len(recalls) / COLUMNS))
    tables = []
    for title, metrics in [("Main metrics", MAIN_METRICS), *(("Recall of each class", chunk) for chunk in chunks)]:
        rows = [
            [name, *(_estimate(*frame.loc[name, metric][["mean", "low", "high"]]) for metric in metrics)]
            for name in results.methods
        ]
        head = ["method", *(str(metric).removeprefix("recall of ") for metric in metrics)]
        tables.append(Table(f"{title}: mean over seeds, 95 % interval below it", head, rows, "numbers names"))
    return tables


def differences_tables(results: Results, frame: pandas.DataFrame) -> list[Table]:
    """One table a metric: each method less the reference, adjusted p, verdict, what could have been found."""
    metrics = [*MAIN_METRICS, *(f"recall of {label}" for label in results.classes)]
    head = ["method", "verdict", "difference", "p (Holm)", "detectable"]
    compared = [name for name in results.methods if name != results.reference]
    never = out_of_reach(results)
    tables = []
    for metric in metrics if compared else ():
        rows = []
        for name in compared:
            found = frame.loc[name, metric]
            effect, low, high = found["difference"], found["difference low"], found["difference high"]
            verdict, smallest = found["verdict"], found["smallest"]
            rows.append(
                [
                    name,
                    Cell(verdict, kind=verdict if verdict in ("better", "worse") else ""),
                    Cell(signed(effect), f"[{signed(low)}, {signed(high)}]", values=(effect, low, high)),
                    Cell(p_value(found["p"]), values=(found["p"],)),
                    "none" if never else Cell(plain(smallest, 3), values=(smallest,)),
                ]
            )
        less = " (less is better)" if metric == "calibration error" else ""
        tables.append(Table(f"{metric}{less}: difference to {results.reference}", head, rows))
    return tables


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested JSON values as one level of names and texts."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}: ")
        else:
            found[f"{prefix}{name}"] = _option(value)
    return found


def _estimate(mean: float, low: float, high: float) -> Cell:
    return Cell(plain(mean), f"[{plain(low)}, {plain(high)}]", values=(mean, low, high))


def _option(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = {key: part for key, part in value.items() if key != "method"}
        text = ", ".join(f"{key}={_option(part)}" for key, part in inner.items())
        inside = f"({text})" if text else ""
        return f"{value['method']}{inside}" if "method" in value else f"{{{text}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_option, value))}]"
    return {True: "yes", False: "no", None: DASH}[value] if value is None or isinstance(value, bool) else str(value)
