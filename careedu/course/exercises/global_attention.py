"""The exercises of notebook 03: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from careedu.course.exercises.choices import ControlExercise
from careedu.course.exercises.exercise import NumberExercise, near, numbered
from careedu.course.exercises.function import FunctionExercise

# How many images make it a free mask?

fewest_exercise = NumberExercise(
    "fewest",
    right=576,
    mistakes={
        "So few do where the bias b may move too: it is one more column, of ones. Here b stays at its start, and the "
        "weights a have to do it alone.": near(575, tolerance=1e-6),
        "That counts the map's sides. How many logits has it?": near(24, 48, tolerance=0.001),
        "That is the number of pixels of a map of 64 × 64; this one has 24 × 24.": near(64**2, tolerance=0.001),
        "Each image brings one weight: you need as many weights as there are logits to be set.": near(
            288, 1152, tolerance=0.001
        ),
        "There are fewer weights than logits: V a stays in a space of N dimensions, and nearly all maps lie outside "
        "it.": lambda number: 0 < number < 576 and number.is_integer(),
        "So many are enough, and fewer are too. Where does it begin?": lambda number: number > 576,
    },
    expected="a count of training images: as many as make the columns of V span all maps",
    praise="h·w logits are h·w numbers, and each image brings one weight: from N = 24 · 24 = 576 on V a is any map.",
    thought="From there on the classifier is a free mask in other coordinates: what can still tell the two apart while "
    "they learn? And what does a training set hold in which each image occurs twice?",
    hints=[
        "Write all logits at once: ℓ − b = V a, with a row of V for each pixel and a column for each image.",
        "The maps that V a can be are the space that the columns span. When is that the space of all maps?",
        "A space of h·w dimensions needs h·w columns of which none follows from the others: V has rank h·w.",
    ],
    code="fewest = 24 * 24",
    why="V has h·w rows and N columns; its rank is at most the smaller of the two, and has to be h·w.",
)

# Sparse and smooth


def regulariser(values: torch.Tensor, sparsity: float, variation: float) -> torch.Tensor:
    """Means, not sums, so that one λ serves maps of every size."""
    down, across = values.diff(dim=0).abs().mean(), values.diff(dim=1).abs().mean()
    return sparsity * values.mean() + variation * (down + across)


def _regulariser_cases() -> list[tuple]:
    """Two maps in [0, 1] that are not square, and a flat one."""
    random = np.random.default_rng(1992)
    return [
        (random.random((5, 7)) ** 2, 0.1, 0.3),
        (random.random((6, 4)), 0.5, 0.2),
        (np.full((3, 4), 0.25), 0.2, 0.4),
    ]


regulariser_exercise = FunctionExercise(
    regulariser,
    cases=_regulariser_cases(),
    learns="the map",
    mistakes={
        "The differences are summed. Take their means, or a larger map pays more for the same look.": (
            lambda m, s, v: s * m.mean() + v * sum(m.diff(dim=d).abs().sum() for d in (0, 1))
        ),
        "The differences are squared: that spares small steps and punishes an edge. Total variation takes their "
        "absolute values, so that an edge costs as much as a slope of the same height.": (
            lambda m, s, v: s * m.mean() + v * sum((m.diff(dim=d) ** 2).mean() for d in (0, 1))
        ),
        "Only the differences down are there: a map of upright stripes would cost nothing. Add those across.": (
            lambda m, s, v: s * m.mean() + v * m.diff(dim=0).abs().mean()
        ),
        "Only the differences across are there: a map of level stripes would cost nothing. Add those down.": (
            lambda m, s, v: s * m.mean() + v * m.diff(dim=1).abs().mean()
        ),
        "The signs are kept, so that up and down cancel and only the borders count. Take absolute values.": (
            lambda m, s, v: s * m.mean() + v * sum(m.diff(dim=d).mean() for d in (0, 1))
        ),
        "λ_s and λ_tv have changed places.": lambda m, s, v: regulariser(m, v, s),
    },
    expected="one number, λ_s · mean(M) + λ_tv · (mean |differences down| + mean |differences across|)",
    praise="Open pixels cost, and so do steps between neighbours.",
    thought="Which map has the lowest term of all, and what keeps training from it? And of two maps with half of "
    "their pixels open, one in a block and one as a chessboard: how many times more does the second pay?",
    hints=[
        "Two parts: how open the map is on average, and how much neighbours differ.",
        "`values[1:] - values[:-1]` are the differences down; across it is the same with the second index.",
        "Absolute values, then the mean of each direction, then their sum.",
    ],
)

# The scale trap

jump_exercise = NumberExercise(
    "jump",
    right=4096 * 0.001,
    tolerance=0.1,
    mistakes={
        "That is what it moves with the division by N: N steps of .001 / N. Asked is the move without.": near(0.001),
        "The learning rate is missing: Adam's first step of a weight is lr, not 1.": near(4096, 1),
        "That is the move for 64 images (or with √N, as if the steps had random signs: here all go the same way).": (
            near(0.064)
        ),
        "That is for a pixel of middling grey. This one is white, X = 1, in all images.": near(2.048),
        "That is where the logit arrives, from b = 2. Asked is how far it moves.": near(6.096),
        "That is how far the weight M = σ(ℓ) moves, up or down; asked is the logit ℓ.": near(0.117, -0.771, 0.771),
    },
    expected="the size of the first step of a white pixel's logit, Σ_n (step of a_n) · X_n(p)",
    praise="4096 · .001 = 4.1 in one step: from σ(2) = .88 to .998, or down to .11. With the division by N it is .001.",
    thought="Would plain gradient descent have the same trap? Work out how its step depends on N, with the division "
    "and without. And why does N = 64 hide it?",
    hints=[
        "Adam's first step: lr · g / |g|. Each weight moves by lr, however small its gradient is.",
        "ℓ_p = Σ_n a_n X_n(p) + b: how many weights move it, and by how much each where X_n(p) = 1?",
        "N weights, each .001, all in the same direction.",
    ],
    code="jump = 4096 * 0.001",
    why="Adam takes the gradient's size out: each weight moves by lr, whatever N is, and N of them add up.",
)

# Why black is information


def light_lost(images: torch.Tensor, values: torch.Tensor, behind: torch.Tensor) -> torch.Tensor:
    """It is mean((1 − M) · |behind − x̄|): nothing with the mean image x̄ behind, whatever the map."""
    seen = values * images + (1 - values) * behind
    return (seen.mean(0) - images.mean(0)).abs().mean()


def _light_cases() -> list[tuple]:
    """Black, the mean image and grey behind; in steps of 1/256 and 1/16, so that 0 is 0 in float32 too."""
    random = np.random.default_rng(2020)
    images, values = random.integers(257, size=(3, 8, 4, 6)) / 256, random.integers(17, size=(3, 4, 6)) / 16
    return list(zip(images, values, [np.zeros((4, 6)), images[1].mean(0), np.full((4, 6), 0.4)], strict=True))


def _change(images: torch.Tensor, values: torch.Tensor, behind: torch.Tensor) -> torch.Tensor:
    return (1 - values) * (behind - images)


light_exercise = FunctionExercise(
    light_lost,
    cases=_light_cases(),
    mistakes={
        "What stands behind the map is not used: this is always black. Add `(1 - values) * behind`.": (
            lambda x, m, behind: light_lost(x, m, 0 * behind)
        ),
        "M and 1 − M have changed places: an open pixel, M = 1, shows the image.": (
            lambda x, m, behind: light_lost(x, 1 - m, behind)
        ),
        "What stands behind is added at open places too. It is seen where the map is closed: weight it with 1 − M.": (
            lambda x, m, behind: (m * x + behind - x).mean(0).abs().mean()
        ),
        "The absolute value comes after the mean over the pixels, or not at all: a place that is darker and one that "
        "is brighter cancel, and a network sees both.": lambda *given: _change(*given).mean().abs(),
        "The differences are squared, so that one dark place counts more than two that are half as dark. Take absolute "
        "values.": lambda *given: (_change(*given).mean(0) ** 2).mean(),
        "This compares image by image: there the mean image hides something too, what tells an image from the others. "
        "Asked is the light: take the mean over the images first.": lambda *given: _change(*given).abs().mean(),
    },
    expected="one number: the mean over the pixels of |mean of the images as seen − mean of the images as they are|",
    praise="Black takes mean((1 − M) · x̄), and takes it where it was bright. The mean image takes no light at all: "
    "what is hidden is what tells the images apart.",
    thought="A network that learned from whole images has never seen such darkness. What does one make of it that "
    "learns with the map? And with the mean image behind, what gives a hidden pixel away across many images?",
    hints=[
        "What is seen of an image: M of it, and 1 − M of what stands behind.",
        "Two mean images, of what is seen and of what is there: `.mean(0)` of each.",
        "Their difference pixel by pixel, then `.abs()`, and only then the mean over the pixels.",
    ],
)

# What a map and its negative score


def scores(values: torch.Tensor, zone: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The Mann-Whitney form of AUROC; each pair gives 1 to be shared by the map and its negative."""
    inside, outside = values[zone][:, None], values[~zone][None]
    score = ((inside > outside) * 1.0 + (inside == outside) * 0.5).mean()
    return score, 1 - score


