"""What `careedu.*` offers comes from one table, and type checkers are told of the very same names.

Run as a script, this rewrites what type checkers read.
"""

from __future__ import annotations

import ast
from pathlib import Path

import careedu
from careedu.methods.registry import METHODS

STUB = Path(careedu.__file__).with_suffix(".pyi")


def stub():
    """What type checkers are to read, line for line."""
    homes = {"CareeduError": "careedu.errors", **careedu._HOME}
    lines = ["# Made from careedu/__init__.py: run tests/unit/test_public_names.py to make it anew.", ""]
    # As ruff sorts them: constants, as it takes LDAM for one, classes, functions.
    order = sorted((home, not name.isupper(), name) for name, home in homes.items())
    lines += [f"from {home} import {name} as {name}" for home, _, name in order]
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", ""])


def test_type_checkers_see_the_same_names():
    assert STUB.read_text(encoding="utf-8") == stub(), "run python tests/unit/test_public_names.py"


def test_what_type_checkers_read_names_each_public_name_once():
    named = [a.asname for node in ast.parse(stub()).body if isinstance(node, ast.ImportFrom) for a in node.names]
    assert sorted([*named, "__version__"]) == sorted(careedu.__all__)


def test_every_method_of_the_table_is_a_public_name():
    for module, class_name, _ in METHODS.values():
        assert careedu._HOME[class_name] == f"careedu.methods.{module}"
        assert class_name in careedu.__all__


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
