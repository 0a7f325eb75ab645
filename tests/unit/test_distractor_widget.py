"""The distractor viewer without a screen: what it tells is what the record holds, and the record is the networks'."""

from __future__ import annotations

import html
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from made_up_distractors import (
    COUNTS,
    DATA,
    EPOCHS,
    GRID,
    IDS,
    LABELS,
    NAMES,
    PATCHES,
    SEEDS,
    SIZE,
    made_up_images,
    made_up_record,
)
from sklearn.metrics import confusion_matrix

import careedu
from careedu.errors import CheckpointError, InvalidInputError, UnknownNameError
from careedu.files import write_tensors
from careedu.methods.distractor import distractor_features, distractor_loss
from careedu.nn.backbones import build_model
from careedu.nn.maps import class_activation_map, normalize_map
from careedu.show import distractor_viewer, record_distractors
from careedu.show.distractor.records import MEASURES, DistractorRecord, look_alike_shares
from careedu.show.distractor.view import SAVED, DistractorView
from careedu.show.distractor.viewer import ANY, MAPS, DistractorViewer
from careedu.show.layered_picture import map_layer, outline_path
from careedu.training.batch import unit_range


@pytest.fixture(scope="module")
def record():
    return made_up_record()


@pytest.fixture
def view(record):
    return DistractorView(DistractorViewer(record, made_up_images()))


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


def tempting(record, side, epoch):
    """The likeliest wrong class of each image, in a loop."""
    found = []
    for row, label in zip(record.probabilities[side, EPOCHS.index(epoch)], LABELS, strict=True):
        found.append(max((c for c in range(3) if c != label), key=lambda c, row=row: row[c]))
    return np.array(found)


# The record


def test_a_saved_record_is_the_same(record, tmp_path):
    path = record.save(tmp_path / "folder" / "record.safetensors")
    back = DistractorRecord.load(path)
    for field in fields(record):
        mine, theirs = getattr(record, field.name), getattr(back, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype or field.name in ("ids", "groups")
        else:
            assert mine == theirs, field.name


def test_files_that_are_none_are_named(record, tmp_path):
    with pytest.raises(CheckpointError, match=r"no saved records of distractors in .*careedu.show.record_distractors"):
        DistractorRecord.load(tmp_path / "none.safetensors")
    with pytest.raises(InvalidInputError, match="name it so"):
        record.save(tmp_path / "record.npz")
    path = record.save(tmp_path / "record.safetensors")
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="damaged"):
        DistractorRecord.load(path)
    write_tensors(path, {"distances": record.distances}, {"names": list(NAMES)})
    with pytest.raises(CheckpointError, match="holds no records of distractors"):
        DistractorRecord.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("one",)}, r"probabilities must be \(1, 4, 30, 3\) for 1 networks, 4 epochs and 30 images"),
        ({"labels": LABELS[1:]}, "probabilities must be"),
        ({"distances": np.zeros((2, 4, 29))}, "distances must be"),
        ({"wrong_maps": np.zeros((2, 4, 30, GRID, GRID + 1))}, "wrong_maps must be"),
        ({"neurons": np.zeros((2, 4, 30, 2))}, "neurons must be"),
        ({"neuron_maps": np.zeros((2, 4, 30, 2, GRID, GRID))}, "neuron_maps must be"),
        ({"patch_labels": PATCHES[1:]}, "patch_labels must be"),
        ({"groups": IDS[1:]}, "groups must be"),
        ({"arms": NAMES}, "shares must be"),
        ({"data": DATA | {"classes": ["a", "b"]}}, "probabilities must be"),
    ],
)
def test_parts_that_do_not_fit_are_named(change, words):
    with pytest.raises(InvalidInputError, match=words):
        made_up_record(**change)


