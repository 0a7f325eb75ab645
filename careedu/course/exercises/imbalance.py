"""The exercises of notebook 01: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from careedu.course.exercises.exercise import NumberExercise, near, numbered
from careedu.course.exercises.function import FunctionExercise
from careedu.measure.intervals import recall_interval

# Weights from the effective number of images


def weights(counts: torch.Tensor, beta: float) -> list[float]:
    """First 1/E of each class, then the scale: they sum to the number of classes."""
    inverse = [(1 - beta) / (1 - beta ** int(n)) for n in counts]
    return [len(counts) * w / sum(inverse) for w in inverse]


def _to_classes(weights: torch.Tensor) -> torch.Tensor:
    return weights * len(weights) / weights.sum()


weights_exercise = FunctionExercise(
    weights,
    cases=[(np.array([300, 95, 30]), 0.99), (np.array([20, 800, 5, 150]), 0.999), (np.array([7, 40]), 0.5)],
    mistakes={
        "This is 1/E, and right so far; the last step is missing: scale the weights so that they sum to the number of "
        "classes. As it is, the learning rate would change its meaning with the counts.": lambda n, beta: (
            (1 - beta) / (1 - beta**n)
        ),
        "These sum to 1. They should sum to the number of classes, so that their mean is 1.": lambda n, beta: (
            torch.tensor(weights(n, beta)) / len(n)
        ),
        "These are inverse-frequency weights, C·(1/n)/Σ(1/n): β plays no part. Put E in place of n.": (
            lambda n, beta: _to_classes(1 / n)
        ),
        "Upside down: these go with E, so the commonest class weighs most. A weight goes with 1/E.": (
            lambda n, beta: _to_classes(1 - beta**n)
        ),
        "The power is the wrong way round: it is β to the n, `beta**counts`, not n to the β.": (
            lambda n, beta: _to_classes(1 / (1 - n**beta))
        ),
        "All weights are equal: that is plain cross-entropy. The counts must play a part.": (
            lambda n, beta: torch.ones(len(n))
        ),
    },
    expected="one positive weight per class, larger for rarer classes, which sum to the number of classes",
    praise="A class weighs by 1/E, and the mean weight is 1, so the learning rate keeps its meaning.",
    thought="With β = .9999 and counts of some hundred images, E is almost n. Which other weights do you get then, and "
    "which ones as β goes to 0? So which β can tell your counts apart?",
    hints=[
        "E = (1 − βⁿ)/(1 − β) for each class; a weight is proportional to 1/E.",
        "Multiply by the number of classes and divide by the sum of all 1/E.",
    ],
)

# The logit-adjusted loss


def loss(logits: torch.Tensor, target: torch.Tensor, counts: torch.Tensor, tau: float) -> torch.Tensor:
    """One line: the log-prior is added to the logits, and cross-entropy does the rest."""
    counts = torch.as_tensor(counts, dtype=logits.dtype)
    prior = torch.log(counts / counts.sum())
    return torch.nn.functional.cross_entropy(logits + tau * prior, target)


def _loss_cases() -> list[tuple]:
    random = np.random.default_rng(20210)
    return [
        (random.normal(size=(6, 3)), np.array([0, 2, 1, 0, 2, 0]), np.array([300, 95, 30]), 1.0),
        (random.normal(size=(5, 4)), np.array([3, 1, 0, 2, 3]), np.array([20, 800, 5, 150]), 0.5),
    ]


loss_exercise = FunctionExercise(
    loss,
    cases=_loss_cases(),
    learns="the logits",
    in_torch=True,
    mistakes={
        "The sign is minus. While training it is plus: the prior explains a part of the labels, and the network learns "
        "the rest. With minus the rare classes are suppressed; a well-known public benchmark has this bug.": (
            lambda s, y, n, tau: loss(s, y, n, -tau)
        ),
        "The log is missing: logits are logs of probabilities, but for a constant. Add τ log π, not τ π.": (
            lambda s, y, n, tau: cross_entropy(s + tau * n / n.sum(), y)
        ),
        "This is plain cross-entropy: the counts play no part.": lambda s, y, n, tau: cross_entropy(s, y),
        "Right for τ = 1 only: τ plays no part here.": lambda s, y, n, tau: loss(s, y, n, 1),
        "These are probabilities that go into cross-entropy. It wants logits and does the softmax itself.": (
            lambda s, y, n, tau: loss(s.softmax(1), y, n, tau)
        ),
        "This is one loss for each image; take their mean.": lambda s, y, n, tau: cross_entropy(
            s + tau * torch.log(n / n.sum()), y, reduction="none"
        ),
    },
    expected="the mean over the batch of the cross-entropy of shifted logits, one tensor without dimensions",
    praise="Plus τ log π while training; at the test the logits are used as they are.",
    thought="With counts in place of priors the loss is the same. Why? (What does the softmax do with a constant that "
    "is added to all logits?) And what would you do to a network already trained with plain cross-entropy?",
    hints=[
        "π is the share of each class among the training images. Where are logs of probabilities at home: before or "
        "after the softmax?",
        "Add `tau * torch.log(prior)` to the logits, then take `cross_entropy`.",
    ],
)

# Positive predictive value at the prevalence of the real world


def ppv(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Count both kinds of positive findings as shares of everybody."""
    true_positive = sensitivity * prevalence
    false_positive = (1 - specificity) * (1 - prevalence)
    return true_positive / (true_positive + false_positive)


