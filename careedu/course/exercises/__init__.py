"""The exercises of the notebooks, a module for each: every one has `check`, `hint` and `solution`.

A notebook says ``from careedu.course.exercises import care`` and then ``care.exercise_1.check(answer)``. The modules
stand in ``__init__.pyi`` beside this file, once for type checkers and for Python.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
