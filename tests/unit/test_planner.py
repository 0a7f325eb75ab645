"""How many patients it takes: the planner says what simulated studies show, judged by the package's own verdicts."""

from __future__ import annotations

import inspect
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import made_up_run
from scipy import optimize, special
from simulated import logit_of, normal_nodes

import careedu
from careedu.checks.planner import Design, smallest_differences
from careedu.errors import InvalidInputError
from careedu.measure.crossed import spread_of_images
from careedu.measure.paired_shares import paired_spread
from careedu.measure.statistics import difference_of, holm

SEED, GROUP, BOTH, IMAGE = range(4)
CLOSE = 0.02


def drawn_case(rng):
    """An experiment, and standard deviations in logits of what two methods share and of what is each one's own.

    Images of a patient have as large a part in common of the one as of the other.
    """
    patient, shared, own = rng.uniform(), rng.uniform(0.5, 4), rng.uniform(0, 1.8)
    return {
        "patients": round(float(np.exp(rng.uniform(np.log(5), np.log(120))))),
        "images": int(rng.integers(1, 7)),
        "seeds": int(rng.integers(6, 21)),
        "recall": float(rng.uniform(0.4, 0.9)),
        "methods": int(rng.choice([2, 2, 2, 3, 4])),
        "shared": (rng.uniform(0, 0.5), shared * patient**0.5, rng.uniform(0, 0.5), shared * (1 - patient) ** 0.5),
        "own": (rng.uniform(0.02, 0.5), own * patient**0.5, rng.uniform(0, 0.5), own * (1 - patient) ** 0.5),
    }


def total(case):
    """Standard deviation of all that a logit is a sum of."""
    return float(np.hypot(np.linalg.norm(case["shared"]), np.linalg.norm(case["own"])))


def spread_of(case):
    """What the planner is told of a case: the truth, for two equally good methods, by integration."""
    nodes, weights = normal_nodes()
    recall, shared, own = case["recall"], np.square(case["shared"]), np.square(case["own"])
    alpha, variance = logit_of(recall, total(case)), total(case) ** 2

    def covariance(parts, same_method):
        """Of whether two images are found that have these parts of the logit in common."""
        common = min(variance, sum(shared[part] + same_method * own[part] for part in parts))
        z = alpha + np.sqrt(common) * nodes[:, None] + np.sqrt(variance - common) * nodes
        return float(weights @ (special.expit(z) @ weights) ** 2) - recall**2

    def of_difference(parts):
        return 2 * (covariance(parts, True) - covariance(parts, False))

    chance, image = recall * (1 - recall), (GROUP, IMAGE)
    disagreeing = 2 * (chance - covariance(range(4), False))
    return {
        "disagreement": disagreeing / (2 * chance),
        "lasting": max(0.0, of_difference(image)) / disagreeing,
        "correlation": covariance((GROUP,), True) / covariance(image, True),
        "seed_spread": float(np.sqrt(of_difference((SEED,)))),
    }


def planned(case):
    """What the planner says of a case."""
    return careedu.smallest_difference(
        case["patients"],
        case["images"],
        case["seeds"],
        recall=case["recall"],
        methods=case["methods"],
        **spread_of(case),
    )


def groups_of(case):
    """Patients of the images."""
    return np.repeat(np.arange(case["patients"]), case["images"])


def hits_of(rng, case, recalls):
    """Whether methods of these recalls find each image under each seed, bool (methods, S, N)."""
    groups, seeds = groups_of(case), case["seeds"]
    z = np.zeros((len(recalls), seeds, len(groups)))
    for scale, leading in ((case["shared"], 1), (case["own"], len(recalls))):
        z += scale[SEED] * rng.normal(size=(leading, seeds, 1))
        z += scale[GROUP] * rng.normal(size=(leading, 1, case["patients"]))[..., groups]
        z += scale[BOTH] * rng.normal(size=(leading, seeds, case["patients"]))[..., groups]
        z += scale[IMAGE] * rng.normal(size=(leading, 1, len(groups)))
    alphas = np.array([logit_of(min(recall, 1 - 1e-6), total(case)) for recall in recalls])[:, None, None]
    return rng.random(z.shape) < special.expit(z + alphas)


def is_shown(rng, case, difference):
    """Whether one simulated study calls the second method better; all others are as good as the first."""
    recalls = [case["recall"], case["recall"] + difference, *[case["recall"]] * (case["methods"] - 2)]
    spreads = [spread_of_images(hits, groups_of(case)) for hits in hits_of(rng, case, recalls)]
    found = [difference_of("recall", one, spreads[0]) for one in spreads[1:]]
    adjusted = float(holm([one.p for one in found])[0])
    return replace(found[0], adjusted_p=adjusted).verdict == "better"


