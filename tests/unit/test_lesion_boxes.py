"""Boxes: as pixels, scaled, put off the lesion, and found without a doctor by saliency or segmentation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits, thinned
from torchvision.ops import box_iou

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.methods import boxes as lesion
from careedu.methods.facts import Workspace
from careedu.methods.saliency import SALIENCIES, minimum_barrier
from careedu.methods.segmentation import boxes_of_a_trained_segmentation, mask_loss, segmented_boxes, train_segmentation
from careedu.nn.unet import UNetDecoder, UNetEncoder
from careedu.training.batch import unit_range

NOWHERE = [torch.nan] * 4


@st.composite
def sized_boxes(draw):
    height, width = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    low = rng.random((6, 2)) * [width - 1, height - 1]
    high = low + 1 + rng.random((6, 2)) * ([width - 1, height - 1] - low)
    boxes = torch.from_numpy(np.concatenate([low, high], axis=1)).float()
    boxes[0] = torch.nan
    return boxes, (height, width)


def overlap(a, b):
    return torch.stack([box_iou(x[None], y[None])[0, 0] for x, y in zip(a, b, strict=True)]).nan_to_num(0.0)


# ---- pixels ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(sized_boxes())
def test_a_pixel_is_inside_where_its_centre_is(case):
    boxes, (height, width) = case
    inside = lesion.inside_boxes(boxes, (height, width))
    for region, (x0, y0, x1, y1) in zip(inside.tolist(), boxes.tolist(), strict=True):
        expected = [[x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1 for x in range(width)] for y in range(height)]
        assert region == expected
    assert inside[1:].any(dim=2).any(dim=1).all()  # none is narrower than a pixel
    assert torch.equal(lesion.inside_boxes(boxes[:, None].repeat(1, 2, 1), (height, width)), inside)


def test_several_boxes_of_an_image_are_united():
    boxes = torch.tensor([[[0.0, 0, 1, 1], [2.0, 1, 3, 2], NOWHERE]])
    assert lesion.inside_boxes(boxes, (2, 3)).int().tolist() == [[[1, 0, 0], [0, 0, 1]]]
    with pytest.raises(InvalidInputError, match=r"\(B, 4\)"):
        lesion.inside_boxes(torch.zeros(4), (2, 3))


def test_the_enclosing_box_of_a_box_is_itself():
    boxes = torch.tensor([[3.0, 1, 9, 4], [0.0, 0, 12, 7], NOWHERE, [11.0, 6, 12, 7]])
    found = lesion.enclosing_boxes(lesion.inside_boxes(boxes, (7, 12)))
    assert torch.equal(found.nan_to_num(-1.0), boxes.nan_to_num(-1.0))


def test_the_mask_is_better_than_the_box_where_there_is_one():
    data = made_up_dataset(4, 0)
    masks = data.masks.clone()
    masks[0, :, :16] = False
    known = torch.tensor([True, False, False, True])
    mixed = replace(data, masks=masks & known[:, None, None], has_mask=known, boxes=data.boxes)
    regions = lesion.lesion_regions(mixed)
    assert torch.equal(regions[0], masks[0]) and torch.equal(regions[1:], data.masks[1:])
    assert torch.equal(lesion.lesion_regions(mixed, torch.tensor([2, 0])), regions[[2, 0]])
    assert not lesion.lesion_regions(made_up_dataset(2, 0, lesions=False)).any()


def test_a_mark_is_boxed_where_there_is_one():
    data = made_up_dataset(3, 0)
    marks = torch.zeros_like(data.masks)
    marks[0, 2:5, 30:32] = marks[2, 0, 0] = marks[2, 31, 7] = True
    boxes = lesion.mark_boxes(replace(data, marks=marks))
    assert boxes[[0, 2]].tolist() == [[30, 2, 32, 5], [0, 0, 8, 32]] and boxes[1].isnan().all()
    with pytest.raises(InvalidInputError, match="nothing is known of marks"):
        lesion.mark_boxes(data)


def test_boxes_come_from_their_source_and_from_no_other():
    data = made_up_dataset(6, 0)
    rows = torch.tensor([4, 1])
    data = replace(data, marks=~data.masks, boxes=lesion.scale_boxes(data.boxes, 0.5, (32, 32)))
    assert torch.equal(lesion.found_boxes(data, rows, "given"), data.boxes[rows])
    assert torch.equal(lesion.found_boxes(data, rows, "random"), data.boxes[rows])  # which are moved afterwards
    assert lesion.found_boxes(data, rows, "mark").tolist() == [[0, 0, 32, 32]] * 2
    assert torch.equal(lesion.found_boxes(data, rows, "saliency"), lesion.lesion_boxes(data.images[rows]))


def test_a_share_of_the_images_that_a_source_can_box_is_wanted():
    data = thinned(made_up_splits(), 2, 10)
    train = data.train
    rare = (train.labels == 2).nonzero()[:, 0]
    known, marks = torch.zeros(len(train), dtype=torch.bool), torch.zeros_like(train.masks)
    known[rare[:4]], marks[rare[2:9], :2, :2] = True, True
    boxes = torch.where(known[:, None], train.boxes, torch.nan)
    data = replace(data, train=replace(train, boxes=boxes, masks=None, has_mask=None, marks=marks))
    wanted = {
        (source, share): lesion.wanted_rows(data, source, "rare", share, [0, 1]).tolist()
        for source in ("given", "shifted", "saliency", "mark")
        for share in (0.5, 1.0)
    }
    assert wanted["given", 1.0] == wanted["shifted", 1.0] == rare[:4].tolist()
    assert wanted["saliency", 1.0] == rare.tolist() and wanted["mark", 1.0] == rare[2:9].tolist()
    for source, number in (("given", 2), ("saliency", 5), ("mark", 4)):  # half of 4, 10 and 7
        assert len(wanted[source, 0.5]) == number and set(wanted[source, 0.5]) <= set(wanted[source, 1.0])


# ---- moved boxes -----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(sized_boxes(), st.integers(0, 2**31))
def test_controls_have_the_size_of_the_boxes_and_lie_in_the_image(case, seed):
    boxes, (height, width) = case
    for move in (lesion.random_boxes, lesion.shifted_boxes):
        moved = move(boxes, (height, width), np.random.default_rng(seed))
        assert moved[0].isnan().all() and not moved[1:].isnan().any()
        torch.testing.assert_close((moved[:, 2:] - moved[:, :2])[1:], (boxes[:, 2:] - boxes[:, :2])[1:])
        assert (moved[1:] >= 0).all() and (moved[1:, 2] <= width).all() and (moved[1:, 3] <= height).all()
        again = move(boxes, (height, width), np.random.default_rng(seed))
        assert torch.equal(again[1:], moved[1:])


def test_shifted_boxes_miss_the_lesion_and_random_ones_may_not():
    boxes = torch.tensor([[20.0, 24, 40, 44]]).repeat(200, 1)  # in the middle: only a rim of places misses it
    shifted, anywhere = (
        move(boxes, (64, 64), np.random.default_rng(0)) for move in (lesion.shifted_boxes, lesion.random_boxes)
    )
    assert overlap(shifted, boxes).max() == 0
    assert (overlap(anywhere, boxes) > 0).float().mean() > 0.3
    assert len(shifted.unique(dim=0)) > 150
    large = torch.tensor([[10.0, 10, 60, 60]])  # no place misses it: the corner of least overlap
    assert lesion.shifted_boxes(large, (64, 64), np.random.default_rng(0)).tolist() == [[0, 0, 50, 50]]


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.3])
def test_scaling_keeps_the_centre(scale):
    boxes = torch.tensor([[20.0, 24, 40, 34], NOWHERE])
    scaled = lesion.scale_boxes(boxes, scale, (64, 64))
    torch.testing.assert_close(scaled[0, :2] + scaled[0, 2:], boxes[0, :2] + boxes[0, 2:])
    torch.testing.assert_close(scaled[0, 2:] - scaled[0, :2], scale * torch.tensor([20.0, 10]))
    assert scaled[1].isnan().all()
    edge = lesion.scale_boxes(torch.tensor([[0.0, 50, 10, 64]]), 3.0, (64, 64))
    assert edge.tolist() == [[0, 36, 20, 64]]


# ---- saliency --------------------------------------------------------------------------------------------------------


def blob(height=48, width=64):
    """A dark ellipse on a bright, slightly noisy ground."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    inside = ((x - 40) / 9) ** 2 + ((y - 20) / 7) ** 2 < 1
    image = np.where(inside, 70, 180) + rng.normal(0, 4, (3, height, width))
    return torch.from_numpy(image.clip(0, 255).astype(np.uint8))[None], torch.tensor([[31.0, 13, 50, 28]])


