"""The joint augmentation of image, mask and box, and the batches it makes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import AUGMENTATIONS, LesionDataset
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.training.batch import Batch, FeatureBatch, unit_range

FULL = Augmentation.named("any-orientation")
SEEDS = st.integers(0, 2**31)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def rectangles(boxes, height, width):
    """Masks of rectangles with whole corners, bool (B, H, W)."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def enclosing(masks):
    """The box of each mask, exclusive ends, by looking for its first and last pixels."""
    boxes = torch.full((len(masks), 4), torch.nan)
    for box, mask in zip(boxes, masks, strict=True):
        ys, xs = mask.nonzero(as_tuple=True)
        if len(ys):
            box[:] = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    return boxes


def overlap(first, second):
    """Intersection over union of two boxes."""
    low, high = torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])
    shared = (high - low).clamp_min(0).prod()
    return float(shared / ((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared))


@st.composite
def lesions(draw, height, width, least=8, margin=1):
    """A rectangle of at least `least` pixels a side that keeps off the border."""
    x0 = draw(st.integers(margin, width - margin - least))
    y0 = draw(st.integers(margin, height - margin - least))
    x1 = draw(st.integers(x0 + least, width - margin))
    y1 = draw(st.integers(y0 + least, height - margin))
    return torch.tensor([[x0, y0, x1, y1]], dtype=torch.float32)


# Image, mask and box move together


@settings(max_examples=40, deadline=None)
@given(lesions(40, 40), SEEDS)
def test_the_moved_box_encloses_the_moved_mask_whatever_is_drawn(box, seed):
    size = (40, 40)
    wide = Augmentation(True, True, True, rotation=180, shift=0.3, zoom=0.3)
    draw = wide.draw(1, size, seeded(seed))
    moved_box, moved_mask = draw.boxes(box, size)[0], draw.masks(rectangles(box, *size))
    mask_box = enclosing(moved_mask)[0]
    if moved_box.isnan().any():  # then at most a rim of the lesion is left
        assert moved_mask.any(1).sum() <= 2 or moved_mask.any(2).sum() <= 2
    elif (
        moved_mask.any()
    ):  # else the lesion is gone, of which an upright box about its corners may still touch the image
        assert (moved_box[:2] <= mask_box[:2] + 1.5).all()
        assert (moved_box[2:] >= mask_box[2:] - 1.5).all()


@settings(max_examples=40, deadline=None)
@given(lesions(32, 48), SEEDS)
def test_without_rotation_the_moved_box_is_the_box_of_the_moved_mask(box, seed):
    straight = Augmentation(flip_horizontal=True, flip_vertical=True, shift=0.15, zoom=0.3)
    draw = straight.draw(1, (32, 48), seeded(seed))
    moved, mask = draw.boxes(box, (32, 48))[0], draw.masks(rectangles(box, 32, 48))
    if moved.isnan().any() or (moved[2:] - moved[:2]).min() < 6:
        return  # pushed out; what is left is a matter of rounding
    assert (moved - enclosing(mask)[0]).abs().max() <= 1.0
    assert overlap(moved, enclosing(mask)[0]) > 0.75


@settings(max_examples=25, deadline=None)
@given(st.integers(-60, 60), SEEDS)
def test_a_rotated_box_encloses_the_rotated_rectangle_and_no_more(degrees, seed):
    """The rectangle's corners turned by hand about the centre of an image that is wider than high."""
    augmentation = Augmentation(rotation=abs(degrees))
    size, box = (40, 60), torch.tensor([[22.0, 15.0, 40.0, 23.0]])
    angle = math.radians(abs(degrees)) * float(
        2 * torch.rand(1, 9, generator=seeded(seed), dtype=torch.float64)[0, 0] - 1
    )
    corners = [(x - 30, y - 20) for x in (22, 40) for y in (15, 23)]
    turned = [
        (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)) for x, y in corners
    ]
    xs, ys = [x + 30 for x, _ in turned], [y + 20 for _, y in turned]
    expected = torch.tensor([[min(xs), min(ys), max(xs), max(ys)]])
    torch.testing.assert_close(augmentation.draw(1, size, seeded(seed)).boxes(box, size), expected, atol=1e-4, rtol=0)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_rotation_keeps_shapes_on_images_that_are_not_square(seed):
    """A disc stays a disc: its area and its extent in x and y."""
    height, width = 48, 72
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = (((x - 35.5) ** 2 + (y - 23.5) ** 2) < 12**2)[None]
    moved = Augmentation(rotation=180).draw(1, (height, width), seeded(seed)).masks(disc)
    assert abs(int(moved.sum()) - int(disc.sum())) <= 0.05 * int(disc.sum())
    assert (enclosing(moved) - enclosing(disc)).abs().max() <= 1.5


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_an_image_its_mask_and_a_map_on_it_are_moved_alike(seed):
    """An image that is its own mask: what the image shows, the mask and the map say, borders included."""
    generator = seeded(seed)
    blobs = torch.nn.functional.avg_pool2d(torch.rand(6, 1, 38, 38, generator=generator), 7, stride=1)
    masks = (blobs > blobs.mean()).squeeze(1)
    draw = Augmentation(True, True, True, rotation=20, shift=0.1, zoom=0.2).draw(6, (32, 32), generator)
    pictures = masks.unsqueeze(1).float()
    moved = draw.images(pictures)
    assert torch.equal(moved, draw.maps(pictures))
    clear = (moved - 0.5).abs() > 0.25  # away from edges nearest and bilinear agree
    assert clear.float().mean() > 0.8
    assert torch.equal((moved > 0.5)[clear], draw.masks(masks).unsqueeze(1)[clear])


