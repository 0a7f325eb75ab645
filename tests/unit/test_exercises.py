"""The exercises: right forms are accepted, wrong ones told why, each with its own reason, and nothing is given away."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from careedu.course.exercises import imbalance
from careedu.course.exercises.exercise import as_numbers
from careedu.course.exercises.function import FunctionExercise
from careedu.course.exercises.imbalance import exercise_1, exercise_2, exercise_3, exercise_4, exercise_5
from careedu.errors import InvalidInputError
from careedu.nn.losses import effective_number_weights, logit_adjusted_loss

ALL = {name: getattr(imbalance, name) for name in imbalance.__all__}
FUNCTIONS = {name: e for name, e in ALL.items() if isinstance(e, FunctionExercise)}
every = pytest.mark.parametrize("exercise", ALL.values(), ids=ALL.keys())
every_function = pytest.mark.parametrize("exercise", FUNCTIONS.values(), ids=FUNCTIONS.keys())


def solution_of(exercise):
    names = {}
    exec(exercise.code, names)
    return names[exercise.name]


@every
def test_the_stub_is_not_yet_answered_and_raises_nothing(exercise):
    for reply in (exercise.check(...), exercise.check()):
        assert reply.kind == "not yet"
        assert not reply
        assert "Not yet" in repr(reply)
        assert "Not yet" in reply._repr_html_()
    assert exercise.state == "not yet"
    assert not exercise.solved


@every_function
def test_a_function_that_gives_the_stub_back_is_not_yet_answered(exercise):
    assert exercise.check(lambda *given: ...).kind == "not yet"
    assert exercise.check(lambda *given: (..., ...)).kind == "not yet"


@every
def test_the_solution_passes_its_own_check_and_unlocks_the_next_thought(exercise):
    reply = exercise.check(solution_of(exercise))
    assert reply, repr(reply)
    assert exercise.solved
    assert exercise.thought in repr(reply)
    assert "Next thought" in reply._repr_html_()
    exercise.check(...)
    assert not exercise.solved


@every
def test_nobody_sees_the_next_thought_before(exercise):
    before = [
        exercise.check(...),
        exercise.check("nonsense"),
        exercise.solution(),
        *(exercise.hint() for _ in range(4)),
    ]
    assert all(exercise.thought not in repr(reply) + reply._repr_html_() for reply in before)
    assert exercise.thought not in repr(exercise)


@every
def test_hints_go_from_faint_to_plain_and_the_last_stays(exercise):
    exercise._hints_given = 0
    texts = [exercise.hint().text for _ in range(len(exercise.hints) + 1)]
    assert len(set(texts)) == len(exercise.hints) >= 2
    assert texts[-1] == texts[-2]
    assert all(len(text) > 20 for text in texts)
    assert exercise.code in repr(exercise.solution())
    assert "<pre" in exercise.solution()._repr_html_()


@every
def test_a_reply_is_escaped_and_told_by_a_word_and_a_sign_not_by_colour_alone(exercise):
    def broken(*given):
        raise RuntimeError("<b>bold</b>")

    page = exercise.check(broken)._repr_html_()
    assert "<b>" not in page
    assert "Not right." in page
    assert "✗" in page
    assert "--jp-content-font-color1" in page


@every_function
def test_an_answer_that_raises_is_reported_with_its_name_and_message(exercise):
    def broken(*given):
        raise KeyError("where is it")

    reply = exercise.check(broken)
    assert reply.kind == "wrong"
    assert "KeyError: 'where is it'" in reply.text


@every_function
def test_every_mistake_is_told_by_its_own_reason(exercise):
    """The list of mistakes itself: each is wrong, recognised as itself, and no two share a reason."""

    def in_numpy(function):
        return lambda *given: function(*(g.numpy() if isinstance(g, torch.Tensor) else g for g in given))

    said = [exercise.check(in_numpy(mistake)).text for mistake, _ in exercise.mistakes]
    assert said == [why for _, why in exercise.mistakes]
    assert len(set(said)) == len(said) >= 3


@every_function
def test_what_is_no_answer_in_kind_is_told_why(exercise):
    answers = {
        "not called": 3.0,
        "None": lambda *given: None,
        "text": lambda *given: "high",
        "NaN": lambda *given: as_numbers(exercise.right(*given)) * np.nan,
        "shape": lambda *given: np.zeros((7, 2)),
        "bool": lambda *given: True,
        "arguments": lambda: 1,
        "wrong": lambda *given: as_numbers(exercise.right(*exercise.cases[0])) * 0 + 0.123,
    }
    replies = {name: exercise.check(answer) for name, answer in answers.items()}
    assert all(reply.kind == "wrong" for reply in replies.values())
    for a, b in itertools.combinations(replies, 2):
        assert replies[a].text != replies[b].text, (a, b)


def test_an_answer_that_changes_its_arguments_is_told_and_does_no_harm():
    before = [case[0].copy() for case in exercise_1.cases]

    def greedy(counts, beta):
        result = effective_number_weights(counts, beta)
        counts[:] = 1
        return result

    assert "in place" in exercise_1.check(greedy).text
    assert all((case[0] == old).all() for case, old in zip(exercise_1.cases, before, strict=True))
    assert exercise_1.check(effective_number_weights)


# 1: weights


@pytest.mark.parametrize(
    "form",
    [
        lambda w: w,
        lambda w: w.float(),
        lambda w: w.numpy(),
        lambda w: w.numpy().astype(np.float32),
        lambda w: w.tolist(),
        lambda w: tuple(w.tolist()),
        lambda w: list(w),
        lambda w: w.clone().requires_grad_(),
    ],
)
def test_weights_are_accepted_in_every_form(form):
    assert exercise_1.check(lambda n, beta: form(effective_number_weights(n, beta).double()))


@pytest.mark.parametrize(
    "right",
    [
        lambda n, beta: (1 / (1 - beta**n)) * len(n) / (1 / (1 - beta**n)).sum(),  # (1 − β) cancels
        lambda n, beta: (lambda w: w * len(w) / w.sum())(1 / (1 - np.power(beta, n))),  # NumPy
        lambda n, beta: (lambda w: [len(w) * x / sum(w) for x in w])([1 / (1 - beta ** n[i]) for i in range(len(n))]),
    ],
)
def test_weights_are_accepted_however_they_are_computed(right):
    assert exercise_1.check(right)


def test_weights_that_are_wrong_in_a_way_no_list_knows_are_told_by_their_properties():
    def right(n, beta):
        return effective_number_weights(n, beta).double()

    wrong = {
        "sum to 6": lambda n, beta: right(n, beta) * 2,
        "negative": lambda n, beta: -right(n, beta),
        "another order": lambda n, beta: right(n, beta).sort().values,
        "proportions are wrong": lambda n, beta: right(n, beta).sqrt() * len(n) / right(n, beta).sqrt().sum(),
    }
    for reason, answer in wrong.items():
        assert reason in exercise_1.check(answer).text


# 2: the loss


@pytest.mark.parametrize(
    "right",
    [
        logit_adjusted_loss,
        # Counts in place of priors: a constant is added to all logits, and the softmax does not see it.
        lambda s, y, n, tau: cross_entropy(s + tau * torch.log(torch.as_tensor(n)), y),
        lambda s, y, n, tau: cross_entropy(s + tau * torch.log(torch.as_tensor(n) / sum(n)), y)[None],
        lambda s, y, n, tau: cross_entropy(s.float() + tau * torch.log(n / n.sum()), y),
        lambda s, y, n, tau: cross_entropy(s + tau * torch.tensor(np.log(np.array(n) / sum(n))), y),
    ],
)
def test_the_loss_is_accepted_in_every_form(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


def test_a_loss_from_which_nothing_can_learn_is_told():
    for kill in (lambda x: x.item(), lambda x: x.detach(), lambda x: x.detach().numpy()):
        reply = exercise_2.check(lambda *given, kill=kill: kill(logit_adjusted_loss(*given)))
        assert "no gradient" in reply.text
    in_numpy = exercise_2.check(lambda s, y, n, tau: logit_adjusted_loss(torch.tensor(s.numpy()), y, n, tau))
    assert "RuntimeError" in in_numpy.text


# 3 to 5: measures


@pytest.mark.parametrize("form", [float, np.float32, torch.tensor, np.array, lambda x: [x]])
def test_a_predictive_value_is_accepted_in_every_form(form):
    assert exercise_3.check(lambda a, b, c: form(a * c / (a * c + (1 - b) * (1 - c))))


def test_a_predictive_value_beyond_1_is_no_share():
    assert "no share" in exercise_3.check(lambda a, b, c: 1.5 + a).text


@pytest.mark.parametrize("one", [1, 1.0, "1", "one", " One ", np.int64(1), torch.tensor(1), [1], 0.998])
def test_one_image_is_accepted_in_every_form(one):
    assert exercise_4.check(one)


def test_a_wrong_number_of_images_is_told_why():
    wrong = [4.34, 0.0434, 4.348, 0.0907, 99.8, 12, 23, 4, 0, -1, 500, 2, 1.5, None, True, "many", [1, 2], np.nan, len]
    replies = [exercise_4.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)


@pytest.mark.parametrize("form", [tuple, list, np.array, torch.tensor])
def test_a_choice_is_accepted_in_every_form(form):
    choose = solution_of(exercise_5)
    assert exercise_5.check(lambda validation, test: form(choose(validation, test)))


def test_a_choice_on_the_test_images_is_recognised():
    def leaked(validation, test):
        beta = max(test, key=test.get)
        return beta, test[beta]

    assert "chosen on the test images" in exercise_5.check(leaked).text
    assert "none of the βs" in exercise_5.check(lambda validation, test: (0.5, 0.7)).text
    assert "another one" in exercise_5.check(lambda v, t: (max(v, key=v.get), 0.1)).text


# The references, against the package


def test_the_references_agree_with_the_package():
    for counts, beta in exercise_1.cases:
        assert np.allclose(exercise_1.right(counts, beta), effective_number_weights(counts, beta))
    for logits, target, counts, tau in exercise_2.cases:
        ours = logit_adjusted_loss(torch.tensor(logits), torch.tensor(target), counts, tau)
        assert np.allclose(exercise_2.right(logits, target, counts, tau), ours)
    assert exercise_3.right(0.9, 0.95, 0.01) == pytest.approx(0.1538, abs=1e-4)


def test_numbers_are_read_in_any_form_and_nothing_else():
    for value in (torch.ones(2, dtype=torch.bfloat16), np.float32(1), [torch.tensor(1.0)], "1.0", (1,)):
        assert (as_numbers(value) == 1).all()
    for value in (None, True, {"a": 1}, 1j, torch.tensor(1j), "many", [1, [2, 3]]):
        with pytest.raises(InvalidInputError):
            as_numbers(value)