def test_means_over_seeds_and_images_are_those_of_the_shares(record):
    there = PATCHES >= 0
    for number, arm in enumerate(record.arms):
        for place, measure in enumerate(MEASURES):
            values = record.shares[number, :, there, place].astype(np.float64)
            found = record.estimate(arm, measure)
            assert found.estimate == pytest.approx(values.mean()) and found.low <= found.estimate <= found.high
            assert (found.seeds, found.groups) == (SEEDS, there.sum())
    rare = record.estimate("plain", "relevance", LABELS == 2)
    assert rare.estimate == pytest.approx(record.shares[0][:, there & (LABELS == 2), 0].astype(float).mean())
    apart = record.difference("plain", "relevance", "chance")
    assert apart.effect == pytest.approx(record.estimate("plain", "relevance").estimate - 0.25)
    assert apart.verdict == "better" and apart.low > 0.3
    assert record.difference("plain", "chance", "relevance").verdict == "worse"
    assert record.difference("distractor", "relevance", "chance").verdict == "no difference shown"
    for wrong in ({"arm": "nobody", "measure": "map"}, {"arm": "plain", "measure": "lesion"}):
        with pytest.raises(UnknownNameError):
            record.estimate(**wrong)
    with pytest.raises(InvalidInputError, match="has look-alikes"):
        record.estimate("plain", "map", PATCHES < 0)


def shares_by_loops(network, images):
    """`look_alike_shares`, one place of one image at a time."""
    with torch.no_grad():
        features = network.features(unit_range(images.images))
        logits, weight = network.head(network.pool(features)), network.head.weight.detach()
    _, k, h, w = features.shape
    high, wide = images.images.shape[2] // h, images.images.shape[3] // w
    found = np.full((len(features), 4), np.nan)
    for i, label in enumerate(images.labels.tolist()):
        if not images.marks[i].any():
            continue
        wrong = max((c for c in range(len(weight)) if c != label), key=lambda c, i=i: logits[i, c])
        sums = np.zeros((3, 2))
        evidence = np.array([[float(features[i, :, y, x] @ weight[wrong]) for x in range(w)] for y in range(h)])
        areas = []
        for y in range(h):
            for x in range(w):
                covered = float(images.marks[i, y * high : (y + 1) * high, x * wide : (x + 1) * wide].float().mean())
                speaks = [
                    sum(max(0.0, float(features[i, n, y, x] * weight[c, n])) for n in range(k)) for c in (wrong, label)
                ]
                values = speaks[0], max(0.0, evidence[y, x]), speaks[1]
                sums += [(value, value * covered) for value in values]
                areas.append(covered)
        chance = np.mean(areas)
        found[i] = *(part / whole if whole > 0 else chance for whole, part in sums), chance
    return found


def test_shares_on_look_alikes_are_those_of_loops():
    torch.manual_seed(3)
    images = made_up_images()[torch.tensor([0, 1, 2, 7, 30])]
    network = build_model("small", classes=3, channels=3).eval()
    found = look_alike_shares(network, images)
    np.testing.assert_allclose(found, shares_by_loops(network, images), atol=1e-5)
    assert np.isnan(found[(images.mark_labels < 0).numpy()]).all() and np.isfinite(found[1:4]).all()
    with torch.no_grad():
        network.head.weight.zero_()
    found = look_alike_shares(network, images)[1:4]
    np.testing.assert_allclose(found, found[:, [3, 3, 3, 3]])  # what speaks for nothing looks everywhere alike


@pytest.fixture(scope="module")
def trained():
    data = careedu.load("phantom-skin", look_alike=1, size=32, largest=24, val=6, test=8)
    methods = {"plain": careedu.CrossEntropy(), "aware": careedu.DistractorAware(warm_up=0.0)}
    options = {"epochs": 2, "device": "cpu", "probes": 0}
    arms = methods | {"control": careedu.DistractorAware(relevance="random")}
    results = careedu.compare(data, arms, seeds=2, progress=False, **options)
    return data, methods, options, results, record_distractors(results, methods, **options)


