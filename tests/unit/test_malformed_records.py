"""Records that are not what careedu writes: refused when they are opened, with its own error, or good for a table."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_writer import run_of, write_format_1
from made_up_runs import made_up_runs
from safetensors.numpy import load_file, save_file

from careedu.errors import CheckpointError
from careedu.experiment.results import Results
from careedu.experiment.run import Run
from careedu.experiment.saved_folder import write_saved
from careedu.experiment.saved_results import SAVED_RESULTS
from careedu.files import read_tensors, unpacked

OLD = Path(__file__).parent / "results_of_format_1"
"""As careedu wrote them before their arrays had a digest: two smoke runs on chest phantoms."""
DEEP = [0]
for _ in range(300):
    DEEP = [DEEP]
WEIRD = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 1.5, -0.0, 10**30, 10**400, 1e308, -(2**63), 2**63),
    *("", "a", "focal", "\x00", "\ud800", "1", "ü" * 1000, [], {}, [[]], [None], ["a", "a"], [1, "a"], DEEP),
    *({"": {}}, {"a": DEEP}, [{}], [0.5], [-1, 2], [2**70], {"stage": [1]}, {"a": [1], "b": [1, 2]}, {"a": [[1], 2]}),
]
# What json itself would not write.
RAW = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000, "'a'", "", "{", '"\\u12"', "01"]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Each place in a text where something stands; of long lists the first two and the last."""
    yield path
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(i, value[i]) for i in sorted({0, 1, len(value) - 1}) if 0 <= i < len(value)]
    else:
        return
    for key, inner in items:
        yield from places(inner, (*path, key))


def mutated(text: dict, chance: random.Random) -> str:
    """The text with something wrong in it, in one place or in two."""
    text, marks = copy.deepcopy(text), {}
    for _ in range(chance.choice([1, 1, 2])):
        *above, key = chance.choice(list(places(text))[1:])
        holder = text
        for step in above:
            holder = holder[step]
        what = chance.choice(["weird", "weird", "weird", "remove", "raw", "longer", "shorter", "rename"])
        here = holder[key]
        if what == "remove":
            del holder[key]
        elif what == "raw":
            marks[mark := f"<{chance.random()}>"] = chance.choice(RAW)
            holder[key] = mark
        elif what in ("longer", "shorter") and isinstance(here, list) and here:
            holder[key] = here + here[:1] if what == "longer" else here[:-1]
        elif what == "rename" and isinstance(holder, dict):
            holder[chance.choice(["", "x", f"{key} "])] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(chance.choice(WEIRD))
    written = json.dumps(text)
    for mark, raw in marks.items():
        written = written.replace(json.dumps(mark), raw)
    return written


