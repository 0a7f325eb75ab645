"""The exercises of notebook 01: right answers are accepted however they are computed, wrong ones told why.

What holds for the exercises of every notebook is tested in test_every_exercise.py.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from careedu.course.exercises.function import as_tensors
from careedu.course.exercises.imbalance import exercise_1, exercise_2, exercise_3, exercise_4, exercise_5
from careedu.nn.losses import effective_number_weights, logit_adjusted_loss

# 1: weights


@pytest.mark.parametrize(
    "right",
    [
        effective_number_weights,
        lambda n, beta: (1 / (1 - beta**n)) * len(n) / (1 / (1 - beta**n)).sum(),  # (1 − β) cancels
        lambda n, beta: (lambda w: w * len(w) / w.sum())(1 / (1 - np.power(beta, n))),  # NumPy
        lambda n, beta: (lambda w: [len(w) * x / sum(w) for x in w])([1 / (1 - beta ** n[i]) for i in range(len(n))]),
    ],
)
def test_weights_are_accepted_however_they_are_computed(right):
    assert exercise_1.check(right)


def test_weights_that_are_wrong_in_a_way_no_table_knows_are_told_how_far_they_are_right():
    def right(n, beta):
        return effective_number_weights(n, beta).double()

    wrong = {
        "yours is 2 times": lambda n, beta: right(n, beta) * 2,
        "but for the sign": lambda n, beta: -right(n, beta),
        "The proportions are right, the scale is not": lambda n, beta: right(n, beta) / right(n, beta).max(),
        "of 3 results 0 are right": lambda n, beta: right(n, beta).sqrt() * len(n) / right(n, beta).sqrt().sum(),
        "of 3 results 1 are right": lambda n, beta: right(n, beta).sort().values,
    }
    for reason, answer in wrong.items():
        reply = exercise_1.check(answer)
        assert reply.kind == "wrong" and reason in reply.text, reply.text


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
def test_the_loss_is_accepted_however_it_is_computed(right):
    reply = exercise_2.check(right)
    assert reply, repr(reply)


def test_a_loss_from_which_nothing_can_learn_is_told():
    for kill in (lambda x: x.item(), lambda x: x.detach(), lambda x: x.detach().numpy()):
        reply = exercise_2.check(lambda *given, kill=kill: kill(logit_adjusted_loss(*given)))
        assert "no gradient" in reply.text
    in_numpy = exercise_2.check(lambda s, y, n, tau: logit_adjusted_loss(torch.tensor(s.numpy()), y, n, tau))
    assert "RuntimeError" in in_numpy.text


# 3 to 5: measures


def test_a_predictive_value_in_percent_is_told_by_its_factor():
    assert "yours is 100 times" in exercise_3.check(lambda *given: 100 * exercise_3.right(*given)).text


@pytest.mark.parametrize("one", ["one", " One ", 0.998])
def test_one_image_is_accepted_in_words_and_unrounded(one):
    assert exercise_4.check(one)


def test_a_wrong_number_of_images_is_told_why():
    wrong = [4.34, 0.0434, 0.0907, 12, 23, 0, -1, 500, 2, 1.5]
    replies = [exercise_4.check(answer) for answer in wrong]
    assert all(reply.kind == "wrong" for reply in replies)
    assert len({reply.text for reply in replies}) == len(wrong)
    assert {exercise_4.check(points).text for points in (4, 4.34, 4.348)} == {replies[0].text}


def test_a_choice_on_the_test_images_is_recognised():
    def leaked(validation, test):
        beta = max(test, key=test.get)
        return beta, test[beta]

    assert "chosen on the test images" in exercise_5.check(leaked).text
    assert "the chosen β and the score" in exercise_5.check(lambda validation, test: (0.5, 0.7)).text


def test_a_neighbouring_beta_is_another_one():
    assert exercise_5.check(lambda v, t: (max(v, key=v.get) + 0.0002, t[max(v, key=v.get)])).kind == "wrong"


# The references, against the package


def test_the_references_agree_with_the_package():
    for counts, beta in exercise_1.cases:
        assert np.allclose(exercise_1.right(counts, beta), effective_number_weights(counts, beta))
    for case in exercise_2.cases:
        logits, target, counts, tau = as_tensors(case)
        ours = logit_adjusted_loss(logits, target, counts, tau)
        assert np.allclose(exercise_2.right(logits, target, counts, tau), ours)
    assert exercise_3.right(0.9, 0.95, 0.01) == pytest.approx(0.1538, abs=1e-4)
