"""The exercises of notebook 02: right answers are accepted however they are computed, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

from math import comb, log, sqrt

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from shown_solution import solution_of

from careedu.course.exercises import care
from careedu.course.exercises.care import (
    exercise_1,
    exercise_2,
    exercise_3,
    exercise_4,
    exercise_5,
    exercise_6,
    exercise_7,
)
from careedu.course.exercises.function import as_tensors
from careedu.measure.map_quality import inside_share
from careedu.methods.care import attention_loss
from careedu.nn.maps import class_activation_map


def excess(maps, rare):
    """By the package's measure: the share of each map that lies in each pixel."""
    maps, rare = np.asarray(maps, dtype=np.float64), np.asarray(rare)
    found = np.zeros(maps.shape[1:])
    for pixel in np.ndindex(*found.shape):
        here = np.zeros(maps.shape, dtype=bool)
        here[:, *pixel] = True
        share = inside_share(maps, here)
        found[pixel] = share[rare].mean() - share[~rare].mean()
    return found


def outside_share(features, weight, inside):
    """By the package's map and measure, which gives no gradient."""
    maps = class_activation_map(features, weight).relu()
    return 1 - inside_share(maps.detach(), np.asarray(inside)).mean()


def of_each(correlation, before, after):
    return np.array([correlation(np.ravel(a), np.ravel(b)).statistic for a, b in zip(before, after, strict=True)])


def similarity(before, after):
    return of_each(spearmanr, before, after).mean()


def test_the_notebook_has_seven_exercises_in_its_order():
    names = [exercise.name for exercise in care.exercises]
    assert names == ["attention_loss", "excess", "enough", "needed", "controls", "repaired", "similarity"]


def test_the_references_agree_with_the_package():
    other = {exercise_1: attention_loss, exercise_2: excess, exercise_6: outside_share, exercise_7: similarity}
    for exercise, reference in other.items():
        for case in map(as_tensors, exercise.cases):
            wanted = torch.as_tensor(reference(*case))
            torch.testing.assert_close(exercise.right(*case), wanted, rtol=1e-6, atol=1e-9)


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


def test_the_thought_on_the_dose_has_its_answer_in_whole_numbers():
    """Averaged over the boxed images alone, the dose is B/n_box times as large."""
    assert "4 in a batch of 56" in exercise_1.thought and "α/(1 − α)" in exercise_1.thought
    assert 0.5 / (1 - 0.5) == 1 and 56 / 4 == 14
    assert "images without a box included" in exercise_1.check(lambda *given: attention_loss(*given).mean()).text


# 2: the shortcut, found from maps


def excess_in_lists(maps, rare):
    if isinstance(maps, torch.Tensor | np.ndarray):
        raise TypeError("lists only")
    height, width = len(maps[0]), len(maps[0][0])
    sums = {True: [[0.0] * width for _ in range(height)], False: [[0.0] * width for _ in range(height)]}
    for one, kind in zip(maps, rare, strict=True):
        mass = sum(map(sum, one))
        for y in range(height):
            for x in range(width):
                sums[kind][y][x] += one[y][x] / mass / rare.count(kind)
    return [[sums[True][y][x] - sums[False][y][x] for x in range(width)] for y in range(height)]


@pytest.mark.parametrize("right", [excess, excess_in_lists, lambda maps, rare: excess(maps * 3, rare)])
def test_an_excess_is_accepted_however_it_is_computed(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


def test_the_solution_points_at_the_corner_that_one_strong_map_would_hide():
    """Of three rare images two look at the corner; in the third a strong map lies all over the middle."""
    maps = torch.full((6, 8, 8), 0.01)
    maps[:2, 0, 0] = 0.3
    maps[2, 3:5, 3:5] = 1.0
    maps[3:, 4, 4] = 0.3
    rare = torch.arange(6) < 3
    assert divmod(int(solution_of(exercise_2)(maps, rare).argmax()), 8) == (0, 0)
    assert divmod(int((maps[rare].mean(0) - maps[~rare].mean(0)).argmax()), 8) == (3, 3)
    assert solution_of(exercise_2)(maps, rare).sum().abs() < 1e-6
    assert solution_of(exercise_2)(maps * 0, rare).isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda f, r: f[r].mean(0) - f[~r].mean(0), "outvotes ten"),
        (lambda f, r: excess(f / f.max(), ~r), "but for the sign"),
        (lambda f, r: f[r].sum(0) / f[r].sum() - f[~r].sum(0) / f[~r].sum(), "added up before they are divided"),
        (lambda f, r: (f / f.sum((1, 2), keepdim=True))[r].mean(0), "rare class alone"),
        (lambda f, r: (s := f / f.sum((1, 2), keepdim=True))[r].mean(0) - s.mean(0), "compared with themselves"),
        (lambda f, r: (s := f / f.sum((1, 2), keepdim=True))[r].mean(0) / s[~r].mean(0), "something else"),
        (lambda f, r: divmod(int(torch.as_tensor(excess(f, r)).argmax()), f.shape[2]), "shape (2,)"),
        (lambda f, r: excess(f, r).clip(min=0), "something else"),
    ],
)
def test_a_wrong_excess_is_told_why(wrong, reason):
    reply = exercise_2.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


