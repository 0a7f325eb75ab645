"""The exercises of notebook 03: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from careedu.course.exercises.controls import ControlExercise
from careedu.course.exercises.exercise import Exercise, NumberExercise, near, numbered
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

# The weights themselves


def reach(pixels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The shortest weights among those that come nearest; the pseudo-inverse does not mind a lower rank."""
    return torch.linalg.pinv(pixels) @ target


def _reach_cases() -> list[tuple]:
    """As many images as pixels, more, fewer, and as many of which two are one and the same."""
    random = np.random.default_rng(2007)
    cases = []
    for pixels, images in ((12, 12), (12, 20), (12, 5), (10, 10)):
        cases.append((random.random((pixels, images)) / images, random.normal(0.4, 1, size=pixels)))
    cases[3][0][:, 7] = cases[3][0][:, 2]
    return cases


reach_exercise = FunctionExercise(
    reach,
    cases=_reach_cases(),
    # Many weights may give one map, so the maps are compared.
    seen=lambda weights, pixels, target: pixels @ weights if weights.shape == pixels.shape[1:] else weights,
    tolerance=0.01,
    mistakes={
        "This says how much each image looks like the target, Vᵀt. Weights of images that look alike then add up: "
        "V Vᵀt is not t. Solve V a = t instead.": lambda pixels, target: pixels.T @ target,
        "This is the map that is reached, V a, one number a pixel. Asked are the weights, one an image.": (
            lambda pixels, target: pixels @ reach(pixels, target)
        ),
        "The target is already one of logits: no sigmoid before solving.": (
            lambda pixels, target: reach(pixels, target.sigmoid())
        ),
        "Negative weights are cut off: an image may count against a pixel too.": (
            lambda pixels, target: reach(pixels, target).clamp(min=0)
        ),
        "The same weight for all images gives the mean image, whatever the target is.": (
            lambda pixels, target: torch.ones(pixels.shape[1])
        ),
    },
    expected="weights of shape (N,), one an image, with which `pixels @ weights` comes as near to the target as can "
    "be, in the sum of squares; also with more or fewer images than pixels, and where two images are the same",
    praise="With at least as many independent images as pixels, V a hits any target: the free mask's every map.",
    thought="Which of the many right weights would Adam find from zero? And what does the map look like that five "
    "images can reach: whose pattern does it keep?",
    hints=[
        "V a = t is a system of linear equations: one for each pixel, with one unknown for each image.",
        "It may have one solution, many, or none; least squares has an answer in all three cases.",
        "`torch.linalg.pinv(pixels)` is the pseudo-inverse: multiply the target with it.",
    ],
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
            lambda values, sparsity, variation: (
                sparsity * values.mean() + variation * sum(values.diff(dim=d).abs().sum() for d in (0, 1))
            )
        ),
        "The differences are squared: that spares small steps and punishes an edge. Total variation takes their "
        "absolute values, so that an edge costs as much as a slope of the same height.": (
            lambda values, sparsity, variation: (
                sparsity * values.mean() + variation * sum((values.diff(dim=d) ** 2).mean() for d in (0, 1))
            )
        ),
        "Only the differences down are there: a map of upright stripes would cost nothing. Add those across.": (
            lambda values, sparsity, variation: sparsity * values.mean() + variation * values.diff(dim=0).abs().mean()
        ),
        "Only the differences across are there: a map of level stripes would cost nothing. Add those down.": (
            lambda values, sparsity, variation: sparsity * values.mean() + variation * values.diff(dim=1).abs().mean()
        ),
        "The signs are kept, so that up and down cancel and only the borders count. Take absolute values.": (
            lambda values, sparsity, variation: (
                sparsity * values.mean() + variation * sum(values.diff(dim=d).mean() for d in (0, 1))
            )
        ),
        "λ_s and λ_tv have changed places.": (
            lambda values, sparsity, variation: regulariser(values, variation, sparsity)
        ),
    },
    expected="one number, λ_s · mean(M) + λ_tv · (mean |differences down| + mean |differences across|)",
    praise="Open pixels cost, and so do steps between neighbours.",
    thought="Which map has the lowest term of all, and what keeps the network from it? And of two maps with half of "
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

