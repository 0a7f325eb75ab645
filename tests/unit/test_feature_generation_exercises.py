"""The exercises of notebook 06: their solutions are the package's, and what they say of numbers is so.

What holds for the exercises of every notebook is tested in test_every_exercise.py, answers in many forms in
test_answers_in_many_ways.py.
"""

import numpy as np
import pytest
import torch

from careedu.course.exercises import feature_generation
from careedu.course.exercises.feature_generation import exercise_1, exercise_2, exercise_3, exercise_4, exercise_5
from careedu.course.exercises.function import as_tensors
from careedu.measure.feature_quality import frechet_distance, near_copies
from careedu.methods.adversarial import generator_loss
from careedu.methods.feature_generation import FeatureGeneration
from careedu.nn.backbones import build_model


def test_the_notebook_has_its_exercises_in_its_order():
    names = [exercise.name for exercise in feature_generation.exercises]
    assert names == ["generator_loss", "balanced_accuracy", "memorised", "leaking", "gaussian"]


def test_the_solutions_are_the_package_s():
    for source, classes, wanted in map(as_tensors, exercise_1.cases):
        terms = generator_loss((source, classes), wanted)
        torch.testing.assert_close(exercise_1.right(source, classes, wanted), sum(terms.values()))
    for made, real in exercise_3.cases:
        share = exercise_3.right(*as_tensors((made, real)))
        assert float(share) == pytest.approx(near_copies(made, real).mean())


def test_the_gaussian_of_the_package_has_the_same_mean_and_spread():
    features, labels, c, _ = exercise_5.cases[0]
    new, of = FeatureGeneration(generator="gaussian", amount=40).resample(
        build_model("small", 3), features.astype(np.float32), labels, 0
    )
    made = new[len(labels) :][of[len(labels) :] == c]
    noise = torch.randn(len(made), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    by_hand = exercise_5.right(torch.from_numpy(features), torch.from_numpy(labels), c, noise).numpy()
    np.testing.assert_allclose(made.mean(0), by_hand.mean(0), atol=0.15)
    np.testing.assert_allclose(made.std(0), by_hand.std(0), rtol=0.05)


def test_the_cases_tell_copies_from_new_ones():
    for made, real in exercise_3.cases:
        assert 0.2 < near_copies(made, real).mean() < 0.9 and len(real) % 2 == 1  # one median, in torch as in numpy


def test_what_is_said_of_the_slopes_is_so():
    source, classes, wanted = as_tensors(exercise_1.cases[1])
    source = source.requires_grad_()
    (slope,) = torch.autograd.grad(exercise_1.right(source, classes, wanted), source)
    assert (slope * len(source) < -0.99).all()
    (starved,) = torch.autograd.grad(torch.log(1 - source.sigmoid()).mean(), source)
    assert (starved.abs() * len(source) < 0.01).all()


def test_what_is_said_of_the_paper_s_table_is_so():
    assert exercise_2.right == pytest.approx(np.mean([0.569, 0.384]))
    assert np.mean([0.95, 0.05]) == pytest.approx(0.5)


def test_only_whole_patients_do_not_leak():
    shares = feature_generation.strangers()
    assert {name for name, share in shares.items() if share == 1} == {"patients at random", "patients of one hospital"}
    assert max(share for share in shares.values() if share < 1) < 0.5
    assert len(shares) == 7 and set(shares) == set(exercise_4.options)


def test_what_the_thought_says_of_copies_can_be_seen():
    """All of them copies: no Fréchet distance to speak of, and a share of 1."""
    real = exercise_3.cases[0][1]
    again = np.repeat(real, 10, axis=0)
    assert frechet_distance(again, real) == pytest.approx(0, abs=1e-8)
    assert float(exercise_3.right(*as_tensors((again, real)))) == 1


def test_the_gaussian_has_no_preference_between_n_and_one_less():
    for features, labels, c, noise in map(as_tensors, exercise_5.cases):
        own = features[labels == c]
        for correction in (0, 1):
            answer = own.mean(dim=0) + own.std(dim=0, correction=correction) * noise
            assert exercise_5._agree([answer.numpy()] * 2, [exercise_5.right(features, labels, c, noise).numpy()] * 2)
