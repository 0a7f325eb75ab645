"""The table of methods: where each name's class is, of careedu's and of anybody's own. It loads no torch."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

from careedu.errors import check_known

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
METHODS = {name: (entry["module"], entry["class"], entry["line"]) for name, entry in _TABLE.items()}
"""Name of a method: its module, its class, and what it is in one line; of careedu's own, from ``registry.toml``."""

OWN: dict[str, type] = {}
"""Classes of methods that are not careedu's, by name: each is here once its cell has run or its module is imported."""


def method_class(name: str) -> type[Any]:
    """The class of the method called `name`; an unknown name is an error that suggests the nearest."""
    if name in OWN:
        return OWN[name]
    check_known("method", name, [*METHODS, *OWN])
    module, class_name, _ = METHODS[name]
    return getattr(import_module(f".{module}", __package__), class_name)
