"""Leaving groups out against the plain loop, variances against hand-worked ones, and what a verdict may say."""

import dataclasses
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from metric_by_name import metric_value
from scipy import special, stats

from careedu.errors import CareeduError, InvalidInputError, UnknownNameError
from careedu.measure import metrics
from careedu.measure.crossed import DIFFERENCE, MORE, SHARE, freedom, spread, variation, with_more
from careedu.measure.effective_groups import effective_number, effective_number_of_mean, overlap
from careedu.measure.intervals import recall_interval
from careedu.measure.leave_one_out import metric_without, recall_metric
from careedu.measure.statistics import FEWEST_GROUPS, Difference, Estimate, difference, estimate, holm, sign_flip_p

NAMES = [*metrics.METRICS, "recall of class 1"]


def classifier(rng, seeds=10, images=60, classes=3, strength=1.0):
    """Class probabilities (S, N, C) of a classifier that is right the more often the greater its strength."""
    labels = np.arange(images) % classes
    weight = np.exp(rng.normal(size=(seeds, images, classes)) + strength * np.eye(classes)[labels])
    return weight / weight.sum(axis=2, keepdims=True), labels


def found(hits):
    """Probabilities (S, N, 2) of two classes; a hit is an image taken for class 0."""
    hits = np.asarray(hits, dtype=float)
    return np.stack([hits, 1 - hits], axis=2)


def plain(name, probabilities, labels, rare):
    """The metric as `careedu.measure.metrics` has it."""
    if len(labels) == 0:
        return math.nan
    if name.startswith("recall"):
        return metrics.recall_per_class(probabilities, labels)[int(name.split()[-1])]
    return metric_value(name, probabilities, labels, rare)


# Leaving out


@st.composite
def test_sets(draw):
    """Few images, coarse probabilities (many ties), classes without images, blocks of several classes."""
    seeds, images, classes = draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(2, 4))
    coarse = hnp.arrays(np.int64, (seeds, images, classes), elements=st.integers(0, 4))
    probabilities = draw(coarse) + 0.25
    probabilities = probabilities / probabilities.sum(axis=2, keepdims=True)
    labels = draw(hnp.arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    _, block = np.unique(draw(hnp.arrays(np.int64, images, elements=st.integers(0, 4))), return_inverse=True)
    return probabilities, labels, block


test_sets.__test__ = False


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(case=test_sets())
def test_values_and_those_without_each_block_are_those_of_the_plain_loop(name, case):
    probabilities, labels, block = case
    whole, without = metric_without(name, probabilities, labels, block, [1])
    for s, scores in enumerate(probabilities):
        assert whole[s] == pytest.approx(plain(name, scores, labels, [1]), abs=1e-12, nan_ok=True)
        for b in range(block.max() + 1):
            keep = block != b
            expected = plain(name, scores[keep], labels[keep], [1])
            assert without[s, b] == pytest.approx(expected, abs=1e-12, nan_ok=True), (s, b)


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_loop_agrees_on_a_larger_test_set_too(name):
    probabilities, labels = classifier(np.random.default_rng(0), seeds=2, images=200)
    block = np.arange(200) // 7
    whole, without = metric_without(name, probabilities, labels, block, [0, 2])
    for s, scores in enumerate(probabilities):
        expected = [plain(name, scores[block != b], labels[block != b], [0, 2]) for b in range(block.max() + 1)]
        assert whole[s] == pytest.approx(plain(name, scores, labels, [0, 2]), abs=1e-12)
        assert without[s] == pytest.approx(expected, abs=1e-12)


def test_above_two_thousand_groups_those_of_a_small_class_still_do_not_share_a_block():
    labels = np.r_[np.zeros(3000, int), np.ones(8, int)]
    groups = np.r_[np.setdiff1d(np.arange(3008), np.arange(8) * 300), np.arange(8) * 300]
    probabilities = np.full((1, 3008, 2), 0.5)
    single = spread("balanced accuracy", probabilities, labels, groups, [1])
    assert single.shifts.shape[1] == 2000
    assert single.effective.tolist() == [3000, 8]
    assert single.groups == 8
    # A rare image alone in its block: without it one of eight is missing.
    alone = single.shifts[0, :, 1] != 0
    assert not alone.any()  # recall of class 1 is 0 with and without
    right = np.where(np.arange(3008)[None, :, None] == 3000, [[[0.0, 1.0]]], [[[1.0, 0.0]]])
    shifts = spread("recall of class 1", right, labels, groups, [1]).shifts[0, :, 0]
    assert (shifts != 0).sum() == 8


# Variances


def test_the_variances_of_a_recall_are_those_of_a_table_of_seeds_and_groups():
    """Two-way table y_sg of 4 seeds and 5 groups, an image each: all parts from the means of rows and columns.

    The columns have a quarter more: an eighth of a group found under all seeds, and an eighth under none.
    """
    table = np.random.default_rng(3).random((4, 5)) < 0.6
    found_ = variation(spread("recall of class 0", found(table), np.zeros(5, int), np.arange(5), []), SHARE)
    by_seeds, by_groups, total = (float(v[0, 0]) for v in (found_.by_seeds, found_.by_groups, found_.total))
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    own = table - rows[:, None] - columns + table.mean()
    both = (own**2).sum() / (3 * 4) / 20
    assert both > 0.001
    pulled = (columns.sum() + 0.125) / 5.25
    squares = ((columns - pulled) ** 2).sum() + (pulled**2 + (1 - pulled) ** 2) / 8
    assert found_.pulled[0] == pytest.approx(pulled)
    assert by_seeds == pytest.approx(rows.var(ddof=1) / 4)
    assert by_groups == pytest.approx(squares / (5.25 * 4.25))
    assert total == pytest.approx(max(by_seeds + by_groups - both, by_seeds, by_groups))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=2, max_size=12))
