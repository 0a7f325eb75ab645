"""The Python lines that make a comparison again, from what its runs have written down.

Values are written as Python source: whatever stands in a file of results becomes data, and never code.
"""

import json
import keyword
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import AUGMENTATIONS
from careedu.data.phantom_splits import PHANTOMS
from careedu.data.sources import SOURCES
from careedu.experiment.configuration import Settings
from careedu.experiment.results import Results
from careedu.experiment.run import Run
from careedu.methods.registry import METHODS

DEEPEST = 20
"""Levels of lists and mappings in each other; Python's parser ends at 200, settings have two or three."""
WIDTH = 88
"""Longest line of code where it can be broken."""
UNTRAINED = "none"
"""What runs of a method without network have as their model."""

# Setting of a run: argument of careedu.fit. A setting that is younger than a saved run is not among its own.
_ARGUMENTS = {name.replace("_", " "): name for name in (*Settings.__dataclass_fields__, "threads") if name != "seed"}
_OF_LOAD = ("size", "imbalance", "counts", "seed", "rare", "augmentation")
_NO_SETTINGS = ("data", "method", "seed", "versions")
# Arguments of careedu.load that are no options: who has a file of results must not choose where images are written.
_NO_OPTIONS = {"name_or_path", "root", *_OF_LOAD}


def recipe(results: Results) -> str:
    """Python that loads the images, trains every method with every seed and gives the same table.

    Where methods were trained with different settings there is one call for each setting. A method that is none of
    careedu's, or images that `careedu.load` has not made, are left as ``...`` with a comment. Names and values may come
    from a stranger's file: they are written as literals, so that the lines are always Python and call nothing else.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
    """
    groups = _groups(results)
    # A method of one's own is found by its name only, so there is nothing to build it from.
    known = any(is_known(_method(results, name)["name"]) for name in results.methods)
    lines = ["import careedu", *(["from careedu.methods import build_method"] if known else []), ""]
    parts = []
    for number, (configuration, names) in enumerate(groups, start=1):
        mark = "" if len(groups) == 1 else f"_{number}"
        lines += _data(results, configuration, names, f"data{mark}")
        lines += [f"methods{mark} = {{", *(line for name in names for line in _entry(results, name)), "}"]
        arguments = [f"data{mark}", f"methods{mark}", f"seeds={_seeds(results.seeds)}"]
        if len(groups) == 1:
            arguments.append(f"reference={literal(results.reference)}")
        arguments += _options(configuration)
        lines += [*call(f"comparison{mark} = careedu.compare", arguments), ""]
        parts.append(f"**comparison{mark}.runs")
    if len(groups) > 1:
        names = literal(results.methods)
        lines += [
            f"runs = {{{', '.join(parts)}}}",
            f"in_order = {{name: runs[name] for name in {names}}}",
            f"comparison = careedu.Comparison(in_order, reference={literal(results.reference)})",
            "",
        ]
    return "\n".join([*lines, "print(comparison.table())", ""])


