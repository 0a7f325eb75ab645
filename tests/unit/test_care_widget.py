"""The attention microscope without a screen: its maps are the runs' own, and it says what it cannot show."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError, MissingDataError, UnknownNameError
from careedu.experiment.attention import attention_of
from careedu.measure.map_quality import inside_share
from careedu.nn.maps import resize_map
from careedu.show.care import drawings
from careedu.show.care.microscope import NEW, RECORDED, TEST, AttentionMicroscope, Look
from careedu.show.care.view import AttentionView
from careedu.show.compare import Comparison
from careedu.show.results_state import ALL
from careedu.show.view import ROOT

DATA = thinned(made_up_splits(), 2, 12)
UNSEEN = made_up_dataset(6, 77)


@pytest.fixture(scope="module")
def comparison():
    """Two trained methods of which the first keeps its weights, one longer than the other, and one without maps."""
    trained = careedu.fit(DATA, "cross-entropy", epochs=3, progress=False)
    short = replace(careedu.fit(DATA, "logit-adjusted", epochs=2, progress=False), weights=None)
    blind = careedu.fit(DATA, "nearest-neighbour", progress=False)
    return Comparison({"plain": {0: trained}, "adjusted": {0: short}, "neighbour": {0: blind}}, data=DATA)


@pytest.fixture
def microscope(comparison):
    microscope = AttentionMicroscope(comparison, images=UNSEEN)
    assert microscope.true_class == "bright", "it opens on the rare class"
    microscope.load_images()
    microscope.set(picture_of=ALL)
    return microscope


def shown(view):
    """All that the view shows, as text."""
    texts = [part.value for name, part in view.parts.items() if name != "pictures"]
    return "\n".join([*texts, *(picture["title"] + picture["notes"] for picture in view.parts["pictures"].value)])


def picture(view, name):
    """One of the layered pictures."""
    return next(one for one in view.parts["pictures"].value if one["name"] == name)


def layers(view, name, kind):
    """What a picture's layers of one kind hold."""
    return [layer["content"] for layer in picture(view, name)["layers"] if layer["kind"] == kind]


def labels_of(view):
    """What a screen reader says of the drawings."""
    drawn = [html.unescape(words) for words in re.findall(r'aria-label="([^"]*)"', shown(view))]
    return [*drawn, *(picture["alt"] for picture in view.parts["pictures"].value)]


def test_recorded_maps_are_those_of_each_epoch(microscope):
    run = microscope.results.runs["plain"][0]
    assert microscope.settings["source"] == RECORDED and microscope.members.tolist() == sorted(run.probes.tolist())
    for epoch in (1, 2, 3):
        microscope.set(epoch=epoch, picture=epoch + 1)
        p = run.probes.tolist().index(microscope.row)
        recorded = torch.from_numpy(run.traces["probe maps"][epoch - 1, p]).float()[None] / 255
        look = microscope.seen["A"]
        np.testing.assert_allclose(look.map, resize_map(recorded, (32, 32))[0], atol=1e-6)
        mask = DATA.test.masks[microscope.row].numpy()
        assert look.inside == pytest.approx(look.map[mask].sum() / look.map.sum())
        assert look.inside + look.outside == pytest.approx(1) and microscope.chance == mask.mean()
        assert look.shares[epoch - 1] == pytest.approx(look.inside) and len(look.shares) == 3
        own = run.traces["probe probabilities"][epoch - 1, p, run.labels[microscope.row]]
        assert look.probability == pytest.approx(own) and look.epoch == epoch
        assert microscope.seen["B"].epoch == min(epoch, 2), "the shorter training stays at its end"


def test_test_images_have_the_map_of_the_trained_network(microscope):
    run = microscope.results.runs["plain"][0]
    expected = attention_of(run, DATA.test)
    microscope.set(source=TEST)
    assert len(microscope.members) == len(DATA.test)
    for row in (0, 7, 59):
        microscope.set(picture=row + 1)
        look = microscope.seen["A"]
        whole = run.class_maps(DATA.test.images[row : row + 1], DATA.test.labels[row : row + 1])
        np.testing.assert_allclose(look.map, whole[0], atol=1e-6)
        assert look.inside == pytest.approx(expected["inside share"][row], abs=1e-5)
        assert look.pointing == expected["pointing"][row] and microscope.chance == expected["chance"][row]
        assert look.probability == run.probabilities[row, run.labels[row]]


def test_new_images_are_mapped_for_any_class(microscope):
    run = microscope.results.runs["plain"][0]
    microscope.set(source=NEW, picture=5)
    assert microscope.picture_id == str(UNSEEN.ids[4]) and microscope.label == int(UNSEEN.labels[4])
    with torch.inference_mode():
        logits = run.network()(UNSEEN.images[4:5].float() / 255)
    assert microscope.seen["A"].probability == pytest.approx(float(logits.softmax(1)[0, microscope.label]), abs=1e-5)
    maps = {}
    for c, name in enumerate(UNSEEN.classes):
        microscope.set(map_of=name)
        maps[c] = microscope.seen["A"].map
        np.testing.assert_allclose(maps[c], run.class_maps(UNSEEN.images[4:5], torch.tensor([c]))[0], atol=1e-6)
    microscope.set(map_of="true class")
    np.testing.assert_array_equal(microscope.seen["A"].map, maps[microscope.label])
    assert any(np.abs(maps[c] - maps[microscope.label]).max() > 0.1 for c in maps)