def test_in_half_precision_a_map_is_moved_as_exactly_as_without():
    draw = Augmentation.named("upright").draw(4, (64, 64), torch.Generator().manual_seed(0))
    maps = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved = draw.maps(maps)
    assert torch.equal(moved, draw.maps(maps))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_a_coarse_map_is_moved_like_the_image_it_lies_on(seed):
    """A smooth map at a quarter of the resolution, moved and enlarged, is the enlarged map moved."""

    def enlarged(maps):
        return torch.nn.functional.interpolate(maps, scale_factor=4, mode="bilinear", align_corners=False)

    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 24), indexing="ij")
    coarse = torch.exp(-3 * ((x - 0.2) ** 2 + (y + 0.1) ** 2))[None, None].repeat(4, 1, 1, 1)
    draw = Augmentation(True, True, rotation=20, shift=0.05, zoom=0.1).draw(4, (64, 96), seeded(seed))
    difference = (enlarged(draw.maps(coarse)) - draw.maps(enlarged(coarse))).abs()
    assert difference[:, :, 8:-8, 8:-8].max() < 0.05


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([(17, 17), (16, 24), (25, 12)]), st.booleans(), st.booleans())
def test_flips_are_exact_on_any_shape(seed, size, horizontal, vertical):
    generator = seeded(seed)
    images = torch.rand(8, 3, *size, generator=generator)
    masks = torch.rand(8, *size, generator=generator) > 0.5
    boxes = torch.tensor([[2.0, 3.0, 9.0, 11.0]]).repeat(8, 1)
    draw = Augmentation(flip_horizontal=horizontal, flip_vertical=vertical).draw(8, size, generator)
    moved_images, moved_masks, moved_boxes = draw.images(images), draw.masks(masks), draw.boxes(boxes, size)
    seen = set()
    for i in range(8):
        matches = []
        for axes in [(), (1,), (2,), (1, 2)]:
            flipped = images[i].flip(axes) if axes else images[i]
            if torch.allclose(moved_images[i], flipped, atol=1e-4):
                matches.append(axes)
        assert len(matches) == 1
        axes = matches[0]
        seen.add(axes)
        mask = masks[i].flip([a - 1 for a in axes]) if axes else masks[i]
        assert torch.equal(moved_masks[i], mask)
        x0, x1 = (size[1] - 9, size[1] - 2) if 2 in axes else (2, 9)
        y0, y1 = (size[0] - 11, size[0] - 3) if 1 in axes else (3, 11)
        assert torch.allclose(moved_boxes[i], torch.tensor([x0, y0, x1, y1], dtype=torch.float32), atol=1e-5)
    assert all(horizontal or 2 not in axes for axes in seen)
    assert all(vertical or 1 not in axes for axes in seen)


