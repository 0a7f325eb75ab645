"""The methods floor: one file per paper, and one for the imbalance baselines; declares what the one loop carries out.

The names offered here stand in ``__init__.pyi`` beside this file, once for type checkers and for Python.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
