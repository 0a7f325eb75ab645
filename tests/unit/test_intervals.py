"""Intervals against closed forms and against simulated truth: how often do they hold it?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_by_name import metric_value
from scipy import stats

from careedu.errors import InvalidInputError
from careedu.measure import metrics
from careedu.measure.crossed import spread
from careedu.measure.intervals import Interval, interval_of, jackknife_interval, recall_interval
from careedu.measure.statistics import estimate

DRAWS = 1000


def wilson(hits, n):
    """Wilson's interval of the textbook, in which each image stands for itself."""
    interval = stats.binomtest(int(hits), int(n)).proportion_ci(method="wilson")
    return Interval(hits / n, interval.low, interval.high)


def clustered(rng, groups, p, per_group=10, correlation=0.3):
    """Beta-binomial groups: each has a recall of its own about p, and `correlation` between two of its images."""
    strength = (1 - correlation) / correlation
    own = rng.beta(p * strength, (1 - p) * strength, size=groups)
    return rng.random((groups, per_group)) < own[:, None]


def coverage(intervals, truth):
    return np.mean([i.low <= truth <= i.high for i in intervals])


# A recall


@pytest.mark.parametrize(("n", "tolerance"), [(50, 0.02), (500, 0.002), (2000, 2e-4)])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.98])
def test_with_each_image_its_own_group_it_goes_to_wilsons_interval(n, tolerance, share):
    hits = round(share * n)
    interval = recall_interval(np.arange(n) < hits, np.arange(n))
    assert interval == pytest.approx(wilson(hits, n), abs=tolerance)


def test_the_formula_on_a_worked_example():
    """Four groups of 2, 3, 1 and 4 images with 2, 1, 0 and 3 hits, step by step."""
    correct = [1, 1, 1, 0, 0, 0, 1, 1, 1, 0]
    p, k = 0.6, 100 / (4 + 9 + 1 + 16)
    without = np.array([4 / 8, 5 / 7, 6 / 9, 3 / 6])
    variance = 3 / 4 * ((without - p) ** 2).sum()
    q = (k * p + 0.125) / (k + 0.25)
    variance = (k * (k - 1) * variance + k * (p - q) ** 2 + (q**2 + (1 - q) ** 2) / 8) / ((k + 0.25) * (k - 0.75))
    worth = q * (1 - q) / variance
    t = stats.t.ppf(0.975, k - 1)
    centre, half = p + t * t / (2 * worth), t * math.sqrt(p * (1 - p) / worth + t * t / (4 * worth * worth))
    expected = (p, (centre - half) / (1 + t * t / worth), (centre + half) / (1 + t * t / worth))
    assert recall_interval(correct, list("aabbbcdddd")) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("p", [0.7, 0.5])
def test_forty_correlated_groups_are_covered_as_stated_and_plain_wilson_is_too_short(p):
    """95 % means 93 to 97.5 %. The same draws show that intervals over single images promise too much."""
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(40), 10)
    draws = [clustered(rng, 40, p).ravel() for _ in range(DRAWS)]
    assert 0.93 <= coverage([recall_interval(draw, groups) for draw in draws], p) <= 0.975
    assert coverage([wilson(draw.sum(), draw.size) for draw in draws], p) < 0.8
    # images taken for groups: our own interval is then no better
    assert coverage([recall_interval(draw, np.arange(400)) for draw in draws[:300]], p) < 0.8


@pytest.mark.parametrize("p", [0.5, 0.7, 0.9, 0.97])
def test_a_hundred_independent_images_are_covered_as_stated(p):
    """Without simulation: each possible number of hits with its binomial probability."""
    held = [coverage([recall_interval(np.arange(100) < hits, np.arange(100))], p) for hits in range(101)]
    assert 0.93 <= float(np.dot(stats.binom.pmf(np.arange(101), 100, p), held)) <= 0.975