def simulated(case, near, draws, rng):
    """The difference that four studies in five show, by probit regression on studies of differences near a guess.

    Above all there is room for where none is shown so often.
    """
    room = 1 - case["recall"]
    differences = np.linspace(0.65 * near, min(room, 1.35 * near), 25)
    each = draws // len(differences)
    shown = np.array([sum(is_shown(rng, case, d) for _ in range(each)) for d in differences])

    def design(d):
        return np.vander((d - near) / near, 3)

    def loss(weights):
        share = np.clip(special.ndtr(design(differences) @ weights), 1e-9, 1 - 1e-9)
        return -(shown * np.log(share) + (each - shown) * np.log(1 - share)).sum()

    weights = optimize.minimize(loss, [0, 2.5, 0.84]).x
    fine = np.linspace(differences[0], differences[-1], 2001)
    enough = fine[special.ndtr(design(fine) @ weights) >= 0.8]
    return float(enough[0]) if len(enough) else np.inf


def gap_of(case, draws, rng):
    """Planner less simulation; where either says that nothing can be shown, all the room there is counts."""
    room = 1 - case["recall"]
    said = planned(case)
    return min(said, room) - min(simulated(case, said if said < room else 0.8 * room, draws, rng), room)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_it_says_what_simulated_studies_show(number):
    rng = np.random.default_rng([2026, number])
    case = drawn_case(rng)
    gap = gap_of(case, 1250, rng)
    print(f"{planned(case):.3f}, gap {gap:+.3f}: {case}")
    assert abs(gap) <= CLOSE


# What is read off results


def comparison_of(a, b, groups):
    """Results of which the rare images are found as is said; every other image is."""
    truth = np.array([0, 1] + [2] * len(groups))
    runs = {}
    for name, hits in {"theirs": b, "ours": a}.items():
        runs[name] = {}
        for seed, found in enumerate(hits):
            run, called = made_up_run("cross-entropy", seed, per_class=(1, 1, len(groups))), truth.copy()
            called[2:] = np.where(found, 2, 0)
            own = {"labels": truth, "groups": np.array(["a", "b", *(f"patient {group}" for group in groups)])}
            ids = np.array([f"image {i}" for i in range(len(truth))])
            runs[name][seed] = replace(run, probabilities=np.eye(3)[called], ids=ids, **own)
    return careedu.Comparison(runs, reference="theirs")


@pytest.mark.parametrize("number", range(4))
def test_a_design_is_read_off_results_as_it_is(number):
    rng = np.random.default_rng([2027, number])
    case = {**drawn_case(rng), "patients": 1500, "images": 4, "seeds": 30}
    b, a = hits_of(rng, case, [case["recall"]] * 2)
    found = careedu.design_of(comparison_of(a, b, groups_of(case)), "ours")
    true = spread_of(case)
    print(found, true)
    assert (found["images"], found["seeds"]) == (4, 30)
    assert found["recall"] == pytest.approx(case["recall"], abs=0.04)
    for name, close in {"disagreement": 0.03, "lasting": 0.03, "correlation": 0.06, "seed_spread": 0.02}.items():
        assert found[name] == pytest.approx(true[name], abs=close), name
    options = {"images": 4, "seeds": 30, "recall": case["recall"]}
    assert careedu.smallest_difference(40, **found) == pytest.approx(
        careedu.smallest_difference(40, **options, **true), abs=0.015
    )


def test_a_design_by_hand():
    """Four images of two patients, two seeds; D is 1, 0, −1, 0 and 1, 0, 0, 0."""
    a = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=bool)
    b = np.array([[0, 1, 1, 0], [0, 1, 0, 0]], dtype=bool)
    found = careedu.design_of(comparison_of(a, b, [0, 0, 1, 1]), "ours", "theirs")
    # D_s = 0, 1/4; D_i = 1, 0, −1/2, 0; D = 1/8; what is left ±(1/8, 1/8, −3/8, 1/8).
    rest = 2 * (3 / 64 + 9 / 64) / 3
    by_seed = 1 / 32 - rest / 4
    lasting = np.var([1, 0, -0.5, 0], ddof=1) - rest / 2
    assert found["recall"] == 3 / 8
    assert found["disagreement"] == pytest.approx((3 / 8) / (1 / 2 + 3 / 8 - 2 * 3 / 16))
    assert found["lasting"] == pytest.approx(lasting / (lasting + rest + max(0, by_seed)))
    assert found["seed_spread"] == pytest.approx(max(0, by_seed) ** 0.5)
    # Both images of the first patient by 1, 1 and 0, 1; of the second by 0, 0 and 1/2, 0.
    products = np.mean([0.25, 0.25, (0 - 3 / 8) * (1 - 3 / 8), (0.5 - 3 / 8) * (0 - 3 / 8)])
    steady = (0.25 + np.var([0, 1, 0.5, 0])) / 2 - 0.25 / 8
    assert found["correlation"] == pytest.approx(max(0, products / steady))