def test_what_is_added_is_what_it_says(values):
    """Against the groups themselves with an eighth of a group at each end added, or with 1, 2 and 1 sixteenths."""
    d, k = np.array(values), len(values)
    for prior, ends, weights in ((DIFFERENCE, [-1, 0, 1], [0.25, 0.5, 0.25]), (SHARE, [0, 1], [0.5, 0.5])):
        pulled, variance = with_more(d.mean(), d.var(ddof=1) / k, k, prior)
        all_, weight = np.r_[d, ends], np.r_[np.ones(k), MORE * np.array(weights)]
        assert pulled == pytest.approx(np.average(all_, weights=weight))
        assert variance == pytest.approx((weight * (all_ - pulled) ** 2).sum() / ((k + MORE) * (k + MORE - 1)))


def test_degrees_of_freedom_are_never_more_than_the_groups_have():
    assert freedom(1.0, 0.0001, 1.0, 10, 40) == pytest.approx(9, rel=1e-3)
    assert freedom(0.0, 1.0, 1.0, 10, 40) == pytest.approx(39)
    assert freedom(1.0, 1.0, 2.0, 10, 40) == pytest.approx(4 / (1 / 9 + 1 / 39))
    assert freedom(1.0, 1.0, 1.0, 10, 8) == 7
    assert freedom(1.0, 1e-9, 1.0, 20, 3) == pytest.approx(2)  # seeds lend three groups none
    assert freedom(0.0, 1.0, 1.0, 1, 40) == 39
    assert freedom(0.0, [1.0, 1.0], 2.0, 1, [5, 9], np.eye(2)) == pytest.approx(4 / (1 / 4 + 1 / 8))
    assert freedom(0.0, 1.0, 1.0, 1, 1.01) == 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_a_recall_of_one_seed_has_the_interval_of_a_single_run(case):
    hits, groups = (np.array(column) for column in zip(*case, strict=True))
    actual = estimate("recall of class 0", found(hits[None]), np.zeros(len(hits), int), groups, [])
    assert (actual.estimate, actual.low, actual.high) == pytest.approx(recall_interval(hits, groups), abs=1e-12)
    assert actual.seed_error == 0


