"""Packages that offer names without loading them: cheap, whole, the same for type checkers, and no way round within."""

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import careedu

CLONE = Path(__file__).resolve().parents[2]
PACKAGE = Path(careedu.__file__).parent
HEAVY = {
    "torch",
    "torchvision",
    "matplotlib",
    "seaborn",
    "sklearn",
    "scipy",
    "pandas",
    "ipywidgets",
    "IPython",
    "jinja2",
}
FACES = ["careedu.show", "careedu.measure", "careedu.methods", "careedu.training", "careedu.course.exercises"]


def declared(face):
    """Name to the module that it lives in (or is), as the stub of a face tells type checkers."""
    stub = PACKAGE.parent.joinpath(*face.split("."), "__init__.pyi")
    body = ast.parse(stub.read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.ImportFrom) and node.level == 1 for node in body)
    pairs = [(alias, f"{face}.{node.module or alias.name}") for node in body for alias in node.names]
    # Type checkers take a name in a stub for offered only where it is imported `as` itself.
    assert all(alias.asname == alias.name for alias, _ in pairs)
    found = {alias.name: module for alias, module in pairs}
    assert len(found) == len(pairs)
    return found


NAMES = [(face, name) for face in FACES for name in declared(face)]


@pytest.mark.parametrize(("face", "name"), NAMES)
def test_each_name_that_type_checkers_see_is_there(face, name):
    package = import_module(face)
    home = import_module(declared(face)[name])
    assert getattr(package, name) is getattr(home, name, home)
    assert name in dir(package)
    assert name in package.__all__


@pytest.mark.parametrize("face", FACES)
def test_a_face_offers_no_more_than_type_checkers_see(face):
    assert set(import_module(face).__all__) == set(declared(face))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = import_module(face).nonsense


@pytest.mark.parametrize("face", FACES)
def test_a_face_loads_nothing_heavy_until_a_name_is_used(face):
    code = f"import sys, {face}; dir({face}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert face in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())


def test_whatever_a_widgets_folder_offers_is_offered_by_show():
    folders = [path.parent for path in (PACKAGE / "show").glob("*/__init__.py") if path.parent.name != "report"]
    assert len(folders) >= 4
    for folder in folders:
        module = f"careedu.show.{folder.name}"
        assert {name for name, home in declared("careedu.show").items() if home == module} >= set(
            import_module(module).__all__
        )


def test_every_picture_is_offered_by_show():
    pictures = {
        node.name
        for path in (PACKAGE / "show").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_")
    }
    assert len(pictures) >= 10
    assert pictures <= set(declared("careedu.show"))


def test_every_name_that_a_notebook_takes_from_show_is_offered_by_it():
    taken = set()
    for path in (CLONE / "notebooks").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            lines = "".join(cell["source"]) if cell["cell_type"] == "code" else ""
            for node in ast.walk(ast.parse(re.sub(r"^\s*[%!].*$", "pass", lines, flags=re.MULTILINE))):
                if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("careedu.show."):
                    taken |= {alias.name for alias in node.names}
    assert {"plot_images", "recorded_errors", "ImbalanceView"} <= taken
    assert taken <= set(declared("careedu.show"))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_within_the_package_goes_through_a_face(path):
    """A face knows all that stands behind it: whoever imports a name through it closes a circle."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in FACES:
            offered = {name for name, home in declared(node.module).items() if home != f"{node.module}.{name}"}
            assert not {alias.name for alias in node.names} & offered, node.lineno