def loop_settings(results: Results) -> dict[str, list[Any]]:
    """Every setting of the loop with the values it had, one where all runs agree; options of augmentation apart."""

    def told(configuration: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in configuration.items():
            if isinstance(value, Mapping):
                yield from ((f"{name}: {str(part).replace('_', ' ')}", one) for part, one in value.items())
            elif (name, value) != ("model", UNTRAINED):
                yield name, value

    return several(results, lambda _, run: told({k: v for k, v in run.configuration.items() if k not in _NO_SETTINGS}))


def several(results: Results, told: Callable[[int, Run], Iterable[tuple[str, Any]]]) -> dict[str, list[Any]]:
    """What is told of each seed and run by name: the values, one where all runs agree."""
    found: dict[str, list[Any]] = {}
    by_seed = (pair for runs in results.runs.values() for pair in runs.items())
    for name, value in (pair for seed, run in by_seed for pair in told(seed, run)):
        if value not in (values := found.setdefault(name, [])):
            values.append(value)
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
        groups.setdefault(json.dumps(what, sort_keys=True, default=literal), (configuration, []))[1].append(name)
    return list(groups.values())


def _method(results: Results, name: str) -> dict[str, Any]:
    return next(iter(results.runs[name].values())).configuration["method"]


def _data(results: Results, configuration: Mapping[str, Any], names: Sequence[str], variable: str) -> list[str]:
    made = configuration["data"]["recipe"]
    name, options = made.get("name"), made.get("options")
    if not isinstance(name, str) or not isinstance(options, Mapping):
        return [f"{variable} = ...  # not made by careedu.load: put the same Splits here", ""]
    lines = []
    if name not in PHANTOMS and name not in SOURCES:
        # The last part alone: a file that is passed on must not point to a place on somebody's machine.
        last = re.split(r"[/\\]", name)[-1].lstrip(".")
        name = f"path/to/{last or 'images'}"
        lines.append("# A folder of one's own: put its path here.")
    given = {key: made[key] for key in _OF_LOAD if made.get(key) is not None}
    given |= {key: value for key, value in options.items() if key not in _NO_OPTIONS}
    lines += call(f"{variable} = careedu.load", [literal(name), *keywords(given)])
    seed, run = next(iter(results.runs[names[0]].items()))
    expected = literal(run.configuration["data"]["fingerprint"])
    again = f"{variable}.redraw({literal(seed)}).fingerprint()"
    return [*lines, f"assert {again} == {expected}  # the very same images", ""]


def is_known(name: Any) -> bool:
    """Whether it names a method of careedu's; in a stranger's file it may be anything."""
    return isinstance(name, str) and name in METHODS


def _entry(results: Results, name: str) -> list[str]:
    method = _method(results, name)
    if not is_known(method["name"]):
        return [f"    {literal(name)}: ...,  # none of careedu's methods: put your own here"]
    return call(f"    {literal(name)}: build_method", [literal(method["name"]), *keywords(method["options"])], end=",")


def _options(configuration: Mapping[str, Any]) -> list[str]:
    written = []
    for setting, argument in _ARGUMENTS.items():
        value = configuration.get(setting)
        if value is not None and (setting, value) != ("model", UNTRAINED):
            written.append(f"{argument}={_augmentation(value) if setting == 'augmentation' else literal(value)}")
    return written


def _augmentation(options: Any) -> str:
    if not isinstance(options, Mapping):
        return literal(options)
    for name in AUGMENTATIONS:
        if asdict(Augmentation.named(name)) == dict(options):
            return literal(name)
    return f"careedu.Augmentation({', '.join(keywords({key: value for key, value in options.items() if value}))})"


def _seeds(seeds: Sequence[int]) -> str:
    return str(len(seeds)) if list(seeds) == list(range(len(seeds))) else literal(list(seeds))


def literal(value: Any, level: int = 0) -> str:
    """A value as an expression: a literal of JSON's kinds, where what has no such kind is written as its text.

    Parameters
    ----------
    value : object
        NumPy's scalars and arrays and enumerations of str or int are written as what they hold, NaN and infinity as
        ``float("nan")``; what is nested deeper than `DEEPEST` as ``...``.
    level : int
        How deep it is nested.

    Returns
    -------
    str
        One line.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)  # an enumeration's own repr is no source
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f'float("{float.__repr__(value)}")'
    if isinstance(value, Mapping | list | tuple | set | frozenset) and level >= DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        pairs = ((literal(key, level + 1), literal(part, level + 1)) for key, part in value.items())
        return f"{{{', '.join(f'{key}: {part}' for key, part in pairs)}}}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(literal(part, level + 1) for part in value)}]"
    return str.__repr__(value if isinstance(value, str) else str(value))


def keywords(options: Mapping[Any, Any]) -> list[str]:
    """Options as arguments of a call: by name where the name can be one, and the others as a ``**{...}``.

    Parameters
    ----------
    options : mapping

    Returns
    -------
    list of str
    """
    named = {key: value for key, value in options.items() if _is_name(key)}
    other = {str(key): value for key, value in options.items() if key not in named}
    return [f"{key}={literal(value)}" for key, value in named.items()] + [f"**{literal(other)}"] * bool(other)


def call(function: str, arguments: Sequence[str], end: str = "") -> list[str]:
    """A call on one line where it fits, else an argument a line.

    Parameters
    ----------
    function : str
        What stands before the bracket, with the line's indentation.
    arguments : sequence of str
        Source.
    end : str
        What follows the bracket.

    Returns
    -------
    list of str
        Lines.
    """
    line = f"{function}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(function) - len(function.lstrip()))
    return [f"{function}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent}){end}"]


def _is_name(key: Any) -> bool:
    """Whether a key can stand before the ``=`` of an argument as it is; Python takes other letters for ASCII ones."""
    name = isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) is not None
    return name and not keyword.iskeyword(key) and key != "__debug__"
