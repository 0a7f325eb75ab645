"""Runs that belong together, and what may be said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import CLASSES, made_up_run, made_up_runs
from metric_by_name import metric_value

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.experiment import configuration
from careedu.experiment.results import MAIN_METRICS, Results
from careedu.measure import statistics
from careedu.measure.metrics import METRICS, recall_per_class
from careedu.methods.imbalance import CrossEntropy, Focal
from careedu.show.compare import Comparison


@pytest.fixture(scope="module")
def results():
    return Results(made_up_runs(("focal", "cross-entropy", "class-balanced")))


# Whether runs belong together


@pytest.mark.parametrize("runs", [{}, {"a": {}}, {"a": {0: made_up_run()}, "b": {}}])
def test_no_runs_are_refused(runs):
    with pytest.raises(InvalidInputError, match="at least one"):
        Results(runs)


def test_missing_seeds_are_named():
    runs = made_up_runs(seeds=3)
    del runs["focal"][1]
    with pytest.raises(InvalidInputError, match=r"'focal' has seeds \[0, 2\], the first method \[0, 1, 2\]"):
        Results(runs)


@pytest.mark.parametrize("of", ["ids", "labels", "groups", "validation_labels", "classes", "rare"])
def test_other_images_or_classes_are_refused(of):
    runs = made_up_runs(seeds=2)
    odd = runs["focal"][1]
    if of in ("classes", "rare"):
        odd.configuration["data"][of] = list(odd.configuration["data"][of])[::-1] if of == "classes" else ["dünn"]
    else:
        setattr(odd, of, np.roll(getattr(odd, of), 1))
    with pytest.raises(InvalidInputError, match="'focal', seed 1, was measured on other"):
        Results(runs)


def test_an_unknown_reference_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'focal'"):
        Results(made_up_runs(seeds=1), reference="focla")


def test_unknown_methods_and_metrics_suggest_the_nearest(results):
    for call in (
        lambda: results.probabilities("cross-entropie"),
        lambda: results.estimate("cross-entropie", "AUROC"),
        lambda: results.difference("focal", "cross-entropie"),
        lambda: results.differences(reference="cross-entropie"),
        lambda: results.table(reference="cross-entropie"),
        lambda: results.save("nowhere", weights=["cross-entropie"]),
    ):
        with pytest.raises(UnknownNameError, match="Did you mean 'cross-entropy'"):
            call()
    for name, nearest in {
        "auroc": "AUROC",
        "recall of seltn": "recall of selten",
        "balanced": "balanced accuracy",
    }.items():
        with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
            results.estimate("focal", name)
        with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
            results.table([name])


def test_what_they_have_in_common(results):
    assert results.methods == ("focal", "cross-entropy", "class-balanced")
    assert results.seeds == tuple(range(8))
    assert results.classes == CLASSES
    assert results.rare == ("selten",)
    assert results.rare_indices == (2,)
    assert results.reference == "focal"
    assert repr(results) == "Results(3 methods × 8 seeds on mädé up)"
    assert results.probabilities("focal").shape == (8, 60, 3)


def test_seeds_of_numpy_are_seeds():
    runs = {"focal": {np.int64(s): made_up_run("focal", s) for s in range(2)}}
    assert [type(seed) for seed in Results(runs).seeds] == [int, int]


# The table


def test_the_table_has_the_same_bits_at_each_call_and_from_new_results(results):
    first = results.table()
    pandas.testing.assert_frame_equal(first, results.table(), check_exact=True)
    fresh = Results(made_up_runs(("focal", "cross-entropy", "class-balanced")))
    pandas.testing.assert_frame_equal(first, fresh.table(), check_exact=True)


def test_the_table_says_what_estimates_and_differences_say(results):
    table = results.table()
    assert list(table.index) == list(results.methods)
    metrics = [*(f"recall of {c}" for c in CLASSES), *MAIN_METRICS]
    assert list(table.columns.get_level_values(0).unique()) == metrics
    for metric in metrics:
        found = results.differences(metric)
        for name in results.methods:
            row, estimate = table.loc[name, metric], results.estimate(name, metric)
            assert (row["mean"], row["low"], row["high"]) == (estimate.estimate, estimate.low, estimate.high)
            if name == "focal":
                assert row["verdict"] == "reference"
                assert np.isnan(row["difference"])
            else:
                assert (row["difference"], row["p"]) == (found[name].effect, found[name].adjusted_p)
                assert row["verdict"] == found[name].verdict
    skilled = table.loc["class-balanced", "balanced accuracy"]
    assert skilled["verdict"] == "better"
    assert skilled["mean"] == pytest.approx(
        np.mean([run.balanced_accuracy() for run in results.runs["class-balanced"].values()]), abs=1e-12
    )


def test_p_values_are_adjusted_over_the_column(results):
    single = [results.difference(name, "focal").p for name in ("cross-entropy", "class-balanced")]
    family = [d.adjusted_p for d in results.differences().values()]
    np.testing.assert_array_equal(family, statistics.holm(single))
    assert results.difference("cross-entropy", "focal").adjusted_p == single[0]


def test_chosen_metrics_and_another_reference(results):
    table = results.table("accuracy", reference="class-balanced")
    assert list(table.columns.get_level_values(0).unique()) == ["accuracy"]
    assert table.loc["class-balanced", ("accuracy", "verdict")] == "reference"
    assert table.loc["focal", ("accuracy", "difference")] < 0
    assert (
        results.difference("focal", "class-balanced", "accuracy").effect
        == -results.difference("class-balanced", "focal", "accuracy").effect
    )


def test_a_single_method_has_nothing_to_be_compared_with():
    table = Results(made_up_runs(("focal",))).table()
    assert set(table.xs("verdict", axis=1, level=1).to_numpy().ravel()) == {"reference"}
    assert table["AUROC", "p"].isna().all()


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_too_few_seeds_allow_no_verdict(seeds):
    results = Results(made_up_runs(("focal", "class-balanced"), seeds=seeds))
    table = results.table()
    assert set(table.loc["class-balanced"].xs("verdict", level=1)) == {"too few seeds"}
    assert results.difference("class-balanced", "focal").verdict == "too few seeds"


def test_a_class_without_test_images_is_unknown_and_harms_nothing_else():
    results = Results(made_up_runs(seeds=6, per_class=(30, 20, 0)))
    table = results.table()
    for metric in ("recall of selten", "rare recall"):
        assert np.isnan(table.loc["focal", (metric, "mean")])
        assert (table.loc["focal", (metric, "low")], table.loc["focal", (metric, "high")]) == (0, 1)
        assert table.loc["focal", (metric, "verdict")] == "too few groups"
    assert np.isfinite(table["balanced accuracy", "mean"]).all()


def test_recalls_are_those_of_the_classes(results):
    found = [e.estimate for e in results.recalls("focal")]
    expected = np.mean([run.recall() for run in results.runs["focal"].values()], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


# What is older


def test_results_of_now_are_not_outdated(results):
    assert results.outdated() == []


def test_a_raised_revision_of_the_loop_is_told(monkeypatch, results):
    monkeypatch.setattr(configuration, "REVISION", 7)
    assert results.outdated() == ["the training loop is at revision 7, these runs were made with revision 1"]


def test_a_raised_revision_of_one_method_is_told(monkeypatch, results):
    monkeypatch.setattr(Focal, "revision", 3)
    assert results.outdated() == ["focal is at revision 3, its runs were made with revision 1"]


def test_a_raised_revision_of_a_method_inside_another_is_told(monkeypatch):
    results = Results(made_up_runs(("balanced-sampling",), seeds=1))
    monkeypatch.setattr(CrossEntropy, "revision", 2)
    assert results.outdated() == ["balanced-sampling is at revision 1.2, its runs were made with revision 1.1"]


def test_one_older_run_among_newer_ones_is_told():
    runs = made_up_runs(seeds=3)
    runs["focal"][2].configuration["revision"] = 0
    runs["focal"][1].configuration["method"]["revision"] = "0"
    assert Results(runs).outdated() == [
        "the training loop is at revision 1, these runs were made with revision 0 and 1",
        "focal is at revision 1, its runs were made with revision 0 and 1",
    ]


def test_a_method_of_ones_own_or_of_options_that_are_gone_is_told():
    runs = made_up_runs(("focal", "elsewhere"), seeds=1)
    runs["focal"][0].configuration["method"]["options"]["gone"] = 1
    runs["elsewhere"][0].configuration["method"]["own classes"] = {"elsewhere": "__main__:Mine"}
    first, second = Results(runs).outdated()
    assert first.startswith("focal cannot be made any more as it was for its runs: unknown option of method 'focal'")
    assert "'elsewhere' of this run is the class Mine of the module __main__" in second and "run the cell" in second


@pytest.mark.parametrize(
    "record",
    [
        {"options": {"gamma": {"method": [1]}}},
        {"options": {"name": "x"}},
        {"options": {"gamma": {"method": "focal", "name": "x"}}},
        {"own classes": []},
        {"own classes": {"a": 3}},
    ],
)
def test_a_method_that_is_none_is_a_line(record, results):
    results.first.configuration["method"].update(record)
    [line] = results.outdated()
    assert "cannot be made any more" in line


# With and without a mark


def marked_runs(methods=("focal", "cross-entropy"), seeds=7, marked=None, **options):
    """Runs of which it is known that each third test image carries a mark, or what `marked` says."""
    runs = made_up_runs(methods, seeds, **options)
    for run in (run for by_seed in runs.values() for run in by_seed.values()):
        run.marked = np.arange(len(run.labels)) % 3 == 0 if marked is None else np.array(marked, dtype=bool)
    return runs


def by_hand(metric, run, rows):
    """A metric of `careedu.measure.metrics` on these rows of a run."""
    probabilities, labels = run.probabilities.astype(np.float32).astype(np.float64)[rows], run.labels[rows]
    if metric.startswith("recall of "):
        return recall_per_class(probabilities, labels)[CLASSES.index(metric.removeprefix("recall of "))]
    return metric_value(metric, probabilities, labels, [2])


NAMES = [*METRICS, *(f"recall of {label}" for label in CLASSES)]


@settings(max_examples=15, deadline=None)
@given(marked=st.lists(st.booleans(), min_size=22, max_size=22), metric=st.sampled_from(NAMES))
def test_a_metric_of_a_part_is_that_of_its_images_alone(marked, metric):
    results = Results(marked_runs(seeds=2, per_class=(10, 7, 5), marked=marked))
    for part, rows in {" with mark": results.marked, " without mark": ~results.marked}.items():
        classes = {"rare recall": [2]} | {f"recall of {label}": [c] for c, label in enumerate(CLASSES)}
        if not np.isin(results.labels[rows], classes.get(metric, [0, 1, 2])).any():
            with pytest.raises(InvalidInputError, match=f"no test image{part} of .*recalls_by_mark"):
                results.estimate("focal", metric + part)
            continue
        expected = [by_hand(metric, run, rows) for run in results.runs["focal"].values()]
        np.testing.assert_allclose(results.values_per_seed("focal", metric + part), expected, atol=1e-12)
        estimate = results.estimate("focal", metric + part)
        np.testing.assert_allclose(estimate.estimate, np.mean(expected), atol=1e-12)
        arguments = [results.probabilities("focal")[:, rows], results.labels[rows], results.groups[rows], [2]]
        name = metric if metric in METRICS else f"recall of class {CLASSES.index(metric.removeprefix('recall of '))}"
        assert str(estimate) == str(statistics.estimate(name, *arguments))
        run, own = results.first, ("probabilities", "labels", "groups", "ids")
        alone = replace(run, **{array: getattr(run, array)[rows] for array in own}, marked=None)
        np.testing.assert_array_equal(run.interval(metric + part), alone.interval(metric))


def test_differences_tables_and_summaries_take_parts():
    results = Comparison(marked_runs(("focal", "cross-entropy", "class-balanced")))
    rows = ~results.marked
    sides = [results.probabilities(name)[:, rows] for name in ("class-balanced", "focal")]
    expected = statistics.difference("rare recall", *sides, results.labels[rows], results.groups[rows], [2])
    found = results.difference("class-balanced", "focal", "rare recall without mark")
    assert found == replace(expected, metric="rare recall without mark")
    table = results.table(["rare recall without mark", "calibration error with mark"])
    assert table.loc["class-balanced", ("rare recall without mark", "difference")] == found.effect
    assert results.summary(["rare recall without mark"]).loc["focal", "rare recall without mark"].startswith("0.")
    # Nothing of the whole test set has changed.
    whole = Results(made_up_runs(("focal", "cross-entropy", "class-balanced"), 7))
    pandas.testing.assert_frame_equal(results.table(), whole.table(), check_exact=True)


@pytest.mark.parametrize("part", ["", " with mark", " without mark"])
def test_of_the_calibration_error_less_is_better_in_each_part(part):
    values = {"effect": -0.2, "low": -0.3, "high": -0.1, "p": 0.01, "seeds": 10, "smallest": 0.1}
    assert statistics.Difference(f"calibration error{part}", **values).verdict == "better"
    assert statistics.Difference(f"rare recall{part}", **values).verdict == "worse"


def test_recalls_by_mark_and_the_worst_group():
    results = Results(marked_runs())
    table = results.recalls_by_mark("focal")
    assert list(table.index) == [(label, mark) for label in CLASSES for mark in ("with mark", "without mark")]
    assert table["n"].tolist() == [10, 20, 7, 13, 3, 7]
    for (label, mark), row in table.iterrows():
        estimate = results.estimate("focal", f"recall of {label} {mark}")
        assert (row["mean"], row["low"], row["high"]) == (estimate.estimate, estimate.low, estimate.high)
    name, estimate = results.worst_group("focal")
    assert table["mean"].min() == estimate.estimate == results.estimate("focal", f"recall of {name}").estimate
    # Where the network has learned the mark, the rare class without it is worst.
    runs = marked_runs()
    for run in runs["focal"].values():
        run.probabilities[(run.labels == 2) & ~run.marked] = [1, 0, 0]
    assert Results(runs).worst_group("focal")[0] == "selten without mark"
    assert Results(runs).worst_group("focal")[1].estimate == 0


def test_a_part_without_images_of_a_class_is_a_gap_and_never_the_worst():
    results = Results(marked_runs(marked=[True] * 30 + [True, False] * 10 + [False] * 10))
    table = results.recalls_by_mark("focal")
    assert table["n"].tolist() == [30, 0, 10, 10, 0, 10]
    assert table.loc[[("dünn", "without mark"), ("selten", "with mark")], ["mean", "low", "high"]].isna().all(axis=None)
    assert results.worst_group("focal")[0] not in ("dünn without mark", "selten with mark")
    for metric in ("recall of selten with mark", "rare recall with mark"):
        with pytest.raises(InvalidInputError, match="no test image with mark of selten"):
            results.estimate("focal", metric)


def test_a_class_that_is_called_like_a_part_of_another_is_not_taken_for_it():
    plain = Results(marked_runs())
    twin = Results(marked_runs(classes=["häufig", "häufig with mark", "selten"]))
    for method in plain.methods:
        np.testing.assert_array_equal(twin.recalls_by_mark(method), plain.recalls_by_mark(method))
        assert twin.worst_group(method)[1] == plain.worst_group(method)[1]


def test_images_that_load_has_not_made_have_to_be_given(results):
    with pytest.raises(InvalidInputError, match=r"'mädé up' was not made by careedu.load.*data="):
        _ = results.data
    given = object()
    assert Results(results.runs, data=given).data is given


def test_where_nothing_is_known_of_marks_it_is_said(results):
    assert results.marked is None
    for call in (
        lambda: results.estimate("focal", "rare recall with mark"),
        lambda: results.table(["recall of selten without mark"]),
        lambda: results.first.interval("rare recall with mark"),
        lambda: results.recalls_by_mark("focal"),
        lambda: results.worst_group("focal"),
    ):
        with pytest.raises(InvalidInputError, match=r"nothing is known of marks.*LesionDataset with marks"):
            call()


def test_a_wrong_name_with_a_part_suggests_the_nearest_and_a_class_may_be_called_like_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'recall of selten without mark'"):
        Results(marked_runs()).estimate("focal", "recall of seltn without mark")
    classes = ["lesion", "lesion with mark", "selten"]
    results = Results(marked_runs(classes=classes))
    named = results.estimate("focal", "recall of lesion with mark").estimate
    assert named == results.recalls("focal")[1].estimate
    assert results.metric("recall of lesion with mark with mark") == "recall of class 1 with mark"
    assert results.metric("recall of lesion without mark") == "recall of class 0 without mark"


def test_runs_that_know_other_marks_do_not_belong_together():
    for other in (None, np.ones(60, dtype=bool)):
        runs = marked_runs(seeds=2)
        runs["focal"][1].marked = other
        with pytest.raises(InvalidInputError, match="'focal', seed 1, was measured on other"):
            Results(runs)
