"""Notebook 05: features that are pushed from what tempts to a wrong class."""

from collections.abc import Mapping
from typing import Any

from careedu.course.experiments.experiment import ON_SKIN, SKIN, SMALL_BRAIN, TUNING_SEEDS, Experiment, arms

_DISTRACTOR = {"method": "distractor"}
_CONTROLS = {
    **arms("logit adjustment"),
    "+ distractor": _DISTRACTOR,
    "+ random relevance": {**_DISTRACTOR, "relevance": "random"},
    "+ true-class relevance": {**_DISTRACTOR, "relevance": "true class"},
    "+ feature dropout": {**_DISTRACTOR, "relevance": "dropout"},
}
_WITH_MINING = {**_CONTROLS, "OHEM": {"method": "ohem", "tau": 1.0}}
# How close the patches come to another class's lesion, how often it is the class after the image's own, and how many
# there are. Six regimes in all, on tuning seeds and on images of their own.
REGIMES = ((0.0, 0.0, 3), (0.5, 0.0, 3), (1.0, 0.0, 3), (1.0, 0.0, 1), (1.0, 0.5, 3), (1.0, 1.0, 3))


def staged(look_alike: float, correlation: float, distractors: float) -> dict[str, Any]:
    """Skin phantoms with patches that look alike; the correlation is of training and validation images alone."""
    knobs = {"look_alike": look_alike, "look_alike_correlation": correlation} if look_alike else {}
    return {**SKIN, "distractors": distractors, **knobs}


def regime(look_alike: float, correlation: float, distractors: float) -> str:
    """Name of the experiment in which a regime was tried."""
    return f"05-regime-{look_alike:g}-{correlation:g}-{distractors:g}"


# By the gain of the method in balanced accuracy on the test images of the regimes, which no other experiment has.
BEST, WORST = (0.0, 0.0, 3), (0.5, 0.0, 3)


def _on_skin(name: str, data: Mapping[str, Any], tried: Mapping[str, Any], **more: Any) -> Experiment:
    return Experiment(name, data, tried, ON_SKIN, reference="logit adjustment", **more)


EXPERIMENTS = (
    _on_skin(
        "05-phantom-skin",
        staged(1.0, 0.0, 3),
        {**_WITH_MINING, **arms("focal", "CARE", "lesion transplant")},
        tempted=("logit adjustment", "+ distractor"),
    ),
    _on_skin("05-best-regime", staged(*BEST), _CONTROLS),
    _on_skin("05-worst-regime", staged(*WORST), _CONTROLS),
    Experiment(
        "05-brain-tumor",
        SMALL_BRAIN,
        {**_WITH_MINING, **arms("CARE", "lesion transplant")},
        {"epochs": 8},
        reference="logit adjustment",
    ),
    *(
        _on_skin(regime(*knobs), {**staged(*knobs), "seed": 1}, _CONTROLS, seeds=TUNING_SEEDS, exploratory=True)
        for knobs in REGIMES
    ),
)
