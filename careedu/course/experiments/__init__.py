"""The experiments whose saved runs the notebooks open: data, methods, seeds and settings, written down once.

Main tables have ten seeds and at most six trained arms (notebook 01: nine) on one phantom and one real set; a few more
of that size stand beside them where their findings asked for it. Sweeps have three seeds and are marked exploratory.
Nothing here was tuned on a test split.
"""

from careedu.course.experiments import (
    care,
    deep_pneumonia,
    distractor,
    everything,
    feature_generation,
    global_attention,
    imbalance,
)
from careedu.course.experiments.experiment import Experiment
from careedu.errors import check_known

_ALL = (imbalance, care, global_attention, deep_pneumonia, distractor, feature_generation, everything)
EXPERIMENTS = {experiment.name: experiment for notebook in _ALL for experiment in notebook.EXPERIMENTS}


def experiment(name: str) -> Experiment:
    """The experiment called `name`; an unknown name is an error that suggests the nearest."""
    check_known("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
