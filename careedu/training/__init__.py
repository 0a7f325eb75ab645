"""The training floor: what a stage and an update are, the one training loop, batches, checkpoints, prediction.

The names offered here stand in ``__init__.pyi`` beside this file, once for type checkers and for Python.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
