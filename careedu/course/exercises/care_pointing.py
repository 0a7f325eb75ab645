"""The exercise of notebook 02 on whether a map points at the lesion.

Its reference is computed anew in NumPy, apart from `careedu.experiment.attention`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from careedu.course.exercises.function import Arguments, FunctionExercise, Results


def _peaks(maps: np.ndarray) -> list[tuple[int, int]]:
    return [divmod(int(image.argmax()), image.shape[1]) for image in maps]


def _hits(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.array([bool(mask[peak]) for peak, mask in zip(_peaks(maps), masks, strict=True)])


def _pointing(maps: np.ndarray, masks: np.ndarray) -> float:
    return _hits(maps, masks).mean()


def _mass_shares(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return (maps * masks).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


def _means_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return (maps * masks).sum(axis=(1, 2)) / masks.sum(axis=(1, 2))


def _centres_inside(maps: np.ndarray, masks: np.ndarray) -> float:
    rows, columns = np.indices(maps.shape[1:])
    hits = []
    for image, mask in zip(maps, masks, strict=True):
        centre = [round(float((image * places).sum() / image.sum())) for places in (rows, columns)]
        hits.append(mask[centre[0], centre[1]])
    return float(np.mean(hits))


def _pointing_cases() -> list[Arguments]:
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


def _pointing_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    for result, (maps, _) in zip(results, cases, strict=True):
        share, count = float(result.reshape(-1)[0]), len(maps)
        if not 0 <= share <= 1:
            return f"{share:.3g} is no share of the images: that lies between 0 and 1."
        if abs(share * count - round(share * count)) > 0.01:
            return (
                f"{share:.3g} of {count} images is {share * count:.3g}, and images come whole: each has its maximum in "
                "the lesion or has not. Average those ones and zeros, and nothing else."
            )
    return None


pointing_exercise = FunctionExercise(
    "pointing",
    cases=_pointing_cases(),
    right=_pointing,
    mistakes=[
        (
            lambda maps, masks: _mass_shares(maps, masks).mean(),
            "This is the share of the map's mass that lies in the lesion, a good measure, and another one. Here only "
            "the maximum counts: in or out.",
        ),
        (
            lambda maps, masks: (maps * masks).sum() / maps.sum(),
            "This is a share of mass, over all images together. Here only the maximum of each image counts: in or out.",
        ),
        (
            lambda maps, masks: float(masks.reshape(-1)[maps.argmax()]),
            "This finds one maximum in the whole batch, and is 0 or 1. Every image has its own: flatten all but the "
            "first dimension.",
        ),
        (
            lambda maps, masks: _means_inside(maps, masks).mean(),
            "This is the mean of the map inside the lesion, and says nothing of the rest: a map of ones has 1. Ask "
            "where the maximum lies.",
        ),
        (
            lambda maps, masks: (maps * masks).max(axis=(1, 2)).mean(),
            "This is the largest value inside the lesion, and it may be larger still outside. Ask where the maximum of "
            "the whole map lies.",
        ),
        (
            lambda maps, masks: (
                ((maps > 0.5) & masks).sum(axis=(1, 2)) / np.maximum((maps > 0.5).sum(axis=(1, 2)), 1)
            ).mean(),
            "This is the share of the pixels above 0.5 that lie in the lesion. The pointing game has no threshold: one "
            "pixel an image, the maximum.",
        ),
        (
            lambda maps, masks: ((maps > 0.5) & masks).any(axis=(1, 2)).mean(),
            "This asks whether any pixel above 0.5 lies in the lesion, which a map of ones does everywhere. There is "
            "no threshold: only the maximum counts.",
        ),
        (
            lambda maps, masks: (
                ((maps > 0.5) & masks).sum(axis=(1, 2)) / ((maps > 0.5) | masks).sum(axis=(1, 2))
            ).mean(),
            "This is the overlap (IoU) of the lesion with what lies above 0.5. The pointing game has no threshold: one "
            "pixel an image, the maximum.",
        ),
        (
            lambda maps, masks: (_means_inside(maps, masks) > _means_inside(maps, ~masks)).mean(),
            "This asks whether the map is higher inside than outside on average. The pointing game asks for one pixel, "
            "the maximum.",
        ),
        (
            _centres_inside,
            "This takes the map's centre of mass, which may lie between two peaks where the map is low. Take the "
            "maximum.",
        ),
        (
            lambda maps, masks: _hits(maps, masks).sum(),
            "This is the number of images; divide it by all images to have a share.",
        ),
        (
            lambda maps, masks: 100 * _pointing(maps, masks),
            "The number is right in percent; give it as a share, between 0 and 1.",
        ),
        (
            _hits,
            "This says for each image whether it is a hit, and is right so far: take the mean.",
        ),
        (
            lambda maps, masks: 1 - _pointing(maps, masks),
            "This is the share of images whose maximum lies outside the lesion: one minus what is asked.",
        ),
        (
            lambda maps, masks: _pointing(-maps, masks),
            "This looks at the minimum of the map; `argmax`, not `argmin`.",
        ),
        (
            lambda maps, masks: masks.mean(),
            "This is the lesion's share of the pixels: what blind guessing would score. The map plays no part.",
        ),
    ],
    properties=[_pointing_properties],
    expected="one number between 0 and 1, the share of the images whose map has its maximum inside the mask",
    praise="In or out, one pixel an image: the pointing game.",
    thought="What would a map score that points at a random pixel? And what a map that is right at the maximum and "
    "covers half the image? So which second number belongs beside it?",
    hints=[
        "Only one pixel of each map counts, and for each image there are two outcomes.",
        "Where is the maximum of each image? Flatten height and width, not the batch.",
        "`maps.flatten(1).argmax(dim=1)` is one place an image; look it up in `masks.flatten(1)`.",
    ],
    code="""
def pointing(maps, masks):
    peak = maps.flatten(1).argmax(dim=1)
    hits = masks.flatten(1).gather(1, peak[:, None])
    return hits.float().mean()
""",
    why="The mask at the place of each map's maximum is a one or a zero; their mean is the share.",
)
