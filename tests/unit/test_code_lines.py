"""The house stays thin: its lines of code are counted, without blanks, comments and docstrings."""

import ast
import io
import tokenize
from collections import Counter

import pytest
from test_floors import FILES, PACKAGE

SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
# As the plan of the house counts them; what all floors stand on, errors and files, has a bound of its own.
FLOORS = {
    "engine": ("data", "nn", "training", "measure", "methods", "experiment"),
    "content": ("show", "course"),
    "ground": ("ground",),
    "checks": ("checks",),
}


def code_lines(source):
    """Number of lines that hold code; a string that stands alone, such as a docstring, is none."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for t in tokens if t.type not in SILENT for line in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


@pytest.fixture(scope="module")
def floors():
    counts = Counter()
    for path in FILES:
        parts = path.relative_to(PACKAGE).parts
        counts[parts[0] if len(parts) > 1 else "ground"] += code_lines(path.read_text(encoding="utf-8"))
    return counts


@pytest.mark.parametrize(("what", "most"), [("engine", 8_500), ("content", 8_000), ("ground", 220), ("checks", 700)])
def test_the_totals_stand(floors, what, most):
    assert floors.keys() == {floor for own in FLOORS.values() for floor in own}
    counted = {floor: n for floor, n in sorted(floors.items()) if floor in FLOORS[what]}
    total = sum(counted.values())
    print(f"{what}: {total:,} code lines of {most:,} ({', '.join(f'{f} {n:,}' for f, n in counted.items())})")
    assert total <= most
    assert min(counted.values()) > 100  # each floor was counted


def test_lines_are_counted_by_hand():
    source = '"""Module.\n\nMore.\n"""\n\n# why\nx = [\n    1,  # one\n\n    2,\n]\n\n\n'
    source += 'def f():\n    """Docs."""\n    return """a\nb"""\n'
    assert code_lines(source) == 4 + 1 + 2
