"""Exercises of notebook 02 about maps; `care`, beside this file, has the others, and the numbers of all."""

from collections.abc import Iterator

import numpy as np
import torch

from careedu.course.exercises.function import FunctionExercise

# Find the shortcut


def excess(maps: torch.Tensor, rare: torch.Tensor) -> torch.Tensor:
    """Each map is divided by its own sum, so that every image has one vote; the clamp is for a map of zeros."""
    shares = maps / maps.sum((1, 2), keepdim=True).clamp(min=1e-6)
    return shares[rare].mean(0) - shares[~rare].mean(0)


def _excess_cases() -> Iterator[tuple]:
    """Maps in [0, 1], weak and strong, narrow and wide; those of the rare class are high in a corner too."""
    random = np.random.default_rng(20181)
    for count, height, width in ((9, 5, 6), (7, 6, 4)):
        maps, rare = random.random((count, height, width)) ** random.uniform(1, 6, (count, 1, 1)), np.arange(count) < 3
        maps[:3, :2, :2] += 0.5
        order = random.permutation(count)
        yield (maps * random.uniform(0.1, 0.6, (count, 1, 1)))[order], rare[order]


def _shares(maps: torch.Tensor) -> torch.Tensor:
    return maps / maps.sum((1, 2), keepdim=True)


def _difference(shares: torch.Tensor, rare: torch.Tensor) -> torch.Tensor:
    return shares[rare].mean(0) - shares[~rare].mean(0)


excess_exercise = FunctionExercise(
    excess,
    cases=tuple(_excess_cases()),
    mistakes={
        "The maps come as they are, so that one which is high everywhere outvotes ten that are high in one place. "
        "Divide each by its own sum first.": _difference,
        "Each map is divided by its maximum. A wide one still weighs more than a narrow one: divide by its sum.": (
            lambda m, r: _difference(m / m.amax((1, 2), keepdim=True), r)
        ),
        "All maps of a class are added up before they are divided: the strongest counts most. Divide each map by its "
        "own sum, then take the mean.": lambda m, r: m[r].sum(0) / m[r].sum() - m[~r].sum(0) / m[~r].sum(),
        "This is the mean over all images. What the network looks at in one class drowns in it: take the rare class "
        "apart.": lambda m, r: _shares(m).mean(0),
        "This is the rare class alone. What is high in every class, such as where lesions lie, is still in it: take "
        "the mean of the others away.": lambda m, r: _shares(m)[r].mean(0),
        "The mean over all images is taken away, and the rare ones are among them: they are compared with themselves. "
        "Take that of the others, `~rare`.": lambda m, r: _shares(m)[r].mean(0) - _shares(m).mean(0),
    },
    expected="one map, of shape (H, W): the rare class's mean share of each pixel less that of the other classes",
    praise="One vote an image, and what all classes share drops out: what is left goes with the rare class alone.",
    thought="Lesions lie anywhere in these images, so that in the mean they blur and the corners stand out. Where they "
    "always lie in one place, as in a chest, what else would stand out? And what would a cast over the whole image "
    "look like in this map?",
    hints=[
        "What share of its map does each pixel have? Then: of which pixels is it larger in the rare class?",
        "`maps / maps.sum((1, 2), keepdim=True)` are the shares; `[rare]` and `[~rare]` are the two groups of images.",
        "The mean over the images of a group is `.mean(0)`; take the one from the other.",
    ],
)

# The attention term that has no gradient


