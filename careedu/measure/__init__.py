"""The measure floor: metrics, intervals, paired statistics and map quality, without torch and without runs.

What readers of their own trainings need is offered here, loaded when first used. The names stand in ``__init__.pyi``
beside this file, once for type checkers and for Python.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