def test_one_image_more_or_less_moves_an_interval_a_little():
    """Ten groups of two, one of each found: no variance between them; then one image differs."""
    hits, groups = np.tile([True, False], 10), np.repeat(np.arange(10), 2)
    before = recall_interval(hits, groups)
    hits[0] = False
    after = recall_interval(hits, groups)
    assert abs(after.low - before.low) < 0.1 and abs(after.high - before.high) < 0.1


def test_the_same_seed_ten_times_is_no_more_than_that_seed():
    probabilities, labels = classifier(np.random.default_rng(1), seeds=1)
    for name in NAMES:
        once = estimate(name, probabilities, labels, np.arange(60), [2])
        often = estimate(name, np.repeat(probabilities, 10, axis=0), labels, np.arange(60), [2])
        assert (often.estimate, often.low, often.high) == pytest.approx((once.estimate, once.low, once.high))


def test_balanced_accuracy_is_put_together_from_its_recalls():
    """One seed and no group of two classes, so that the classes are independent: Zou and Donner's formula."""
    probabilities, labels = classifier(np.random.default_rng(2), seeds=1, images=90)
    each = [estimate(recall_metric(c), probabilities, labels, np.arange(90), []) for c in range(3)]
    mean = np.mean([e.estimate for e in each])
    low = mean - math.sqrt(sum((e.estimate - e.low) ** 2 for e in each)) / 3
    high = mean + math.sqrt(sum((e.high - e.estimate) ** 2 for e in each)) / 3
    whole = estimate("balanced accuracy", probabilities, labels, np.arange(90), [])
    assert (whole.estimate, whole.low, whole.high) == pytest.approx((mean, low, high))


def test_seeds_that_win_in_one_class_what_they_lose_in_the_other_hardly_move_their_mean():
    shift = np.linspace(-0.2, 0.2, 10)[:, None]
    images = np.arange(200) / 200
    hits = np.concatenate([images < 0.5 + shift, images < 0.5 - shift], axis=1)
    labels = np.repeat([0, 1], 200)
    probabilities = np.stack([np.where(labels == 0, hits, ~hits), np.where(labels == 0, ~hits, hits)], axis=2)
    recall, mean = (estimate(m, probabilities, labels, np.arange(400), []) for m in ("recall of class 0", NAMES[0]))
    assert recall.seed_error > 0.03
    assert mean.seed_error < 0.003
    assert mean.high - mean.low < (recall.high - recall.low) / 1.5


def test_a_small_class_that_is_always_found_still_leaves_room_in_the_mean():
    labels = np.r_[np.zeros(200, int), np.ones(8, int)]
    hits = np.random.default_rng(0).random((10, 200)) < 0.9
    probabilities = np.concatenate([found(hits), np.tile([0.0, 1.0], (10, 8, 1))], axis=1)
    rare = estimate("rare recall", probabilities, labels, np.arange(208), [1])
    t, pulled = stats.t.ppf(0.975, 7), 8.125 / 8.25
    variance = (8 * (1 - pulled) ** 2 + (pulled**2 + (1 - pulled) ** 2) / 8) / (8.25 * 7.25)
    size = pulled * (1 - pulled) / variance
    assert 7 < size < 9  # about as many images as there are groups
    assert (rare.estimate, rare.high, rare.groups) == (1, 1, 8)
    assert rare.low == pytest.approx(size / (size + t**2))
    mean = estimate("balanced accuracy", probabilities, labels, np.arange(208), [1])
    assert mean.low < mean.estimate - (1 - rare.low) / 2


