"""One map for all chest X-rays of PneumoniaMNIST: a smoke run, which says that it runs and nothing of its worth."""

from __future__ import annotations

import numpy as np
import pytest

import careedu
from careedu.experiment.attention import trained_map
from careedu.nn.pixel_features import mean_image


@pytest.mark.real
@pytest.mark.slow
def test_a_map_is_learned_from_real_x_rays(real_data, capsys):
    data = careedu.load("pneumoniamnist", root=real_data, variant="train9to1")
    run = careedu.fit(data, careedu.GlobalAttention(), epochs=1, progress=False)
    learned = trained_map(run)
    assert learned.shape == tuple(data.train.images.shape[2:])
    assert 0 < learned.min() < learned.max() < 1, "it has moved, and is not shut"
    assert np.isfinite(run.probabilities).all() and run.balanced_accuracy() > 0.5
    alike = np.corrcoef(learned.ravel(), mean_image(data.train.images).numpy().ravel())[0, 1]
    with capsys.disabled():
        print(
            f"\nPneumoniaMNIST, 1 epoch: balanced accuracy {run.interval('balanced accuracy')}, map from "
            f"{learned.min():.2f} to {learned.max():.2f}, correlation with the mean image {alike:.3f}"
        )
