"""Rivals against a shortcut: what each does to images, weights and batches, and what it has to know."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned
from torch.nn import functional

import careedu
from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment.fit import fit
from careedu.methods.building import build_method
from careedu.methods.facts import TrainingFacts
from careedu.methods.shortcut import (
    CropToBox,
    DropMarked,
    GroupWeights,
    PaintOver,
    RandomErasing,
    crop_to_boxes,
    group_weights,
)
from careedu.training.batch import Batch

PLAIN = thinned(made_up_splits(), 2, 10)
FACTS = TrainingFacts(counts=(50, 50, 10), rare=(2,), image_shape=(1, 32, 32))
MARK = (slice(1, 7), slice(24, 30))


def marked(data, rows):
    """The same with a white square in the training images of these rows, and where it lies."""
    images, marks = data.train.images.clone(), torch.zeros_like(data.train.images[:, 0], dtype=torch.bool)
    marks[(rows, *MARK)] = True
    images[marks[:, None].expand_as(images)] = 255
    return replace(data, train=replace(data.train, images=images, marks=marks))


DATA = marked(PLAIN, torch.arange(len(PLAIN.train)) % 5 > 0)  # one in five is clean


@pytest.mark.parametrize("method", [DropMarked(), PaintOver(), GroupWeights()])
def test_who_has_to_know_the_marks_says_so(method):
    with pytest.raises(InvalidInputError, match=rf"{method.name} has to know the marks.*LesionDataset\.marks"):
        method.prepare(PLAIN, 0)


def test_marked_images_are_dropped_and_the_loss_counts_what_is_left():
    left = DropMarked().prepare(DATA, 0)
    assert left.ids.tolist() == DATA.train.ids[::5].tolist()
    counts = tuple(left.counts.tolist())
    assert sum(counts) == 22 and DATA.train.counts.tolist() == [50, 50, 10]
    told = []

    class Told(careedu.LogitAdjusted):
        name = "told-counts"

        def loss(self, logits, target, facts, progress):
            told.append(facts.counts)
            return super().loss(logits, target, facts, progress)

    run = fit(DATA, DropMarked(Told()), epochs=1, progress=False, device="cpu")
    assert set(told) == {counts} and run.configuration["data"]["train counts"] == list(counts)


def test_a_class_of_which_every_image_carries_a_mark_cannot_be_dropped():
    data = marked(PLAIN, PLAIN.train.labels == 2)
    with pytest.raises(InvalidInputError, match=r"every training image of class 'bright'.*without a mark.*PaintOver"):
        DropMarked().prepare(data, 0)
    assert PaintOver().prepare(data, 0).counts.tolist() == [50, 50, 10]


def test_marks_are_painted_over_and_nothing_else_is():
    painted, train = PaintOver().prepare(DATA, 0), DATA.train
    assert painted.images.dtype == torch.uint8 and painted.marks is None
    assert torch.equal(painted.images[~train.marked], train.images[~train.marked])
    far = functional.max_pool2d(train.marks[:, None].float(), 11, 1, 5) == 0
    assert torch.equal(painted.images[far], train.images[far])
    assert (train.images == 255).sum() == 36 * train.marked.sum()
    assert painted.images.max() < 230  # lesions end at 205; a mark's pixel would be at 255
    inside = painted.images[train.marks[:, None]].float()
    assert 35 < inside.mean() < 75 and 15 < inside.std() < 50  # noise from 0 to 90, and some lesions
    same = ("labels", "boxes", "masks")
    assert all(torch.equal(getattr(painted, name), getattr(train, name)) for name in same)
    assert bool((train.images[train.marked][:, 0][(slice(None), *MARK)] == 255).all())  # the data are left as they were


def test_many_images_are_painted_as_one_is_and_none_is_fine():
    images = torch.randint(0, 256, (261, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    marks = torch.zeros(261, 16, 16, dtype=torch.bool)
    marks[:, 2:5, 9:14] = True
    many = LesionDataset(images, torch.arange(261) % 2, ("a", "b"), marks=marks)
    splits = careedu.Splits(many, many[:0], many[:0])
    painted = PaintOver().prepare(splits, 0)
    assert not torch.equal(painted.images[255:], images[255:])
    for row in (0, 255, 256, 260):
        alone = PaintOver().prepare(replace(splits, train=many[[row]]), 0)
        assert torch.equal(alone.images[0], painted.images[row])
    clean = replace(many, marks=torch.zeros_like(marks))
    assert torch.equal(PaintOver().prepare(replace(splits, train=clean), 0).images, images)


def test_a_cast_over_the_image_cannot_be_painted_over():
    marks = DATA.train.marks.clone()
    marks[5] = True
    data = replace(DATA, train=replace(DATA.train, marks=marks))
    name = str(data.train.ids[5])
    with pytest.raises(InvalidInputError, match=rf"the mark of image '{name}' covers more than half.*DropMarked"):
        PaintOver().prepare(data, 0)
    marks[5, :16], marks[5, 16:] = True, False  # half of it can, with no NaN and no black hole
    painted = PaintOver().prepare(data, 0).images[5].float()
    assert 20 < painted[0, :16].mean() < 90


def test_all_groups_weigh_alike_and_the_mean_weight_is_one():
    by_hand = LesionDataset(
        torch.zeros(8, 1, 4, 4, dtype=torch.uint8),
        torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]),
        ("a", "b", "empty"),
        marks=torch.tensor([1, 0, 0, 0, 0, 1, 1, 1], dtype=torch.bool)[:, None, None].expand(8, 4, 4),
    )
    # Three groups have images: 1, 4 and 3 of 8.
    expected = torch.tensor([8 / 3, *[2 / 3] * 4, *[8 / 9] * 3])
    torch.testing.assert_close(group_weights(by_hand), expected)
    weights, group = group_weights(DATA.train), 2 * DATA.train.labels + DATA.train.marked
    sums = torch.zeros(6).index_add_(0, group, weights)
    torch.testing.assert_close(sums, torch.full((6,), len(DATA.train) / 6))
    assert weights.mean().item() == pytest.approx(1)


def test_the_weighted_loss_takes_the_weights_of_its_own_images():
    index = torch.tensor([7, 0, 100, 4])
    batch = Batch(DATA.train, index, Augmentation(), torch.Generator().manual_seed(0))
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    (stage,) = GroupWeights().stages(FACTS, 5)
    (update,) = stage.updates
    terms = update.terms(lambda inputs: logits, batch)
    each = -logits.log_softmax(dim=1)[torch.arange(4), DATA.train.labels[index]]
    torch.testing.assert_close(terms, {"classification": (group_weights(DATA.train)[index] * each).mean()})
    assert stage.epochs == 5 and len(group_weights(DATA.train)[index].unique()) > 1


def test_a_crop_is_the_image_around_the_box_magnified():
    image = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    # The longer side 8, half of it on each side: 16 of 32 pixels, about (14, 12).
    crop = crop_to_boxes(image, torch.tensor([[10.0, 9, 18, 15]]), margin=0.5)
    expected = functional.interpolate(image[..., 4:20, 6:22], size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(crop[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)
    # At the border it is moved inwards.
    corner = crop_to_boxes(image, torch.tensor([[24.0, 0, 32, 8]]), margin=0.5)
    expected = functional.interpolate(image[..., :16, 16:], size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(corner[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)
    # In an image that is wider than high what is cut out is so too: 8 of 16 rows, 16 of 32 columns.
    wide = crop_to_boxes(image[..., :16, :], torch.tensor([[10.0, 4, 14, 12]]), margin=0.0)
    expected = functional.interpolate(image[..., 4:12, 4:20], size=(16, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(wide[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 38), st.integers(0, 22), st.integers(1, 40), st.integers(1, 24), st.floats(0, 3))
def test_a_crop_holds_its_whole_box_and_lies_within_the_image(x0, y0, width, height, margin):
    box = torch.tensor([x0, y0, min(x0 + width, 40), min(y0 + height, 24)]).float()
    # Two channels that say which column and row a pixel comes from.
    y, x = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    columns, rows = crop_to_boxes(torch.stack([x, y])[None], box[None], margin)[0]
    share = min(1.0, float(max((box[2] - box[0]) / 40, (box[3] - box[1]) / 24)) * (1 + 2 * margin))
    for values, low, high, side in ((columns, box[0], box[2], 40), (rows, box[1], box[3], 24)):
        step = share / 2 + 1e-3  # the outermost pixels' centres lie half a pixel within the crop
        assert values.min() <= max(low + step, 0.5 + 1e-3) and values.max() >= min(high - step, side - 0.5 - 1e-3)
        # What lay beyond the image would repeat its border pixel, and the values would span less.
        assert values.max() - values.min() >= side * share - 1 - 1e-2


def test_which_images_are_cropped_and_what_the_training_holds_then():
    train, rare = DATA.train, DATA.train.labels == 2
    cropped = CropToBox().prepare(DATA, 0)
    assert torch.equal(cropped.images[~rare], train.images[~rare])
    assert not (cropped.images[rare] == train.images[rare]).flatten(1).all(dim=1).any()
    # A lesion of 8 pixels and 2 beside it on each side fill the image: more than a third of it is bright.
    assert ((cropped.images[rare] > 110).float().mean(dim=(1, 2, 3)) > 0.35).all()
    assert not (cropped.has_box.any() or cropped.has_mask.any()) and cropped.masks is cropped.marks is None
    every = CropToBox(classes="all").prepare(DATA, 0)
    assert not (every.images == train.images).flatten(1).all(dim=1).any()
    assert torch.equal(every.images[rare], cropped.images[rare])
    # Where there is no box, the mask's; where there is neither, the image stays.
    boxes = train.boxes.clone()
    boxes[:] = torch.nan
    by_mask = replace(DATA, train=replace(train, boxes=boxes))
    assert torch.equal(CropToBox().prepare(by_mask, 0).images, cropped.images)
    bare = replace(train, boxes=boxes, masks=None, has_mask=None)
    with pytest.raises(InvalidInputError, match=r"rare class 'bright' has a box or mask.*with rare="):
        CropToBox().prepare(replace(DATA, train=bare), 0)
    bare.boxes[0] = torch.tensor([3.0, 3, 9, 9])
    only = CropToBox(classes="all").prepare(replace(DATA, train=replace(bare)), 0)
    assert (only.images != train.images).flatten(1).any(dim=1).nonzero().tolist() == [[0]]


def test_a_box_around_everything_leaves_the_image_as_it_is():
    boxes = torch.tensor([0.0, 0, 32, 32]).repeat(len(PLAIN.train), 1)
    data = replace(PLAIN, train=replace(PLAIN.train, boxes=boxes))
    assert torch.equal(CropToBox(classes="all").prepare(data, 0).images, PLAIN.train.images)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (40, 80)])
def test_erased_rectangles_have_the_sizes_of_the_paper_and_are_filled_with_noise(height, width):
    images = torch.full((1500, 2, height, width), 2.0)  # what no noise can be
    erased = RandomErasing().erase(images, torch.Generator().manual_seed(0))
    hidden = erased[:, 0] != 2
    assert torch.equal(hidden, erased[:, 1] != 2)
    some = hidden.flatten(1).any(dim=1)
    assert some.float().mean().item() == pytest.approx(0.5, abs=0.04)
    hidden = hidden[some]
    down, across = hidden.any(dim=2).sum(dim=1), hidden.any(dim=1).sum(dim=1)
    assert torch.equal(down * across, hidden.sum(dim=(1, 2)))  # each is one whole rectangle
    area = (down / height) * (across / width)
    assert area.min() > 0.01 and area.max() < 0.44
    quartiles = torch.quantile(area, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quartiles, torch.tensor([0.115, 0.21, 0.305]), atol=0.025, rtol=0)
    ratio = ((down / height) / (across / width)).log()
    assert 1.0 < ratio.max() < 1.6 and -1.6 < ratio.min() < -1.0 and abs(ratio.mean().item()) < 0.06
    # Anywhere in the room that there is, so the border is hidden less often than the middle.
    for along, side in ((hidden.any(dim=2), height), (hidden.any(dim=1), width)):
        place = along.int().argmax(dim=1) / (side - along.sum(dim=1)).clamp_min(1)
        torch.testing.assert_close(
            place.quantile(torch.tensor([0.25, 0.5, 0.75])), torch.tensor([0.25, 0.5, 0.75]), atol=0.08, rtol=0
        )
    noise = erased[erased != 2]
    assert noise.min() >= 0 and noise.max() < 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noise.std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_erasing_follows_from_the_generator_and_spares_what_it_is_not_to_touch():
    images = torch.rand(16, 1, 24, 24, generator=torch.Generator().manual_seed(9))
    before = images.clone()

    def erased(seed, probability=0.5):
        return RandomErasing(probability=probability).erase(images, torch.Generator().manual_seed(seed))

    assert torch.equal(erased(1), erased(1)) and not torch.equal(erased(1), erased(2))
    assert torch.equal(erased(1, probability=0), images) and torch.equal(images, before)
    assert bool((erased(1, probability=1) != images).flatten(1).any(dim=1).all())


def test_the_training_sees_the_erased_images():
    seen = []
    batch = Batch(DATA.train, torch.arange(20), Augmentation(), torch.Generator().manual_seed(0))
    (stage,) = RandomErasing("cross-entropy", probability=1.0).stages(FACTS, 3)

    def network(inputs):
        seen.append(inputs)
        return torch.zeros(len(inputs), 3)

    stage.updates[0].terms(network, batch)
    assert bool((seen[0] != batch.inputs).flatten(1).any(dim=1).all())


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("random-erasing", {"probability": 1.5}, InvalidInputError),
        ("crop-to-box", {"margin": -0.1}, InvalidInputError),
        ("crop-to-box", {"margin": float("nan")}, InvalidInputError),
        ("crop-to-box", {"classes": "common"}, UnknownNameError),
        ("drop-marked", {"classification": "care"}, InvalidInputError),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, error):
    with pytest.raises(error, match=next(iter(options)) if error is InvalidInputError else "common"):
        build_method(name, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [DropMarked("ldam"), PaintOver("focal"), GroupWeights(), CropToBox("ldam", classes="all"), RandomErasing("ldam")],
)
def test_the_rivals_keep_the_contract_on_marked_phantoms(method):
    data = careedu.load("phantom-skin", size=32, largest=16, imbalance=4, val=3, test=4)
    first = [(data.train.labels == c).nonzero()[0, 0].item() for c in range(len(data.classes))]
    rows = torch.ones(len(data.train), dtype=torch.bool)
    rows[first] = False  # of each class one image without a mark
    careedu.check_method(method, marked(data, rows))