def test_a_record_is_that_of_the_trained_networks(trained):
    data, methods, _, results, found = trained
    test = data.test
    assert (found.names, found.epochs, found.arms) == (("plain", "aware"), (1, 2), ("plain", "aware", "control"))
    assert found.labels.tolist() == test.labels.tolist() and found.ids.tolist() == test.ids.tolist()
    assert found.patch_labels.tolist() == test.mark_labels.tolist()
    for number, name in enumerate(methods):
        run = results.runs[name][0]
        network = run.network()
        with torch.no_grad():
            features = network.features(unit_range(test.images))
            z = network.pool(features)
            logits, weight = network.head(z), network.head.weight.detach()
            z_d = distractor_features(features, weight, logits, test.labels)
        probabilities = logits.softmax(dim=1).numpy()
        np.testing.assert_allclose(found.probabilities[number, -1], probabilities, atol=1e-5)
        assert not np.allclose(found.probabilities[number, 0], probabilities, atol=1e-3), "an earlier epoch"
        distances = 1 - torch.cosine_similarity(z, z_d)
        np.testing.assert_allclose(found.distances[number, -1], distances, atol=1e-5)
        loss = float(distractor_loss(z, z_d, 0.5))
        assert np.maximum(0, 0.5 - found.distances[number, -1]).mean() == pytest.approx(loss, abs=1e-5)
        wrong = torch.from_numpy(found.tempting(name, 2))
        for kept, classes in ((found.true_maps, test.labels), (found.wrong_maps, wrong)):
            judge = normalize_map(class_activation_map(features, weight[classes])).numpy()
            np.testing.assert_allclose(kept[number, -1] / 255, judge, atol=0.5 / 255 + 1e-5)
        speaks = (features * weight[wrong][..., None, None]).clamp_min(0).numpy()
        mass = speaks.sum(axis=(2, 3))
        share = np.take_along_axis(mass, found.neurons[number, -1].astype(int), axis=1) / mass.sum(axis=1)[:, None]
        np.testing.assert_allclose(found.neuron_shares[number, -1], share, atol=1e-5)
        np.testing.assert_allclose(share, -np.sort(-mass, axis=1)[:, :3] / mass.sum(axis=1)[:, None], atol=1e-5)
        places = speaks.sum(axis=1)
        places /= places.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(found.relevance[number, -1] / 255, places, atol=0.5 / 255 + 1e-5)
        for seed in (0, 1):
            judge = look_alike_shares(results.runs[name][seed].network(), test)
            np.testing.assert_allclose(found.shares[number, seed], judge, atol=1e-3)


def test_what_cannot_be_recorded_is_named(trained):
    _, methods, options, results, _ = trained
    with pytest.raises(InvalidInputError, match="trained again gives other probabilities"):
        record_distractors(results, {"plain": methods["aware"]}, **options)


def test_the_viewer_draws_the_images_of_a_trained_record_again(trained):
    data, *_, found = trained
    view = DistractorView(DistractorViewer(found))
    view.state.task.join()
    assert torch.equal(view.state.images.images, data.test.images) and view.parts["note"].value == ""
    share, chance = view.state.on_look_alikes("A")
    kept = look_alike_shares(trained[3].runs["plain"][0].network(), data.test)[view.state.row]
    assert (share, chance) == (pytest.approx(kept[0], abs=0.01), pytest.approx(kept[3])) or np.isnan(kept).all()
    assert view.state.errors == []


# The state


def test_it_opens_on_the_most_tempted_image_after_the_last_epoch(record, view):
    state = view.state
    likely = record.probabilities[0, -1][np.arange(len(LABELS)), tempting(record, 0, 10)]
    assert state.row == likely.argmax() and state.members.tolist() == np.argsort(-likely, kind="stable").tolist()
    assert (state.method("A"), state.method("B")) == NAMES
    assert state.settings | {"a": "", "b": ""} == {
        "a": "",
        "b": "",
        "true": ANY,
        "predicted": ANY,
        "image": 1,
        "epoch": 10,
        "map": "distractor",
        "margin": 0.5,
    }
    assert DistractorViewer(made_up_record(data=DATA | {"rare": []})).settings["epoch"] == 10


@pytest.mark.parametrize("epoch", EPOCHS)
def test_what_is_told_is_what_the_record_holds(record, view, epoch):
    state, e = view.state, EPOCHS.index(epoch)
    state.set(epoch=epoch, image=7, margin=0.35)
    for n, side in enumerate("AB"):
        seen, row = state.seen[side], state.row
        probabilities, wrong = record.probabilities[n, e], tempting(record, n, epoch)
        np.testing.assert_array_equal(seen.probabilities, probabilities[row])
        assert (seen.predicted, seen.tempting) == (probabilities[row].argmax(), wrong[row])
        assert seen.look_alike == (wrong[row] == PATCHES[row] if PATCHES[row] >= 0 else None)
        assert seen.distances.tolist() == record.distances[n, :, row].tolist()
        assert seen.distance == seen.distances[e] and seen.loss == pytest.approx(max(0, 0.35 - seen.distance))
        assert seen.near == (record.distances[n, e] < 0.35).mean()
        there = PATCHES >= 0
        assert seen.tempted == (wrong[there] == PATCHES[there]).mean()
        assert seen.neurons.tolist() == record.neurons[n, e, row].tolist()
        np.testing.assert_array_equal(seen.shares, record.neuron_shares[n, e, row])
        np.testing.assert_array_equal(seen.confusion, confusion_matrix(LABELS, probabilities.argmax(axis=1)))
        np.testing.assert_allclose(state.mean_distances(side), record.distances[n].mean(axis=1), rtol=1e-6)