# 3: why validation cannot see it


def standard_error(share, images):
    return sqrt(share * (1 - share) / images)


def test_the_numbers_on_validation_images_are_right():
    unmarked = 0.05 * exercise_3.right
    assert standard_error(0.3, unmarked) == pytest.approx(0.1) and round(unmarked) == 21
    assert standard_error(0.3, unmarked - 1) > 0.1
    assert "= 21 images without the plaster, which are 5 % of 420" in exercise_3.praise
    assert "has 40 of the class: two without it" in exercise_3.praise and 0.05 * 40 == 2
    assert pytest.approx(0.965) == 0.95 * 1 + 0.05 * 0.3 and ".965" in exercise_3.thought
    # What the reasons take for granted: each of these numbers comes out of the mistake that it is told for.
    (first,) = {n for n in range(50, 70) if 1 - 0.95**n >= 0.95 and 1 - 0.95 ** (n - 1) < 0.95}
    told = {
        "an interval": [1.96**2 * 0.21 / 0.01, 1.96**2 * 0.21 / 0.01 / 0.05],
        "at a chance": [1 / 0.05, log(0.05) / log(0.95), first],
        "of .965": [0.965 * 0.035 / 0.01, 0.965 * 0.035 / 0.01 / 0.05],
        "no square": [0.21 / 0.1, 0.21 / 0.1 / 0.05],
        "marked": [21 / 0.95],
        "unmarked": [21],
    }
    texts = {of: {exercise_3.check(number).text for number in numbers} for of, numbers in told.items()}
    assert {of: len(said) for of, said in texts.items()} == dict.fromkeys(told, 1)
    assert set.union(*texts.values()) == set(exercise_3.mistakes)


def test_the_phantom_s_validation_set_is_the_one_that_is_spoken_of():
    from careedu.data.load import load

    validation = load("phantom-skin", largest=20, imbalance=10, test=3, shortcut="mark").val
    rare = validation.labels == 2
    marked = validation.marks.any(2).any(1)
    assert int(rare.sum()) == 40 and int((rare & ~marked).sum()) == 2


# 4: how many test images


def sign_test(won, lost):
    """The exact two-sided p-value, anew."""
    both = won + lost
    return min(1.0, 2 * sum(comb(both, k) for k in range(max(won, lost), both + 1)) / 2**both)


def test_the_numbers_that_are_told_are_right():
    assert sign_test(1, 0) == 1
    won = next(k for k in range(1, 50) if sign_test(k, 0) < 0.05)
    assert exercise_4.right == 23 * won == 138
    assert f"{sign_test(won, 0):.3f}"[1:] in exercise_4.praise
    mixed = next(k for k in range(1, 50) if sign_test(2 * k, k) < 0.05)
    assert all(sign_test(2 * k, k) < 0.05 for k in range(mixed, 50))
    assert f"takes {23 * mixed}" in exercise_4.thought


def test_a_wrong_number_of_test_images_is_told_why():
    wrong = [6, 115, 92, 161, 139, 122.4, 99.4, 23, 0.03125, 1016, -6, 0, 140.5, 184, 137]
    replies = [exercise_4.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    for one, other in ((5, 115), (4, 92), (1, 23), (1016, 2076)):
        assert exercise_4.check(one).text == exercise_4.check(other).text
    assert all("138" not in reply.text for reply in replies)


# 5: the control


def test_any_box_off_the_lesion_is_accepted_for_the_place_and_for_nothing_else():
    for arm in ("random boxes", "CARE, shifted boxes", "boxes on the mark"):
        assert exercise_5.check(exercise_5.right | {"place": arm})
        for claim in ("loss", "use", "classes"):
            assert exercise_5.check(exercise_5.right | {claim: arm}).text.startswith("3 of 4")


# 6: the attention term without a gradient


def test_the_faulty_term_is_told_of_its_threshold_whether_in_numpy_or_in_torch():
    def in_numpy(features, weight, inside):
        maps = torch.einsum("bkhw,bk->bhw", features, weight).relu()
        seen = maps.detach().numpy() > 0.5 * maps.detach().numpy().max((1, 2), keepdims=True)
        outside = (seen & ~inside.numpy()).sum((1, 2)) / seen.sum((1, 2))
        return torch.tensor(outside.mean(), requires_grad=True)

    def in_torch(features, weight, inside):
        maps = torch.einsum("bkhw,bk->bhw", features, weight).relu()
        seen = (maps / maps.amax((1, 2), keepdim=True)).sub(0.5).sign().relu()
        return ((seen * ~inside).sum((1, 2)) / seen.sum((1, 2))).mean()

    for term in (in_numpy, in_torch):
        reply = exercise_6.check(term)
        assert reply.kind == "wrong" and "cut at a threshold" in reply.text


def repaired(features, weight, inside):
    maps = class_activation_map(features, weight).relu()
    return torch.stack([one[~box].sum() / one.sum() for one, box in zip(maps, inside, strict=True)]).mean()


@torch.no_grad()
def without_grad(*given):
    return repaired(*given)


@pytest.mark.parametrize(
    "wrong",
    [
        without_grad,
        lambda f, w, m: repaired(f.detach(), w, m),
        lambda f, w, m: torch.tensor(repaired(f, w, m).item(), requires_grad=True),
        lambda f, w, m: repaired(f, w, m).detach().numpy(),
        outside_share,
        lambda f, w, m: repaired(f, w, m).detach() + 0 * f.sum(),
        lambda f, w, m: repaired(f.detach(), w * torch.nn.Parameter(torch.ones(())), m),
    ],
)
def test_right_numbers_that_nothing_can_be_learned_from_are_wrong(wrong):
    reply = exercise_6.check(wrong)
    assert reply.kind == "wrong" and "no gradient flows back to the features" in reply.text, reply.text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda f, w, m: 1 - repaired(f, w, m), "drive the map out"),
        (lambda f, w, m: (a := class_activation_map(f, w).relu())[~m].sum() / a.sum(), "strongest map decides"),
        (lambda f, w, m: (class_activation_map(f, w).relu() * ~m).mean(), "shrink the whole map"),
        (lambda f, w, m: ((a := class_activation_map(f, w)) * ~m).sum((1, 2)).div(a.sum((1, 2))).mean(), "ReLU"),
        (
            lambda *given: torch.stack([repaired(*(g[None] for g in one)) for one in zip(*given, strict=True)]),
            "so far",
        ),
        (lambda f, w, m: ((s := (9 * class_activation_map(f, w)).sigmoid()) * ~m).sum() / s.sum(), "soft threshold"),
        (lambda f, w, m: repaired(f, w, m) / 2, "yours is 0.5 times"),
    ],
)
def test_a_wrong_repair_is_told_why(wrong, reason):
    reply = exercise_6.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


