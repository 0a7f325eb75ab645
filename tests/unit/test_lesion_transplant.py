"""Transplanted lesions: where they land, what is left of the old one, how often they come, and what is not touched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits, thinned

import careedu
from careedu.data.augmentation import Augmentation
from careedu.errors import InvalidInputError
from careedu.methods.building import build_method
from careedu.methods.facts import TrainingFacts
from careedu.methods.lesion_transplant import LesionTransplant, cover_lesions, shifted, transplant_lesions
from careedu.training.batch import Batch

DATA = thinned(made_up_splits(), 2, 10)
FACTS = TrainingFacts(counts=(50, 50, 10), rare=(2,), image_shape=(1, 32, 32), dataset=DATA.train)


def square(y, x, side, size=48):
    region = torch.zeros(1, size, size, dtype=torch.bool)
    region[0, y : y + side, x : x + side] = True
    return region


def image_of(ground, region, lesion):
    return torch.where(region, lesion, ground)[:, None].float()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 34), st.integers(2, 34), st.integers(3, 10), st.integers(2, 34), st.integers(2, 34))
def test_the_lesion_lands_on_the_old_one_whole_and_matched_to_its_surroundings(y, x, side, donor_y, donor_x):
    region, donor_region = square(y, x, side), square(donor_y, donor_x, 9)
    pasted = transplant_lesions(
        image_of(0.7, region, 0.1), region, image_of(0.5, donor_region, 0.35), donor_region, feather=0.02
    )[0, 0]
    # A lesion .15 darker than its skin, on skin of .7; centred on the old one unless the image ends.
    top = min(max(round(y + side / 2 - 4.5), 0), 39)
    left = min(max(round(x + side / 2 - 4.5), 0), 39)
    found = (pasted - 0.55).abs() < 0.01
    rows, columns = found.any(1).nonzero()[:, 0], found.any(0).nonzero()[:, 0]
    assert abs(rows[0].item() - top) <= 1 and abs(columns[0].item() - left) <= 1
    assert found.sum() >= 81 and len(rows) in (9, 10) and len(columns) in (9, 10)
    assert pasted.min() > 0.53  # nothing of the old lesion is left, which was at .1
    assert (pasted - 0.7).abs().median() < 1e-6


def test_tissue_beside_the_lesion_covers_it_with_its_texture():
    generator = torch.Generator().manual_seed(0)
    ground = 0.6 + 0.05 * torch.randn(4, 3, 48, 48, generator=generator)
    regions = torch.cat([square(18, 18, 11), square(0, 0, 11), square(37, 20, 11), square(8, 6, 30)])
    images = torch.where(regions[:, None], 0.1, ground)
    covered = cover_lesions(images, regions, sigma=1.0)
    for image, region in zip(covered, regions, strict=True):
        inside = image[:, region]
        assert inside.mean() == pytest.approx(0.6, abs=0.03)
        assert inside.min() > 0.3  # nothing of the lesion, even beside one too large for a clean copy
        assert inside.std() == pytest.approx(0.05, abs=0.02) or region.sum() == 900
    far = ~torch.nn.functional.max_pool2d(regions[:, None].float(), 13, 1, 6).bool()
    assert torch.equal(covered[far.expand_as(covered)], images[far.expand_as(images)])


def test_images_and_donors_without_a_known_lesion():
    empty = torch.zeros(1, 48, 48, dtype=torch.bool)
    donor_region = square(5, 30, 9)
    ground, donor = torch.full((1, 1, 48, 48), 0.7), image_of(0.5, donor_region, 0.35)
    pasted = transplant_lesions(ground, empty, donor, donor_region)
    assert (pasted[0, 0, 5:14, 30:39] - 0.55).abs().max() < 1e-6  # in the donor's own place
    region = square(20, 20, 8)
    only_covered = transplant_lesions(image_of(0.7, region, 0.1), region, donor, empty)
    torch.testing.assert_close(only_covered, ground)


@settings(deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_shifting_moves_whole_pixels_and_mirrors_at_the_border(dy, dx):
    image = torch.arange(2 * 3 * 10 * 10).view(2, 3, 10, 10)
    moved = shifted(image, torch.tensor([dy, 0]), torch.tensor([dx, 0]))
    padded = np.pad(image[0].numpy(), ((0, 0), (10, 10), (10, 10)), mode="symmetric")
    np.testing.assert_array_equal(moved[0], padded[:, 10 - dy : 20 - dy, 10 - dx : 20 - dx])
    assert torch.equal(moved[1], image[1])


# ---- in a batch ------------------------------------------------------------------------------------------------------


def batch_of(seed, n=110, data=DATA, augmentation="none"):
    generator = torch.Generator().manual_seed(seed)
    return Batch(data.train, torch.arange(len(data.train))[:n], Augmentation.named(augmentation), generator)


def test_a_rare_class_is_shown_as_often_as_asked_and_the_loss_is_told():
    for target in (0.5, 1.0):
        method = LesionTransplant(target=target)
        counts = torch.stack([torch.bincount(method.transplant(batch_of(s), FACTS)[1], minlength=3) for s in range(40)])
        assert (counts.sum(1) == 110).all()
        np.testing.assert_allclose(counts.double().mean(0)[2], target * 110 / 3, rtol=0.07)
        np.testing.assert_allclose(counts.double().mean(0), method.shown(FACTS).counts, rtol=0.07, atol=0.5)
    told = []

    class Listening(careedu.CrossEntropy):
        def loss(self, logits, target, facts, progress):
            told.append(facts.counts)
            return super().loss(logits, target, facts, progress)

    (stage,) = LesionTransplant(classification=Listening()).stages(FACTS, 3)
    stage.updates[0].terms(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 3)), batch_of(0))
    assert told == [(37, 37, 37)] and stage.epochs == 3


def test_at_most_half_of_the_common_draws_are_given_up():
    facts = replace(FACTS, counts=(20, 10, 10, 10), rare=(1, 2, 3))
    assert LesionTransplant(target=10.0).shown(facts).counts == (10, 13, 13, 13)
    enough = replace(FACTS, counts=(50, 50, 10))
    assert LesionTransplant(target=0.1).shown(enough).counts == (50, 50, 10)


def test_only_replaced_images_change_and_they_carry_a_rare_lesion():
    batch = batch_of(3)
    inputs, labels = LesionTransplant().transplant(batch, FACTS)
    changed = labels != batch.labels
    assert 10 < changed.sum() < 50 and (labels[changed] == 2).all()
    assert torch.equal(inputs[~changed], batch.inputs[~changed])
    for row in changed.nonzero()[:, 0]:
        # The rare squares are brighter than their ground by more than any common one.
        x0, y0, x1, y1 = DATA.train.boxes[row].int().tolist()
        inside = inputs[row, 0, y0:y1, x0:x1].mean() * 255
        assert inside > 45 + 80
    images, boxes = DATA.train.images.clone(), DATA.train.boxes.clone()
    LesionTransplant().transplant(batch_of(4), FACTS)
    assert torch.equal(DATA.train.images, images) and torch.equal(DATA.train.boxes, boxes)


def test_transplants_are_augmented_like_the_image_they_replace():
    flips = Augmentation(flip_horizontal=True, flip_vertical=True)
    plain = Batch(DATA.train, torch.arange(110), Augmentation(), torch.Generator().manual_seed(1))
    moved = Batch(DATA.train, torch.arange(110), flips, torch.Generator().manual_seed(1))
    still, labels = LesionTransplant().transplant(plain, FACTS)
    turned, again = LesionTransplant().transplant(moved, FACTS)
    assert torch.equal(labels, again)
    torch.testing.assert_close(turned, moved.draw.images(still), atol=1e-5, rtol=0)
    assert not torch.allclose(turned, still, atol=0.01)


def test_boxes_serve_where_there_are_no_masks():
    boxed = replace(DATA, train=replace(DATA.train, masks=None, has_mask=None))
    with_boxes = LesionTransplant().transplant(batch_of(3, data=boxed), FACTS)
    with_masks = LesionTransplant().transplant(batch_of(3), FACTS)  # square lesions: the same pixels
    assert torch.equal(with_boxes[0], with_masks[0]) and torch.equal(with_boxes[1], with_masks[1])


def test_only_images_with_a_known_lesion_are_donors():
    rare = (DATA.train.labels == 2).nonzero()[:, 0]
    boxes = DATA.train.boxes.clone()
    boxes[rare[1:]] = torch.nan
    images = DATA.train.images.clone()
    images[rare[1:]] = 255  # nothing of these may appear
    one = replace(DATA, train=replace(DATA.train, images=images, boxes=boxes, masks=None, has_mask=None))
    inputs, labels = LesionTransplant().transplant(batch_of(0, data=one), FACTS)
    changed = labels != batch_of(0, data=one).labels
    assert changed.any() and inputs[changed].max() < 0.99


def test_a_batch_of_rare_images_stays_as_it_is():
    rare = (DATA.train.labels == 2).nonzero()[:, 0]
    batch = Batch(DATA.train, rare, Augmentation(), torch.Generator().manual_seed(0))
    inputs, labels = LesionTransplant().transplant(batch, FACTS)
    assert inputs is batch.inputs and labels is batch.labels


def test_a_training_has_as_many_updates_and_the_same_bits_twice():
    runs = [careedu.fit(DATA, LesionTransplant(), epochs=2, seed=1, progress=False) for _ in range(2)]
    assert runs[0].history.equals(runs[1].history)
    assert np.array_equal(runs[0].probabilities, runs[1].probabilities)
    assert runs[0].table()["n train"].tolist() == [50, 50, 10]  # real images


def test_options_and_data_that_do_not_fit_are_named():
    for options, words in (({"target": 0}, "target=0"), ({"feather": 0.5}, "feather=0.5"), ({"target": np.nan}, "nan")):
        with pytest.raises(InvalidInputError, match=words):
            LesionTransplant(**options)
    with pytest.raises(InvalidInputError, match="classification="):
        LesionTransplant(classification=careedu.BalancedSampling())
    bare = thinned(made_up_splits(lesions=False), 2, 10)
    with pytest.raises(InvalidInputError, match=r"'bright' has a box or mask.*rare="):
        careedu.fit(bare, LesionTransplant(), epochs=1, progress=False)
    method = LesionTransplant(classification=careedu.Focal(gamma=1.0), target=0.5)
    assert build_method("lesion-transplant", **method.options()) == method


def test_what_the_loss_needs_is_passed_on():
    method = LesionTransplant(classification=careedu.LogitAdjusted(post_hoc=True))
    logits = torch.zeros(1, 3, dtype=torch.float64)
    torch.testing.assert_close(method.adjust(logits, FACTS).softmax(1), torch.full((1, 3), 1 / 3, dtype=torch.float64))
