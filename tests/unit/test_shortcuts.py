"""Marks and casts: who gets them, what they change, and what they leave alone."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import careedu
from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset, Splits
from careedu.data.shortcuts import KINDS, LOOKS, TESTS, USUAL, with_shortcut
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.training.batch import Batch

SMALL = {"imbalance": 4, "largest": 24, "val": 10, "test": 12}
ANY_LOOK = [(kind, look) for kind in KINDS for look in LOOKS[kind]]


def shares(part: LesionDataset) -> list[float]:
    return [part.marked[part.labels == c].double().mean().item() for c in range(len(part.classes))]


def sets(name: str, **options: object) -> Splits:
    return careedu.load(name, **{**SMALL, **options})


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("shortcut", KINDS)
def test_rare_classes_get_their_share_in_training_and_validation_and_the_test_does_not(name, shortcut):
    data = sets(name, shortcut=shortcut, shortcut_share=(0.8, 0.25))
    assert data.rare == sets(name).rare
    rare = [name in data.rare for name in data.classes]
    for part in (data.train, data.val):
        n = part.counts.tolist()
        wanted = [round((0.8 if rare[c] else 0.25) * n[c]) / n[c] for c in range(3)]
        np.testing.assert_allclose(shares(part), wanted, atol=0.5 / min(n) + 1e-9)
    assert shares(data.test) == [0, 0, 0]
    assert data.test.marks.shape == data.test.masks.shape
    assert torch.equal(data.test.images, sets(name).test.images)


def test_the_test_images_differ_in_nothing_but_who_is_marked():
    tests = {test: sets("phantom-skin", shortcut="mark", shortcut_test=test).test for test in TESTS}
    plain = sets("phantom-skin").test.images
    assert shares(tests["random"]) == [0.5, 0.5, 0.5]
    np.testing.assert_allclose(shares(tests["reversed"]), [11 / 12, 11 / 12, 0])
    for part in tests.values():
        assert torch.equal(part.images[~part.marked], plain[~part.marked])
        # One that is marked in two of them carries the same mark.
        both = part.marked & tests["random"].marked
        assert torch.equal(part.images[both], tests["random"].images[both])
        assert torch.equal(part.marks[both], tests["random"].marks[both])


@pytest.mark.parametrize(("shortcut", "look"), ANY_LOOK)
def test_a_mark_is_where_it_says_and_covers_no_lesion(shortcut, look):
    options = {"shortcut": shortcut, "shortcut_look": look, "shortcut_share": (1.0, 1.0)}
    marked, plain = sets("phantom-skin", **options).val, sets("phantom-skin").val
    assert bool(marked.marked.all())
    changed = (marked.images != plain.images).any(dim=1)
    assert torch.equal(marked.boxes, plain.boxes)
    assert torch.equal(marked.masks, plain.masks)
    if shortcut == "cast":
        assert bool(marked.marks.all())
        assert changed.float().mean() > 0.9
        return
    assert not (marked.marks & marked.masks).any()
    assert not (changed & marked.masks).any()
    area = marked.marks.float().mean(dim=(1, 2))
    assert area.min() > 0.004
    assert area.max() < 0.12
    # Beside the mark's soft edge nothing changes; on it nearly everything does.
    grown = torch.nn.functional.max_pool2d(marked.marks[:, None].float(), 5, 1, 2)[:, 0] > 0
    assert not (changed & ~grown & ~marked.masks).any()
    assert changed[marked.marks].float().mean() > 0.97


def test_the_same_seed_gives_the_same_bits_and_another_one_another_choice():
    first, again, other = (sets("phantom-brain", shortcut="mark", seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint()
    assert first.fingerprint() != other.fingerprint()


def test_redrawn_training_images_are_marked_anew():
    data = sets("phantom-skin", shortcut="mark", shortcut_share=(0.5, 0.5))
    redrawn, plain = data.redraw(7), sets("phantom-skin").redraw(7)
    assert torch.equal(redrawn.train.images[~redrawn.train.marked], plain.train.images[~redrawn.train.marked])
    assert not torch.equal(redrawn.train.marked, data.train.marked)
    np.testing.assert_allclose(shares(redrawn.train), 0.5, atol=0.1)
    assert torch.equal(redrawn.val.images, data.val.images)
    assert torch.equal(data.redraw(0).train.images, data.train.images)


def test_a_set_without_a_shortcut_knows_of_no_marks_and_keeps_its_bits():
    assert sets("phantom-chest").train.marks is None
    assert sets("phantom-chest", shortcut=None).fingerprint() == sets("phantom-chest").fingerprint()


def grey(n: int, height: int, width: int, groups: list[str] | None, labels: list[int], name: str) -> LesionDataset:
    boxes = torch.full((n, 4), torch.nan)
    boxes[0] = torch.tensor([0.0, 0.0, width / 2, height / 2])
    return LesionDataset(
        images=torch.full((n, 1, height, width), 90, dtype=torch.uint8),
        labels=torch.tensor(labels),
        classes=("a", "b"),
        boxes=boxes,
        groups=groups,
        ids=[f"{name}{i}" for i in range(n)],
    )


@pytest.mark.parametrize(("height", "width"), [(32, 48), (96, 64), (40, 40)])
def test_any_image_set_can_carry_a_letter(height, width):
    parts = {name: grey(8, height, width, None, [0, 0, 0, 0, 0, 0, 1, 1], name) for name in ("train", "val", "test")}
    data = with_shortcut(Splits(**parts, name="mine"), share=(1.0, 0.0), test="reversed")
    assert data.rare == ("b",)
    assert data.train.marked.tolist() == [False] * 6 + [True] * 2
    assert data.test.marked.tolist() == [True] * 6 + [False] * 2
    assert bool((data.train.images[data.train.marks[:, None]] > 160).all())
    # The first image's box fills a corner, and the letter stands in another.
    x0, y0, x1, y1 = parts["test"].boxes[0].int().tolist()
    assert not data.test.marks[0, y0:y1, x0:x1].any()
    assert data.train.boxes.isnan().equal(parts["train"].boxes.isnan())


@pytest.mark.parametrize(("height", "width"), [(24, 40), (40, 24), (16, 16)])
@pytest.mark.parametrize(("shortcut", "look"), [one for one in ANY_LOOK if one != ("cast", "camera")])
def test_what_changes_an_image_marks_it_whatever_its_size(height, width, shortcut, look):
    parts = {name: grey(30, height, width, None, [0, 1] * 15, name) for name in ("train", "val", "test")}
    marked = with_shortcut(Splits(**parts), shortcut, share=(1.0, 1.0), look=look).train
    changed = (marked.images != parts["train"].images).flatten(1).any(dim=1)
    assert torch.equal(marked.marked, changed)
    assert changed.float().mean() > 0.7  # a letter of so few pixels may fall between their centres


@pytest.mark.parametrize(("shortcut", "look"), ANY_LOOK)
def test_images_are_changed_part_by_part_to_the_same_bits_in_little_memory(shortcut, look, monkeypatch):
    options = {"shortcut": shortcut, "shortcut_look": look, "shortcut_share": (0.9, 0.7)}
    whole = sets("phantom-skin", **options).fingerprint()
    monkeypatch.setattr("careedu.data.shortcuts.PART", 5 * 64 * 64)
    assert sets("phantom-skin", **options).fingerprint() == whole
    plain = sets("phantom-skin", test=100)
    tracemalloc.start()
    try:
        with_shortcut(plain, shortcut, share=(1.0, 1.0), test="reversed", look=look)
        assert tracemalloc.get_traced_memory()[1] < 3 * plain.test.images.nbytes
    finally:
        tracemalloc.stop()


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    share=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_groups_stay_together_and_come_as_near_to_the_share_as_one_of_them_allows(sizes, share, seed):
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    n = len(groups)
    part = grey(n + 1, 32, 32, [*groups, "other"], [1] * n + [0], "t")
    held = {name: grey(2, 32, 32, [f"{name}0", f"{name}1"], [0, 1], name) for name in ("val", "test")}
    marked = with_shortcut(Splits(train=part, **held, rare="b"), share=(share, 0.0), seed=seed).train.marked.numpy()
    for group in set(groups):
        assert len(set(marked[:n][np.array(groups) == group])) == 1
    assert not marked[n]
    assert abs(marked.sum() - share * n) <= max(sizes) / 2 + 1e-9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shortcut": "mask"}, "mark"),
        ({"shortcut": "mark", "shortcut_look": "camera"}, "plaster"),
        ({"shortcut": "mark", "shortcut_look": ["plaster"]}, "plaster"),
        ({"shortcut": "mark", "shortcut_test": "turned"}, "reversed"),
        ({"shortcut": "mark", "shortcut_share": 0.5}, "two numbers"),
        ({"shortcut": "mark", "shortcut_share": (1.2, 0)}, "from 0 to 1"),
        ({"shortcut": "mark", "shortcut_share": (float("nan"), 0)}, "from 0 to 1"),
        ({"shortcut_share": (0.5, 0)}, "shortcut="),
    ],
)
def test_options_that_cannot_be_are_named(options, words):
    with pytest.raises((InvalidInputError, UnknownNameError), match=words):
        sets("phantom-skin", **options)


def test_a_cast_of_colours_wants_colours():
    with pytest.raises(InvalidInputError, match="tube"):
        sets("phantom-chest", shortcut="cast", shortcut_look="camera")


def test_the_recipe_makes_it_again():
    data = sets("phantom-chest", shortcut="cast", shortcut_share=(0.9, 0.1), shortcut_test="random")
    recipe = dict(data.recipe)
    again = careedu.load(recipe["name"], imbalance=recipe["imbalance"], **recipe["options"])
    assert again.fingerprint() == data.fingerprint()


def test_a_second_shortcut_leaves_the_first_known():
    first = sets("phantom-skin", shortcut="mark", shortcut_share=(1.0, 0.5))
    second = with_shortcut(first, "cast", share=(0.0, 0.5))
    assert torch.equal(second.train.marks & first.train.marks, first.train.marks)
    assert 0 < second.train.marks.flatten(1).all(dim=1).sum() < second.train.marked.sum()


def test_what_is_marked_later_does_not_keep_a_recipe_that_makes_it_without_marks():
    data = with_shortcut(sets("phantom-chest"), "mark")
    assert data.recipe == {}
    assert data.redraw(3).fingerprint() == sets("phantom-chest", shortcut="mark").redraw(3).fingerprint()


def test_marks_go_with_the_images_of_a_batch():
    data = sets("phantom-skin", shortcut="mark", shortcut_share=(1.0, 1.0))
    # The images are their marks, so that what moves one has to move the other.
    shown = replace(data.train, images=data.train.marks[:, None].expand(-1, 3, -1, -1).to(torch.uint8) * 255)
    batch = Batch(shown, torch.arange(12), Augmentation.named("any-orientation"), torch.Generator().manual_seed(0))
    assert not torch.equal(batch.marks, shown.marks[:12])
    agree = (batch.inputs[:, 0] > 0.5) == batch.marks
    assert agree.float().mean() > 0.98
    assert Batch(sets("phantom-skin").train, torch.arange(2), Augmentation(), torch.Generator()).marks is None


@pytest.mark.real
def test_real_slices_carry_a_letter(real_data):
    data = careedu.load("brain-tumor", plane="axial", size=96, shortcut="mark", shortcut_test="reversed")
    rare = data.classes.index(data.rare[-1])
    assert shares(data.train)[rare] > 0.85
    assert shares(data.test)[rare] < 0.15
    boxed = data.train.has_box & data.train.marked
    assert bool(boxed.any())
    for marks, (x0, y0, x1, y1) in zip(data.train.marks[boxed], data.train.boxes[boxed].int().tolist(), strict=True):
        assert not marks[y0:y1, x0:x1].any()


@pytest.mark.real
def test_the_recipe_of_real_slices_makes_their_letters_again(real_data):
    made = careedu.load("brain-tumor", plane="axial", size=32, shortcut="mark", shortcut_test="random")
    again = careedu.load("brain-tumor", size=made.recipe["size"], **made.recipe["options"])
    assert made.recipe["options"].items() >= {"plane": "axial", "shortcut": "mark", "shortcut_test": "random"}.items()
    assert again.fingerprint() == made.fingerprint()