def test_each_map_is_that_of_the_record(record, view):
    state = view.state
    state.set(epoch=3, image=4)
    kept = [record.true_maps, record.wrong_maps, record.relevance, *np.moveaxis(record.neuron_maps, 3, 0)]
    for wanted, maps in zip(MAPS, kept, strict=True):
        state.set(map=wanted)
        for n, side in enumerate("AB"):
            np.testing.assert_array_equal(state.seen[side].map, maps[n, 1, state.row] / 255)
            assert panel(view, side)[1]["map"] == map_layer(state.seen[side].map, (SIZE, SIZE))["content"]


@pytest.mark.parametrize("epoch", [1, 10])
def test_cells_are_those_of_the_confusion_matrix_of_a(record, view, epoch):
    state = view.state
    state.set(a="distractor", b="plain", epoch=epoch, true="selten")
    for true in (ANY, *state.classes):
        for predicted in (ANY, *state.classes):
            state.set(true=true, predicted=predicted)
            chosen = record.probabilities[1, EPOCHS.index(epoch)].argmax(axis=1)
            wanted = [
                row
                for row in range(len(LABELS))
                if true in (ANY, state.classes[LABELS[row]]) and predicted in (ANY, state.classes[chosen[row]])
            ]
            if wanted:
                assert sorted(state.members.tolist()) == wanted and not state.empty
                likely = record.probabilities[1, -1][np.arange(len(LABELS)), tempting(record, 1, 10)]
                assert (np.diff(likely[state.members]) <= 0).all() and state.row == state.members[0]
            assert state.settings["image"] == 1


def test_cells_without_images_say_so_and_offer_others(record):
    sure = record.probabilities.copy()
    sure[:, -1] = np.eye(3)[np.where(LABELS == 1, 0, LABELS)]  # nobody is taken for the second class
    view = DistractorView(DistractorViewer(made_up_record(probabilities=sure), made_up_images()))
    view.state.set(true="dünn", predicted="mittel")
    assert view.state.empty and sorted(view.state.members) == list(range(COUNTS[0]))
    said = plain(view.parts["note"].value)
    assert said == "There are no images of dünn that A takes for mittel after epoch 10: others are shown."
    assert "1 of 14 others" in plain(view.parts["heading"].value)
    view.state.set(true="dünn", predicted="dünn")
    assert not view.state.empty and view.parts["note"].value == ""
    few = np.where(LABELS == 2, 1, LABELS)
    state = DistractorViewer(made_up_record(labels=few))
    state.set(true="selten")
    assert state.empty and len(state.members) == len(LABELS)


def test_another_epoch_or_network_keeps_the_image_while_it_is_in_the_cells(record, view):
    state = view.state
    state.set(true="dünn", image=5)
    row = state.row
    for change in ({"epoch": 1}, {"a": "distractor"}, {"b": "plain"}, {"margin": 1.0}, {"a": "plain", "epoch": 10}):
        state.set(**change)
        assert state.row == row and state.members[state.settings["image"] - 1] == row
    assert state.settings["image"] == 5
    state.set(predicted="dünn", epoch=1)
    left = [r for r in state.members if record.probabilities[0, -1, r].argmax() != 0]
    state.set(image=1 + state.members.tolist().index(left[0]))
    before = state.row
    state.set(epoch=10)
    assert state.row != before and state.row in state.members, "the next one, as this has left"
    state.set(image=99)
    assert state.settings["image"] == len(state.members)
    state.set(true=ANY)
    assert state.settings["image"] == 1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": "nobody"}, UnknownNameError, "unknown a 'nobody'"),
        ({"true": "dick"}, UnknownNameError, "unknown true 'dick'"),
        ({"epoch": 2}, UnknownNameError, "unknown epoch 2"),
        ({"map": "neuron 4"}, UnknownNameError, "unknown map 'neuron 4'"),
        ({"image": 0}, InvalidInputError, "image=0"),
        ({"margin": 2.1}, InvalidInputError, r"margin=2.1 must lie between 0 and 2"),
        ({"opacity": 1}, InvalidInputError, "no setting"),
    ],
)
def test_settings_that_cannot_be_are_named(view, change, error, words):
    before = dict(view.state.settings)
    with pytest.raises(error, match=words):
        view.state.set(**change)
    assert view.state.settings == before


