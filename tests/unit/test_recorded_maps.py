"""The maps of a training in several stages, recorded and saved: in order, the last one last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import careedu
from careedu.experiment.attention import recorded_maps, trained_map
from careedu.experiment.results import Results

OPTIONS = {"epochs": 4, "progress": False}
MAP_EPOCHS = 3


@pytest.fixture(scope="module")
def results():
    data = careedu.load("phantom-chest", size=32, largest=12, val=3, test=4)
    after = {"order": "after", "fill": "mean", "map_epochs": MAP_EPOCHS}
    methods = {
        "after": careedu.GlobalAttention(map="free", **after),
        "both": careedu.GlobalAttention(map="free", **after, retrain=0.25),
        "fixed": careedu.GlobalAttention(map="mean-image", **after),
    }
    return careedu.compare(data, methods, seeds=2, **OPTIONS)


def exact(run):
    """The map that the trained network holds."""
    return run.network().before.map().numpy()


@pytest.mark.parametrize(("arm", "kept"), [("after", MAP_EPOCHS), ("both", MAP_EPOCHS + 1), ("fixed", 1)])
def test_maps_are_those_of_all_stages_in_order_of_training(results, arm, kept):
    run = results.runs[arm][0]
    maps = recorded_maps(run)
    assert maps.shape == (kept, 32, 32), "none of the epochs in which all pixels are open"
    np.testing.assert_allclose(maps[-1], exact(run), atol=2e-5)
    np.testing.assert_array_equal(trained_map(run), maps[-1])
    if arm != "fixed":
        np.testing.assert_array_equal(maps[:MAP_EPOCHS], run.traces["map: attention map"] / 65535)
    if arm == "both":
        np.testing.assert_array_equal(maps[MAP_EPOCHS:], run.traces["attention map"] / 65535)
        backwards = replace(run, traces=dict(reversed(run.traces.items())))
        np.testing.assert_array_equal(recorded_maps(backwards), maps)


@pytest.mark.parametrize("arm", ["after", "both"])
def test_weights_are_better_than_eight_bits_of_whichever_stage_was_last(results, arm):
    run = results.runs[arm][0]
    rough = {name: (t >> 8).astype(np.uint8) for name, t in run.traces.items() if name.endswith("attention map")}
    np.testing.assert_array_equal(trained_map(replace(run, traces=rough)), exact(run).astype(np.float64))
    # Of the last stage alone it counts how finely it was recorded.
    first = next(iter(rough))
    mixed = run.traces | ({first: rough[first]} if arm == "both" else {})
    np.testing.assert_array_equal(trained_map(replace(run, traces=mixed)), recorded_maps(run)[-1])
    half = {"before.values": torch.rand(32, 32).half()}
    np.testing.assert_array_equal(trained_map(replace(run, traces={}, weights=half)), half["before.values"].double())


@pytest.mark.parametrize("courses", [True, False, ["both"]])
def test_saved_results_keep_them_too_and_of_other_seeds_the_last(results, tmp_path, courses):
    back = Results.load(results.save(tmp_path / "results", courses=courses))
    again = Results.load(back.save(tmp_path / "again", courses=courses))
    for arm, by_seed in results.runs.items():
        for seed, run in by_seed.items():
            for opened in (back.runs[arm][seed], again.runs[arm][seed]):
                whole = recorded_maps(run)
                kept = courses if isinstance(courses, bool) else arm in courses
                whole = whole if kept and seed == 0 else whole[-1:]
                # In levels of their own, see test_saved_maps.py; here maps have moved little yet.
                np.testing.assert_allclose(recorded_maps(opened), whole, rtol=0, atol=np.ptp(whole) / 255)
                np.testing.assert_array_equal(recorded_maps(opened), recorded_maps(back.runs[arm][seed]))
                np.testing.assert_array_equal(trained_map(opened), recorded_maps(opened)[-1])
                assert opened.pretraining.equals(back.runs[arm][seed].pretraining)
                assert len(opened.pretraining) == (0 if arm == "fixed" else MAP_EPOCHS)
