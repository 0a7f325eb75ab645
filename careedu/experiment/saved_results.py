"""How results are saved: one folder for all runs of a comparison, small enough to come with the course.

``results.json`` holds what all runs have in common; the tensors ``arrays`` the probabilities, labels and probe maps,
``probes/<number>`` being the different sets of probed images, of an attention map that is the same for all images the
last state under every other seed, ``last/<k>/<seed>``, and as JSON text, ``runs``, what each run has of its own and its
history; ``weights-<k>`` the network of one seed of method k, as float16.

Since format 3 ``arrays`` has one tensor, ``packed``: a safetensors file of those others, compressed (xz). In it the
values of an attention map are places in a list of its levels, which ``steps/<name of the map>`` has as differences.
Since format 4 a row of test probabilities is there without its largest (`_without_largest`), of which no bit is lost.
Before, all were as they are in memory, and ``runs`` in ``results.json``.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from careedu.data.shipped import shipped
from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.attention import ATTENTION_MAP, MARK_MEASURES, MEASURES, trained_map
from careedu.experiment.run import Run, columns_of_epochs
from careedu.experiment.saved_checks import check_attention, check_saveable, check_text
from careedu.experiment.saved_folder import Kind, checked_json, naming_damage, read_saved, write_saved
from careedu.files import packed, read_tensors, unpacked

SAVED_RESULTS = Kind(
    what="comparison",
    lacking="holds no saved results",
    free="provenance",
    record="results.json",
    keys=frozenset({"reference", "provenance", "methods", "seeds", "groups", "ids", "common", "runs"}),
    beside=("attention.safetensors",),
)
Values = Mapping[str, Mapping[str, np.ndarray]]
"""Of where networks look: method → measure → value of each seed and image."""
DIGITS = 6
"""Significant digits of a saved history."""
LEVELS = 256
"""How many values a saved attention map has: what fits into eight bits."""


def write_results(
    folder: Path,
    runs: Mapping[str, Mapping[int, Run]],
    *,
    reference: str,
    provenance: Mapping[str, Any],
    weights: Sequence[str] = (),
    courses: bool | Sequence[str] = True,
    attention: Values | None = None,
) -> Path:
    """Write results into a folder, where older ones can be opened until these can.

    Parameters
    ----------
    folder : Path
    runs : mapping of str to mapping of int to Run
        Name of a method → seed → run; the same seeds and the same test and validation images for all.
    reference : str
        The method that the others are compared with.
    provenance : mapping
        JSON values.
    weights : sequence of str
        Methods of which the first seed's network is kept.
    courses : bool or sequence of str
        Whether, or of which methods, what was recorded after each epoch of the first seed is kept.
    attention : mapping of str to mapping of str to ndarray, optional
        Where networks look: method → measure → float (S, N). Kept as float16.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        If the folder holds something else, or a network is asked for that is not there.
    StorageError
        If it cannot be written. What stood there stands.
    """
    methods, seeds = list(runs), list(next(iter(runs.values())))
    for name in weights:
        if runs[name][seeds[0]].weights is None:
            raise InvalidInputError(f"{name!r}, seed {seeds[0]}, holds no weights to save")
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    for run in every:
        check_saveable(run)
    common, own = split_common([run.configuration for run in every])
    first = every[0]
    # Most runs have the same probes, those without a network none.
    probed = {run.probes.tobytes(): run.probes for run in every}
    which = {content: number for number, content in enumerate(probed)}
    arrays = {
        "labels": first.labels,
        "validation labels": first.validation_labels,
        **({} if first.marked is None else {"marked": first.marked}),
        **{f"probes/{which[content]}": probes for content, probes in probed.items()},
        **_without_largest(np.stack([run.probabilities for run in every]).astype(np.float32)),
        "validation probabilities": np.stack([run.validation_probabilities for run in every]).astype(np.float16),
    }
    for k, (name, by_seed) in enumerate(runs.items()):
        whole = courses if isinstance(courses, bool) else name in courses
        for trace, array in by_seed[seeds[0]].traces.items() if whole else ():
            arrays |= _shortened(f"trace/{k}/{trace}", array)
        for other, run in list(by_seed.items())[1 if whole else 0 :]:
            # What is measured over seeds needs the map of each.
            if (last := trained_map(run)) is not None:
                arrays |= _shortened(f"last/{k}/{other}/{ATTENTION_MAP}", np.uint16((last[None] * 65535).round()))
    for k, measures in enumerate((attention or {}).values()):
        arrays |= {f"attention/{k}/{measure}": values.astype(np.float16) for measure, values in measures.items()}
    text = {
        "reference": reference,
        "provenance": dict(provenance),
        "methods": methods,
        "seeds": seeds,
        "attention": list(attention or {}),
        "groups": first.groups.tolist(),
        "ids": first.ids.tolist(),
        "common": common,
        "runs": [
            {
                "own": mine,
                "seconds": round(run.seconds, 2),
                "probes": which[run.probes.tobytes()],
                "history": columns_of_epochs(run.history, DIGITS),
                **({"pretraining": columns_of_epochs(run.pretraining, DIGITS)} if len(run.pretraining) else {}),
            }
            for run, mine in zip(every, own, strict=True)
        ],
    }
    networks = {f"weights-{methods.index(name)}": _halved(runs[name][seeds[0]].weights) for name in weights}
    # As they repeat each other, compressed they are a tenth.
    arrays["runs"] = np.frombuffer(checked_json(SAVED_RESULTS, text, "runs").encode(), np.uint8)
    return write_saved(folder, SAVED_RESULTS, {**text, "runs": []}, {"arrays": packed(arrays), **networks})


def _halved(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def _without_largest(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Of rows that add up to 1, float32 (R, N, C), the largest's place, the others, and what 1 less these misses it by.

    In units of the last place, which is seldom more than one, so that nearly a C-th part of all is saved.
    """
    largest = probabilities.argmax(axis=-1)[..., None]
    others = probabilities[np.arange(probabilities.shape[-1]) != largest].reshape(*largest.shape[:2], -1)
    missed = np.take_along_axis(probabilities, largest, -1)[..., 0].view(np.int32) - _rest(others).view(np.int32)
    return {"others": others, "largest": largest[..., 0].astype(np.uint16), "missed": missed}


