"""The main job on real images: brain MRI, axial, meningioma thinned to 30, three paired seeds of two methods."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import careedu

SEEDS = (0, 1, 2)


@pytest.mark.real
@pytest.mark.slow
def test_rare_meningioma_is_measured_beside_a_nearest_neighbour(real_data, capsys):
    data = careedu.load("brain-tumor", plane="axial", counts={"meningioma": 30})
    assert data.train.counts.tolist() == [297, 30, 175] and data.rare == ("meningioma",)
    rows, runs = [], {}
    for method in ("cross-entropy", "class-balanced", "nearest-neighbour", "lesion-size"):
        for seed in SEEDS:
            run = careedu.fit(data.redraw(seed), method, seed=seed, progress=False)
            runs.setdefault(method, []).append(run)
            recalls = {name: str(i) for name, i in zip(run.classes, run.recall_intervals(), strict=True)}
            balanced = str(run.interval("balanced accuracy"))
            rows.append({"method": method, "seed": seed, **recalls, "balanced": balanced, "s": round(run.seconds, 1)})
    with capsys.disabled():
        print("\n\nbrain-tumor, axial, 112 px, meningioma thinned to 30; recall with 95 % interval over runs of slices")
        print(pandas.DataFrame(rows).to_string(index=False))

    means = {method: np.mean([run.balanced_accuracy() for run in three]) for method, three in runs.items()}
    for method in ("cross-entropy", "class-balanced"):
        assert means[method] > means["nearest-neighbour"], "the network has learned no more than look-alikes"
    # The redrawn training images differ from seed to seed and agree between methods: a paired comparison.
    prints = [[run.configuration["data"]["fingerprint"] for run in three] for three in runs.values()]
    assert len(set(prints[0])) == len(SEEDS) and all(row == prints[0] for row in prints)
    # Test images come in runs of look-alike slices, and intervals know it: fewer groups than images, wider intervals.
    run = runs["class-balanced"][0]
    assert len(np.unique(run.groups)) < len(run.groups) / 2
