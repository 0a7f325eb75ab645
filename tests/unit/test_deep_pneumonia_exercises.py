"""The exercises of notebook 04: right answers are accepted however they are written, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

import copy
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas
import pytest
import tiny_pretraining
import torch
from made_up_runs import made_up_run, made_up_runs
from shown_solution import solution_of
from test_answers_that_break_out import Odd, StrayError, loop, raising
from torch.nn import functional

from careedu.course.exercises import augmentations, deep_pneumonia
from careedu.course.exercises.choices import named_options
from careedu.course.exercises.deep_pneumonia import exercise_1, exercise_2, exercise_3, exercise_4
from careedu.course.exercises.exercise import MOST
from careedu.course.exercises.function import as_tensors
from careedu.course.exercises.ladder import BEFORE, FIRST, ladder_table
from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.measure.statistics import holm
from careedu.methods.simclr import VIEWS
from careedu.nn import contrastive

LADDER = ("cross-entropy", "+ pretraining", "+ attention", "+ regulation", "+ class-balanced")


def test_the_notebook_has_its_exercises_in_its_order():
    names = [exercise.name for exercise in deep_pneumonia.exercises]
    assert names == ["nt_xent", "destroyed", "push", "reasons", "helped"]


# 1: NT-Xent by hand


def test_the_loss_is_the_package_s_and_the_worked_number():
    for case in map(as_tensors, exercise_1.cases):
        assert float(exercise_1.right(*case)) == pytest.approx(float(contrastive.nt_xent(*case)), rel=1e-6)
    assert "I₂ at T = 1 gives .5514" in exercise_1.praise
    assert float(exercise_1.right(torch.eye(2), torch.eye(2), 1.0)) == pytest.approx(0.5514, abs=5e-5)
    assert [case[2] for case in exercise_1.cases].count(1.0) == 1, "at T = 1 a forgotten temperature is not seen"


def contrast_in_loops(z1, z2, temperature):
    views, count = [*z1, *z2], len(z1)
    losses = []
    for i, anchor in enumerate(views):
        powers = [torch.exp(functional.cosine_similarity(anchor, v, dim=0) / temperature) for v in views]
        losses.append(-torch.log(powers[(i + count) % (2 * count)] / sum(p for j, p in enumerate(powers) if j != i)))
    return sum(losses) / len(losses)


def contrast_of_two_halves(z1, z2, temperature):
    """As SimCLR's own code has it: cosines within a half and across, the own one made small."""
    one, other = (z / z.norm(dim=1, keepdim=True) for z in (z1, z2))
    target, far = torch.arange(len(one)), 1e9 * torch.eye(len(one))
    halves = []
    for a, b in ((one, other), (other, one)):
        logits = torch.cat([a @ b.T, a @ a.T - far], 1) / temperature
        halves.append(functional.cross_entropy(logits, target))
    return (halves[0] + halves[1]) / 2


@pytest.mark.parametrize("right", [contrast_in_loops, contrast_of_two_halves, contrastive.nt_xent])
def test_the_loss_is_accepted_however_it_is_computed(right):
    reply = exercise_1.check(right)
    assert reply, repr(reply)


def across(z1, z2, t):
    cosines = functional.cosine_similarity(z1[:, None], z2[None], dim=2) / t
    return functional.cross_entropy(cosines, torch.arange(len(z1)))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda a, b, t: contrast_of_two_halves(a, b, 1.0), "temperature is left out"),
        (lambda a, b, t: contrast_of_two_halves(a, b, 1 / t), "or multiplied"),
        (across, "B − 1 on the other side"),
        (lambda a, b, t: (across(a, b, t) + across(b, a, t)) / 2, "B − 1 on the other side"),
        (lambda a, b, t: contrast_in_loops(a, b, t) * 2 * len(a), "summed"),
        (lambda a, b, t: contrast_in_loops(a, b, t).detach(), "no gradient flows back to the views"),
        (lambda a, b, t: contrast_in_loops(a, b, t).item(), "no gradient flows back to the views"),
        (lambda a, b, t: 2 * contrast_in_loops(a, b, t), "yours is 2 times"),
        (lambda a, b, t: -contrast_in_loops(a, b, t), "sign"),
        (lambda a, b, t: 1 - functional.cosine_similarity(a, b).mean(), "something else"),
        (lambda a, b, t: functional.cosine_similarity(a, b), "where one number"),
    ],
)
def test_a_wrong_loss_is_told_why(wrong, reason):
    reply = exercise_1.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


