"""How often images are called what their look-alikes are of: counted by hand, beside other wrong calls."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import careedu
from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.show.distractor.confusion import called_like_patches, look_alike_confusion, shares_by_temptation

KNOBS = {"largest": 12, "val": 6, "test": 10, "size": 32, "look_alike": 1.0, "distractors": 3}


def test_calls_are_counted_by_hand():
    # Patch's class; the other wrong one; right; no patch; a patch of the image's own class.
    labels, patches = np.array([0, 0, 1, 2, 2]), np.array([1, 1, 0, -1, 2])
    probabilities = np.eye(3)[[1, 2, 1, 0, 0]]
    assert called_like_patches(probabilities, labels, patches).tolist() == [
        [True, False],
        [False, True],
        [False, False],
    ]


def test_without_look_alikes_of_another_class_there_is_nothing_to_count():
    with pytest.raises(InvalidInputError, match="look_alike above 0"):
        called_like_patches(np.eye(3), np.arange(3), np.array([0, -1, 2]))


@pytest.fixture(scope="module")
def results():
    """Two arms, one of which has been made to call most images what their look-alikes are of."""
    data = careedu.load("phantom-skin", **KNOBS)
    found = careedu.compare(data, {"plain": "cross-entropy"}, seeds=8, epochs=1, progress=False)
    patches, misled = data.test.mark_labels, {}
    for seed, run in found.runs["plain"].items():
        called = torch.where((patches >= 0) & (torch.arange(len(patches)) % 10 != seed), patches, data.test.labels)
        misled[seed] = replace(run, probabilities=np.eye(3)[called] * 0.8 + 0.2 / 3)
    return careedu.Comparison({"plain": found.runs["plain"], "misled": misled}, data=data)


def test_the_table_has_means_excess_and_paired_differences(results):
    table = look_alike_confusion(results)
    assert list(table.index) == ["plain", "misled"]
    patches, labels = results.data.test.mark_labels.numpy(), results.labels
    for method, runs in results.runs.items():
        rates = [called_like_patches(run.probabilities, labels, patches).mean(axis=0) for run in runs.values()]
        first, second = np.mean(rates, axis=0)
        assert table.loc[method, "look-alikes' class"].estimate == pytest.approx(first)
        assert table.loc[method, "other wrong class"].estimate == pytest.approx(second)
        assert table.loc[method, "excess"].effect == pytest.approx(first - second)
    assert table.loc["plain", "spared"] is None
    against = table.loc["misled", "spared"]
    rates = table["look-alikes' class"]
    assert against.effect == pytest.approx(rates["plain"].estimate - rates["misled"].estimate)
    assert against.verdict == "worse", "more confusion is worse"
    assert table.loc["misled", "excess"].low > 0.5
    other = look_alike_confusion(results, "misled").loc["plain", "spared"]
    assert other.effect == pytest.approx(-against.effect)


def test_images_whose_marks_have_no_class_are_refused(results):
    test = results.data.test
    plain = LesionDataset(images=test.images, labels=test.labels, classes=test.classes)
    data = Splits(train=results.data.train, val=results.data.val, test=plain)
    with pytest.raises(InvalidInputError, match="not known"):
        look_alike_confusion(careedu.Comparison(results.runs, data=data))


def test_relevance_beyond_chance_is_told_apart_by_what_tempts(results):
    """Patches hold .4 of the relevance where their class tempts, .25 where another does, and .2 of the image."""
    plain = {"plain": results.runs["plain"]}
    test, seeds = results.data.test, results.seeds
    patches, n = test.mark_labels.numpy(), len(test)
    shares = np.full((1, len(seeds), n, 4), 0.2)
    for k, run in enumerate(plain["plain"].values()):
        others = run.probabilities.copy()
        others[np.arange(n), results.labels] = -1
        shares[0, k, :, 0] = np.where(others.argmax(axis=1) == patches, 0.4 + 0.01 * k, 0.25)
    shares[:, :, patches < 0] = np.nan
    record = SimpleNamespace(arms=("plain",), shares=shares, patch_labels=patches)
    table = shares_by_temptation(record, careedu.Comparison(plain, data=results.data))
    found = table.loc["plain"]
    assert found["look-alikes' class"] == pytest.approx(0.2 + 0.01 * np.mean(range(8)))
    assert found["other wrong class"] == pytest.approx(0.05)
    assert (found["difference"].verdict, found["difference"].seeds) == ("better", len(seeds))


def test_where_look_alikes_tempt_always_there_is_nothing_to_compare(results):
    patches = results.data.test.mark_labels.numpy()
    always = {s: replace(r, probabilities=np.eye(3)[np.maximum(patches, 0)]) for s, r in results.runs["plain"].items()}
    record = SimpleNamespace(arms=("plain",), shares=np.zeros((1, 8, len(patches), 4)), patch_labels=patches)
    with pytest.raises(InvalidInputError, match="tempt always or never"):
        shares_by_temptation(record, careedu.Comparison({"plain": always}, data=results.data))
