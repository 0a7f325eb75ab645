"""Notebook 07: every method on the images that the saved runs of other notebooks are about, and what those lack."""

from careedu.course.experiments.deep_pneumonia import ATTENTION
from careedu.course.experiments.experiment import MARKED, ON_SKIN, SKIN, SMALL_BRAIN, Experiment, arms
from careedu.course.experiments.feature_generation import ways

# None was tuned on these images.
_MORE = {
    "global attention": {"method": "global-attention"},
    "distractor loss": {"method": "distractor"},
    **ways("ACGAN", pretrain=None),
}
_ON_SKIN = {**_MORE, "mask attention": ATTENTION, "Deep Pneumonia": {"method": "deep-pneumonia"}}
_ON_BRAIN = {**arms("balanced sampling", "classifier retraining"), **_MORE}
_ON_MARKED = {**arms("cross-entropy", "balanced sampling"), **_ON_SKIN}

EXPERIMENTS = (
    Experiment("07-phantom-skin", SKIN, _ON_SKIN, ON_SKIN, reference="distractor loss"),
    Experiment("07-marked-skin", MARKED, _ON_MARKED, ON_SKIN),
    Experiment("07-brain-tumor", SMALL_BRAIN, _ON_BRAIN, {"epochs": 12}, reference="balanced sampling"),
)
