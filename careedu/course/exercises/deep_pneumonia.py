"""The exercises of notebook 04: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas
import torch
from torch.nn.functional import cross_entropy

from careedu.course.exercises.augmentations import augmented as augmented
from careedu.course.exercises.augmentations import told
from careedu.course.exercises.choices import ChoiceExercise, ControlExercise
from careedu.course.exercises.exercise import numbered
from careedu.course.exercises.function import FunctionExercise
from careedu.course.exercises.ladder import BEFORE, COLUMNS, LadderExercise

# NT-Xent by hand


def nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy in which each of the 2B views has to pick its other view out of all but itself."""
    z = torch.nn.functional.normalize(torch.cat([z1, z2]))
    similarities = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool)
    other = torch.arange(len(z)).roll(len(z1))
    return torch.nn.functional.cross_entropy(similarities.masked_fill(itself, -torch.inf), other)


def _contrast_cases() -> Iterator[tuple]:
    """The number that can be worked out by hand, and views that are alike, of any length."""
    random = np.random.default_rng(20200)
    yield np.eye(2), np.eye(2), 1.0
    for images, width, temperature in ((5, 3, 0.5), (4, 6, 0.2)):
        first = random.normal(size=(images, width)) * random.uniform(0.5, 2, (images, 1))
        yield first, first + random.normal(0, 0.7, (images, width)), temperature


