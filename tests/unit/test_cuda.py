"""On a CUDA card: each method trains there, to the same bits twice, also when it is killed, and begins as on a CPU.

Without a card these tests are skipped aloud; continuous integration has none.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import made_up_splits, thinned
from small_grid import same_bits

import careedu
from careedu.methods.registry import METHODS
from careedu.training.loop import TrainingStopped
from careedu.training.reproducibility import choose_device, choose_precision

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA card", allow_module_level=True)

PLAIN = thinned(made_up_splits(), 2, 12)
MARKS = torch.zeros_like(PLAIN.train.masks)
MARKS[::4, :4, :4] = True  # for methods that ask which images carry one
DATA = replace(PLAIN, train=replace(PLAIN.train, marks=MARKS))
UNTRAINED = ("lesion-size", "nearest-neighbour")
PRETRAINED = ("simclr", "deep-pneumonia", "segmentation", "feature-generation")
QUICK = {"epochs": 4, "batch_size": 24, "progress": False, "device": "cuda"}


@pytest.fixture(scope="module")
def trained():
    """A run of each method on the card, trained once."""
    runs = {}

    def run(name):
        if name not in runs:
            runs[name] = careedu.fit(DATA, name, seed=3, **QUICK)
        return runs[name]

    return run


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_bits(name, trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = careedu.fit(DATA, name, seed=3, **QUICK)
    assert same_bits(trained(name), again)
    assert np.isfinite(again.probabilities).all()
    if name not in UNTRAINED:
        assert not same_bits(again, careedu.fit(DATA, name, seed=4, **QUICK))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in UNTRAINED])
def test_a_killed_training_goes_on_with_the_same_bits(name, trained, tmp_path):
    path = tmp_path / "training.checkpoint"
    with pytest.raises(TrainingStopped):
        careedu.fit(DATA, name, seed=3, checkpoint=path, on_epoch=lambda report: report.epoch < 2, **QUICK)
    assert same_bits(trained(name), careedu.fit(DATA, name, seed=3, checkpoint=path, **QUICK))


@pytest.mark.parametrize("name", METHODS)
def test_a_run_of_the_card_is_opened_on_a_cpu(name, trained, tmp_path):
    run = trained(name)
    run.save(tmp_path / "run")
    opened = careedu.Run.load(tmp_path / "run")
    assert same_bits(run, opened)
    if name not in UNTRAINED:
        assert run.configuration["device"] == "cuda"
        maps = opened.class_maps(DATA.test.images[:5], DATA.test.labels[:5])
        assert maps.shape == (5, 32, 32) and bool(np.isfinite(np.asarray(maps)).all())


@pytest.mark.parametrize("name", [name for name in METHODS if name not in UNTRAINED + PRETRAINED])
def test_the_first_epoch_is_that_of_a_cpu_up_to_rounding(name):
    """Later ones part, as rounding grows; the first loss is of the same network, batches and augmentation.

    Where many epochs go before it, they have parted by then.
    """
    options = {**QUICK, "precision": "float32", "seed": 3}
    card = careedu.fit(DATA, name, **options).history
    cpu = careedu.fit(DATA, name, **{**options, "device": "cpu"}).history
    assert list(card.columns) == list(cpu.columns)
    losses = [column for column in card.columns if column.startswith("loss")]
    np.testing.assert_allclose(card[losses].iloc[0], cpu[losses].iloc[0], rtol=0.05, atol=0.01)


def test_the_card_is_what_auto_chooses_and_it_computes_in_half_precision():
    assert choose_device("auto").type == "cuda"
    assert choose_precision("auto", torch.device("cuda")) in ("bfloat16", "float16")


def test_a_comparison_trains_on_the_card_and_leaves_its_random_numbers_alone():
    torch.cuda.manual_seed(7)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(7)
    results = careedu.compare(DATA, ["cross-entropy", "care"], seeds=2, **QUICK)
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert len(results.summary()) == 2
