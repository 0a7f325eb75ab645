"""Exercises of notebook 03 on the pixel classifier: which maps it can reach, and how far one step moves it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from careedu.course.exercises.exercise import NumberExercise, near
from careedu.course.exercises.function import Arguments, FunctionExercise, Results

# How many images make it a free mask?

SIDE = 24
_PIXELS = SIDE**2

fewest_exercise = NumberExercise(
    "fewest",
    right=_PIXELS,
    tolerance=0.01,
    mistakes=[
        (
            lambda number: number == _PIXELS - 1,
            "So few do where the bias b may move too: it is one more column, of ones. Here b stays at its start, and "
            "the weights a have to do it alone.",
        ),
        (
            lambda number: number == _PIXELS + 1,
            "One too many: N columns of which none follows from the others span N dimensions, not N − 1.",
        ),
        (near(SIDE, 2 * SIDE, tolerance=0.001), "That counts the map's sides. How many logits has it?"),
        (near(64**2, tolerance=0.001), "That is the number of pixels of a map of 64 × 64; this one has 24 × 24."),
        (
            near(_PIXELS**2, tolerance=0.001),
            "That is the number of entries of a square V. Asked is the number of its columns, one an image.",
        ),
        (
            near(2 * _PIXELS, tolerance=0.001),
            "Every map can be reached then, but with half as many already: each image brings a weight of its own.",
        ),
        (
            near(_PIXELS / 2, tolerance=0.001),
            "An image brings one weight, not two: that is half as many weights as there are logits to be set.",
        ),
        (lambda number: number == 1, "One image has one weight: its maps are all multiples of that image."),
        (lambda number: number <= 0, "A number of images is at least 1."),
        (lambda number: not float(number).is_integer(), "Images come whole: the answer is a count."),
        (
            lambda number: number < _PIXELS,
            "There are fewer weights than logits: V a stays in a space of N dimensions, and nearly all maps lie "
            "outside it.",
        ),
        (lambda number: number > _PIXELS, "So many are enough, and fewer are too. Where does it begin?"),
    ],
    expected="a count of training images: as many as make the columns of V span all maps",
    praise="h·w logits are h·w numbers, and each image brings one weight: from N = 24 · 24 = 576 on V a is any map.",
    thought="From there on the classifier is a free mask in other coordinates: what can still tell the two apart while "
    "they learn? And what does a training set hold in which each image occurs twice?",
    hints=[
        "Write all logits at once: ℓ − b = V a, with a row of V for each pixel and a column for each image.",
        "The maps that V a can be are the space that the columns span. When is that the space of all maps?",
        "A space of h·w dimensions needs h·w columns of which none follows from the others: V has rank h·w.",
    ],
    code="""
fewest = 24 * 24
""",
    why="V has h·w rows and N columns; its rank is at most the smaller of the two, and has to be h·w.",
)

# The weights themselves

_TOLERANCE = 0.01


def _reach(pixels: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(pixels) @ target


def _reach_cases() -> list[Arguments]:
    """As many images as pixels, more, fewer, and as many of which two are one and the same."""
    random = np.random.default_rng(2007)
    cases = []
    for pixels, images in ((12, 12), (12, 20), (12, 5), (10, 10)):
        cases.append((random.random((pixels, images)) / images, random.normal(0.4, 1, size=pixels)))
    cases[3][0][:, 7] = cases[3][0][:, 2]
    return cases


class ReachExercise(FunctionExercise):
    """Weights of a pixel classifier: many may give one map, so the maps are compared."""

    def _agree(self, results: Results, others: Results) -> bool:
        for (pixels, target), a, b in zip(self.cases, results, others, strict=True):
            if a.shape != b.shape:
                return False
            if a.shape == (pixels.shape[1],):
                a, b = pixels @ a, pixels @ b
            if not np.allclose(a, b, rtol=0, atol=_TOLERANCE * np.abs(target).max()):
                return False
        return True


def _reach_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    wanted = [pixels @ _reach(pixels, target) for pixels, target in cases]
    good = [
        np.allclose(pixels @ result, want, rtol=0, atol=_TOLERANCE * np.abs(target).max())
        for (pixels, target), result, want in zip(cases, results, wanted, strict=True)
    ]
    if good == [True, True, True, False]:
        return (
            "Right as long as no image follows from the others. Where two are the same V has a lower rank, and "
            "inverting it blows up: `pinv` or `lstsq` leave out what is not there."
        )
    if good[0] and not good[1]:
        return "Right for as many images as pixels, not for more: many weights give the target then. Find any of them."
    if good[0] and not good[2]:
        return (
            "Right where the target can be reached. With fewer images than pixels it cannot: come as near as can be, "
            "in the sum of squares."
        )
    return None


reach_exercise = ReachExercise(
    "reach",
    cases=_reach_cases(),
    right=_reach,
    mistakes=[
        (
            lambda pixels, target: pixels.T @ target,
            "This says how much each image looks like the target, Vᵀt. Weights of images that look alike then add up: "
            "V Vᵀt is not t. Solve V a = t instead.",
        ),
        (
            lambda pixels, target: pixels @ _reach(pixels, target),
            "This is the map that is reached, V a, one number a pixel. Asked are the weights, one an image.",
        ),
        (
            lambda pixels, target: _reach(pixels, 1 / (1 + np.exp(-target))),
            "The target is already one of logits: no sigmoid before solving.",
        ),
        (
            lambda pixels, target: _reach(pixels, target - target.mean()),
            "The target's mean is taken off. There is no bias here that could bring it back.",
        ),
        (lambda pixels, target: -_reach(pixels, target), "The sign is turned round: V a is minus the target."),
        (
            lambda pixels, target: np.maximum(_reach(pixels, target), 0),
            "Negative weights are cut off: an image may count against a pixel too.",
        ),
        (
            lambda pixels, target: np.linalg.solve(pixels.T @ pixels + np.eye(pixels.shape[1]), pixels.T @ target),
            "A penalty on the weights (ridge) keeps them from the target: nothing here asks for small weights.",
        ),
        (
            lambda pixels, target: _reach(pixels, target) / pixels.shape[1],
            "These are too small by the number of images: `pixels` has the division by N already.",
        ),
        (
            lambda pixels, target: _reach(pixels, target) * pixels.shape[1],
            "These are too large by the number of images: `pixels` has the division by N already.",
        ),
        (
            lambda pixels, target: np.ones(pixels.shape[1]),
            "The same weight for all images gives the mean image, whatever the target is.",
        ),
        (
            lambda pixels, target: np.full(
                pixels.shape[1], pixels.sum(axis=1) @ target / (pixels.sum(axis=1) @ pixels.sum(axis=1))
            ),
            "The same weight for all images: this is the multiple of the mean image that comes nearest. Each image "
            "has a weight of its own.",
        ),
        (lambda pixels, target: np.zeros(pixels.shape[1]), "Weights of zero give a flat map."),
    ],
    properties=[_reach_properties],
    expected="weights of shape (N,), one an image, with which `pixels @ weights` comes as near to the target as can be",
    praise="With at least as many independent images as pixels, V a hits any target: the free mask's every map.",
    thought="Which of the many right weights would Adam find from zero? And what does the map look like that five "
    "images can reach: whose pattern does it keep?",
    hints=[
        "V a = t is a system of linear equations: one for each pixel, with one unknown for each image.",
        "It may have one solution, many, or none; least squares has an answer in all three cases.",
        "`torch.linalg.pinv(pixels)` is the pseudo-inverse: multiply the target with it.",
    ],
    code="""
