"""Where the networks of a comparison look: what may be said of it, and that it is saved and opened with the results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import CLASSES, made_up_attention, made_up_runs, mark_every_third

from careedu.errors import CheckpointError, InvalidInputError, UnknownNameError
from careedu.experiment.attention import MARK_MEASURES, MEASURES
from careedu.experiment.attention_results import AttentionResults
from careedu.experiment.results import Results
from careedu.files import write_tensors
from careedu.measure import statistics
from careedu.measure.crossed import spread_of_images
from careedu.show.report.facts import marks

SHIPPED = Path(__file__).parents[2] / "data" / "runs"


def made(marks=True, seeds=7, **options) -> Results:
    results = Results(mark_every_third(made_up_runs(seeds=seeds, **options)) if marks else made_up_runs(seeds=seeds))
    results.attention = made_up_attention(results)
    return results


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(first: AttentionResults, second: AttentionResults) -> bool:
    assert first.methods == second.methods and first.classes == second.classes
    for method, measures in first.values.items():
        assert measures.keys() == second.values[method].keys()
        for measure, values in measures.items():
            np.testing.assert_array_equal(values, second.values[method][measure])
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.groups, second.groups)
    return True


# What may be said


@settings(max_examples=20, deadline=None)
@given(measure=st.sampled_from(MARK_MEASURES), label=st.sampled_from([None, *CLASSES]))
def test_measures_of_the_mark_are_means_over_marked_images(measure, label):
    results = made()
    rows = results.marked & (True if label is None else results.labels == CLASSES.index(label))
    values = {method: measures[measure][:, rows] for method, measures in results.attention.values.items()}
    groups = results.groups[rows]
    found = results.attention.estimate("focal", measure, label)
    assert found == statistics.estimate_of(spread_of_images(values["focal"], groups))
    np.testing.assert_allclose(found.estimate, values["focal"].mean())
    spreads = [spread_of_images(values[name], groups) for name in ("focal", "cross-entropy")]
    difference = results.attention.difference("focal", "cross-entropy", measure, label)
    assert difference == statistics.difference_of(measure, *spreads)


def test_less_of_the_map_on_the_mark_is_better():
    attention = made().attention
    attention.values["focal"]["mark share"] -= 0.3
    assert attention.difference("focal", "cross-entropy", "mark share").verdict == "better"
    attention.values["focal"]["inside share"] -= 0.3
    assert attention.difference("focal", "cross-entropy", "inside share").verdict == "worse"


def test_the_table_has_the_mark_where_an_image_carries_one():
    results = made()
    table = results.attention.table("selten")
    assert list(table.columns) == [*MEASURES, *MARK_MEASURES]
    assert table.loc["focal", "mark share"] == str(results.attention.estimate("focal", "mark share", "selten"))
    assert table.loc["focal", "mark chance"] == "0.03"
    for measures in results.attention.values.values():
        for measure in MARK_MEASURES:
            measures[measure][:, results.labels == 2] = np.nan
    assert list(results.attention.table("selten").columns) == list(MEASURES)
    with pytest.raises(InvalidInputError, match="no image of that class carries a mark"):
        results.attention.estimate("focal", "mark share", "selten")
    assert list(made(marks=False).attention.table().columns) == list(MEASURES)


def test_where_no_lesion_is_known_the_table_has_the_mark_alone():
    results = made()
    for measures in results.attention.values.values():
        for measure in MEASURES:
            measures[measure][:] = np.nan
    assert list(results.attention.table().columns) == list(MARK_MEASURES)
    assert list(marks(results)["looks"]["of all classes"]["focal"]) == list(MARK_MEASURES)
    for measures in results.attention.values.values():
        for measure in MARK_MEASURES:
            measures[measure][:, results.labels == 2] = np.nan
    with pytest.raises(InvalidInputError, match="no image of that class has a lesion that is known"):
        results.attention.table("selten")
    with pytest.raises(UnknownNameError, match="Did you mean 'selten'"):
        results.attention.table("selte")
    results.attention = AttentionResults({}, results.labels, results.groups, results.classes)
    assert not results.attention.has("inside share")


def test_wrong_names_and_unknown_marks_are_said():
    attention = made(marks=False).attention
    with pytest.raises(InvalidInputError, match=r"'mark share'.*nothing is known of marks.*LesionDataset with marks"):
        attention.estimate("focal", "mark share")
    with pytest.raises(UnknownNameError, match="Did you mean 'mark share'"):
        attention.estimate("focal", "marks share")


# With its results


@pytest.mark.parametrize("marks", [True, False])
def test_it_is_saved_and_opened_with_its_results(marks, tmp_path):
    results = made(marks)
    folder = results.save(tmp_path / "r")
    back = Results.load(folder)
    assert same(results.attention, back.attention)
    assert same(results.attention, AttentionResults.load(folder))
    pandas.testing.assert_frame_equal(results.attention.table(), back.attention.table(), check_exact=True)
    assert same(results.attention, Results.load(back.save(tmp_path / "again")).attention)
    assert len(list(folder.iterdir())) == 2, "the record names all that is there, with digests"


def test_results_without_it_leave_nothing_of_older_ones(tmp_path):
    made().save(tmp_path / "r")
    plain = Results(made_up_runs(seeds=1))
    assert plain.attention is None
    plain.save(tmp_path / "r")
    assert Results.load(tmp_path / "r").attention is None
    with pytest.raises(CheckpointError, match=r"do not say where their networks look.*measure_attention"):
        AttentionResults.load(tmp_path / "r")


@pytest.mark.parametrize("other", ["images", "groups", "seeds", "method"])
def test_what_was_measured_elsewhere_does_not_belong(other):
    results = made()
    elsewhere = made(seeds=3 if other == "seeds" else 7, per_class=(9, 9, 9) if other == "images" else (30, 20, 10))
    attention = elsewhere.attention
    if other == "groups":
        attention.groups = np.roll(attention.groups, 1)
    if other == "method":
        attention.values["mine"] = attention.values.pop("focal")
    before = results.attention
    with pytest.raises(InvalidInputError, match=r"does not belong to these results.*results.data.test"):
        results.attention = attention
    assert results.attention is before
    results.attention = None
    assert results.attention is None


# What older careedus kept in a file beside


def beside(folder: Path, attention: AttentionResults) -> Path:
    """Results as they were saved before, with where they look in a file of its own."""
    record = folder / "results.json"
    text = json.loads(record.read_text())
    del text["attention"]
    shutil.copy(next(folder.glob("arrays-*")), folder / "arrays.safetensors")
    next(folder.glob("arrays-*")).unlink()
    record.write_text(json.dumps({key: part for key, part in text.items() if key != "files"} | {"format": 1}))
    arrays = {
        f"{k}/{measure}": measures[measure].astype(np.float16)
        for k, measures in enumerate(attention.values.values())
        for measure in MEASURES
    }
    state = {"methods": list(attention.values), "classes": list(CLASSES), "groups": attention.groups.tolist()}
    write_tensors(folder / "attention.safetensors", {**arrays, "labels": attention.labels}, state)
    return folder


def test_a_file_beside_older_results_opens_and_goes_into_the_next(tmp_path):
    results = made(marks=False)
    measured = results.attention
    results.attention = None
    folder = beside(results.save(tmp_path / "r"), measured)
    before = content(folder)
    opened = Results.load(folder)
    assert same(opened.attention, measured)
    assert same(AttentionResults.load(folder), measured)
    assert content(folder) == before
    opened.save(folder)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".safetensors"]
    assert same(Results.load(folder).attention, measured)


def test_a_file_left_beside_newer_results_is_none_of_theirs(tmp_path):
    results = made(marks=False)
    folder = beside(results.save(tmp_path / "r"), results.attention)
    left = (folder / "attention.safetensors").read_bytes()
    Results(made_up_runs(seeds=7)).save(folder)
    (folder / "attention.safetensors").write_bytes(left)  # as if the writer had been killed before it could tidy up
    assert Results.load(folder).attention is None


def test_a_file_beside_of_other_images_is_refused(tmp_path):
    results = made(marks=False)
    measured = made_up_attention(Results(made_up_runs(seeds=7, per_class=(10, 20, 30))))
    with pytest.raises(CheckpointError, match=r"attention\.safetensors was measured on other images"):
        Results.load(beside(results.save(tmp_path / "r"), measured))
