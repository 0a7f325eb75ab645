"""The phantoms: the same bits from a seed, exact truth, knobs that do what they say, and no way round the texture."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from careedu.data.phantoms import CHANNELS, CLASSES, DEFAULTS, KINDS, draw_phantom, lesion_zones
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.nn.backbones import build_model

LABELS = np.arange(40) % 3

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_shapes_and_types(kind):
    drawn = draw_phantom(kind, LABELS, size=48)
    assert drawn.images.shape == (40, CHANNELS[kind], 48, 48) and drawn.images.dtype == np.uint8
    assert drawn.masks.shape == (40, 48, 48) and drawn.masks.dtype == bool
    assert drawn.boxes.shape == (40, 4) and drawn.boxes.dtype == np.float32
    assert len(CLASSES[kind]) == len(set(CLASSES[kind])) == 3
    assert len(draw_phantom(kind, []).images) == 0


@each_kind
def test_a_seed_gives_the_same_bits_whatever_the_threads(kind):
    labels = np.arange(100) % 3
    one = draw_phantom(kind, labels, seed=(7, 1), threads=1)
    again = draw_phantom(kind, labels, seed=[7, 1], threads=1)
    threaded = draw_phantom(kind, labels, seed=(7, 1), threads=4)
    for other in (again, threaded):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.masks, other.masks)
    different = draw_phantom(kind, labels, seed=(7, 2))
    assert not any(np.array_equal(a, b) for a, b in zip(one.images, different.images, strict=True))
    assert len({image.tobytes() for image in one.images}) == len(labels)


@each_kind
def test_an_image_depends_on_its_own_label_and_number_only(kind):
    many = draw_phantom(kind, np.arange(70) % 3, seed=5)
    few = draw_phantom(kind, np.arange(35) % 3, seed=5)
    assert np.array_equal(many.images[:35], few.images)
    others = np.arange(70) % 3
    others[1:] = 0
    assert np.array_equal(many.images[0], draw_phantom(kind, others, seed=5).images[0])


@each_kind
@settings(max_examples=12, deadline=None)
# The tumour of its third image lies outside the image.
@example(size=32, lesion_size=0.25, contrast=0.0, distractors=0.0, jitter=0.25, seed=363)
@given(
    size=st.integers(32, 96),
    lesion_size=st.floats(0.1, 4.0),
    contrast=st.floats(0.0, 4.0),
    distractors=st.floats(0.0, 4.0),
    jitter=st.floats(0.0, 0.25),
    seed=st.integers(0, 2**63),
)
def test_the_truth_is_exact(kind, size, lesion_size, contrast, distractors, jitter, seed):
    knobs = {
        "size": size,
        "lesion_size": lesion_size,
        "contrast": contrast,
        "distractors": distractors,
        "jitter": jitter,
    }
    drawn = draw_phantom(kind, [0, 1, 2], seed=seed, **knobs)
    without = draw_phantom(kind, [0, 1, 2], seed=seed, lesions=False, **knobs)
    for mask, box in zip(drawn.masks, drawn.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        assert len(rows) > 0
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    outside = np.broadcast_to(~drawn.masks[:, None], drawn.images.shape)
    assert np.array_equal(drawn.images[outside], without.images[outside])
    assert np.array_equal(drawn.masks, without.masks)


@each_kind
def test_every_lesion_shows(kind):
    drawn, without = (draw_phantom(kind, LABELS, lesions=shown) for shown in (True, False))
    difference = np.abs(drawn.images.astype(int) - without.images).max(axis=1)
    changed = (difference > 4) & drawn.masks
    assert (changed.sum(axis=(1, 2)) > 0.4 * drawn.masks.sum(axis=(1, 2))).all()


@each_kind
def test_without_its_lesion_an_image_knows_no_class(kind):
    plain = [draw_phantom(kind, np.full(40, label), lesions=False, seed=3) for label in range(3)]
    shown = [draw_phantom(kind, np.full(40, label), seed=3) for label in range(3)]
    for label in (1, 2):
        assert np.array_equal(plain[0].images, plain[label].images)
        assert np.array_equal(plain[0].masks, plain[label].masks)
        assert not np.array_equal(shown[0].images, shown[label].images)


@each_kind
def test_mean_brightness_inside_the_lesion_tells_no_class(kind):
    means = []
    for label in range(3):
        drawn = draw_phantom(kind, np.full(200, label), seed=11)
        inside = (drawn.images.mean(axis=1) * drawn.masks).sum(axis=(1, 2)) / drawn.masks.sum(axis=(1, 2))
        means.append(inside)
    # The images differ in their labels only, so the differences are paired.
    spread = np.std(means[0])
    for label in (1, 2):
        assert abs(np.mean(means[label] - means[0])) < 0.25 * spread


@each_kind
def test_contrast_scales_the_lesion(kind):
    without = draw_phantom(kind, LABELS, lesions=False).images.astype(float)
    strength = []
    for contrast in (0.5, 1.0, 2.0):
        drawn = draw_phantom(kind, LABELS, contrast=contrast)
        strength.append(np.abs(drawn.images - without)[np.broadcast_to(drawn.masks[:, None], without.shape)].mean())
    assert strength[0] < 0.75 * strength[1]
    assert strength[1] < strength[2]


@each_kind
def test_lesion_size_scales_the_diameter(kind):
    area = [draw_phantom(kind, LABELS, size=128, lesion_size=s).masks.sum() for s in (0.5, 1.0)]
    assert 3.2 < area[1] / area[0] < 4.5


@each_kind
def test_distractors_come_and_go(kind):
    knobs = {"lesions": False, "seed": 2}
    none, usual, many = (
        draw_phantom(kind, np.zeros(60, int), distractors=d, **knobs).images.astype(int) for d in (0.0, 1.0, 4.0)
    )
    touched = [(np.abs(images - none).max(axis=1) > 3).mean() for images in (usual, many)]
    assert 0.005 < touched[0] < touched[1]
    assert (touched[1] - touched[0]) > 0.005


def test_look_alikes_carry_another_class_beside_the_lesion():
    labels = np.arange(96) % 3
    knobs = {"seed": 4, "distractors": 2.0, "size": 96}
    plain, weak, strong = (draw_phantom("skin", labels, look_alike=a, **knobs) for a in (0.0, 0.2, 1.0))
    assert plain.patches is plain.patch_labels is None
    for found in (weak, strong):
        assert np.array_equal(found.masks, plain.masks)
        assert not (found.patches & found.masks).any()
        has = found.patches.any(axis=(1, 2))
        assert np.array_equal(has, found.patch_labels >= 0) and 0.8 < has.mean() < 1
        assert (found.patch_labels[has] != labels[has]).all()
        assert len({(own, other) for own, other in zip(labels[has], found.patch_labels[has], strict=True)}) == 6
    assert np.array_equal(weak.patch_labels[has], strong.patch_labels[has])
    # The truth is exact: a hair less alike, nothing but patches differs (the lesion covers what is beneath it).
    other = draw_phantom("skin", labels, look_alike=0.99, **knobs)
    differs = np.abs(other.images.astype(int) - strong.images).max(axis=1) > 0
    either = strong.patches | other.patches
    assert not (differs & ~either & ~strong.masks).any()
    assert (differs & either).sum() > 0.3 * either.sum()
    # Without the lesion nothing but the patches is left of a class.
    bare = draw_phantom("skin", labels, look_alike=1.0, lesions=False, **knobs)
    assert np.array_equal(bare.patches, strong.patches) and np.array_equal(bare.patch_labels, strong.patch_labels)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_look_alikes_may_go_with_the_class(correlation):
    labels = np.arange(600) % 3
    found = draw_phantom("skin", labels, look_alike=0.5, look_alike_correlation=correlation, distractors=2.0, size=32)
    has = found.patch_labels >= 0
    follows = (found.patch_labels[has] == (labels[has] + 1) % 3).mean()
    assert abs(follows - (correlation + (1 - correlation) / 2)) < 0.08  # four standard errors


@pytest.mark.slow
def test_the_texture_of_a_look_alike_is_that_of_its_class():
    """A network that has never seen a lesion learns the classes from strong patches alone."""
    torch.manual_seed(0)
    parts = []
    for seed, n in ((0, 900), (1, 300)):
        found = draw_phantom("skin", np.arange(n) % 3, seed=seed, look_alike=1.0, distractors=3.0, lesions=False)
        has = found.patch_labels >= 0
        parts.append((torch.from_numpy(found.images[has]), torch.from_numpy(found.patch_labels[has])))
    (images, labels), (test_images, test_labels) = parts
    model = build_model("small", 3, 3)
    model.standardize_by(images)
    epochs, steps = 12, -(-len(images) // 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps * epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(32):
            turned = torch.rot90(images[batch].float() / 255, int(torch.randint(4, ())), (2, 3))
            optimizer.zero_grad()
            functional.cross_entropy(model(turned), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        right = (model.eval()(test_images.float() / 255).argmax(dim=1) == test_labels).float().mean()
    assert right > 0.8  # by chance a third


def test_only_skin_has_look_alikes_of_a_class():
    for kind in ("chest", "brain"):
        with pytest.raises(InvalidInputError, match=r"look_alike=0.5, .*: for skin alone"):
            draw_phantom(kind, [0], look_alike=0.5)
        with pytest.raises(InvalidInputError, match=r"look_alike_correlation=0\.5: for skin alone"):
            draw_phantom(kind, [0], look_alike_correlation=0.5)
    with pytest.raises(InvalidInputError, match="with look_alike above 0"):
        draw_phantom("skin", [0], look_alike_correlation=0.5)
    with pytest.raises(InvalidInputError, match=r"look_alike=1.1 must be a number in \[0.0, 1.0\]"):
        draw_phantom("skin", [0], look_alike=1.1)


@pytest.mark.parametrize("kind", ["chest", "brain"])
def test_jitter_moves_the_anatomy(kind):
    knobs = {"lesions": False, "distractors": 0, "seed": 4}
    spread = [
        draw_phantom(kind, np.zeros(64, int), jitter=j, **knobs).images.std(axis=0).mean() for j in (0, 0.02, 0.1)
    ]
    assert spread[0] < spread[1] < spread[2]


def test_skin_has_no_anatomy_to_move():
    still, moved = (draw_phantom("skin", LABELS, jitter=j).images for j in (0.0, 0.2))
    assert np.array_equal(still, moved)


@each_kind
def test_lesions_lie_in_their_zones_and_look_alikes_outside(kind):
    zones = lesion_zones(kind, 64)
    assert zones.shape == (64, 64) and zones.dtype == bool and zones.any()
    labels = np.zeros(300, int)
    drawn = draw_phantom(kind, labels, jitter=0.0, seed=9)
    assert (drawn.masks & zones).sum() > 0.95 * drawn.masks.sum()
    if kind == "skin":
        assert zones.all()
        return
    assert 0.05 < zones.mean() < 0.5
    # Half of the zones' pixels at least are reached by some lesion.
    assert drawn.masks.any(axis=0)[zones].mean() > 0.9


@each_kind
def test_the_place_of_a_lesion_tells_no_class(kind):
    boxes = [draw_phantom(kind, np.full(60, label), seed=8).boxes for label in range(3)]
    assert np.array_equal(boxes[0], boxes[1]) and np.array_equal(boxes[0], boxes[2])


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"size": 31}, "size=31 must be a whole number from 32 to 512"),
        ({"size": 513}, "size"),
        ({"size": 64.0}, "size"),
        ({"lesion_size": -1.0}, r"lesion_size=-1.0 must be a number in \[0.1, 4.0\]"),
        ({"lesion_size": 0.0}, "lesion_size"),
        ({"contrast": float("nan")}, "contrast"),
        ({"contrast": -0.1}, r"contrast=-0.1 must be a number in \[0.0, 4.0\]"),
        ({"distractors": float("inf")}, "distractors"),
        ({"distractors": "many"}, "distractors"),
        ({"jitter": 0.3}, r"jitter=0.3 must be a number in \[0.0, 0.25\]"),
        ({"lesions": "no"}, "lesions"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": ()}, "seed"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_knobs_are_named_with_their_range(knobs, says):
    with pytest.raises(InvalidInputError, match=says):
        draw_phantom("skin", [0, 1], **knobs)


@pytest.mark.parametrize("labels", [[0, 3], [-1], [0.5], [[0, 1]], 1, [True], ["globular"]])
def test_bad_labels_are_told(labels):
    with pytest.raises(InvalidInputError, match="labels must"):
        draw_phantom("skin", labels)


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'brain'"):
        draw_phantom("brian", [0])
    with pytest.raises(UnknownNameError, match="Known: brain, chest, skin"):
        lesion_zones("knee")


def test_the_defaults_are_those_of_the_function():
    assert np.array_equal(draw_phantom("chest", [0, 1], **DEFAULTS).images, draw_phantom("chest", [0, 1]).images)


EPOCHS = {"skin": 10, "chest": 10, "brain": 20}
"""In which the small network learns a kind; what has no lesions gets the most of them."""


def trained_recall(kind, counts, *, seed, epochs, lesions=True):
    """Train the small network with plain cross-entropy and give its recall on 100 fresh images a class."""
    torch.manual_seed(seed)
    labels, test_labels = np.repeat(range(3), counts), np.repeat(range(3), 100)
    images, test_images = (
        torch.from_numpy(draw_phantom(kind, y, seed=(seed, part), lesions=lesions).images).float() / 255
        for part, y in enumerate((labels, test_labels))
    )
    target, model = torch.from_numpy(labels), build_model("small", 3, CHANNELS[kind])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = -(-len(images) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps * epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(32):
            x = images[batch]
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
            if kind == "skin":
                x = torch.rot90(x, int(torch.randint(4, ())), (2, 3))
            else:
                angle = (2 * torch.rand(len(x)) - 1) * np.pi / 18
                zero = torch.zeros_like(angle)
                turn = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1).view(-1, 2, 3)
                grid = functional.affine_grid(turn, list(x.shape), align_corners=False)
                x = functional.grid_sample(x, grid, align_corners=False)
            optimizer.zero_grad()
            functional.cross_entropy(model(x), target[batch]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part) for part in test_images.split(100)]).argmax(1).numpy()
    return np.array([(predicted[test_labels == label] == label).mean() for label in range(3)])


@pytest.mark.slow
@each_kind
def test_the_small_network_learns_the_classes(kind):
    assert trained_recall(kind, (300, 300, 300), seed=0, epochs=EPOCHS[kind]).mean() >= 0.95


@pytest.mark.slow
@each_kind
def test_without_lesions_nothing_can_be_learnt(kind):
    recall = trained_recall(kind, (300, 300, 300), seed=0, epochs=max(EPOCHS.values()), lesions=False)
    assert abs(recall.mean() - 1 / 3) <= 0.05


@pytest.mark.slow
@each_kind
def test_the_size_of_a_lesion_tells_no_class(kind):
    labels = np.repeat(range(3), 300)
    train, test = (np.log(draw_phantom(kind, labels, seed=(0, part)).masks.sum(axis=(1, 2))) for part in (0, 1))
    neighbours = np.abs(test[:, None] - train[None, :]).argsort(axis=1, kind="stable")[:, :25]
    predicted = np.apply_along_axis(lambda row: np.bincount(row, minlength=3).argmax(), 1, labels[neighbours])
    assert abs(np.mean([(predicted[labels == label] == label).mean() for label in range(3)]) - 1 / 3) <= 0.10
