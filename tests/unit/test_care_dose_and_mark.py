"""The microscope's dose slider over saved runs, and what it shows of a mark that is no part of the disease."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_dataset, made_up_splits
from made_up_runs import CLASSES, made_up_run

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment.results import Results
from careedu.measure.map_quality import inside_share
from careedu.methods.care import alpha_of_dose
from careedu.show.care import AttentionMicroscope, AttentionView, drawings
from careedu.show.care.microscope import NEW, RECORDED, TEST, Look
from careedu.show.layered_picture import lesion_shape, mark_shape
from careedu.show.results_state import ALL

PROBES = np.array([0, 1, 30, 50, 51, 52])
CAST, CORNER, CLEAN = 50, 51, 52
"""Rows of the rare class: the whole image marked, its corner, and nothing."""


def arm(method="cross-entropy", probes=PROBES, **options):
    """A run with recorded maps, of CARE where there are options."""
    run = made_up_run(method, per_class=(30, 20, 10))
    chance = np.random.default_rng([len(method), round(100 * options.get("alpha", 0))])
    traces = {
        "probe maps": chance.integers(0, 256, (3, len(probes), 4, 4), dtype=np.uint8),
        "probe probabilities": chance.dirichlet([1, 1, 1], (3, len(probes))).astype(np.float32),
    }
    history = pandas.DataFrame({"stage": "features", "epoch": [1, 2, 3]})
    about = run.configuration["method"]
    if options:
        about = {"name": "care", "label": "CARE", "options": about["options"] | options, "revision": "9"}
    return replace(
        run, configuration=run.configuration | {"method": about}, traces=traces, probes=probes, history=history
    )


def care(dose, **options):
    return arm("care", **{"alpha": alpha_of_dose(dose), "averaging": "batch", "form": "inside-outside", **options})


def old(run):
    """The run as it was made before there were averages and forms to choose from."""
    method = run.configuration["method"]
    known = {name: value for name, value in method["options"].items() if name not in ("averaging", "form")}
    return replace(run, configuration=run.configuration | {"method": method | {"options": known}})


ARMS = {
    "logit adjustment": arm(),
    "CARE ×14": care(14),
    "CARE ×1": care(1),
    "old CARE": old(care(4)),
    "control": care(0),
    "CARE ×4": care(4),
    "shifted": care(4, boxes="shifted"),
    "energy": care(14, form="energy"),
    "boxed": care(14, averaging="boxed images"),
}


def images(marks=True):
    """The test images of `ARMS`, whose rare class is marked in three ways."""
    run, data = ARMS["control"], made_up_splits(test=60, size=32)
    marked = torch.zeros(60, 32, 32, dtype=torch.bool)
    marked[CORNER, 2:10, 3:9] = True
    marked[CAST] = True
    test = replace(
        data.test,
        labels=torch.from_numpy(run.labels),
        classes=CLASSES,
        ids=run.ids,
        groups=run.groups,
        marks=marked if marks else None,
    )
    train, val = (replace(part, classes=CLASSES) for part in (data.train, data.val))
    return replace(data, train=train, val=val, test=test, rare=("selten",))


def made(arms=tuple(ARMS), data=None, a=None, b=None, **options):
    results = Results({name: {0: ARMS[name]} for name in arms}, data=data or images())
    microscope = AttentionMicroscope(results, a, b, **options)
    microscope.load_images()
    return microscope


# ---- dose


def test_arms_that_are_alike_but_for_alpha_are_a_series_by_dose():
    microscope = made()
    assert microscope.doses == (0, 1, 4, 14)
    names = {}
    for dose in microscope.doses:
        microscope.set(dose=dose)
        names[dose] = microscope.settings["b"]
        assert microscope.settings["dose"] == dose and microscope.method("B") == names[dose]
    assert names == {0: "control", 1: "CARE ×1", 4: "CARE ×4", 14: "CARE ×14"}
    shown = microscope.seen["B"].map
    microscope.set(dose=0)
    assert not np.array_equal(microscope.seen["B"].map, shown)


def test_choosing_b_keeps_the_dose_in_step():
    microscope = made()
    for b, dose in {"CARE ×4": 4, "shifted": None, "control": 0, "old CARE": None, "CARE ×14": 14}.items():
        microscope.set(b=b)
        assert microscope.settings["dose"] == dose
    microscope.set(b="boxed")
    microscope.set(dose=1)
    assert microscope.settings["b"] == "CARE ×1", "from outside into the series"
    assert made(b="CARE ×4").settings["dose"] == 4 and made(b="energy").settings["dose"] is None


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        (["logit adjustment", "old CARE", "CARE ×1"], "one dose is no series"),
        (["CARE ×1", "shifted", "energy"], "they differ in more than their dose"),
        (["old CARE", "boxed"], "averaged over the boxed images alone"),
    ],
)
def test_where_there_is_no_series_there_is_no_dose(arms, why):
    microscope = made(arms)
    assert microscope.doses == () and "dose" not in microscope.settings, why
    assert "dose" not in AttentionView(microscope).controls
    with pytest.raises(InvalidInputError, match="no setting"):
        microscope.set(dose=1)


def test_doses_that_cannot_be_are_named():
    microscope = made(b="CARE ×1")
    before = dict(microscope.settings)
    for change, error, words in (
        ({"dose": 3}, UnknownNameError, "dose"),
        ({"dose": None}, UnknownNameError, "dose"),
        ({"dose": 4, "b": "control"}, InvalidInputError, "dose=4.* is not that of b='control'"),
        ({"b": "CARE ×2"}, UnknownNameError, "CARE ×1"),
    ):
        with pytest.raises(error, match=words):
            microscope.set(**change)
        assert microscope.settings == before
    microscope.set(dose=4, b="CARE ×4")
    assert microscope.settings["dose"] == 4


def test_the_slider_names_the_dose_and_moves_b():
    microscope = made(b="control")
    view = AttentionView(microscope)
    slider = view.controls["dose"]
    assert slider.description == "Dose of B" and not slider.disabled
    assert [label for label, _ in slider.options] == ["none", "dose 1", "dose 4", "dose 14"]
    before = view.parts["pictures"].value
    slider.value = 14.0
    assert view.controls["b"].value == microscope.settings["b"] == "CARE ×14"
    assert view.parts["pictures"].value != before
    view.controls["b"].value = "shifted"
    assert slider.label == "other method" and len(slider.options) == 5 and not slider.disabled
    slider.index = 2
    assert microscope.settings["b"] == "CARE ×1" and slider.label == "dose 1" and len(slider.options) == 4
    assert microscope.errors == []


def test_a_move_back_computes_no_region_and_no_outline_anew(monkeypatch):
    microscope = made()
    view = AttentionView(microscope)
    known = dict(microscope._known)
    microscope.set(dose=4)
    microscope.set(dose=14)
    new = [key for key in microscope._known if key not in known]
    assert new and {key[0] for key in new} == {"shares"}, "each dose's own shares, and nothing of the picture"
    monkeypatch.setattr(microscope, "_known", dict(microscope._known))
    before = dict(microscope._known)
    microscope.set(dose=4)
    assert microscope._known == before and view.controls["dose"].label == "dose 4"


# ---- mark


def test_it_opens_on_the_rarest_class_where_that_has_pictures():
    microscope = made()
    assert microscope.settings["source"] == RECORDED and microscope.settings["picture_of"] == "selten"
    assert microscope.members.tolist() == [50, 51, 52]
    of_common = {name: {0: replace(run, probes=PROBES % 50)} for name, run in ARMS.items()}
    assert AttentionMicroscope(Results(of_common)).settings["picture_of"] == ALL
    two_rare = {
        name: {0: replace(run, configuration=run.configuration | {"data": run.configuration["data"] | {"rare": rare}})}
        for rare in (["mittel", "selten"], ["selten", "mittel"])
        for name, run in {"plain": arm(), "other": arm()}.items()
    }
    assert AttentionMicroscope(Results(two_rare)).settings["picture_of"] == "selten", "the rarest of the rare"


def test_the_share_on_the_mark_is_measured():
    microscope = made()
    marks = microscope.tests.marks.numpy()
    for row, chance in {CORNER: 48 / 32**2, CAST: 1.0, CLEAN: 0.0}.items():
        microscope.set(picture=row - 49)
        assert microscope.row == row and microscope.mark_chance == chance
        for look in microscope.seen.values():
            expected = inside_share(look.map[None], marks[row : row + 1])[0]
            assert look.mark == pytest.approx(expected, nan_ok=True) and np.isnan(look.mark) == (row == CLEAN)
    microscope.set(picture_of=CLASSES[0])
    assert microscope.mark_chance == 0


def panel_of(view, name):
    return next(one for one in view.parts["pictures"].value if one["name"] == name)


def outline_of(view, name):
    return next(one["content"] for one in panel_of(view, name)["layers"] if one["kind"] == "outline")


def lesion_of(microscope):
    """Outline and box of the picture's lesion."""
    data, row = microscope.tests, microscope.row
    both = (None, data.masks[row].numpy()), (data.boxes[row].tolist(), None)
    return "".join(lesion_shape(*known, 32, 32) for known in both)


