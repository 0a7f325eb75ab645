"""What is installed: dependencies said once and alike, and a wheel that is whole without the clone."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import careedu
from careedu.data.shipped import shipped
from careedu.errors import MissingDataError

CLONE = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "jupyter-server": "jupyter_server",
}
# Where a package is imported by another name than it is installed by.
INSTALLED_AS = {
    "lazy_loader": "lazy-loader",
    "jupyter_server": "jupyter-server",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "imblearn": "imbalanced-learn",
    "yaml": "pyyaml",
    "pytorch_grad_cam": "grad-cam",
    "pytorch_lightning": "pytorch-lightning",
    "pytorch_metric_learning": "pytorch-metric-learning",
}


def split_requirement(requirement):
    """Name without extras, and bounds without spaces."""
    name, bounds = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", requirement).groups()
    return name.lower(), bounds.replace(" ", "")


DEPENDENCIES = dict(map(split_requirement, PROJECT["dependencies"]))
EXTRAS = {
    name: dict(map(split_requirement, requirements)) for name, requirements in PROJECT["optional-dependencies"].items()
}


# Said once and alike


def test_conda_gets_the_same_packages_with_the_same_bounds():
    listed = yaml.safe_load((CLONE / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = dict(map(split_requirement, listed))
    expected = {CONDA_NAMES.get(name, name): bounds for name, bounds in DEPENDENCIES.items()}
    assert conda.pop("pip") == ""
    assert conda.pop("python") == PROJECT["requires-python"].replace(" ", "")
    assert conda == expected


def test_each_dependency_has_a_lower_bound_and_no_upper_one():
    for name, bounds in DEPENDENCIES.items():
        assert re.fullmatch(r">=\d+(\.\d+)*", bounds), name


def test_the_declared_python_versions_are_those_of_the_classifiers_and_of_the_makefile():
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"].replace(" ", "")).groups()
    versions = {f"3.{minor}" for minor in range(int(low), int(high))}
    said = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if line.startswith("Programming Language :: Py")}
    assert said == versions
    assert f"(3, {low}) <= v < (3, {high})" in (CLONE / "Makefile").read_text(encoding="utf-8")


def test_the_version_is_said_alike():
    assert PROJECT["version"] == careedu.__version__


def imported_packages(folder):
    """Third-party packages that the files of a folder import, wherever in the file: name to first file."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and top != "careedu":
                    found.setdefault(INSTALLED_AS.get(top, top), path.relative_to(CLONE))
    return found


def test_every_package_that_careedu_imports_is_declared():
    declared = set(DEPENDENCIES).union(*(extra for name, extra in EXTRAS.items() if name != "test"))
    imported = imported_packages(CLONE / "careedu")
    assert {"torch", "numpy", "scikit-learn"} <= set(imported)
    assert {name: str(path) for name, path in imported.items() if name not in declared} == {}


def test_every_package_that_the_tests_import_is_declared():
    declared = set(DEPENDENCIES).union(*EXTRAS.values())
    neighbours = {path.stem for path in (CLONE / "tests").rglob("*.py")}
    imported = imported_packages(CLONE / "tests")
    assert "pytest" in imported
    assert {name: str(path) for name, path in imported.items() if name not in declared | neighbours} == {}


def test_an_extra_does_not_repeat_a_dependency_with_other_bounds():
    for extra in EXTRAS.values():
        assert all(DEPENDENCIES.get(name, bounds) == bounds for name, bounds in extra.items())


# The clone