@pytest.mark.parametrize("groups", [3, 5, 8, 20])
def test_patients_with_images_of_all_classes_count_once(groups):
    """Each patient's images are all found or none: the mean of four recalls is known no better than one of them."""
    rng, labels, patient = np.random.default_rng(groups), np.tile(np.arange(4), groups), np.repeat(np.arange(groups), 4)
    a, b = (
        np.eye(4)[np.where((rng.random((6, groups)) < 0.6)[:, patient], labels, (labels + 1) % 4)] for _ in range(2)
    )
    of_class, mean = (estimate(name, a, labels, patient, []) for name in ("recall of class 0", "balanced accuracy"))
    assert dataclasses.astuple(mean) == pytest.approx(dataclasses.astuple(of_class))
    one, all_ = (difference(name, a, b, labels, patient, []) for name in ("recall of class 0", "balanced accuracy"))
    assert dataclasses.astuple(all_)[1:] == pytest.approx(dataclasses.astuple(one)[1:])
    of_area = spread("AUROC", a, labels, patient, [])
    assert of_area.averaged == pytest.approx([groups])


def test_classes_overlap_as_far_as_they_have_their_groups_in_common():
    images = np.array([[2, 0, 2], [2, 0, 0], [0, 3, 0], [0, 1, 0]])
    assert overlap(images) == pytest.approx(np.array([[1, 0, 0.5**0.5], [0, 1, 0], [0.5**0.5, 0, 1]]))
    k = effective_number(images)
    assert k == pytest.approx([2, 1.6, 1])
    pairs = 1 / 4 + 1 / 1.6**2 + 1 + 2 * 0.5**0.5 / 2
    assert effective_number_of_mean(images) == pytest.approx([3 / math.sqrt(pairs)])
    assert effective_number_of_mean(np.ones((7, 3))) == pytest.approx([7])
    assert freedom(0.0, [1.0, 1.0], 4.0, 1, [5, 9], np.ones((2, 2))) == pytest.approx(4 / (3 / 4 + 1 / 8))
    assert freedom(0.0, [1.0, 1.0], 4.0, 1, [9, 9], np.ones((2, 2))) == pytest.approx(8)


@pytest.mark.parametrize("groups", [2, 3, 5, 6, 12, 40])
def test_patients_who_make_up_in_one_class_for_another_still_leave_room_in_the_mean(groups):
    """All images of one half of the patients are taken for class 0, of the others for class 1: one half right in each.

    No patient differs in balanced accuracy, and no other way round does either.
    """
    labels, patient = np.tile([0, 0, 1, 1], groups), np.repeat(np.arange(groups), 4)
    one = np.tile(np.eye(2)[patient % 2], (6, 1, 1))
    mean = estimate("balanced accuracy", one, labels, patient, [1])
    assert mean.estimate == pytest.approx(0.5) and mean.group_error > 0
    assert 0.5 - mean.low > 0.3 / groups and mean.high - 0.5 > 0.3 / groups
    same = difference("balanced accuracy", one, 1 - one, labels, patient, [1])
    assert same.low == pytest.approx(-same.high) and same.high > 0.6 / groups
    assert (same.effect, same.p) == pytest.approx((0, 1), abs=1e-12)


def test_two_seeds_that_trade_one_class_for_another_leave_no_less_room_than_one():
    """What one finds more of class 0 it finds less of class 1, so that their means over the classes hardly differ."""
    rng, labels = np.random.default_rng(8), np.repeat([0, 1], 20)
    for _ in range(500):
        logit = 2 * labels - 1 + 3 * rng.normal(size=(2, 1)) + 2 * rng.normal(size=(2, 40))
        share = special.expit(logit)
        result = estimate("balanced accuracy", np.stack([1 - share, share], axis=2), labels, np.arange(40), [])
        assert result.high - result.low > 0.015
        assert result.seed_error >= 0


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(case=test_sets())
def test_there_is_no_interval_of_width_0(name, case):
    """Patients with images of several classes, probabilities with ties, classes without images, one seed to three."""
    probabilities, labels, groups = case
    with np.errstate(all="raise"):
        result = estimate(name, probabilities, labels, groups, [1])
        other = difference(name, probabilities, np.roll(probabilities, 1, axis=2), labels, groups, [1])
    assert result.high - result.low > 1e-3
    assert other.high - other.low > 1e-3
    assert result.groups < 2 or result.group_error > 0


