"""Classes are thinned to what was asked for, and images held out by group."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from careedu.data.dataset import LesionDataset
from careedu.data.imbalance import hold_out_by_group, long_tail_counts, thin
from careedu.errors import InvalidInputError, UnknownNameError


def labelled(labels, groups=None, classes=("common", "middling", "rare")):
    """Blank images of which the one pixel tells the row."""
    n = len(labels)
    images = (torch.arange(n) % 256).to(torch.uint8).reshape(n, 1, 1, 1)
    return LesionDataset(images=images, labels=torch.tensor(labels), classes=classes, groups=groups)


def hold_out(dataset, fraction=0.2, seed=0):
    """What is kept of a data set, and what is held out."""
    rows = hold_out_by_group(dataset.labels.numpy(), dataset.groups, dataset.classes, fraction, seed)
    return tuple(dataset[part] for part in rows)


def test_known_long_tails():
    assert long_tail_counts([300, 300, 300], 100) == [300, 30, 3]
    assert long_tail_counts([300, 300, 300], 1) == [300, 300, 300]
    assert long_tail_counts([10, 1000], 2) == [10, 20]
    assert long_tail_counts([297, 122, 175], 27) == [297, 11, 57]
    # The middle class has too few for 1000 / sqrt(10), so the whole tail shrinks with it.
    assert long_tail_counts([1000, 100, 50], 10) == [316, 100, 32]


@given(
    available=st.lists(st.integers(1, 5000), min_size=2, max_size=8),
    ratio=st.floats(1, 500, allow_nan=False),
)
def test_long_tails_keep_their_promises(available, ratio):
    try:
        counts = long_tail_counts(available, ratio)
    except InvalidInputError as error:
        assert "less than one image" in str(error)
        assert max(available) / ratio < 1 or min(available) < max(available)
        return
    assert all(1 <= n <= there for n, there in zip(counts, available, strict=True))
    order = sorted(range(len(counts)), key=lambda c: (-available[c], c))
    tail = [counts[c] for c in order]
    assert tail == sorted(tail, reverse=True)
    # Each step is the same factor, up to the rounding of whole numbers.
    step = ratio ** (1 / (len(tail) - 1))
    for larger, smaller in pairwise(tail):
        assert (larger - 0.5) / (smaller + 0.5) <= step * (1 + 1e-9) <= (larger + 0.5) / (smaller - 0.5) * (1 + 1e-8)
    # No larger tail would fit: one class is used up.
    assert any(n == there for n, there in zip(counts, available, strict=True))


@pytest.mark.parametrize("ratio", [0.5, float("nan"), float("inf"), "10", True, None])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(InvalidInputError, match=r"imbalance=.* must be a finite number at least 1; it is the largest"):
        long_tail_counts([100, 100], ratio)


def test_a_tail_without_a_last_image_is_refused_and_the_largest_ratio_named():
    with pytest.raises(InvalidInputError, match="at most 40"):
        long_tail_counts([40, 40], 41)
    assert long_tail_counts([40, 40], 40) == [40, 1]


@given(st.data())
def test_thin_keeps_so_many_in_their_order_and_leaves_other_classes_whole(data):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=60))
    dataset = labelled(labels)
    there = dataset.counts.tolist()
    names = data.draw(st.sets(st.sampled_from([c for c, n in zip(dataset.classes, there, strict=True) if n])))
    counts = {name: data.draw(st.integers(1, there[dataset.class_index(name)])) for name in sorted(names)}
    thinned = thin(dataset, counts, data.draw(st.integers(0, 2**32 - 1)))
    for name, before, after in zip(dataset.classes, there, thinned.counts.tolist(), strict=True):
        assert after == counts.get(name, before)
    rows = thinned.ids.astype(int)
    assert (np.diff(rows) > 0).all()
    assert thinned.labels.tolist() == [labels[row] for row in rows]
    assert thinned.images.flatten().tolist() == rows.tolist()


def test_thinning_depends_on_the_seed_and_not_on_other_classes():
    dataset = labelled([0, 1, 2] * 40)
    first = thin(dataset, {"rare": 10}, 3)
    assert first.ids.tolist() == thin(dataset, {"rare": 10}, 3).ids.tolist()
    assert first.ids.tolist() != thin(dataset, {"rare": 10}, 4).ids.tolist()
    both = thin(dataset, {"common": 5, "rare": 10}, 3)
    assert set(first.ids[first.labels == 2]) == set(both.ids[both.labels == 2])
    fewer = thin(dataset, {"rare": 6}, 3)
    assert set(fewer.ids[fewer.labels == 2]) < set(first.ids[first.labels == 2])


def test_every_image_can_be_drawn():
    dataset = labelled([0] * 6 + [1, 2])
    seen = {name for seed in range(60) for name in thin(dataset, {"common": 1}, seed).ids[:1]}
    assert seen == set("012345")


@pytest.mark.parametrize(
    ("counts", "error", "words"),
    [
        ({"rare": 4}, InvalidInputError, "4 training images of 'rare', but there are 3"),
        ({"rrae": 1}, UnknownNameError, "Did you mean 'rare'"),
        ({"rare": 0}, InvalidInputError, "at least 1"),
        ({"rare": -1}, InvalidInputError, "at least 1"),
        ({"rare": 1.5}, InvalidInputError, "whole number"),
        ({"rare": True}, InvalidInputError, "whole number"),
        ([("rare", 1)], InvalidInputError, "must map"),
    ],
)
def test_counts_that_cannot_be_are_refused(counts, error, words):
    with pytest.raises(error, match=words):
        thin(labelled([0, 0, 1, 2, 2, 2]), counts, 0)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", True, 2**32])
def test_seeds_that_are_none_are_refused(seed):
    with pytest.raises(InvalidInputError, match=r"seed=.* must be a whole number from 0 to 4294967295"):
        thin(labelled([0, 1, 2]), {"rare": 1}, seed)
    with pytest.raises(InvalidInputError, match=r"seed=.* must be a whole number from 0 to 4294967295"):
        hold_out(labelled([0, 1, 2] * 9), seed=seed)


@settings(deadline=None, max_examples=40)
@given(
    groups=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=12, max_size=60),
    seed=st.integers(0, 1000),
)
def test_holding_out_parts_no_group_and_loses_no_image(groups, seed):
    labels = [label for label, n in groups for _ in range(n)]
    names = [f"patient {i}" for i, (_, n) in enumerate(groups) for _ in range(n)]
    dataset = labelled(labels, names)
    try:
        kept, held = hold_out(dataset, 0.2, seed)
    except InvalidInputError as error:
        assert "vanishing" in str(error) and min(n for n in np.bincount([c for c, _ in groups]) if n) == 1
        return
    assert not set(kept.groups) & set(held.groups)
    assert sorted([*kept.ids, *held.ids]) == sorted(dataset.ids)
    assert ((kept.counts > 0) == (dataset.counts > 0)).all()
    assert len(held) > 0


def test_classes_are_held_out_in_like_proportions():
    labels = [0] * 200 + [1] * 100 + [2] * 50
    kept, held = hold_out(labelled(labels, [str(i // 5) for i in range(350)]), 0.2, 1)
    assert held.counts.tolist() == pytest.approx([40, 20, 10], abs=5)
    assert kept.counts.sum() + held.counts.sum() == 350
    again = hold_out(labelled(labels, [str(i // 5) for i in range(350)]), 0.2, 1)[1]
    other = hold_out(labelled(labels, [str(i // 5) for i in range(350)]), 0.2, 2)[1]
    assert held.ids.tolist() == again.ids.tolist() != other.ids.tolist()


def test_what_is_held_out_has_every_class_where_the_groups_allow_it():
    labels = [0] * 30 + [1] * 30 + [2] * 4
    groups = [str(i) for i in range(60)] + ["one", "one", "other", "other"]
    for seed in range(10):
        kept, held = hold_out(labelled(labels, groups), 0.2, seed)
        assert kept.counts[2] == held.counts[2] == 2


def test_a_class_of_one_patient_stays_in_training():
    labels = [0] * 30 + [1] * 30 + [2] * 4
    groups = [str(i) for i in range(60)] + ["only"] * 4
    for seed in range(10):
        kept, _ = hold_out(labelled(labels, groups), 0.2, seed)
        assert kept.counts[2] == 4


@pytest.mark.parametrize(
    ("labels", "groups", "fraction", "words"),
    [
        ([0, 1, 2] * 5, ["one"] * 15, 0.2, "one group"),
        ([0, 1], ["a", "b"], 0.2, "no class has more than one of the 2 images"),
        ([0, 0, 1, 1], ["a", "a", "b", "b"], 0.5, "vanishing"),
        ([0, 1] * 10, None, 0.0, "fraction"),
        ([0, 1] * 10, None, 0.7, "fraction"),
        ([0, 1] * 10, None, float("nan"), "fraction"),
    ],
)
def test_what_cannot_be_held_out_is_said(labels, groups, fraction, words):
    with pytest.raises(InvalidInputError, match=words):
        hold_out(labelled(labels, groups), fraction)