def _with_largest(others: np.ndarray, largest: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """The probabilities again, float32 (R, N, C)."""
    place = np.arange(others.shape[-1] + 1) == largest[..., None]
    probabilities = np.empty(place.shape, np.float32)
    probabilities[~place] = others.ravel()
    probabilities[place] = (_rest(others).view(np.int32) + missed).view(np.float32).ravel()
    return probabilities


def _rest(others: np.ndarray) -> np.ndarray:
    rest = np.ones(others.shape[:-1])
    for k in range(others.shape[-1]):  # one after the other, so that it is the same bits wherever it is opened
        rest -= others[..., k]
    return rest.astype(np.float32)


def _shortened(name: str, trace: np.ndarray) -> dict[str, np.ndarray]:
    """A trace as it is saved: numbers as float16; of attention maps the place of each pixel's level, and the levels."""
    if not (len(trace) and trace.dtype == np.uint16 and name.endswith((f"/{ATTENTION_MAP}", f": {ATTENTION_MAP}"))):
        return {name: trace.astype(np.float16) if trace.dtype == np.float32 else trace}
    levels = np.stack([_levels(one) for one in trace])
    between = (levels[:, 1:] + levels[:, :-1]) / 2
    nearest = [np.searchsorted(bounds, one) for bounds, one in zip(between, trace, strict=True)]
    return {name: np.array(nearest, np.uint8), f"steps/{name}": np.diff(levels, prepend=0).astype(np.uint16)}


def _levels(values: np.ndarray) -> np.ndarray:
    """The levels of one map, ascending: all its values where they are few enough, so that nothing is lost twice.

    Else half of them are spread evenly over its range, so that they are never further apart than two of 255 steps, and
    half as its pixels are. Even ones alone would be too coarse where most pixels of a map are, closed or open nearly
    alike: they changed AUROCs by up to .02, these do by .0002 at most.
    """
    levels = np.unique(values).astype(np.float64)
    if len(levels) > LEVELS:
        levels = np.quantile(np.r_[values.flat, np.linspace(*levels[[0, -1]], values.size)], np.linspace(0, 1, LEVELS))
    return np.pad(levels.round(), (0, LEVELS - len(levels)), "edge")


def read_results(folder: str | os.PathLike) -> tuple[dict[str, dict[int, Run]], str, dict[str, Any], Values]:
    """Read what `write_results` wrote: runs by method and seed, reference, provenance, and where networks look.

    Parameters
    ----------
    folder : path or str
        A folder, or the name of saved results that come with careedu.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of a newer careedu.
    """
    folder = locate_results(folder)
    text, arrays, weights = read_saved(folder, SAVED_RESULTS)
    with naming_damage(folder, SAVED_RESULTS):
        arrays = unpacked(arrays)
        if "runs" in arrays:
            text |= {"runs": json.loads(arrays.pop("runs").tobytes())}
            arrays["probabilities"] = _with_largest(*(arrays.pop(of) for of in ("others", "largest", "missed")))
        check_text("results", text)
        for name in [name for name in arrays if f"steps/{name}" in arrays]:
            levels = np.cumsum(arrays[f"steps/{name}"], axis=1, dtype=np.uint16)
            arrays[name] = np.stack([one[place] for one, place in zip(levels, arrays[name], strict=True)])
        shared = {name: array for name, array in arrays.items() if "/" not in name}
        shared |= {of: np.array(text[of], dtype=str) for of in ("groups", "ids")}
        runs: dict[str, dict[int, Run]] = {name: {} for name in text["methods"]}
        places = [(k, name, seed) for k, name in enumerate(text["methods"]) for seed in text["seeds"]]
        if text["reference"] not in runs or len(arrays["probabilities"]) != len(places):
            raise ValueError("the reference is none of the methods, or runs are missing")
        for number, ((k, name, seed), entry) in enumerate(zip(places, text["runs"], strict=True)):
            is_first = seed == text["seeds"][0]
            configuration = join_common(text["common"], entry["own"])
            check_text("configuration", configuration)
            kept = weights.get(f"weights-{k}") if is_first else None
            if kept is not None:
                kept.single_precision = True
            own = {
                key.replace(prefix, "trace/"): array.astype(np.float32) if array.dtype == np.float16 else array
                for prefix in ((f"trace/{k}/",) if is_first else ()) + (f"last/{k}/{seed}/",)
                for key, array in arrays.items()
                if key.startswith(prefix)
            }
            own |= {of: arrays[of][number].astype(np.float64) for of in ("probabilities", "validation probabilities")}
            own["probes"] = arrays[f"probes/{entry['probes']}"]
            runs[name][seed] = run = Run.of({**entry, "configuration": configuration}, shared | own, kept)
            first = runs[text["methods"][0]][text["seeds"][0]]
            if (run.classes, run.rare) != (first.classes, first.rare):
                raise ValueError(f"{name!r}, seed {seed}, has other classes than the first run")
        attention = _read_attention(folder, text, arrays)
        check_attention(attention, runs)
        return runs, text["reference"], text["provenance"], attention


def _read_attention(folder: Path, text: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Values:
    """Method → measure → values, from among the arrays, or from the file beside in which an older careedu kept them."""
    if "attention" in text:
        arrays = {name.removeprefix("attention/"): a for name, a in arrays.items() if name.startswith("attention/")}
        methods = text["attention"]
    elif (path := folder / SAVED_RESULTS.beside[0]).is_file():
        labels = arrays["labels"]
        arrays, state = read_tensors(path, "numpy")
        methods = state["methods"]
        if not np.array_equal(arrays["labels"], labels):
            raise ValueError(f"{path.name} was measured on other images")
    else:
        return {}
    known = (*MEASURES, *MARK_MEASURES)
    return {
        method: {m: arrays[f"{k}/{m}"] for m in known if m in MEASURES or f"{k}/{m}" in arrays}
        for k, method in enumerate(methods)
    }


def locate_results(folder: str | os.PathLike) -> Path:
    """The folder of saved results: itself, or one that comes with careedu, by its name."""
    path = Path(folder)
    if (path / "results.json").is_file():
        return path
    runs = shipped("runs")
    if isinstance(folder, str) and "/" not in folder and (runs / folder / "results.json").is_file():
        return runs / folder
    there = sorted(p.parent.name for p in runs.glob("*/results.json"))
    known = ", ".join(there) if there else "none"
    raise CheckpointError(f"no saved results in {str(folder)!r}: no results.json there; with careedu come: {known}")


def split_common(configurations: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all configurations share, and what each has of its own, down into nested mappings."""
    common: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in configurations]
    for key in sorted({key for configuration in configurations for key in configuration}):
        values = [configuration.get(key) for configuration in configurations]
        # As text: Python takes 1, 1.0 and True for the same, but they make different runs.
        texts = {json.dumps(value, sort_keys=True) for value in values}
        if len(texts) == 1 and all(key in configuration for configuration in configurations):
            common[key] = values[0]
        elif all(isinstance(value, Mapping) for value in values):
            common[key], parts = split_common(values)
            for mine, part in zip(own, parts, strict=True):
                mine |= {key: part} if part else {}
        else:
            for mine, configuration in zip(own, configurations, strict=True):
                mine |= {key: configuration[key]} if key in configuration else {}
    return common, own


def join_common(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration again."""
    joined = dict(common)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(joined.get(key), Mapping)
        joined[key] = join_common(joined[key], value) if both else value
    return joined