import torch

def reach(pixels, target):
    return torch.linalg.pinv(pixels) @ target
""",
    why="The pseudo-inverse gives the shortest weights among those that come nearest, and does not mind a lower rank.",
)

# The scale trap

_IMAGES, _RATE, _START = 4096, 0.001, 2.0
_JUMP = _IMAGES * _RATE


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


jump_exercise = NumberExercise(
    "jump",
    right=_JUMP,
    tolerance=0.1,
    mistakes=[
        (
            near(_RATE, tolerance=0.01),
            "That is what it moves with the division by N: N steps of .001 / N. Asked is the move without.",
        ),
        (
            near(64 * _RATE, tolerance=0.01),
            "That is the move for 64 images (or with √N, as if the steps had random signs: here all go the same way).",
        ),
        (
            near(10 * _JUMP, tolerance=0.03),
            "Ten times too much: the rate of .001 that is given is the one of the map's weights.",
        ),
        (lambda number: number == _START, "That is b, where the logit starts. Asked is how far it moves."),
        (near(_IMAGES, tolerance=0.01), "The learning rate is missing: Adam's first step of a weight is lr, not 1."),
        (near(_RATE / _IMAGES, tolerance=0.03), "Divided by N, where the question is what happens without."),
        (
            near(_JUMP / 2, tolerance=0.03),
            "That is for a pixel of middling grey. This one is white, X = 1, in all images.",
        ),
        (
            near(_START + _JUMP, tolerance=0.02),
            "That is where the logit arrives, from b = 2. Asked is how far it moves.",
        ),
        (
            near(_sigmoid(_START + _JUMP) - _sigmoid(_START), tolerance=0.03),
            "That is how far the weight M = σ(ℓ) moves; asked is the logit ℓ.",
        ),
        (
            near(_sigmoid(_START - _JUMP) - _sigmoid(_START), -0.77, 0.77, tolerance=0.03),
            "That is how far the weight M = σ(ℓ) falls; asked is how far the logit ℓ moves.",
        ),
        (
            near(-_JUMP, tolerance=0.03),
            "Up or down depends on the gradient's sign. Give the size of the move, a positive number.",
        ),
        (
            lambda number: number == 1,
            "Adam divides a gradient by its own size, which leaves 1; times lr, and for N weights.",
        ),
        (lambda number: number == 0, "It moves: every weight takes a step, and the pixel is white in every image."),
        (lambda number: number < 0, "Asked is the size of the move, a positive number."),
    ],
    expected="the size of the first step of a white pixel's logit, Σ_n (step of a_n) · X_n(p)",
    praise="4096 · .001 = 4.1 in one step: from σ(2) = .88 to .998, or down to .11. With the division by N it is .001.",
    thought="Would plain gradient descent have the same trap? Work out how its step depends on N, with the division "
    "and without. And why does N = 64 hide it?",
    hints=[
        "Adam's first step: lr · g / |g|. Each weight moves by lr, however small its gradient is.",
        "ℓ_p = Σ_n a_n X_n(p) + b: how many weights move it, and by how much each where X_n(p) = 1?",
        "N weights, each .001, all in the same direction.",
    ],
    code="""
jump = 4096 * 0.001
""",
    why="Adam takes the gradient's size out: each weight moves by lr, whatever N is, and N of them add up.",
)