def _cosines(z1: torch.Tensor, z2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all views with all, (2B, 2B); and of each which is the other view, (2B,)."""
    z = torch.nn.functional.normalize(torch.cat([z1, z2]))
    return z @ z.T, torch.arange(len(z)).roll(len(z1))


def _across(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    return cross_entropy(_cosines(z1, z2)[0][: len(z1), len(z1) :] / temperature, torch.arange(len(z1)))


def _each(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    cosines, other = _cosines(z1, z2)
    return cross_entropy((cosines / temperature).fill_diagonal_(-torch.inf), other, reduction="none")


def _long(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    z = torch.cat([z1, z2])
    return cross_entropy((z @ z.T / temperature).fill_diagonal_(-torch.inf), _cosines(z1, z2)[1])


def _without_positive(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    cosines, other = _cosines(z1, z2)
    at = torch.arange(len(cosines)), other
    negatives = (cosines / temperature).fill_diagonal_(-torch.inf).index_put(at, torch.tensor(-torch.inf).to(cosines))
    return (negatives.logsumexp(1) - cosines[at] / temperature).mean()


contrast_exercise = FunctionExercise(
    nt_xent,
    cases=tuple(_contrast_cases()),
    learns="the views",
    in_torch=True,
    mistakes={
        "The views are not normalised. The similarity is a cosine; a product without it can be made large by the "
        "length alone.": _long,
        "A view is among its own negatives: its cosine with itself is 1, larger than any other. Take the diagonal out "
        "with −∞ before the softmax (0 is a cosine like others, and stays in the sum).": (
            lambda z1, z2, t: cross_entropy(_cosines(z1, z2)[0] / t, _cosines(z1, z2)[1]),
            lambda z1, z2, t: cross_entropy((_cosines(z1, z2)[0] / t).fill_diagonal_(0), _cosines(z1, z2)[1]),
        ),
        "That is a part of it. Each of the 2B views is an anchor once, those in z2 too, and has all 2B − 2 views of "
        "other images as negatives, not only the B − 1 on the other side.": (
            _across,
            lambda z1, z2, t: (_across(z1, z2, t) + _across(z2, z1, t)) / 2,
            lambda z1, z2, t: _each(z1, z2, t)[: len(z1)].mean(),
        ),
        "The temperature is left out, or multiplied. The cosines are divided by it: a small T makes differences "
        "large.": (lambda z1, z2, t: nt_xent(z1, z2, 1.0), lambda z1, z2, t: nt_xent(z1, z2, 1 / t)),
        "These are summed. Take the mean over the 2B views, or the learning rate changes its meaning with the batch.": (
            lambda z1, z2, t: _each(z1, z2, t).sum()
        ),
        "The positive is missing below the line, where the sum is over all views but the anchor. Without it this is no "
        "probability, and the loss falls below 0.": _without_positive,
    },
    expected="one number, the mean over 2B anchors of −log(exp(cos of the positive/T) / Σ exp(cos/T) over all but "
    "itself)",
    praise="It is a classification with 2B − 1 classes, of which one is right. z1 = z2 = I₂ at T = 1 gives .5514.",
    thought="What is the loss if all views point the same way? And if it falls from there, what has the network "
    "learned to tell apart: classes, or images?",
    hints=[
        "Stack both views, (2B, D), and take the cosine of each with each. Which entry of a row is the positive?",
        "Row i has its positive in column i + B, or i − B. Its own column is in no sum: fill the diagonal with −∞.",
        "What is left is `cross_entropy(similarities / temperature, column of the positive)`.",
    ],
)

# Which augmentation destroys the class

destroyed_exercise = ChoiceExercise(
    "destroyed",
    options={
        "flip": "A lesion in the mirror has the same texture. Were left or right the class, it would be lost.",
        "any rotation | rotation": "The image as a whole may look odd upside down. The texture has no up and down, and "
        "only a class that has one would be lost.",
        "small shift | shift": "Where the lesion lies says nothing of its class, and pooling over the image forgets it "
        "anyway.",
        "gain and offset | gain | offset": "Mean brightness is alike in all classes. What tells them apart are "
        "differences within the lesion, which gain and offset stretch and leave in place.",
        "strong blur | blur": "Lesion, outline and colour are all still to be seen. How many pixels wide are the "
        "spots, nets and streaks that tell the classes apart?",
        "crop to a twentieth | crop | crop to 1/20": "Look at it many times, not once: in how many views is any of the "
        "lesion left? Two views without it are pulled together all the same.",
        "black | replacing by black": "It may look like an extreme of something harmless. What tells images apart that "
        "are all equal?",
    },
    measure=told,
    bound=0.6,
    measured="the class of {share} of the phantoms is still told by their texture, about as often as in the image "
    "itself",
    other_way="Those are the ones after which it can still be told. Asked are the others.",
    praise="After these three texture tells the class no better than chance, one in three; after the other four as "
    "well as before.",
    thought="SimCLR's own best augmentations are strong crops and colour. For photographs of things they are right: "
    "what is different about a lesion? And which augmentation is it that your images need, because the class does "
    "*not* change under it and nothing else would tell the network so?",
    hints=[
        "Two views are to be alike in all that counts. What is it that tells the classes apart: place, light, or "
        "texture?",
        "For each change, look for the spots, the net, the streaks within the outline. Are they there afterwards?",
        "Three of the seven take the texture away: one smears it, one mostly misses it, one leaves nothing.",
    ],
    code='destroyed = ["strong blur", "crop to a twentieth", "black"]',
    why="The texture is smeared, mostly cut off, or gone; measured, its class is told as often as by guessing.",
)

# Temperature


def push(positive: float, negatives: torch.Tensor, temperature: float) -> torch.Tensor:
    """A negative's gradient is its part of the softmax, divided by T; what all of them share drops out."""
    return torch.softmax(negatives / temperature, 0)


def _softmax_with(positive: float, negatives: torch.Tensor, temperature: float) -> torch.Tensor:
    return torch.softmax(torch.cat([negatives, negatives.new_tensor([positive])]) / temperature, 0)[:-1]


push_exercise = FunctionExercise(
    push,
    cases=[
        (0.8, np.array([0.6, 0.1, -0.2, 0.45, 0.0]), 0.2),
        (0.5, np.array([-0.3, 0.7, 0.65]), 0.07),
        (0.9, np.array([0.2, 0.3, -0.5, 0.1]), 0.5),
    ],
    mistakes={
        "The temperature is the wrong way round: the cosines are divided by T, so that a small T looks at the "
        "nearest.": lambda p, n, t: torch.softmax(n * t, 0),
        "The temperature has no effect: take cos/T, not the cosine.": lambda p, n, t: torch.softmax(n, 0),
        "The positive is in the sum. That is each negative's part of the softmax (over T: the gradient itself), which "
        "grows small where the positive is near. Asked are shares among the negatives, which sum to 1.": (
            _softmax_with,
            lambda p, n, t: _softmax_with(p, n, t) / t,
        ),
        "These go with the cosine itself. The loss has its exponential: a negative that lies opposite pushes a little, "
        "and never the other way.": lambda p, n, t: n / n.sum(),
        "The sign is turned round: here the negative that is farthest away pushes most.": (
            lambda p, n, t: torch.softmax(-n / t, 0)
        ),
        "That is the share of the nearest alone. Give one for each negative, in their order.": (
            lambda p, n, t: push(p, n, t).max()
        ),
    },
    expected="one share for each negative, exp(cos/T) over the sum of that over the negatives, which sum to 1",
    praise="A cosine that is larger by .1 counts e = 2.7 times at T = .1, and 1.1 times at T = 1.",
    thought="A batch of 128 has 254 negatives. Say one lies at .6 and the others at .1: at which T does half of the "
    "push come from the one? And if that one is an image of the same class, which nobody has told the loss?",
    hints=[
        "Derive the loss by the cosine of one negative: what stands there, and what of it do all negatives share?",
        "The gradient is (1/T) · exp(cos_b/T)/Σ exp(cos/T), with the positive in Σ. Divide by the sum over the "
        "negatives.",
        "1/T and Σ drop out, and with them the positive: a softmax of `negatives / temperature` is left.",
    ],
)

# Why the loss falls and nothing is learned

_COURSES = {  # (loss, views differ by, embedding spread, same class) of epochs 0, 10, 40; made again in the tests
    "a": ((4.784, 1.821, 0.334, 0.467), (2.894, 1.260, 0.984, 0.342), (2.141, 1.830, 0.998, 0.358)),
    "b": ((5.216, 2.502, 0.334, 0.467), (4.404, 2.711, 0.725, 1.000), (4.141, 2.552, 0.995, 1.000)),
    "c": ((0.095, 2.502, 0.334, 0.467), (0.002, 2.711, 0.041, 0.346), (0.000, 2.552, 0.009, 0.490)),
    "d": ((4.763, 0.000, 0.334, 0.467), (2.849, 0.000, 0.984, 0.354), (2.077, 0.000, 0.999, 0.383)),
}


def histories() -> pandas.DataFrame:
    """Four pretrainings of a tiny network, on 96 made-up images of three textures, each image in a tint of its own.

    Rows (history, epoch); columns: the loss (three NT-Xent at T = .2, where views that are all alike give
    log(2 · 96 − 1) = 5.25, one without negatives), the mean difference of the two views' pixels, the embedding spread,
    and the share of each image's five nearest that are of its class.
    """
    index = pandas.MultiIndex.from_product([_COURSES, (0, 10, 40)], names=["history", "epoch"])
    columns = ["loss", "views differ by", "embedding spread", "same class"]
    return pandas.DataFrame([row for rows in _COURSES.values() for row in rows], index, columns)


reasons_exercise = ControlExercise(
    "reasons",
    asked=("history", "histories"),
    given=("reason", "reasons"),
    claims={
        "a": ("shortcut", "Its views differ, they spread, and the loss is low; and yet the neighbours are strangers."),
        "b": ("healthy", "Its loss falls least of all: do not go by that. Who are the neighbours?"),
        "c": ("collapse", "Read the third column to its end."),
        "d": ("identical views", "Compare what the two views have to do with each other here and in the others."),
    },
    arms={
        "healthy | ok | learns | it learns": "would end with neighbours of one class, from views that differ in all "
        "but the class",
        "identical views | identical | same view": "would have two views without any difference, and all that tells "
        "images apart would do",
        "shortcut | a shortcut | tint": "would have views that differ, and keep something that tells each image, and "
        "no class, from others",
        "collapse | collapsed | no negatives": "would have all embeddings at one place in the end, with no spread",
        "learning rate too low": "would leave loss and embeddings about where they were at epoch 0",
        "two images a batch": "would begin with a loss near log 3 = 1.1, with two negatives an anchor",
    },
    praise="The loss fell in all four, and in the healthy one it stays highest. Three numbers show what it hides: "
    "whether the views differ, whether the embeddings spread, and whether neighbours are of one class.",
    thought="The healthy loss ends at 4.14 = log 63, and 64 of the 192 views are of one class: what can that network "
    "no longer tell apart? And the last column needs labels. Which of the three failures would you see without any?",
    hints=[
        "Do not rank them by the loss. It says how well images are told apart, and by anything at all.",
        "One history has views that do not differ, one embeddings that do not spread. Which?",
        "Of the two that are left, in one the five nearest are of the same class, in the other as by chance.",
    ],
    why="No difference between views, no spread, or neighbours at chance although both are there: a shortcut.",
)

# Read the ladder

_LADDER = ("cross-entropy", "+ pretraining", "+ attention", "+ regulation", "+ class-balanced")
_NONE = (np.nan,) * 4
_MADE_UP = pandas.DataFrame(
    [
        (0.62, *_NONE, *_NONE),
        (0.68, 0.06, -0.02, 0.14, 0.212, 0.06, -0.02, 0.14, 0.106),
        (0.84, 0.16, 0.09, 0.23, 0.008, 0.22, 0.14, 0.30, 0.008),
        (0.87, 0.03, 0.004, 0.056, 0.078, 0.25, 0.17, 0.33, 0.008),
        (0.86, -0.01, -0.04, 0.02, 0.531, 0.24, 0.15, 0.33, 0.008),
    ],
    index=pandas.Index(_LADDER, name="step"),
    columns=COLUMNS,
)

ladder_exercise = LadderExercise(
    "helped",
    steps=_LADDER,
    table=_MADE_UP,
    praise="Interval above 0 and adjusted p at most .05, against the step before. Of the others nothing is shown, "
    "neither that they help nor that they do not.",
    thought="Each step was tried on top of those before. What would you have to run to say that a step is of no use "
    "wherever it stands? And of how many steps would you expect one to be shown where none does anything, without "
    "Holm?",
    hints=[
        "What a step buys is its difference to the step before, not to the first.",
        "Shown is what has its whole interval above 0 and an adjusted p of at most .05: both. A larger mean is no "
        "reason.",
        f'Go down the columns "low" and "p" below "{BEFORE}"; the gain is in "difference" beside them.',
    ],
    why="The steps whose interval is above 0 and whose adjusted p is at most .05, each with its difference to the one "
    "before.",
)

exercises = numbered(globals())
