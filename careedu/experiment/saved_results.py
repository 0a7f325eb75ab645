"""How results are saved: one folder for all runs of a comparison, small enough to come with the course.

``results.json`` holds what all runs have in common once, and what each has of its own; ``arrays.safetensors`` the
probabilities, labels and probe maps, ``probes/<number>`` being the different sets of probed images, and of an attention
map that is the same for all images the last state under every other seed, ``last/<k>/<seed>``;
``weights-<k>.safetensors`` the network of one seed of method k, as float16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas

from careedu.data.shipped import shipped
from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.attention import ATTENTION_MAP, trained_map
from careedu.experiment.run import Run
from careedu.files import read_tensors, tensor_names, whole_folder, write_bytes, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
DIGITS = 6
"""Significant digits of a saved history."""


def write_results(
    folder: Path,
    runs: Mapping[str, Mapping[int, Run]],
    *,
    reference: str,
    provenance: Mapping[str, Any],
    weights: Sequence[str] = (),
    courses: bool = True,
) -> Path:
    """Write results into a folder, which appears whole or not at all.

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
    courses : bool
        Whether what was recorded after each epoch of the first seed is kept.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        If the folder exists and holds no saved results, or a network is asked for that is not there.
    """
    if folder.exists() and not (folder / "results.json").is_file():
        raise InvalidInputError(f"{folder} exists and holds no saved results; choose another folder")
    methods, seeds = list(runs), list(next(iter(runs.values())))
    for name in weights:
        if runs[name][seeds[0]].weights is None:
            raise InvalidInputError(f"{name!r}, seed {seeds[0]}, holds no weights to save")
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    common, own = split_common([run.configuration for run in every])
    first = every[0]
    # Most runs have the same probes, those without a network none.
    probed = {run.probes.tobytes(): run.probes for run in every}
    which = {content: number for number, content in enumerate(probed)}
    arrays = {
        "labels": first.labels,
        "validation labels": first.validation_labels,
        **{f"probes/{which[content]}": probes for content, probes in probed.items()},
        "probabilities": np.stack([run.probabilities for run in every]).astype(np.float32),
        "validation probabilities": np.stack([run.validation_probabilities for run in every]).astype(np.float32),
    }
    for k, by_seed in enumerate(runs.values()):
        for trace, array in by_seed[seeds[0]].traces.items() if courses else ():
            arrays[f"trace/{k}/{trace}"] = array.astype(np.float16) if array.dtype == np.float32 else array
        for other, run in list(by_seed.items())[1 if courses else 0 :]:
            # What is measured over seeds needs the map of each.
            if (last := trained_map(run)) is not None:
                arrays[f"last/{k}/{other}/{ATTENTION_MAP}"] = (last[None] * 65535).round().astype(np.uint16)
    text = {
        "format": FORMAT,
        "reference": reference,
        "provenance": dict(provenance),
        "methods": methods,
        "seeds": seeds,
        "groups": first.groups.tolist(),
        "ids": first.ids.tolist(),
        "common": common,
        "runs": [
            {
                "own": mine,
                "seconds": round(run.seconds, 2),
                "probes": which[run.probes.tobytes()],
                "history": _rounded(run.history),
                **({"pretraining": _rounded(run.pretraining)} if len(run.pretraining) else {}),
            }
            for run, mine in zip(every, own, strict=True)
        ],
    }
    try:
        content = (json.dumps(text, separators=(",", ":"), allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"provenance must hold finite JSON values ({error})") from error
    with whole_folder(folder) as partial:
        write_tensors(partial / "arrays.safetensors", arrays)
        for name in weights:
            network = runs[name][seeds[0]].weights
            halves = {key: t.half() if t.is_floating_point() else t for key, t in network.items()}
            write_tensors(partial / f"weights-{methods.index(name)}.safetensors", halves)
        write_bytes(partial / "results.json", content)
    return folder


def read_results(folder: str | os.PathLike) -> tuple[dict[str, dict[int, Run]], str, dict[str, Any]]:
    """Read what `write_results` wrote: runs by method and seed, the reference, the provenance.

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
    try:
        text = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        if text["format"] > FORMAT:
            raise CheckpointError(f"{folder} was saved by a newer careedu (format {text['format']}); update careedu")
        arrays, _ = read_tensors(folder / "arrays.safetensors", framework="numpy")
        groups, ids = np.array(text["groups"], dtype=str), np.array(text["ids"], dtype=str)
        runs: dict[str, dict[int, Run]] = {name: {} for name in text["methods"]}
        places = [(k, name, seed) for k, name in enumerate(text["methods"]) for seed in text["seeds"]]
        for number, ((k, name, seed), entry) in enumerate(zip(places, text["runs"], strict=True)):
            is_first = seed == text["seeds"][0]
            traces = {
                key.removeprefix(prefix): array.astype(np.float32) if array.dtype == np.float16 else array
                for prefix in ((f"trace/{k}/",) if is_first else ()) + (f"last/{k}/{seed}/",)
                for key, array in arrays.items()
                if key.startswith(prefix)
            }
            weights = folder / f"weights-{k}.safetensors"
            runs[name][seed] = Run(
                configuration=join_common(text["common"], entry["own"]),
                probabilities=arrays["probabilities"][number].astype(np.float64),
                labels=arrays["labels"],
                groups=groups,
                ids=ids,
                validation_probabilities=arrays["validation probabilities"][number].astype(np.float64),
                validation_labels=arrays["validation labels"],
                history=_history(entry["history"]),
                traces=traces,
                probes=arrays[f"probes/{entry['probes']}"],
                seconds=entry["seconds"],
                weights=SavedWeights(weights) if is_first and weights.is_file() else None,
                pretraining=_history(entry.get("pretraining", {})),
            )
        return runs, text["reference"], text["provenance"]
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise CheckpointError(f"the saved results in {folder} are damaged ({error!r}); make them again") from error


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