def test_a_design_of_images_that_are_no_patients():
    rng = np.random.default_rng(0)
    case = {**drawn_case(rng), "patients": 200, "images": 1, "seeds": 10}
    found = careedu.design_of(comparison_of(*hits_of(rng, case, [0.7, 0.7]), groups_of(case)), "ours")
    assert found["images"] == 1 and found["correlation"] == 0
    assert np.isfinite(careedu.smallest_difference(200, **found))


def test_a_design_without_differences_is_refused():
    same = np.ones((6, 9), dtype=bool)
    with pytest.raises(InvalidInputError, match="'ours' and 'theirs' never differ on 9 rare test images with 6 seeds"):
        careedu.design_of(comparison_of(same, same, range(9)), "ours")
    with pytest.raises(InvalidInputError, match="with 1 seeds"):
        careedu.design_of(comparison_of(same[:1], ~same[:1], range(9)), "ours")


# Limits


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((4,), {}),
        ((4, 100), {}),
        ((1,), {}),
        ((1000, 1, 5), {}),
        ((1000, 1, 6), {"methods": 3}),
        ((1000, 1, 9), {"methods": 26}),
        ((1000,), {"recall": 1.0}),
        ((12,), {"recall": 0.98}),
        ((5,), {}),
    ],
)
def test_where_nothing_can_be_shown(arguments, options):
    assert careedu.smallest_difference(*arguments, **options) == np.inf


@pytest.mark.parametrize(("seeds", "methods"), [(6, 2), (7, 4), (10, 26), (20, 26)])
def test_seeds_are_enough_where_a_verdict_is_possible(seeds, methods):
    fewest = 2 / 2**seeds * (methods - 1) <= 0.05
    assert fewest and careedu.smallest_difference(500, 1, seeds, methods=methods) < 0.2


def test_many_seeds_and_images_leave_the_binomial_paired_test():
    """With one look at each image and seeds that hardly differ it is McNemar's test: d ≈ (1.96 + .84) √(q − d²)/√n."""
    n, found = 400, careedu.smallest_difference(400, 1, 1000, recall=0.5, lasting=0.98, seed_spread=0.0)
    assert found == pytest.approx(2.8 * np.sqrt((0.25 - found**2) / n), rel=0.03)


def test_without_patients_seeds_are_what_is_left():
    """With patients in plenty it is a t-test over seeds."""
    found = careedu.smallest_difference(10**6, 1, 12, recall=0.5, seed_spread=0.05)
    power = special.nctdtr(11, found * np.sqrt(12) / 0.05, special.stdtrit(11, 0.975))
    assert 1 - power == pytest.approx(0.8, abs=0.03)


# More of everything helps

PLANS = st.fixed_dictionaries(
    {
        "images": st.integers(1, 8),
        "seeds": st.integers(6, 25),
        "recall": st.floats(0.2, 0.95),
        "disagreement": st.floats(0.1, 1),
        "lasting": st.floats(0, 0.6),
        "correlation": st.floats(0, 1),
        "seed_spread": st.floats(0, 0.08),
        "methods": st.integers(2, 5),
    }
)


@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_more_patients_never_show_less(plan):
    found = smallest_differences(np.unique(np.geomspace(5, 2000, 30).astype(int)), Design(**plan))
    assert not (found[1:] > found[:-1]).any()
    assert (found[np.isfinite(found)] <= 1 - plan["recall"]).all()


@settings(max_examples=60, deadline=None)
@given(PLANS, st.integers(5, 300))
def test_more_images_methods_and_power(plan, patients):
    base = careedu.smallest_difference(patients, **plan)
    slack = 0.01  # patients drawn for cumulants are others with other images
    assert careedu.smallest_difference(patients, **{**plan, "images": 2 * plan["images"]}) <= base + slack
    assert careedu.smallest_difference(patients, **{**plan, "methods": plan["methods"] + 1}) >= base
    assert careedu.smallest_difference(patients, **plan, power=0.9) >= base
    assert careedu.smallest_difference(patients, **{**plan, "seed_spread": plan["seed_spread"] + 0.05}) >= base - slack