# Images and look-alikes


def test_images_are_found_by_their_names_and_other_ones_refused(view):
    images = made_up_images()
    assert view.state.images.ids.tolist() == IDS.tolist()
    assert torch.equal(view.state.images.images[29], images.images[0])
    for other in (images[5:], images[:0], made_up_images()[torch.arange(len(images)).flip(0)][:20]):
        with pytest.raises(InvalidInputError, match="of the 30 that were recorded, such as"):
            DistractorViewer(made_up_record(), other)
    with pytest.raises(InvalidInputError, match="are of other classes"):
        DistractorViewer(made_up_record(labels=LABELS[::-1].copy()), images)


def test_the_share_of_a_map_on_look_alikes_is_counted_by_places(record, view):
    state = view.state
    carries = (PATCHES[state.members] >= 0).tolist()
    with_patch, without = 1 + carries.index(True), 1 + carries.index(False)
    state.set(image=with_patch)
    # Look-alikes cover the lower right quarter, as does the relevance of A; that of B is everywhere the same.
    assert state.on_look_alikes("A") == (1, 0.25) and state.on_look_alikes("B") == (0.25, 0.25)
    state.set(map="neuron 2")
    shown = record.neuron_maps[0, -1, state.row, 1].astype(float)
    assert state.on_look_alikes("A")[0] == pytest.approx(shown[2:, 2:].sum() / shown.sum())
    told = plain(panel(view, "A")[0]["notes"])
    assert f"this map {shown[2:, 2:].sum() / shown.sum():.0%} by chance 25%" in told
    state.set(image=without)
    assert np.isnan(state.on_look_alikes("A")).all()
    assert "this map not known by chance not known" in plain(panel(view, "A")[0]["notes"])
    assert "look-alikes: none" in panel(view, "A")[0]["alt"]


def test_where_nothing_speaks_for_the_wrong_class_that_is_said(view):
    view.state.set(image=1 + view.state.members.tolist().index(len(LABELS) - 2))
    assert "nothing in the features" not in panel(view, "B")[0]["caption"]
    view.state.set(image=1 + view.state.members.tolist().index(len(LABELS) - 1))
    assert panel(view, "B")[0]["caption"].startswith("nothing in the features speaks for")
    assert np.isnan(view.state.on_look_alikes("B")[0])
    view.state.set(map="wrong class")
    assert panel(view, "B")[0]["caption"].startswith("map of the evidence for")


def test_without_images_all_but_them_is_shown(record):
    view = DistractorView(DistractorViewer(record))
    view.state.task.join()
    assert "give it, DistractorViewer(images=...)" in plain(view.parts["note"].value)
    found, layers = panel(view, "A")
    assert layers["words"] == "image not on this machine" and layers["map"] != "" and layers["outline"] == ""
    assert np.isnan(view.state.on_look_alikes("A")).all() and view.state.errors == []
    assert len(alts(view.parts["measures"].value)) == 3 and "predicted: " in found["alt"]


def test_images_that_know_no_look_alikes_are_shown_without(record):
    images = made_up_images()
    images = type(images)(images.images, images.labels, images.classes, ids=images.ids)
    view = DistractorView(DistractorViewer(record, images))
    assert panel(view, "A")[1]["outline"] == "" and panel(view, "A")[1]["image"] != ""
    assert np.isnan(view.state.on_look_alikes("A")).all()


# The view