def test_of_each_kind_of_mistake_all_ways_to_make_it_are_recognised():
    """A diagonal that is there and one that is filled with 0 are two of them, with one reason."""
    counts = {why.split(".")[0]: len(made) for why, made in exercise_1.mistakes.items()}
    assert sorted(counts.values()) == [1, 1, 1, 2, 2, 3]


# 2: which augmentation destroys the class


def test_what_destroys_the_class_is_measured_and_not_close():
    shares = augmentations.told()
    assert set(shares) == {"none", *exercise_2.options} == set(augmentations.AUGMENTATIONS)
    destroying = set(solution_of(exercise_2))
    assert all(shares[name] < 0.45 for name in destroying), shares
    assert all(shares[name] > 0.85 for name in set(shares) - destroying), shares
    assert max(shares[name] for name in destroying) < exercise_2.bound - 0.1
    assert "After these three" in exercise_2.praise and len(destroying) == 3 and len(exercise_2.options) == 7


def test_most_crops_have_little_of_the_lesion():
    images, masks, _ = augmentations.phantoms()
    _, cropped = augmentations.AUGMENTATIONS["crop to a twentieth"](images, masks)
    assert (cropped.sum((1, 2)) == 0).double().mean() > 0.4


def test_the_measurement_is_deterministic_and_of_texture_alone():
    images, masks, labels = augmentations.phantoms(30)
    found = augmentations.texture(images, masks)
    assert torch.equal(found, augmentations.texture(images, masks)) and found.shape == (30, 6)
    assert torch.allclose(found, augmentations.texture(0.5 * images + 0.2, masks), atol=1e-3)
    elsewhere = torch.where(masks[:, None], images, images.roll(1, 0))
    middle = torch.nn.functional.max_pool2d((~masks)[:, None].float(), 13, 1, 6)[:, 0] == 0
    kept, changed = (augmentations.texture(part, middle) for part in (images, elsewhere))
    assert torch.allclose(kept, changed, atol=1e-3), "what lies outside the lesion has no part in it"
    assert augmentations.share_told(torch.zeros(30, 6), labels) <= 0.5


def test_the_pictures_are_of_the_same_phantoms_after_each_change():
    shown = augmentations.augmented(3)
    assert shown.classes == tuple(augmentations.AUGMENTATIONS) and shown.counts.tolist() == [3] * len(shown.classes)
    images, masks, _ = augmentations.phantoms(3)
    assert torch.equal(shown.images[:3].float(), (images * 255).round()) and torch.equal(shown.masks[:3], masks)
    assert not shown.images[-3:].any()
    assert VIEWS["turned"].rotation == 180 and VIEWS["turned"].shift == 0.06, "as the notebook's own views"


