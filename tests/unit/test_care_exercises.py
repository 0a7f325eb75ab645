"""The exercises of notebook 02: right answers are accepted however they are computed, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

from math import comb

import numpy as np
import pytest
import torch
from shown_solution import solution_of

from careedu.course.exercises import care
from careedu.course.exercises.care import exercise_1, exercise_2, exercise_3, exercise_5
from careedu.course.exercises.function import as_tensors
from careedu.measure.map_quality import inside_share, pointing_game
from careedu.methods.care import attention_loss
from careedu.nn.maps import class_activation_map, normalize_map


def pointing(maps, masks):
    return pointing_game(maps, np.asarray(masks)).mean()


def class_map(features, weight):
    return normalize_map(class_activation_map(features, weight))


def test_the_notebook_has_five_exercises_in_its_order():
    names = [exercise.name for exercise in care.exercises]
    assert names == ["attention_loss", "class_map", "needed", "controls", "pointing"]


def test_the_references_agree_with_the_package():
    for case in map(as_tensors, exercise_1.cases):
        assert torch.allclose(exercise_1.right(*case), attention_loss(*case))
    for case in map(as_tensors, exercise_2.cases):
        assert torch.allclose(exercise_2.right(*case), class_map(*case), atol=1e-6)
    for maps, masks in exercise_5.cases:
        assert float(exercise_5.right(*as_tensors((maps, masks)))) == pytest.approx(pointing(maps, masks))
        # The other measure is another number, or the exercise could not tell the two apart.
        assert abs(inside_share(maps, masks).mean() - pointing(maps, masks)) > 0.05


# 1: the attention loss


def in_numpy(maps, inside, cap, outside_weight):
    maps, inside = np.asarray(maps), np.asarray(inside)
    return np.array([
        -min(f[m].mean(), cap) + outside_weight * f[~m].mean() if m.any() else 0.0
        for f, m in zip(maps, inside, strict=True)
    ])  # fmt: skip


def in_lists(maps, inside, cap, outside_weight):
    if isinstance(maps, torch.Tensor | np.ndarray):
        raise TypeError("lists only")
    losses = []
    for image, box in zip(maps, inside, strict=True):
        pixels = [pair for rows in zip(image, box, strict=True) for pair in zip(*rows, strict=True)]
        within, outside = [v for v, m in pixels if m], [v for v, m in pixels if not m]
        mean = sum(within) / max(len(within), 1)
        losses.append(-min(mean, cap) + outside_weight * sum(outside) / len(outside) if within else 0)
    return losses


def in_a_loop(maps, inside, cap, outside_weight):
    losses = []
    for image, box in zip(maps, inside, strict=True):
        loss = outside_weight * image[~box].mean() - image[box].mean().clamp(max=cap) if box.any() else 0 * image.sum()
        losses.append(loss)
    return torch.stack(losses)


@pytest.mark.parametrize(
    "right",
    [
        attention_loss,
        in_numpy,
        in_lists,
        in_a_loop,
        lambda *given: attention_loss(given[0].float(), *given[1:]),
    ],
)
def test_the_attention_loss_is_accepted_however_it_is_computed(right):
    reply = exercise_1.check(right)
    assert reply, repr(reply)


def test_the_solution_gives_the_worked_example_and_the_gradient():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1:3, 1:3], maps[0, 0, 0] = 1, 0.4
    inside = torch.zeros(1, 4, 4, dtype=torch.bool)
    inside[0, 1:3, 1:4] = True
    loss = solution_of(exercise_1)
    assert loss(maps, inside, 0.5, 1.0).item() == pytest.approx(-0.46)
    assert loss(maps, inside, 0.5, 0.7).item() == pytest.approx(-0.472)
    empty = torch.zeros_like(inside)
    loss(maps.requires_grad_(), empty, 0.5, 0.7).sum().backward()
    assert (maps.grad == 0).all()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda f, m, cap, w: -attention_loss(f, m, cap, w), "but for the sign"),
        (lambda f, m, cap, w: attention_loss(f, m, 1.0, w), "cap has no effect"),
        (lambda f, m, cap, w: attention_loss(f, m, cap, 1.0), "λ is forgotten"),
        (lambda f, m, cap, w: attention_loss(f, m, cap, w).mean(), "mean over the batch"),
        (
            lambda f, m, cap, w: (
                w * (f * ~m).sum((1, 2)) / (~m).sum((1, 2)) - ((f * m).sum((1, 2)) / m.sum((1, 2))).clamp(max=cap)
            ),
            "Without one it is NaN",
        ),
        (lambda f, m, cap, w: -f[m].mean().clamp(max=cap) + w * f[~m].mean(), "shape (), where shape (4,)"),
        (
            lambda f, m, cap, w: (
                w * (f * ~m).sum((1, 2)) / (~m).sum((1, 2))
                - ((f * m).sum((1, 2)) / m.sum((1, 2)).clamp(min=1)).clamp(max=cap)
            ),
            "there is nothing to attend to",
        ),
        (lambda f, m, cap, w: attention_loss(f, m, cap, w) / 2, "factor: yours is 0.5 times"),
        (lambda f, m, cap, w: attention_loss(f, m, cap, w) - m.sum((1, 2)), "something else"),
        (lambda f, m, cap, w: attention_loss(f, m, cap, w).detach(), "no gradient"),
        (lambda f, m, cap, w: torch.tensor([x.item() for x in attention_loss(f, m, cap, w)]), "no gradient"),
        (lambda f, m, cap, w: attention_loss(f.mul_(1.0).clamp_(max=cap), m, cap, w), "in place"),
    ],
)
def test_a_wrong_attention_loss_is_told_why(wrong, reason):
    reply = exercise_1.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


# 2: the map of a class


def map_in_numpy(features, weight):
    maps = (np.asarray(features) * np.asarray(weight)[..., None, None]).sum(1)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.divide(maps - low, high - low, out=np.zeros_like(maps), where=high > low)


@pytest.mark.parametrize(
    "right",
    [
        class_map,
        map_in_numpy,
        lambda a, w: class_map(a.float(), w.float()),
        lambda a, w: class_map(a, w / a[0, 0].numel()),  # Grad-CAM's weights: the factor goes with the stretch
        lambda a, w: (lambda d: d / (d.amax((1, 2), True) + 1e-5))(
            (f := class_activation_map(a, w)) - f.amin((1, 2), True)
        ),
    ],
)
def test_a_map_is_accepted_however_it_is_computed(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


def without_guard(f):
    d = f - f.amin((1, 2), True)
    return d / d.amax((1, 2), True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda a, w: normalize_map(class_activation_map(a, w).relu()), "ReLU"),
        (lambda a, w: (lambda f: (f - f.min()) / (f.max() - f.min()))(class_activation_map(a, w)), "whole batch"),
        (lambda a, w: normalize_map(a.mean(1)), "mean over the channels"),
        (lambda a, w: class_activation_map(a, w).flatten(1).softmax(1).view(len(a), *a.shape[2:]), "softmax over"),
        (lambda a, w: without_guard(class_activation_map(a, w)), "becomes NaN"),
        (lambda a, w: without_guard(class_activation_map(a, w).relu()), "NaN or infinity"),
        (class_activation_map, "right so far"),
        (lambda a, w: a * w[:, :, None, None], "shape (3, 4, 5, 6)"),
        (lambda a, w: class_map(a, w) / 2, "yours is 0.5 times"),
        (
            lambda a, w: class_map(a, w) + 0.5 * (class_activation_map(a, w).std((1, 2)) == 0)[:, None, None],
            "zeros where it is flat",
        ),
        (lambda a, w: class_map(a, w.flip(1)), "something else"),
    ],
)
def test_a_wrong_map_is_told_why(wrong, reason):
    reply = exercise_2.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


# 3: how many test images


def sign_test(won, lost):
    """The exact two-sided p-value, anew."""
    both = won + lost
    return min(1.0, 2 * sum(comb(both, k) for k in range(max(won, lost), both + 1)) / 2**both)


def test_the_numbers_that_are_told_are_right():
    assert sign_test(1, 0) == 1
    won = next(k for k in range(1, 50) if sign_test(k, 0) < 0.05)
    assert exercise_3.right == 23 * won == 138
    assert f"{sign_test(won, 0):.3f}"[1:] in exercise_3.praise
    mixed = next(k for k in range(1, 50) if sign_test(2 * k, k) < 0.05)
    assert all(sign_test(2 * k, k) < 0.05 for k in range(mixed, 50))
    assert f"takes {23 * mixed}" in exercise_3.thought


def test_a_wrong_number_of_test_images_is_told_why():
    wrong = [6, 115, 92, 161, 139, 122.4, 99.4, 23, 0.03125, 1016, -6, 0, 140.5, 184, 137]
    replies = [exercise_3.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    for one, other in ((5, 115), (4, 92), (1, 23), (1016, 2076)):
        assert exercise_3.check(one).text == exercise_3.check(other).text
    assert all("138" not in reply.text for reply in replies)


# 5: pointing


def pointing_in_lists(maps, masks):
    hits = 0
    for image, mask in zip(maps, masks, strict=True):
        pixels = [(float(v), bool(m)) for rows in zip(image, mask, strict=True) for v, m in zip(*rows, strict=True)]
        hits += max(pixels)[1]
    return hits / len(maps)


@pytest.mark.parametrize(
    "right",
    [
        pointing,
        pointing_in_lists,
        lambda f, m: ((f == f.amax((1, 2), keepdim=True)) & m).any(2).any(1).double().mean(),
        lambda f, m: (f * m).amax((1, 2)).eq(f.amax((1, 2))).float().mean(),
    ],
)
def test_the_pointing_game_is_accepted_however_it_is_computed(right):
    reply = exercise_5.check(right)
    assert reply, repr(reply)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda f, m: inside_share(f, np.asarray(m)).mean(), "share of the map's mass"),
        (lambda f, m: m.flatten()[f.argmax()].float(), "in the whole batch"),
        (lambda f, m: torch.stack([a[b].mean() for a, b in zip(f, m, strict=True)]).mean(), "mean of the map inside"),
        (lambda f, m: ((f > 0.5) & m).any(2).any(1).float().mean(), "any pixel above 0.5"),
        (lambda f, m: pointing(f, m) * len(f), "number of images"),
        (lambda f, m: pointing(f, m) * 100, "yours is 100 times"),
        (lambda f, m: pointing_game(f, np.asarray(m)), "for each image"),
        (lambda f, m: 1 - pointing(f, m), "something else"),
        (lambda f, m: m[:, f.shape[1] // 2, f.shape[2] // 2].float().mean(), "something else"),
    ],
)
def test_a_wrong_pointing_game_is_told_why(wrong, reason):
    reply = exercise_5.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


# 1 and 2: the gradient


def test_a_gradient_that_where_hides_in_the_value_is_found():
    def loss(maps, inside, cap, weight):
        area = inside.sum(dim=(1, 2))
        within = (maps * inside).sum(dim=(1, 2)) / area
        outside = (maps * ~inside).sum(dim=(1, 2)) / (~inside).sum(dim=(1, 2))
        return torch.where(area > 0, weight * outside - within.clamp(max=cap), 0.0)

    def flat(features, weight):
        maps = torch.einsum("bkhw,bk->bhw", features, weight)
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        return ((maps - low) / (high - low)).nan_to_num(0.0)

    def cut(features, weight):
        return solution_of(exercise_2)(features.detach(), weight)

    assert "gradient holds NaN" in exercise_1.check(loss).text
    said = exercise_2.check(flat).text
    assert "gradient holds NaN" in said or said.startswith("A flat map"), said
    assert "no gradient flows back to the features" in exercise_2.check(cut).text