def test_another_source_begins_anew(microscope):
    microscope.set(source=TEST, picture=10, map_of="dim")
    microscope.set(source=RECORDED)
    assert (microscope.settings["picture"], microscope.settings["map_of"]) == (1, "true class")
    microscope.set(picture=10_000, epoch=10_000)
    assert microscope.settings["picture"] == len(microscope.members) and microscope.settings["epoch"] == 3
    microscope.set(a="adjusted", b="neighbour")
    assert microscope.settings["epoch"] == 2


def test_without_weights_it_says_so_and_shows_what_there_is(microscope):
    view = AttentionView(microscope)
    assert microscope.seen["B"].map is not None
    microscope.set(source=TEST, picture=6)
    look = microscope.seen["B"]
    assert look.map is None and "no weights of adjusted" in look.about and RECORDED in look.about
    assert look.probability == microscope.run("B").probabilities[5, microscope.label]
    assert "no weights of adjusted" in view.parts["note"].value and "not known" in picture(view, "B")["notes"]
    microscope.set(source=NEW)
    assert microscope.seen["B"].map is None and np.isnan(microscope.seen["B"].probability)
    microscope.set(source=RECORDED, b="neighbour")
    assert "no weights of neighbour, seed 0, and no maps either" in view.parts["note"].value
    microscope.set(source=TEST)
    assert "no maps either" in view.parts["note"].value
    assert microscope.errors == []


def test_it_begins_with_a_method_that_keeps_its_weights(comparison):
    assert AttentionMicroscope(comparison, a="neighbour").settings["b"] == "plain"
    assert AttentionMicroscope(comparison).settings["b"] == "adjusted"
    nothing = AttentionMicroscope(comparison, "neighbour", "neighbour")
    assert nothing.settings["source"] == TEST and nothing.seen["A"].map is None


@pytest.mark.parametrize("error", [MissingDataError("fetch them"), InvalidInputError("other images")])
def test_missing_images_leave_the_recorded_maps(comparison, monkeypatch, error):
    def data(self):
        raise error

    microscope = AttentionMicroscope(comparison)
    monkeypatch.setattr(Comparison, "data", property(data))
    view = AttentionView(microscope)
    microscope.task.join()
    assert str(error) in microscope.missing and str(error) in view.parts["note"].value
    assert microscope.seen["A"].map is not None and np.isnan(microscope.seen["A"].inside)
    assert view.parts["course"].value == "" and layers(view, "A", "words") == ["image not on this machine"]
    microscope.set(source=TEST)
    assert microscope.seen["A"].map is None and microscope.errors == []


def test_a_lesion_that_nobody_knows_is_not_measured(comparison):
    microscope = AttentionMicroscope(comparison, images=made_up_dataset(3, 5, lesions=False))
    view = AttentionView(microscope)
    microscope.set(source=NEW)
    assert np.isnan(microscope.seen["A"].inside) and np.isnan(microscope.chance)
    assert "is not known" in view.parts["note"].value and layers(view, "A", "outline") == [""]
    boxed = replace(made_up_dataset(3, 5), masks=None, has_mask=None)
    microscope = AttentionMicroscope(comparison, images=boxed)
    view = AttentionView(microscope)
    microscope.set(source=NEW)
    assert microscope.chance == 64 / 32**2 and "stroke-dasharray" in layers(view, "A", "outline")[0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": "plane"}, UnknownNameError, "plain"),
        ({"source": "tests"}, UnknownNameError, "test images"),
        ({"map_of": "dimm"}, UnknownNameError, "dim"),
        ({"map_of": "dim"}, InvalidInputError, "only the map of the true class"),
        ({"picture": 0}, InvalidInputError, "picture=0"),
        ({"picture_of": "dimm"}, UnknownNameError, "dim"),
        ({"epoch": 0}, InvalidInputError, "epoch=0"),
        ({"opacity": 1}, InvalidInputError, "no setting"),
    ],
)
def test_settings_that_cannot_be_are_named(microscope, change, error, words):
    before = dict(microscope.settings)
    with pytest.raises(error, match=words):
        microscope.set(**change)
    assert microscope.settings == before


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (made_up_dataset(3, 1, size=48), "as in training"),
        (made_up_dataset(3, 1, channels=3), "as in training"),
        (replace(made_up_dataset(3, 1), classes=("a", "b", "c")), "classes a, b, c"),
    ],
)
def test_images_that_do_not_fit_are_refused(comparison, images, words):
    with pytest.raises(InvalidInputError, match=words):
        AttentionMicroscope(comparison, images=images)
    with pytest.raises(UnknownNameError, match="new images"):
        AttentionMicroscope(comparison).set(source=NEW)


