"""The exercises of notebook 02: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from careedu.course.exercises.controls import ControlExercise
from careedu.course.exercises.exercise import Exercise, NumberExercise, near, numbered
from careedu.course.exercises.function import FunctionExercise

# The attention loss


def attention_loss(maps: torch.Tensor, inside: torch.Tensor, cap: float, outside_weight: float) -> torch.Tensor:
    """The divisors are never 0: else the gradient would be NaN, even of the branch that `where` does not take."""
    area, rest = inside.sum((1, 2)), (~inside).sum((1, 2))
    mean_inside = (maps * inside).sum((1, 2)) / area.clamp(min=1)
    mean_outside = (maps * ~inside).sum((1, 2)) / rest.clamp(min=1)
    loss = outside_weight * mean_outside - mean_inside.clamp(max=cap)
    return torch.where(area > 0, loss, 0)


def _attention_cases() -> list[tuple]:
    """Maps in [0, 1]: one image below the cap, one above it, one without a box, one with two boxes."""
    random = np.random.default_rng(20190)
    maps, inside = random.random((4, 5, 6)) ** 2, np.zeros((4, 5, 6), dtype=bool)
    inside[0, 1:3, 1:4] = inside[1, 2:5, 0:3] = inside[3, 0:2, 0:2] = inside[3, 3:5, 3:6] = True
    maps[1][inside[1]] = 1 - maps[1][inside[1]] / 3
    more, boxes = random.random((3, 6, 4)), np.zeros((3, 6, 4), dtype=bool)
    boxes[1, 0:4, 1:3] = boxes[2, 2:4, 0:4] = True
    more[1][boxes[1]] /= 4
    return [(maps, inside, 0.5, 0.7), (more, boxes, 0.3, 0.5)]


def _unboxed(inside: torch.Tensor) -> torch.Tensor:
    return ~inside.any(2).any(1)


attention_exercise = FunctionExercise(
    attention_loss,
    cases=_attention_cases(),
    learns="the maps",
    mistakes={
        "The cap has no effect: beyond a mean of τ inside nothing more is to be gained. (A minus within `min` undoes "
        "it: −mean is always below τ.)": lambda maps, inside, cap, weight: attention_loss(maps, inside, 1.0, weight),
        "λ is forgotten: `outside_weight` is the factor of the mean outside.": (
            lambda maps, inside, cap, weight: attention_loss(maps, inside, cap, 1.0)
        ),
        "These are sums, where means are asked for: with sums a large box counts more than a small one, and the cap is "
        "passed by a few pixels.": lambda maps, inside, cap, weight: (
            weight * (maps * ~inside).sum((1, 2)) - (maps * inside).sum((1, 2)).clamp(max=cap)
        ).where(~_unboxed(inside), 0),
        "This is the mean over the batch. Give one number for each image: who trains will divide by the number of "
        "images that have a box, not by all.": lambda *given: attention_loss(*given).mean(),
        "Right for images with a box. Without one it is NaN, a mean over nothing; one such image spoils the whole "
        "network. There the loss is 0.": lambda maps, inside, cap, weight: attention_loss(
            maps, inside, cap, weight
        ).where(~_unboxed(inside), torch.nan),
        "Right for images with a box. Without one the whole map is punished as outside; most images have none, and for "
        "them the loss is 0: there is nothing to attend to.": lambda maps, inside, cap, weight: attention_loss(
            maps, inside, cap, weight
        ).where(~_unboxed(inside), weight * maps.mean((1, 2))),
    },
    expected="one number for each image, −min(mean inside, τ) + λ · mean outside, and 0 for an image without a box",
    praise="High in the box up to the cap, low outside, and silent where there is no box.",
    thought="What would the network do without the part outside, and what without the cap, when the box is larger than "
    "the lesion? And what does your function give for an image that is all box?",
    hints=[
        "Two means an image: of the map's pixels where `inside` is True, and of all its other pixels.",
        "A mean of a part is a sum over that part, `(maps * inside).sum(dim=(1, 2))`, by its number of pixels.",
        "`clamp(max=cap)` is the min; divide by `clamp(min=1)` of the area, and put 0 with `torch.where(area > 0, …)`.",
    ],
)

# The map of a class


def class_map(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Minimum and maximum belong to one image; a flat map is 0 divided by a little, and so 0."""
    F = torch.einsum("bkhw,bk->bhw", features, weight)
    low, high = F.amin((1, 2), keepdim=True), F.amax((1, 2), keepdim=True)
    return (F - low) / (high - low).clamp(min=1e-6)


