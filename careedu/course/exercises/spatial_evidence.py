"""Exercises of notebook 03 on evidence: what a map scores against a zone, and which control could refute which claim.

The reference of the score is computed anew in NumPy, apart from `careedu.measure.map_quality`; a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from careedu.course.exercises.controls import ControlExercise
from careedu.course.exercises.function import Arguments, FunctionExercise, Results

# What a map and its negative score


def _pairs(values: np.ndarray, zone: np.ndarray) -> tuple[float, float, float]:
    """Shares of the pairs (inside, outside) in which the inside is higher, as high, and lower."""
    inside, outside = values[zone][:, None], values[~zone][None]
    return float((inside > outside).mean()), float((inside == outside).mean()), float((inside < outside).mean())


def _auroc(values: np.ndarray, zone: np.ndarray) -> float:
    higher, same, _ = _pairs(values, zone)
    return higher + same / 2


def _scores(values: np.ndarray, zone: np.ndarray) -> tuple[float, float]:
    return _auroc(values, zone), _auroc(-values, zone)


def _from_pairs(combine: Callable[..., tuple[float, float]]) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """The two scores that a function of the shares (higher, same, lower) gives."""
    return lambda values, zone: combine(*_pairs(values, zone))


def _by_order(values: np.ndarray, zone: np.ndarray) -> float:
    """The score by ranks that break ties by the pixels' order."""
    ranks = np.empty(values.size)
    ranks[values.ravel().argsort(kind="stable")] = np.arange(1, values.size + 1)
    inside = int(zone.sum())
    return (ranks[zone.ravel()].sum() - inside * (inside + 1) / 2) / (inside * (zone.size - inside))


def _share(values: np.ndarray, zone: np.ndarray) -> float:
    return values[zone].sum() / values.sum()


def _balanced(values: np.ndarray, zone: np.ndarray) -> float:
    return ((values[zone] > 0.5).mean() + (values[~zone] <= 0.5).mean()) / 2


def _score_cases() -> list[Arguments]:
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


def _score_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    pairs = np.array([result.reshape(-1) for result in results])
    if pairs.shape[1] != 2:
        return None
    if (pairs < -1e-6).any() or (pairs > 1 + 1e-6).any():
        return "A score lies outside [0, 1], and a share of pairs cannot: divide by inside times outside."
    wanted = np.array([_scores(*case) for case in cases])
    if np.allclose(pairs[2], wanted[2], atol=1e-3):
        return "Right for a map without ties. Where two pixels are as high, each of the two sides gets one half."
    if np.allclose(pairs[:, 0], wanted[:, 0], atol=1e-3):
        return "The first is right. What the inside wins in the map, it loses in the negative: what is left of 1?"
    if not np.allclose(pairs.sum(axis=1), 1, atol=1e-3):
        return (
            "Your two do not add up to 1. Each pair of a pixel inside and one outside is won in one of the two maps, "
            "and lost in the other; a tie gives one half to both."
        )
    return None


score_exercise = FunctionExercise(
    "scores",
    cases=_score_cases(),
    right=_scores,
    mistakes=[
        (
            _from_pairs(lambda higher, same, lower: (higher + same, lower + same)),
            "Ties count whole: a flat map would be perfect. A tie is half a win.",
        ),
        (
            _from_pairs(lambda higher, same, lower: (higher, lower)),
            "Ties count nothing: a flat map would score 0, worse than chance. A tie is half a win.",
        ),
        (
            _from_pairs(lambda higher, same, lower: (higher + same, 1 - higher - same)),
            "Ties count whole for the map, and nothing for its negative. Each gets one half.",
        ),
        (
            _from_pairs(lambda higher, same, lower: (higher, 1 - higher)),
            "Ties count nothing for the map, and whole for its negative. Each gets one half.",
        ),
        (
            lambda values, zone: (_by_order(values, zone), _by_order(-values, zone)),
            "These are ranks from sorting, which puts ties in the order of the pixels. Pixels that are as high share "
            "their mean rank (`scipy.stats.rankdata` does that).",
        ),
        (
            lambda values, zone: (_by_order(values, zone), 1 - _by_order(values, zone)),
            "These are ranks from sorting, which puts ties in the order of the pixels: a flat map is then not .5. "
            "Pixels that are as high share their mean rank.",
        ),
        (
            lambda values, zone: (_auroc(values, zone), -_auroc(values, zone)),
            "The negative map has no negative score: it is a share of pairs, too. Which pairs does it win?",
        ),
        (
            lambda values, zone: (_auroc(values, zone),) * 2,
            "The negative map turns every order round: what the inside won, it now loses. The score cannot be the "
            "same (but for .5).",
        ),
        (
            lambda values, zone: _scores(values, zone)[::-1],
            "The two are swapped, or inside and outside are: True in `zone` is the inside.",
        ),
        (
            lambda values, zone: (_share(values, zone), 1 - _share(values, zone)),
            "This is the share of the map's mass in the zone: it grows with the zone, and a flat map is not at .5. "
            "AUROC looks at the order alone.",
        ),
        (
            lambda values, zone: (
                values[zone].mean() - values[~zone].mean(),
                values[~zone].mean() - values[zone].mean(),
            ),
            "This is how much higher the map is inside on average. AUROC looks at the order alone: twice the map has "
            "the same score.",
        ),
        (
            lambda values, zone: (_balanced(values, zone), 1 - _balanced(values, zone)),
            "This cuts the map at .5. AUROC has no threshold: it compares every pixel inside with every one outside.",
        ),
        (
            lambda values, zone: tuple(100 * score for score in _scores(values, zone)),
            "The numbers are right in percent; give shares, between 0 and 1.",
        ),
        (
            lambda values, zone: tuple(score * zone.sum() * (~zone).sum() for score in _scores(values, zone)),
            "These are numbers of pairs; divide by all pairs of a pixel inside and one outside.",
        ),
        (
            lambda values, zone: tuple(
                score * zone.sum() * (~zone).sum() / zone.size**2 for score in _scores(values, zone)
            ),
            "The pairs are divided by all pairs of pixels. Only those count of which one is inside and one outside.",
        ),
    ],
    properties=[_score_properties],
    expected="two numbers: the share of the pairs (inside, outside) that the inside wins, ties half, in M and in −M",
    praise="Half for a tie, and the negative scores 1 − AUROC: a map that scores .1 is as good as one that scores .9.",
    thought="Then which of the mean image and its negative does a learned map have to beat, if nobody said beforehand "
    "which way round it would learn? And what would a random map have to score to be called lucky?",
    hints=[
        "Take every pixel inside with every pixel outside: in what share of these pairs is the inside higher?",
        "`values[zone][:, None]` against `values[~zone][None]` compares them all; a tie counts one half.",
        "In the negative every pair is turned round, and a tie stays a tie.",
    ],
    code="""
def scores(values, zone):
    inside, outside = values[zone][:, None], values[~zone][None]
    score = ((inside > outside) * 1.0 + (inside == outside) * 0.5).mean()
    return score, 1 - score
""",
    why="The Mann-Whitney form of AUROC; each pair gives 1 to be shared by the map and its negative.",
)