ppv_exercise = FunctionExercise(
    ppv,
    cases=[(0.9, 0.95, 0.01), (0.6, 0.99, 0.2), (0.75, 0.8, 0.03)],
    mistakes={
        "The prevalence plays no part. This is the value on a balanced test set, where every second image is diseased; "
        "in a clinic the healthy are many, and so are the false alarms among them.": lambda se, sp, p: ppv(se, sp, 0.5),
        "Sensitivity and specificity are swapped: sensitivity is the share of the diseased that are found, specificity "
        "the share of the healthy that are let go.": lambda se, sp, p: ppv(sp, se, p),
        "This is the negative predictive value: how sure is a negative finding. Asked is the positive one.": (
            lambda se, sp, p: ppv(sp, se, 1 - p)
        ),
        "The healthy who are called diseased are (1 − specificity) of all healthy; this takes specificity of them.": (
            lambda se, sp, p: ppv(se, 1 - sp, p)
        ),
        "This is the share of true positives among all people. Divide it by the share of all positive findings.": (
            lambda se, sp, p: se * p
        ),
        "This is the accuracy. Asked is: of those called diseased, how many are?": (
            lambda se, sp, p: se * p + sp * (1 - p)
        ),
    },
    expected="the share of the truly diseased among all who are called diseased, between 0 and 1",
    praise="True positives over all positives, each as a share of everybody.",
    thought="With sensitivity .9, specificity .95 and a prevalence of 1 %, how many of a hundred alarms are right? "
    "Which of the two would you improve first, and which one does recall report?",
    hints=[
        "Think of 10 000 people. How many are diseased and found, how many are healthy and called diseased?",
        "True positives: sensitivity · prevalence. False ones: (1 − specificity) · (1 − prevalence).",
    ],
)

# What one image is worth

_TWELVE = recall_interval(np.arange(23) < 12, np.arange(23))

image_exercise = NumberExercise(
    "images",
    right=1,
    mistakes={
        "Those are percentage points. How many images are they, when all 23 of the class are 100 points?": near(
            4.34, 100 / 23, 4, tolerance=0.005
        ),
        "That is the gain as a share of the class. How many images is this share of all 23?": near(0.0434, 1 / 23),
        "That is the gain relative to the old recall; it says nothing of how many images changed.": near(0.0907, 9.07),
        "So many images were found before or after. Asked is by how many they differ.": near(11, 12),
        "Those are all test images of the class. Asked is how many changed side.": near(23),
    },
    expected="a count of images, the difference between those found after and those found before",
    praise="One image. Before, 11 of 23 were found; after, 12.",
    thought=f"The 95 % interval of 12 out of 23 reaches from {_TWELVE.low:.2f} to {_TWELVE.high:.2f}. Could another "
    "random seed alone have moved one image? How many test images would you ask for, before you believe four points?",
    hints=[
        "Recall is found / all. How many images were found before, and how many after?",
        "23 · 0.4783 and 23 · 0.5217 are whole numbers, but for rounding.",
    ],
    code="images = round(23 * 0.5217) - round(23 * 0.4783)",
    why="12 found after, 11 before.",
)

# A choice that does not look at the test


def choose(validation: dict[float, float], test: dict[float, float]) -> tuple[float, float]:
    """The test images are asked once, after the choice."""
    beta = max(validation, key=validation.get)
    return beta, test[beta]


def _by_beta(*scores: float) -> dict[float, float]:
    return dict(zip((0.0, 0.9, 0.99, 0.999, 0.9999), scores, strict=True))


choice_exercise = FunctionExercise(
    choose,
    cases=[
        (_by_beta(0.61, 0.66, 0.74, 0.71, 0.70), _by_beta(0.58, 0.64, 0.69, 0.75, 0.68)),
        (_by_beta(0.52, 0.68, 0.63, 0.65, 0.60), _by_beta(0.55, 0.57, 0.67, 0.66, 0.71)),
    ],
    tolerance=1e-5,  # βs lie close to each other
    mistakes={
        "This β was chosen on the test images, and so its test score is too good: it was picked because it is high. "
        "Choose on `validation`, and look at `test` once.": lambda val, test: choose(test, test),
        "β is chosen rightly, but the score is the best of the test, which belongs to another β. Report the test score "
        "of the β that you chose.": lambda val, test: (choose(val, test)[0], max(test.values())),
        "β is chosen rightly, but the score is the one that chose it, and the best of several is too good. Report its "
        "test score.": lambda val, test: choose(val, val),
        "This looks at validation and test together: the test images had a say in the choice, so they are no test.": (
            lambda val, test: choose({beta: val[beta] + test[beta] for beta in val}, test)
        ),
        "β is chosen rightly. And which score do you report? Return both: `return beta, score`.": (
            lambda val, test: choose(val, test)[0]
        ),
        "The right two, in the other order: first β, then the score.": lambda val, test: choose(val, test)[::-1],
    },
    expected="two numbers, the chosen β and the score you would report for it",
    praise="Chosen on validation, reported on test, once.",
    thought="You looked at five βs. Had you looked at five hundred, what would happen to the best validation score, "
    "and what to its test score? (The seed is a thing one can choose, too.)",
    hints=[
        "Which of the two tables may have a say in the choice?",
        "`max(validation, key=validation.get)` is a key; then look it up in `test`.",
    ],
)

exercises = numbered(globals())