def test_every_control_changes_what_is_shown(microscope):
    view = AttentionView(microscope)
    microscope.set(epoch=1)
    moves = {
        "picture": (2, "pictures"),
        "epoch": (2, "course"),
        "b": ("neighbour", "note"),
        "source": (TEST, "heading"),
        "map_of": ("middling", "pictures"),
        "picture_of": ("middling", "heading"),
        "a": ("adjusted", "pictures"),
    }
    for setting, (value, part) in moves.items():
        before = view.parts[part].value
        view.controls[setting].value = value
        assert view.parts[part].value != before, f"{setting} changed nothing in {part}"
        assert microscope.settings[setting] == value
    assert microscope.errors == [] and moves.keys() == view.controls.keys()
    assert view.controls["epoch"].disabled and not view.controls["map_of"].disabled
    microscope.set(source=RECORDED, picture=3, epoch=2, a="plain")
    values = {name: control.value for name, control in view.controls.items()}
    assert values == microscope.settings and view.controls["map_of"].disabled


def test_drawings_say_in_words_what_they_show(microscope):
    view = AttentionView(microscope)
    look, chance = microscope.seen["A"], microscope.chance
    said = f"inside the lesion {look.inside:.2f}, outside {look.outside:.2f}, by chance {chance:.2f} inside"
    panels = [words for words in labels_of(view) if words.startswith(("A, plain", "Energy of A"))]
    assert len(panels) == 2 and all(said in words for words in panels)
    assert any(
        words.startswith("Left of the divider the map of A, plain and right of it B") for words in labels_of(view)
    )
    course = next(words for words in labels_of(view) if words.startswith("Share of the map inside"))
    assert ", ".join(f"{v:.2f}" for v in look.shares) in course
    assert shown(view).count("<circle") >= 3 and "<circle" not in picture(view, "B")["notes"], "told apart by shape"


def test_pictures_are_layers_whose_looks_the_page_changes(microscope):
    """No setting of the kernel has to do with opacity, wipe and outline."""
    view = AttentionView(microscope)
    for side in "AB":
        kinds = [(layer["kind"], layer["side"]) for layer in picture(view, side)["layers"]]
        assert kinds == [("image", ""), ("map", ""), ("outline", "")]
    wiped = [(layer["kind"], layer["side"]) for layer in picture(view, "wipe")["layers"]]
    assert wiped == [("image", ""), ("map", "A"), ("map", "B"), ("outline", "")]
    assert layers(view, "wipe", "map") == [*layers(view, "A", "map"), *layers(view, "B", "map")]
    assert view.parts["pictures"].outlined == "the lesion" and ROOT in view.widget._dom_classes


def test_it_maps_what_it_shows(microscope):
    microscope.set(source=TEST, picture_of="bright", picture=3, map_of="dim")
    view = AttentionView(microscope)
    assert "picture 3 of 20" in view.parts["heading"].value and "true class bright" in view.parts["heading"].value
    assert "the evidence for dim" in view.parts["heading"].value
    microscope.set(source=NEW, picture_of="dim", picture=2)
    assert microscope.picture_id == str(UNSEEN.ids[(UNSEEN.labels == 0).nonzero()[1, 0]])


@settings(max_examples=50, deadline=None)
@given(inside=st.floats(0, 1), chance=st.floats(0, 1), pointing=st.sampled_from([0.0, 0.25, 1.0]))
def test_bars_are_as_long_as_their_shares(inside, chance, pointing):
    look = Look(label=0, probabilities=np.full(3, 0.5), map=np.ones((2, 2)), about="", inside=inside, pointing=pointing)
    drawn = drawings.energy("A", "m", look, chance)
    lengths = [float(w) for w in re.findall(r'<rect x="62" y="\d+" width="([\d.]+)"', drawn)]
    np.testing.assert_allclose(lengths, [150 * inside, 150 * (1 - inside), 150 * chance], atol=0.06)
    assert {0.0: "beside the lesion", 0.25: "25% in the lesion", 1.0: "in the lesion"}[pointing] in drawn


def test_names_are_not_read_as_html(comparison):
    runs = {"<b>a&b": comparison.runs["plain"], 'c"d': comparison.runs["adjusted"]}
    view = AttentionView(AttentionMicroscope(Comparison(runs, data=DATA)))
    view.state.task.join()
    assert "<b>a&b" not in shown(view) and "&lt;b&gt;a&amp;b" in shown(view)
    assert any(words.startswith('B, c"d') for words in labels_of(view))


def test_a_box_counts_where_there_is_no_mask(microscope):
    microscope.set(picture=2)
    x0, y0, x1, y1 = DATA.test.boxes[microscope.row].int().tolist()
    look = microscope.seen["A"]
    assert look.inside == pytest.approx(look.map[y0:y1, x0:x1].sum() / look.map.sum())
    assert look.inside == pytest.approx(inside_share(look.map[None], DATA.test.boxes[microscope.row][None].numpy())[0])
