"""Metrics against references that count one image at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_by_name import metric_value

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.measure import metrics
from careedu.measure.leave_one_out import averaged_classes


@st.composite
def predictions(draw):
    """Probabilities on a coarse grid, so that ties are common, and labels that leave classes out."""
    classes = draw(st.integers(2, 5))
    n = draw(st.integers(1, 25))
    weights = draw(st.lists(st.lists(st.integers(0, 4), min_size=classes, max_size=classes), min_size=n, max_size=n))
    table = np.array(weights, dtype=float)
    table[table.sum(axis=1) == 0] = 1
    labels = draw(st.lists(st.integers(0, draw(st.integers(0, classes - 1))), min_size=n, max_size=n))
    return table / table.sum(axis=1, keepdims=True), np.array(labels)


def predicted(probabilities):
    """The first of the most probable classes."""
    return [max(range(len(row)), key=lambda c: (row[c], -c)) for row in probabilities.tolist()]


def recalls_by_hand(probabilities, labels):
    guess, recalls = predicted(probabilities), []
    for c in range(probabilities.shape[1]):
        own = [g for g, y in zip(guess, labels, strict=True) if y == c]
        recalls.append(sum(g == c for g in own) / len(own) if own else math.nan)
    return recalls


def mean_of_known(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def same(value, expected):
    assert type(value) is float
    assert (math.isnan(value) and math.isnan(expected)) or value == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_confusion_counts_true_classes_in_rows_and_predicted_ones_in_columns(case):
    probabilities, labels = case
    expected = np.zeros((probabilities.shape[1],) * 2, dtype=int)
    for guess, label in zip(predicted(probabilities), labels, strict=True):
        expected[label, guess] += 1
    matrix = metrics.confusion(probabilities, labels)
    assert matrix.dtype.kind == "i"
    assert matrix.tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_recall_is_the_share_found_and_nan_without_images(case):
    recalls = metrics.recall_per_class(*case)
    np.testing.assert_allclose(recalls, recalls_by_hand(*case))
    assert recalls.dtype == np.float64


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_accuracy_is_the_share_of_right_images(case):
    probabilities, labels = case
    right = [g == y for g, y in zip(predicted(probabilities), labels, strict=True)]
    same(metrics.accuracy(*case), sum(right) / len(right))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_balanced_accuracy_is_the_mean_recall_of_the_classes_with_images(case):
    same(metrics.balanced_accuracy(*case), mean_of_known(recalls_by_hand(*case)))


@settings(max_examples=60, deadline=None)
@given(predictions(), st.data())
def test_rare_recall_is_the_mean_over_the_rare_classes_with_images(case, data):
    classes = case[0].shape[1]
    rare = data.draw(st.lists(st.integers(0, classes - 1), unique=True, max_size=classes))
    recalls = recalls_by_hand(*case)
    same(metrics.rare_recall(*case, rare), mean_of_known([recalls[c] for c in rare]))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_macro_f1_is_the_mean_over_the_classes_with_images(case):
    probabilities, labels = case
    guess, scores = predicted(probabilities), []
    for c in sorted(set(labels.tolist())):
        hits = sum(g == c and y == c for g, y in zip(guess, labels, strict=True))
        scores.append(2 * hits / (guess.count(c) + int((labels == c).sum())))
    same(metrics.macro_f1(*case), sum(scores) / len(scores))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_auroc_is_the_chance_that_a_positive_outranks_a_negative_ties_counting_half(case):
    probabilities, labels = case
    areas = []
    for c in sorted(set(labels.tolist())):
        positive, negative = probabilities[labels == c, c], probabilities[labels != c, c]
        wins = [(p > q) + 0.5 * (p == q) for p in positive for q in negative]
        areas.append(sum(wins) / len(wins) if wins else math.nan)
    same(metrics.auroc(*case), mean_of_known(areas))


@settings(max_examples=60, deadline=None)
@given(predictions(), st.integers(1, 20))
def test_calibration_error_against_a_loop_over_bins(case, bins):
    """Guo et al. 2017: bin m holds the confidences in ((m-1)/M, m/M]."""
    probabilities, labels = case
    guess, confidence = predicted(probabilities), [max(row) for row in probabilities.tolist()]
    error = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        rows = [i for i, p in enumerate(confidence) if low < p <= high or (b == bins - 1 and p > high)]
        if rows:
            accuracy = sum(guess[i] == labels[i] for i in rows) / len(rows)
            error += len(rows) / len(labels) * abs(accuracy - sum(confidence[i] for i in rows) / len(rows))
    same(metrics.calibration_error(*case, bins=bins), error)


def test_calibration_error_on_a_worked_example():
    """Two images at .8, one of them right; two at .6 (each with 10 bins a bin of its own), both right."""
    probabilities = np.array([[0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]])
    same(metrics.calibration_error(probabilities, [0, 0, 0, 1]), (2 * abs(0.5 - 0.8) + 2 * abs(1 - 0.6)) / 4)


def test_a_sure_and_right_classifier_is_perfect_by_every_metric():
    labels = np.array([0, 1, 2, 2])
    for name in metrics.METRICS:
        same(metric_value(name, np.eye(3)[labels], labels, [2]), 0.0 if name == "calibration error" else 1.0)


def test_accuracy_hides_what_balanced_accuracy_shows():
    labels = np.array([0] * 95 + [1] * 5)
    always_common = np.tile([0.9, 0.1], (100, 1))
    same(metrics.accuracy(always_common, labels), 0.95)
    same(metrics.balanced_accuracy(always_common, labels), 0.5)
    same(metrics.rare_recall(always_common, labels, [1]), 0.0)


def test_absent_rare_classes_and_single_class_test_sets_give_nan_and_no_warning(recwarn):
    probabilities, labels = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]), np.array([0, 0])
    assert math.isnan(metrics.rare_recall(probabilities, labels, [2]))
    assert math.isnan(metrics.auroc(probabilities, labels))
    same(metrics.balanced_accuracy(probabilities, labels), 0.5)
    assert not recwarn.list


EVERY = [metrics.confusion, metrics.recall_per_class, *metrics.METRICS.values()]


@pytest.mark.parametrize("metric", EVERY, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.array([[0.5, 0.5], [np.nan, 0.5]]), [0, 1], "NaN"),
        (np.ones((3, 2)) / 2, [0, 1], r"\(3, 2\) and \(2,\)"),
        (np.ones(3), [0, 1, 0], "probabilities must be"),
        (np.ones((3, 2)) / 2, [[0], [1], [0]], "labels"),
        (np.ones((0, 2)), [], "at least 1"),
        (np.ones((3, 2)) / 2, [0, 1, 2], "from 0 to 1"),
        (np.ones((3, 2)) / 2, [0, 1, -1], "from 0 to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_every_metric(metric, probabilities, labels, message):
    rare = ([0],) if metric is metrics.rare_recall else ()
    with pytest.raises(InvalidInputError, match=message):
        metric(probabilities, labels, *rare)


@settings(max_examples=40, deadline=None)
@given(predictions(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(case, random):
    probabilities, labels = case
    order = list(range(len(labels)))
    random.shuffle(order)
    for name in metrics.METRICS:
        same(
            metric_value(name, probabilities[order], labels[order], [0]),
            metric_value(name, probabilities, labels, [0]),
        )


def test_of_an_unknown_metric_the_nearest_is_suggested():
    with pytest.raises(UnknownNameError, match="Did you mean 'balanced accuracy'"):
        averaged_classes("balanced acuracy", 2, [1])
