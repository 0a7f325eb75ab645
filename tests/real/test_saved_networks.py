"""The saved networks of notebook 06 are those of its records: they find the same lesions and make the same features."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from careedu.course.experiments import EXPERIMENTS
from careedu.methods.segmentation import dice_scores, regions, segment
from careedu.show import GeneratedFeatures


def is_what_was_recorded(name: str) -> None:
    """Assert it of the networks beside an experiment, which were saved with half of their digits."""
    test, record = EXPERIMENTS[name].load().test, GeneratedFeatures.load(f"{name}/generated")
    assert record.test_ids.tolist() == list(test.ids)
    network = partial(segment, record.network("segmentation"))
    assert (regions(network, test.images).numpy() == record.found).mean() > 0.9995
    assert dice_scores(network, test).mean() == pytest.approx(record.dice[0].mean(), abs=0.003)
    wanted, noise = torch.from_numpy(record.made_labels), torch.Generator()
    for way in ("ACGAN", "WGAN-GP"):
        made = record.network(way).sample(wanted, noise.manual_seed(record.provenance["seed"])).numpy()
        recorded = record.of(way, record.epochs[-1])
        assert np.abs(made - recorded).max() < 0.03 and recorded.std() > 0.5, way
    assert not np.allclose(made, record.of("ACGAN", record.epochs[-1]), atol=0.5), "those of the other are others"


def test_the_networks_of_the_phantoms_are_what_was_recorded():
    is_what_was_recorded("06-phantom-brain")


@pytest.mark.real
def test_the_networks_of_the_brain_slices_are_what_was_recorded(real_data):
    is_what_was_recorded("06-brain-tumor")
