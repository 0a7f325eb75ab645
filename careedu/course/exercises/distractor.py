"""The exercises of notebook 05: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas
import torch
from torch.nn.functional import cosine_similarity

from careedu.course.exercises.choices import ControlExercise
from careedu.course.exercises.exercise import NumberExercise, near, numbered
from careedu.course.exercises.function import FunctionExercise

# The relevance


def relevance(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What speaks for the class at each place, of each image as a share of what speaks most; 0 where nothing does."""
    r = torch.relu(features * weight[:, :, None, None])
    return r / r.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)


def _relevance_cases() -> Iterator[tuple]:
    """Features as a ReLU leaves them, of unequal strength; in one image nothing speaks for the class."""
    random = np.random.default_rng(20072)
    for shape in ((3, 4, 3, 2), (4, 3, 2, 5)):
        features = np.maximum(random.normal(0.3, 1, shape), 0) * np.linspace(0.5, 3, shape[0])[:, None, None, None]
        weight = random.normal(size=shape[:2])
        weight[1] = -np.abs(weight[1])
        yield features, weight


def _speaks(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.relu(features * weight[:, :, None, None])


def _shares(r: torch.Tensor, *axes: int) -> torch.Tensor:
    return r / r.amax(dim=axes, keepdim=True).clamp(min=1e-12)


relevance_exercise = FunctionExercise(
    relevance,
    cases=tuple(_relevance_cases()),
    mistakes={
        "The ReLU is missing, or its place is taken by the absolute value: what speaks *against* the class is no part "
        "of what tempts to it.": (
            lambda a, w: (a * w[:, :, None, None]) / _speaks(a, w).amax((1, 2, 3), keepdim=True).clamp(min=1e-12),
            lambda a, w: _shares((a * w[:, :, None, None]).abs(), 1, 2, 3),
        ),
        "Divided by the largest of the whole batch, so that an image's relevance hangs on its neighbours: take the "
        "largest of each image.": lambda a, w: _shares(_speaks(a, w), 0, 1, 2, 3),
        "Each neuron is divided by its own largest value, and then the faintest speaks as loud as the strongest: take "
        "the largest over all neurons and places of an image.": lambda a, w: _shares(_speaks(a, w), 2, 3),
        "Right but where nothing speaks for the class: 0/0 is NaN, and one such image spoils the whole network. There "
        "r is 0.": lambda a, w: _speaks(a, w) / _speaks(a, w).amax((1, 2, 3), keepdim=True),
        "That is not divided. r is a share of the image's largest value, so that it does not grow with the features.": (
            lambda a, w: _speaks(a, w),
            lambda a, w: _speaks(a, w) / a[0, 0].numel(),
        ),
        "That is the weight alone. A neuron that could speak for the class is silent where it is not active: multiply "
        "by the features.": lambda a, w: _shares(torch.relu(w)[:, :, None, None].expand_as(a), 1, 2, 3),
    },
    expected="r = ReLU(A ⊙ w) / its largest value in the image, of the shape of the features, (B, K, h, w)",
    praise="Large where a neuron is active and its weight speaks for the class, and 0 where either is missing.",
    thought="With pooling by the mean, ∂s/∂A is w/(h·w): why may the h·w be left out here? And what would ∂s/∂A be if "
    "the pooling took the maximum?",
    hints=[
        "A ⊙ w: each feature map by its own weight. `weight[:, :, None, None]` has the axes for it.",
        "`torch.relu` keeps what speaks for the class. By which number is each image divided?",
        "`r.amax(dim=(1, 2, 3), keepdim=True)`, kept above 0 with `clamp(min=…)`.",
    ],
)

# The gradient that must not run


def slope(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Detached, the relevance is a constant: what is left is r itself, divided by the number of places."""
    a = features.clone().requires_grad_()
    r = torch.relu(a * weight[:, :, None, None])
    r = (r / r.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)).detach()
    z_distractor = (a * r).mean(dim=(2, 3))
    return torch.autograd.grad(z_distractor.sum(), a)[0]


def _slope(features: torch.Tensor, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    a = features.clone().requires_grad_()
    return torch.autograd.grad(value(a).mean(dim=(2, 3)).sum(), a)[0]


slope_exercise = FunctionExercise(
    slope,
    cases=tuple(_relevance_cases()),
    in_torch=True,
    mistakes={
        "The gradient runs through r as well. Then the network may learn to look tempting elsewhere, instead of "
        "parting image and distractor: r is a constant, `.detach()` it.": (
            lambda a, w: _slope(a, lambda a: a * relevance(a, w))
        ),
        "That is the part that must not run, through r: it is the features that are to have a gradient, and r none.": (
            lambda a, w: _slope(a, lambda x: a * relevance(x, w))
        ),
        "That is the gradient of z, the image's own pooled features. Asked is that of its distractor, A ⊙ r.": (
            lambda a, w: torch.full_like(a, 1 / a[0, 0].numel())
        ),
        "That is the gradient of the score, w/(h·w), which r is made of. Asked is that of z_d = mean of A ⊙ r.": (
            lambda a, w: (w[:, :, None, None] / a[0, 0].numel()).expand_as(a)
        ),
        "These are ones and zeros: where r is above 0 is not how large it is.": (
            lambda a, w: (relevance(a, w) > 0).to(a) / a[0, 0].numel()
        ),
    },
    expected="the gradient of the sum of z_d = mean over places of A ⊙ r by the features, (B, K, h, w), r being a "
    "constant",
    praise="r/(h·w): a neuron is moved as much as it tempts, and by nothing else.",
    thought="Let the gradient run through r too, and at a place with half of the largest value it doubles, while at "
    "the largest itself it falls. Which neurons would the loss then move most, and is that what it is for?",
    hints=[
        "Make a copy of the features that wants a gradient, compute r and z_d, and ask `torch.autograd.grad`.",
        "`torch.autograd.grad(z_distractor.sum(), a)[0]`. Which of the two factors of A ⊙ r may depend on a?",
        "`.detach()` behind the relevance, and before the product.",
    ],
)

# Cosine and margin


def apart(z: torch.Tensor, z_distractor: torch.Tensor, margin: float) -> torch.Tensor:
    """The distance is 1 − cosine; an image that is further than the margin is left alone."""
    distance = 1 - torch.nn.functional.cosine_similarity(z, z_distractor)
    return (margin - distance).clamp(min=0).mean()


def _apart_cases() -> list[tuple]:
    """The two that can be worked out by hand; images near, far and in between, of any length."""
    random = np.random.default_rng(20071)
    z = random.normal(size=(6, 4)) * random.uniform(0.5, 2, (6, 1))
    mixed = z * np.linspace(2, -1, 6)[:, None] + random.normal(size=(6, 4))
    return [(z, mixed, 0.5), (z[:5], mixed[:5], 1.2), (np.eye(2), np.array([[0.0, 1], [0, 1]]), 0.5)]


apart_exercise = FunctionExercise(
    apart,
    cases=_apart_cases(),
    learns="the features",
    in_torch=True,
    mistakes={
        "This pulls: it is large for those that are far. Far is what they should be; what is nearer than the margin "
        "costs.": lambda z, d, m: (1 - cosine_similarity(z, d) - m).clamp(min=0).mean(),
        "The margin is compared with the cosine. The distance is 1 − cosine: margin − (1 − cosine).": (
            lambda z, d, m: (m - cosine_similarity(z, d)).clamp(min=0).mean(),
            lambda z, d, m: (cosine_similarity(z, d) - m).clamp(min=0).mean(),
        ),
        "Nothing stops at the margin: below 0 an image that is far enough pays for one that is too near. "
        "`clamp(min=0)` for each image, before the mean.": (
            lambda z, d, m: (m - 1 + cosine_similarity(z, d)).mean(),
            lambda z, d, m: (m - 1 + cosine_similarity(z, d)).mean().clamp(min=0),
        ),
        "That is the Euclidean distance. It grows with the length of the features, and the network could fill the "
        "margin by making all of them longer: take 1 − cosine.": (
            lambda z, d, m: (m - (z - d).norm(dim=1)).clamp(min=0).mean(),
            lambda z, d, m: (m - (z - d).square().sum(1)).clamp(min=0).mean(),
        ),
        "The vectors are not divided by their lengths: a product without that is no cosine.": (
            lambda z, d, m: (m - 1 + (z * d).sum(1)).clamp(min=0).mean()
        ),
        "Right so far: one number for each image. The loss is their mean.": (
            lambda z, d, m: (m - 1 + cosine_similarity(z, d)).clamp(min=0)
        ),
    },
    expected="one number, the mean over the images of max(0, margin − (1 − cosine))",
    praise="At a right angle the distance is 1, and a margin of .5 is kept; where both are one vector it costs .5.",
    thought="z_d is made of z's own neurons, each times a number from 0 to 1: can the cosine ever fall below 0 where "
    "features come out of a ReLU? So which margins can a network keep at all?",
    hints=[
        "Which distance do two vectors have whose lengths say nothing: what is 0 for one direction, 1 at a right "
        "angle?",
        "`torch.nn.functional.cosine_similarity(z, z_distractor)` gives one cosine for each image.",
        "`(margin - distance).clamp(min=0)`, and then the mean.",
    ],
)

# Which control refutes what?

control_exercise = ControlExercise(
    "refutes",
    method="distractor",
    claims={
        "class": ("relevance of the true class", "Keep all but the class that the relevance is for."),
        "neurons": ("random relevance", "Keep class, loss and values, and spoil which neurons and places they are at."),
        "loss": ("weight 0", "Keep all the rest of the training, and leave the pushing out."),
        "noise": ("feature dropout", "Look for an arm that disturbs as much and pushes nothing apart."),
    },
    arms={
        "relevance of the true class | true class | true relevance | true class relevance": "has the same loss, and "
        "pushes images from what speaks for their own class",
        "random relevance | random | random neurons": "has the same loss and the same values, each at a neuron and "
        "place of another",
        "weight 0 | without the loss | λ = 0 | lambda = 0 | logit adjustment": "has the same updates, and of the loss "
        "the classification alone",
        "feature dropout | dropout": "leaves out of the features as much as the distractor holds, by chance, and adds "
        "no loss",
        "hard example mining | ohem | online hard example mining": "has the classification loss of the hardest half of "
        "each batch, and no distractor",
        "a larger margin": "is the method itself with another number, and has all that the claim is about",
        "attention to boxes | care": "has boxes, an attention loss and a second stage: it differs in all of these at "
        "once",
    },
    praise="One change for each claim. If the method beats none of them, it may still help, and nobody knows by what.",
    thought="Suppose the method is better than weight 0, and not better than random relevance. Which sentence of its "
    "paper may you no longer write, and what would you write instead?",
    hints=[
        "A control differs from the method in one thing, the thing that the claim is about.",
        "Class: another class's relevance. Neurons: the same numbers elsewhere. Loss: none of it.",
        "Noise: what else could disturb the features as much, without any distractor?",
    ],
    why="Change the class, scatter the relevance, drop the loss; and disturb as much without any distractor.",
)

# Read a confusion matrix that moved

_CLASSES = ("common", "middle", "rare")
_BEFORE, _AFTER = ((182, 8, 10), (12, 80, 8), (12, 8, 20)), ((166, 10, 24), (8, 76, 16), (4, 6, 30))


def confusions() -> pandas.DataFrame:
    """Two networks on the same test images, before a loss was added and after; true classes in rows."""
    tables = {name: pandas.DataFrame(m, _CLASSES, _CLASSES) for name, m in (("before", _BEFORE), ("after", _AFTER))}
    return pandas.concat(tables, axis=1).rename_axis("true class")


gained_exercise = NumberExercise(
    "gained",
    right=0.0433,
    tolerance=0.0006,
    mistakes={
        "That is the change of accuracy, in which the common class counts five times as much as the rare one (and it "
        "fell). Take the mean of the three recalls.": near(0.0294, -0.0294, 0.8, 0.8294, tolerance=0.01),
        "That is the rare class's recall alone. What have the others paid for it?": near(0.25, 0.75, 0.5),
        "That is the sum of the three changes; balanced accuracy is the recalls' mean.": near(0.13),
        "That is one of the two balanced accuracies. By how much do they differ?": near(0.7367, 0.78, tolerance=0.003),
        "These are divided down the columns: that is precision, what of the images *called* so is so. Recall divides "
        "each row by its sum.": near(0.0186, -0.0186, tolerance=0.03),
        "Right, in percentage points. Give it as a share.": near(4.33, 4.3, tolerance=0.01),
    },
    expected="a difference of two balanced accuracies, each the mean of three recalls; recall is the diagonal over the "
    "row's sum",
    praise="Recalls went from .91, .80, .50 to .83, .76, .75: balanced accuracy rose by .043, while 10 images fewer of "
    "340 are right.",
    thought="Images of the rare class are mistaken for the common one 8 times less. Images of the common class are "
    'mistaken for the rare one 14 times more. Has the network learned to tell the two apart, or to say "rare" more '
    "often? What would you try on the same table, for nothing, before you believe the first?",
    hints=[
        "Recall of a class: its diagonal, divided by the sum of its row.",
        "Before: 182/200, 80/100, 20/40. Their mean is balanced accuracy.",
        "After: 166/200, 76/100, 30/40. Take the difference of the two means.",
    ],
    code="before, after = 182 / 200 + 80 / 100 + 20 / 40, 166 / 200 + 76 / 100 + 30 / 40\n"
    "gained = (after - before) / 3",
    why="The mean of the recalls is .737 before and .780 after.",
)

exercises = numbered(globals())