RIGHT_CHOICE = ["strong blur", "crop to a twentieth", "black"]


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT_CHOICE,
        tuple(reversed(RIGHT_CHOICE)),
        set(RIGHT_CHOICE),
        frozenset(RIGHT_CHOICE),
        np.array(RIGHT_CHOICE),
        np.array(RIGHT_CHOICE, dtype=object),
        pandas.Series([True] * 3, index=RIGHT_CHOICE),
        dict.fromkeys(RIGHT_CHOICE, True),
        dict.fromkeys(RIGHT_CHOICE).keys(),
        {option: option in RIGHT_CHOICE for option in exercise_2.options},
        {option: int(option in RIGHT_CHOICE) for option in exercise_2.options},
        [option in RIGHT_CHOICE for option in exercise_2.options],
        torch.tensor([option in RIGHT_CHOICE for option in exercise_2.options]),
        [(option, True) for option in RIGHT_CHOICE],
        "strong blur, crop to a twentieth, black",
        "Black; Strong-Blur; crop",
        ["blur", "  CROP to a\ntwentieth", "replacing by black", "black"],
    ],
)
def test_the_destroying_ones_are_accepted_in_every_form(answer):
    reply = exercise_2.check(answer)
    assert reply, repr(reply)


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ([*RIGHT_CHOICE, "flip"], ["6 of 7", '"flip"', "92%", "mirror"]),
        ([*RIGHT_CHOICE, "any rotation"], ['"any rotation"', "no up and down"]),
        ([*RIGHT_CHOICE, "small shift"], ['"small shift"', "pooling"]),
        ([*RIGHT_CHOICE, "gain and offset"], ['"gain and offset"', "Mean brightness is alike"]),
        (RIGHT_CHOICE[1:], ["6 of 7", "One is missing", "How many pixels wide"]),
        ([RIGHT_CHOICE[0], RIGHT_CHOICE[2]], ["One is missing", "in how many views"]),
        (RIGHT_CHOICE[:2], ["One is missing", "all equal"]),
        (["flip", "any rotation", "small shift", "gain and offset"], ["Asked are the others"]),
        (list(exercise_2.options), ["3 of 7", '"flip"']),
        ([], ["4 of 7", "missing"]),
        ("none", ["4 of 7", "missing"]),
        (["blurr"], ["'blurr' is none of these"]),
        ([3], ["3 is none of these"]),
        ({"flip": "yes"}, ["this says 'yes'"]),
        ({"black": 0.7}, ["this says 0.7"]),
        (None, ["a NoneType"]),
        (3, ["a int"]),
        (torch.tensor(3), ["a Tensor"]),
        ((name for name in RIGHT_CHOICE), ["a generator"]),
        ([0] * (MOST + 1), ["a list"]),
        (lambda: RIGHT_CHOICE, ["a function"]),
    ],
)
def test_a_wrong_choice_is_told_why(answer, reasons):
    reply = exercise_2.check(answer)
    assert reply.kind == "wrong" and all(reason in reply.text for reason in reasons), reply.text


def test_every_single_fault_of_a_choice_has_a_reason_of_its_own_and_names_nothing_that_is_missing():
    said = {}
    for option in exercise_2.options:
        reply = exercise_2.check(set(RIGHT_CHOICE) ^ {option})
        assert reply.kind == "wrong" and (option in reply.text) == (option not in RIGHT_CHOICE)
        said[option] = reply.text
    assert len(set(said.values())) == 7


@pytest.mark.parametrize("answer", [[...], {"flip": ...}, {"flip": False, "black": ...}, [*RIGHT_CHOICE, ...]])
def test_a_choice_that_is_half_filled_in_is_not_yet_answered(answer):
    assert exercise_2.check(answer).kind == "not yet"


def test_names_are_read_with_what_is_said_of_them():
    options = ("+ a b", "c")
    assert named_options({"A-B": 0.5, "c": None}, options) == {"+ a b": 0.5, "c": None}
    assert named_options([("a_b", 1), ["+c", 2]], options) == {"+ a b": 1, "c": 2}
    assert named_options(np.array([0.5, 2.0]), options) == {"+ a b": 0.5, "c": 2.0}
    assert named_options(("x", "c"), options, {"x": "+ a b"}) == {"+ a b": True, "c": True}
    assert named_options([None, "2"], options) == {"+ a b": None, "c": "2"}
    assert named_options("", options) == named_options([], options) == named_options({}, options) == {}
    for wrong in ([1.0], [1.0, 2.0, 3.0], {1: 2}, 1.0, "a", pandas.DataFrame({"a b": [1]}).T):
        with pytest.raises(InvalidInputError):
            named_options(wrong, options)


# 3: temperature


def test_the_shares_are_those_of_the_gradient():
    """One anchor, its positive and its negatives as cosines in a cross-entropy: what autograd pushes each with."""
    for positive, negatives, temperature in map(as_tensors, exercise_3.cases):
        cosines = torch.cat([torch.tensor([positive]).double(), negatives]).requires_grad_()
        functional.cross_entropy(cosines[None] / temperature, torch.tensor([0])).backward()
        pushes = cosines.grad[1:]
        assert torch.allclose(exercise_3.right(positive, negatives, temperature), pushes / pushes.sum())
    assert "e = 2.7 times at T = .1, and 1.1 times at T = 1" in exercise_3.praise
    assert [round(math.exp(0.1 / t), 1) for t in (0.1, 1)] == [
        2.7,
        1.1,
    ] and "128 has 254 negatives" in exercise_3.thought