@pytest.mark.parametrize("p", [0.7, 0.5])
def test_eight_groups_are_few_and_still_covered_nine_times_in_ten(p):
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(8), 10)
    share = coverage([recall_interval(clustered(rng, 8, p).ravel(), groups) for _ in range(DRAWS)], p)
    print(f"8 groups of 10 images, recall {p}: covered {share:.1%}")
    assert share >= 0.9


def test_groups_of_unequal_size_are_covered_as_well():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 20, size=40)
    keep = np.arange(20) < sizes[:, None]
    groups = np.repeat(np.arange(40), sizes)
    draws = [clustered(rng, 40, 0.7, per_group=20)[keep] for _ in range(DRAWS)]
    assert 0.92 <= coverage([recall_interval(draw, groups) for draw in draws], 0.7) <= 0.98


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize(("groups", "images"), [(2, 2), (5, 50), (30, 30)])
def test_all_or_nothing_found_still_leaves_room_and_the_less_the_more_groups(found, groups, images):
    interval = recall_interval(np.full(images, found), np.arange(images) % groups)
    t = stats.t.ppf(0.975, groups - 1)
    q = 0.125 / (groups + 0.25)
    variance = (groups * q**2 + (q**2 + (1 - q) ** 2) / 8) / ((groups + 0.25) * (groups - 0.75))
    size = q * (1 - q) / variance
    assert size == pytest.approx(groups, rel=0.4)
    open_end = t**2 / (size + t**2)  # Wilson's formula at p = 0
    expected = (1, 1 - open_end, 1) if found else (0, 0, open_end)
    assert interval == pytest.approx(expected, abs=1e-12)
    assert interval.high - interval.low > 0.1


@pytest.mark.parametrize("hits", [1, 2])
def test_groups_of_one_and_the_same_recall_count_each_image(hits):
    """No variance between groups, or only a rounding error of it: n* is the number of images; with very many, less."""
    correct, groups = np.tile(np.arange(3) < hits, 10), np.repeat(np.arange(10), 3)
    t, p, n = stats.t.ppf(0.975, 9), hits / 3, 30
    half = t / (1 + t**2 / n) * math.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    interval = recall_interval(correct, groups)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, abs=1e-12)
    many = recall_interval(np.tile(correct, 1000), np.tile(groups, 1000))
    assert 0.05 < many.high - many.low < interval.high - interval.low


def test_a_single_group_tells_only_the_estimate():
    assert recall_interval([True, True, False, False], ["a"] * 4) == (0.5, 0.0, 1.0)
    assert recall_interval([True], ["a"]) == (1.0, 0.0, 1.0)


def test_without_images_nothing_is_known():
    interval = recall_interval([], [])
    assert math.isnan(interval.estimate)
    assert interval[1:] == (0.0, 1.0)


def test_shapes_that_do_not_fit_are_refused():
    for correct, groups in [([True], ["a", "b"]), ([[True]], [["a"]])]:
        with pytest.raises(InvalidInputError, match="correct and groups"):
            recall_interval(correct, groups)


cases = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(cases, st.randoms(use_true_random=False))
def test_neither_the_order_of_images_nor_the_names_of_groups_matter(case, random):
    correct, groups = (np.array(column) for column in zip(*case, strict=True))
    order = list(range(len(case)))
    random.shuffle(order)
    names = [f"patient {k}" for k in range(7)]
    random.shuffle(names)
    expected = recall_interval(correct, groups)
    assert recall_interval(correct[order], np.array(names)[groups][order]) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases)