def test_every_control_changes_what_is_shown(view):
    state = view.state
    for setting, value, part in (
        ("a", "distractor", "pictures"),
        ("b", "plain", "measures"),
        ("true", "selten", "heading"),
        ("predicted", "mittel", "measures"),
        ("true", ANY, "pictures"),
        ("predicted", ANY, "heading"),
        ("image", 3, "pictures"),
        ("epoch", 3, "measures"),
        ("map", "neuron 3", "pictures"),
        ("margin", 0.7, "verdict"),
        ("margin", 0.75, "measures"),
    ):
        before = view.parts[part].value
        view.controls[setting].value = value
        assert view.parts[part].value != before, f"{setting} changed nothing in {part}"
        assert state.settings[setting] == value and not view.controls[setting].disabled
    assert state.errors == []
    assert {name: control.value for name, control in view.controls.items()} == state.settings


def test_pictures_have_outlines_of_lesion_and_look_alike_and_words(view):
    state = view.state
    state.set(image=next(i for i, r in enumerate(state.members, 1) if PATCHES[r] >= 0))
    mask, mark = np.zeros((2, SIZE, SIZE), dtype=bool)
    mask[:16, :16] = mark[16:, 16:] = True
    for n, side in enumerate("AB"):
        found, layers = panel(view, side)
        assert list(layers) == ["image", "map", "outline"] and "" not in layers.values()
        lesion, look_alike = layers["outline"].split("</svg>")[:2]
        assert outline_path(mask) in lesion and outline_path(mark) in look_alike
        assert lesion.count("<path") == 2 and look_alike.count("<path") == 3, "one line, and a double one"
        seen, names = state.seen[side], state.classes
        for words in (
            f"{side}, {NAMES[n]}: image {state.image_id}, true class {state.true_class}",
            f"look-alikes of {names[state.look_alike]}; what speaks for {names[seen.tempting]} in all neurons",
            f"tempting: {names[seen.tempting]} {seen.probabilities[seen.tempting]:.0%}",
            f"look-alikes: {'✓ the same' if seen.look_alike else '✗ ' + names[state.look_alike]}",
            f"max(0, 0.5 − d): {seen.loss:.2f}",
        ):
            assert words in found["alt"]
        shares = " ".join(f"neuron {k} {s:.0%}" for k, s in zip(seen.neurons, seen.shares, strict=True))
        assert shares in plain(found["notes"])
    assert "lesion" in plain(view.parts["key"].value) and "look-alike" in plain(view.parts["key"].value)


def test_the_shown_neuron_is_in_bold(view):
    def bold():
        return re.findall(r"font-weight:bold\"><span[^>]*>(neuron \d+)", panel(view, "A")[0]["notes"])

    assert bold() == []
    for place in range(3):
        view.state.set(map=f"neuron {place + 1}")
        neuron = f"neuron {view.state.seen['A'].neurons[place]}"
        assert bold() == [neuron] and panel(view, "A")[0]["caption"].endswith(f"in {neuron}")


