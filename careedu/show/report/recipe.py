"""The Python lines that make a comparison again, from what its runs have written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import AUGMENTATIONS
from careedu.data.phantom_splits import PHANTOMS
from careedu.data.sources import SOURCES
from careedu.experiment.configuration import Settings
from careedu.experiment.results import Results
from careedu.methods.registry import METHODS

WIDTH = 88
"""Longest line of code where it can be broken."""
UNTRAINED = "none"
"""What runs of a method without network have as their model."""

# Setting of a run: argument of careedu.fit. A setting that is younger than a saved run is not among its own.
_ARGUMENTS = {name.replace("_", " "): name for name in (*Settings.__dataclass_fields__, "threads") if name != "seed"}
_OF_LOAD = ("size", "imbalance", "counts", "seed", "rare", "augmentation")


def recipe(results: Results) -> str:
    """Python that loads the images, trains every method with every seed and gives the same table.

    Where methods were trained with different settings there is one call for each setting. A method that is none of
    careedu's, or images that `careedu.load` has not made, are left as ``...`` with a comment.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
    """
    groups = _groups(results)
    # A method of one's own is found by its name only, so there is nothing to build it from.
    known = any(_method(results, name)["name"] in METHODS for name in results.methods)
    lines = ["import careedu", *(["from careedu.methods import build_method"] if known else []), ""]
    parts = []
    for number, (configuration, names) in enumerate(groups, start=1):
        mark = "" if len(groups) == 1 else f"_{number}"
        lines += _data(results, configuration, names, f"data{mark}")
        lines += [f"methods{mark} = {{", *(line for name in names for line in _entry(results, name)), "}"]
        arguments = [f"data{mark}", f"methods{mark}", f"seeds={_seeds(results.seeds)}"]
        if len(groups) == 1:
            arguments.append(f"reference={results.reference!r}")
        arguments += _options(configuration)
        lines += [*_call(f"comparison{mark} = careedu.compare", arguments), ""]
        parts.append(f"**comparison{mark}.runs")
    if len(groups) > 1:
        names = ", ".join(repr(name) for name in results.methods)
        lines += [
            f"runs = {{{', '.join(parts)}}}",
            f"in_order = {{name: runs[name] for name in [{names}]}}",
            f"comparison = careedu.Comparison(in_order, reference={results.reference!r})",
            "",
        ]
    return "\n".join([*lines, "print(comparison.table())", ""])


def loop_settings(results: Results) -> dict[str, list[Any]]:
    """Every setting of the loop with the values it had, one where all runs agree; options of augmentation apart."""
    found: dict[str, list[Any]] = {}
    for by_seed in results.runs.values():
        for run in by_seed.values():
            settings = {k: v for k, v in run.configuration.items() if k not in ("data", "method", "seed", "versions")}
            for name, value in settings.items():
                if name == "model" and value == UNTRAINED:
                    continue
                inner = value.items() if isinstance(value, Mapping) else ((None, value),)
                for part, one in inner:
                    values = found.setdefault(name if part is None else f"{name}: {part.replace('_', ' ')}", [])
                    if one not in values:
                        values.append(one)
    return found


def _groups(results: Results) -> list[tuple[dict[str, Any], list[str]]]:
    """Methods that one call of `compare` can train: the configuration they share, and their names."""
    first = {name: next(iter(by_seed.values())).configuration for name, by_seed in results.runs.items()}
    models = [c["model"] for c in first.values() if c["model"] != UNTRAINED]
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for name, configuration in first.items():
        if configuration["model"] == UNTRAINED and models:
            configuration = {**configuration, "model": models[0]}
        what = {key: configuration.get(key) for key in _ARGUMENTS}
        what["data"] = {k: v for k, v in configuration["data"]["recipe"].items() if k != "redraw"}
        groups.setdefault(json.dumps(what, sort_keys=True), (configuration, []))[1].append(name)
    return list(groups.values())


def _method(results: Results, name: str) -> dict[str, Any]:
    return next(iter(results.runs[name].values())).configuration["method"]


def _data(results: Results, configuration: Mapping[str, Any], names: Sequence[str], variable: str) -> list[str]:
    made = configuration["data"]["recipe"]
    if "name" not in made or "options" not in made:
        return [f"{variable} = ...  # not made by careedu.load: put the same Splits here", ""]
    name = made["name"]
    lines = []
    if name not in PHANTOMS and name not in SOURCES:
        name = f"path/to/{name}"
        lines.append("# A folder of one's own: put its path here.")
    arguments = [repr(name)]
    arguments += [f"{key}={made[key]!r}" for key in _OF_LOAD if made.get(key) is not None]
    odd = {k: v for k, v in made["options"].items() if not k.isidentifier()}
    arguments += [f"{key}={value!r}" for key, value in made["options"].items() if key not in odd]
    lines += _call(f"{variable} = careedu.load", [*arguments, *([f"**{odd!r}"] if odd else [])])
    seed, run = next(iter(results.runs[names[0]].items()))
    expected = f"{run.configuration['data']['fingerprint']!r}"
    return [*lines, f"assert {variable}.redraw({seed}).fingerprint() == {expected}  # the very same images", ""]


def _entry(results: Results, name: str) -> list[str]:
    method = _method(results, name)
    if method["name"] not in METHODS:
        return [f"    {name!r}: ...,  # none of careedu's methods: put your own here"]
    arguments = [repr(method["name"]), *(f"{key}={value!r}" for key, value in method["options"].items())]
    return _call(f"    {name!r}: build_method", arguments, end=",")


def _options(configuration: Mapping[str, Any]) -> list[str]:
    written = []
    for setting, argument in _ARGUMENTS.items():
        value = configuration.get(setting)
        if value is not None and (setting, value) != ("model", UNTRAINED):
            written.append(f"{argument}={_augmentation(value) if setting == 'augmentation' else repr(value)}")
    return written


def _augmentation(options: Mapping[str, Any]) -> str:
    for name in AUGMENTATIONS:
        if asdict(Augmentation.named(name)) == dict(options):
            return repr(name)
    return f"careedu.Augmentation({', '.join(f'{key}={value!r}' for key, value in options.items() if value)})"


def _seeds(seeds: Sequence[int]) -> str:
    return str(len(seeds)) if list(seeds) == list(range(len(seeds))) else repr(list(seeds))


def _call(function: str, arguments: Sequence[str], end: str = "") -> list[str]:
    """A call on one line where it fits, else an argument a line."""
    line = f"{function}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(function) - len(function.lstrip()))
    return [f"{function}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent}){end}"]
