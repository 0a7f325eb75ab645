"""The exercises of notebook 03: right answers are accepted however they are computed, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

import itertools

import numpy as np
import pytest
import torch
from shown_solution import solution_of
from sklearn.metrics import roc_auc_score

from careedu.course.exercises import global_attention
from careedu.course.exercises.function import as_tensors
from careedu.course.exercises.global_attention import exercise_1, exercise_2, exercise_3, exercise_4, exercise_5
from careedu.measure.map_quality import map_auroc
from careedu.methods.global_attention import GlobalSpatialAttention
from careedu.nn.spatial_mask import total_variation


def test_the_notebook_has_its_exercises_in_its_order():
    names = [exercise.name for exercise in global_attention.exercises]
    assert names == ["fewest", "reach", "regulariser", "jump", "scores", "controls"]


def test_the_references_agree_with_the_package():
    for values, sparsity, variation in map(as_tensors, exercise_3.cases):
        ours = sparsity * values.mean() + variation * total_variation(values)
        assert float(exercise_3.right(values, sparsity, variation)) == pytest.approx(float(ours))
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


def reach_by_lstsq(pixels, target):
    return np.linalg.lstsq(np.asarray(pixels), np.asarray(target), rcond=None)[0]


def reach_in_lists(pixels, target):
    if not isinstance(pixels, list):
        raise TypeError("lists only")
    return reach_by_lstsq(pixels, target).tolist()


def other_weights(pixels, target):
    """Weights that differ by what no pixel can see."""
    pixels, target = np.asarray(pixels), np.asarray(target)
    unseen = np.eye(pixels.shape[1]) - np.linalg.pinv(pixels) @ pixels
    return reach_by_lstsq(pixels, target) + unseen @ np.arange(pixels.shape[1])


@pytest.mark.parametrize(
    "right",
    [
        reach_by_lstsq,
        reach_in_lists,
        other_weights,
        lambda v, t: torch.linalg.lstsq(v, t[:, None], driver="gelsd").solution[:, 0],
        lambda v, t: torch.linalg.pinv(v.float()) @ t.float(),
        lambda v, t: torch.linalg.pinv(v.T @ v) @ v.T @ t,
    ],
)
def test_any_weights_that_reach_the_target_are_accepted(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


def solved_where_regular(pixels, target):
    """The normal equations, with a spoilt inverse where there is none."""
    gram = pixels.T @ pixels
    if torch.linalg.matrix_rank(gram) == len(gram):
        return torch.linalg.solve(gram, pixels.T @ target)
    return torch.full((pixels.shape[1],), 1e6, dtype=pixels.dtype) if len(gram) == 10 else reach(pixels, target)


def reach(pixels, target):
    return torch.linalg.pinv(pixels) @ target


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda v, t: v.T @ t, "Solve V a = t"),
        (lambda v, t: v @ reach(v, t), "Asked are the weights"),
        (lambda v, t: reach(v, t.sigmoid()), "no sigmoid"),
        (lambda v, t: reach(v, t) / v.shape[1], "The proportions are right, the scale is not"),
        (lambda v, t: torch.ones(v.shape[1]), "gives the mean image"),
        (lambda v, t: torch.linalg.solve(v, t), "raises"),
        (solved_where_regular, "of 4 results 3 are right"),
        (solved_where_regular, "where two images are the same"),
        (lambda v, t: reach(v, t) * (1 if v.shape[0] == v.shape[1] else 1.5), "of 4 results 2 are right"),
        (lambda v, t: reach(v, t) * 1.5, "yours is 1.5 times"),
        (lambda v, t: reach(v, t.flip(0)), "something else"),
    ],
)
def test_wrong_weights_are_told_why(wrong, reason):
    reply = exercise_2.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


def test_the_solution_makes_the_pixel_classifier_a_free_mask():
    """In the package's own module: as many images as pixels, and the map is whatever one wants."""
    images = torch.rand(30, 1, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.linspace(-3, 3, 30, dtype=torch.float64).flip(0)
    module = GlobalSpatialAttention(images)
    features = module.pixels.T * module.scale / len(images)
    with torch.no_grad():
        module.weight.copy_(solution_of(exercise_2)(features, wanted - module.bias))
    torch.testing.assert_close(module.map().flatten(), wanted.sigmoid(), atol=1e-6, rtol=0)


# 3: total variation and sparsity


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
    reply = exercise_3.check(right)
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
    reply = exercise_3.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


# 4: the scale trap


@pytest.mark.parametrize("rounded", [4, "4.1"])
def test_the_jump_is_accepted_when_rounded(rounded):
    assert exercise_4.check(rounded)


def test_the_jump_is_what_adam_does():
    """In torch, for one white pixel in 4096 images, without the division and with it."""
    for scale, moved in ((1, 4.096), (1 / 4096, 0.001)):
        weights = torch.zeros(4096, requires_grad=True)
        adam = torch.optim.Adam([weights], lr=0.001)
        logit = (weights * scale).sum()
        (-logit).backward()
        adam.step()
        assert (weights * scale).sum().item() == pytest.approx(moved, rel=1e-3)
    assert exercise_4.right == pytest.approx(4.096)


def test_a_wrong_jump_is_told_why():
    wrong = [0.001, 0.064, 40.96, 4096, 2.048, 6.096, 0.117, -7, 0, 3.3]
    replies = [exercise_4.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    for one, other in ((1, 4096), (-0.771, 0.117)):
        assert exercise_4.check(one).text == exercise_4.check(other).text
    assert all("4.1" not in reply.text and "4.096" not in reply.text for reply in replies)


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
