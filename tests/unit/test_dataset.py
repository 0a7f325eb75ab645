"""`LesionDataset` and `Splits`: what the door lets in, and what comes out of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from careedu.data.dataset import LesionDataset, Splits, rare_classes
from careedu.errors import InvalidInputError, UnknownNameError

CLASSES = ("nevus", "melanoma", "dermatofibroma")
HEIGHT, WIDTH = 6, 9


def make(counts=(4, 3, 2), *, seed=0, prefix="image", **changes):
    """Nine images, every second one with box and mask; wider than high, so that no axis is taken for the other."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n = len(labels)
    boxes = torch.full((n, 4), torch.nan)
    boxes[::2] = torch.tensor([1.0, 2.0, 8.0, 5.0])
    fields = {
        "images": torch.randint(0, 256, (n, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator),
        "labels": labels,
        "classes": CLASSES[: len(counts)],
        "boxes": boxes,
        "masks": torch.rand(n, HEIGHT, WIDTH, generator=generator) > 0.5,
        "has_mask": torch.arange(n) % 2 == 0,
        "groups": np.array([f"{prefix}-patient-{i // 2}" for i in range(n)]),
        "ids": np.array([f"{prefix}-{i}" for i in range(n)]),
    }
    return LesionDataset(**{**fields, **changes})


def splits(counts=(8, 8, 8), **changes):
    parts = {"train": make(counts, prefix="train"), "val": make(prefix="val"), "test": make(prefix="test")}
    return Splits(**{**parts, **changes})


def same(first, second):
    """Whether two sets hold the same in every field."""
    tensors = ("images", "labels", "masks", "has_mask", "has_box")
    return (
        all(torch.equal(getattr(first, name), getattr(second, name)) for name in tensors)
        and torch.equal(first.boxes.nan_to_num(-1), second.boxes.nan_to_num(-1))
        and first.groups.tolist() == second.groups.tolist()
        and first.ids.tolist() == second.ids.tolist()
        and first.classes == second.classes
        and first.grouped == second.grouped
    )


# What a dataset is


def test_only_images_labels_and_classes_are_needed():
    dataset = LesionDataset(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 1]), ("a", "b"))
    assert dataset.boxes.isnan().all()
    assert dataset.boxes.shape == (3, 4)
    assert dataset.masks is None
    assert not dataset.has_box.any()
    assert not dataset.has_mask.any()
    assert dataset.groups.tolist() == dataset.ids.tolist() == ["0", "1", "2"]
    assert dataset.grouped is False


def test_numpy_arrays_and_lists_become_tensors_and_tuples():
    images = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    dataset = LesionDataset(images, [0, 1], ["a", "b"], groups=[7, 8], ids=[1, 2])
    assert isinstance(dataset.images, torch.Tensor)
    assert dataset.labels.dtype == torch.int64
    assert dataset.classes == ("a", "b")
    assert dataset.groups.tolist() == ["7", "8"]
    assert dataset.grouped is True


def test_masks_without_has_mask_are_all_known():
    dataset = make(has_mask=None)
    assert dataset.has_mask.all()


def test_has_box_is_true_where_no_coordinate_is_nan():
    assert make().has_box.tolist() == [True, False] * 4 + [True]