# Which control?

CLAIMS = {
    "lesion": "The learned map has found where lesions lie.",
    "classifier": "A learned map needs the pixel classifier: learned without it, it would do worse.",
    "pixel": "What counts is that each pixel is judged by its own intensities.",
    "alignment": "It works because the images are aligned.",
}
ARMS = ("mean image", "free mask", "permuted pixels", "more jitter", "local attention", "no mask")
_RIGHT = {
    "lesion": "mean image",
    "classifier": "free mask",
    "pixel": "permuted pixels",
    "alignment": "more jitter",
}
_NO_MAP = "It has no map"
_WRONG = {
    ("lesion", "free mask"): "It learns a map another way. Both may score high for one and the same reason that has "
    "nothing to do with lesions. What scores high without learning anything?",
    ("lesion", "permuted pixels"): "Where it scores low, that shows only that the place of the intensities matters. A "
    "map may score high by brightness alone.",
    ("lesion", "more jitter"): "It takes the lesions out of their zones. A map that fails there need not have found "
    "them before.",
    ("lesion", "local attention"): "It weights each image in another way: there is no one map to lay over the zones.",
    ("lesion", "no mask"): f"{_NO_MAP}. Its recall tells whether looking through one helps, not what the map shows.",
    ("classifier", "mean image"): "It learns nothing. The claim is about what it takes to learn a map: keep the "
    "learning, and drop the classifier.",
    ("classifier", "permuted pixels"): "It still has the pixel classifier, fed with another pixel's intensities.",
    ("classifier", "more jitter"): "It has the same classifier, on other images.",
    ("classifier", "local attention"): "It drops the classifier, and the one map for all images as well: if it does as "
    "well, nobody knows which of the two was needless.",
    ("classifier", "no mask"): f"{_NO_MAP} that is learned, with the classifier or without.",
    ("pixel", "mean image"): "It takes each pixel's own intensities too, their mean: the pixels are where they were.",
    ("pixel", "free mask"): "It has no intensities at all, and no classifier. Keep the classifier, and spoil alone "
    "which intensities belong to which pixel.",
    ("pixel", "more jitter"): "It moves the anatomy, lesions included; each pixel is still judged by what is there. "
    "Spoil alone which intensities belong to which pixel.",
    ("pixel", "local attention"): "It judges each image by its own features: too many things differ at once.",
    ("pixel", "no mask"): f"{_NO_MAP}, so no pixel is judged by anything.",
    ("alignment", "mean image"): "Its images are aligned as well as before.",
    ("alignment", "free mask"): "It learns from the same aligned images, in other coordinates.",
    ("alignment", "permuted pixels"): "All images are permuted alike: pixels that showed the same place still do.",
    ("alignment", "local attention"): "It does not need alignment. If it does as well it is a strong rival; what the "
    "map owes to alignment stays open.",
    ("alignment", "no mask"): f"{_NO_MAP}: whether one would work on images that lie loosely it does not tell.",
}
_ALIASES = {
    "mean": "mean image",
    "mean-image": "mean image",
    "negative mean image": "mean image",
    "negative-mean-image": "mean image",
    "free": "free mask",
    "permuted": "permuted pixels",
    "permutation": "permuted pixels",
    "jitter": "more jitter",
    "alignment jitter": "more jitter",
    "local": "local attention",
    "none": "no mask",
}

control_exercise = ControlExercise(
    "controls",
    claims=CLAIMS,
    arms=ARMS,
    right=_RIGHT,
    wrong=_WRONG,
    aliases=_ALIASES,
    method="global attention",
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
    code="\n".join(["controls = {", *(f'    "{claim}": "{arm}",' for claim, arm in _RIGHT.items()), "}"]),
    why="No learning, no classifier, another pixel's intensities, loose images: one change each.",
)
