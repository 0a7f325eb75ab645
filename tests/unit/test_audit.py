"""The check of an image set finds what was put there, ranks copies above all else, and is silent where nothing is."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import careedu
from careedu.checks.audit import SAME
from careedu.checks.near_duplicates import near_duplicates
from careedu.errors import CareeduError, InvalidInputError

LARGE = {"val": 6, "test": 40, "largest": 48, "imbalance": 6, "size": 128}
CHANGES = ("resized", "compressed", "mirrored", "cropped", "brighter")


@pytest.fixture(scope="module")
def chest():
    return careedu.load("phantom-chest", **LARGE)


def changed(pixels, how, rng):
    """The picture as it might come back: uint8 (H, W) in and out."""
    image = Image.fromarray(pixels)
    side = image.width
    if how == "resized":
        image = image.resize((round(side * 0.6),) * 2)
    elif how == "compressed":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=40)
        image = Image.open(buffer)
    elif how == "mirrored":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif how == "cropped":
        left, top, right, bottom = rng.integers(0, 5, 4)
        image = image.crop((left, top, side - right, side - bottom))
    else:
        image = image.point(lambda value: min(255, int(value * 1.1 + 8)))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


# Heads of phantom-brain lie alike to the pixel: a cropped one is less like its copy than like another head.
FOUND = [(name, how) for name in ("phantom-chest", "phantom-skin", "phantom-brain") for how in CHANGES]
FOUND.remove(("phantom-brain", "cropped"))


@pytest.mark.parametrize(("name", "how"), FOUND)
def test_nine_in_ten_copies_stand_above_every_pair_that_is_none(name, how):
    images = careedu.load(name, **LARGE).train.images
    images = images.float().mean(dim=1, keepdim=True).byte()
    rng = np.random.default_rng(0)
    rows = rng.choice(len(images), 30, replace=False)
    copies = np.stack([changed(images[i, 0].numpy(), how, rng) for i in rows])[:, None]
    pairs = near_duplicates(torch.cat([images, torch.from_numpy(copies)]))
    planted = {(int(row), len(images) + k) for k, row in enumerate(rows)}
    is_copy = np.array([pair in planted for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)])
    highest_other = pairs.likeness[~is_copy].max()
    found = pairs.likeness[is_copy]
    assert (found > max(highest_other, SAME)).sum() >= 27
    assert highest_other < SAME


def test_pairs_stand_in_order_and_each_once(chest):
    pairs = near_duplicates(chest.test.images)
    assert (np.diff(pairs.likeness) <= 0).all() and (pairs.first < pairs.second).all() and pairs.likeness.max() <= 1.001
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == len(pairs)


@pytest.mark.parametrize("name", ["phantom-skin", "phantom-chest", "phantom-brain"])
def test_nothing_is_reported_of_phantoms(name):
    audit = careedu.audit(careedu.load(name, largest=150, imbalance=10, val=5, test=60))
    assert audit.problems == [], str(audit)


def by_check(audit):
    return {finding.check: finding for finding in audit.findings}


def test_a_copy_across_splits_is_shown(chest):
    images = chest.test.images.clone()
    images[5] = chest.train.images[7].flip(-1)
    audit = careedu.audit(replace(chest, test=replace(chest.test, images=images)))
    finding = by_check(audit)["copies across splits"]
    assert finding.attention and "1 pair of images is one picture" in finding.result
    assert set(finding.images[0]) == {chest.test.ids[5], chest.train.ids[7]}


def test_copies_with_different_labels_are_shown(chest):
    images = chest.train.images.clone()
    other = int((chest.train.labels != chest.train.labels[0]).nonzero()[0])
    images[other] = images[0]
    finding = by_check(careedu.audit(replace(chest, train=replace(chest.train, images=images))))
    assert finding["copies with different labels"].attention
    assert not finding["copies across splits"].attention and not finding["copies within a split"].attention


def with_cue(splits, change):
    def part(one):
        return replace(
            one, images=torch.stack([change(i, int(y)) for i, y in zip(one.images, one.labels, strict=True)])
        )

    return replace(splits, **{name: part(one) for name, one in splits.parts().items()})


def frame(image, label):
    image = image.clone()
    image[:, :4] = 40 * label
    return image


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("class by mean intensity", lambda image, label: (image.int() * (4 + label) // 7).byte()),
        ("class by border", frame),
    ],
)
def test_a_cue_that_is_no_disease_is_shown(check, change, chest):
    finding = by_check(careedu.audit(with_cue(chest, change)))[check]
    assert finding.attention and len(finding.images) == 2


def test_the_same_patients_in_all_splits_are_shown(chest):
    rng = np.random.default_rng(0)

    def slices(name):
        """The same patients with other noise."""
        noise = torch.from_numpy(rng.normal(0, 9, (len(chest.train), 1, 128, 128)))
        images = (chest.train.images + noise).clamp(0, 255).byte()
        return replace(
            chest.train, images=images, groups=None, grouped=False, ids=[f"{name}-{i}" for i in range(len(images))]
        )

    splits = careedu.Splits(**{name: slices(name) for name in ("train", "val", "test")}, name="leaking")
    finding = by_check(careedu.audit(splits))
    assert finding["copies across splits"].attention
    assert "not known" in finding["groups"].result


def test_few_test_patients_are_said_to_show_little(chest):
    rare = chest.rare[0]
    rows = (chest.test.labels != chest.test.class_index(rare)) | (torch.arange(len(chest.test)) % 20 == 0)
    audit = careedu.audit(replace(chest, test=chest.test[rows]))
    finding = by_check(audit)[f"test images of {rare}"]
    assert finding.attention and "cannot be shown" in finding.result
    whole = by_check(careedu.audit(chest))[f"test images of {rare}"]
    assert not whole.attention and "cannot be shown" in whole.result


def test_a_class_without_test_images_is_said(chest):
    rows = chest.test.labels != 0
    found = by_check(careedu.audit(replace(chest, test=chest.test[rows])))
    assert found["test images"].attention and "cannot be measured" in found["test images"].result
    assert "not looked for" in found["cues"].result


def test_the_table_and_the_page_hold_every_finding(chest, tmp_path):
    images = chest.test.images.clone()
    images[5] = chest.train.images[7]
    audit = careedu.audit(replace(chest, test=replace(chest.test, images=images), name="<chest>"))
    table = audit.table()
    assert len(table) == len(audit.findings) and (table["attention"] != "").sum() == len(audit.problems)
    page = audit.report(tmp_path / "deep" / "check.html").read_text(encoding="utf-8")
    for finding in audit.findings:
        assert finding.check in page
    assert (
        "&lt;chest&gt;" in page
        and "<chest>" not in page
        and "http:" not in page
        and "https:" not in page
        and "<script" not in page
    )
    assert page.count("<img ") == page.count('alt="') == sum(len(row) for f in audit.findings for row in f.images) > 0
    with pytest.raises(InvalidInputError, match="HTML page"):
        audit.report(tmp_path / "check.txt")


def test_what_cannot_be_audited_is_refused(chest, tmp_path):
    with pytest.raises(InvalidInputError, match=r"folder or what careedu\.load gives"):
        careedu.audit(3)
    with pytest.raises(InvalidInputError, match=r"options .group. are for folders"):
        careedu.audit(chest, group="x")
    with pytest.raises(CareeduError, match="no folder"):
        careedu.audit(tmp_path / "none")