def test_masked_images_keep_their_mask_where_others_have_none():
    assert make().has_mask.tolist() == [True, False] * 4 + [True]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", torch.zeros(9, 3, HEIGHT, WIDTH)),  # floats
        ("images", torch.zeros(9, HEIGHT, WIDTH, dtype=torch.uint8)),  # no channel axis
        ("labels", torch.zeros(9, dtype=torch.int32)),
        ("labels", torch.zeros(8, dtype=torch.int64)),
        ("labels", torch.zeros(9, 1, dtype=torch.int64)),
        ("labels", torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 3])),
        ("labels", torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, -1])),
        ("classes", ("nevus", "nevus", "melanoma")),
        ("classes", ("nevus",)),
        ("boxes", torch.full((9, 4), torch.nan, dtype=torch.float64)),
        ("boxes", torch.full((9, 5), torch.nan)),
        ("boxes", torch.full((8, 4), torch.nan)),
        ("masks", torch.zeros(9, WIDTH, HEIGHT, dtype=torch.bool)),  # turned
        ("masks", torch.zeros(9, HEIGHT, WIDTH, dtype=torch.uint8)),
        ("masks", torch.zeros(8, HEIGHT, WIDTH, dtype=torch.bool)),
        ("has_mask", torch.ones(8, dtype=torch.bool)),
        ("has_mask", torch.ones(9)),
        ("groups", np.array(["a"] * 8)),
        ("groups", np.array([["a"] * 9])),
        ("ids", np.array(["a"] * 8)),
        ("ids", np.array(["a", "b", "c", "d", "e", "f", "g", "h", "a"])),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_name(field, value):
    name = {"labels": "label", "boxes": "box", "classes": "class"}.get(field, field)
    with pytest.raises(InvalidInputError, match=name):
        make(**{field: value})


def test_the_image_with_the_bad_label_is_named():
    with pytest.raises(InvalidInputError, match=r"'image-7' has label 5.*0 to 2"):
        make(labels=torch.tensor([0, 0, 0, 0, 0, 0, 0, 5, 6]))


def test_the_id_that_stands_twice_is_named():
    with pytest.raises(InvalidInputError, match="'c' stands twice"):
        make(ids=np.array(list("abcdefghc")))


@pytest.mark.parametrize(
    "box",
    [
        [-1, 0, 3, 3],
        [0, -0.5, 3, 3],
        [0, 0, WIDTH + 0.5, 3],
        [0, 0, 3, HEIGHT + 1],
        [3, 0, 3, 3],
        [4, 0, 3, 3],
        [0, 3, 3, 3],
        [0, 4, 3, 3],
        [torch.nan, 0, 3, 3],
        [0, 0, 3, torch.nan],
        [0, 0, torch.inf, 3],
        [-torch.inf, 0, 3, 3],
    ],
)
def test_an_impossible_box_is_refused_with_the_image_named(box):
    boxes = torch.full((9, 4), torch.nan)
    boxes[4] = torch.tensor(box)
    with pytest.raises(InvalidInputError, match="'image-4' has box"):
        make(boxes=boxes)


def test_a_box_of_the_whole_image_is_a_box():
    boxes = torch.tensor([0.0, 0.0, WIDTH, HEIGHT]).repeat(9, 1)
    assert make(boxes=boxes).has_box.all()


def test_masks_said_to_be_known_must_be_given():
    with pytest.raises(InvalidInputError, match="has_mask"):
        make(masks=None)
    assert make(masks=None, has_mask=None).masks is None


# Slicing


def rows_of(dataset, rows):
    """What slicing must give, built field by field."""
    return LesionDataset(
        images=torch.stack([dataset.images[i] for i in rows]),
        labels=torch.tensor([int(dataset.labels[i]) for i in rows]),
        classes=dataset.classes,
        boxes=torch.stack([dataset.boxes[i] for i in rows]),
        masks=torch.stack([dataset.masks[i] for i in rows]),
        has_mask=torch.tensor([bool(dataset.has_mask[i]) for i in rows]),
        groups=[dataset.groups[i] for i in rows],
        ids=[dataset.ids[i] for i in rows],
        grouped=dataset.grouped,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9, 8), min_size=1, unique_by=lambda i: i % 9))