@pytest.mark.parametrize("name", NAMES)
def test_one_test_group_of_a_class_tells_only_the_estimate(name):
    probabilities, labels = classifier(np.random.default_rng(1))
    groups = np.where(labels == 1, -1, np.arange(60))
    result = estimate(name, probabilities, labels, groups, [1])
    assert (result.low, result.high, result.groups, result.freedom) == (0, 1, 1, 0)
    assert math.isnan(result.group_error)
    assert result.estimate == pytest.approx(np.mean([plain(name, p, labels, [1]) for p in probabilities]))
    other = difference(name, probabilities, np.roll(probabilities, 1, axis=0), labels, groups, [1])
    assert (other.low, other.high, other.p, other.smallest) == (-1, 1, 1, math.inf)
    assert other.verdict == "too few groups"


@pytest.mark.parametrize("name", ["rare recall", "recall of class 3", "AUROC"])
def test_what_the_test_images_do_not_define_is_nan(name):
    probabilities = np.full((10, 6, 4), 0.25)
    labels = np.zeros(6, int) if name == "AUROC" else np.arange(6) % 3
    result = estimate(name, probabilities, labels, np.arange(6), [3])
    assert math.isnan(result.estimate)
    assert (result.low, result.high, result.groups) == (0, 1, 0)
    nothing = difference(name, probabilities, probabilities, labels, np.arange(6), [3])
    assert math.isnan(nothing.effect)
    assert nothing.verdict == "too few groups"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(case=test_sets())
def test_intervals_lie_in_the_unit_range_and_hold_the_mean_over_seeds(name, case):
    probabilities, labels, groups = case
    result = estimate(name, probabilities, labels, groups, [1])
    expected = np.mean([plain(name, p, labels, [1]) for p in probabilities])
    assert result.estimate == pytest.approx(expected, abs=1e-12, nan_ok=True)
    if not math.isnan(expected):
        assert 0 <= result.low <= result.estimate + 1e-12
        assert result.estimate - 1e-12 <= result.high <= 1
    assert all(type(v) in (float, int) for v in dataclasses.astuple(result))


def test_neither_the_order_of_images_nor_the_names_of_groups_matter():
    rng = np.random.default_rng(4)
    probabilities, labels = classifier(rng)
    groups, order = np.arange(60) // 4, rng.permutation(60)
    names = np.array([f"patient {k}" for k in rng.permutation(15)])
    for metric in NAMES:
        first = estimate(metric, probabilities, labels, groups, [1])
        second = estimate(metric, probabilities[:, order], labels[order], names[groups][order], [1])
        assert dataclasses.astuple(second) == pytest.approx(dataclasses.astuple(first), abs=1e-12)


def test_the_error_of_an_auroc_is_that_of_a_published_example():
    """Hanley and McNeil, Radiology 1982: 58 normal and 51 abnormal CT images rated from 1 to 5, area .893 ± .032."""
    normal, abnormal = (np.repeat(np.arange(1, 6), n) for n in ([33, 6, 6, 11, 2], [3, 2, 2, 11, 33]))
    share, labels = np.r_[normal, abnormal] / 6, np.repeat([0, 1], [58, 51])
    area = estimate("AUROC", np.stack([1 - share, share], axis=1)[None], labels, np.arange(109), [])
    assert area.estimate == pytest.approx(0.893, abs=0.0005)
    assert area.group_error == pytest.approx(0.032, abs=0.0015)


