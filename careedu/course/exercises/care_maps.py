"""The exercise of notebook 02 on the map of a class.

Its reference is computed anew in NumPy, apart from `careedu.nn.maps`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from careedu.course.exercises.function import Arguments, FunctionExercise, Results, keeps_gradient

_NAN = 1e30  # stands for NaN where results are compared; nothing here is ever that large


class MapExercise(FunctionExercise):
    """A function of maps, whose mistake may be to give NaN: results are alike where NaN meets NaN."""

    def _agree(self, results: Results, others: Results) -> bool:
        results, others = ([np.where(np.isnan(a), _NAN, a) for a in each] for each in (results, others))
        return super()._agree(results, others)


def _weighted(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (features * weight[:, :, None, None]).sum(axis=1)


def _stretched(maps: np.ndarray, axis: tuple[int, ...] = (1, 2), flat: float = 0.0) -> np.ndarray:
    """From 0 to 1 over some axes; `flat` where all values are the same."""
    lowest, highest = maps.min(axis=axis, keepdims=True), maps.max(axis=axis, keepdims=True)
    extent = highest - lowest
    sloped = extent > 1e-9  # and not the rounding of a flat map
    return np.where(sloped, (maps - lowest) / np.where(sloped, extent, 1), flat)


def _map(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return _stretched(_weighted(features, weight))


def _softmax(maps: np.ndarray) -> np.ndarray:
    exponential = np.exp(maps - maps.max(axis=(1, 2), keepdims=True))
    return exponential / exponential.sum(axis=(1, 2), keepdims=True)


def _standardised(maps: np.ndarray) -> np.ndarray:
    deviation = maps.std(axis=(1, 2), keepdims=True)
    return (maps - maps.mean(axis=(1, 2), keepdims=True)) / np.where(deviation > 0, deviation, 1)


def _map_cases() -> list[Arguments]:
    """Feature maps, positive as after a ReLU; each last image is flat, in values that no sum rounds."""
    random = np.random.default_rng(20160)
    cases = []
    for shape in ((3, 4, 5, 6), (4, 6, 3, 4)):
        features = np.maximum(random.normal(0.5, 1, size=shape), 0)
        weight = random.normal(size=shape[:2])
        features[-1], weight[-1] = 0.5, np.resize([1.0, -0.5, 0.25, -2.0], shape[1])
        cases.append((features, weight))
    return cases


def _map_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    wanted = [_map(*case) for case in cases]
    if all(np.allclose(result[:-1], want[:-1], atol=1e-3) for result, want in zip(results, wanted, strict=True)):
        return "Right but for a flat map, whose values are all the same: it shows nothing, and should be zeros."
    if all(np.allclose(_stretched(r)[:-1], w[:-1], atol=1e-3) for r, w in zip(results, wanted, strict=True)):
        return "The pattern is right, the scale is not: the lowest value of each map should be 0, its highest 1."
    if any((result < -1e-6).any() or (result > 1 + 1e-6).any() for result in results):
        return "There are values outside [0, 1]: take off the minimum of each map, then divide by its range."
    return None


map_exercise = MapExercise(
    "class_map",
    cases=_map_cases(),
    right=_map,
    mistakes=[
        (
            _weighted,
            "This is the weighted sum, and right so far; the last step is missing: stretch the map of each image to "
            "[0, 1].",
        ),
        (
            lambda features, weight: _stretched(np.maximum(_weighted(features, weight), 0)),
            "There is a ReLU. CARE leaves it out: what speaks against the class is evidence too, and after a ReLU "
            "nothing can push it lower.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, np.maximum(weight, 0))),
            "Negative weights are cut off: a feature that speaks against the class is then not seen. Keep their sign.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, np.abs(weight))),
            "The weights have lost their sign: what speaks against the class now counts for it.",
        ),
        (
            lambda features, weight: _stretched(-_weighted(features, weight)),
            "Upside down: 1 is where least speaks for the class. Is a sign the wrong way round?",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, weight), (0, 1, 2)),
            "The scale is that of the whole batch, so an image's map depends on its neighbours. Take minimum and "
            "maximum of each image, over `dim=(1, 2)`, with `keepdim=True`.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, weight), (2,)),
            "Each row is stretched on its own; the range is that of the whole map of an image, `dim=(1, 2)`.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, weight), (1,)),
            "Each column is stretched on its own; the range is that of the whole map of an image, `dim=(1, 2)`.",
        ),
        (
            lambda features, weight: _stretched(features.mean(axis=1)),
            "The weights play no part: this is the mean over the channels, where the network is active for whatever "
            "reason. Weigh each channel by the class.",
        ),
        (
            lambda features, weight: _stretched(np.einsum("bkhw,k->bhw", features, weight.mean(axis=0))),
            "All images are weighed alike, by the mean of the weights; row b of `weight` belongs to image b.",
        ),
        (
            lambda features, weight: _softmax(_weighted(features, weight)),
            "This is a softmax over the positions: it sums to 1, and a single peak swallows the rest. Asked is "
            "(F − min)/(max − min).",
        ),
        (
            lambda features, weight: _stretched(_softmax(_weighted(features, weight))),
            "Between sum and stretch there is a softmax, which bends the scale: small differences near the peak grow, "
            "all others shrink. Leave it out.",
        ),
        (
            lambda features, weight: 1 / (1 + np.exp(-_weighted(features, weight))),
            "This is a sigmoid: it stays within (0, 1), but no map reaches 0 or 1. Asked is (F − min)/(max − min).",
        ),
        (
            lambda features, weight: np.clip(_weighted(features, weight), 0, 1),
            "This cuts off what lies outside [0, 1]. Stretch instead: (F − min)/(max − min).",
        ),
        (
            lambda features, weight: _standardised(_weighted(features, weight)),
            "These have mean 0 and variance 1; asked is a minimum of 0 and a maximum of 1.",
        ),
        (
            lambda features, weight: (
                _weighted(features, weight) / _weighted(features, weight).max(axis=(1, 2), keepdims=True)
            ),
            "This divides by the maximum alone, and negative values stay. Take off the minimum first, then divide by "
            "max − min.",
        ),
        (
            lambda features, weight: (
                _weighted(features, weight) / np.abs(_weighted(features, weight)).max(axis=(1, 2), keepdims=True)
            ),
            "This lies in [−1, 1]: it divides by the largest size. Take off the minimum first, then divide by "
            "max − min.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, weight), flat=np.nan),
            "Right but for a flat map, whose range is 0: it becomes NaN, and a loss with it. It shows nothing, and "
            "should be zeros: keep the divisor above 0.",
        ),
        (
            lambda features, weight: _stretched(_weighted(features, weight), flat=1.0),
            "Right but for a flat map: ones would say that all of the image speaks for the class. It shows nothing, "
            "and should be zeros.",
        ),
    ],
    properties=[_map_properties],
    last=[keeps_gradient(_map_cases()[0], "the features")],
    expected="one map for each image, of shape (B, h, w): Σ_k w_k A_k, stretched to [0, 1] within the image",
    praise="A weighted sum of what the network has computed anyway: no second backward pass.",
    thought="After global average pooling and a linear head, how do you get the logit back from the map before it is "
    "stretched? And what does the stretch throw away: would you see a network that is sure of nothing?",
    hints=[
        "First Σ_k w_k A_k: one weight for each image and channel, for all positions alike. No ReLU.",
        '`torch.einsum("bkhw,bk->bhw", features, weight)`; then minimum and maximum over `dim=(1, 2)`.',
        "(F − min)/(max − min), with the divisor kept above 0: `clamp(min=1e-6)`.",
    ],
    code="""
import torch

def class_map(features, weight):
    maps = torch.einsum("bkhw,bk->bhw", features, weight)
    lowest, highest = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - lowest) / (highest - lowest).clamp(min=1e-6)
""",
    why="Minimum and maximum belong to one image; a flat map is 0 divided by a little, and so 0.",
)
