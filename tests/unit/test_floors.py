"""The house: which part may know which, what importing costs, and that every public name is documented."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import networkx
import pytest

import careedu

PACKAGE = Path(careedu.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "shipped" not in p.relative_to(PACKAGE).parts)
# From the ground up.
FLOORS = ("errors", "files", "data", "nn", "measure", "training", "methods", "experiment", "checks", "show", "course")
LONGEST = 350
HEAVY = ("torch", "torchvision", "matplotlib", "seaborn", "sklearn", "scipy", "pandas", "ipywidgets", "IPython")
# What the top of the package holds itself; everything else that it offers lies on a floor.
TOP = ("CareeduError", "__version__")
# All that the measures may stand on.
MEASURING = {"numpy", "scipy", "sklearn", "lazy_loader"}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """What a file imports anywhere, in functions and for type checkers too: (module, name or None, line).

    Relative imports are made absolute; `import_module` counts.
    """
    here = module_name(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(module, alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            target = node.args[0]
            if isinstance(target, ast.JoinedStr):
                target = target.values[0]
            if isinstance(target, ast.Constant):
                found.append((target.value.rstrip("."), None, node.lineno))
    return found


def floor_of(module, name=None):
    """The floor of what is imported; None for what is not ours."""
    parts = module.split(".")
    if parts[0] != "careedu":
        return None
    if len(parts) > 1:
        return parts[1]
    return name if name in FLOORS else "top"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_each_floor_imports_only_from_those_below_and_from_itself(path):
    """Imports in functions and for type checkers included. The top of the package belongs to the highest floor."""
    floor = floor_of(module_name(path))
    if floor in ("top", "__main__"):
        floor = "course"
    above = [
        f"line {line}: {module}"
        for module, name, line in imports(path)
        if (other := floor_of(module, name)) is not None
        and (FLOORS.index("course") if other == "top" else FLOORS.index(other)) > FLOORS.index(floor)
    ]
    assert above == []


def test_every_file_lies_on_a_known_floor():
    assert {floor_of(name) for name in MODULES} - {"top", "__main__"} <= set(FLOORS)


def resolved(module, name):
    """The module file that an import runs last."""
    full = f"{module}.{name}" if name else module
    return full if full in MODULES else module if module in MODULES else None


def circles(modules, depth):
    """Groups of parts that import each other, from (importing, imported) names; the first `depth` words of a name."""
    parts = [tuple(".".join(name.split(".")[:depth]) for name in edge) for edge in modules]
    graph = networkx.DiGraph(edge for edge in parts if edge[0] != edge[1])
    return sorted(sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1)


# Floors, folders and files of a floor, files.
@pytest.mark.parametrize("depth", [2, 3, 99])
def test_nothing_imports_itself_in_a_circle(depth):
    edges = [
        (name, other)
        for name, path in MODULES.items()
        for module, what, _ in imports(path)
        if (other := resolved(module, what))
    ]
    found = circles(edges, depth)
    assert found == [], "\n".join(" ↔ ".join(group) for group in found)
    assert len(edges) > 300  # the graph is there


def test_a_circle_would_be_found():
    edges = [("a.show.care.x", "a.show.kit"), ("a.show.kit", "a.show.care.y"), ("a.top", "a.show.kit"), ("a.b", "a.b")]
    assert circles(edges, 99) == []
    assert circles(edges, 3) == [["a.show.care", "a.show.kit"]]
    assert circles([("a", "b"), ("b", "c"), ("c", "b"), ("d", "e"), ("e", "d")], 99) == [["b", "c"], ["d", "e"]]


def test_imports_are_seen_wherever_they_stand(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / "floor" / "module.py"
    path.parent.mkdir()
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from careedu.show import care\n"
        "class Late:\n"
        "    def method(self):\n"
        "        from . import sibling\n"
        "        return importlib.import_module(f'careedu.course.{name}')\n"
    )
    beside = f"{tmp_path.name}.floor"
    assert {found[:2] for found in imports(path)} == {
        ("typing", "TYPE_CHECKING"),
        ("careedu.show", "care"),
        (beside, "sibling"),
        ("careedu.course", None),
    }


def test_the_measures_stand_on_numpy_and_scipy_alone():
    """So that they can be lent to any training, and a saved result is judged without torch."""
    foreign = [
        f"{path.name}, line {line}: {module}"
        for path in FILES
        if floor_of(module_name(path)) == "measure"
        for module, _, line in imports(path)
        if module.split(".")[0] not in MEASURING | sys.stdlib_module_names
        and module != "careedu.errors"
        and not module.startswith("careedu.measure.")
    ]
    assert foreign == []
    measures = [name for name in MODULES if floor_of(name) == "measure"]
    loaded = fresh(f"import sys, {', '.join(measures)}; print(*sys.modules)").split()
    assert set(measures) <= set(loaded)
    assert not {"torch", "pandas", "matplotlib"} & set(loaded)


def test_every_module_can_be_imported_first():
    """Circles through a package's `__init__` show here: each module, alone in a fresh interpreter's table."""
    code = (
        "import importlib, sys\n"
        "import torch, pandas, scipy.stats\n"  # so that the loop below costs little
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'careedu']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code, *MODULES], check=True, timeout=400)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_file_is_a_drawer_for_everything_or_too_long(path):
    assert not re.search(r"util|helper|misc|common", path.stem)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_is_read_that_could_run_code(path):
    """No pickle of any kind, no `eval`, and `torch.load` only of plain weights."""
    modules = {module.split(".")[0] for module, _, _ in imports(path)}
    assert not modules & {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in ("eval", "exec", "joblib.load", "pandas.read_pickle"), node.lineno
            assert called != "torch.load" or options.get("weights_only") == "True", node.lineno
            assert options.get("allow_pickle", "False") == "False", node.lineno


def public_definitions(node, prefix=""):
    """Public functions, classes and methods with their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{prefix}{child.name}.")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_public_name_has_a_docstring(path):
    assert ast.get_docstring(tree(path)), "the module"
    bare = [name for name, node in public_definitions(tree(path)) if not ast.get_docstring(node)]
    assert bare == []


