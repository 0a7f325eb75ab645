"""Values as Python source: whatever stands in a file of results becomes data, and never code."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DEEPEST = 20
"""Levels of lists and mappings in each other; Python's parser ends at 200, settings have two or three."""
WIDTH = 88
"""Longest line of code where it can be broken."""


def literal(value: Any, level: int = 0) -> str:
    """A value as an expression: a literal of JSON's kinds, where what has no such kind is written as its text.

    Parameters
    ----------
    value : object
        NumPy's scalars and arrays and enumerations of str or int are written as what they hold, NaN and infinity as
        ``float("nan")``; what is nested deeper than `DEEPEST` as ``...``.
    level : int
        How deep it is nested.

    Returns
    -------
    str
        One line.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)  # an enumeration's own repr is no source
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f'float("{float.__repr__(value)}")'
    if isinstance(value, Mapping | list | tuple | set | frozenset) and level >= DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        pairs = ((literal(key, level + 1), literal(part, level + 1)) for key, part in value.items())
        return f"{{{', '.join(f'{key}: {part}' for key, part in pairs)}}}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(literal(part, level + 1) for part in value)}]"
    return str.__repr__(value if isinstance(value, str) else str(value))


def keywords(options: Mapping[Any, Any]) -> list[str]:
    """Options as arguments of a call: by name where the name can be one, and the others as a ``**{...}``.

    Parameters
    ----------
    options : mapping

    Returns
    -------
    list of str
    """
    named = {key: value for key, value in options.items() if _is_name(key)}
    other = {str(key): value for key, value in options.items() if key not in named}
    return [f"{key}={literal(value)}" for key, value in named.items()] + [f"**{literal(other)}"] * bool(other)


def call(function: str, arguments: Sequence[str], end: str = "") -> list[str]:
    """A call on one line where it fits, else an argument a line.

    Parameters
    ----------
    function : str
        What stands before the bracket, with the line's indentation.
    arguments : sequence of str
        Source.
    end : str
        What follows the bracket.

    Returns
    -------
    list of str
        Lines.
    """
    line = f"{function}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(function) - len(function.lstrip()))
    return [f"{function}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent}){end}"]


def _is_name(key: Any) -> bool:
    """Whether a key can stand before the ``=`` of an argument as it is; Python takes other letters for ASCII ones."""
    name = isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) is not None
    return name and not keyword.iskeyword(key) and key != "__debug__"
