"""Notebook 07: every method on the images that the saved runs of other notebooks are about, and what those lack."""

from collections.abc import Mapping
from typing import Any

from careedu.course.experiments.experiment import MARKED, ON_SKIN, SKIN, SMALL_BRAIN, Experiment, arms
from careedu.course.experiments.feature_generation import ways

# At their defaults: none was tuned on these images.
_EVERYWHERE: dict[str, Mapping[str, Any]] = {
    "global attention": {"method": "global-attention"},
    "distractor loss": {"method": "distractor"},
    **ways("ACGAN", pretrain=None),
}
_PNEUMONIA = {"method": "deep-pneumonia"}
_MASKS = {
    "mask attention": {
        **_PNEUMONIA,
        "classification": {"method": "logit-adjusted"},
        "regulation": "none",
        "pretrain": None,
    },
    "Deep Pneumonia": _PNEUMONIA,
}
_BASELINES = ("balanced sampling", "classifier retraining")

EXPERIMENTS = (
    Experiment("07-phantom-skin", SKIN, {**_EVERYWHERE, **_MASKS}, ON_SKIN, reference="distractor loss"),
    Experiment(
        "07-marked-skin", MARKED, {**arms("cross-entropy", "balanced sampling"), **_EVERYWHERE, **_MASKS}, ON_SKIN
    ),
    Experiment(
        "07-brain-tumor",
        SMALL_BRAIN,
        {**arms(*_BASELINES), **_EVERYWHERE},
        {"epochs": 12},
        reference="balanced sampling",
    ),
)