def test_indices_of_every_kind_give_the_same_rows_of_every_field(rows):
    dataset = make()
    expected = rows_of(dataset, rows)
    for key in (rows, np.array(rows), torch.tensor(rows), [np.int64(r) for r in rows]):
        assert same(dataset[key], expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
def test_a_boolean_mask_of_every_kind_picks_its_true_rows(wanted):
    dataset = make()
    expected = rows_of(dataset, [i for i, keep in enumerate(wanted) if keep])
    for key in (wanted, np.array(wanted), torch.tensor(wanted)):
        assert same(dataset[key], expected)


@pytest.mark.parametrize("key", [slice(2, 5), slice(None, None, 3), slice(-3, None), slice(0, 100)])
def test_a_slice_picks_rows_as_in_a_list(key):
    dataset = make()
    assert same(dataset[key], rows_of(dataset, list(range(9))[key]))


@pytest.mark.parametrize("key", [slice(3, 3), [], np.array([], dtype=int), torch.zeros(9, dtype=torch.bool)])
def test_picking_nothing_gives_an_empty_set_of_the_same_shape(key):
    empty = make()[key]
    assert len(empty) == 0
    assert empty.images.shape == (0, 3, HEIGHT, WIDTH)
    assert empty.counts.tolist() == [0, 0, 0]


def test_slicing_keeps_that_nothing_is_known_about_groups():
    dataset = LesionDataset(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 1]), ("a", "b"))
    assert dataset[1:].grouped is False
    assert dataset[1:].ids.tolist() == ["1", "2"]
    assert make()[1:].grouped is True


@pytest.mark.parametrize("key", [0, 8, -1, np.int64(3)])
def test_an_integer_gives_the_pair_of_image_and_label(key):
    dataset = make()
    image, label = dataset[key]
    assert torch.equal(image, dataset.images[int(key)])
    assert type(label) is int
    assert label == int(dataset.labels[int(key)])


def test_an_integer_beyond_the_end_is_an_index_error_so_that_iteration_ends():
    dataset = make()
    with pytest.raises(IndexError):
        dataset[9]
    assert [label for _, label in dataset] == dataset.labels.tolist()


def test_a_torch_loader_accepts_a_dataset():
    dataset = make()
    batches = list(DataLoader(dataset, batch_size=4))
    assert torch.equal(torch.cat([images for images, _ in batches]), dataset.images)
    assert torch.equal(torch.cat([labels for _, labels in batches]), dataset.labels)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=3).filter(any))
def test_counts_are_images_per_class_with_zeros_for_absent_ones(counts):
    dataset = make(tuple(counts))
    assert dataset.counts.tolist() == counts
    assert dataset.counts.dtype == torch.int64
    assert len(dataset) == sum(counts)


def test_the_representation_tells_size_and_counts():
    assert repr(make()) == f"LesionDataset(9 images 3x{HEIGHT}x{WIDTH}: nevus 4, melanoma 3, dermatofibroma 2)"


def test_class_index_suggests_the_nearest_name():
    assert make().class_index("melanoma") == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'melanoma'"):
        make().class_index("melanom")


def test_to_moves_every_tensor_and_nothing_else():
    dataset = make()
    assert same(dataset.to("cpu"), dataset)
    without = make(masks=None, has_mask=None, groups=None)
    assert without.to(torch.device("cpu")).masks is None
    assert without.to("cpu").grouped is False


# Fingerprints


def changed_sets():
    base = make()
    images = base.images.clone()
    images[8, 2, HEIGHT - 1, WIDTH - 1] ^= 1
    labels = base.labels.clone()
    labels[0] = 1
    boxes = base.boxes.clone()
    boxes[0, 0] += 0.25
    no_box = base.boxes.clone()
    no_box[0] = torch.nan
    masks = base.masks.clone()
    masks[3, 0, 0] ^= True
    known = base.has_mask.clone()
    known[1] = True
    groups, ids = base.groups.copy(), base.ids.copy()
    groups[8], ids[8] = "x", "x"
    order = torch.tensor([1, 0, *range(2, 9)])
    return {
        "a pixel": make(images=images),
        "a label": make(labels=labels),
        "a box": make(boxes=boxes),
        "a box less": make(boxes=no_box),
        "a mask pixel": make(masks=masks),
        "a known mask": make(has_mask=known),
        "no masks": make(masks=None, has_mask=None),
        "neither masks nor boxes": make(masks=None, has_mask=None, boxes=None),
        "a group": make(groups=groups),
        "an id": make(ids=ids),
        "a class name": make(classes=("nevus", "melanoma", "other")),
        "the order of classes": make(classes=("melanoma", "nevus", "dermatofibroma")),
        "the order of images": base[order],
        "an image less": base[:-1],
        "the shape": make(images=base.images.reshape(9, 3, WIDTH, HEIGHT), masks=None, has_mask=None, boxes=None),
    }


