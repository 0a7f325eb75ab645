"""Exercises of notebook 01 on what the counts do to a loss: weights, and a shift of the logits.

Every reference here is computed anew in NumPy, apart from `careedu.nn.losses`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from careedu.course.exercises.function import Arguments, FunctionExercise, Results, as_lists, as_tensors

# 1: weights from the effective number of images


def _effective(counts: np.ndarray, beta: float) -> np.ndarray:
    return (1 - beta**counts) / (1 - beta)


def _to_classes(weights: np.ndarray) -> np.ndarray:
    return weights * len(weights) / weights.sum()


def _weights(counts: np.ndarray, beta: float) -> np.ndarray:
    return _to_classes(1 / _effective(counts, beta))


def _weights_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    wanted = [_weights(*case) for case in cases]
    if any((result < 0).any() for result in results):
        return "There are negative weights: 1 − βⁿ is positive for β below 1. Is a sign the wrong way round?"
    if all(np.allclose(np.sort(a), np.sort(b), rtol=1e-3) for a, b in zip(results, wanted, strict=True)):
        return "The right weights in another order: the first weight belongs to the first count. Do not sort."
    ratios = [result / want for result, want in zip(results, wanted, strict=True)]
    if all(np.ptp(ratio) < 1e-3 * ratio.mean() for ratio in ratios):
        return (
            f"The proportions are right, the scale is not: the weights sum to {results[0].sum():.4g}, "
            f"and should sum to the number of classes, {len(results[0])}."
        )
    if all(np.isclose(result.sum(), len(result)) for result in results):
        return "They sum to the number of classes, but their proportions are wrong: each goes with 1 over its E."
    return None


weights_exercise = FunctionExercise(
    "weights",
    cases=[(np.array([300, 95, 30]), 0.99), (np.array([20, 800, 5, 150]), 0.999), (np.array([7, 40]), 0.5)],
    right=_weights,
    mistakes=[
        (
            lambda n, beta: 1 / _effective(n, beta),
            "This is 1/E, and right so far; the last step is missing: scale the weights so that they sum to the number "
            "of classes. As it is, the learning rate would change its meaning with the counts.",
        ),
        (
            lambda n, beta: _weights(n, beta) / len(n),
            "These sum to 1. They should sum to the number of classes, so that their mean is 1.",
        ),
        (
            lambda n, beta: _weights(n, beta) / _weights(n, beta).max(),
            "The largest is 1. Scale them by their sum instead: it should be the number of classes.",
        ),
        (
            lambda n, beta: _weights(n, beta) * n.sum() / (n * _weights(n, beta)).sum(),
            "These average to 1 over the images; here they should average to 1 over the classes: divide by Σw.",
        ),
        (
            lambda n, beta: _to_classes(1 / n),
            "These are inverse-frequency weights, C·(1/n)/Σ(1/n): β plays no part. Put E in place of n.",
        ),
        (
            lambda n, beta: _to_classes(_effective(n, beta)),
            "Upside down: these go with E, so the commonest class weighs most. A weight goes with 1/E.",
        ),
        (
            lambda n, beta: _effective(n, beta),
            "These are the effective numbers E. A weight goes with 1/E, and all of them sum to the number of classes.",
        ),
        (
            lambda n, beta: _to_classes(1 / (1 - n.astype(float) ** beta)),
            "The power is the wrong way round: it is β to the n, `beta**counts`, not n to the β.",
        ),
        (
            lambda n, beta: _to_classes(beta ** -n.astype(float)),
            "This divides by βⁿ; the effective number goes with 1 − βⁿ.",
        ),
        (
            lambda n, beta: np.ones(len(n)),
            "All weights are equal: that is plain cross-entropy. The counts must play a part.",
        ),
    ],
    properties=[_weights_properties],
    expected="one positive weight per class, larger for rarer classes, which sum to the number of classes",
    praise="A class weighs by 1/E, and the mean weight is 1, so the learning rate keeps its meaning.",
    thought="With β = .9999 and counts of some hundred images, E is almost n. Which other weights do you get then, and "
    "which ones as β goes to 0? So which β can tell your counts apart?",
    hints=[
        "E = (1 − βⁿ)/(1 − β) for each class; a weight is proportional to 1/E.",
        "Multiply by the number of classes and divide by the sum of all 1/E.",
    ],
    code="""
def weights(counts, beta):
    inverse = [(1 - beta) / (1 - beta ** int(n)) for n in counts]
    return [len(counts) * w / sum(inverse) for w in inverse]
""",
    why="First 1/E of each class, then the scale: they sum to the number of classes.",
)


# 2: the logit-adjusted loss


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _losses(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Cross-entropy of each image."""
    return -_log_softmax(logits)[np.arange(len(target)), target]


