"""A constant is bound once: a second binding changes, in silence, what functions above it read."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("careedu", "tests") for path in (ROOT / folder).rglob("*.py"))


def bound_twice(source):
    """Constants (NAMES_LIKE_THIS) that a module's top level binds more than once; `|=` and `+=` only add to one."""
    bound = Counter()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AugAssign):
            continue
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        names = [n for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)]
        bound.update({n.id for n in names if n.id.isupper() and isinstance(n.ctx, ast.Store)})
    return sorted(name for name, times in bound.items() if times > 1)


def test_a_second_binding_is_found_in_every_form():
    assert bound_twice("A = 1\nB, C = 2, 3\nD: int = 4\nfor E in (1, 2): pass\n") == []
    for again in ("A = 2", "B, A = 1, 2", "A: int = 3", "for A in (1, 2): pass"):
        assert bound_twice(f"A = 1\n{again}\n") == ["A"], again


def test_no_constant_is_bound_twice():
    assert len(FILES) > 200
    assert {str(path): names for path in FILES if (names := bound_twice(path.read_text("utf-8")))} == {}


@pytest.mark.parametrize("source", ["x = 1\nx = 2\n", "def f():\n    A = 1\n    A = 2\n", "A = {1}\nA |= {2}\n"])
def test_what_is_no_second_binding(source):
    assert bound_twice(source) == []
