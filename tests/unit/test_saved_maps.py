"""Saved attention maps have 256 values: near what was learned, told apart as it was, and the same when saved again."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from made_up_maps import AFTER, WORTH, ZONE, made_up_comparison, made_up_maps
from made_up_runs import made_up_runs

from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.attention import recorded_maps, trained_map
from careedu.experiment.results import Results
from careedu.experiment.saved_folder import FORMAT, write_saved
from careedu.experiment.saved_results import LEVELS, SAVED_RESULTS
from careedu.files import read_tensors
from careedu.measure.map_quality import map_auroc

OLD = Path(__file__).parent / "results_of_format_2"
"""As careedu wrote them before: made-up maps of a training in one stage and of one in several, 65536 values each."""
ARMS = {"plain": None, "global attention": "pixels", "free after": AFTER["free after"]}
CHANCE = np.random.default_rng(0)
NOISE = CHANCE.random(ZONE.shape)
MAPS = {
    "spread over the whole range": NOISE,
    "a tenth of the range": 0.4 + NOISE / 10,
    "a three hundredth of it": 0.8 + NOISE / 300,
    # What a sparse map of a long training is: its few open pixels are far from all others, which are nearly alike.
    "closed nearly everywhere": np.where(
        CHANCE.random(ZONE.shape) < 0.03, 1 - NOISE / 100, 0.02 + ZONE / 500 + NOISE / 200
    ),
    "open nearly everywhere": np.where(CHANCE.random(ZONE.shape) < 0.03, NOISE / 100, 0.98 + ZONE / 500 + NOISE / 200),
    "of two values": ZONE * 1.0,
    "flat": np.full(ZONE.shape, 0.7),
}


def recorded(values: np.ndarray) -> np.ndarray:
    return (values * 65535).round().astype(np.uint16)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What is read of each map, once and saved again: of the first seed's course, and of the other's trained one."""
    results = made_up_comparison(2, arms=dict.fromkeys(MAPS, "pixels"))
    for name, values in MAPS.items():
        for run in results.runs[name].values():
            run.traces["attention map"] = np.stack([recorded(values[::-1]), recorded(values)])
    folder = tmp_path_factory.mktemp("maps")
    back = Results.load(results.save(folder / "once"))
    return back, Results.load(back.save(folder / "again"))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", MAPS)
def test_a_saved_map_is_within_half_a_step_of_what_was_learned(saved, name, seed):
    learned = recorded(MAPS[name]).astype(int)
    run = saved[0].runs[name][seed]
    trace = run.traces["attention map"]
    assert trace.dtype == np.uint16 and trace.shape == (2 - seed, *ZONE.shape)
    found, levels = trace[-1].astype(int), np.unique(trace[-1]).astype(int)
    assert len(levels) <= LEVELS
    distance = np.abs(found - learned)
    # No other level is nearer, and levels are at most two 255ths of the range apart, but for rounding.
    np.testing.assert_array_equal(distance, np.abs(levels - learned[..., None]).min(axis=-1))
    assert distance.max() <= np.ptp(learned) / (LEVELS - 1) + 1
    assert (found.min(), found.max()) == (learned.min(), learned.max())
    np.testing.assert_array_equal(trained_map(run), trace[-1] / 65535)
    if seed == 0:
        np.testing.assert_array_equal(trace[0], trace[1][::-1])


@pytest.mark.parametrize("name", MAPS)
def test_the_auroc_of_a_saved_map_is_that_of_the_learned_one(saved, name):
    learned = MAPS[name]
    for run in saved[0].runs[name].values():
        assert abs(map_auroc(trained_map(run), ZONE) - map_auroc(recorded(learned) / 65535, ZONE)) < 5e-4


@pytest.mark.parametrize("name", ["closed nearly everywhere", "open nearly everywhere"])
def test_even_levels_would_not_keep_it(name):
    learned = MAPS[name]
    even = ((learned - learned.min()) / np.ptp(learned) * (LEVELS - 1)).round()
    assert abs(map_auroc(even, ZONE) - map_auroc(learned, ZONE)) > 5e-3


@pytest.mark.parametrize("name", MAPS)
def test_few_values_are_kept_as_they_are_and_so_is_what_was_saved_before(saved, name):
    once, again = (results.runs[name] for results in saved)
    for seed in once:
        np.testing.assert_array_equal(recorded_maps(again[seed]), recorded_maps(once[seed]))
    learned = recorded(MAPS[name])
    few = len(np.unique(learned)) <= LEVELS
    assert few == (name in ("a three hundredth of it", "of two values", "flat"))
    assert np.array_equal(once[1].traces["attention map"][-1], learned) == few


def test_only_attention_maps_are_rounded_and_every_layout_comes_back(tmp_path):
    runs = made_up_runs(("focal",), seeds=1)
    wide = np.arange(4096, dtype=np.uint16).reshape(4, 32, 32)
    kept = {"my attention map": wide, "columns first": np.asfortranarray(wide[0]), "rows": wide[:, ::2, 0].T}
    kept |= {"attention map": wide[:0], "map: attention map": wide.astype(np.uint8)}
    runs["focal"][0].traces |= kept
    back = Results.load(Results(runs).save(tmp_path / "r")).first.traces
    for name, array in kept.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype
    runs["focal"][0].traces["of no kind"] = np.zeros(3, dtype=complex)
    with pytest.raises(InvalidInputError, match=r"type that cannot be saved.*complex128"):
        Results(runs).save(tmp_path / "r")
    assert "of no kind" not in Results.load(tmp_path / "r").first.traces


