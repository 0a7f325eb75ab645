"""careedu: learn to classify medical images when diseases are rare.

The public names are loaded when they are first used (PEP 562), so that ``import careedu`` is cheap: no torch,
no matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from careedu.errors import CareeduError

__version__ = "0.1.0"

# Where each public name lives. Add the name here and in the TYPE_CHECKING block below.
_HOME = {
    "load": "careedu.data.load",
    "LesionDataset": "careedu.data.dataset",
    "Splits": "careedu.data.dataset",
    "Augmentation": "careedu.data.augmentation",
}

if TYPE_CHECKING:
    from careedu.data.augmentation import Augmentation
    from careedu.data.dataset import LesionDataset, Splits
    from careedu.data.load import load

__all__ = ["CareeduError", "__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'careedu' has no attribute {name!r}; it has: {', '.join(sorted(__all__))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
