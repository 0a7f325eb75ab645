"""What a report lists of methods, data, settings and versions: from the runs' configurations to plain text.

And what it says of a mark that is no part of the disease: what is found with and without it, who looks there.
"""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from careedu.data.phantom_splits import PHANTOMS
from careedu.data.sources import SOURCES
from careedu.experiment.results import Results
from careedu.measure.statistics import Estimate
from careedu.methods.registry import METHODS, method_class
from careedu.show.report.recipe import DEEPEST, is_known, loop_settings, several
from careedu.show.report.words import DASH

_SHARES = {"inside share": "chance", "mark share": "mark chance"}
"""Share of the map → what it is for a map that knows nothing."""


def methods(results: Results) -> dict[str, dict[str, str]]:
    """Of each method: label, what it is in one line, where it comes from, options, revision."""
    found = {}
    for name, by_seed in results.runs.items():
        method = next(iter(by_seed.values())).configuration["method"]
        options = ", ".join(f"{key}={_option(value)}" for key, value in method["options"].items())
        found[name] = {
            "label": method["label"],
            "line": METHODS[method["name"]][2] if is_known(method["name"]) else "a method that is not careedu's",
            "source": source_of(method["name"]),
            "options": options or DASH,
            "revision": method["revision"],
        }
    return found


def source_of(name: Any) -> str:
    """The papers that the method's documentation names; a dash where there is none."""
    if not is_known(name):
        return DASH
    text = " ".join(inspect.getdoc(method_class(name)).split("\n\n")[0].split())
    # A bracket with a year or an arXiv number is a reference; that of the one-line description is shorter.
    for where in (text, METHODS[name][2]):
        found = re.findall(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*|[^()]*arXiv[^()]*)\)", where)
        if found:
            return "; ".join(found)
    return "our choice" if "our choice" in text else DASH


def counts(results: Results) -> dict[str, tuple[str, int, int]]:
    """Of each class: images in training (a range over seeds), validation and test."""
    by_seed = results.runs[results.reference].values()
    train = np.array([run.configuration["data"]["train counts"] for run in by_seed])
    ranges = [str(a) if a == b else f"{a} to {b}" for a, b in zip(train.min(0), train.max(0), strict=True)]
    held, size = (results.first.validation_labels, results.labels), len(results.classes)
    val, test = (np.bincount(labels, minlength=size).tolist() for labels in held)
    return dict(zip(results.classes, zip(ranges, val, test, strict=True), strict=True))


def data(results: Results) -> dict[str, str]:
    """What the images are, whose they are, and how they were made."""
    written = results.first.configuration["data"]
    name, shape = str(written["name"]), " × ".join(map(str, written["image shape"]))
    known = {"name": name, "rare classes": ", ".join(results.rare), "image": f"{shape} (channels × height × width)"}
    if "squeezed" in written:
        known["shape"] = f"images are squeezed {written['squeezed']}, which changes shapes"
    if name in PHANTOMS:
        known["what it is"] = PHANTOMS[name]
    elif name in SOURCES:
        source = SOURCES[name]
        known |= {"what it is": source.line, "citation": source.citation}
        known["licence"] = f"{source.licence}; see data/README.md of careedu"
    else:
        known["licence"] = "not known to careedu, which has not made these images; see data/README.md on named sets"
    made = flat({key: value for key, value in written["recipe"].items() if key != "redraw"})
    known["recipe"] = ", ".join(f"{key}: {value}" for key, value in made.items() if value != DASH)
    seeds_of = several(results, lambda seed, run: [(run.configuration["data"]["fingerprint"], seed)])
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
    found = several(results, lambda _, run: run.configuration["versions"].items())
    return {name: " | ".join(values) for name, values in found.items()}


def flat(values: Mapping[str, Any], prefix: str = "", level: int = 0) -> dict[str, str]:
    """Nested JSON values as one level of names and texts."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value and level < DEEPEST:
            found |= flat(value, f"{prefix}{name}: ", level + 1)
        else:
            found[f"{prefix}{name}"] = _option(value)
    return found


def _option(value: Any, level: int = 0) -> str:
    if isinstance(value, Mapping | list | tuple) and level >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        inner = {key: part for key, part in value.items() if key != "method"}
        text = ", ".join(f"{key}={_option(part, level + 1)}" for key, part in inner.items())
        inside = f"({text})" if text else ""
        return f"{_option(value['method'], level + 1)}{inside}" if "method" in value else f"{{{text}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_option(part, level + 1) for part in value)}]"
    return {True: "yes", False: "no", None: DASH}[value] if value is None or isinstance(value, bool) else str(value)


def marks(results: Results) -> dict[str, Any] | None:
    """Tables on the mark; None where nothing is known of marks.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict or None
        ``"recalls"``: of each table (class, "with mark" | "without mark") → number of test images. ``"missing"``: the
        names of those without test images. ``"frames"``: method → `Results.recalls_by_mark`. ``"worst"``: method →
        `Results.worst_group`. ``"looks"``: which images → method → measure → `Estimate`.
    """
    if results.marked is None:
        return None
    frames = {method: results.recalls_by_mark(method) for method in results.methods}
    images = frames[results.reference]["n"].astype(int)
    classes = np.array_split(np.array(results.classes, dtype=object), -(-len(results.classes) // 2))
    tables = [{group: n for group, n in images.items() if n and group[0] in part} for part in classes]
    return {
        "recalls": [table for table in tables if table],
        "missing": [" ".join(group) for group, n in images.items() if not n],
        "frames": frames,
        "worst": {method: results.worst_group(method) for method in results.methods},
        "looks": _looks(results),
    }


def _looks(results: Results) -> dict[str, dict[str, dict[str, Estimate]]]:
    attention, tables = results.attention, {}
    for label in (None, *results.rare) if attention is not None else ():
        shares = {share: chance for share, chance in _SHARES.items() if attention.has(share, label)}
        measures = [measure for pair in shares.items() for measure in pair]
        if measures:
            title = "of all classes" if label is None else f"of class {label}"
            tables[title] = {
                method: {measure: attention.estimate(method, measure, label) for measure in measures}
                for method in attention.methods
            }
    return tables
