"""careedu: learn to classify medical images when diseases are rare.

The public names are loaded when they are first used (PEP 562), so that ``import careedu`` is cheap: no torch,
no matplotlib.
"""

import os
from importlib import import_module
from typing import Any

from careedu.errors import CareeduError
from careedu.methods.registry import METHODS

__version__ = "0.1.0"

# torch's threads (GNU OpenMP) wait for each other by spinning for milliseconds. Where another program wants one of two
# cores (a browser, a second kernel) they spin in its way, and it in theirs. They spin for some microseconds instead and
# then sleep. tests/benchmarks/bench_threads.py measures what that wins there and what it costs on a quiet machine.
# OpenMP reads this when torch is first imported; no result depends on it, and whoever has set it keeps their setting.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# On a CUDA card matrix products give the same bits each time only with working memory of a fixed size.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# Where each public name lives. `careedu/__init__.pyi`, which type checkers read, is made from it, as a test holds.
_HOME = {
    "load": "careedu.data.load",
    "LesionDataset": "careedu.data.dataset",
    "Splits": "careedu.data.dataset",
    "Augmentation": "careedu.data.augmentation",
    "lesion_zones": "careedu.data.phantoms",
    "lesion_boxes": "careedu.methods.boxes",
    "boxes_of_a_trained_segmentation": "careedu.methods.segmentation",
    "TrainingFacts": "careedu.methods.facts",
    **{class_name: f"careedu.methods.{module}" for module, class_name, _ in METHODS.values()},
    "fit": "careedu.experiment.fit",
    "Run": "careedu.experiment.run",
    "attention_of": "careedu.experiment.attention",
    "trained_map": "careedu.experiment.attention",
    "AttentionResults": "careedu.experiment.attention_results",
    "check_method": "careedu.checks.check_method",
    "audit": "careedu.checks.audit",
    "Audit": "careedu.checks.audit",
    **dict.fromkeys(("smallest_difference", "patients_needed", "design_of"), "careedu.checks.planner"),
    "compare": "careedu.show.compare",
    "Comparison": "careedu.show.compare",
}

__all__ = ["CareeduError", "__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'careedu' has no attribute {name!r}; it has: {', '.join(sorted(__all__))}")
    return globals().setdefault(name, getattr(import_module(_HOME[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