# What importing costs


def fresh(code):
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.alone
def test_importing_takes_less_than_three_tenths_of_a_second():
    code = "from time import perf_counter as t; start = t(); import careedu; print(t() - start)"
    assert min(float(fresh(code)) for _ in range(5)) < 0.3


def test_importing_loads_nothing_heavy():
    loaded = fresh("import careedu, sys; print(*sys.modules)").split()
    assert "careedu" in loaded
    assert not set(HEAVY) & set(loaded)


def test_looking_at_the_names_loads_nothing_heavy():
    loaded = fresh("import careedu, sys; dir(careedu); careedu.__all__; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_saved_results_open_without_what_takes_a_second_to_load():
    opened = "c = careedu.Comparison.load('01-phantom-skin'); c.first.confusion(); c.first.interval('rare recall')"
    loaded = fresh(f"import careedu, sys; {opened}; print(*sys.modules)").split()
    assert "pandas" in loaded
    assert not {"torch", "sklearn", "scipy.stats", "matplotlib"} & set(loaded)


def test_a_widget_is_drawn_before_torch_is_imported_for_its_images():
    watched = """
import sys
from careedu.show import feature_explorer
from careedu.show.feature_generation.view import FeatureView

draw, seen = FeatureView.draw, []
FeatureView.draw = lambda view: seen.append("torch" in sys.modules) or draw(view)
view = feature_explorer()
assert view.parts["planes"].value and view.state.task is not None
view.state.task.join()
assert view.state.images is not None and view.state.errors == [] and "torch" in sys.modules
again = feature_explorer(images=view.state.images)
print(seen[0], len(seen) > 1, again.state.images is not None)
"""
    assert fresh(watched).split() == ["False", "True", "True"]


def test_saved_runs_and_their_pictures_open_without_torch():
    loaded = fresh("import careedu.experiment.run, careedu.show.plots, sys; print(*sys.modules)").split()
    assert not {"torch", "torchvision", "ipywidgets", "seaborn"} & set(loaded)


# The public names


@pytest.mark.parametrize("name", [*careedu._HOME, *TOP])
def test_each_public_name_resolves_and_is_listed(name):
    assert getattr(careedu, name) is not None
    assert name in dir(careedu)
    assert name in careedu.__all__
    if name in careedu._HOME:
        value = getattr(careedu, name)
        assert careedu._HOME[name] in MODULES
        assert vars(careedu)[name] is value  # found at once the next time
        assert getattr(value, "__module__", careedu._HOME[name]) == careedu._HOME[name]


def test_nothing_is_listed_twice():
    assert len(set(dir(careedu))) == len(dir(careedu))
    assert len(set(careedu.__all__)) == len(careedu.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="no attribute 'CrossEntropie'"):
        _ = careedu.CrossEntropie
    assert not hasattr(careedu, "nonsense")
    with pytest.raises(ImportError):
        exec("from careedu import nonsense")


# The command line


SCRIPT = Path(sys.executable).parent / "careedu"


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_the_command_line_explains_itself_without_loading_anything_heavy(arguments):
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "careedu" in done.stdout
    code = (
        "import runpy, sys\n"
        f"sys.argv = {['careedu', *arguments]}\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('LOADED', *sys.modules)\n"
    )
    loaded = fresh(code).split("LOADED")[1].split()
    assert "careedu.course.cli" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_command_line_says_its_version():
    done = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"careedu {careedu.__version__}\n"


def test_the_package_runs_as_the_command_does():
    done = subprocess.run([sys.executable, "-m", "careedu", "list"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("data sets:"), done.stderr
    wrong = subprocess.run([sys.executable, "-m", "careedu", "fitt"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: careedu ")


def test_a_mistyped_command_is_an_error_that_shows_the_commands():
    done = subprocess.run([SCRIPT, "fitt"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "list" in done.stderr
    assert "Traceback" not in done.stderr