@pytest.mark.parametrize("change", list(changed_sets()))
def test_any_single_change_changes_the_fingerprint(change):
    assert changed_sets()[change].fingerprint() != make().fingerprint()


def test_every_change_has_a_fingerprint_of_its_own():
    prints = [dataset.fingerprint() for dataset in changed_sets().values()]
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_is_stable():
    """Pinned: saved runs carry it, so a change of the hash is a change of format."""
    dataset = LesionDataset(
        torch.arange(2 * 1 * 2 * 2, dtype=torch.uint8).reshape(2, 1, 2, 2),
        torch.tensor([0, 1]),
        ("a", "b"),
        boxes=torch.tensor([[0.0, 0.0, 1.0, 2.0], [torch.nan] * 4]),
    )
    assert dataset.fingerprint() == dataset.fingerprint() == "a9cf13c446724e2b"
    assert len(dataset.fingerprint()) == 16


def test_the_fingerprint_does_not_see_memory_layout_or_the_bits_of_a_nan():
    base = make()
    strided = base.images.to(memory_format=torch.channels_last)
    assert not strided.is_contiguous()
    boxes = torch.from_numpy(-base.boxes.numpy() * -1.0)  # the other sign
    boxes[1] = torch.from_numpy(np.array([0xFFC00000] * 4, dtype=np.uint32).view(np.float32))
    assert make(images=strided, boxes=boxes).fingerprint() == base.fingerprint()


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(9)))
def test_slicing_and_slicing_back_gives_the_same_fingerprint(order):
    dataset = make()
    back = np.argsort(order)
    assert dataset[list(order)][back].fingerprint() == dataset.fingerprint()


# Rare classes


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ((8, 8, 8), ("dermatofibroma",)),  # all equal: the last
        ((8, 4, 8), ("melanoma",)),  # none below half the mean: the smallest
        ((8, 4, 4), ("dermatofibroma",)),
        ((10, 2, 9), ("melanoma",)),
        ((20, 2, 1), ("melanoma", "dermatofibroma")),
        ((2, 20, 2), ("nevus", "dermatofibroma")),
        ((5, 3, 1), ("dermatofibroma",)),  # the mean is 3, half of it 1.5
        ((6, 5, 1), ("dermatofibroma",)),
        ((3, 2, 1), ("dermatofibroma",)),  # exactly half the mean is not below it; the smallest then
        ((9, 2, 1), ("dermatofibroma",)),  # the mean is 4: 2 is not below half of it, 1 is
        ((9, 0, 9), ("melanoma",)),
    ],
)
def test_rare_are_the_classes_below_half_the_mean_training_count_else_the_smallest(counts, rare):
    assert splits(counts).rare == rare


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=3).filter(any))
def test_the_rare_rule_against_a_plain_count(counts):
    below = [name for name, n in zip(CLASSES, counts, strict=False) if 2 * n * len(counts) < sum(counts)]
    rare = rare_classes(make(tuple(counts)))
    if below:
        assert list(rare) == below
    else:
        assert len(rare) == 1
        assert counts[CLASSES.index(rare[0])] == min(counts)


def test_only_training_counts_decide_what_is_rare():
    parts = splits((3, 9, 9), val=make((1, 5, 1), prefix="val"), test=make((9, 1, 1), prefix="test"))
    assert parts.rare == ("nevus",)
    assert parts.rare_indices == (0,)