def gradient(positive, negatives, temperature):
    cosines = torch.cat([torch.tensor([positive]).to(negatives), negatives]).requires_grad_()
    functional.cross_entropy(cosines[None] / temperature, torch.tensor([0])).backward()
    return cosines.grad[1:]


def shares_in_lists(positive, negatives, temperature):
    if not isinstance(negatives, list):
        raise TypeError("lists only")
    powers = [math.exp(cosine / temperature) for cosine in negatives]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize(
    "right",
    [
        shares_in_lists,
        lambda p, n, t: gradient(p, n, t) / gradient(p, n, t).sum(),
        lambda p, n, t: np.exp(np.asarray(n) / t) / np.exp(np.asarray(n) / t).sum(),
    ],
)
def test_the_shares_are_accepted_however_they_are_computed(right):
    reply = exercise_3.check(right)
    assert reply, repr(reply)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (gradient, "positive is in the sum"),
        (lambda p, n, t: t * gradient(p, n, t), "positive is in the sum"),
        (lambda p, n, t: (n * t).exp() / (n * t).exp().sum(), "wrong way round"),
        (lambda p, n, t: n.exp() / n.exp().sum(), "no effect"),
        (lambda p, n, t: n / t / (n / t).sum(), "go with the cosine itself"),
        (lambda p, n, t: (-n / t).softmax(0), "sign is turned round"),
        (lambda p, n, t: (n / t).softmax(0).max(), "nearest alone"),
        (lambda p, n, t: 100 * (n / t).softmax(0), "yours is 100 times"),
        (lambda p, n, t: (n / t).exp(), "scale is not"),
        (lambda p, n, t: ((n - p) / t).sigmoid(), "something else"),
    ],
)
def test_wrong_shares_are_told_why(wrong, reason):
    reply = exercise_3.check(wrong)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


# 4: why the loss falls and nothing is learned


@pytest.mark.parametrize("name", "abcd")
def test_the_histories_are_those_of_their_pretrainings(name):
    kind = exercise_4.right[name]
    found = np.array(tiny_pretraining.pretraining(kind))
    shown = deep_pneumonia.histories().loc[name]
    assert found[:, 0].tolist() == shown.index.tolist()
    # Another processor rounds otherwise, and forty updates carry it on.
    assert (np.abs(found[:, 1:] - shown.to_numpy()) <= (0.15, 0.01, 0.1, 0.1)).all()


def test_the_histories_show_what_is_said_of_them():
    shown = deep_pneumonia.histories()
    end = shown.xs(40, level="epoch").rename(index=exercise_4.right)
    assert (shown["loss"].unstack().diff(axis=1).iloc[:, 1:] < 0).all(axis=None), "it falls in all four"
    assert end["loss"].idxmax() == "healthy" and end.loc["healthy", "same class"] > 0.9
    assert (end["same class"].drop("healthy") < 0.5).all()
    assert end["embedding spread"].idxmin() == "collapse" and end.loc["collapse", "embedding spread"] < 0.05
    assert end["views differ by"].eq(0).tolist() == [name == "identical views" for name in end.index]
    assert math.log(63) == pytest.approx(4.14, abs=0.005) == end.loc["healthy", "loss"]
    assert "4.14 = log 63, and 64 of the 192 views" in exercise_4.thought and tiny_pretraining.N * 2 == 192
    assert math.log(2 * 96 - 1) == pytest.approx(5.25, abs=0.005) and math.log(3) == pytest.approx(1.1, abs=0.005)


# 5: read the ladder


@pytest.fixture
def exercise():
    return copy.copy(deep_pneumonia.exercise_5)


@pytest.fixture(scope="module")
def results():
    """Runs of a ladder that nobody trained: the third step helps, the others do not."""
    skills = dict(zip(LADDER, (0.6, 0.62, 1.6, 1.6, 1.55), strict=True))
    return Results(
        {
            name: {seed: made_up_run(name, seed, skill=skill, per_class=(60, 40, 40)) for seed in range(8)}
            for name, skill in skills.items()
        }
    )