def _prior(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()


def _adjusted(shift: Callable[[np.ndarray, float], np.ndarray]) -> Callable[..., Any]:
    """The loss whose logits are shifted by a function of the prior and τ."""
    return lambda logits, target, counts, tau: _losses(logits + shift(_prior(counts), tau), target).mean()


def _loss_cases() -> list[Arguments]:
    random = np.random.default_rng(20210)
    return [
        (random.normal(size=(6, 3)), np.array([0, 2, 1, 0, 2, 0]), np.array([300, 95, 30]), 1.0),
        (random.normal(size=(5, 4)), np.array([3, 1, 0, 2, 3]), np.array([20, 800, 5, 150]), 0.5),
    ]


def _loss_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    if any(result < 0 for result in results):
        return "The loss is negative: cross-entropy is −log p of the true class, and never below 0."
    return None


def _has_gradient(answer: Callable[..., Any]) -> str | None:
    """Whether a network could learn from the loss."""
    logits, *others = as_tensors(_loss_cases()[0])
    why = "The number is right, but no gradient flows back to the logits, and a network could not learn from it. "
    remedy = "Stay within torch: no `.item()`, `.numpy()`, `.detach()` or `float()` on the way."
    try:
        loss = answer(logits.requires_grad_(), *others)
    except Exception as error:
        return f"{why}With logits that ask for a gradient it raises `{type(error).__name__}: {error}`. {remedy}"
    return None if isinstance(loss, torch.Tensor) and loss.requires_grad else why + remedy


loss_exercise = FunctionExercise(
    "loss",
    cases=_loss_cases(),
    right=_adjusted(lambda prior, tau: tau * np.log(prior)),
    mistakes=[
        (
            _adjusted(lambda prior, tau: -tau * np.log(prior)),
            "The sign is minus. While training it is plus: the prior explains a part of the labels, and the network "
            "learns the rest. With minus the rare classes are suppressed; a well-known public benchmark has this bug.",
        ),
        (
            _adjusted(lambda prior, tau: tau * prior),
            "The log is missing: logits are logs of probabilities, but for a constant. Add τ log π, not τ π.",
        ),
        (
            lambda logits, target, counts, tau: _losses(logits + tau * counts, target).mean(),
            "These are the counts themselves. Take their log first: logits live on a log scale.",
        ),
        (
            lambda logits, target, counts, tau: _losses(logits + tau * np.log(_prior(counts)), target).sum(),
            "This is the sum over the batch; take the mean, so that the loss does not grow with the batch size.",
        ),
        (
            lambda logits, target, counts, tau: _losses(logits + tau * np.log(_prior(counts)), target),
            "This is one loss for each image; take their mean.",
        ),
        (
            lambda logits, target, counts, tau: _losses(logits, target).mean(),
            "This is plain cross-entropy: the counts play no part.",
        ),
        (
            _adjusted(lambda prior, tau: np.log(prior)),
            "Right for τ = 1 only: τ plays no part here.",
        ),
        (
            _adjusted(lambda prior, tau: np.log(prior + tau)),
            "τ stands inside the log; it is a factor before it: τ log π.",
        ),
        (
            _adjusted(lambda prior, tau: tau * np.log10(prior)),
            "This is the logarithm to base 10; the softmax is made of e, so take the natural one, `torch.log`.",
        ),
        (
            lambda logits, target, counts, tau: (_losses(logits, target) - tau * np.log(_prior(counts))[target]).mean(),
            "This adjusts after the softmax: the prior adds a constant to each image's loss and changes no gradient. "
            "Add it to the logits, before.",
        ),
        (
            lambda logits, target, counts, tau: _losses(
                np.exp(_log_softmax(logits)) + tau * np.log(_prior(counts)), target
            ).mean(),
            "These are probabilities that go into cross-entropy. It wants logits and does the softmax itself.",
        ),
        (
            lambda logits, target, counts, tau: _losses(logits * _prior(counts) ** tau, target).mean(),
            "The prior multiplies the logits; it is to be added, as τ log π.",
        ),
        (
            lambda logits, target, counts, tau: -_losses(logits + tau * np.log(_prior(counts)), target).mean(),
            "Right but for the sign of the whole: a loss is −log p, and goes down as p goes up.",
        ),
    ],
    properties=[_loss_properties],
    last=[_has_gradient],
    forms=(as_tensors, lambda case: (*as_tensors(case[:2]), *as_lists(case[2:]))),
    expected="the mean over the batch of the cross-entropy of shifted logits, one tensor without dimensions",
    praise="Plus τ log π while training; at the test the logits are used as they are.",
    thought="With counts in place of priors the loss is the same. Why? (What does the softmax do with a constant that "
    "is added to all logits?) And what would you do to a network already trained with plain cross-entropy?",
    hints=[
        "π is the share of each class among the training images. Where are logs of probabilities at home: before or "
        "after the softmax?",
        "Add `tau * torch.log(prior)` to the logits, then take `cross_entropy`.",
    ],
    code="""
import torch
from torch.nn.functional import cross_entropy

def loss(logits, target, counts, tau):
    counts = torch.as_tensor(counts, dtype=logits.dtype)
    return cross_entropy(logits + tau * torch.log(counts / counts.sum()), target)
""",
    why="One line: the log-prior is added to the logits, and cross-entropy does the rest.",
)