@pytest.mark.parametrize(
    ("true", "predicted", "frame"),
    [
        (ANY, ANY, (74, 18, 132, 132)),
        ("mittel", ANY, (74, 62, 132, 44)),
        (ANY, "selten", (162, 18, 44, 132)),
        ("selten", "mittel", (118, 106, 44, 44)),
    ],
)
def test_both_matrices_are_drawn_with_the_chosen_cells_framed(view, true, predicted, frame):
    view.state.set(true=true, predicted=predicted)
    drawn = view.parts["measures"].value
    x, y, width, height = frame
    assert drawn.count(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5"') == 2
    for n, side in enumerate("AB"):
        seen, (alt,) = view.state.seen[side], [a for a in alts(drawn) if a.startswith(f"Confusion matrix of {side}")]
        assert f"of {side}, {NAMES[n]}, after epoch 10" in alt
        for name, row in zip(view.state.classes, seen.confusion.tolist(), strict=True):
            assert f"{name} {', '.join(map(str, row))}" in alt


def test_the_course_is_drawn_and_told(record, view):
    view.state.set(epoch=6, margin=0.4)
    drawn = view.parts["measures"].value
    (alt,) = [a for a in alts(drawn) if a.startswith("Distance to the distractor")]
    assert "after epochs 1, 3, 6, 10; epoch 6 marked, margin 0.4: A " in alt
    lines = re.findall(r'<polyline points="([^"]*)"', drawn)
    assert len(lines) == 4
    for n, (side, line) in enumerate(zip("AB", lines[::2], strict=True)):
        values = record.distances[n, :, view.state.row]
        places = [f"{14 + 346 * (e - 1) / 9:.1f},{150 - 120 * v:.1f}" for e, v in zip(EPOCHS, values, strict=True)]
        assert line.split() == places
        assert f"{side} {', '.join(f'{v:.2f}' for v in values)} (mean of all images " in alt
    assert 'stroke-dasharray="3 3"' in drawn and f"M14.0 {150 - 120 * 0.4:.1f}L360.0" in drawn
    view.state.set(margin=1.6)
    assert f"M14.0 {150 - 60 * 1.6:.1f}L360.0" in view.parts["measures"].value, "the axis goes to 2"


def test_one_epoch_is_enough(record):
    once = {name: getattr(record, name)[:, :1] for name in (f.name for f in fields(record)) if name in PER_EPOCH}
    view = DistractorView(DistractorViewer(made_up_record(epochs=(5,), **once), made_up_images()))
    assert view.controls["epoch"].disabled and "after epochs 5; epoch 5" in alts(view.parts["measures"].value)[2]


PER_EPOCH = (
    *("probabilities", "distances", "true_maps", "wrong_maps", "relevance"),
    *("neurons", "neuron_shares", "neuron_maps"),
)


def test_the_verdict_says_no_more_than_was_measured(record, view):
    a, b = (plain(one) for one in view.parts["verdict"].value.split("</div>")[:2])
    assert a.startswith(
        f"A, after epoch 10: {view.state.seen['A'].near:.0%} of the images are nearer than 0.5; the look"
    )
    assert f"look-alikes' class tempts in {view.state.seen['A'].tempted:.0%} (at random 50%)" in a
    assert f"8 seeds: {record.estimate('plain', 'relevance')} of the distractor lies on look-alikes, by chance" in a
    assert a.endswith("by chance 0.25: more than chance.") and b.endswith("no difference shown.")
    few = DistractorView(DistractorViewer(made_up_record(seeds=1), made_up_images()))
    assert "1 seed: " in plain(few.parts["verdict"].value) and "too few seeds" in plain(few.parts["verdict"].value)
    none = made_up_record(arms=("x", "y", "z"))
    assert "was not measured over seeds" in plain(distractor_viewer(none, made_up_images()).parts["verdict"].value)
    bare = made_up_record(patch_labels=np.full(len(LABELS), -1))
    said = plain(distractor_viewer(bare, made_up_images()).parts["verdict"].value)
    assert "was not measured over seeds" in said and "tempts" not in said


def test_names_are_not_read_as_html():
    data = DATA | {"name": "<i>set", "classes": ["<u>a", "b&", "c"], "rare": ["<u>a"]}
    ids = np.array([f"<s>{i}" for i in range(len(LABELS))])
    view = distractor_viewer(made_up_record(names=("<b>one", "two&"), data=data, ids=ids))
    view.state.task.join()
    view.state.set(true="<u>a")
    texts = "\n".join(part.value for name, part in view.parts.items() if name != "pictures")
    texts += "".join(one["title"] + one["notes"] for one in view.parts["pictures"].value)
    for raw in ("<b>one", "<i>set", "<u>a", "<s>"):
        assert raw not in texts and html.escape(raw) in texts


def test_an_error_is_shown_recorded_and_raised(view, monkeypatch):
    monkeypatch.setattr(view.state, "_see", lambda side: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        view.controls["image"].value = 2
    assert "division by zero" in view.message.value and 'role="alert"' in view.message.value
    assert len(view.state.errors) == 1
    view.state.errors.clear()


# Opening


def test_it_opens_on_a_file_and_on_the_one_that_comes_with_careedu(record, tmp_path, monkeypatch):
    path = record.save(tmp_path / f"{SAVED}.safetensors")
    assert distractor_viewer(path, made_up_images()).state.distractors.names == NAMES
    monkeypatch.setattr("careedu.show.record_file.shipped", lambda what: tmp_path)
    view = distractor_viewer(images=made_up_images())
    assert view.state.images is not None and view.parts["note"].value == ""
    with pytest.raises(CheckpointError, match="no saved records of distractors in 'other'"):
        distractor_viewer("other")