def words_of(view):
    """All that is read or read aloud."""
    pictures = view.parts["pictures"].value
    shown = [part.value for name, part in view.parts.items() if name != "pictures"]
    return html.unescape("\n".join([*shown, *(one["alt"] + one["notes"] for one in pictures)]))


def test_a_mark_has_an_outline_of_its_own_and_words():
    microscope = made()
    view = AttentionView(microscope)
    microscope.set(picture=CORNER - 49)
    mask = microscope.tests.marks[CORNER].numpy()
    for name in ("A", "wipe", "B"):
        assert outline_of(view, name).endswith(mark_shape(mask, 32, 32))
        assert outline_of(view, name).startswith(lesion_of(microscope))
    said = f"on the mark {microscope.seen['A'].mark:.2f}, by chance 0.05"
    assert said in panel_of(view, "A")["alt"] and said in html.unescape(panel_of(view, "A")["notes"])
    assert "with a mark" in panel_of(view, "wipe")["alt"] and "with a mark" in view.parts["heading"].value
    legend = panel_of(view, "wipe")["notes"]
    assert "double line" in legend and "lesion" in legend
    assert view.parts["pictures"].outlined == "the lesion and the mark"


def test_the_mark_is_told_from_the_lesion_without_colour():
    """A double line: a core of the darkest in a band of the lightest, where a lesion's line is single."""
    mask = np.zeros((8, 8), bool)
    mask[2:5, 2:5] = True
    widths = {
        kind: re.findall(r'stroke-width="([\d.]+)"', shape)
        for kind, shape in (("lesion", lesion_shape(None, mask, 8, 8)), ("mark", mark_shape(mask, 8, 8)))
    }
    assert len(widths["lesion"]) == 2 and len(widths["mark"]) == 3
    assert mark_shape(np.zeros((8, 8), bool), 8, 8) == mark_shape(np.ones((8, 8), bool), 8, 8) == ""