def _score_cases() -> Iterator[tuple]:
    """Maps in [0, 1] with many ties, with none, and a flat one."""
    random = np.random.default_rng(1943)
    for height, width, levels in ((5, 6, 4), (6, 4, 7), (4, 7, None), (4, 4, 1)):
        zone = np.zeros((height, width), dtype=bool)
        zone[1 : height - 1, 1:3] = True
        values = random.random((height, width)) + 0.2 * zone
        values = values / values.max() if levels is None else np.floor(levels * values / 1.21) / levels
        yield values if levels != 1 else np.full((height, width), 0.6), zone


score_exercise = FunctionExercise(
    scores,
    cases=tuple(_score_cases()),
    mistakes={
        "Ties count whole: a flat map would be perfect. A tie is half a win.": lambda m, zone: [
            (sign * m[zone][:, None] >= sign * m[~zone]).double().mean() for sign in (1, -1)
        ],
        "Ties count nothing: a flat map would score 0, worse than chance. A tie is half a win.": lambda m, zone: [
            (sign * m[zone][:, None] > sign * m[~zone]).double().mean() for sign in (1, -1)
        ],
        "The negative map has no negative score: it is a share of pairs, too. Which pairs does it win?": (
            lambda m, zone: (scores(m, zone)[0], -scores(m, zone)[0])
        ),
        "The negative map turns every order round: what the inside won, it now loses. The score cannot be the same "
        "(but for .5).": lambda m, zone: (scores(m, zone)[0],) * 2,
        "The two are swapped, or inside and outside are: True in `zone` is the inside.": (
            lambda m, zone: scores(-m, zone)
        ),
        "This is the share of the map's mass in the zone: it grows with the zone, and a flat map is not at .5. AUROC "
        "looks at the order alone.": lambda m, zone: [m[part].sum() / m.sum() for part in (zone, ~zone)],
    },
    expected="two numbers: the share of the pairs (inside, outside) that the inside wins, ties half, in M and in −M",
    praise="Half for a tie, and the negative scores 1 − AUROC: a map that scores .1 is as good as one that scores .9.",
    thought="Then which of the mean image and its negative does a learned map have to beat, if nobody said beforehand "
    "which way round it would learn? And what would a random map have to score to be called lucky?",
    hints=[
        "Take every pixel inside with every pixel outside: in what share of these pairs is the inside higher?",
        "`values[zone][:, None]` against `values[~zone][None]` compares them all; a tie counts one half.",
        "In the negative every pair is turned round, and a tie stays a tie.",
    ],
)

