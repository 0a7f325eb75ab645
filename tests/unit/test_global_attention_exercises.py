"""The exercises of notebook 03: right answers are accepted however they are computed, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from careedu.course.exercises import global_attention
from careedu.course.exercises.function import as_float32_tensors, as_tensors
from careedu.course.exercises.global_attention import exercise_1, exercise_2, exercise_3, exercise_4, exercise_5
from careedu.measure.map_quality import map_auroc
from careedu.nn.spatial_mask import FixedMask, total_variation


def test_the_notebook_has_its_exercises_in_its_order():
    names = [exercise.name for exercise in global_attention.exercises]
    assert names == ["fewest", "regulariser", "jump", "light_lost", "scores", "controls"]


def test_the_references_agree_with_the_package():
    for values, sparsity, variation in map(as_tensors, exercise_2.cases):
        ours = sparsity * values.mean() + variation * total_variation(values)
        assert float(exercise_2.right(values, sparsity, variation)) == pytest.approx(float(ours))
    for images, values, behind in map(as_float32_tensors, exercise_4.cases):
        mask = FixedMask(values)
        mask.behind = behind[None]
        ours = mask(images[:, None]).mean((0, 1)) - images.mean(0)
        assert float(exercise_4.right(images, values, behind)) == pytest.approx(float(ours.abs().mean()))
    for values, zone in exercise_5.cases:
        found = tuple(map(float, exercise_5.right(*as_tensors((values, zone)))))
        assert found == pytest.approx((map_auroc(values, zone), map_auroc(-values, zone)))
        assert found[0] == pytest.approx(roc_auc_score(zone.ravel(), values.ravel()))


# 1: as many images as pixels


def test_the_number_of_images_is_the_rank():
    """On random images of 4 × 4: as many as pixels reach every map, one fewer does not, but with the bias it does."""
    random, pixels = np.random.default_rng(0), 16
    ranks = {n: np.linalg.matrix_rank(random.random((pixels, n))) for n in (15, 16, 17)}
    assert ranks == {15: 15, 16: 16, 17: 16} and exercise_1.right == 24 * 24
    with_bias = np.column_stack([random.random((pixels, pixels - 1)), np.ones(pixels)])
    assert np.linalg.matrix_rank(with_bias) == pixels
    assert "bias b may move" in exercise_1.check(24**2 - 1).text


def test_a_wrong_number_of_images_is_told_why():
    wrong = [575, 577, 24, 4096, 1152, 0, -300, 300.5, 300]
    replies = [exercise_1.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    for one, other in ((24, 48), (288, 1152), (300, 1), (577, 576**2)):
        assert exercise_1.check(one).text == exercise_1.check(other).text
    assert all("576" not in reply.text for reply in replies)


# 2: total variation and sparsity


def regulariser_in_lists(values, sparsity, variation):
    if not isinstance(values, list):
        raise TypeError("lists only")
    down = [abs(a - b) for upper, lower in itertools.pairwise(values) for a, b in zip(upper, lower, strict=True)]
    across = [abs(a - b) for row in values for a, b in itertools.pairwise(row)]
    mean = sum(map(sum, values)) / sum(map(len, values))
    return sparsity * mean + variation * (sum(down) / len(down) + sum(across) / len(across))


@pytest.mark.parametrize(
    "right",
    [
        regulariser_in_lists,
        lambda m, s, v: s * m.mean() + v * total_variation(m),
        lambda m, s, v: s * m.float().mean() + v * total_variation(m.float()),
        lambda m, s, v: [s * m.mean() + v * sum(m.diff(dim=d).abs().mean() for d in (0, 1))],
        lambda m, s, v: s * np.mean(m := np.asarray(m)) + v * sum(np.abs(np.diff(m, axis=d)).mean() for d in (0, 1)),
    ],
)
def test_the_term_is_accepted_however_it_is_computed(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda m, s, v: s * m.mean() + v * (m.diff(dim=0) ** 2).mean() + v * (m.diff() ** 2).mean(), "squared"),
        (lambda m, s, v: v * m.mean() + s * total_variation(m), "changed places"),
        (lambda m, s, v: s * m.mean() + v * m.diff(dim=0).abs().mean(), "Only the differences down"),
        (lambda m, s, v: 2 * (s * m.mean() + v * total_variation(m)), "factor: yours is 2 times"),
        (lambda m, s, v: s * m.mean() + 3 * v * total_variation(m), "of 3 results 1 are right"),
        (lambda m, s, v: s * m.sum() + v * total_variation(m), "something else"),
        (
            lambda m, s, v: (s * m.mean() + v * total_variation(m)).item() * torch.ones(()),
            "no gradient flows back to the map",
        ),
        (lambda m, s, v: s * m + v * total_variation(m), "shape (5, 7), where one number"),
        (lambda m, s, v: s * m.mean() + v * m.std(), "something else"),
    ],
)
def test_a_wrong_term_is_told_why(wrong, reason):
    reply = exercise_2.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


# 3: the scale trap


@pytest.mark.parametrize("rounded", [4, "4.1"])
def test_the_jump_is_accepted_when_rounded(rounded):
    assert exercise_3.check(rounded)


def test_the_jump_is_what_adam_does():
    """In torch, for one white pixel in 4096 images, without the division and with it."""
    for scale, moved in ((1, 4.096), (1 / 4096, 0.001)):
        weights = torch.zeros(4096, requires_grad=True)
        adam = torch.optim.Adam([weights], lr=0.001)
        logit = (weights * scale).sum()
        (-logit).backward()
        adam.step()
        assert (weights * scale).sum().item() == pytest.approx(moved, rel=1e-3)
    assert exercise_3.right == pytest.approx(4.096)


def test_a_wrong_jump_is_told_why():
    wrong = [0.001, 0.064, 40.96, 4096, 2.048, 6.096, 0.117, -7, 0, 3.3]
    replies = [exercise_3.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    for one, other in ((1, 4096), (-0.771, 0.117)):
        assert exercise_3.check(one).text == exercise_3.check(other).text
    assert all("4.1" not in reply.text and "4.096" not in reply.text for reply in replies)


# 4: why black is information


def light_in_lists(images, values, behind):
    if not isinstance(images, list):
        raise TypeError("lists only")
    lost = []
    for row, (weights, shown) in enumerate(zip(values, behind, strict=True)):
        for column, (m, b) in enumerate(zip(weights, shown, strict=True)):
            mean = sum(image[row][column] for image in images) / len(images)
            lost.append(abs(m * mean + (1 - m) * b - mean))
    return sum(lost) / len(lost)


@pytest.mark.parametrize(
    "right",
    [
        light_in_lists,
        lambda x, m, b: ((1 - m) * (x.mean(0) - b).abs()).mean(),
        lambda x, m, b: torch.lerp(b, x, m.expand_as(x)).sub(x).mean(0).abs().mean(),
        lambda x, m, b: ((m * x + (1 - m) * b).float().mean(0) - x.float().mean(0)).abs().mean(),
        lambda x, m, b: np.abs((1 - np.asarray(m)) * (np.asarray(x).mean(0) - np.asarray(b))).mean(),
    ],
)
def test_the_light_is_accepted_however_it_is_computed(right):
    reply = exercise_4.check(right)
    assert reply, repr(reply)


def seen(x, m, b):
    return m * x + (1 - m) * b


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda x, m, b: (m * x - x).mean(0).abs().mean(), "always black"),
        (lambda x, m, b: (seen(x, 1 - m, b) - x).mean(0).abs().mean(), "changed places"),
        (lambda x, m, b: (m * x + b - x).mean(0).abs().mean(), "open places too"),
        (lambda x, m, b: (seen(x, m, b).mean() - x.mean()).abs(), "cancel"),
        (lambda x, m, b: ((seen(x, m, b) - x).mean(0) ** 2).mean(), "squared"),
        (lambda x, m, b: (seen(x, m, b) - x).abs().mean(), "image by image"),
        (lambda x, m, b: 2 * (seen(x, m, b) - x).mean(0).abs().mean(), "yours is 2 times"),
        (lambda x, m, b: (x - seen(x, m, b)).mean(), "not at all"),
        (lambda x, m, b: (seen(x, m, b) - x).mean(), "of 3 results 1 are right"),
        (lambda x, m, b: (seen(x, m, b) - x).mean(0).abs(), "where one number"),
        (lambda x, m, b: (seen(x, m, x.mean(0)) - x).mean(0).abs().mean(), "of 3 results 1 are right"),
        (lambda x, m, b: (seen(x, m, b) - x).mean(0).abs().mean() + 1e-4, "something else"),
    ],
)
def test_wrong_light_is_told_why(wrong, reason):
    reply = exercise_4.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_behind_the_mean_image_no_light_is_lost_and_black_takes_what_the_map_hides(dtype):
    """In both precisions to the last bit: an answer in float32 must not be wrong for what rounding leaves of 0."""
    (images, values, black), (others, closed, mean), _ = (
        [argument.to(dtype) for argument in case] for case in map(as_tensors, exercise_4.cases)
    )
    assert not black.any() and torch.equal(mean, others.mean(0))
    assert exercise_4.right(others, closed, mean) == 0
    lost = ((1 - values) * images.mean(0)).mean()
    assert float(exercise_4.right(images, values, black)) == pytest.approx(float(lost)) and lost > 0.1


# 5: what a map and its negative score


def scores(values, zone):
    return map_auroc(values, np.asarray(zone)), map_auroc(-np.asarray(values), np.asarray(zone))


def scores_in_lists(values, zone):
    if not isinstance(values, list):
        raise TypeError("lists only")
    pixels = [pair for rows in zip(values, zone, strict=True) for pair in zip(*rows, strict=True)]
    inside, outside = [v for v, m in pixels if m], [v for v, m in pixels if not m]
    won = sum((a > b) + (a == b) / 2 for a in inside for b in outside) / len(inside) / len(outside)
    return [won, 1 - won]


@pytest.mark.parametrize(
    "right",
    [
        scores,
        scores_in_lists,
        lambda m, z: tuple(roc_auc_score(z.flatten(), sign * m.flatten()) for sign in (1, -1)),
    ],
)
def test_the_scores_are_accepted_however_they_are_computed(right):
    reply = exercise_5.check(right)
    assert reply, repr(reply)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda m, z: scores(m, z)[::-1], "swapped"),
        (lambda m, z: (scores(m, z)[0], -scores(m, z)[0]), "no negative score"),
        (lambda m, z: (scores(m, z)[0],) * 2, "turns every order round"),
        (lambda m, z: scores(m, z)[0], "shape (), where shape (2,)"),
        (lambda m, z: [100 * s for s in scores(m, z)], "yours is 100 times"),
        (lambda m, z: (m[z].sum() / m.sum(), m[~z].sum() / m.sum()), "share of the map's mass"),
        (
            lambda m, z: ((m[z][:, None] > m[~z]).double().mean(), (m[z][:, None] < m[~z]).double().mean()),
            "count nothing",
        ),
        (
            lambda m, z: ((m[z][:, None] >= m[~z]).double().mean(), (m[z][:, None] <= m[~z]).double().mean()),
            "count whole",
        ),
        (lambda m, z: (0.4, 0.6), "something else"),
    ],
)
def test_wrong_scores_are_told_why(wrong, reason):
    reply = exercise_5.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text