def test_the_table_is_that_of_the_results(results):
    table = ladder_table(results, LADDER, "rare recall")
    assert table.index.tolist() == list(LADDER) and table.iloc[0, 1:].isna().all()
    for kind, pairs in {BEFORE: list(pairwise(LADDER)), FIRST: [(LADDER[0], step) for step in LADDER[1:]]}.items():
        differences = [results.difference(step, other, "rare recall") for other, step in pairs]
        adjusted = holm([d.p for d in differences])
        for step, d, p in zip(LADDER[1:], differences, adjusted, strict=True):
            assert table.loc[step, kind].tolist() == pytest.approx([d.effect, d.low, d.high, p])
            better = replace(d, adjusted_p=float(p)).verdict == "better"
            assert better == (table.loc[step, (kind, "low")] > 0 and table.loc[step, (kind, "p")] <= 0.05)
    assert table["mean", ""].tolist() == pytest.approx([results.estimate(s, "rare recall").estimate for s in LADDER])


def test_it_asks_about_the_results_that_it_is_given(exercise, results):
    before = exercise.code
    table = exercise.read(results)
    assert exercise.table is table and exercise.state == "not yet"
    solution = solution_of(exercise)
    assert list(solution) == ["+ attention"] and solution["+ attention"] > 0.2 and exercise.code != before
    assert exercise.check(solution) and exercise.solved
    assert exercise.check({"+ attention": round(table.loc["+ attention", (BEFORE, "difference")], 2)})
    assert exercise.check({"+ attention": 0.16}).kind == "wrong", "that was right of the made-up table"
    exercise.read(results, "balanced accuracy")
    assert not exercise.solved


def test_a_ladder_on_which_nothing_is_shown_is_answered_with_nothing(exercise, results):
    flat = Results(dict.fromkeys(LADDER, results.runs["+ attention"]))
    exercise.read(flat)
    assert solution_of(exercise) == {}
    for answer in (
        {},
        [],
        (),
        set(),
        "none",
        [None] * 4,
        dict.fromkeys(LADDER[1:], "not shown"),
        solution_of(exercise),
    ):
        assert exercise.check(answer), answer
    assert "missing" not in exercise.check({"+ attention": 0.1}).text


@pytest.mark.parametrize(
    "kept", [{"seeds": 3}, {"per_class": (60, 40, 6)}], ids=["seeds", "groups"]
)  # a group has two images
def test_results_that_allow_no_verdict_are_refused(exercise, kept):
    with pytest.raises(InvalidInputError, match="too few seeds or test groups"):
        exercise.read(Results(made_up_runs(LADDER, **kept)))


def test_a_ladder_without_a_step_is_named(exercise):
    with pytest.raises(InvalidInputError, match="regulation"):
        exercise.read(Results(made_up_runs(LADDER[:3])))


def test_the_made_up_table_tells_the_ways_to_misread_it_apart(exercise):
    table = exercise.table
    assert ((table[BEFORE, "low"] > 0) & (table[BEFORE, "p"] <= 0.05)).sum() == 1
    means = table["mean", ""]
    for kind, other in ((BEFORE, means.shift()), (FIRST, means.iloc[0])):
        assert np.allclose((means - other).iloc[1:], table[kind, "difference"].iloc[1:])
        low, high, difference = (table[kind, part].iloc[1:] for part in ("low", "high", "difference"))
        assert np.allclose((low + high) / 2, difference)
    assert solution_of(exercise) == {"+ attention": 0.16}


@pytest.mark.parametrize(
    "answer",
    [
        {"+ attention": 0.16},
        {"attention": "0.16"},
        {"+ ATTENTION": torch.tensor(0.16)},
        {"+attention": np.float32(0.163), "+ regulation": None},
        {"+ attention": "+.16", "+ pretraining": "not shown", "+ regulation": np.nan, "+ class balanced": False},
        {"+ attention": [0.16]},
        [("+ attention", 0.16)],
        (("attention", 0.155),),
        pandas.Series({"+ attention": 0.16}),
        [None, 0.16, None, None],
        np.array([np.nan, 0.16, np.nan, np.nan]),
        torch.tensor([torch.nan, 0.16, torch.nan, torch.nan]),
    ],
)
def test_a_reading_is_accepted_in_every_form(exercise, answer):
    reply = exercise.check(answer)
    assert reply, repr(reply)