def test_quarter_turns_are_exact_and_all_four_occur():
    images = torch.rand(64, 2, 15, 15, generator=seeded(0))
    masks = images[:, 0] > 0.5
    boxes = torch.tensor([[1.0, 2.0, 6.0, 12.0]]).repeat(64, 1)
    draw = Augmentation(quarter_turns=True).draw(64, (15, 15), seeded(1))
    moved, moved_masks, moved_boxes = draw.images(images), draw.masks(masks), draw.boxes(boxes, (15, 15))
    turns = []
    for i in range(64):
        k = [k for k in range(4) if torch.allclose(moved[i], images[i].rot90(k, (1, 2)), atol=1e-4)]
        assert len(k) == 1
        assert torch.equal(moved_masks[i], masks[i].rot90(k[0], (0, 1)))
        turned = rectangles(boxes[:1], 15, 15).rot90(k[0], (1, 2))
        assert torch.allclose(moved_boxes[i], enclosing(turned)[0], atol=1e-5)
        turns += k
    assert set(turns) == {0, 1, 2, 3}


def test_flips_come_half_of_the_time_and_independently_of_each_other():
    images = torch.zeros(2000, 1, 4, 4)
    images[:, :, 0, 0] = 1
    moved = Augmentation(flip_horizontal=True, flip_vertical=True).draw(2000, (4, 4), seeded(0)).images(images)
    corners = torch.stack([moved[:, 0, y, x] for y in (0, 3) for x in (0, 3)], dim=1)
    assert torch.allclose(corners.sum(dim=1), torch.ones(2000), atol=1e-4)
    assert (corners.mean(dim=0) - 0.25).abs().max() < 0.04  # four standard errors


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.05, 0.4))
def test_shift_is_a_fraction_of_the_side_and_not_more(seed, shift):
    size, box = (40, 80), torch.tensor([[36.0, 16.0, 44.0, 24.0]]).repeat(50, 1)
    draw = Augmentation(shift=shift).draw(50, size, seeded(seed))
    moved = (draw.boxes(box, size) - box) / torch.tensor([80.0, 40.0, 80.0, 40.0])
    assert moved.abs().max() <= shift + 1e-5
    assert (moved.abs().amax(dim=0) > shift / 2).all()
    assert torch.allclose(moved[:, :2], moved[:, 2:], atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.05, 0.6))
def test_zoom_changes_both_sides_by_one_factor_within_its_bound(seed, zoom):
    size, box = (60, 60), torch.tensor([[20.0, 24.0, 40.0, 36.0]]).repeat(50, 1)
    moved = Augmentation(zoom=zoom).draw(50, size, seeded(seed)).boxes(box, size)
    factor = (moved[:, 2:] - moved[:, :2]) / torch.tensor([20.0, 12.0])
    assert torch.allclose(factor[:, 0], factor[:, 1], atol=1e-4)
    assert (factor - 1).abs().max() <= zoom + 1e-4
    assert factor.min() < 1 < factor.max()


# Boxes at the edge


def test_rows_without_a_box_stay_without_and_do_not_touch_the_others():
    boxes = torch.tensor([[4.0, 4.0, 12.0, 12.0], [torch.nan] * 4, [3.0, 5.0, 9.0, 8.0]])
    draw = FULL.draw(3, (24, 24), seeded(3))
    moved = draw.boxes(boxes, (24, 24))
    assert moved[1].isnan().all()
    assert not moved[[0, 2]].isnan().any()
    filled = draw.boxes(boxes.nan_to_num(5.0), (24, 24))
    assert torch.equal(filled[[0, 2]], moved[[0, 2]])