@settings(max_examples=60, deadline=None)
@given(PLANS, st.floats(0.01, 0.5))
def test_patients_needed_is_the_inverse(plan, difference):
    try:
        fewest = careedu.patients_needed(difference, **plan)
    except InvalidInputError as error:
        least = careedu.smallest_difference(10**7, **plan)
        assert least > difference or difference > 1 - plan["recall"], error
        return
    assert fewest >= 5 and careedu.smallest_difference(fewest, **plan) <= difference + 1e-6
    assert careedu.smallest_difference(fewest - 1, **plan) >= difference - 1e-6


# Errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: careedu.smallest_difference(0), "patients=0"),
        (lambda: careedu.smallest_difference(2.5), "patients=2.5"),
        (lambda: careedu.smallest_difference(12, 0), "images=0"),
        (lambda: careedu.smallest_difference(12, 1, 0), "seeds=0"),
        (lambda: careedu.smallest_difference(12, recall=1.1), "recall=1.1"),
        (lambda: careedu.smallest_difference(12, recall=0), "recall=0"),
        (lambda: careedu.smallest_difference(12, disagreement=0), "disagreement=0"),
        (lambda: careedu.smallest_difference(12, lasting=-0.1), "lasting=-0.1"),
        (lambda: careedu.smallest_difference(12, correlation=float("nan")), "correlation=nan"),
        (lambda: careedu.smallest_difference(12, seed_spread=2), "seed_spread=2"),
        (lambda: careedu.smallest_difference(12, methods=1), "methods=1"),
        (lambda: careedu.smallest_difference(12, methods=27), "methods=27"),
        (lambda: careedu.smallest_difference(12, power=1), "power=1"),
        (lambda: careedu.patients_needed(0), "difference=0"),
        (lambda: careedu.patients_needed(1.0), "difference=1.0"),
        (lambda: careedu.patients_needed(0.3), "difference of 0.3: recall is 0.8 already"),
        (lambda: careedu.patients_needed(0.02, seed_spread=0.1), "10 seeds .* show 0.087 at best: take more seeds"),
        (lambda: careedu.patients_needed(0.1, seeds=5), "5 seeds in a table of 2 methods show none: take more seeds"),
    ],
)
def test_what_cannot_be_is_named(call, words):
    with pytest.raises(InvalidInputError, match=words):
        call()


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="recal"):
        careedu.smallest_difference(12, recal=0.7)


# What it stands on


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_the_spread_at_no_difference_is_what_was_asked_for(plan):
    recall, disagreement = plan["recall"], plan["disagreement"]
    options = {name: value for name, value in plan.items() if name != "methods"}
    differences, (by_seed, of_group, rest, *_) = paired_spread(**options)
    assert differences[0] == 0 and differences[-1] == pytest.approx(1 - recall)
    total = 2 * recall * (1 - recall) * disagreement
    lasting = total * plan["lasting"] * (1 + (plan["images"] - 1) * plan["correlation"]) / plan["images"]
    assert of_group[0] - rest[0] / plan["seeds"] == pytest.approx(lasting, abs=2e-3)
    left = min(plan["seed_spread"] ** 2, 0.99 * total * (1 - plan["lasting"]))
    assert by_seed[0] == pytest.approx(left, abs=2e-3)
    assert rest[0] * plan["images"] == pytest.approx(total * (1 - plan["lasting"]) - left, abs=3e-3)
    # Where the better method finds all, the other's misses are all there is.
    at_most = by_seed[-1] + plan["images"] * (of_group[-1] + rest[-1])
    assert at_most >= recall * (1 - recall) - 2e-3 and by_seed[-1] <= by_seed[0] + 1e-12


@cache
def milliseconds(seeds):
    start = time.process_time()
    careedu.smallest_difference(30, 5, seeds)
    return 1000 * (time.process_time() - start)


def test_it_takes_milliseconds():
    careedu.smallest_difference(30, 5)
    assert min(map(milliseconds, range(8, 16))) < 40


def test_the_defaults_are_said():
    said = inspect.getdoc(careedu.smallest_difference)
    for name, value in vars(Design()).items():
        if name not in ("images", "seeds", "recall"):
            assert f"{name} : {type(value).__name__}, {value:g}".replace("0.", ".") in said