# Which control?

control_exercise = ControlExercise(
    "controls",
    method="global attention",
    claims={
        "lesion": ("mean image", "What scores high for reasons that have nothing to do with lesions?"),
        "classifier": ("free mask", "Keep the learning of one map for all, and drop the pixel classifier alone."),
        "places": ("flat map", "Keep the order, the batches and the fading, and let no place be more open."),
        "remedy": ("classifier retrained", "Keep the balanced batches, and drop the map."),
    },
    arms={
        "mean image | negative mean image": "learns nothing: a picture is laid over the images, with other weights in "
        "other places",
        "free mask | free": "learns a map on the same batches, with a logit for each pixel and no pixel classifier",
        "flat map | flat": "is learned alike, with one weight for all pixels: it fades the images and knows no places",
        "shuffled map | shuffled": "has the learned weights, each at another pixel: it tells that wrong places harm, "
        "not that right ones help",
        "classifier retrained | retrained classifier | classifier retraining": "has no map; the network's last layer "
        "learns on the same balanced batches",
        "permuted pixels | permuted": "has the pixel classifier, fed with other pixels' intensities: its map is "
        "learned anew",
        "no mask": "has neither a map nor balanced batches. Its recall tells whether something helps, not what",
    },
    praise="Each takes away what its claim is about: the learning, the pixel classifier, the places, the map. If the "
    "result stays, the claim falls.",
    thought="The shuffled map does worse than the learned one, and the flat one no worse: which of the two says that "
    "places matter, and which that they do not help? And if all four controls fail to refute their claims: is any of "
    "these proved?",
    hints=[
        "A control takes away the one thing that the claim is about. If it does as well all the same, the claim falls.",
        "Which arm learns nothing? Which learns a map without the pixel classifier? Which fades, everywhere alike?",
        "And the last one: take the map away from the method, and keep the batches.",
    ],
    why="No learning, no pixel classifier, no places, no map: one change each.",
)

exercises = numbered(globals())