@settings(max_examples=50, deadline=None)
@given(lesions(32, 32, least=2, margin=0), SEEDS)
def test_a_moved_box_is_one_that_a_data_set_accepts(box, seed):
    draw = Augmentation(True, True, True, rotation=90, shift=0.9, zoom=0.5).draw(1, (32, 32), seeded(seed))
    moved = draw.boxes(box, (32, 32))
    assert moved.dtype == torch.float32
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    assert len(LesionDataset(images, [0], ("a", "b"), boxes=moved)) == 1


def test_a_box_that_leaves_the_image_becomes_nan_and_one_half_out_is_clipped():
    size = (20, 20)
    draw = Augmentation(shift=1.0).draw(200, size, seeded(0))
    shift = 20 * draw.forward[:, :2, 2] / 2  # in pixels
    moved = draw.boxes(torch.tensor([[8.0, 8.0, 12.0, 12.0]]).repeat(200, 1), size)
    out = ((shift > 11.1) | (shift < -11.1)).any(dim=1)  # less than a pixel is left
    inside = (shift.abs() < 10.9).all(dim=1)
    assert out.sum() > 20
    assert inside.sum() > 20
    assert moved[out].isnan().all()
    assert not moved[inside].isnan().any()
    clipped = inside & (shift[:, 0] > 9)
    assert clipped.any()
    assert (moved[clipped][:, 2] == 20).all()


# Randomness


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(["upright", "any-orientation"]))
def test_the_same_seed_gives_the_same_bits(seed, name):
    images = torch.rand(5, 3, 16, 16, generator=seeded(1))
    boxes = torch.tensor([[2.0, 3.0, 9.0, 11.0]]).repeat(5, 1)
    first, second = (Augmentation.named(name).draw(5, (16, 16), seeded(seed)) for _ in range(2))
    assert torch.equal(first.images(images), second.images(images))
    assert torch.equal(first.masks(images[:, 0] > 0.5), second.masks(images[:, 0] > 0.5))
    assert torch.equal(first.boxes(boxes, (16, 16)).nan_to_num(-1), second.boxes(boxes, (16, 16)).nan_to_num(-1))


def test_one_draw_after_another_differs_and_so_do_the_images_of_a_batch():
    generator = seeded(0)
    image = torch.rand(1, 1, 16, 16, generator=generator).repeat(8, 1, 1, 1)
    first, second = (FULL.draw(8, (16, 16), generator).images(image) for _ in range(2))
    everything = torch.cat([first, second])
    for i in range(16):
        for j in range(i):
            assert not torch.allclose(everything[i], everything[j], atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, 5))
def test_what_happens_to_an_image_does_not_depend_on_the_others(seed, row):
    generator = seeded(seed)
    images = torch.rand(6, 1, 12, 12, generator=generator)
    others = torch.rand(6, 1, 12, 12, generator=generator)
    others[row] = images[row]
    draw = FULL.draw(6, (12, 12), generator)
    assert torch.equal(draw.images(images)[row], draw.images(others)[row])
    assert torch.equal(draw.masks(images[:, 0] > 0.5)[row], draw.masks(others[:, 0] > 0.5)[row])


def test_switching_an_option_off_leaves_the_other_draws_as_they_were():
    everything = Augmentation(True, True, True, rotation=10, shift=0.1, zoom=0.2, brightness=0.1, contrast=0.2)
    both = everything.draw(9, (8, 8), seeded(5))
    toned = Augmentation(brightness=0.1, contrast=0.2).draw(9, (8, 8), seeded(5))
    moved = Augmentation(True, True, True, rotation=10, shift=0.1, zoom=0.2).draw(9, (8, 8), seeded(5))
    assert torch.equal(both.brightness, toned.brightness)
    assert torch.equal(both.contrast, toned.contrast)
    assert torch.equal(both.forward, moved.forward)


# Tone