# What an older careedu saved


def test_results_of_format_2_open_untouched_to_the_last_bit_and_are_replaced_by_the_next(tmp_path):
    folder = shutil.copytree(OLD, tmp_path / "r")
    results = Results.load(folder)
    for path in OLD.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    for seed, run in results.runs["global attention"].items():
        learned = made_up_maps("pixels", seed, 3, WORTH["pixels"])
        np.testing.assert_array_equal(recorded_maps(run), learned[-1:] / 65535 if seed else learned / 65535)
    for seed, run in results.runs["free after"].items():
        learned = made_up_maps("free", seed, 4, WORTH["free"])
        np.testing.assert_array_equal(recorded_maps(run), learned[-1:] / 65535 if seed else learned / 65535)
    single = made_up_comparison(2, arms=ARMS).first.validation_probabilities.astype(np.float32)
    np.testing.assert_array_equal(results.first.validation_probabilities, single)
    results.save(folder)
    assert len(list(folder.iterdir())) == 2
    again = Results.load(folder)
    assert again.table().equals(results.table())
    np.testing.assert_allclose(
        trained_map(again.runs["free after"][1]), trained_map(results.runs["free after"][1]), rtol=0, atol=1 / 255
    )
    assert f'"format": {FORMAT}' in (folder / "results.json").read_text() and FORMAT > 2


# Damage inside of what is packed, under a digest that is right

DAMAGES = {
    "no xz": lambda packed, arrays: b"no xz",
    "cut": lambda packed, arrays: packed[:-9],
    "nothing": lambda packed, arrays: b"",
    "no tensors": lambda packed, arrays: lzma.compress(b"no tensors"),
    "cut inside": lambda packed, arrays: lzma.compress(lzma.decompress(packed)[:-9]),
    "lacking": lambda packed, arrays: repacked({name: a for name, a in arrays.items() if name != "labels"}),
    "levels that are not there": lambda packed, arrays: repacked(changed(arrays, "steps/", lambda a: a[:, :1])),
    "levels of fewer maps": lambda packed, arrays: repacked(changed(arrays, "steps/", lambda a: a[:-1])),
    "levels that are no numbers": lambda packed, arrays: repacked(changed(arrays, "steps/", lambda a: a[0, 0])),
    "places between levels": lambda packed, arrays: repacked(changed(arrays, "last/", lambda a: a + 0.5)),
    "runs that are no text": lambda packed, arrays: repacked(changed(arrays, "runs", lambda a: a + 128)),
    "runs cut": lambda packed, arrays: repacked(changed(arrays, "runs", lambda a: a[:-9])),
    "runs nested too deep": lambda packed, arrays: repacked(
        changed(arrays, "runs", lambda a: text_as_array("[" * 9999))
    ),
    "runs of nothing": lambda packed, arrays: repacked(changed(arrays, "runs", lambda a: text_as_array("[{}]"))),
    "fewer runs": lambda packed, arrays: repacked(changed(arrays, "runs", lambda a: text_as_array("[]"))),
    "nothing largest": lambda packed, arrays: repacked(changed(arrays, "largest", lambda a: a + 9)),
    "fewer others": lambda packed, arrays: repacked(changed(arrays, "others", lambda a: a[1:])),
    "another largest": lambda packed, arrays: repacked(changed(arrays, "missed", lambda a: a - (1 << 22))),
    "what was missed is gone": lambda packed, arrays: repacked({n: a for n, a in arrays.items() if n != "missed"}),
}


def text_as_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def repacked(arrays: dict[str, np.ndarray]) -> bytes:
    return lzma.compress(safetensors.numpy.save(arrays))


def changed(arrays, prefix, change):
    return {name: np.ascontiguousarray(change(a)) if name.startswith(prefix) else a for name, a in arrays.items()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_raw_comes_out_of_what_is_packed(damage, tmp_path):
    folder = made_up_comparison(2, arms=ARMS).save(tmp_path / "r")
    [path] = folder.glob("arrays-*")
    [(name, packed)] = read_tensors(path, "numpy")[0].items()
    arrays = safetensors.numpy.load(lzma.decompress(packed))
    assert name == "packed" and any(name.startswith("steps/") for name in arrays)
    reseal(folder, packed.tobytes())
    assert Results.load(folder).seeds == (0, 1)
    reseal(folder, DAMAGES[damage](packed.tobytes(), arrays))
    with pytest.raises(CheckpointError, match=r"the comparison in .*/r is damaged"):
        Results.load(folder)


def reseal(folder: Path, packed: bytes) -> None:
    """Put other content in, and into the record the digests that go with it."""
    text = json.loads((folder / "results.json").read_text())
    text = {key: part for key, part in text.items() if key not in ("format", "digest", "files")}
    write_saved(folder, SAVED_RESULTS, text, {"arrays": {"packed": np.frombuffer(packed, np.uint8)}})