# Differences


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), strength=st.sampled_from([0.0, 1.0, 3.0]))
def test_the_difference_the_other_way_round_is_its_mirror(name, seed, strength):
    rng = np.random.default_rng(seed)
    (a, labels), (b, _) = classifier(rng, strength=1 + strength), classifier(rng)
    forth, back = (difference(name, *sides, labels, np.arange(60) // 2, [1]) for sides in ((a, b), (b, a)))
    assert (back.effect, back.low, back.high) == pytest.approx((-forth.effect, -forth.high, -forth.low), abs=1e-12)
    assert (back.p, back.smallest) == pytest.approx((forth.p, forth.smallest))
    assert {forth.verdict, back.verdict} in ({"better", "worse"}, {"no difference shown"})
    apart = [plain(name, x, labels, [1]) - plain(name, y, labels, [1]) for x, y in zip(a, b, strict=True)]
    assert forth.effect == pytest.approx(np.mean(apart), abs=1e-12)


def test_a_clear_gain_is_better_and_a_lower_calibration_error_too():
    rng = np.random.default_rng(0)
    (a, labels), (b, _) = classifier(rng, strength=5.0), classifier(rng, strength=0.5)
    for name in metrics.METRICS:
        result = difference(name, a, b, labels, np.arange(60), [2])
        assert result.verdict == "better", name
        assert (result.effect < 0) == (name == "calibration error")
        assert result.p == pytest.approx(2 / 1024)
        assert difference(name, a[:5], b[:5], labels, np.arange(60), [2]).verdict == "too few seeds"


def test_the_same_on_both_sides_is_no_difference_and_not_known_without_doubt():
    """None of twenty images a class differs, but of others one in a hundred might."""
    probabilities, labels = classifier(np.random.default_rng(0))
    for name in NAMES:
        same = difference(name, probabilities, probabilities.copy(), labels, np.arange(60), [1])
        assert (same.effect, same.p, same.verdict) == (0, 1, "no difference shown")
        assert same.low == -same.high
        assert 0.01 < same.high < 0.1


@pytest.mark.parametrize("groups", [2, 3, 4, 5])
def test_a_few_images_on_which_all_seeds_agree_prove_little(groups):
    """a finds all of them under ten seeds, b none. Two, three or four images are too few, however clear."""
    one = np.ones((10, groups))
    result = difference("recall of class 0", found(one), found(1 - one), np.zeros(groups, int), np.arange(groups), [])
    assert result.effect == 1
    assert result.high - result.low > 0.3
    assert result.verdict == ("better" if groups == FEWEST_GROUPS else "too few groups")


def test_groups_of_unequal_size_count_for_fewer():
    """Eight groups, one of them with nearly all images."""
    groups = np.r_[np.zeros(60, int), np.arange(1, 8)]
    hits = np.ones((10, 67))
    result = difference("recall of class 0", found(hits), found(1 - hits), np.zeros(67, int), groups, [])
    assert result.groups == pytest.approx(67**2 / (60**2 + 7)) and result.verdict == "too few groups"


def test_a_rounding_error_in_each_seed_is_no_difference():
    """All probabilities one last digit higher: the calibration error moves by 1e-16 in each of ten seeds."""
    probabilities, labels = classifier(np.random.default_rng(0))
    up = np.nextafter(probabilities, 1)
    apart = [
        metrics.calibration_error(a, labels) - metrics.calibration_error(b, labels)
        for a, b in zip(up, probabilities, strict=True)
    ]
    assert 0 < np.abs(apart).max() < 1e-14
    result = difference("calibration error", up, probabilities, labels, np.arange(60), [])
    assert (result.effect, result.p) == (0, 1)
    assert result.verdict == "no difference shown"


def test_seeds_that_agree_prove_nothing_where_two_test_images_decide():
    """a is better in ten seeds of ten, each time by the same two images of forty."""
    hits = np.tile(np.arange(40) < 20, (10, 1))
    more = np.tile(np.arange(40) < 22, (10, 1))
    result = difference("recall of class 0", found(more), found(hits), np.zeros(40, int), np.arange(40), [])
    assert sign_flip_p(np.full(10, 0.05)) == 2 / 1024
    assert result.low < 0 < result.effect
    assert result.p > 0.05
    assert result.verdict == "no difference shown"


def test_the_interval_the_p_value_and_the_smallest_difference_by_hand():
    rng = np.random.default_rng(5)
    a, b = (rng.random((10, 40)) < p for p in (0.7, 0.6))
    d = a.astype(float) - b
    groups = d.mean(axis=0)
    pulled = groups.sum() / 40.25
    squares = ((groups - pulled) ** 2).sum() + ((1 - pulled) ** 2 + (1 + pulled) ** 2 + 2 * pulled**2) / 16
    by_seeds, by_groups = d.mean(axis=1).var(ddof=1) / 10, squares / (40.25 * 39.25)
    own = d - d.mean(axis=1)[:, None] - d.mean(axis=0) + d.mean()
    total = max(by_seeds + by_groups - (own**2).sum() / (9 * 39) / 400, by_seeds, by_groups)
    nu = min(39, max(9, total**2 / (by_seeds**2 / 9 + by_groups**2 / 39)))
    t = stats.t.ppf(0.975, nu)
    result = difference("recall of class 0", found(a), found(b), np.zeros(40, int), np.arange(40), [])
    error = math.sqrt(total)
    assert (result.effect, result.low, result.high) == pytest.approx((d.mean(), pulled - t * error, pulled + t * error))
    assert result.smallest == pytest.approx((t + stats.t.ppf(0.8, nu)) * error)
    over_groups = 2 * stats.t.sf(abs(pulled) / error, nu)
    assert result.p == pytest.approx(max(over_groups, sign_flip_p(d.mean(axis=1))))
    assert result.groups == 40


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "better"),
        ({"metric": "calibration error"}, "worse"),
        ({"effect": -0.2, "low": -0.3, "high": -0.1}, "worse"),
        ({"effect": -0.2, "low": -0.3, "high": -0.1, "metric": "calibration error"}, "better"),
        ({"adjusted_p": 0.05}, "better"),
        ({"adjusted_p": 0.0501}, "no difference shown"),
        ({"adjusted_p": math.nan}, "no difference shown"),
        ({"p": 0.06}, "no difference shown"),
        ({"low": 0.0}, "no difference shown"),
        ({"low": -0.01, "adjusted_p": 0.001}, "no difference shown"),
        ({"seeds": 6}, "better"),
        ({"seeds": 5}, "too few seeds"),
        ({"groups": 5.0}, "better"),
        ({"groups": 4.9}, "too few groups"),
        ({"groups": 4.9, "seeds": 5}, "too few seeds"),
    ],
)
def test_better_needs_both_the_interval_and_the_adjusted_p(change, verdict):
    known = {"metric": "AUROC", "effect": 0.2, "low": 0.1, "high": 0.3, "p": 0.002, "seeds": 10, "smallest": 0.1}
    assert Difference(**(known | change)).verdict == verdict