def test_the_repaired_term_moves_the_map_into_the_box():
    torch.manual_seed(0)
    features, weight = torch.rand(3, 4, 6, 6, requires_grad=True), torch.tensor([[1.0, 0.5, -0.3, 0.2]] * 3)
    inside = torch.zeros(3, 6, 6, dtype=torch.bool)
    inside[:, 1:3, 1:3] = True
    term = solution_of(exercise_6)
    first = term(features, weight, inside)
    for _ in range(30):
        (slope,) = torch.autograd.grad(term(features, weight, inside), features)
        features.data -= 3 * slope
    assert term(features, weight, inside) < 0.5 * first
    assert term(features * 0, weight, inside) == 0, "and no NaN where nothing speaks for the class"


# 7: maps of a network with random weights


@pytest.mark.parametrize("right", [similarity, lambda a, b: similarity(a, b).astype(np.float32)])
def test_a_similarity_is_accepted_however_it_is_computed(right):
    reply = exercise_7.check(right)
    assert reply, repr(reply)


def test_the_similarity_is_one_of_the_order_alone():
    torch.manual_seed(1)
    maps = torch.rand(5, 8, 8)
    found = solution_of(exercise_7)
    assert found(maps, maps.exp() + torch.arange(5)[:, None, None]) == pytest.approx(1)
    assert found(maps, 1 - maps) == pytest.approx(-1)
    assert abs(found(maps, torch.rand(5, 8, 8))) < 0.2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (
            lambda a, b: np.mean([np.corrcoef(np.ravel(x), np.ravel(y))[0, 1] for x, y in zip(a, b, strict=True)]),
            "Pearson",
        ),
        (lambda a, b: spearmanr(np.ravel(a), np.ravel(b)).statistic, "ranked together"),
        (lambda a, b: spearmanr(np.ravel(a.mean(0)), np.ravel(b.mean(0))).statistic, "mean maps, compared once"),
        (
            lambda a, b: np.mean(
                [abs(spearmanr(np.ravel(x), np.ravel(y)).statistic) for x, y in zip(a, b, strict=True)]
            ),
            "inside out",
        ),
        (
            lambda a, b: [spearmanr(np.ravel(x), np.ravel(y)).statistic for x, y in zip(a, b, strict=True)],
            "Right so far",
        ),
        (lambda a, b: similarity(a, b) * 100, "yours is 100 times"),
        (lambda a, b: (a - b).abs().mean(), "something else"),
        (lambda a, b: 1 - similarity(a, b), "something else"),
    ],
)
def test_a_wrong_similarity_is_told_why(wrong, reason):
    reply = exercise_7.check(wrong)
    assert reply.kind == "wrong"
    assert reason in reply.text, reply.text


# 1: the gradient


def test_a_gradient_that_where_hides_in_the_value_is_found():
    def loss(maps, inside, cap, weight):
        area = inside.sum(dim=(1, 2))
        within = (maps * inside).sum(dim=(1, 2)) / area
        outside = (maps * ~inside).sum(dim=(1, 2)) / (~inside).sum(dim=(1, 2))
        return torch.where(area > 0, weight * outside - within.clamp(max=cap), 0.0)

    assert "gradient holds NaN" in exercise_1.check(loss).text
