"""Precision at a stated prevalence: against counting, against its own equation, and against simulated truth."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score

from careedu.errors import InvalidInputError
from careedu.measure import precision
from careedu.measure.intervals import recall_interval
from careedu.measure.precision import (
    average_precision_interval,
    positive_predictive_value,
    positive_predictive_value_interval,
)

PREVALENCES = (0.01, 0.1, 0.3)


def called(found, rare, alarms, others):
    """Decisions, truth and groups of one image each: `found` of `rare` and `alarms` of `others` are called diseased."""
    decisions = np.r_[np.arange(rare) < found, np.arange(others) < alarms]
    return decisions, np.arange(rare + others) < rare, np.arange(rare + others)


# The value


@given(*[st.floats(0.01, 0.99)] * 3)
def test_it_is_bayes_rule_by_counting(sensitivity, specificity, prevalence):
    patients = 1_000_000
    ill = patients * prevalence
    found, alarms = ill * sensitivity, (patients - ill) * (1 - specificity)
    assert positive_predictive_value(sensitivity, specificity, prevalence) == pytest.approx(found / (found + alarms))


def test_a_test_that_never_alarms_has_no_predictive_value():
    assert math.isnan(positive_predictive_value(0.0, 1.0, 0.1))
    interval = positive_predictive_value_interval(*called(0, 10, 0, 20), 0.1)
    assert math.isnan(interval.estimate) and interval[1:] == (0.0, 1.0)


# Its interval


def ratio_limits(s, a):
    """Limits of s/a by a root finder on the equation in the docstring, where no share is 0."""

    def low(top, bottom):
        def gap(r):
            reach = math.hypot(top.estimate - top.low, r * (bottom.high - bottom.estimate))
            return top.estimate - r * bottom.estimate - reach

        return brentq(gap, 0, top.estimate / bottom.estimate, xtol=1e-14)

    return low(s, a), 1 / low(a, s)


@pytest.mark.parametrize("prevalence", PREVALENCES)
@pytest.mark.parametrize(("found", "alarms"), [(40, 5), (20, 50), (1, 1), (50, 3), (7, 249)])
def test_its_ends_solve_the_stated_equation(found, alarms, prevalence):
    s, a = (recall_interval(np.arange(n) < k, np.arange(n)) for k, n in ((found, 50), (alarms, 250)))
    odds = prevalence / (1 - prevalence)
    expected = [ratio * odds / (1 + ratio * odds) for ratio in ratio_limits(s, a)]
    interval = positive_predictive_value_interval(*called(found, 50, alarms, 250), prevalence)
    assert interval.estimate == pytest.approx(positive_predictive_value(found / 50, 1 - alarms / 250, prevalence))
    assert interval[1:] == pytest.approx(expected, abs=1e-9)


def test_where_nothing_or_all_is_found_no_end_is_taken_for_certain():
    nothing_right = positive_predictive_value_interval(*called(0, 50, 5, 250), 0.1)
    assert nothing_right[:2] == (0, 0) and 0.1 < nothing_right.high < 0.9
    no_alarm = positive_predictive_value_interval(*called(40, 50, 0, 250), 0.1)
    assert no_alarm[::2] == (1, 1) and 0.5 < no_alarm.low < 0.9
    everything = positive_predictive_value_interval(*called(50, 50, 250, 250), 0.1)
    assert everything.estimate == pytest.approx(0.1) and everything.low < 0.1 < everything.high


cases = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 8)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(cases, st.sampled_from(PREVALENCES))
def test_it_lies_in_the_unit_range_holds_the_estimate_and_forgets_order_and_names(case, prevalence):
    decisions, truth, groups = (np.array(column) for column in zip(*case, strict=True))
    interval = positive_predictive_value_interval(decisions, truth, groups, prevalence)
    assert all(type(value) is float for value in interval)
    assert 0 <= interval.low <= interval.high <= 1
    assert math.isnan(interval.estimate) or interval.low <= interval.estimate <= interval.high
    names = np.array([f"patient {9 - g}" for g in groups])
    again = positive_predictive_value_interval(decisions[::-1], truth[::-1], names[::-1], prevalence)
    assert again == pytest.approx(interval, nan_ok=True, abs=1e-12)


def test_one_kind_of_images_alone_tells_no_precision():
    for truth in (np.ones(9, bool), np.zeros(9, bool)):
        interval = positive_predictive_value_interval(np.ones(9, bool), truth, np.arange(9), 0.1)
        assert math.isnan(interval.estimate) and interval[1:] == (0.0, 1.0)


def test_ten_images_of_one_patient_tell_less_than_ten_patients():
    rng = np.random.default_rng(0)
    truth, patient = np.arange(300) < 100, np.arange(300) // 10
    decisions = np.repeat(rng.random(30) < np.where(np.arange(30) < 10, 0.6, 0.3), 10)
    image = 1000 + np.arange(300)
    # by image; by patient the diseased alone, the others alone, and both
    grouped = [image, np.where(truth, patient, image), np.where(truth, image, patient), patient]
    intervals = [positive_predictive_value_interval(decisions, truth, groups, 0.1) for groups in grouped]
    none, ill, well, both = (interval.high - interval.low for interval in intervals)
    assert len({interval.estimate for interval in intervals}) == 1
    assert min(ill, well) > 1.2 * none and both > max(ill, well) and both > 2 * none


def test_more_confidence_is_wider():
    wide, narrow = (positive_predictive_value_interval(*called(40, 50, 9, 250), 0.1, level) for level in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("interval", [positive_predictive_value_interval, average_precision_interval])
def test_bad_input_is_refused(interval):
    decisions, truth, groups = called(4, 5, 2, 6)
    for prevalence in (0, 1, -0.1, 10, math.nan):
        with pytest.raises(InvalidInputError, match=r"prevalence=.* must be a number in \(0, 1\)"):
            interval(decisions, truth, groups, prevalence)
    for wrong in [(decisions[1:], truth, groups), (decisions, truth, groups[1:]), (decisions[None],) * 3]:
        with pytest.raises(InvalidInputError, match=r"must all be \(N,\)"):
            interval(*wrong, 0.1)


def drawn(rng, groups, share, per_group, correlation):
    """Beta-binomial groups: `correlation` between two images of one; 0 for images of their own."""
    if correlation == 0 or share in (0, 1):
        return rng.random(groups * per_group) < share
    strength = (1 - correlation) / correlation
    own = rng.beta(share * strength, (1 - share) * strength, size=groups)
    return (rng.random((groups, per_group)) < own[:, None]).ravel()


@pytest.mark.slow
@pytest.mark.parametrize(("per_group", "correlation"), [(1, 0.0), (5, 0.2)])
@pytest.mark.parametrize(("sensitivity", "specificity"), [*itertools.product((0.4, 0.8, 1.0), (0.8, 0.97))])
def test_precision_is_covered_as_stated(sensitivity, specificity, per_group, correlation):
    """50 images of the disease and 250 others; 95 % means 92 to 98.5 %, whatever the prevalence.

    The lowest are few false alarms that come in groups: their share is known the least.
    """
    rng = np.random.default_rng(1)
    truth, groups = np.arange(300) < 50, np.arange(300) // per_group
    held = {prevalence: [] for prevalence in PREVALENCES}
    for draw in range(1200):
        found = drawn(rng, 50 // per_group, sensitivity, per_group, correlation)
        alarms = drawn(rng, 250 // per_group, 1 - specificity, per_group, correlation)
        prevalence = PREVALENCES[draw % 3]
        value = positive_predictive_value(sensitivity, specificity, prevalence)
        interval = positive_predictive_value_interval(np.r_[found, alarms], truth, groups, prevalence)
        held[prevalence].append(interval.low <= value <= interval.high)
    share = np.mean(list(held.values()))
    each = ", ".join(f"{np.mean(rows):.1%} at {prevalence}" for prevalence, rows in held.items())
    print(f"groups of {per_group}, sensitivity {sensitivity}, specificity {specificity}: covered {share:.1%} ({each})")
    assert 0.92 <= share <= 0.985


@pytest.mark.slow
def test_intervals_over_single_images_promise_too_much():
    rng = np.random.default_rng(2)
    truth, value = np.arange(300) < 50, positive_predictive_value(0.4, 0.8, 0.1)
    held = 0
    for _ in range(500):
        decisions = np.r_[drawn(rng, 5, 0.4, 10, 0.4), drawn(rng, 25, 0.2, 10, 0.4)]
        interval = positive_predictive_value_interval(decisions, truth, np.arange(300), 0.1)
        held += interval.low <= value <= interval.high
    assert held / 500 < 0.85


# Average precision


def test_average_precision_on_a_worked_example():
    """Scores from high to low: ill, well, ill, well. At prevalence .1 an ill image weighs .05, a well one .45."""
    scores, truth = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    expected = 0.5 * 1 + 0.5 * 0.1 / (0.1 + 0.45)
    interval = average_precision_interval(scores, truth, list("abcd"), 0.1)
    assert interval == pytest.approx((expected, 0, 1))


def test_average_precision_is_that_of_ranks():
    rng = np.random.default_rng(5)
    truth = np.arange(300) < 60
    scores = rng.normal(size=300) + truth
    interval = average_precision_interval(scores, truth, np.arange(300), 0.3)
    assert interval.estimate == pytest.approx(average_precision_score_at(0.3, scores, truth))


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 90), st.sampled_from([2, 7, 1000]))
def test_all_blocks_at_once_are_left_out_as_one_by_one(seed, ill, well, levels):
    """Also where images score alike, and where the best ones are left out; scikit-learn counts one by one."""
    rng = np.random.default_rng(seed)
    truth = np.arange(ill + well) < ill
    block = np.r_[rng.permutation(np.arange(ill) % 5), rng.permutation(np.arange(well) % 7)]
    scores = rng.integers(0, levels, ill + well) / levels
    at_once = precision._average_precision_without(scores, truth, 0.2, block)
    assert len(at_once) == block.max() + 1
    for number, found in enumerate(at_once):
        left = block != number
        weight = np.where(truth, 0.2 / truth[left].sum(), 0.8 / (~truth)[left].sum())
        expected = average_precision_score(truth[left], scores[left], sample_weight=weight[left])
        assert found == pytest.approx(expected, abs=1e-12)


def test_a_blind_score_has_the_prevalence_as_average_precision():
    truth = np.arange(40) < 10
    interval = average_precision_interval(np.ones(40), truth, np.arange(40), 0.2)
    assert interval.estimate == pytest.approx(0.2)


def test_one_kind_of_images_alone_has_no_average_precision():
    interval = average_precision_interval(np.ones(5), np.ones(5, bool), np.arange(5), 0.2)
    assert math.isnan(interval.estimate) and interval[1:] == (0.0, 1.0)


def test_where_one_false_alarm_weighs_much_the_average_precision_is_left_open():
    """At a prevalence of 1/3 one of 99 others weighs 2/99 and one of 101 weighs 2/101; groups count, not images."""
    rng = np.random.default_rng(4)

    def interval(others, groups):
        truth = np.arange(20 + others) < 20
        return average_precision_interval(rng.normal(size=20 + others) + truth, truth, groups, 1 / 3)

    assert interval(99, np.arange(119))[1:] == (0, 1)
    assert interval(202, np.arange(222) // 4)[1:] == (0, 1)
    few, many = interval(101, np.arange(121)), interval(404, np.arange(424) // 4)
    assert all(0 < i.low < i.estimate < i.high < 1 for i in (few, many))


@pytest.mark.slow
@pytest.mark.parametrize(("prevalence", "others"), [(0.1, 450), (0.3, 117)])
def test_average_precision_is_covered_about_as_stated_with_the_fewest_images_that_may(prevalence, others):
    rng = np.random.default_rng(3)

    def draw(ill, well):
        truth = np.arange(ill + well) < ill
        return rng.normal(size=ill + well) + 1.5 * truth, truth, rng.permutation(ill + well)

    value = average_precision_score_at(prevalence, *draw(100_000, 100_000)[:2])
    intervals = [average_precision_interval(*draw(50, others), prevalence) for _ in range(150)]
    share = np.mean([i.low <= value <= i.high for i in intervals])
    print(f"average precision {value:.2f} at prevalence {prevalence}, {others} others: covered {share:.1%}")
    assert 0.87 <= share <= 0.985
    assert max(i.high - i.low for i in intervals) < 0.6


def average_precision_score_at(prevalence, scores, truth):
    """Average precision by its definition, from ranks."""
    truth = truth[np.argsort(-scores)]
    found, alarms = np.cumsum(truth) / truth.sum(), np.cumsum(~truth) / (~truth).sum()
    return (found * prevalence / (found * prevalence + alarms * (1 - prevalence)))[truth].mean()
