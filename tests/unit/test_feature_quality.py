"""Fréchet distance and near copies against closed forms and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from careedu.measure.feature_quality import feature_quality, frechet_distance, near_copies


def by_covariances(a, b):
    first, second = (np.cov(x, rowvar=False, bias=True) for x in (a, b))
    root = sqrtm(first @ second)
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * np.real(root))


@given(st.integers(0, 1000), st.integers(8, 30), st.integers(8, 30))
def test_it_is_the_distance_of_the_covariances(seed, n, m):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(4, 4))
    a, b = rng.normal(size=(n, 4)), rng.normal(1, 2, size=(m, 4)) @ mixing
    assert frechet_distance(a, b) == pytest.approx(by_covariances(a, b), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_of_normal_distributions_along_one_axis():
    """(μ_a − μ_b)² + (σ_a − σ_b)²."""
    a, b = np.array([[-1.0], [1.0]]), np.array([[2.0], [8.0]])
    assert frechet_distance(a, b) == pytest.approx((0 - 5) ** 2 + (1 - 3) ** 2)


@pytest.mark.parametrize(("n", "width"), [(1, 3), (5, 40), (40, 5)])
def test_a_set_has_no_distance_to_itself_though_it_is_smaller_than_its_dimension(n, width):
    rows = np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(rows, rows + 2) == pytest.approx(4 * width, rel=1e-4)


def test_copies_are_nearer_to_a_real_one_than_real_ones_to_each_other():
    real = np.array([[0.0, 0], [1, 0], [0, 1], [10, 10]])  # nearest: 1, 1, 1, and far: the median is 1
    made = np.array([[0.49, 0], [0.5, 0.5], [10, 10.4], [10, 10.6], [5, 5]])
    assert near_copies(made, real).tolist() == [True, False, True, False, False]
    assert near_copies(real, real).all()


def test_of_a_single_real_feature_only_its_equals_are_copies():
    assert near_copies(np.array([[1.0, 2], [1, 2.001]]), np.array([[1.0, 2]])).tolist() == [True, False]


def test_quality_is_told_class_by_class():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], [10, 4])
    real = rng.normal(size=(14, 3))
    made = np.where(labels[:, None] == 2, real + 3, real)
    quality = feature_quality(made, real, labels, ("a", "absent", "b"))
    assert set(quality) == {"Fréchet distance: a", "Fréchet distance: b", "near copies"}
    assert quality["Fréchet distance: a"] == pytest.approx(0, abs=1e-8)
    assert quality["Fréchet distance: b"] == pytest.approx(27)
    assert quality["near copies"] == pytest.approx(0.5)
    # A class of one feature has no distance to go by, and does not count.
    alone = labels.copy()
    alone[:9] = 1
    assert feature_quality(made, real, alone, ("a", "c", "b"))["near copies"] == pytest.approx(0.5)
    assert feature_quality(made[:1], real[:1], alone[:1], ("a", "c", "b"))["near copies"] == 0.0