def test_it_lies_in_the_unit_range_holds_the_estimate_and_mirrors_with_the_misses(case):
    correct, groups = (np.array(column) for column in zip(*case, strict=True))
    interval, mirrored = recall_interval(correct, groups), recall_interval(~correct, groups)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert all(type(value) is float for value in interval)
    assert mirrored == pytest.approx((1 - interval.estimate, 1 - interval.high, 1 - interval.low), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(cases)
def test_more_confidence_is_wider(case):
    correct, groups = (np.array(column) for column in zip(*case, strict=True))
    wide, narrow = (recall_interval(correct, groups, confidence=c) for c in (0.99, 0.8))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_an_interval_reads_as_in_a_paper():
    assert str(Interval(0.5, 0.25, 0.75)) == "0.50 [0.25, 0.75]"


# A mean of recalls


def mean_of_recalls(hits, groups):
    """Interval of balanced accuracy; lists of one array a class, groups not shared by classes."""
    labels = np.repeat(np.arange(len(hits)), [len(h) for h in hits])
    right = np.concatenate(hits)
    predicted = np.where(right, labels, (labels + 1) % len(hits))
    code = np.concatenate([np.asarray(g) + 10_000 * c for c, g in enumerate(groups)])
    return interval_of(spread("balanced accuracy", np.eye(len(hits))[predicted][None], labels, code, ()))


def test_the_mean_lies_in_the_unit_range_and_is_no_wider_than_its_recalls():
    rng = np.random.default_rng(0)
    for _ in range(200):
        hits = [rng.random(n) < rng.random() for n in rng.integers(2, 20, size=3)]
        interval = mean_of_recalls(hits, [np.arange(len(h)) for h in hits])
        each = [recall_interval(h, np.arange(len(h))) for h in hits]
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert interval.estimate == pytest.approx(np.mean([e.estimate for e in each]))
        assert interval.high - interval.low <= max(e.high - e.low for e in each) * math.sqrt(2) + 1e-9


def test_classes_without_images_are_left_out_of_the_mean():
    probabilities, labels = np.eye(3)[[0, 0, 1, 1, 1, 0]][None], np.array([0, 0, 0, 1, 1, 1])
    interval = interval_of(spread("balanced accuracy", probabilities, labels, np.arange(6), ()))
    assert interval.estimate == pytest.approx(2 / 3)
    nothing = interval_of(spread("rare recall", probabilities, labels, np.arange(6), (2,)))
    assert math.isnan(nothing.estimate)
    assert nothing[1:] == (0.0, 1.0)


def test_balanced_accuracy_of_three_unequal_classes_is_covered_as_stated():
    rng = np.random.default_rng(5)
    recalls, sizes = (0.9, 0.7, 0.4), (60, 30, 12)
    groups = [np.repeat(np.arange(g), 3) for g in sizes]
    intervals = [
        mean_of_recalls(
            [clustered(rng, g, p, per_group=3).ravel() for g, p in zip(sizes, recalls, strict=True)], groups
        )
        for _ in range(DRAWS)
    ]
    assert 0.93 <= coverage(intervals, np.mean(recalls)) <= 0.98


# Any metric, by leaving groups out


def patients(rng, n, per_patient=4, separation=1.0):
    """Three classes by patient; each patient shifts the logits of all their images."""
    labels = np.repeat(np.arange(n) % 3, per_patient)
    shift = np.repeat(rng.normal(size=(n, 3)), per_patient, axis=0)
    logits = separation * np.eye(3)[labels] + shift + rng.normal(size=(len(labels), 3))
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True), labels, np.repeat(np.arange(n), per_patient)


def rank_auroc(probabilities, labels):
    """As `metrics.auroc`, from ranks, since a simulation calls it thousands of times."""
    ranks = stats.rankdata(probabilities, axis=0)
    areas = []
    for c in range(3):
        own = labels == c
        positive = own.sum()
        wins = ranks[own, c].sum() - positive * (positive + 1) / 2
        areas.append(wins / (positive * (len(labels) - positive)))
    return float(np.mean(areas))


def test_auroc_is_covered_as_stated_with_patients_and_not_with_single_images():
    rng = np.random.default_rng(6)
    probabilities, labels, _ = patients(rng, 30000)
    truth = rank_auroc(probabilities, labels)
    assert truth == pytest.approx(metrics.auroc(probabilities, labels), abs=1e-9)
    by_patient, by_image = [], []
    for _ in range(200):
        probabilities, labels, groups = patients(rng, 30)
        by_patient.append(jackknife_interval(rank_auroc, probabilities, labels, groups))
        by_image.append(jackknife_interval(rank_auroc, probabilities, labels, np.arange(len(labels))))
    assert 0.91 <= coverage(by_patient, truth) <= 0.995
    assert coverage(by_image, truth) < 0.85


