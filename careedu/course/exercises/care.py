"""The exercises of notebook 02: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

import numpy as np
import torch

from careedu.course.exercises import care_maps
from careedu.course.exercises.choices import ControlExercise
from careedu.course.exercises.exercise import NumberExercise, near, numbered
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
        "This is the mean over the batch. Give one number for each image; who trains takes the mean, over the whole "
        "batch, images without a box included.": lambda *given: attention_loss(*given).mean(),
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
    thought="Who trains takes the mean over the batch. Then α/(1 − α) is the dose: what an image with a box gives "
    "attention for each unit that it gives classification. What is the dose at α = .5, and what would it be with the "
    "mean over the images with a box alone, 4 in a batch of 56?",
    hints=[
        "Two means an image: of the map's pixels where `inside` is True, and of all its other pixels.",
        "A mean of a part is a sum over that part, `(maps * inside).sum(dim=(1, 2))`, by its number of pixels.",
        "`clamp(max=cap)` is the min; divide by `clamp(min=1)` of the area, and put 0 with `torch.where(area > 0, …)`.",
    ],
)

# Find the shortcut

excess_exercise = care_maps.excess_exercise

# Why validation cannot see it

enough_exercise = NumberExercise(
    "enough",
    right=420,
    tolerance=1,  # whoever rounds up, or cuts off what 1 − .95 leaves behind the point, is right too
    mistakes={
        "So many it takes without the plaster. Only one validation image in twenty is such a one: how many is that in "
        "all?": near(21, tolerance=0.001),
        "Divided by .95, the share that has the plaster. Those tell nothing of the clinic: divide by the share that "
        "has none.": near(22, 22.1, 23),
        "A square is missing: the standard error is √(p(1 − p)/n), so that n = p(1 − p)/.1².": near(2.1, 3, 42),
        "That is for the .965 that validation reports. It needs few images, and it is the wrong number: take the "
        "recall of those without the plaster.": near(3.4, 4, 67.55),
        "So many to have one image without the plaster, in the mean or with a chance of 95 %. One image says 0 or 1: "
        "its standard error is far above .1.": near(1, 20, 58.4, 59),
        "That is for an interval of ± .1, with 1.96² in it. Asked is a standard error of .1.": near(81, 1614, 1620),
    },
    expected="a count of validation images of the class, marked ones included: find how many without the plaster it "
    "takes, and how many images hold so many",
    praise=".3 · .7/.1² = 21 images without the plaster, which are 5 % of 420. The phantom's validation set has 40 of "
    "the class: two without it.",
    thought="Sorting the 40 by plaster would do, once somebody suspects the plaster. What would tell you to look for "
    "it, while validation reports .965? And where would you take validation images from, if you could ask for 21 more?",
    hints=[
        "Only the images without the plaster say anything of the clinic. How well do n of them tell a recall?",
        "The standard error of a share p among n images is √(p(1 − p)/n). Set it to .1, with p = .3, and solve for n.",
        "Of all validation images of the class 5 % are such: divide n by .05.",
    ],
    code="unmarked = 0.3 * 0.7 / 0.1**2\nenough = round(unmarked / 0.05)",
    why="21 images without the plaster, of which there is one in twenty.",
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
    code="won = next(k for k in range(1, 100) if 2 * 0.5**k < 0.05)\nneeded = 23 * won",
    why="The exact sign test on the images that changed side; 5 would give .0625.",
)

# Which control?

control_exercise = ControlExercise(
    "controls",
    method="care",
    claims={
        "place": (
            ("random boxes", "shifted boxes", "boxes on the mark"),
            "Keep the loss and the stages, and spoil the place alone.",
        ),
        "loss": ("without attention", "Keep both stages, and drop the loss alone."),
        "use": ("lesion transplant", "Look for an arm that uses the same good boxes for something else."),
        "classes": ("boxes of all classes", "That something is enough is refuted by more of it that does better."),
    },
    arms={
        "random boxes | boxes anywhere": "has the attention loss and both stages, with boxes that lie anywhere",
        "shifted boxes | boxes shifted": "has the attention loss and both stages, with the true boxes moved off the "
        "lesion",
        "boxes on the mark | mark boxes": "has the attention loss and both stages, with boxes around the plaster",
        "without attention | no attention | alpha = 0 | alpha 0 | α = 0": "has both stages, and leaves the boxes in "
        "the drawer, the loss with them",
        "lesion transplant | transplant": "has neither attention loss nor second stage: it cuts out lesions of the "
        "rare class",
        "boxes of all classes": "is CARE with more boxes, each of them on its lesion",
        "drop marked": "has no box and no attention loss: it leaves out the marked images, which somebody has to know",
        "balanced sampling": "has no box for any class, and differs in the batches, the loss and the stages at once",
    },
    praise="Each arm differs from CARE in what its claim is about. A claim that no arm could refute is not yet tested.",
    thought="Three arms refute the claim on place. If CARE beats boxes on the mark and not random ones, what has the "
    "true box done? And two arms are left: say of each a claim that it could refute.",
    hints=[
        "A control differs from CARE in one thing, the thing that the claim is about. What is that thing here?",
        "Place: other boxes, the same loss. Loss: the same two stages. Use: the same boxes, and no attention loss.",
        "The claim that something is enough is refuted by more of it that does better.",
    ],
    why="Spoil the place, drop the loss, use the boxes otherwise, add boxes of the common classes: one change each.",
)

# The attention term that has no gradient

repaired_exercise = care_maps.repaired_exercise

# Does the map change with the network?

similarity_exercise = care_maps.similarity_exercise

exercises = numbered(globals())
