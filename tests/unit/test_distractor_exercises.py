"""The exercises of notebook 05: their solutions are the package's, and what they say of numbers is so.

What holds for the exercises of every notebook is tested in test_every_exercise.py, answers in many forms in
test_answers_in_many_ways.py.
"""

import numpy as np
import pytest
import torch
from shown_solution import solution_of
from torch.nn import functional

from careedu.course.exercises import distractor
from careedu.course.exercises.distractor import exercise_1, exercise_2, exercise_3, exercise_5
from careedu.course.exercises.function import as_tensors
from careedu.measure.metrics import balanced_accuracy
from careedu.methods import distractor as package


def test_the_notebook_has_its_exercises_in_its_order():
    names = [exercise.name for exercise in distractor.exercises]
    assert names == ["relevance", "slope", "apart", "refutes", "gained"]


def test_the_solutions_are_the_package_s():
    for features, weight in map(as_tensors, exercise_1.cases):
        torch.testing.assert_close(exercise_1.right(features, weight), package.relevance(features, weight))
        r = package.relevance(features, weight)
        torch.testing.assert_close(exercise_2.right(features, weight), r / r[0, 0].numel())
    for z, z_distractor, margin in map(as_tensors, exercise_3.cases):
        wanted = float(package.distractor_loss(z, z_distractor, margin))
        assert float(exercise_3.right(z, z_distractor, margin)) == pytest.approx(wanted)


def test_the_cases_tell_mistakes_apart():
    features, weight = as_tensors(exercise_1.cases[0])
    r = package.relevance(features, weight)
    assert not r[1].any() and r[0].any(), "in one image nothing speaks for the class"
    assert len(set(features.amax(dim=(1, 2, 3)).tolist())) == len(features)
    z, z_distractor, margin = as_tensors(exercise_3.cases[0])
    distance = 1 - functional.cosine_similarity(z, z_distractor)
    assert 0 < (distance > margin).float().mean() < 1, "some are further than the margin"


def test_a_gradient_through_the_relevance_is_told():
    def through(features, weight):
        a = features.clone().requires_grad_()
        r = torch.relu(a * weight[:, :, None, None])
        r = r / r.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
        return torch.autograd.grad((a * r).mean(dim=(2, 3)).sum(), a)[0]

    reply = exercise_2.check(through)
    assert not reply
    assert "runs through r as well" in reply.text


def test_what_the_thought_says_of_that_gradient_is_so():
    """At half of the largest value it doubles, and at the largest itself it falls."""
    a = torch.tensor([[[[4.0, 2.0]]]], requires_grad=True)
    weight = torch.ones(1, 1)
    constant = exercise_2.right(a.detach(), weight).flatten()
    r = a / a.amax()
    through = torch.autograd.grad((a * r).mean(), a)[0].flatten()
    assert through[1] == pytest.approx(2 * float(constant[1]))
    assert through[0] < constant[0]


def test_the_worked_numbers_of_the_praise():
    z, z_distractor, margin = as_tensors(exercise_3.cases[-1])
    each = [float(exercise_3.right(z[i : i + 1], z_distractor[i : i + 1], margin)) for i in range(2)]
    assert each == pytest.approx([0, 0.5])


def test_what_is_said_of_the_two_matrices_is_so():
    table = distractor.confusions()
    before, after = (table[name].to_numpy() for name in ("before", "after"))
    assert (before.sum(1) == after.sum(1)).all() and before.sum() == 340

    def score(matrix):
        labels = np.repeat([0, 1, 2], matrix.sum(1))
        predicted = np.concatenate([np.repeat([0, 1, 2], row) for row in matrix])
        return balanced_accuracy(np.eye(3)[predicted], labels)

    assert score(after) - score(before) == pytest.approx(exercise_5.right, abs=1e-4)
    assert solution_of(exercise_5) == pytest.approx(score(after) - score(before))
    assert np.trace(before) - np.trace(after) == 10
    assert before[2, 0] - after[2, 0] == 8 and after[0, 2] - before[0, 2] == 14
    assert (before.diagonal() / before.sum(1)).round(2).tolist() == [0.91, 0.8, 0.5]
    assert (after.diagonal() / after.sum(1)).round(2).tolist() == [0.83, 0.76, 0.75]
    assert f"{score(before):.3f}" == "0.737" and f"{score(after):.3f}" == "0.780"
    precision = [(m.diagonal() / m.sum(0)).mean() for m in (before, after)]
    wrong = {
        "accuracy": (np.trace(after) - np.trace(before)) / 340,
        "rare class": 0.25,
        "sum of the three": 3 * exercise_5.right,
        "down the columns": precision[1] - precision[0],
        "two balanced accuracies": score(after),
        "percentage points": 100 * exercise_5.right,
    }
    for words, number in wrong.items():
        reply = exercise_5.check(number)
        assert not reply and words in reply.text, (words, number, reply.text)
