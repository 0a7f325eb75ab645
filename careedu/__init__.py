"""careedu: learn to classify medical images when diseases are rare.

The public names are loaded when they are first used (PEP 562), so that ``import careedu`` is cheap: no torch,
no matplotlib.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from careedu.errors import CareeduError

__version__ = "0.1.0"

# torch's threads (GNU OpenMP) wait for each other by spinning for milliseconds. Where another program wants one of two
# cores (a browser, a second kernel) that makes training five times slower. They spin for some microseconds instead and
# then sleep, which costs little on a quiet machine (tests/benchmarks/bench_threads.py). OpenMP reads this when torch is
# first imported; no result depends on it, and whoever has set it keeps their setting.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Where each public name lives. Add a name here and in the TYPE_CHECKING block below.
_MODULES = {
    "careedu.data.load": ("load",),
    "careedu.data.dataset": ("LesionDataset", "Splits"),
    "careedu.data.augmentation": ("Augmentation",),
    "careedu.data.phantoms": ("lesion_zones",),
    "careedu.methods.imbalance": (
        "CrossEntropy",
        "Focal",
        "ClassBalanced",
        "LDAM",
        "LogitAdjusted",
        "BalancedSampling",
        "ClassifierRetraining",
        "FeatureSMOTE",
    ),
    "careedu.methods.boxes": ("lesion_boxes",),
    "careedu.methods.segmentation": ("boxes_of_a_trained_segmentation",),
    "careedu.methods.method": ("TrainingFacts",),
    "careedu.methods.lesion_transplant": ("LesionTransplant",),
    "careedu.methods.care": ("CARE",),
    "careedu.methods.global_attention": ("GlobalAttention", "LocalAttention"),
    "careedu.methods.controls": ("MisplacedWeights",),
    "careedu.methods.references": ("NearestNeighbour", "LesionSize"),
    "careedu.experiment.fit": ("fit",),
    "careedu.experiment.run": ("Run",),
    "careedu.experiment.attention": ("attention_of", "trained_map"),
    "careedu.experiment.attention_results": ("AttentionResults",),
    "careedu.show.compare": ("compare", "Comparison"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

if TYPE_CHECKING:
    from careedu.data.augmentation import Augmentation
    from careedu.data.dataset import LesionDataset, Splits
    from careedu.data.load import load
    from careedu.data.phantoms import lesion_zones
    from careedu.experiment.attention import attention_of, trained_map
    from careedu.experiment.attention_results import AttentionResults
    from careedu.experiment.fit import fit
    from careedu.experiment.run import Run
    from careedu.methods.boxes import lesion_boxes
    from careedu.methods.care import CARE
    from careedu.methods.controls import MisplacedWeights
    from careedu.methods.global_attention import GlobalAttention, LocalAttention
    from careedu.methods.imbalance import (
        LDAM,
        BalancedSampling,
        ClassBalanced,
        ClassifierRetraining,
        CrossEntropy,
        FeatureSMOTE,
        Focal,
        LogitAdjusted,
    )
    from careedu.methods.lesion_transplant import LesionTransplant
    from careedu.methods.method import TrainingFacts
    from careedu.methods.references import LesionSize, NearestNeighbour
    from careedu.methods.segmentation import boxes_of_a_trained_segmentation
    from careedu.show.compare import Comparison, compare

__all__ = ["CareeduError", "__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'careedu' has no attribute {name!r}; it has: {', '.join(sorted(__all__))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