def _weighted(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bkhw,bk->bhw", features, weight)


def _stretched(maps: torch.Tensor) -> torch.Tensor:
    return class_map(maps[:, None], torch.ones(len(maps), 1, dtype=maps.dtype))


def _map_cases() -> list[tuple]:
    """Feature maps, positive as after a ReLU; each last image is flat, in values that no sum rounds."""
    random = np.random.default_rng(20160)
    cases = []
    for shape in ((3, 4, 5, 6), (4, 6, 3, 4)):
        features = np.maximum(random.normal(0.5, 1, size=shape), 0)
        weight = random.normal(size=shape[:2])
        features[-1], weight[-1] = 0.5, np.resize([1.0, -0.5, 0.25, -2.0], shape[1])
        cases.append((features, weight))
    return cases


map_exercise = FunctionExercise(
    class_map,
    cases=_map_cases(),
    learns="the features",
    mistakes={
        "This is the weighted sum, and right so far; the last step is missing: stretch the map of each image to "
        "[0, 1].": _weighted,
        "There is a ReLU. CARE leaves it out: what speaks against the class is evidence too, and after a ReLU nothing "
        "can push it lower.": lambda features, weight: _stretched(_weighted(features, weight).relu()),
        "The scale is that of the whole batch, so an image's map depends on its neighbours. Take minimum and maximum "
        "of each image, over `dim=(1, 2)`, with `keepdim=True`.": lambda features, weight: (
            ((maps := _weighted(features, weight)) - maps.min()) / (maps.max() - maps.min())
        ),
        "The weights play no part: this is the mean over the channels, where the network is active for whatever "
        "reason. Weigh each channel by the class.": lambda features, weight: _stretched(features.mean(1)),
        "This is a softmax over the positions: it sums to 1, and a single peak swallows the rest. Asked is "
        "(F − min)/(max − min).": lambda features, weight: (
            _weighted(features, weight).flatten(1).softmax(1).reshape(len(features), *features.shape[2:])
        ),
        "Right but for a flat map, whose range is 0: it becomes NaN, and a loss with it. It shows nothing, and should "
        "be zeros: keep the divisor above 0.": lambda features, weight: (
            (maps := class_map(features, weight)) / maps.amax((1, 2), keepdim=True)
        ),
    },
    expected="one map for each image, of shape (B, h, w): Σ_k w_k A_k, stretched to [0, 1] within the image, and zeros "
    "where it is flat",
    praise="A weighted sum of what the network has computed anyway: no second backward pass.",
    thought="After global average pooling and a linear head, how do you get the logit back from the map before it is "
    "stretched? And what does the stretch throw away: would you see a network that is sure of nothing?",
    hints=[
        "First Σ_k w_k A_k: one weight for each image and channel, for all positions alike. No ReLU.",
        '`torch.einsum("bkhw,bk->bhw", features, weight)`; then minimum and maximum over `dim=(1, 2)`.',
        "(F − min)/(max − min), with the divisor kept above 0: `clamp(min=1e-6)`.",
    ],
)

# How many test images?

needed_exercise = NumberExercise(
    "needed",
    right=138,
    mistakes={
        "So many images must be won. Of how many test images are they one in 23?": near(6, tolerance=0.001),
        "With 5 images won the two-sided p is 2 · 0.5⁵ = .0625. (One-sided it would pass, but nobody knew beforehand "
        "that CARE would not lose images.)": near(5, 115, tolerance=0.001),
        "With 4 images won the two-sided p is 2 · 0.5⁴ = .125. McNemar's χ² would call that significant; so few images "
        "need the exact test.": near(4, 92, tolerance=0.001),
        "That is what the paper has: one image won of 23, and p = 2 · 0.5¹ = 1. How many would it take?": near(1, 23),
        "That is a p-value. Asked is a number of test images.": near(0.03125, 0.0625, 0.05),
        "That is for two networks tested on different images. Both saw the same ones: count only those on which they "
        "disagree, which takes far fewer.": near(1016, 2076, tolerance=0.06),
    },
    expected="a count of test images of the class: find how many must be won first, and take 23 for each",
    praise="Six images won and none lost: p = 2 · 0.5⁶ = .031. That takes 6 · 23 = 138 test images; the paper had 23.",
    thought="This was the kindest case. If of every 23 images two are won and one is lost, the gain is the same, and "
    "it takes 322. And what does no number of test images tell you, as long as each network was trained only once?",
    hints=[
        "Images on which both networks agree say nothing. Of the others, each falls to CARE or to its rival: were "
        "there no difference, like a coin.",
        "k coins that all fall to one side: the two-sided p-value is 2 · 0.5ᵏ. Which is the smallest k with p < .05?",
        "Each image won takes 23 test images.",
    ],
    code="""
won = next(k for k in range(1, 100) if 2 * 0.5**k < 0.05)
needed = 23 * won
""",
    why="The exact sign test on the images that changed side; 5 would give .0625.",
)

# Which control?

control_exercise = ControlExercise(
    "controls",
    method="care",
    claims={
        "place": ("random boxes", "Keep the loss and the stages, and spoil the place alone."),
        "loss": ("without attention", "Keep both stages, and drop the loss alone."),
        "use": ("lesion transplant", "Look for an arm that uses the same good boxes for something else."),
        "classes": ("boxes of all classes", "That something is enough is refuted by more of it that does better."),
    },
    arms={
        "random boxes": "has the attention loss and both stages, with boxes that lie anywhere",
        "without attention": "has both stages, and leaves the boxes in the drawer, the loss with them",
        "lesion transplant": "has neither attention loss nor second stage: it cuts out lesions of the rare classes",
        "boxes of all classes": "is CARE with more boxes, each of them on its lesion",
        "saliency boxes": "is CARE with boxes found without a doctor, which may lie on the lesion as well",
        "balanced sampling": "has no box for any class, and differs in the batches, the loss and the stages at once",
    },
    aliases={"shifted boxes": "random boxes", "boxes shifted": "random boxes", "no attention": "without attention"},
    praise="Each arm differs from CARE in what its claim is about. A claim that no arm could refute is not yet tested.",
    thought="Two arms are left. Which claims could saliency boxes and balanced sampling refute? And if the claim is "
    "that a map which gathers in one place has understood the disease: which arm would you look at, and would you look "
    "at its recall or at its map?",
    hints=[
        "A control differs from CARE in one thing, the thing that the claim is about. What is that thing here?",
        "Place: the same boxes, moved. Loss: the same two stages. Use: the same boxes, and no attention loss.",
        "The claim that something is enough is refuted by more of it that does better.",
    ],
    why="Spoil the place, drop the loss, use the boxes otherwise, add boxes of the common classes: one change each.",
)

# The pointing game


def pointing(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The mask at the place of each map's maximum is a one or a zero; their mean is the share."""
    peak = maps.flatten(1).argmax(1)
    return masks.flatten(1).gather(1, peak[:, None]).float().mean()


def _pointing_cases() -> list[tuple]:
    """Maps in [0, 1] with one maximum each, that lies in the lesion of 3 of 7, 4 of 5 and 2 of 6 images."""
    random = np.random.default_rng(20161)
    cases = []
    for count, height, width, hits in ((7, 6, 8, 3), (5, 9, 5, 4), (6, 7, 7, 2)):
        maps, masks = random.random((count, height, width)), np.zeros((count, height, width), dtype=bool)
        for i in range(count):
            top, left = random.integers(0, height - 3), random.integers(0, width - 3)
            masks[i, top : top + 3, left : left + 3] = True
            wanted = np.argwhere(masks[i] if i < hits else ~masks[i])
            maps[i][tuple(wanted[random.integers(len(wanted))])] = 1 + 0.01 * i
        order = random.permutation(count)
        cases.append((maps[order] / 1.1, masks[order]))
    return cases


pointing_exercise = FunctionExercise(
    pointing,
    cases=_pointing_cases(),
    mistakes={
        "This is the share of the map's mass that lies in the lesion, a good measure, and another one. Here only the "
        "maximum counts: in or out.": (lambda maps, masks: ((maps * masks).sum((1, 2)) / maps.sum((1, 2))).mean()),
        "This finds one maximum in the whole batch, and is 0 or 1. Every image has its own: flatten all but the first "
        "dimension.": lambda maps, masks: masks.flatten()[maps.argmax()].float(),
        "This is the mean of the map inside the lesion, and says nothing of the rest: a map of ones has 1. Ask where "
        "the maximum lies.": lambda maps, masks: ((maps * masks).sum((1, 2)) / masks.sum((1, 2))).mean(),
        "This asks whether any pixel above 0.5 lies in the lesion, which a map of ones does everywhere. There is no "
        "threshold: only the maximum counts.": lambda maps, masks: ((maps > 0.5) & masks).any(2).any(1).float().mean(),
        "This is the number of images; divide it by all images to have a share.": (
            lambda maps, masks: len(maps) * pointing(maps, masks)
        ),
        "This says for each image whether it is a hit, and is right so far: take the mean.": (
            lambda maps, masks: (maps * masks).amax((1, 2)).eq(maps.amax((1, 2))).float()
        ),
    },
    expected="one number between 0 and 1, the share of the images whose map has its maximum inside the mask",
    praise="In or out, one pixel an image: the pointing game.",
    thought="What would a map score that points at a random pixel? And what a map that is right at the maximum and "
    "covers half the image? So which second number belongs beside it?",
    hints=[
        "Only one pixel of each map counts, and for each image there are two outcomes.",
        "Where is the maximum of each image? Flatten height and width, not the batch.",
        "`maps.flatten(1).argmax(dim=1)` is one place an image; look it up in `masks.flatten(1)`.",
    ],
)

exercises = numbered(globals())

if TYPE_CHECKING:  # where the numbers are not seen

    def __getattr__(name: str) -> Exercise: ...
