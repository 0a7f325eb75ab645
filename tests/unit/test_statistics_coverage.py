"""How often intervals and verdicts are right, on simulated results whose truth is known.

An image is found with probability 1/(1+e^−z), z = α + seed + group + (seed, group) + image, each a normal deviate; the
truth is the mean over all seeds, groups and images. Standard deviations are in logits.
"""

import numpy as np
import pytest
from scipy import special, stats
from simulated import POPULATIONS, USUAL, logit_of, normal_nodes, simulate

from careedu.measure.statistics import FEWEST_SEEDS, difference, estimate, holm, sign_flip_p

pytestmark = pytest.mark.slow

SEEDS, PER_GROUP = 10, 5
RECALL = "recall of class 0"


def deviates(rng, groups, scale, per_group=PER_GROUP):
    """Seed + group + (seed, group) + image, (S, G, images)."""
    shapes = (SEEDS, 1, 1), (1, groups, 1), (SEEDS, groups, 1), (1, groups, per_group)
    return sum(s * rng.normal(size=shape) for s, shape in zip(scale, shapes, strict=True))


def drawn(rng, share, groups, scale=USUAL, per_group=PER_GROUP):
    """Whether each image is found, bool (S, G, images), with the share in truth."""
    z = logit_of(share, float(np.linalg.norm(scale))) + deviates(rng, groups, scale, per_group)
    return rng.random(z.shape) < special.expit(z)


def one_class(hits):
    """Probabilities, labels and groups of one class with the hits (S, G, images)."""
    n_groups, per_group = hits.shape[1:]
    share = hits.reshape(len(hits), -1).astype(float)
    groups = np.repeat(np.arange(n_groups), per_group)
    return np.stack([share, 1 - share], axis=2), np.zeros(len(groups), int), groups


