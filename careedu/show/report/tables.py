"""The tables of a report: methods, data, settings, metrics with intervals, differences with verdicts, confusion."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from careedu.experiment.results import MAIN_METRICS, Results
from careedu.methods import METHODS, method_class
from careedu.show.report.layout import Cell, facts, table
from careedu.show.report.recipe import loop_settings
from careedu.show.report.words import DASH, out_of_reach, p_value, plain, signed

COLUMNS = 5
"""Columns of numbers that fit the width of a printed page."""


def methods_table(results: Results) -> str:
    """One row a method: name in tables, what it is, where it comes from, options, revision."""
    rows = []
    for name, by_seed in results.runs.items():
        method = next(iter(by_seed.values())).configuration["method"]
        line = METHODS[method["name"]][2] if method["name"] in METHODS else "a method that is not careedu's"
        label = "" if method["label"] == name else method["label"]
        role = " (reference)" if name == results.reference else ""
        options = ", ".join(f"{key}={_option(value)}" for key, value in method["options"].items())
        rows.append(
            [
                Cell(name + role, label),
                line,
                source_of(method["name"]),
                Cell(options or DASH, kind="options"),
                method["revision"],
            ]
        )
    head = ["method", "what it is", "source", "options", "revision"]
    return table("The methods, with all their options", head, rows, "stack")


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


def counts_table(results: Results) -> str:
    """One row a class: images in training (range over seeds), validation and test, and groups of test images."""
    first = results.first
    by_seed = results.runs[results.reference].values()
    train = np.array([run.configuration["data"]["train counts"] for run in by_seed])
    val = np.bincount(first.validation_labels, minlength=len(results.classes))
    rows = []
    for c, name in enumerate(results.classes):
        of_class = results.labels == c
        low, high = int(train[:, c].min()), int(train[:, c].max())
        rows.append(
            [
                Cell(name + (" (rare)" if name in results.rare else "")),
                str(low) if low == high else f"{low} to {high}",
                str(int(val[c])),
                str(int(of_class.sum())),
                str(len(np.unique(results.groups[of_class]))),
            ]
        )
    head = ["class", "training", "validation", "test", "test groups"]
    return table("Images of each class, those of training as a range over the seeds", head, rows, "numbers")


def settings_list(results: Results) -> str:
    """Every setting of the loop; several values where runs differ."""
    values = {name: " | ".join(map(_option, found)) for name, found in loop_settings(results).items()}
    prefix = "augmentation: "
    moved = [f"{name.removeprefix(prefix)} {values.pop(name)}" for name in list(values) if name.startswith(prefix)]
    return facts("Settings of the training loop", {**values, "augmentation": ", ".join(moved)})


def versions_list(results: Results) -> str:
    """Versions of what the numbers depend on; several where runs differ."""
    found: dict[str, list[str]] = {}
    for by_seed in results.runs.values():
        for run in by_seed.values():
            for name, version in run.configuration["versions"].items():
                if version not in found.setdefault(name, []):
                    found[name].append(version)
    return facts("Versions", {name: " | ".join(values) for name, values in found.items()})


def estimates_tables(results: Results, frame: pandas.DataFrame) -> str:
    """Mean over seeds and 95 % interval of every metric: the main ones, then the recall of each class."""
    recalls = [f"recall of {label}" for label in results.classes]
    parts = [("Main metrics", list(MAIN_METRICS))]
    parts += [("Recall of each class", chunk) for chunk in _chunks(recalls, COLUMNS)]
    tables = []
    for title, metrics in parts:
        rows = [
            [Cell(name), *(_estimate(*frame.loc[name, metric][["mean", "low", "high"]]) for metric in metrics)]
            for name in results.methods
        ]
        head = ["method", *(metric.removeprefix("recall of ") for metric in metrics)]
        tables.append(table(f"{title}: mean over seeds, 95 % interval below it", head, rows, "numbers names"))
    return "\n".join(tables)


def differences_tables(results: Results, frame: pandas.DataFrame) -> str:
    """One table a metric: each method less the reference, adjusted p, verdict, what could have been found."""
    metrics = [*MAIN_METRICS, *(f"recall of {label}" for label in results.classes)]
    head = ["method", "verdict", "difference", "p (Holm)", "detectable"]
    never = out_of_reach(results)
    tables = []
    for metric in metrics:
        rows = []
        for name in results.methods:
            if name == results.reference:
                continue
            found = frame.loc[name, metric]
            effect, low, high = found["difference"], found["difference low"], found["difference high"]
            verdict, smallest = found["verdict"], found["smallest"]
            rows.append(
                [
                    Cell(name),
                    Cell(verdict, kind=verdict if verdict in ("better", "worse") else ""),
                    Cell(signed(effect), f"[{signed(low)}, {signed(high)}]", values=(effect, low, high)),
                    Cell(p_value(found["p"]), values=(found["p"],)),
                    Cell("none") if never else Cell(plain(smallest, 3), values=(smallest,)),
                ]
            )
        less = " (less is better)" if metric == "calibration error" else ""
        tables.append(table(f"{metric}{less}: difference to {results.reference}", head, rows, "numbers"))
    return "\n".join(tables)


def confusion_tables(results: Results) -> str:
    """Of each method, test images by true and predicted class, mean over seeds."""
    size = len(results.classes)
    # Long names, or many, would not fit above narrow columns.
    short = size <= 4 and max(map(len, results.classes)) <= 14
    head = list(results.classes) if short else [str(c + 1) for c in range(size)]
    names = list(results.classes) if short else [f"{c + 1} {name}" for c, name in enumerate(results.classes)]
    tables = []
    for method, by_seed in results.runs.items():
        matrix = np.mean([run.confusion() for run in by_seed.values()], axis=0)
        total = matrix.sum(axis=1, keepdims=True)
        share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
        rows = [
            [
                Cell(names[c]),
                *(
                    Cell(f"{n:.1f}", values=(n,), kind="diagonal" if c == d else "", share=float(share[c, d]))
                    for d, n in enumerate(matrix[c].tolist())
                ),
            ]
            for c in range(size)
        ]
        tables.append(f"<div>{table(method, ['true class', *head], rows)}</div>")
    wide = 12 + 4.2 * size
    return f'<div class="matrices" style="--wide:{wide:.0f}rem">\n' + "\n".join(tables) + "\n</div>"


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


def _chunks(items: Iterable[str], size: int) -> list[Sequence[str]]:
    items = list(items)
    # Evenly: six columns are three and three, not five and one.
    parts = math.ceil(len(items) / size)
    width = math.ceil(len(items) / parts)
    return [items[start : start + width] for start in range(0, len(items), width)]
