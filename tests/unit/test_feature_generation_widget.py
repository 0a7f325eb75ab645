"""The feature explorer without a screen: what it tells is what record and results hold, and the record is the runs'."""

from __future__ import annotations

import html
import re
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from made_up_generation import (
    AMOUNTS,
    COUNTS,
    DATA,
    EPOCHS,
    IDS,
    LABELS,
    MADE_LABELS,
    NAMES,
    SIZE,
    TESTS,
    made_up_images,
    made_up_record,
    made_up_results,
)

import careedu
from careedu.errors import CheckpointError, InvalidInputError, MissingWeightsError, UnknownNameError
from careedu.measure.feature_quality import feature_quality, frechet_distance, near_copies
from careedu.methods.segmentation import Segmentation, regions, segment
from careedu.show import feature_explorer, record_generation
from careedu.show.compare import Comparison
from careedu.show.feature_generation import drawings
from careedu.show.feature_generation.explorer import FeatureExplorer
from careedu.show.feature_generation.records import FEWEST, MOST, GeneratedFeatures
from careedu.show.feature_generation.view import FeatureView
from careedu.show.results_state import ALL
from careedu.training.prediction import as_array, pooled_or_maps


@pytest.fixture(scope="module")
def record():
    return made_up_record()


@pytest.fixture(scope="module")
def by_amount():
    return made_up_results()


@pytest.fixture
def view(record, by_amount):
    return FeatureView(FeatureExplorer(record, by_amount, made_up_images()))


def alts(text):
    """What a screen reader says of the drawings in a text."""
    return [html.unescape(words) for words in re.findall(r'aria-label="([^"]*)"', text)]