class SavedWeights(Mapping[str, "Tensor"]):
    """A network's weights that are read when they are first asked for, so that opening results needs no torch.

    Parameters
    ----------
    path : Path
        Of the file; its header is read at once, and the floating-point weights come as float32.

    Raises
    ------
    CheckpointError
        If the file is damaged; what comes to it later, when it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._names = path, tensor_names(path)
        self._tensors: dict[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        if self._tensors is None:
            read = read_tensors(self.path)[0]
            self._tensors = {key: t.float() if t.is_floating_point() else t for key, t in read.items()}
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def split_common(configurations: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all configurations share, and what each has of its own, down into nested mappings."""
    first = configurations[0]
    common: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in configurations]
    for key in dict.fromkeys(key for configuration in configurations for key in configuration):
        values = [configuration.get(key) for configuration in configurations]
        # As text: Python takes 1, 1.0 and True for the same, but they make different runs.
        texts = {json.dumps(value, sort_keys=True) for value in values}
        if len(texts) == 1 and all(key in configuration for configuration in configurations):
            common[key] = first[key]
        elif all(isinstance(value, Mapping) for value in values):
            common[key], parts = split_common(values)
            for mine, part in zip(own, parts, strict=True):
                if part:
                    mine[key] = part
        else:
            for mine, configuration in zip(own, configurations, strict=True):
                if key in configuration:
                    mine[key] = configuration[key]
    return common, own


def join_common(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration again."""
    joined = dict(common)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(joined.get(key), Mapping)
        joined[key] = join_common(joined[key], value) if both else value
    return joined


def _rounded(history: pandas.DataFrame) -> dict[str, list[Any]]:
    return {name: [_round(value) for value in column.tolist()] for name, column in history.items()}


def _history(columns: Mapping[str, list[Any]]) -> pandas.DataFrame:
    # A column of nothing but null would not be taken for numbers.
    known = {name: [np.nan if v is None else v for v in values] for name, values in columns.items()}
    return pandas.DataFrame(known)


def _round(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