# What a map and its negative score


def scores(values: torch.Tensor, zone: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The Mann-Whitney form of AUROC; each pair gives 1 to be shared by the map and its negative."""
    inside, outside = values[zone][:, None], values[~zone][None]
    score = ((inside > outside) * 1.0 + (inside == outside) * 0.5).mean()
    return score, 1 - score


def _score_cases() -> list[tuple]:
    """Maps in [0, 1] with many ties, with none, and a flat one."""
    random = np.random.default_rng(1943)
    cases = []
    for height, width, levels in ((5, 6, 4), (6, 4, 7), (4, 7, None), (4, 4, 1)):
        zone = np.zeros((height, width), dtype=bool)
        zone[1 : height - 1, 1:3] = True
        values = random.random((height, width)) + 0.2 * zone
        values = values / values.max() if levels is None else np.floor(levels * values / 1.21) / levels
        cases.append((values if levels != 1 else np.full((height, width), 0.6), zone))
    return cases


score_exercise = FunctionExercise(
    scores,
    cases=_score_cases(),
    mistakes={
        "Ties count whole: a flat map would be perfect. A tie is half a win.": lambda values, zone: [
            (sign * values[zone][:, None] >= sign * values[~zone]).double().mean() for sign in (1, -1)
        ],
        "Ties count nothing: a flat map would score 0, worse than chance. A tie is half a win.": lambda values, zone: [
            (sign * values[zone][:, None] > sign * values[~zone]).double().mean() for sign in (1, -1)
        ],
        "The negative map has no negative score: it is a share of pairs, too. Which pairs does it win?": (
            lambda values, zone: (scores(values, zone)[0], -scores(values, zone)[0])
        ),
        "The negative map turns every order round: what the inside won, it now loses. The score cannot be the same "
        "(but for .5).": lambda values, zone: (scores(values, zone)[0],) * 2,
        "The two are swapped, or inside and outside are: True in `zone` is the inside.": (
            lambda values, zone: scores(-values, zone)
        ),
        "This is the share of the map's mass in the zone: it grows with the zone, and a flat map is not at .5. AUROC "
        "looks at the order alone.": lambda values, zone: [values[part].sum() / values.sum() for part in (zone, ~zone)],
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
        "classifier": ("free mask", "Keep the learning of one map for all, and drop the classifier alone."),
        "pixel": ("permuted pixels", "Keep the classifier, and spoil which intensities belong to which pixel."),
        "alignment": ("more jitter", "Keep the method, and take the alignment away: it should fail."),
    },
    arms={
        "mean image": "learns nothing: it is made of each pixel's own intensities, in images as aligned as before",
        "free mask": "learns a map another way, without intensities or classifier, from images as aligned as before",
        "permuted pixels": "has the classifier, fed with other pixels' intensities; all images are permuted alike",
        "more jitter": "has the same classifier, on images whose anatomy moves, lesions included",
        "local attention": "has no one map to lay over the zones: it weights each image by its own features, and "
        "differs in too many things at once",
        "no mask": "has no map. Its recall tells whether looking through one helps, not why",
    },
    aliases={
        "negative mean image": "mean image",
        "free": "free mask",
        "permuted": "permuted pixels",
        "alignment jitter": "more jitter",
        "jitter": "more jitter",
    },
    praise="Each takes away what its claim is about: the learning, the classifier, the pixel's own intensities, the "
    "alignment. If the score stays, the claim falls.",
    thought="Two arms are left: what would it mean for the whole idea if a network without a mask, or with attention "
    "of its own to each image, found as many of the rare images? And if all four controls fail to refute their claims: "
    "is any of these proved?",
    hints=[
        "A control takes away the one thing that the claim is about. If it does as well all the same, the claim falls.",
        "Which arm learns nothing? Which learns without the classifier? Which judges a pixel by another's intensities?",
        "And for the last one: let the images lie more loosely, and see whether it fails as it should.",
    ],
    why="No learning, no classifier, another pixel's intensities, loose images: one change each.",
)

exercises = numbered(globals())

if TYPE_CHECKING:  # where the numbers are not seen

    def __getattr__(name: str) -> Exercise: ...