def test_rare_can_be_named():
    assert splits((20, 2, 1), rare=["nevus"]).rare == ("nevus",)
    assert splits((20, 2, 1), rare="melanoma").rare == ("melanoma",)
    assert splits(rare=("dermatofibroma", "nevus")).rare_indices == (2, 0)


def test_an_unknown_rare_class_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'melanoma'"):
        splits(rare=["Melanoma"])


def test_no_rare_class_at_all_is_refused():
    with pytest.raises(InvalidInputError, match="rare"):
        splits(rare=())


# Splits that belong together


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_a_group_in_two_splits_is_refused_and_named(first, second):
    parts = {name: make(prefix=name) for name in ("train", "val", "test")}
    groups = parts[second].groups.astype("U30")
    groups[5] = parts[first].groups[0]
    parts[second] = replace(parts[second], groups=groups)
    with pytest.raises(InvalidInputError, match=f"in both {first} and {second}.*'{first}-patient-0'"):
        Splits(**parts)


@pytest.mark.parametrize(("count", "told"), [(3, "'p0', 'p1', 'p2'\\)"), (7, "'p0', 'p1', 'p2', 'p3', 'p4', …\\)")])
def test_groups_in_two_splits_are_named_up_to_five(count, told):
    mixed = {name: make(prefix=name) for name in ("train", "val", "test")}
    for name in ("train", "test"):
        groups = mixed[name].groups.astype("U30")
        groups[:count] = [f"p{i}" for i in range(count)]
        mixed[name] = replace(mixed[name], groups=groups)
    with pytest.raises(InvalidInputError, match=rf"{count} groups are in both train and test \({told}"):
        Splits(**mixed)


def test_equal_counted_names_mean_nothing_where_no_groups_were_given():
    without = {name: make(groups=None, ids=None) for name in ("train", "val", "test")}
    assert len(Splits(**without).train) == 9
    # nor where only one side knows its groups
    assert len(Splits(**{**without, "train": make(groups=np.arange(9))}).train) == 9
    with pytest.raises(InvalidInputError, match="in both train and test"):
        Splits(**{**without, "train": make(groups=np.arange(9)), "test": make(groups=np.arange(9))})


def test_slices_of_ungrouped_images_may_be_splits():
    dataset = make(groups=None)
    assert Splits(dataset[:4], dataset[4:6], dataset[6:]).name == "data"


@pytest.mark.parametrize("part", ["val", "test"])
def test_other_classes_or_another_size_are_refused_by_split(part):
    with pytest.raises(InvalidInputError, match=f"{part} has classes"):
        splits(**{part: make((1, 1), prefix=part)})
    with pytest.raises(InvalidInputError, match=f"{part} has classes"):
        splits(**{part: make(prefix=part, classes=CLASSES[::-1])})
    one_channel = make(prefix=part, images=torch.zeros(9, 1, HEIGHT, WIDTH, dtype=torch.uint8))
    with pytest.raises(InvalidInputError, match=f"{part} has images"):
        splits(**{part: one_channel})


def test_an_unknown_augmentation_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="upright"):
        splits(augmentation="uprigth")


def test_counts_show_classes_by_splits_and_mark_the_rare():
    table = splits((20, 2, 5)).table()
    assert list(table.index) == list(CLASSES)
    assert table.loc["melanoma"].to_dict() == {"train": 2, "val": 3, "test": 3, "rare": "yes"}
    assert table["rare"].tolist() == ["", "yes", ""]


def test_the_representation_of_splits_names_the_rare_classes_and_each_split():
    text = repr(splits((20, 2, 5), name="skin"))
    assert "Splits 'skin', rare: melanoma" in text
    for name in ("train", "val", "test"):
        assert name in text


# Redrawing


def draw(seed):
    return make((8, 8, 2), seed=seed, prefix="train")