def plain(value):
    """What a text says, without its marks."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", value).split()))


def panel(view, side):
    """One of the layered pictures, and what its layers hold."""
    found = next(one for one in view.parts["pictures"].value if one["name"] == side)
    return found, {layer["kind"]: layer["content"] for layer in found["layers"]}


# The record


def test_a_saved_record_is_the_same(record, tmp_path):
    back = GeneratedFeatures.load(record.save(tmp_path / "folder" / "record.safetensors"))
    for field in fields(record):
        mine, theirs = getattr(record, field.name), getattr(back, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype.kind == theirs.dtype.kind
        else:
            assert mine == theirs, field.name


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"no saved records of generated features .*careedu.show.record_generation"
    ):
        GeneratedFeatures.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("one",)}, r"made must be \(1, 3, 90, 6\) for 1 ways, 3 epochs and 90 generated features"),
        ({"epochs": (1, 2)}, "made must be"),
        ({"made_labels": MADE_LABELS[1:]}, "made must be"),
        ({"labels": LABELS[1:]}, "real must be"),
        ({"ids": IDS[1:]}, "ids must be"),
        ({"groups": IDS[1:]}, "groups must be"),
        ({"agreed": np.ones((2, 3, 5), dtype=bool)}, "agreed must be"),
        ({"quality": np.zeros((2, 3))}, "quality must be"),
        ({"floor": np.zeros(2)}, "floor must be"),
        ({"spread": np.zeros((2, 3))}, r"spread must be \(8, 3\)"),
        ({"found": np.zeros((TESTS, SIZE, 3), dtype=bool)}, "found must be"),
        ({"dice": np.zeros((8, 3))}, "dice must be"),
        ({"test_groups": IDS[:3]}, "test_groups must be"),
        ({"data": DATA | {"classes": ["a", "b"]}}, "quality must be"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change, words):
    with pytest.raises(InvalidInputError, match=words):
        made_up_record(**change)


def test_dice_has_an_interval_over_seeds_and_patients(record):
    found = record.dice_estimate()
    assert found.estimate == pytest.approx(record.dice.mean()) and found.low < found.estimate < found.high
    # One patient of whom all images are missed makes it wider, and seeds that differ do.
    missed = record.dice.copy()
    missed[:, :2] = 0
    wider = made_up_record(dice=missed).dice_estimate()
    assert wider.high - wider.low > 2 * (found.high - found.low)


@pytest.fixture(scope="module")
def trained():
    data = careedu.load("phantom-brain", size=32, largest=40, imbalance=10, val=6, test=8, images_per_patient=2)
    begin = {"pretrain": Segmentation(epochs=1), "generator_epochs": 5}
    methods = {
        name: careedu.FeatureGeneration(generator=name, **begin) for name in ("acgan", "wgan-gp", "smote", "gaussian")
    }
    options = {"epochs": 1, "device": "cpu", "probes": 0, "model": "unet"}
    results = careedu.compare(data, methods, seeds=2, progress=False, **options)
    return data, methods, options, results, record_generation(results, methods, looks=3, **options)


def test_a_record_is_that_of_the_trained_networks(trained):
    data, methods, _, results, found = trained
    train, counts = data.redraw(0).train, data.redraw(0).train.labels.bincount().numpy()
    assert (found.names, found.epochs) == (tuple(methods), (1, 2, 5))
    assert found.labels.tolist() == train.labels.tolist() and found.groups.tolist() == train.groups.tolist()
    assert np.bincount(found.made_labels).tolist() == np.clip(counts, FEWEST, MOST).tolist()
    for name in methods:
        real = as_array(pooled_or_maps(results.runs[name][0].network(), train.images, True))
        np.testing.assert_allclose(found.real.astype(np.float32), real, atol=0.01)
    table = results.runs["acgan"][0].pretraining
    assert len(table[table["stage"] == "generation"]) == 5
    acgan, smote = (found.of(name, 5) for name in ("acgan", "smote"))
    assert not np.allclose(found.of("acgan", 1), acgan, atol=0.01) and np.array_equal(found.of("smote", 1), smote)
    assert found.agreed[2:].all() and found.agreed[0].mean() < 1
    # What SMOTE makes lies between real ones of its class.
    for c in range(3):
        own = found.real[found.labels == c].astype(np.float32)
        made = smote[found.made_labels == c]
        assert (made >= own.min(axis=0) - 0.01).all() and (made <= own.max(axis=0) + 0.01).all()
        halves = [frechet_distance(own[::2], own[1::2]), frechet_distance(own[: len(own) // 2], own[len(own) // 2 :])]
        assert 0.3 * min(halves) < found.floor[0, c] < 3 * max(halves)
    assert found.quality.shape == (4, 4) and (found.quality[:, :3] > 0).all()
    for seed, spread in enumerate(found.spread):
        train = data.redraw(seed).train
        real = as_array(pooled_or_maps(results.runs["smote"][seed].network(), train.images, True))
        for c in range(3):
            own = real[train.labels == c]
            assert spread[c] == pytest.approx(own.var(axis=0).sum(), rel=1e-3)
            mean = np.tile(own.mean(axis=0), (len(own), 1))
            assert spread[c] == pytest.approx(frechet_distance(mean, own), rel=1e-3), "of a generator that collapsed"


def test_each_look_is_after_its_epoch(trained):
    _, methods, options, results, found = trained
    fewer = record_generation(results, {"acgan": methods["acgan"]}, looks=2, **options)
    assert fewer.epochs == (1, 5)
    for epoch in fewer.epochs:
        np.testing.assert_array_equal(fewer.of("acgan", epoch), found.of("acgan", epoch))


def test_the_segmentation_of_a_record_is_that_of_the_runs(trained):
    data, _, _, _, found = trained
    truth = data.test.masks.numpy()
    both, sizes = (found.found & truth).sum(axis=(1, 2)), (found.found.sum(axis=(1, 2)), truth.sum(axis=(1, 2)))
    np.testing.assert_allclose(found.dice[0], 2 * both / (sizes[0] + sizes[1]), atol=1e-6)
    assert found.dice.shape == (2, len(data.test)) and not np.array_equal(*found.dice)


def test_a_record_keeps_the_networks_of_the_first_seed(trained, tmp_path):
    data, _, _, _, kept = trained
    found = GeneratedFeatures.load(kept.save(tmp_path / "kept.safetensors"))
    assert found.weights.keys() == kept.weights.keys()
    assert {str(tensor.dtype) for own in found.weights.values() for tensor in own.values()} == {"float16"}
    before = torch.get_rng_state()
    networks = {name: found.network(name) for name in ("segmentation", "acgan", "wgan-gp")}
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(w.requires_grad or w.is_meta for network in networks.values() for w in network.state_dict().values())
    segmentation = partial(segment, networks.pop("segmentation"))
    assert (regions(segmentation, data.test.images).numpy() == found.found).mean() > 0.999
    wanted = torch.from_numpy(found.made_labels)
    for name, network in networks.items():
        same, other = (network.sample(wanted, torch.Generator().manual_seed(seed)).numpy() for seed in (0, 1))
        np.testing.assert_allclose(same, found.of(name, 5), atol=0.02)
        assert not np.allclose(other, found.of(name, 5), atol=0.02)
        assert network.sample(wanted[:3]).shape == (3, found.real.shape[1])


def test_networks_that_were_not_kept_are_named(trained, record):
    *_, found = trained
    with pytest.raises(MissingWeightsError, match=r"'smote' .*, only of .'acgan', 'segmentation', 'wgan-gp'"):
        found.network("smote")
    with pytest.raises(MissingWeightsError, match="no weights of 'segmentation' are in this record, only of "):
        record.network("segmentation")


def test_a_record_of_other_runs_is_refused(trained):
    _, methods, options, results, _ = trained
    with pytest.raises(InvalidInputError, match="'acgan', seed 0, trained again gives other probabilities"):
        record_generation(results, {"acgan": methods["smote"]}, **options)


# The state


def test_it_opens_on_the_rarest_class_after_the_last_epoch(view):
    state = view.state
    assert (state.method("A"), state.method("B")) == NAMES
    assert state.settings | {"a": "", "b": ""} == {
        "a": "",
        "b": "",
        "epoch": 9,
        "generated_of": "selten",
        "generated": 1,
        "amount": 1,
    }
    assert state.asked == "selten" and state.members.tolist() == np.flatnonzero(MADE_LABELS == 2).tolist()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_what_is_told_is_what_the_record_holds(record, view, by_amount, epoch):
    state = view.state
    state.set(epoch=epoch, generated_of="mittel", generated=7)
    real = record.real.astype(np.float32)
    own = real[LABELS == 1]
    between = np.sort(np.linalg.norm(own[:, None] - own[None], axis=2), axis=1)[:, 1]
    for n, (name, side) in enumerate(zip(NAMES, "AB", strict=True)):
        made, seen = record.made[n, EPOCHS.index(epoch)].astype(np.float32), state.seen[side]
        assert MADE_LABELS[state.chosen] == 1 and state.chosen == 30 + 6
        distances = np.linalg.norm(real - made[state.chosen], axis=1)
        assert seen.row == distances.argmin() and seen.same == (LABELS[seen.row] == 1)
        assert seen.distance == pytest.approx(distances.min(), abs=1e-4)
        assert seen.usual == pytest.approx(np.median(between), abs=1e-4)
        copies = near_copies(made[MADE_LABELS == 1], own)
        assert seen.copy == copies[6] and seen.copies == pytest.approx(copies.mean())
        assert seen.agreed.tolist() == record.agreed[n, EPOCHS.index(epoch)].tolist()
        if name == "ACGAN":
            table = by_amount[1].runs[name][0].pretraining
            assert seen.frechet == pytest.approx(table["Fréchet distance: mittel"].iloc[epoch])  # after one of masks
        else:
            assert seen.frechet == record.quality[1, 1]
            assert not len(state.course(name))


def test_the_plane_has_the_two_directions_in_which_real_features_vary_most(record, view):
    from sklearn.decomposition import PCA

    state, real = view.state, record.real.astype(np.float64)
    judge = PCA(2).fit(real)
    shown = judge.transform(real)
    signs = np.sign((shown * state.real).sum(axis=0))
    np.testing.assert_allclose(state.real * signs, shown, atol=1e-3)
    np.testing.assert_allclose(state.seen["A"].places * signs, judge.transform(record.of("ACGAN", 9)), atol=1e-2)


def test_copies_of_real_features_are_called_so(record, by_amount):
    made = record.made.copy()
    made[0, -1, MADE_LABELS == 2] = record.real[LABELS == 2][np.arange(30) % COUNTS[2]]
    view = FeatureView(FeatureExplorer(made_up_record(made=made), by_amount, made_up_images()))
    seen = view.state.seen["A"]
    assert seen.copy and seen.copies == 1 and seen.distance == 0 and seen.same
    assert "near copy: yes" in panel(view, "A")[0]["alt"] and "near copies of class: 100%" in panel(view, "A")[0]["alt"]
    # Half the way between two: no copy, but for the first, which is one itself.
    view.state.set(b="SMOTE", generated=2)
    assert not view.state.seen["B"].copy


def test_what_copies_a_feature_of_another_class_is_no_copy(by_amount):
    record = made_up_record()
    made = record.made.copy()
    made[0, -1, MADE_LABELS == 2] = record.real[0]
    seen = FeatureView(FeatureExplorer(made_up_record(made=made), by_amount, made_up_images())).state.seen["A"]
    assert seen.distance == 0 and not seen.same and not seen.copy and seen.copies == 0


def test_recalls_are_those_of_the_results_and_nothing_generated_is_amount_0(view, by_amount):
    metrics = ["recall of dünn", "recall of mittel", "recall of selten", "balanced accuracy"]
    for side, name in zip("AB", NAMES, strict=True):
        found = view.state.recalls(view.state.method(side))
        assert tuple(found) == (0, *AMOUNTS)
        assert found[0] == [by_amount[1].estimate("plain", metric) for metric in metrics]
        for amount in AMOUNTS:
            assert found[amount] == [by_amount[amount].estimate(name, metric) for metric in metrics]
    # Of the seeds that all have: where one amount has five, all others are of these five.
    few = dict(by_amount)
    few[2] = Comparison({name: {s: by_amount[2].runs[name][s] for s in range(5)} for name in NAMES})
    same = Comparison({name: {s: run[s] for s in range(5)} for name, run in by_amount[1].runs.items()})
    found = FeatureExplorer(made_up_record(), few, made_up_images()).recalls("ACGAN")
    assert [found[0][2], found[1][2]] == [same.estimate(name, metrics[2]) for name in ("plain", "ACGAN")]
    view.state.set(amount=2)
    (said,) = alts(view.parts["amounts"].value)
    for side in "AB":
        one, before = (view.state.recalls(view.state.method(side))[amount][2] for amount in (2, 0))
        assert f"recall of selten {side} {one}, +{one.estimate - before.estimate:.2f} against nothing" in said
    assert "amount 2 marked" in said
    view.state.set(amount=0)
    assert "against nothing" not in alts(view.parts["amounts"].value)[0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": "plain"}, UnknownNameError, "unknown a 'plain'"),
        ({"generated_of": "dick"}, UnknownNameError, "unknown generated_of 'dick'"),
        ({"epoch": 2}, UnknownNameError, "unknown epoch 2"),
        ({"amount": 0.75}, UnknownNameError, "unknown amount 0.75"),
        ({"generated": 0}, InvalidInputError, "generated=0"),
        ({"opacity": 1}, InvalidInputError, "no setting"),
    ],
)
def test_settings_that_cannot_be_are_named(view, change, error, words):
    before = dict(view.state.settings)
    with pytest.raises(error, match=words):
        view.state.set(**change)
    assert view.state.settings == before


def test_another_class_begins_with_its_first_feature(view):
    state = view.state
    state.set(generated=29)
    state.set(epoch=5)
    assert state.settings["generated"] == 29
    state.set(generated_of=ALL)
    assert (state.settings["generated"], state.chosen, state.asked) == (1, 0, "dünn")
    state.set(generated=1000)
    assert state.settings["generated"] == len(MADE_LABELS)


def test_results_that_do_not_fit_the_record_are_named(record, by_amount):
    with pytest.raises(InvalidInputError, match="results with amount 1 too"):
        FeatureExplorer(record, {2: by_amount[2]})
    with pytest.raises(UnknownNameError, match="way in the results with amount 2 'SMOTE'"):
        FeatureExplorer(record, {**by_amount, 2: made_up_results(("ACGAN", "Gaussian"), (2,))[2]})
    with pytest.raises(UnknownNameError, match="way in the results with amount 1 'plain'"):
        FeatureExplorer(record, {1: by_amount[2]})


def test_images_are_found_by_their_names_and_other_ones_refused(view, by_amount):
    images = made_up_images()
    assert view.state.images.ids.tolist() == IDS.tolist()
    with pytest.raises(InvalidInputError, match="of the 56 that were recorded, such as"):
        FeatureExplorer(made_up_record(), by_amount, images[5:])


# The view


def test_the_picture_is_the_training_image_next_to_the_feature(view):
    state = view.state
    state.set(b="SMOTE", generated=3)
    for side in "AB":
        found, layers = panel(view, side)
        row = state.seen[side].row
        assert layers["image"] == view.uri(row) and layers["outline"].count("<path") == 2
        assert f"nearest real: {IDS[row]}; of patient: größe-{row // 2}" in found["alt"]
        assert ("its class: ✓ selten" in found["alt"]) == (LABELS[row] == 2)
    assert (
        "discriminator: ✓ agrees" in panel(view, "A")[0]["alt"] and "discriminator: none" in panel(view, "B")[0]["alt"]
    )
    state.set(epoch=1, generated_of="dünn")
    assert "discriminator: ✗ another class" in panel(view, "A")[0]["alt"]
    state.set(generated=2)
    assert "discriminator: ✓ agrees" in panel(view, "A")[0]["alt"]


def test_the_planes_join_the_chosen_feature_with_the_real_one_next_to_it(view, record):
    state = view.state
    corners = drawings.extent(state.real)
    for side, drawn in zip("AB", view.parts["planes"].value.split("<svg role")[1:], strict=False):
        x, y = drawings.pixels(state.seen[side].places, corners)[state.chosen]
        u, v = drawings.pixels(state.real, corners)[state.seen[side].row]
        assert f"M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" in view.parts["planes"].value
        assert drawn
    said = alts(view.parts["planes"].value)
    assert [words[:12] for words in said] == ["Plane of A, ", "Plane of B, "]
    assert "56 real features as dots and 90 generated ones" in said[0]
    before = view.parts["planes"].value
    state.set(epoch=1)
    assert view.parts["planes"].value != before
    # Features far from all real ones stand at the edge.
    places = drawings.pixels(np.array([[1e6, -1e6]]), corners)
    assert places.tolist() == [[drawings.WIDE - 6, 6]]


def test_losses_and_distance_are_those_of_the_epoch(view, by_amount):
    table = by_amount[1].runs["ACGAN"][0].pretraining.iloc[1:]
    for epoch in EPOCHS:
        view.state.set(epoch=epoch)
        losses, distance = alts(view.parts["courses"].value)
        row = table.iloc[epoch - 1]
        d, g = row["loss: discriminator, source"], row["loss: generator, source"]
        assert losses.endswith(f"of A, ACGAN, after epoch {epoch} of 9: discriminator {d:.2f}, generator {g:.2f}.")
        assert f" {row['Fréchet distance: selten']:.2f}, floor (half as many) 2.50." in distance
        assert "B, SMOTE: no generator is trained. Fréchet distance of selten 3.0, floor 2.5." in plain(
            view.parts["courses"].value
        )


def test_a_name_cannot_break_the_page(by_amount):
    names = np.array([f"<u>{i}" for i in range(len(LABELS))])
    view = FeatureView(FeatureExplorer(made_up_record(ids=names), by_amount, made_up_images(names)))
    assert "&lt;u&gt;" in view.parts["planes"].value and "&lt;u&gt;" in panel(view, "A")[0]["notes"]
    assert not any("<u>" in part.value for name, part in view.parts.items() if name != "pictures")
    assert "<u>" not in panel(view, "A")[0]["notes"]


def test_it_opens_on_what_comes_with_careedu():
    view = feature_explorer()
    assert len(view.state.by_amount) == 4 and view.state.record_of.names[:2] == ("ACGAN", "WGAN-GP")
    with pytest.raises(CheckpointError, match="none of that name come with careedu"):
        feature_explorer("06-nobody/generated")


def test_quality_of_a_record_is_that_of_as_many_as_there_are_images(trained):
    data, _, _, results, found = trained
    last = results.runs["wgan-gp"][0].pretraining.iloc[-1]
    kept = dict(zip([*data.classes, "near copies"], found.quality[1], strict=True))
    # Other noise than in the history, and features of the same networks.
    for name in data.classes:
        assert 0.3 < kept[name] / last[f"Fréchet distance: {name}"] < 3
    real, made = found.real.astype(np.float32), found.of("gaussian", 5)
    few = np.concatenate([np.flatnonzero(found.made_labels == c)[: (found.labels == c).sum()] for c in range(3)])
    order = np.argsort(found.labels, kind="stable")
    judge = feature_quality(made[few], real[order], np.sort(found.labels), data.classes)
    np.testing.assert_allclose(found.quality[3, :3], [*judge.values()][:3], rtol=0.02)
    assert torch.is_tensor(data.test.images)
