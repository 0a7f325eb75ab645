"""What a saved run must be like, looked at when it is opened: after that nothing can go wrong for want of it."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from careedu.errors import InvalidInputError


@cache
def _check(which: str) -> Callable[[Any], Any]:
    import fastjsonschema

    schema = json.loads(Path(__file__).with_name("saved_schema.json").read_text(encoding="utf-8"))
    return fastjsonschema.compile({"$ref": f"#/definitions/{which}", **schema})


def check_text(which: str, text: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless a text is what ``"run"``, ``"results"`` or a ``"configuration"`` has to be."""
    _check(which)(text)


def check_saveable(run: Any) -> None:
    """Raise `InvalidInputError` unless a `Run` could be opened again."""
    try:
        check_text("configuration", run.configuration)
        check_run(run)
    except ValueError as error:
        raise InvalidInputError(f"this run cannot be saved, as nobody could open it: {error}") from error


def check_run(run: Any) -> None:
    """Raise `ValueError` unless the arrays of a `Run` go together, with each other and with its configuration."""
    data, classes = run.configuration["data"], len(run.classes)
    _require(len(data["train counts"]) == classes, "the training counts are of other classes")
    _require(set(run.rare) <= set(run.classes), "a rare class is none of the classes")
    parts = ("test", run.probabilities, run.labels), ("validation", run.validation_probabilities, run.validation_labels)
    for part, probabilities, labels in parts:
        _require(labels.ndim == 1 and len(labels) > 0 and labels.dtype == np.int64, f"the {part} labels are no labels")
        _require(labels.min() >= 0 and labels.max() < classes, f"a {part} label is none of the {classes} classes")
        _require(probabilities.dtype.kind == "f", f"the {part} probabilities are no numbers")
        _require(probabilities.shape == (len(labels), classes), f"the {part} probabilities have another shape")
        sums = probabilities.sum(axis=1)
        likely = bool((probabilities >= 0).all() and (np.abs(sums - 1) < 1e-3).all())
        _require(likely, f"the {part} probabilities are none: each row must add up to 1")
    for what in ("groups", "ids"):
        _require(getattr(run, what).shape == run.labels.shape, f"there are not as many {what} as test images")
    marked = run.marked
    fits = marked is None or (marked.dtype == bool and marked.shape == run.labels.shape)
    _require(fits, "what says which test images carry a mark is not one truth value an image")
    probes = run.probes
    _require(probes.ndim == 1 and probes.dtype.kind in "iu", "the probes are no rows")
    _require(bool(((probes >= 0) & (probes < len(run.labels))).all()), "a probe is none of the test images")
    for name, axes in {"probe maps": 4, "probe probabilities": 3}.items():
        trace = run.traces.get(name)
        fits = trace is None or (trace.ndim == axes and trace.shape[1] == len(probes))
        _require(fits, f"the {name} are not those of the probes")


def check_attention(values: Mapping[str, Mapping[str, np.ndarray]], runs: Mapping[str, Mapping[int, Any]]) -> None:
    """Raise `ValueError` unless measures of maps, by method, have a value for each seed and test image of its runs."""
    for method, measures in values.items():
        _require(method in runs, f"where {method!r} looks was measured, which is none of the methods")
        by_seed = runs[method]
        shape = len(by_seed), len(next(iter(by_seed.values())).labels)
        fits = all(array.dtype.kind == "f" and array.shape == shape for array in measures.values())
        _require(fits, f"where {method!r} looks was measured on other images or seeds")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
