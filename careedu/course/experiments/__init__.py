"""The experiments whose saved runs the notebooks open: data, methods, seeds and settings, written down once.

Main tables have ten seeds and at most six trained arms (notebook 01: nine) on one phantom and one real set; a few more
of that size stand beside them where their findings asked for it. Sweeps have three seeds and are marked exploratory.
Nothing here was tuned on a test split.
"""

from importlib import import_module

from careedu.course.experiments.experiment import Experiment
from careedu.errors import check_known

_FIRST = ("imbalance", "care", "global_attention", "deep_pneumonia")
_ALL = [import_module(f"{__name__}.{name}") for name in (*_FIRST, "distractor", "feature_generation", "everything")]
EXPERIMENTS = {experiment.name: experiment for notebook in _ALL for experiment in notebook.EXPERIMENTS}


def experiment(name: str) -> Experiment:
    """The experiment called `name`; an unknown name is an error that suggests the nearest."""
    check_known("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