def test_without_holm_the_adjusted_p_is_p():
    one = Difference("AUROC", 0.2, 0.1, 0.3, 0.002, 10, 0.1)
    assert one.adjusted_p == 0.002
    assert dataclasses.replace(one, adjusted_p=0.5).verdict == "no difference shown"


# p-values


def test_ten_differences_of_one_sign_have_the_smallest_p_there_is():
    assert sign_flip_p(np.random.default_rng(0).random(10) + 0.1) == 2 / 1024
    assert sign_flip_p([0.1] * 10) == 2 / 1024
    assert sign_flip_p([0.1] * 6) == 2 / 64
    assert sign_flip_p([0.1] * 15) == 2 / 2**15
    assert sign_flip_p([0.0] * 10) == 1
    assert sign_flip_p([0.3]) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=8))
def test_signs_are_counted_exactly_with_ties(values):
    signs = 1 - 2 * (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1)
    expected = np.mean(np.abs(signs @ values) >= abs(sum(values)))
    assert sign_flip_p(values) == pytest.approx(expected)
    assert sign_flip_p([-v for v in values]) == pytest.approx(expected)


def test_many_seeds_draw_signs_alike_each_time():
    values = np.random.default_rng(0).normal(0.3, 1, size=30)
    assert sign_flip_p(values) == sign_flip_p(values)
    assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)
    assert sign_flip_p(np.full(16, 0.1)) == pytest.approx(1 / 2**15, rel=3)


