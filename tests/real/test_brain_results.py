"""The main job on real images: brain MRI, axial, meningioma thinned to 30, saved runs beside what needs no network.

`test_saved_runs.py` trains one of these runs again.
"""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import careedu
from careedu.course.experiments import EXPERIMENTS

NAME = "01-brain-tumor"
NETWORKS = ("cross-entropy", "inverse-frequency weights")
REFERENCES = {"nearest neighbour": "nearest-neighbour", "lesion size alone": "lesion-size"}


@pytest.mark.real
@pytest.mark.slow
def test_rare_meningioma_is_measured_beside_a_nearest_neighbour(real_data, capsys):
    data, saved = EXPERIMENTS[NAME].load(), careedu.Comparison.load(NAME)
    assert data.train.counts.tolist() == [297, 30, 175] and data.rare == ("meningioma",)
    rows, runs = [], {name: list(saved.runs[name].values()) for name in NETWORKS}
    for name, method in REFERENCES.items():
        runs[name] = [careedu.fit(data.redraw(seed), method, seed=seed, progress=False) for seed in saved.seeds]
        for seed, run in zip(saved.seeds, runs[name], strict=True):
            np.testing.assert_allclose(run.probabilities, saved.runs[name][seed].probabilities, atol=1e-5)
    for name, of_seeds in runs.items():
        for seed, run in zip(saved.seeds, of_seeds, strict=True):
            recalls = {label: str(i) for label, i in zip(run.classes, run.recall_intervals(), strict=True)}
            rows.append({"method": name, "seed": seed, **recalls, "balanced": str(run.interval("balanced accuracy"))})
    with capsys.disabled():
        print("\n\nbrain-tumor, axial, meningioma thinned to 30; recall with 95 % interval over runs of slices")
        print(pandas.DataFrame(rows).to_string(index=False))

    means = {name: np.mean([run.balanced_accuracy() for run in of_seeds]) for name, of_seeds in runs.items()}
    for name in NETWORKS:
        assert means[name] > means["nearest neighbour"], "the network has learned no more than look-alikes"
    # The redrawn training images differ from seed to seed and agree between methods: a paired comparison.
    prints = [[run.configuration["data"]["fingerprint"] for run in of_seeds] for of_seeds in runs.values()]
    assert len(set(prints[0])) == len(saved.seeds) and all(row == prints[0] for row in prints)
    # Test images come in runs of look-alike slices, and intervals know it: fewer groups than images, wider intervals.
    run = runs[NETWORKS[1]][0]
    assert len(np.unique(run.groups)) < len(run.groups) / 2