def sealed(written: str) -> str:
    """As a record of format 2 whose digest is right, so that only its content can be wrong."""
    body = written.removeprefix("{") + "\n"
    digest = hashlib.blake2b(body.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f'{{"format": 2, "digest": "{digest}",\n{body}'


def use(folder: Path, record: str) -> bool:
    """Open and read tables, if it can be opened; what else is raised is what this is about."""
    try:
        opened = (Run if record == "run.json" else Results).load(folder)
    except CheckpointError as error:
        assert str(folder) in str(error)
        return False
    opened.table(), repr(opened)
    if record == "run.json":
        opened.interval("rare recall")
    else:
        opened.differences("rare recall")
    return True


def saved(record: str, number: int, folder: Path) -> None:
    """Something small of that kind, in that format."""
    if record == "run.json":
        run_of("old").save(folder) if number == 2 else write_format_1(run_of("old"), folder)
    elif number == 2:
        Results(made_up_runs(seeds=2, per_class=(20, 10, 6))).save(folder)
        with_its_runs(folder)
    else:
        shutil.copytree(OLD, folder)


def with_its_runs(folder: Path) -> None:
    """As it was before format 4: what is told of each run stands in the record, and can be changed there."""
    [path] = folder.glob("arrays-*")
    arrays = unpacked(read_tensors(path, "numpy")[0])
    probabilities = np.stack(
        [run.probabilities for by_seed in Results.load(folder).runs.values() for run in by_seed.values()]
    )
    runs = json.loads(arrays.pop("runs").tobytes())
    for of in ("others", "largest", "missed"):
        del arrays[of]
    text = json.loads((folder / "results.json").read_text())
    text = {key: part for key, part in text.items() if key not in ("format", "digest", "files")}
    arrays["probabilities"] = probabilities.astype(np.float32)
    write_saved(folder, SAVED_RESULTS, {**text, "runs": runs}, {"arrays": arrays})


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("record", ["run.json", "results.json"])
def test_nothing_raw_comes_out_of_a_malformed_record(record, number, tmp_path):
    folder = tmp_path / "saved"
    saved(record, number, folder)
    assert use(folder, record)
    path = folder / record
    text = json.loads(path.read_text())
    if number == 2:
        del text["format"], text["digest"]
    chance, opened = random.Random(f"{record} {number}"), 0
    for _ in range(450):
        written = mutated(text, chance)
        path.write_text(sealed(written) if number == 2 else written, encoding="utf-8", errors="surrogatepass")
        opened += use(folder, record)
    assert 5 < opened < 300, "some are harmless, such as another name of the data; most are not"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("record", ["run.json", "results.json"])
def test_nothing_raw_comes_out_of_a_text_that_is_torn(record, number, tmp_path):
    saved(record, number, tmp_path / "saved")
    path = tmp_path / "saved" / record
    whole, chance = path.read_bytes(), random.Random(number)
    for _ in range(60):
        start, stop = sorted(chance.sample(range(len(whole)), 2))
        torn = [whole[:start], whole[start:], whole[:start] + whole[stop:], whole[:start] + b"\xff" + whole[start:]]
        others = [whole.decode().encode("utf-16"), bytes(len(whole)), b"\xef\xbb\xbf" + whole]
        path.write_bytes(chance.choice([*torn, *others]))
        use(tmp_path / "saved", record)


def spoil(arrays: dict, chance: random.Random) -> None:
    name = chance.choice(list(arrays))
    array = arrays[name]
    spoilt = [
        array[:-1],
        array[..., None],
        array.astype(np.float16),
        array.astype(np.uint8),
        array.reshape(-1),
        np.full(array.shape, -1),
        np.full(array.shape, np.nan),
        np.full(array.shape, np.inf, dtype=np.float32),
        np.full(array.shape, 99, dtype=array.dtype),
        array[:0],
        np.zeros((), dtype=array.dtype),
    ]
    arrays[name] = np.ascontiguousarray(chance.choice(spoilt))
    if chance.random() < 0.2:
        del arrays[name]


@pytest.mark.parametrize("record", ["run.json", "results.json"])
def test_nothing_raw_comes_out_of_arrays_that_do_not_belong(record, tmp_path):
    saved(record, 1, tmp_path / "saved")
    path = tmp_path / "saved" / "arrays.safetensors"
    whole, chance, opened = load_file(path), random.Random(record), 0
    for _ in range(150):
        arrays = dict(whole)
        spoil(arrays, chance)
        save_file(arrays, path, metadata={"careedu": "{}"})
        opened += use(tmp_path / "saved", record)
    assert opened < 120


@pytest.mark.parametrize("kind", ["uint64", "uint8"])
def test_labels_of_a_type_that_is_never_written_are_refused(kind, tmp_path):
    write_format_1(run_of("old"), tmp_path / "saved")
    path = tmp_path / "saved" / "arrays.safetensors"
    arrays = load_file(path)
    save_file({**arrays, "labels": arrays["labels"].astype(kind)}, path, metadata={"careedu": "{}"})
    assert not use(tmp_path / "saved", "run.json")