def test_leaving_out_single_images_gives_accuracy_the_interval_of_a_recall():
    """For a mean, the jackknife's variance is exactly s²/n."""
    rng = np.random.default_rng(7)
    labels = np.zeros(60, int)
    probabilities = rng.dirichlet([1, 1], size=60)
    right = probabilities.argmax(axis=1) == labels
    interval = jackknife_interval(metrics.accuracy, probabilities, labels, np.arange(60))
    assert interval == pytest.approx(recall_interval(right, np.arange(60)), abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_any_metric_has_the_interval_that_tables_give_it(name):
    """One routine: a single run, a comparison of one seed, and a metric handed over as a function."""
    probabilities, labels, groups = patients(np.random.default_rng(10), 30)
    expected = interval_of(spread(name, probabilities[None], labels, groups, (2,)))
    one = estimate(name, probabilities[None], labels, groups, [2])
    assert (one.estimate, one.low, one.high) == expected
    if name in ("macro F1", "AUROC"):
        by_hand = jackknife_interval(lambda p, y: metric_value(name, p, y, [2]), probabilities, labels, groups)
        assert by_hand == pytest.approx(expected, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_jackknife_asks_neither_for_the_order_of_images_nor_for_the_names_of_groups(seed):
    rng = np.random.default_rng(seed)
    probabilities, labels, groups = patients(rng, 9)
    order, names = rng.permutation(len(labels)), rng.permutation([f"p{k}" for k in range(9)])
    expected = jackknife_interval(rank_auroc, probabilities, labels, groups)
    moved = jackknife_interval(rank_auroc, probabilities[order], labels[order], names[groups][order])
    assert moved == pytest.approx(expected, abs=1e-12)
    assert 0 <= expected.low <= expected.estimate <= expected.high <= 1


def test_a_class_with_a_single_group_leaves_the_metric_open():
    probabilities, labels = np.tile([0.6, 0.4], (6, 1)), np.array([0, 0, 0, 0, 1, 1])
    interval = jackknife_interval(metrics.macro_f1, probabilities, labels, ["a", "a", "b", "b", "c", "c"])
    assert interval[1:] == (0.0, 1.0)
    assert interval.estimate == metrics.macro_f1(probabilities, labels)


def test_many_groups_are_left_out_in_blocks_with_about_the_same_interval():
    probabilities, labels, groups = patients(np.random.default_rng(8), 300)
    calls = []

    def counted(p, y):
        calls.append(len(y))
        return rank_auroc(p, y)

    blocks = jackknife_interval(counted, probabilities, labels, groups, most=60)
    assert len(calls) == 61
    assert set(calls[1:]) == {1200 - 5 * 4}
    single = jackknife_interval(rank_auroc, probabilities, labels, groups, most=1000)
    assert blocks.high - blocks.low == pytest.approx(single.high - single.low, rel=0.25)


def test_a_rare_class_whose_groups_all_fall_in_one_block_leaves_the_metric_open():
    """Leaving that block out would leave the class out of the metric, which is then another metric."""
    labels = np.zeros(8, dtype=int)
    labels[[1, 5]] = 1
    probabilities = np.random.default_rng(9).dirichlet([1, 1], size=8)
    assert jackknife_interval(metrics.auroc, probabilities, labels, np.arange(8), most=4)[1:] == (0.0, 1.0)
    seen = []
    jackknife_interval(lambda p, y: seen.append(set(y)) or 0.5, probabilities, labels, np.arange(8), most=3)
    assert seen == [{0, 1}] * 4


def test_a_perfect_metric_is_not_known_to_the_last_digit():
    labels = np.arange(90) % 3
    perfect = np.eye(3)[labels]
    interval = jackknife_interval(metrics.auroc, perfect, labels, np.arange(90) // 3)
    assert interval.estimate == 1 and 0.8 < interval.low < 0.95 and interval.high == 1