@pytest.mark.parametrize("n", [6, 10, 15, 16, 40])
def test_signs_agree_with_scipys_permutation_test(n):
    rng = np.random.default_rng(n)
    for centre in (0.0, 0.3, 0.6):
        values = rng.normal(centre, 1, size=n).round(1)
        theirs = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", vectorized=True, n_resamples=2**15, random_state=1
        )
        assert sign_flip_p(values) == pytest.approx(theirs.pvalue, abs=1e-12 if n <= 15 else 0.015)


def test_holm_on_a_worked_example():
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04; the last may not fall below .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).shape == (0,)
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([2 / 1024] * 25).max() <= 0.05


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=25))
def test_holm_keeps_the_order_and_only_ever_raises_p(values):
    adjusted, p = holm(values), np.array(values)
    assert (adjusted >= p).all()
    assert (adjusted <= len(p) * p.max() + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert adjusted[p.argmin()] == pytest.approx(min(1, p.min() * len(p)))


# Errors


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [[0.1]], [math.inf, 0.1]])
def test_sign_flip_refuses_what_it_cannot_use(values):
    with pytest.raises(InvalidInputError, match="differences must be"):
        sign_flip_p(values)


def test_holm_refuses_a_larger_family_and_what_is_no_p():
    with pytest.raises(InvalidInputError, match="at most 25 comparisons, not 26"):
        holm([0.5] * 26)
    for wrong in (math.nan, -0.1, 1.1):
        with pytest.raises(InvalidInputError, match=r"\[0, 1\]"):
            holm([0.5, wrong])


def test_bad_input_is_named():
    probabilities, labels = classifier(np.random.default_rng(0), seeds=2, images=12)
    groups = np.arange(12)
    with pytest.raises(UnknownNameError, match="Did you mean 'AUROC'"):
        estimate("auroc", probabilities, labels, groups, [])
    with pytest.raises(UnknownNameError, match="recall of class 3"):
        estimate("recall of class 3", probabilities, labels, groups, [])
    with pytest.raises(InvalidInputError, match="rare classes"):
        estimate("rare recall", probabilities, labels, groups, [3])
    for p, y, g in [
        (probabilities[0], labels, groups),
        (probabilities[:0], labels, groups),
        (probabilities, labels[1:], groups),
        (probabilities, labels, groups[1:]),
        (probabilities[:, :0], labels[:0], groups[:0]),
    ]:
        with pytest.raises(InvalidInputError, match=r"\(S, N, C\)"):
            estimate("accuracy", p, y, g, [])
    with pytest.raises(InvalidInputError, match="labels"):
        estimate("accuracy", probabilities, labels + 1, groups, [])
    with pytest.raises(InvalidInputError, match="same seeds"):
        difference("accuracy", probabilities, probabilities[:1], labels, groups, [])
    broken = probabilities.copy()
    broken[1, 3:5] = math.nan
    with pytest.raises(InvalidInputError, match="2 rows"):
        difference("accuracy", probabilities, broken, labels, groups, [])
    assert issubclass(UnknownNameError, CareeduError)


@pytest.mark.alone
@pytest.mark.parametrize("per_group", [1, 8])
def test_a_whole_table_is_quick(per_group):
    """Nine methods, ten seeds, six metrics, 300 test images, all differences to the first method."""
    rng = np.random.default_rng(0)
    methods = [classifier(rng, images=300, classes=4)[0] for _ in range(9)]
    labels, groups = np.arange(300) % 4, np.arange(300) // per_group
    start = time.process_time()
    for name in metrics.METRICS:
        table = [estimate(name, p, labels, groups, [3]) for p in methods]
        family = [difference(name, p, methods[0], labels, groups, [3]) for p in methods[1:]]
        holm([d.p for d in family])
    assert time.process_time() - start < 1.5
    assert all(isinstance(e, Estimate) for e in table)