def repaired(features: torch.Tensor, weight: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Each pixel counts by its value, and nothing leaves torch. The maximum has gone: a share does not depend on it."""
    maps = torch.einsum("bkhw,bk->bhw", features, weight).relu()
    outside = (maps * ~inside).sum((1, 2)) / maps.sum((1, 2)).clamp(min=1e-6)
    return outside.mean()


def _evidence(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bkhw,bk->bhw", features, weight).relu()


def _outside(maps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    return (maps * ~inside).sum((1, 2)) / maps.sum((1, 2))


def _counted(features: torch.Tensor, weight: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    maps = _evidence(features, weight)
    seen = maps > 0.5 * maps.amax((1, 2), keepdim=True)
    return ((seen & ~inside).sum((1, 2)) / seen.sum((1, 2))).mean()


def _trap_cases() -> Iterator[tuple]:
    """Features, positive as after a ReLU, weights of both signs, and a box an image."""
    random = np.random.default_rng(20172)
    for images, channels, height, width in ((4, 5, 6, 7), (3, 4, 5, 5)):
        features = np.maximum(random.normal(0.5, 1, size=(images, channels, height, width)), 0)
        weight = random.normal(0.2, 1, size=(images, channels)) * np.geomspace(0.2, 3, images)[:, None]
        inside = np.zeros((images, height, width), dtype=bool)
        for i in range(images):
            inside[i, i % 3 : i % 3 + 2, 1 : 3 + i % 2] = True
        yield features, weight, inside


repaired_exercise = FunctionExercise(
    repaired,
    cases=tuple(_trap_cases()),
    learns="the features",
    in_torch=True,
    mistakes={
        "The map is still cut at a threshold. A step is flat, and its slope 0, in torch as in NumPy: let each pixel "
        "count by its value instead.": _counted,
        "This is the share inside the box. A loss is made small: this one would drive the map out of the lesion.": (
            lambda a, w, inside: 1 - repaired(a, w, inside)
        ),
        "This divides the sum of the whole batch by that of the whole batch: the image with the strongest map decides. "
        "Take each image's share, then the mean.": lambda a, w, inside: _outside(
            _evidence(a, w).flatten(0, 1)[None], inside.flatten(0, 1)[None]
        )[0],
        "This is the mean of the map outside. The network can shrink the whole map and leave it where it is: divide by "
        "the map's sum.": lambda a, w, inside: (_evidence(a, w) * ~inside).mean(),
        "The ReLU is gone. Negative values cancel positive ones, and what is left is no share: it may exceed 1.": (
            lambda a, w, inside: _outside(torch.einsum("bkhw,bk->bhw", a, w), inside).mean()
        ),
        "Right so far: one number for each image. The loss needs their mean.": (
            lambda a, w, inside: _outside(_evidence(a, w), inside)
        ),
    },
    expected="one number, the mean over the images of the share of the map (after the ReLU) that lies outside the box: "
    "Σ outside / Σ, each pixel by its value, with neither a hard nor a soft threshold",
    praise="It measures nearly what the other did, and it can be learned from.",
    thought="With `requires_grad=True` the faulty term looks like one that learns, and `backward` finds nothing to "
    "complain of. Which one assertion would have caught it before the training? And under Adam, which divides each "
    "gradient by its own size, what did α change at all?",
    hints=[
        "Follow the gradient backwards, from the loss to the features: at which line does the way end?",
        "`.detach()`, `.numpy()` and `torch.tensor(...)` each end it. So does `>`, even within torch. "
        "`requires_grad=True` on a new tensor begins a way that leads nowhere.",
        "In place of the count of pixels above a threshold put their sum: `(maps * ~inside).sum((1, 2))`, divided by "
        "`maps.sum((1, 2))`.",
    ],
)

# Does the map change with the network?


def similarity(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Each pixel's rank within its image, brought to mean 0 and variance 1: the mean product is Spearman's ρ."""
    ranks = torch.stack([before, after]).flatten(2).argsort(2).argsort(2).double()
    z = (ranks - ranks.mean(2, keepdim=True)) / ranks.std(2, correction=0, keepdim=True)
    return (z[0] * z[1]).mean()


def _correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's, along the last dimension."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))


def _ranks(values: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return values.argsort(dim).argsort(dim).double()


def _each(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return _correlation(_ranks(before.flatten(1)), _ranks(after.flatten(1)))


def _similarity_cases() -> Iterator[tuple]:
    """Pairs of maps without ties: alike, unrelated, and turned round; of different strength, with a bright spot."""
    random = np.random.default_rng(20183)
    for height, width, alike in ((5, 6, (0.9, 0.0, 0.5, -0.8)), (6, 4, (0.7, -0.6, 0.2, 0.4, -0.3))):
        shape = (len(alike), height, width)
        level, kept = random.uniform(0, 2, (len(alike), 1, 1)), np.array(alike)[:, None, None]
        before, noise = random.normal(size=(2, *shape))
        after = kept * before + np.sqrt(1 - kept**2) * noise
        yield np.exp(before) + level, np.exp(1.5 * after) + 3 * level


similarity_exercise = FunctionExercise(
    similarity,
    cases=tuple(_similarity_cases()),
    mistakes={
        "This compares the values (Pearson): one bright spot decides. Compare the ranks of the pixels.": (
            lambda a, b: _correlation(a.flatten(1), b.flatten(1)).mean()
        ),
        "All pixels of the batch are ranked together. Maps of a bright and a dark image then look alike whatever lies "
        "where: rank within each image.": lambda a, b: _correlation(_ranks(a.flatten()), _ranks(b.flatten())),
        "These are the mean maps, compared once. In a mean over images nothing is left of where each map looked: "
        "compare image by image, then take the mean.": lambda a, b: _each(a.mean(0)[None], b.mean(0)[None])[0],
        "The signs are dropped, so that a map turned inside out counts as the same, and noise does not average to 0.": (
            lambda a, b: _each(a, b).abs().mean()
        ),
        "Each pixel is ranked over the images. That asks which image is higher there, not where an image's map lies: "
        "rank the pixels of one image.": lambda a, b: _correlation(
            _ranks(a.flatten(1).T), _ranks(b.flatten(1).T)
        ).mean(),
        "Right so far: one number for each image. Take their mean.": _each,
    },
    expected="one number from −1 to 1, the mean over the images of Spearman's ρ between the two maps' pixels",
    praise="1 where the order of the pixels is the same in every image, near 0 where they have nothing to do with each "
    "other.",
    thought="If the maps had stayed the same, what would they have shown, network or image? And is it enough that they "
    "change: does a map that hangs on the weights say what the network goes by?",
    hints=[
        "Spearman's ρ is Pearson's correlation of the ranks. Within what are the pixels ranked?",
        "One image at a time: flatten height and width, not the batch. Twice `argsort` gives ranks.",
        "`scipy.stats.spearmanr(a, b).statistic` is ρ of two flat arrays; take the mean over the pairs of maps.",
    ],
)