@pytest.mark.parametrize("answer", [["+ attention"], {"attention"}, "+ attention", {"+ attention": "helps"}])
def test_the_steps_alone_are_nearly_right(exercise, answer):
    reply = exercise.check(answer)
    assert reply.kind == "nearly" and "By how much" in reply.text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (["+ pretraining", "+ attention", "+ regulation"], "every second step has one"),
        ({"+ pretraining": 0.06, "+ attention": 0.16, "+ regulation": 0.03}, "every second step has one"),
        (["+ attention", "+ regulation", "+ class-balanced"], 'better than "cross-entropy"'),
        ({"+ attention": 0.22, "+ regulation": 0.25, "+ class-balanced": 0.24}, 'better than "cross-entropy"'),
        (["+ attention", "+ regulation"], "adjusted p has to be"),
        ({"+ attention": 0.16, "+ pretraining": 0.06}, "begins at -0.020"),
        ({"+ attention": 0.16, "+ class-balanced": -0.01}, "begins at -0.040"),
        ({"+ regulation": 0.03}, "adjusted p is 0.078"),
        ({}, "missing"),
        ("none", "missing"),
        ({"+ attention": 0.16, "+ pretraining": 0}, "from -0.020 to +0.140 holds 0"),
        ({"+ attention": 0.16, "+ class-balanced": "no effect"}, "more than these runs show"),
        ([0, 0.16, 0, 0], "more than these runs show"),
        ({"+ attention": 0.22}, "in which the steps before have a part"),
        ({"+ attention": 0.84}, "the mean itself"),
        ({"+ attention": 0.09}, "lower end"),
        ({"+ attention": 0.23}, "upper end"),
        ({"+ attention": -0.16}, "sign"),
        ({"+ attention": 0.008}, "p-value"),
        ({"+ attention": 0.5}, "0.5 is another number"),
        ({"+ attention": 0}, "another number"),
        ({"+ attention": "much"}, "cannot be read as numbers"),
        ({"+ attention": [0.1, 0.2]}, "One number is asked for"),
        ({"cross-entropy": 0.62}, "is none of these"),
        ({0.16: "+ attention"}, "is none of these"),
        (0.16, "a float"),
        (None, "a NoneType"),
    ],
)
def test_a_wrong_reading_is_told_why(exercise, answer, reason):
    reply = exercise.check(answer)
    assert reply.kind == "wrong" and reason in reply.text, reply.text


def test_percentage_points_are_nearly_right(exercise):
    assert exercise.check({"+ attention": 16}).kind == "nearly"


def test_a_step_that_is_shown_to_harm_is_no_help(exercise):
    table = exercise.table.copy()
    table.loc["+ class-balanced", BEFORE] = [-0.05, -0.08, -0.02, 0.01]
    exercise._ask(table)
    assert "not all for the better" in exercise.check(["+ attention", "+ class-balanced"]).text
    assert "begins at -0.080" in exercise.check({"+ class-balanced": -0.05}).text
    assert exercise.check({"+ attention": 0.16})


@pytest.mark.parametrize("answer", [{"+ attention": ...}, [..., 0.16, None, None], ["+ attention", ...]])
def test_a_reading_that_is_half_filled_in_is_not_yet_one(exercise, answer):
    assert exercise.check(answer).kind == "not yet"


# Whatever an answer does


@pytest.mark.parametrize("which", ["exercise_2", "exercise_4", "exercise_5"])
@pytest.mark.parametrize("wrapped", [lambda odd: odd, lambda odd: [odd], lambda odd: {"a": odd, "black": odd}])
def test_an_answer_that_never_ends_or_raises_is_told(which, wrapped):
    exercise = copy.copy(getattr(deep_pneumonia, which))
    exercise.check([])  # what is measured once is measured now
    exercise.seconds = 0.2
    for action in (loop, raising(SystemExit(0)), raising(StrayError("x"))):
        reply = exercise.check(wrapped(Odd(action)))
        assert reply.kind == "wrong" and len(reply.text) < 900 and reply._repr_html_()
