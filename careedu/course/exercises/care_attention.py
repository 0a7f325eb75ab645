"""The exercise of notebook 02 on the attention loss.

Its reference is computed anew in NumPy, apart from `careedu.methods.care`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from careedu.course.exercises.care_maps import MapExercise
from careedu.course.exercises.function import Arguments, Results, keeps_gradient


def _means(maps: np.ndarray, inside: np.ndarray, empty: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each map inside and outside; `empty` where there is nothing inside."""
    within = [image[box].mean() if box.any() else empty for image, box in zip(maps, inside, strict=True)]
    outside = [image[~box].mean() for image, box in zip(maps, inside, strict=True)]
    return np.array(within), np.array(outside)


def _boxed(loss: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """0 for images without a box."""
    return np.where(inside.any(axis=(1, 2)), loss, 0)


def _from_means(combine: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The loss that a function of (mean inside, mean outside, τ, λ) gives."""
    return lambda maps, inside, cap, weight: _boxed(combine(*_means(maps, inside), cap, weight), inside)


_attention = _from_means(lambda within, outside, cap, weight: -np.minimum(within, cap) + weight * outside)


def _sums(maps: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (maps * inside).sum(axis=(1, 2)), (maps * ~inside).sum(axis=(1, 2))


def _attention_of_sums(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> np.ndarray:
    within, outside = _sums(maps, inside)
    return _boxed(-np.minimum(within, cap) + weight * outside, inside)


def _attention_over_all(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> np.ndarray:
    within, outside = (total / maps[0].size for total in _sums(maps, inside))
    return _boxed(-np.minimum(within, cap) + weight * outside, inside)


def _attention_outside_over_all(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> np.ndarray:
    outside = _sums(maps, inside)[1] / maps[0].size
    return _boxed(-np.minimum(_means(maps, inside)[0], cap) + weight * outside, inside)


def _attention_of_whole_map(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> np.ndarray:
    return _boxed(-np.minimum(_means(maps, inside)[0], cap) + weight * maps.mean(axis=(1, 2)), inside)


def _attention_of_pooled_pixels(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> float:
    return -min(maps[inside].mean(), cap) + weight * maps[~inside].mean()


def _attention_without_guard(empty: float) -> Callable[..., np.ndarray]:
    def loss(maps: np.ndarray, inside: np.ndarray, cap: float, weight: float) -> np.ndarray:
        within, outside = _means(maps, inside, empty)
        return -np.minimum(within, cap) + weight * outside

    return loss


def _attention_cases() -> list[Arguments]:
    """Maps in [0, 1]: one image below the cap, one above it, one without a box, one with two boxes."""
    random = np.random.default_rng(20190)
    maps, inside = random.random((4, 5, 6)) ** 2, np.zeros((4, 5, 6), dtype=bool)
    inside[0, 1:3, 1:4] = inside[1, 2:5, 0:3] = inside[3, 0:2, 0:2] = inside[3, 3:5, 3:6] = True
    maps[1][inside[1]] = 1 - maps[1][inside[1]] / 3
    more, boxes = random.random((3, 6, 4)), np.zeros((3, 6, 4), dtype=bool)
    boxes[1, 0:4, 1:3] = boxes[2, 2:4, 0:4] = True
    more[1][boxes[1]] /= 4
    return [(maps, inside, 0.5, 0.7), (more, boxes, 0.3, 0.5)]


def _attention_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    wanted = [_attention(*case) for case in cases]
    boxed = [case[1].any(axis=(1, 2)) for case in cases]
    triples = list(zip(results, wanted, boxed, strict=True))
    if all(np.allclose(result[b], want[b], rtol=1e-3) for result, want, b in triples):
        return "Right for images with a box; for an image without one the loss is 0: there is nothing to attend to."
    ratios = np.concatenate([result[b] / want[b] for result, want, b in triples])
    if np.ptp(ratios) < 1e-3 * abs(ratios.mean()):
        return f"Right but for a factor: your loss is {ratios.mean():.3g} times the one that is asked for."
    if any((result < -case[2] - 1e-6).any() for result, case in zip(results, cases, strict=True)):
        return "A loss lies below −τ, and no map can do that: the part inside is −min(mean, τ), the other is positive."
    if any((result > case[3] + 1e-6).any() for result, case in zip(results, cases, strict=True)):
        return "A loss lies above λ, and no map in [0, 1] can do that: are both parts means, over their own pixels?"
    return None


attention_exercise = MapExercise(
    "attention_loss",
    cases=_attention_cases(),
    right=_attention,
    mistakes=[
        (
            lambda *given: -_attention(*given),
            "The sign is turned round: a network that minimises this looks away from the lesion. Inside lowers the "
            "loss, outside raises it.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: np.minimum(within, cap) + weight * outside),
            "The part inside has the wrong sign: the more of the map lies in the box, the lower the loss should be.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.minimum(within, cap) - weight * outside),
            "The part outside has the wrong sign: what lies outside the box should raise the loss.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.minimum(outside, cap) + weight * within),
            "Inside and outside are swapped: True in `inside` is the box.",
        ),
        (
            _attention_of_sums,
            "These are sums, where means are asked for: with sums a large box counts more than a small one, and the "
            "cap is passed by a few pixels.",
        ),
        (
            _attention_over_all,
            "Each part is divided by all pixels of the image. A mean inside is over the pixels inside, a mean outside "
            "over those outside; else a small box hardly counts.",
        ),
        (
            _attention_outside_over_all,
            "The part outside is divided by all pixels of the image; divide it by the number of pixels outside.",
        ),
        (
            _attention_of_whole_map,
            "The second mean is over the whole map, box included: so the box is punished as well. Take what lies "
            "outside.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -within + weight * outside),
            "The cap has no effect: beyond a mean of τ inside nothing more is to be gained. (A minus within `min` "
            "undoes it: −mean is always below τ.)",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.maximum(within, cap) + weight * outside),
            "This takes the larger of mean and cap: below τ the map could then do what it likes. It is `min`. (In "
            "torch, `clamp(max=cap)`.)",
        ),
        (
            lambda maps, inside, cap, weight: _boxed(
                -_means(np.minimum(maps, cap), inside)[0] + weight * _means(maps, inside)[1], inside
            ),
            "The cap is put on every pixel; it belongs on the mean of the pixels inside.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.minimum(within - weight * outside, cap)),
            "The cap is put on the whole; it belongs on the mean inside alone.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.minimum(within, cap) + outside),
            "λ is forgotten: `outside_weight` is the factor of the mean outside.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -weight * np.minimum(within, cap) + outside),
            "λ is the factor of the wrong part: it belongs to the mean outside.",
        ),
        (
            _from_means(lambda within, outside, cap, weight: -np.minimum(within, cap)),
            "The part outside is missing: a map of ones everywhere would do.",
        ),
        (
            lambda *given: _attention(*given).mean(),
            "This is the mean over the batch. Give one number for each image: who trains will divide by the number of "
            "images that have a box, not by all.",
        ),
        (
            lambda *given: _attention(*given)[given[1].any(axis=(1, 2))].mean(),
            "This is the mean over the images with a box: the right thing for training. Here return one number for "
            "each image, before the mean.",
        ),
        (
            _attention_of_pooled_pixels,
            "This throws the pixels of all images together, so large boxes count more. Take the means within each "
            "image: one number for each.",
        ),
        (
            _attention_without_guard(np.nan),
            "Right for images with a box. Without one it is NaN, a mean over nothing; one such image spoils the whole "
            "network. There the loss is 0.",
        ),
        (
            _attention_without_guard(0.0),
            "Right for images with a box. Without one the whole map is punished as outside; most images have none, and "
            "for them the loss is 0.",
        ),
    ],
    properties=[_attention_properties],
    last=[keeps_gradient(_attention_cases()[0], "the maps")],
    expected="one number for each image, −min(mean inside, τ) + λ · mean outside, and 0 for an image without a box",
    praise="High in the box up to the cap, low outside, and silent where there is no box.",
    thought="What would the network do without the part outside, and what without the cap, when the box is larger than "
    "the lesion? And what does your function give for an image that is all box?",
    hints=[
        "Two means an image: of the map's pixels where `inside` is True, and of all its other pixels.",
        "A mean of a part is a sum over that part, `(maps * inside).sum(dim=(1, 2))`, by its number of pixels.",
        "`clamp(max=cap)` is the min; divide by `clamp(min=1)` of the area, and put 0 with `torch.where(area > 0, …)`.",
    ],
    code="""
import torch

def attention_loss(maps, inside, cap, outside_weight):
    area, rest = inside.sum(dim=(1, 2)), (~inside).sum(dim=(1, 2))
    mean_inside = (maps * inside).sum(dim=(1, 2)) / area.clamp(min=1)
    mean_outside = (maps * ~inside).sum(dim=(1, 2)) / rest.clamp(min=1)
    loss = outside_weight * mean_outside - mean_inside.clamp(max=cap)
    return torch.where(area > 0, loss, 0)
""",
    why="The divisors are never 0, so no NaN arises, not even in the branch that is not taken: its gradient would be "
    "NaN all the same.",
)