def test_with_everything_off_nothing_is_changed():
    images, masks = torch.rand(4, 3, 9, 11), torch.rand(4, 9, 11) > 0.5
    boxes = torch.tensor([[0.5, 0.0, 11.0, 9.0]]).repeat(4, 1)
    off = Augmentation()
    draw = off.draw(4, (9, 11), seeded(0))
    assert not off.geometric
    assert torch.equal(draw.images(images), images)
    assert torch.equal(draw.maps(images), images)
    assert torch.equal(draw.masks(masks), masks)
    assert torch.equal(draw.boxes(boxes, (9, 11)), boxes)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.01, 1), st.floats(0.01, 1))
def test_tone_stays_in_the_unit_range_and_follows_its_formula(seed, brightness, contrast):
    images = torch.rand(8, 3, 6, 6, generator=seeded(seed))
    draw = Augmentation(brightness=brightness, contrast=contrast).draw(8, (6, 6), seeded(seed))
    assert draw.brightness.abs().max() <= brightness
    assert (draw.contrast - 1).abs().max() <= contrast + 1e-6
    toned = draw.images(images)
    for i in range(8):
        mean = images[i].mean()
        expected = (mean + draw.contrast[i] * (images[i] - mean) + draw.brightness[i]).clamp(0, 1)
        torch.testing.assert_close(toned[i], expected)


def test_strong_brightness_is_clipped_at_black_and_white():
    toned = Augmentation(brightness=1).draw(100, (2, 2), seeded(0)).images(torch.full((100, 1, 2, 2), 0.5))
    assert toned.min() == 0
    assert toned.max() == 1


def test_tone_leaves_masks_maps_and_boxes_alone():
    draw = Augmentation(brightness=0.5, contrast=0.5).draw(3, (8, 8), seeded(0))
    maps, boxes = torch.rand(3, 1, 8, 8), torch.tensor([[1.0, 2.0, 3.0, 4.0]]).repeat(3, 1)
    assert torch.equal(draw.maps(maps), maps)
    assert torch.equal(draw.masks(maps[:, 0] > 0.5), maps[:, 0] > 0.5)
    assert torch.equal(draw.boxes(boxes, (8, 8)), boxes)


# Options


@pytest.mark.parametrize(
    ("option", "limit"), [("rotation", 180), ("shift", 1), ("zoom", 0.9), ("brightness", 1), ("contrast", 1)]
)
def test_options_outside_their_range_are_refused_by_name(option, limit):
    assert getattr(Augmentation(**{option: limit}), option) == limit
    for value in (-0.01, limit * 1.01, math.nan, math.inf, -math.inf):
        with pytest.raises(InvalidInputError, match=option):
            Augmentation(**{option: value})


def test_quarter_turns_of_images_that_are_not_square_are_refused():
    with pytest.raises(InvalidInputError, match="square"):
        Augmentation(quarter_turns=True).draw(2, (8, 9), seeded(0))


def test_named_augmentations_suit_the_organ():
    assert Augmentation.named("none") == Augmentation()
    upright, anyway = Augmentation.named("upright"), Augmentation.named("any-orientation")
    assert (upright.flip_horizontal, upright.flip_vertical, upright.quarter_turns) == (True, False, False)
    assert 0 < upright.rotation <= 15
    assert (anyway.flip_horizontal, anyway.flip_vertical, anyway.quarter_turns) == (True, True, True)
    assert all(isinstance(Augmentation.named(name), Augmentation) for name in AUGMENTATIONS)
    with pytest.raises(UnknownNameError, match="Did you mean 'upright'"):
        Augmentation.named("uprigth")


@pytest.mark.parametrize(
    "option", ["flip_horizontal", "flip_vertical", "quarter_turns", "rotation", "shift", "zoom", "brightness"]
)
def test_geometric_says_whether_pixels_move(option):
    augmentation = Augmentation(**{option: 0.5 if option in ("rotation", "shift", "zoom", "brightness") else True})
    assert augmentation.geometric is (option != "brightness")
    assert (augmentation.draw(2, (4, 4), seeded(0)).forward is not None) is (option != "brightness")


# Batches


def dataset(n=6, masks=True):
    images = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8, generator=seeded(0))
    boxes = torch.tensor([[3.0, 4.0, 12.0, 13.0]]).repeat(n, 1)
    boxes[1] = torch.nan
    known = rectangles(boxes.nan_to_num(0), 16, 16) if masks else None
    has_mask = torch.arange(n) != 1 if masks else None
    return LesionDataset(images, torch.arange(n) % 2, ("a", "b"), boxes=boxes, masks=known, has_mask=has_mask)