@pytest.mark.parametrize(("kind", "least"), [("minimum-barrier", 0.7), ("spectral-residual", 0.3)])
def test_what_stands_out_is_boxed(kind, least):
    image, box = blob()
    found = lesion.lesion_boxes(image, kind)
    assert found.dtype == torch.float32 and overlap(found, box)[0] > least
    turned = lesion.lesion_boxes(image.flip(3), kind)
    mirrored = torch.stack([64 - found[:, 2], found[:, 1], 64 - found[:, 0], found[:, 3]], dim=1)
    assert overlap(turned, mirrored)[0] > 0.85


@pytest.mark.parametrize("kind", SALIENCIES)
def test_nothing_is_found_in_a_constant_image_and_images_do_not_mix(kind):
    image, _ = blob()
    images = torch.cat([torch.full_like(image, 120), image, torch.zeros_like(image)])
    found = lesion.lesion_boxes(images, kind)
    assert found[[0, 2]].isnan().all()
    assert torch.equal(found[1:2], lesion.lesion_boxes(image, kind))
    maps = SALIENCIES[kind](images.numpy())
    assert maps.dtype == np.float32 and maps.min() == 0 and maps.max() <= 1 and (maps[[0, 2]] == 0).all()


def test_the_sweeps_come_near_the_true_minimum_barrier(monkeypatch):
    """Against a search over all paths: the least extent [low, high] of intensities that joins a pixel to the border."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 6, (7, 8))

    def reaches(low, high):
        open_ = (image >= low) & (image <= high)
        seen = np.zeros_like(open_)
        seen[[0, -1]], seen[:, [0, -1]] = open_[[0, -1]], open_[:, [0, -1]]
        for _ in range(image.size):
            near = seen.copy()
            near[1:] |= seen[:-1]
            near[:-1] |= seen[1:]
            near[:, 1:] |= seen[:, :-1]
            near[:, :-1] |= seen[:, 1:]
            seen = near & open_
        return seen

    exact = np.full(image.shape, 9)
    for low in range(6):
        for high in range(low, 6):
            exact = np.where(reaches(low, high), np.minimum(exact, high - low), exact)
    # The distance alone: neither smoothed nor scaled to its own range.
    monkeypatch.setattr("scipy.ndimage.gaussian_filter", lambda array, sigma: array)
    monkeypatch.setattr("careedu.methods.saliency._unit_range", lambda maps: maps)
    ours = np.rint(minimum_barrier((image * 51).astype(np.uint8)[None, None])[0] * 5)
    assert (ours >= exact).all()  # each sweep follows a real path
    assert (ours == exact).mean() > 0.8  # noise: the hardest image for sweeps


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(2, 20))
def test_otsu_splits_where_the_groups_differ_most(seed, bins):
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, bins, (3, 5, 6)) / bins
    thresholds = lesion.otsu_thresholds(maps, bins)
    for image, threshold in zip(maps, thresholds, strict=True):
        level = np.minimum((image * bins).astype(int), bins - 1)

        def between(cut, level=level):
            low, high = level[level < cut], level[level >= cut]
            return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0.0

        best = max(between(cut) for cut in range(1, bins))
        assert between(round(threshold * bins)) == pytest.approx(best)
    assert lesion.otsu_thresholds(np.full((1, 4, 4), 0.3)) == [1.0]


def test_the_largest_component_is_boxed_and_corners_connect():
    region = np.zeros((2, 8, 8), dtype=bool)
    region[0, 0, :3] = True
    region[0, [3, 4, 5, 6], [3, 4, 5, 6]] = True
    found = lesion.component_boxes(region)
    assert found[0].tolist() == [3, 3, 7, 7] and found[1].isnan().all()


def test_wrong_kinds_and_images_are_named():
    image, _ = blob()
    with pytest.raises(UnknownNameError, match="'minimum-barrier'"):
        lesion.lesion_boxes(image, "minimum-barier")
    with pytest.raises(InvalidInputError, match="uint8"):
        lesion.lesion_boxes(image.float())


# ---- segmentation ----------------------------------------------------------------------------------------------------


def test_mask_loss_by_hand():
    logits = torch.tensor([[[0.0, 0.0]]])
    masks = torch.tensor([[[True, False]]])
    # Each p is .5: cross-entropy ln 2, Dice (2·.5 + 1) / (1 + 1 + 1).
    assert mask_loss(logits, masks).item() == pytest.approx(np.log(2) + 1 - 2 / 3)
    assert mask_loss(torch.tensor([[[30.0, -30.0]]]), masks).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (17, 23)])
def test_the_unet_has_the_images_size(size):
    for encoder in (UNetEncoder(3), UNetEncoder(3, widths=(4,))):
        levels = encoder.levels(torch.rand(2, 3, *size))
        assert UNetDecoder(encoder.widths)(levels).shape == (2, *size)
    with pytest.raises(InvalidInputError, match="channels=0"):
        UNetEncoder(0)


def test_a_trained_unet_finds_lesions_it_has_not_seen_and_training_leaves_no_trace():
    train, other = made_up_dataset(60, 0), made_up_dataset(30, 1)
    bright = train.labels > 0  # the dim squares are hardly there
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    network = train_segmentation(train[bright], Augmentation.named("any-orientation"), seed=3, updates=40)
    assert torch.equal(torch.random.get_rng_state(), before)
    rows = other.labels > 0
    found = segmented_boxes(network, other.images[rows])
    assert overlap(found, other.boxes[rows]).median() > 0.7
    again = train_segmentation(train[bright], Augmentation.named("any-orientation"), seed=3, updates=40)
    images = unit_range(other.images)
    with torch.no_grad():
        assert torch.equal(network(images), again(images))
        assert not torch.equal(network(images[:3] * 0)[:1], network(images[:1]))
    nothing = segmented_boxes(lambda x: torch.full_like(x[:, 0], -1.0), other.images[:2])
    assert nothing.isnan().all() and nothing.shape == (2, 4)


def test_segmentation_learns_from_masks_of_the_common_classes_only(monkeypatch):
    data = thinned(made_up_splits(), 2, 9)
    seen = []

    def remember(dataset, *rest):
        seen.append(dataset)
        return lambda x: torch.ones_like(x[:, 0])

    monkeypatch.setattr("careedu.methods.segmentation.train_segmentation", remember)
    masks = data.train.has_mask.clone()
    masks[:20] = False
    partly = replace(data, train=replace(data.train, has_mask=masks))
    boxes = boxes_of_a_trained_segmentation(partly, torch.tensor([4, 1]), 0)
    assert boxes.tolist() == [[0, 0, 32, 32]] * 2
    assert seen[0].has_mask.all() and set(seen[0].labels.tolist()) == {0, 1}
    assert len(seen[0]) == int((masks & (data.train.labels != 2)).sum())
    with pytest.raises(InvalidInputError, match="all with masks"):
        train_segmentation(made_up_dataset(4, 0, lesions=False), Augmentation(), 0, 1)


@pytest.mark.slow
def test_on_the_skin_phantom_boxes_without_a_doctor_meet_the_true_ones():
    data = careedu.load("phantom-skin", imbalance=10)
    rare = (data.train.labels == 2).nonzero()[:, 0]
    true = data.train.boxes[rare]
    assert overlap(lesion.lesion_boxes(data.train.images[rare]), true).median() > 0.7
    assert overlap(lesion.lesion_boxes(data.train.images[rare], "spectral-residual"), true).median() > 0.3
    assert overlap(boxes_of_a_trained_segmentation(data, rare, 0), true).median() > 0.85


def test_a_segmentation_is_kept_where_it_has_a_place_and_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("careedu.methods.segmentation.UPDATES", 20)
    data = thinned(made_up_splits(), 2, 9)
    rare = (data.train.labels == 2).nonzero()[:, 0]
    undisturbed = boxes_of_a_trained_segmentation(data, rare, 0).nan_to_num(-1.0)
    place = Workspace(folder=tmp_path)
    updates = []

    def stopped(logits, masks):
        updates.append(1)
        if len(updates) == 12:
            raise KeyboardInterrupt
        return mask_loss(logits, masks)

    monkeypatch.setattr("careedu.methods.segmentation.mask_loss", stopped)
    with pytest.raises(KeyboardInterrupt):  # in the second of three epochs of seven batches
        boxes_of_a_trained_segmentation(data, rare, 0, place)
    [kept] = tmp_path.iterdir()
    assert torch.equal(boxes_of_a_trained_segmentation(data, rare, 0, place).nan_to_num(-1.0), undisturbed)
    assert len(updates) == 12 + 14
    # Trained once: another arm that wants the same finds it, another seed does not.
    assert torch.equal(boxes_of_a_trained_segmentation(data, rare, 0, place).nan_to_num(-1.0), undisturbed)
    assert len(updates) == 12 + 14 and list(tmp_path.iterdir()) == [kept]
    boxes_of_a_trained_segmentation(data, rare, 1, place)
    assert len(updates) == 12 + 14 + 21 and len(list(tmp_path.iterdir())) == 2
    # A damaged one is named and made again.
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="damaged.*trained again"):
        again = boxes_of_a_trained_segmentation(data, rare, 0, place)
    assert torch.equal(again.nan_to_num(-1.0), undisturbed)