def test_a_cast_is_the_whole_image_and_has_no_outline():
    microscope = made()
    view = AttentionView(microscope)
    assert microscope.row == CAST
    assert outline_of(view, "A") == lesion_of(microscope)
    assert "mark is the whole image" in view.parts["heading"].value
    assert all("mark is the whole image" in panel_of(view, name)["alt"] for name in ("A", "wipe", "B"))
    assert ">the whole image<" in panel_of(view, "B")["notes"]
    microscope.set(picture=CLEAN - 49)
    assert "without a mark" in view.parts["heading"].value and ">no mark here<" in panel_of(view, "B")["notes"]


@pytest.mark.parametrize("marks", [None, torch.zeros(60, 32, 32, dtype=torch.bool)], ids=["unknown", "nowhere"])
def test_where_no_mark_is_known_nothing_is_said_of_marks(marks):
    data = images()
    microscope = made(data=replace(data, test=replace(data.test, marks=marks)))
    view = AttentionView(microscope)
    for picture in (1, 2, 3):
        microscope.set(picture=picture)
        assert np.isnan(microscope.mark_chance) and np.isnan(microscope.seen["A"].mark)
        assert not re.search(r"\bmark\b|double", words_of(view))
        assert outline_of(view, "A") == lesion_of(microscope)
    assert view.parts["pictures"].outlined == "the lesion"


def test_marks_are_those_of_the_source():
    trained = careedu.fit(made_up_splits(), "nearest-neighbour", progress=False)
    plain = made_up_dataset(6, 5)
    marked = replace(plain, marks=torch.ones(6, 32, 32, dtype=torch.bool) & (torch.arange(32) < 5))
    results = Results({"a": {0: trained}}, data=made_up_splits())
    microscope = AttentionMicroscope(results, images=marked)
    view = AttentionView(microscope)
    microscope.task.join()
    assert np.isnan(microscope.mark_chance) and microscope.settings["source"] == TEST
    microscope.set(source=NEW)
    assert microscope.mark_chance == 5 / 32 and view.parts["pictures"].outlined == "the lesion and the mark"
    assert "not known" in panel_of(view, "A")["notes"], "there is no map to be measured"
    microscope.set(source=TEST)
    assert np.isnan(microscope.mark_chance) and view.parts["pictures"].outlined == "the lesion"


@settings(max_examples=50, deadline=None)
@given(inside=st.floats(0, 1), mark=st.floats(0, 1), chance=st.floats(0, 1), on_mark=st.floats(0.01, 0.99))
def test_the_bar_of_the_mark_is_as_long_as_its_share_and_has_its_own_chance(inside, mark, chance, on_mark):
    look = Look(
        label=0, probabilities=np.full(3, 0.5), map=np.ones((2, 2)), about="", inside=inside, pointing=1.0, mark=mark
    )
    drawn = drawings.energy("A", "m", look, chance, on_mark)
    lengths = [float(w) for w in re.findall(r'<rect x="74" y="\d+" width="([\d.]+)"', drawn)]
    np.testing.assert_allclose(lengths, [138 * v for v in (inside, 1 - inside, chance, mark)], atol=0.06)
    ticks = [float(x) for x in re.findall(r'<path d="M([\d.]+) ', drawn)]
    np.testing.assert_allclose(ticks, [74 + 138 * on_mark, 74 + 138 * chance], atol=0.06)
    assert f"on the mark {mark:.2f}, by chance {on_mark:.2f}" in drawn