def batch(index=(4, 0, 1), augmentation=FULL, seed=0, **options):
    return Batch(dataset(**options), torch.tensor(index), augmentation, seeded(seed), progress=0.25)


def test_unit_range_maps_bytes_to_zero_to_one():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    values = unit_range(images)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.flatten(), torch.tensor([0, 0.2, 1]))
    assert images.flatten().tolist() == [0, 51, 255]


def test_a_batch_holds_the_rows_it_was_asked_for():
    part = batch(augmentation=Augmentation())
    whole = dataset()
    assert len(part) == 3
    assert part.labels.tolist() == [0, 0, 1]
    assert part.progress == 0.25
    assert torch.equal(part.inputs, whole.images[[4, 0, 1]].float() / 255)
    assert torch.equal(part.originals, part.inputs)
    assert torch.equal(part.masks, whole.masks[[4, 0, 1]])
    assert part.has_mask.tolist() == [True, True, False]
    assert part.boxes[2].isnan().all()
    assert torch.equal(part.boxes[:2], whole.boxes[[4, 0]])


def test_inputs_masks_boxes_and_warped_maps_of_a_batch_come_from_one_draw():
    part, whole = batch(), dataset()
    index = torch.tensor([4, 0, 1])
    draw = FULL.draw(3, (16, 16), seeded(0))
    assert torch.equal(part.inputs, draw.images(whole.images[index].float() / 255))
    assert torch.equal(part.masks, draw.masks(whole.masks[index]))
    assert torch.equal(part.boxes.nan_to_num(-1), draw.boxes(whole.boxes[index], (16, 16)).nan_to_num(-1))
    maps = torch.rand(3, 1, 4, 4)
    assert torch.equal(part.warp(maps), draw.maps(maps))
    assert not torch.equal(part.inputs, part.originals)


def test_masks_and_boxes_are_made_when_they_are_first_asked_for_and_once():
    part = batch()
    assert not {"masks", "boxes", "has_mask"} & set(vars(part))
    assert part.masks is part.masks
    assert part.boxes is part.boxes
    assert {"masks", "boxes"} <= set(vars(part))


def test_asking_for_masks_and_boxes_takes_no_random_numbers():
    asked, silent = batch(), batch()
    _ = asked.masks, asked.boxes, asked.has_mask
    assert torch.equal(asked.view(), silent.view())


def test_a_set_without_masks_gives_a_batch_without():
    part = batch(masks=False)
    assert part.masks is None
    assert not part.has_mask.any()


def test_a_view_is_another_draw_of_the_same_images():
    part = batch()
    before = part.inputs.clone()
    first, second = part.view(), part.view()
    for one, other in ((first, part.inputs), (second, part.inputs), (first, second)):
        assert one.shape == other.shape
        assert all(not torch.allclose(a, b, atol=1e-3) for a, b in zip(one, other, strict=True))
    assert torch.equal(part.inputs, before)
    assert torch.equal(part.view(Augmentation()), part.originals)


def test_a_batch_does_not_change_the_data_set():
    whole = dataset()
    fingerprint = whole.fingerprint()
    part = Batch(whole, torch.arange(6), FULL, seeded(0))
    part.inputs.zero_()
    _ = part.masks, part.boxes, part.view()
    off = Batch(whole, torch.arange(6), Augmentation(), seeded(0))
    off.inputs.zero_()
    assert whole.fingerprint() == fingerprint


def test_a_feature_batch_holds_the_rows_it_was_asked_for():
    features, labels = torch.rand(5, 7), torch.arange(5)
    part = FeatureBatch(features, labels, torch.tensor([3, 1]), progress=0.5)
    assert len(part) == 2
    assert torch.equal(part.inputs, features[[3, 1]])
    assert part.labels.tolist() == [3, 1]
    assert part.progress == 0.5
