"""The exercise of notebook 03 on what keeps a map smooth and sparse.

Its reference is computed anew in NumPy, apart from `careedu.nn.spatial_mask`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from careedu.course.exercises.function import Arguments, FunctionExercise, Results, keeps_gradient


def _steps(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences of neighbours, down and across."""
    return np.diff(values, axis=0), np.diff(values, axis=1)


def _variation(values: np.ndarray) -> float:
    down, across = _steps(values)
    return np.abs(down).mean() + np.abs(across).mean()


def _with(variation: Callable[[np.ndarray], float]) -> Callable[[np.ndarray, float, float], float]:
    """The whole term with another total variation."""
    return lambda values, sparsity, weight: sparsity * values.mean() + weight * variation(values)


_regulariser = _with(_variation)


def _isotropic(values: np.ndarray) -> float:
    down, across = _steps(values)
    return np.sqrt(down[:, :-1] ** 2 + across[:-1] ** 2).mean()


def _wrapped(values: np.ndarray) -> float:
    return sum(np.abs(values - np.roll(values, 1, axis=axis)).mean() for axis in (0, 1))


def _pooled(values: np.ndarray) -> float:
    return np.abs(np.concatenate([step.ravel() for step in _steps(values)])).mean()


def _cases() -> list[Arguments]:
    """Two maps in [0, 1] that are not square, and a flat one."""
    random = np.random.default_rng(1992)
    return [
        (random.random((5, 7)) ** 2, 0.1, 0.3),
        (random.random((6, 4)), 0.5, 0.2),
        (np.full((3, 4), 0.25), 0.2, 0.4),
    ]


def _properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    wanted = np.array([_regulariser(*case) for case in cases])
    got = np.array([float(result.reshape(-1)[0]) for result in results])
    ratios = got / wanted
    if np.ptp(ratios) < 1e-3 * abs(ratios.mean()):
        return f"Right but for a factor: yours is {ratios.mean():.3g} times the one that is asked for."
    means = np.array([case[1] * case[0].mean() for case in cases])
    if abs(got[2] - wanted[2]) > 1e-3:
        return "A flat map has no variation: its term is λ_s times its mean, and nothing else."
    parts = (got - means)[:2] / (wanted - means)[:2]
    if np.ptp(parts) < 1e-3 * abs(parts.mean()):
        return f"The sparsity is right; the variation is {parts.mean():.3g} times the one that is asked for."
    return None


regulariser_exercise = FunctionExercise(
    "regulariser",
    cases=_cases(),
    right=_regulariser,
    mistakes=[
        (
            _with(lambda values: sum(np.abs(step).sum() for step in _steps(values))),
            "The differences are summed. Take their means, or a larger map pays more for the same look.",
        ),
        (
            _with(lambda values: sum((step**2).mean() for step in _steps(values))),
            "The differences are squared: that spares small steps and punishes an edge. Total variation takes their "
            "absolute values, so that an edge costs as much as a slope of the same height.",
        ),
        (
            _with(_isotropic),
            "This is the isotropic form, √(down² + across²). Asked are the two directions apart, each with its mean.",
        ),
        (
            _with(lambda values: sum(np.abs(step).sum() for step in _steps(values)) / values.size),
            "The sums are divided by the number of pixels; there are fewer pairs of neighbours than pixels: take the "
            "mean of the differences.",
        ),
        (
            _with(lambda values: np.abs(_steps(values)[0]).mean()),
            "Only the differences down are there: a map of upright stripes would cost nothing. Add those across.",
        ),
        (
            _with(lambda values: np.abs(_steps(values)[1]).mean()),
            "Only the differences across are there: a map of level stripes would cost nothing. Add those down.",
        ),
        (
            _with(_pooled),
            "This is one mean over all differences. Asked is the sum of two, one a direction.",
        ),
        (
            _with(lambda values: _variation(values) / 2),
            "This is the mean of the two directions; asked is their sum.",
        ),
        (
            _with(_wrapped),
            "The last row is compared with the first, as if the map were a tube: `roll` does that. A border has no "
            "neighbour beyond it.",
        ),
        (
            _with(lambda values: sum(step.mean() for step in _steps(values))),
            "The signs are kept, so that up and down cancel and only the borders count. Take absolute values.",
        ),
        (
            lambda values, sparsity, weight: weight * values.mean() + sparsity * _variation(values),
            "λ_s and λ_tv have changed places.",
        ),
        (
            lambda values, sparsity, weight: weight * _variation(values),
            "The sparsity is missing: nothing then asks a pixel to close.",
        ),
        (
            lambda values, sparsity, weight: sparsity * values.mean(),
            "The total variation is missing: a map of speckles costs as much as one of the same mean in one piece.",
        ),
        (
            lambda values, sparsity, weight: sparsity * values.sum() + weight * _variation(values),
            "The sparsity is a sum over the pixels. Take the mean, or a larger map pays more for the same look.",
        ),
        (
            lambda values, sparsity, weight: sparsity * (1 - values).mean() + weight * _variation(values),
            "The sparsity is upside down: this rewards open pixels.",
        ),
        (
            lambda values, sparsity, weight: sparsity * (values**2).mean() + weight * _variation(values),
            "The sparsity is squared: asked is the mean of M.",
        ),
        (
            lambda values, sparsity, weight: -_regulariser(values, sparsity, weight),
            "The sign is turned round: the term is added to the loss, so that what it counts is to be small.",
        ),
        (
            lambda values, sparsity, weight: sparsity * values.mean() - weight * _variation(values),
            "The variation has the wrong sign: this rewards a ragged map.",
        ),
        (
            lambda values, sparsity, weight: values.mean() + _variation(values),
            "λ_s and λ_tv are left out.",
        ),
    ],
    properties=[_properties],
    last=[keeps_gradient(_cases()[0], "the map")],
    expected="one number, λ_s · mean(M) + λ_tv · (mean |differences down| + mean |differences across|)",
    praise="Open pixels cost, and so do steps between neighbours.",
    thought="Which map has the lowest term of all, and what keeps the network from it? And of two maps with half of "
    "their pixels open, one in a block and one as a chessboard: how many times more does the second pay?",
    hints=[
        "Two parts: how open the map is on average, and how much neighbours differ.",
        "`values[1:] - values[:-1]` are the differences down; across it is the same with the second index.",
        "Absolute values, then the mean of each direction, then their sum.",
    ],
    code="""
def regulariser(values, sparsity, variation):
    down = (values[1:] - values[:-1]).abs().mean()
    across = (values[:, 1:] - values[:, :-1]).abs().mean()
    return sparsity * values.mean() + variation * (down + across)
""",
    why="Means, not sums, so that one λ serves maps of every size.",
)
