"""Notebook 01: what one does about imbalance before reaching for anything clever."""

from careedu.course.experiments.experiment import BRAIN, IMBALANCE, ON_BRAIN, ON_SKIN, SKIN, Experiment

_SHOWN = ("cross-entropy", "inverse-frequency weights", "logit adjustment", "balanced sampling")

EXPERIMENTS = (
    Experiment("01-phantom-skin", SKIN, IMBALANCE, ON_SKIN, weights=_SHOWN, courses=True),
    Experiment("01-brain-tumor", BRAIN, IMBALANCE, ON_BRAIN, courses=True),
)