def test_the_editable_install_finds_the_clones_package_notebooks_and_runs(tmp_path):
    """From another working directory, so that it is the installation that finds it."""
    code = (
        "import careedu, json; from careedu.data.shipped import shipped;"
        "print(json.dumps([careedu.__file__, str(shipped('notebooks')), str(shipped('runs'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [Path(path) for path in json.loads(done.stdout)]
    assert found == [CLONE / "careedu" / "__init__.py", CLONE / "notebooks", CLONE / "data" / "runs"]


def test_what_is_not_there_is_an_error_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr("careedu.data.shipped.__file__", str(tmp_path / "careedu" / "data" / "shipped.py"))
    with pytest.raises(MissingDataError, match="no notebooks; install it again"):
        shipped("notebooks")


# The wheel


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what git keeps, with a notebook and a run planted in it, and rubbish as it piles up beside them."""
    copy = tmp_path_factory.mktemp("source") / "careedu"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "Makefile", "environment.yml", ".gitignore"):
        shutil.copy(CLONE / name, copy / name)
    for name in ("careedu", "notebooks", "data/runs"):
        shutil.copytree(CLONE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in (
        "notebooks/99_planted.ipynb",
        "notebooks/solutions/99_planted.ipynb",
        "notebooks/.ipynb_checkpoints/99_planted-checkpoint.ipynb",
        "notebooks/solutions/__pycache__/planted.cpython-311.pyc",
        "data/runs/planted/run.json",
        "careedu/__pycache__/planted.cpython-311.pyc",
    ):
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return copy


def build(source, out, *options):
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build(source, tmp_path_factory.mktemp("dist"), "--wheel")


def files_below(folder):
    """Relative names of what belongs into a wheel."""
    return {
        str(path.relative_to(folder).as_posix())
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }


@pytest.mark.slow
def test_the_wheel_holds_package_notebooks_runs_and_licence_and_nothing_else(wheel, source):
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = f"careedu-{careedu.__version__}.dist-info"
    assert {n for n in names if n.startswith(f"{metadata}/licenses/")} == {f"{metadata}/licenses/LICENSE"}
    expected = {f"careedu/{name}" for name in files_below(source / "careedu")}
    expected |= {f"careedu/shipped/notebooks/{name}" for name in files_below(source / "notebooks")}
    expected |= {f"careedu/shipped/runs/{name}" for name in files_below(source / "data" / "runs")}
    assert {n for n in names if not n.startswith(f"{metadata}/")} == expected
    text = zipfile.ZipFile(wheel).read(f"{metadata}/METADATA").decode()
    assert "License-Expression: BSD-3-Clause" in text
    assert f"Requires-Python: {','.join(sorted(PROJECT['requires-python'].split(',')))}" in text


@pytest.mark.slow
def test_a_wheel_by_way_of_the_source_archive_is_the_same(wheel, source, tmp_path):
    names = zipfile.ZipFile(build(source, tmp_path)).namelist()
    assert set(names) == set(zipfile.ZipFile(wheel).namelist())


def call(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel, and with the dependencies of the present one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    binaries = folder / Path(sysconfig.get_path("scripts")).name
    pip = (sys.executable, "-m", "pip", "--python", binaries / "python")
    call(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder.parent)
    [site] = folder.glob("**/site-packages")
    # A path from a .pth file comes after the environment's own, and its .pth files (the clone's!) are not followed.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


@pytest.mark.slow
def test_the_installed_wheel_works_from_anywhere_without_the_clone(installed, source, tmp_path):
    code = (
        "import careedu, json, sys; from careedu.data.shipped import shipped;"
        "print(json.dumps([careedu.__file__, str(shipped('notebooks')), str(shipped('runs')), sys.path]))"
    )
    package, notebooks, runs, path = json.loads(call(installed / "python", "-c", code, cwd=tmp_path))
    package = Path(package).parent
    assert installed.parent in package.parents
    assert str(CLONE) not in path
    assert Path(notebooks) == package / "shipped" / "notebooks"
    assert Path(runs) == package / "shipped" / "runs"
    for found, original in ((notebooks, source / "notebooks"), (runs, source / "data" / "runs")):
        assert files_below(Path(found)) == files_below(original)
        for name in files_below(original):
            assert (Path(found) / name).read_bytes() == (original / name).read_bytes()


@pytest.mark.slow
def test_the_installed_command_tells_version_and_what_there_is(installed, tmp_path):
    assert call(installed / "careedu", "--version", cwd=tmp_path) == f"careedu {careedu.__version__}\n"
    listing = call(installed / "careedu", "list", cwd=tmp_path)
    for name in ("phantom-skin", "cross-entropy", "small"):
        assert name in listing
    assert list(tmp_path.iterdir()) == []