def test_redraw_draws_training_images_anew_and_leaves_the_rest_alone():
    parts = splits(train=draw(0), draw_train=draw, recipe={"source": "made up"}, name="skin")
    again = parts.redraw(5)
    assert same(again.train, draw(5))
    assert not torch.equal(again.train.images, parts.train.images)
    assert again.val is parts.val
    assert again.test is parts.test
    assert again.name == "skin"
    assert again.recipe == {"source": "made up", "redraw": 5}
    assert parts.recipe == {"source": "made up"}
    assert again.fingerprint() != parts.fingerprint()
    assert again.fingerprint() == parts.redraw(5).fingerprint() == again.redraw(5).fingerprint()


def test_redraw_keeps_which_classes_are_rare():
    """They are a property of the data set, not of one draw of it."""
    parts = splits(train=draw(0), draw_train=draw, rare="nevus")
    assert parts.redraw(1).rare == ("nevus",)


def test_redrawn_images_must_not_share_a_group_with_the_other_splits():
    parts = splits(draw_train=lambda seed: make(seed=seed, prefix="val"))
    with pytest.raises(InvalidInputError, match="in both train and val"):
        parts.redraw(1)


def test_splits_with_one_training_set_only_come_back_as_they_are():
    parts = splits()
    assert parts.redraw(3) is parts


# Few labels


def test_labels_are_kept_of_so_many_images_a_class_and_all_stay_in_the_pool():
    parts = splits(train=draw(0), draw_train=draw)
    few = parts.with_labels(3, seed=4)
    assert few.train.counts.tolist() == [3, 3, 2] and few.pool is parts.train and few.rare == parts.rare
    assert set(few.train.ids) < set(few.pool.ids) and same(few.train, parts.with_labels(3, seed=4).train)
    assert few.train.ids.tolist() != parts.with_labels(3, seed=5).train.ids.tolist()
    assert set(few.train.ids) <= set(few.with_labels(5, seed=4).train.ids)  # drawn from the pool, and nested
    assert few.fingerprint() != replace(few, pool=None, labels=None).fingerprint()
    for wrong in (0, 2.5, True):
        with pytest.raises(InvalidInputError, match="labels="):
            parts.with_labels(wrong)


def test_redrawing_draws_the_labels_anew():
    parts = splits(train=draw(0), draw_train=draw, recipe={"source": "made up"}).with_labels(3)
    again = parts.redraw(5)
    assert same(again.pool, draw(5)) and again.train.counts.tolist() == [3, 3, 2]
    assert again.recipe == {"source": "made up", "redraw": 5}
    assert again.fingerprint() == parts.redraw(2).redraw(5).fingerprint()
    # Where the images are what they are, other ones of them have labels.
    fixed = splits(train=draw(0)).with_labels(3)
    other = fixed.redraw(7)
    assert same(other.pool, fixed.pool) and other.train.ids.tolist() != fixed.train.ids.tolist()


# The fingerprint of splits


def test_the_fingerprint_of_splits_sees_each_split_its_place_and_the_rare_classes():
    base = splits()
    others = [
        splits(train=make((8, 8, 8), prefix="train", seed=1)),
        splits(val=make(prefix="val", seed=1)),
        splits(test=make(prefix="test", seed=1)),
        splits(val=base.test, test=base.val),
        splits(rare=["nevus"]),
        splits(rare=["nevus", "melanoma"]),
        splits(rare=["melanoma", "nevus"]),
    ]
    prints = [base.fingerprint(), *(other.fingerprint() for other in others)]
    assert len(set(prints)) == len(prints)
    assert splits().fingerprint() == base.fingerprint()


def test_rare_names_that_only_read_alike_when_joined_are_told_apart():
    classes = ("a", "bb", "ab", "b")
    parts = {name: make((2, 2, 2, 2), prefix=name, classes=classes) for name in ("train", "val", "test")}
    first, second = Splits(**parts, rare=["a", "bb"]), Splits(**parts, rare=["ab", "b"])
    assert first.fingerprint() != second.fingerprint()


def test_a_name_is_no_part_of_the_fingerprint():
    assert splits(name="one").fingerprint() == splits(name="other").fingerprint()