def several_classes(hits):
    """The same for a list of classes; a miss is taken for the next class."""
    labels = np.concatenate([np.full(h[0].size, c) for c, h in enumerate(hits)])
    hit = np.concatenate([h.reshape(len(h), -1) for h in hits], axis=1)
    groups = np.concatenate([np.arange(h[0].size) // h.shape[2] + 1000 * c for c, h in enumerate(hits)])
    return np.eye(len(hits))[np.where(hit, labels, (labels + 1) % len(hits))], labels, groups


def coverage(intervals, truth):
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def ends(result):
    return result.low, result.high


def told(capsys, text):
    with capsys.disabled():
        print(f"\n    {text}", end="")


# A recall


def recall_coverage(share, groups, draws, scale=USUAL, per_group=PER_GROUP):
    rng = np.random.default_rng(11)
    results = (estimate(RECALL, *one_class(drawn(rng, share, groups, scale, per_group)), []) for _ in range(draws))
    return coverage(map(ends, results), share)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_a_recall_over_ten_seeds_and_forty_groups_is_covered_as_stated(share, capsys):
    held = recall_coverage(share, 40, 2000)
    told(capsys, f"recall {share}, 10 seeds, 40 groups: covered {held:.1%}")
    # Near 0 and 1 hardly a group tells how far groups vary: then the interval is wider than it need be.
    assert 0.93 <= held <= (0.975 if 0.1 <= share <= 0.9 else 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
def test_a_recall_over_forty_single_images_is_covered_as_stated(share):
    assert 0.93 <= recall_coverage(share, 40, 1000, per_group=1) <= (0.975 if 0.1 <= share <= 0.9 else 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
def test_eight_groups_are_few_and_told(share, capsys):
    held = recall_coverage(share, 8, 1000)
    told(capsys, f"recall {share}, 10 seeds, 8 groups: covered {held:.1%}")
    assert held >= 0.93


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_seeds_that_differ_more_than_groups_are_covered_nine_times_in_ten(share, capsys):
    """Ten seeds a whole logit apart: a mean of so few skewed values is harder than its interval knows."""
    held = recall_coverage(share, 40, 1000, scale=(1.0, 0.3, 0.3, 0.3))
    told(capsys, f"recall {share}, 10 very different seeds, 40 groups: covered {held:.1%}")
    assert 0.90 <= held <= 0.97


def test_less_than_all_of_it_promises_too_much(capsys):
    """Seeds alone, groups alone and percentile bootstraps of either or both, on the same draws."""
    rng = np.random.default_rng(12)
    scale, share, groups = (0.8, 1.5, 0.3, 0.3), 0.5, 8
    kept = {kind: [] for kind in ("ours", "seeds alone", "groups alone", "bootstrap")}
    for _ in range(1000):
        hits = drawn(rng, share, groups, scale)
        table = hits.mean(axis=2)
        kept["ours"].append(ends(estimate(RECALL, *one_class(hits), [])))
        for kind, means in (("seeds alone", table.mean(axis=1)), ("groups alone", table.mean(axis=0))):
            half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means)
            kept[kind].append((means.mean() - half, means.mean() + half))
        by_seed, by_group = (rng.multinomial(n, np.full(n, 1 / n), size=300) / n for n in table.shape)
        again = np.einsum("rs,sg,rg->r", by_seed, table, by_group)
        kept["bootstrap"].append(tuple(np.percentile(again, [2.5, 97.5])))
    held = {kind: coverage(intervals, share) for kind, intervals in kept.items()}
    told(capsys, "8 groups: " + ", ".join(f"{kind} {value:.1%}" for kind, value in held.items()))
    assert 0.93 <= held["ours"] <= 0.975
    assert held["seeds alone"] < 0.75
    assert held["groups alone"] < 0.93
    assert held["bootstrap"] < 0.92


# Other metrics


@pytest.mark.parametrize(("groups", "range_"), [((40, 40, 40), (0.93, 0.97)), ((60, 60, 8), (0.92, 0.99))])
def test_balanced_accuracy_is_covered_as_stated(groups, range_, capsys):
    """Recalls .9, .8 and .6; a seed that moves one class moves the others the same way by half."""
    rng, shares, draws = np.random.default_rng(13), (0.9, 0.8, 0.6), 1000
    intervals = []
    for _ in range(draws):
        alike = 0.3 * rng.normal(size=(SEEDS, 1, 1))
        hits = []
        for share, n in zip(shares, groups, strict=True):
            z = logit_of(share, float(np.hypot(np.linalg.norm(USUAL), 0.3))) + alike + deviates(rng, n, USUAL)
            hits.append(rng.random(z.shape) < special.expit(z))
        intervals.append(ends(estimate("balanced accuracy", *several_classes(hits), [])))
    held = coverage(intervals, float(np.mean(shares)))
    told(capsys, f"balanced accuracy, groups {groups}: covered {held:.1%}")
    assert range_[0] <= held <= range_[1]


@pytest.mark.parametrize(("groups", "range_"), [(40, (0.93, 0.975)), (8, (0.93, 1))])
def test_auroc_is_covered_as_stated(groups, range_, capsys):
    """Normal scores with a seed's own separation: an area of Φ(separation/√(2·variance)), averaged over seeds."""
    rng, intervals = np.random.default_rng(14), []
    labels, code = np.repeat([0, 1], groups * 3), np.arange(groups * 6) // 3
    nodes, weights = normal_nodes()
    truth = float(weights @ stats.norm.cdf((1.5 + 0.3 * nodes) / np.sqrt(2 * 2)))
    for _ in range(800):
        separation = 1.5 + 0.3 * rng.normal(size=(SEEDS, 1))
        own = rng.normal(size=(1, 2 * groups)) * np.sqrt(0.7) + rng.normal(size=(SEEDS, 2 * groups)) * np.sqrt(0.3)
        score = separation * labels + own[:, code] + rng.normal(size=(1, len(labels)))
        share = special.expit(score)
        intervals.append(ends(estimate("AUROC", np.stack([1 - share, share], axis=2), labels, code, [])))
    held = coverage(intervals, truth)
    told(capsys, f"AUROC, {groups} groups a class: covered {held:.1%}")
    assert range_[0] <= held <= range_[1]


# Differences


OWN = (0.3, 0.5, 0.3, 0.5)  # what is a method's own, on top of what all methods share


def method(rng, shared, share):
    """Hits of one method on test images and seeds that others share."""
    z = logit_of(share, float(np.hypot(np.linalg.norm(USUAL), np.linalg.norm(OWN)))) + shared
    z = z + deviates(rng, shared.shape[1], OWN)
    return rng.random(z.shape) < special.expit(z)


def pair(rng, shares, groups=40):
    shared = deviates(rng, groups, USUAL)
    (a, labels, code), (b, _, _) = (one_class(method(rng, shared, share)) for share in shares)
    return difference(RECALL, a, b, labels, code, [])


@pytest.mark.parametrize(
    ("shares", "groups"), [((0.7, 0.6), 40), ((0.6, 0.6), 40), ((0.95, 0.85), 40), ((0.7, 0.6), 8)]
)
def test_a_paired_difference_is_covered_as_stated(shares, groups, capsys):
    rng = np.random.default_rng(15)
    held = coverage((ends(pair(rng, shares, groups)) for _ in range(800)), shares[0] - shares[1])
    told(capsys, f"difference of recalls {shares}, {groups} groups: covered {held:.1%}")
    assert 0.93 <= held <= (0.98 if groups == 40 else 1)


@pytest.mark.parametrize("own", [(0.3, 0.0, 0.3, 0.0), OWN, (0.1, 1.0, 0.1, 1.0)])
def test_under_no_difference_a_table_says_better_at_most_once_in_twenty(own, capsys):
    """Eight methods against one. Methods may differ by seed alone or suit the test groups drawn by chance."""
    rng, tables, wrong = np.random.default_rng(16), 200, {"ours": 0.0, "seeds alone": 0.0}
    alpha = logit_of(0.7, float(np.hypot(np.linalg.norm(USUAL), np.linalg.norm(own))))
    for _ in range(tables):
        shared = alpha + deviates(rng, 40, USUAL)
        z = shared + np.stack([deviates(rng, 40, own) for _ in range(9)])
        hits = rng.random(z.shape) < special.expit(z)
        reference, labels, code = one_class(hits[0])
        family = [difference(RECALL, one_class(h)[0], reference, labels, code, []) for h in hits[1:]]
        if not any(d.low > 0 for d in family):
            continue
        apart = hits[1:].mean(axis=(2, 3)) - hits[0].mean(axis=(1, 2))
        for kind, p_values in (("ours", [d.p for d in family]), ("seeds alone", [sign_flip_p(row) for row in apart])):
            wrong[kind] += any(d.low > 0 and p <= 0.05 for d, p in zip(family, holm(p_values), strict=True)) / tables
    told(capsys, f"own deviations {own}: wrong {wrong['ours']:.1%}, by signs of seeds alone {wrong['seeds alone']:.1%}")
    assert wrong["ours"] <= 0.05
    if own[1] >= 1:
        assert wrong["seeds alone"] > 0.05


@pytest.mark.parametrize("groups", [5, 6, 7, 8, 10, 12, 16])
@pytest.mark.parametrize("classes", [1, 4])
def test_of_patients_who_are_found_or_not_few_verdicts_are_false(groups, classes):
    """Without simulation: each count of patients whom one method alone finds, with its probability; seeds agree.

    Patients may have images of four classes: they are no more patients for that.
    """
    labels, patient = np.tile(np.arange(classes), groups), np.repeat(np.arange(groups), classes)

    def shown(only_a, only_b):
        first = np.arange(groups)
        of_b, of_a = first >= only_a, (first < only_a) | (first >= only_a + only_b)
        a, b = (
            np.tile(np.eye(classes + 1)[np.where(one[patient], labels, labels + 1)], (FEWEST_SEEDS, 1, 1))
            for one in (of_a, of_b)
        )
        return difference("balanced accuracy", a, b, labels, patient, []).verdict in ("better", "worse")

    counts = [(i, j) for i in range(groups + 1) for j in range(groups + 1 - i)]
    told = np.array([shown(*count) for count in counts])
    for apart in (0.1, 0.3, 0.5):
        chance = [
            stats.multinomial.pmf([i, j, groups - i - j], groups, [apart / 2, apart / 2, 1 - apart]) for i, j in counts
        ]
        assert told @ chance <= 0.06


def test_the_smallest_difference_is_found_about_four_times_in_five(capsys):
    rng = np.random.default_rng(17)
    smallest = float(np.mean([pair(rng, (0.5, 0.5)).smallest for _ in range(100)]))
    results = [pair(rng, (0.5 + smallest / 2, 0.5 - smallest / 2)) for _ in range(300)]
    power = np.mean([d.verdict == "better" for d in results])
    told(capsys, f"a true difference of {smallest:.3f}, the smallest: found {power:.1%}")
    assert 0.65 <= power <= 0.95
    assert not any(d.verdict == "worse" for d in results)


def test_a_large_difference_is_better_whichever_way_and_never_with_few_seeds():
    rng = np.random.default_rng(18)
    for _ in range(50):
        assert pair(rng, (0.85, 0.4)).verdict == "better"
        assert pair(rng, (0.4, 0.85)).verdict == "worse"
    assert SEEDS >= FEWEST_SEEDS


@pytest.mark.parametrize(("kind", "groups"), [("one image each", 3), ("equal", 5), ("very unequal", 12)])
def test_where_groups_are_few_no_verdict_is_false_more_often(kind, groups, capsys):
    """A share of what tests/benchmarks/verdicts.py prints, with room for the chance of so few draws."""
    for name in ("all seeds agree on an image", "each suits some groups"):
        cell = simulate(POPULATIONS[name], kind, groups, seeds=10, methods=3, draws=150)
        told(capsys, f"{groups} groups, {kind}, {name}: false {max(cell.false.values()):.1%}, held {cell.covered:.1%}")
        assert max(cell.false.values()) <= 0.09
        assert min(cell.covered, cell.covered_difference) >= 0.91
        assert (cell.verdict == 0) == (groups < 5)
