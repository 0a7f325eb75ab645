"""`load` gives what the contract promises, whatever the images are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import careedu
from careedu.data.load import available, load
from careedu.data.phantoms import CLASSES
from careedu.errors import CareeduError, InvalidInputError, MissingDataError, UnknownNameError

FEW = {"largest": 12, "val": 3, "test": 4, "size": 32}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CAREEDU_DATA", raising=False)


@pytest.fixture
def folder(tmp_path):
    """Sixty images of two classes, three of a patient, all with a split."""
    place = tmp_path / "mine"
    place.mkdir()
    rows = ["image,label,split,patient,device"]
    for i in range(60):
        Image.new("L", (20, 20), i * 4).save(place / f"{i}.png")
        split = ("train", "train", "train", "val", "test")[i // 6 % 5]
        rows.append(f"{i}.png,{('healthy', 'ill')[i % 2]},{split},{i // 3},{'AB'[i // 30]}")
    (place / "labels.csv").write_text("\n".join(rows))
    return place


@pytest.mark.parametrize(
    ("name", "augmentation"),
    [("phantom-skin", "any-orientation"), ("phantom-chest", "upright"), ("phantom-brain", "upright")],
)
def test_phantoms_come_in_three_splits_with_every_lesion_known(name, augmentation):
    data = load(name, **FEW)
    classes = CLASSES[name.removeprefix("phantom-")]
    assert data.name == name and data.classes == classes and data.augmentation == augmentation
    for part, n in zip(data.parts().values(), (12, 3, 4), strict=True):
        assert part.counts.tolist() == [n] * len(classes)
        assert part.has_box.all() and part.has_mask.all() and part.masks.any(dim=(1, 2)).all()
        assert part.images.shape[2:] == (32, 32)
        assert len(set(part.groups)) == len(part)


def test_phantoms_have_300_training_images_a_class_unless_told_otherwise(monkeypatch):
    drawn = []
    import careedu.data.phantoms as phantoms

    original = phantoms.draw_phantom

    def small(kind, labels, *, size=64, **options):
        drawn.append((np.bincount(labels).tolist(), size))
        return original(kind, labels, size=32, **options)

    monkeypatch.setattr(phantoms, "draw_phantom", small)
    assert load("phantom-skin").train.counts.tolist() == [300] * 3
    assert sorted(drawn) == [([40] * 3, 64), ([100] * 3, 64), ([300] * 3, 64)]
    drawn.clear()
    load("phantom-skin", imbalance=100, size=48)
    assert sorted(drawn) == [([40] * 3, 48), ([100] * 3, 48), ([300, 30, 3], 48)]


def test_phantom_counts_go_up_and_down_and_win_over_the_imbalance():
    data = load("phantom-brain", imbalance=4, counts={"grade III": 20, "grade IV": 5}, **FEW)
    counts = dict(zip(data.classes, data.train.counts.tolist(), strict=True))
    assert counts == {"grade IV": 5, "grade II": 6, "grade III": 20}
    assert data.val.counts.tolist() == [3] * 3 and data.test.counts.tolist() == [4] * 3


def test_the_order_of_phantoms_does_not_tell_their_class():
    labels = load("phantom-skin", **{**FEW, "largest": 40}).train.labels
    assert (labels[1:] == labels[:-1]).float().mean() < 0.6


def test_a_seed_means_the_same_bits_and_another_seed_others():
    first = load("phantom-chest", seed=5, **FEW)
    assert first.fingerprint() == load("phantom-chest", seed=5, **FEW).fingerprint()
    other = load("phantom-chest", seed=6, **FEW)
    for part in ("train", "val", "test"):
        assert getattr(first, part).fingerprint() != getattr(other, part).fingerprint()


def test_look_alikes_go_with_the_class_in_training_and_never_in_test():
    options = {"look_alike": 0.8, "look_alike_correlation": 1.0, "distractors": 3.0}
    data = load("phantom-skin", largest=40, val=20, test=40, size=32, **options)
    for name, part in data.parts().items():
        has = part.marked
        follows = part.mark_labels[has] == (part.labels[has] + 1) % 3
        assert bool(follows.all()) if name != "test" else 0.3 < float(follows.float().mean()) < 0.7
        assert torch.equal(part.mark_labels >= 0, has)
        assert torch.equal(part[has].mark_labels, part.mark_labels[has])
    assert data.recipe["options"] == options | {"largest": 40, "val": 20, "test": 40}
    again = data.redraw(3).train
    assert bool((again.mark_labels[again.marked] == (again.labels[again.marked] + 1) % 3).all())
    plain = load("phantom-skin", largest=40, val=20, test=40, size=32, distractors=3.0)
    assert plain.train.marks is plain.train.mark_labels is None
    other = replace(data.train, mark_labels=data.train.mark_labels.roll(1))
    assert other.fingerprint() != data.train.fingerprint()


def test_no_two_phantoms_of_a_set_are_alike():
    data = load("phantom-skin", **FEW)
    parts = [*data.parts().values(), data.redraw(1).train, load("phantom-skin", **FEW, seed=1).train]
    pictures = [image.numpy().tobytes() for part in parts for image in part.images]
    assert len(set(pictures)) == len(pictures)


def test_redrawing_changes_the_training_images_only_and_can_be_pickled():
    data = load("phantom-skin", imbalance=3, **FEW)
    again = data.redraw(7)
    assert again.val is data.val and again.test is data.test
    assert again.train.counts.tolist() == data.train.counts.tolist()
    assert again.train.fingerprint() != data.train.fingerprint() != data.redraw(8).train.fingerprint()
    assert data.redraw(0).train.fingerprint() == data.train.fingerprint()
    thawed = pickle.loads(pickle.dumps(data.draw_train))
    assert thawed(7).fingerprint() == again.train.fingerprint()
    with pytest.raises(InvalidInputError, match="seed"):
        data.redraw(-1)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.9])
def test_label_noise_replaces_that_fraction_of_training_labels_and_no_image(fraction):
    clean, noisy = (load("phantom-skin", **FEW, **more) for more in ({}, {"label_noise": fraction}))
    assert torch.equal(clean.train.images, noisy.train.images)
    assert (clean.train.labels != noisy.train.labels).sum() == round(fraction * 36)
    assert noisy.val.fingerprint() == clean.val.fingerprint() and noisy.test.fingerprint() == clean.test.fingerprint()


def test_the_knobs_reach_the_phantoms():
    plain = load("phantom-skin", **FEW)
    larger = load("phantom-skin", lesion_size=1.5, **FEW)
    assert larger.test.masks.sum() > 1.4 * plain.test.masks.sum()
    without = load("phantom-skin", lesions=False, **FEW)
    assert torch.equal(without.test.masks, plain.test.masks) and not torch.equal(without.test.images, plain.test.images)
    for knob in ("contrast", "distractors"):
        assert load("phantom-skin", **FEW, **{knob: 0.2}).train.fingerprint() != plain.train.fingerprint()


@pytest.mark.parametrize(
    "arguments",
    [
        {"imbalance": 4, "counts": {"streaked": np.int64(5)}, "seed": 3, "label_noise": 0.1, **FEW},
        {"rare": "globular", "augmentation": "none", **FEW},
    ],
)
def test_the_recipe_makes_the_same_splits_again(arguments):
    data = load("phantom-skin", **arguments).redraw(2)
    recipe = json.loads(json.dumps(data.recipe))
    redraw = recipe.pop("redraw")
    again = load(recipe.pop("name"), **recipe.pop("options"), **recipe).redraw(redraw)
    assert again.fingerprint() == data.fingerprint()
    assert again.augmentation == data.augmentation


def test_a_folder_is_read_by_path_of_either_kind_and_its_place_is_not_recorded(folder, monkeypatch):
    for given in (folder, str(folder)):
        data = load(given, group="patient", rare="healthy")
        assert data.name == "mine" and data.classes == ("healthy", "ill") and data.rare == ("healthy",)
        assert str(folder.parent) not in json.dumps(data.recipe)
        assert data.recipe["options"] == {"group": "patient"} and data.augmentation == "upright"
        assert [len(part) for part in data.parts().values()] == [36, 12, 12]
    monkeypatch.chdir(folder.parent)
    assert load("mine").fingerprint() == load("./mine").fingerprint()


def test_a_known_name_wins_over_a_folder_of_that_name(folder, monkeypatch):
    folder.rename(folder.parent / "phantom-skin")
    monkeypatch.chdir(folder.parent)
    assert load("phantom-skin", **FEW).train.images.shape[1] == 3
    assert load("./phantom-skin").classes == ("healthy", "ill")


def test_options_choose_rows_and_the_group(folder):
    data = load(folder, device="A")
    assert {int(name.removesuffix(".png")) for part in data.parts().values() for name in part.ids} == set(range(30))
    assert data.train.grouped, "by the column that says patient"
    assert set(load(folder, group="patient").val.groups) == {str(i // 3) for i in range(60) if i // 6 % 5 == 3}


def test_real_images_are_thinned_by_imbalance_then_counts_in_training_only(folder):
    whole = load(folder)
    assert whole.draw_train is None and whole.redraw(3) is whole
    data = load(folder, imbalance=6)
    assert data.train.counts.tolist() == [18, 3]
    assert data.val.fingerprint() == whole.val.fingerprint() and data.test.fingerprint() == whole.test.fingerprint()
    assert load(folder, imbalance=6, counts={"healthy": 9}).train.counts.tolist() == [9, 3]
    assert load(folder, counts={"healthy": 2}).train.counts.tolist() == [2, 18]
    again = data.redraw(5)
    assert again.train.counts.tolist() == [18, 3] and again.train.ids.tolist() != data.train.ids.tolist()
    assert again.train.ids.tolist() == load(folder, imbalance=6, seed=5).train.ids.tolist()
    assert pickle.loads(pickle.dumps(data.draw_train))(5).fingerprint() == again.train.fingerprint()


def test_labels_of_few_images_and_the_recipe_that_makes_them_again(folder):
    data = load("phantom-chest", **FEW, labels=4, seed=3)
    assert len(data.train) == 12 and len(data.pool) == 36 and data.labels == 4
    again = load(data.recipe["name"], size=32, seed=3, **data.recipe["options"])
    assert again.fingerprint() == data.fingerprint()
    assert data.pool.fingerprint() == load("phantom-chest", **FEW, seed=3).train.fingerprint()
    marked = load("phantom-chest", **FEW, labels=4, shortcut="mark")
    assert marked.pool.marks is not None and marked.redraw(2).train.marks is not None
    own = load(folder, labels=5, imbalance=2)
    assert own.train.counts.tolist() == [5, 5] and own.pool.counts.tolist() == [18, 9]
    assert own.redraw(1).pool.counts.tolist() == [18, 9] and own.rare == load(folder, imbalance=2).rare


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("phantom-chest", {"labels": 0}), InvalidInputError, "labels=0"),
        (("phantom-skim",), UnknownNameError, "Did you mean 'phantom-skin'.*labels.csv"),
        (("./nowhere",), MissingDataError, "no folder"),
        ((3,), InvalidInputError, "a name or a path"),
        (("phantom-skin", {"seed": -1}), InvalidInputError, "seed"),
        (("phantom-skin", {"seed": 1.0}), InvalidInputError, "seed"),
        (("phantom-skin", {"seed": True}), InvalidInputError, "seed"),
        (("phantom-skin", {"imbalance": 0.5}), InvalidInputError, "imbalance"),
        (("phantom-skin", {"imbalance": float("nan")}), InvalidInputError, "imbalance"),
        (("phantom-skin", {"imbalance": "10"}), InvalidInputError, "imbalance"),
        (("phantom-skin", {"imbalance": 301}), InvalidInputError, "at most 300"),
        (("phantom-skin", {"size": 8}), InvalidInputError, "size=.* must be a whole number from 16 to 1024"),
        (("phantom-skin", {"size": 2000}), InvalidInputError, "size=.* must be a whole number from 16 to 1024"),
        (("phantom-skin", {"size": 64.0}), InvalidInputError, "size=.* must be a whole number from 16 to 1024"),
        (("phantom-skin", {"counts": {"streakd": 3}}), UnknownNameError, "Did you mean 'streaked'"),
        (("phantom-skin", {"counts": {"streaked": 0}}), InvalidInputError, "at least 1"),
        (("phantom-skin", {"counts": [3, 4]}), InvalidInputError, "must map"),
        (("phantom-skin", {"distractor": 1}), UnknownNameError, "Did you mean 'distractors'"),
        (("phantom-skin", {"largest": 0}), InvalidInputError, "largest"),
        (
            ("phantom-skin", {"val": 1.5}),
            InvalidInputError,
            "val=1.5 must be a whole number at least 1; it counts images",
        ),
        (("phantom-skin", {"label_noise": 1.0}), InvalidInputError, "label_noise"),
        (("phantom-skin", {"label_noise": float("nan")}), InvalidInputError, "label_noise"),
        (("phantom-skin", {"contrast": -1}), InvalidInputError, "contrast"),
        (("phantom-skin", {"root": "."}), InvalidInputError, "root="),
        (("phantom-skin", {"rare": "streakd", **FEW}), UnknownNameError, "Did you mean 'streaked'"),
        (("phantom-skin", {"augmentation": "uprigt", **FEW}), UnknownNameError, "Did you mean 'upright'"),
    ],
)
def test_mistakes_are_named(arguments, error, words):
    name, options = arguments[0], arguments[1] if len(arguments) > 1 else {}
    with pytest.raises(error, match=words) as raised:
        load(name, **options)
    assert isinstance(raised.value, CareeduError)


def test_an_unknown_option_of_a_folder_names_its_columns(folder):
    with pytest.raises(UnknownNameError, match="Did you mean 'device'"):
        load(folder, devise="A")
    with pytest.raises(InvalidInputError, match="root="):
        load(folder, root=folder.parent)


def test_available_names_everything_phantoms_first_without_torch():
    names = list(available())
    assert names[:3] == ["phantom-skin", "phantom-chest", "phantom-brain"]
    assert {"brain-tumor", "chest-xray-lesions", "pneumoniamnist", "dermamnist"} < set(names)
    code = "import sys; from careedu.data.load import available; available(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_load_is_public():
    assert careedu.load is load


def test_images_are_the_same_whatever_the_default_device():
    with torch.device("meta"):
        data = load("phantom-skin", **FEW)
    assert data.fingerprint() == load("phantom-skin", **FEW).fingerprint()


def overlaps(mask, others):
    """Intersection over union with each of the others."""
    return (mask & others).sum(dim=(1, 2)) / (mask | others).sum(dim=(1, 2))


@pytest.mark.parametrize(("each", "name"), [(2, "phantom-brain"), (4, "phantom-skin"), (8, "phantom-chest")])
def test_a_patient_has_several_images_of_one_lesion(each, name):
    data = load(name, imbalance=10, largest=30, val=8, test=9, images_per_patient=each)
    for part in (data.train, data.val, data.test, data.redraw(3).train):
        patients = {}
        for row, group in enumerate(part.groups.tolist()):
            patients.setdefault(group, []).append(row)
        of_class = Counter(part.labels[rows[0]].item() for rows in patients.values())
        for label, count in enumerate(part.labels.bincount().tolist()):
            assert of_class[label] == -(-count // each)  # the last one may have fewer
        others = part.masks[[rows[0] for rows in patients.values()]]
        for rows in patients.values():
            assert len(rows) <= each and len(part.labels[rows].unique()) == 1
            own = overlaps(part.masks[rows[0]], part.masks[rows])
            assert own.min() > max(0.5, overlaps(part.masks[rows[0]], others).mean())
            assert len(part.images[rows].unique(dim=0)) == len(rows)  # no two of them are the same picture
    assert data.train.labels.bincount().tolist()[0] == 30 and data.test.labels.bincount().tolist() == [9, 9, 9]
    groups = [set(part.groups) for part in (data.train, data.val, data.test)]
    assert len(set.union(*groups)) == sum(map(len, groups))


def test_one_image_a_patient_is_what_phantoms_were():
    plain, same = (load("phantom-brain", **FEW, **more) for more in ({}, {"images_per_patient": 1}))
    assert torch.equal(plain.train.images, same.train.images)
    assert plain.train.groups.tolist() == plain.train.ids.tolist()


@pytest.mark.parametrize("wrong", [0, 3, 16, 2.5, True, "2"])
def test_patients_that_do_not_fit_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="images_per_patient must be 1, 2, 4 or 8, not"):
        load("phantom-brain", images_per_patient=wrong)
