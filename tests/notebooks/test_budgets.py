"""What every notebook of the course keeps to, in the file itself; nbval runs them. And that the tests would notice."""

import ast
import copy
import re
import subprocess
import sys
from importlib import import_module

import pytest

from careedu.course.derive import KEPT, cleaned, derived, expected_texts, main, read, stated_seconds, tags, text_of
from careedu.data.shipped import shipped
from careedu.errors import InvalidInputError

FOLDER = shipped("notebooks")
PATHS = sorted([*FOLDER.glob("*.ipynb"), *(FOLDER / "solutions").glob("*.ipynb")])
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))
MOST_LINES, MOST_LINES_A_CELL = 150, 15
MOST_CHARACTERS = 106  # wider lines make a cell scroll sideways in JupyterLab, as the tests in the browser see
MOST_MODULES = 5


def name_of(path):
    return path.relative_to(FOLDER).as_posix()


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_lines(source):
    """Lines that are neither blank nor a comment."""
    return [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def markdown(notebook):
    return "\n\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def code(notebook):
    return "\n".join(cell["source"] for cell in code_cells(notebook))


# Each rule gives what is wrong with a notebook, one line each; an empty list where it is kept.


def few_lines(notebook):
    found = {cell["id"]: len(code_lines(cell["source"])) for cell in code_cells(notebook)}
    total = sum(found.values())
    return [f"{total} lines"] * (total > MOST_LINES) + [
        f"{cell}: {n} lines" for cell, n in found.items() if n > MOST_LINES_A_CELL
    ]


def narrow_lines(notebook):
    return [
        f"{cell['id']}: a line of {len(line)} characters"
        for cell in code_cells(notebook)
        for line in cell["source"].splitlines()
        if len(line) > MOST_CHARACTERS
    ]


def few_places(notebook):
    """The modules of careedu that names are imported from: `careedu`, its faces, and no more than there is need for."""
    modules = set()
    for node in ast.walk(ast.parse(code(notebook))):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
    ours = sorted(module for module in modules if module.split(".")[0] == "careedu")
    return [f"names from {len(ours)} modules: {', '.join(ours)}"] * (len(ours) > MOST_MODULES)


def readable_ids(notebook):
    ids = [cell.get("id", "") for cell in notebook["cells"]]
    wrong = [i for i in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", i) or re.fullmatch(r"[0-9a-f-]{8,}", i)]
    return [f"id {i!r}" for i in wrong] + [f"id {i!r} twice" for i in set(ids) if ids.count(i) > 1]


def no_outputs(notebook):
    return [
        f"{cell['id']}: output or execution count"
        for cell in code_cells(notebook)
        if cell["execution_count"] is not None or (cell["outputs"] and KEPT not in cell["source"])
    ]


def one_parameter_cell(notebook):
    tagged = [cell["id"] for cell in notebook["cells"] if "parameters" in tags(cell)]
    first = [cell["id"] for cell in code_cells(notebook)[:1]]
    return [] if tagged == first else [f"tagged 'parameters': {tagged}; first code cell: {first}"]


def aim_and_time(notebook):
    first = notebook["cells"][0]
    said = first["cell_type"] == "markdown" and "**Aim.**" in first["source"]
    timed = stated_seconds(notebook) is not None
    return ["no **Aim.** in the first cell"] * (not said) + ["no **Time.** in the course's words"] * (not timed)


def references(notebook):
    return [] if re.search(r"\*\*References?\.?\*\*|^#+ .*References?", markdown(notebook), re.M) else ["no references"]


def last_cell_asserts(notebook):
    last = code_cells(notebook)[-1]["source"]
    asserts = [ast.unparse(n.test) for n in ast.walk(ast.parse(last)) if isinstance(n, ast.Assert)]
    widgets = re.search(r"\.widget\(|Explorer\b|\bipywidgets\b", code(notebook))
    missing = widgets and not any("errors" in test for test in asserts)
    return ["the last code cell asserts nothing"] * (not asserts) + ["no assert on recorded errors"] * bool(missing)


def alt_texts(notebook):
    text = markdown(notebook)
    bare = re.findall(r"!\[\s*\]", text) + [
        tag for tag in re.findall(r"<img[^>]*>", text) if not re.search(r'alt="\s*[^"\s]', tag)
    ]
    return [f"no alt text: {found}" for found in bare]


def pictures_only(notebook):
    """Figures come as a careedu Picture or a widget, which have alt text; nothing else draws, and nothing is wiped."""
    wrong = []
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell["source"])):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                if {m.split(".")[0] for m in modules} & {"matplotlib", "seaborn", "pylab", "plotly", "PIL"}:
                    wrong.append(f"{cell['id']}: {ast.unparse(node)}")
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(
                r"(plt|pyplot|sns)\..*|.*\.(show|hist|boxplot|imshow)|.*clear_output|(IPython\.display\.)?Image", called
            ):
                wrong.append(f"{cell['id']}: {called}")
        wrong += [
            f"{cell['id']}: {line}" for line in code_lines(cell["source"]) if line.lstrip().startswith(("%", "!"))
        ]
    return wrong


def plain_kernel(notebook):
    return [] if notebook["metadata"]["kernelspec"]["name"] == "python3" else ["the kernel is not python3"]


def exercises_are_checked(notebook):
    """A cell that checks an answer has a stub: without the tag its solution would stay in the exercise notebook."""
    cells = [cell for cell in code_cells(notebook) if "exercise" in tags(cell)]
    unmarked = [
        cell["id"] for cell in code_cells(notebook) if re.search(r"\.check\(", cell["source"]) and cell not in cells
    ]
    return [f"{cell}: checks an answer and is not tagged 'exercise'" for cell in unmarked]


RULES = (
    few_lines,
    narrow_lines,
    few_places,
    readable_ids,
    no_outputs,
    one_parameter_cell,
    aim_and_time,
    references,
    last_cell_asserts,
    alt_texts,
    pictures_only,
    plain_kernel,
    exercises_are_checked,
)


@pytest.mark.parametrize("path", PATHS, ids=name_of)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_notebook_keeps_the_rule(rule, path):
    assert rule(read(path)) == []


def test_there_are_notebooks():
    assert FOLDER / "00_start_here.ipynb" in PATHS


def links(text):
    """Files of the course that a text links to."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


@pytest.mark.parametrize("path", [*PATHS, FOLDER / "GLOSSARY.md"], ids=name_of)
def test_every_link_leads_to_a_file(path):
    text = markdown(read(path)) if path.suffix == ".ipynb" else path.read_text("utf-8")
    targets = links(text)
    assert targets, "no way on from here"
    assert [t for t in targets if not (path.parent / t).exists()] == []


# One source


def test_the_notebooks_are_what_make_notebooks_would_write():
    stale = [name_of(p) for p, text in expected_texts(FOLDER).items() if not p.exists() or p.read_text("utf-8") != text]
    assert stale == [], "run `make notebooks`"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=name_of)
def test_a_notebook_with_exercises_has_its_solved_copy(path):
    asks = any("exercise" in tags(cell) for cell in read(path)["cells"])
    assert asks == (FOLDER / "solutions" / path.name).exists()


def unasserted(solved):
    """Whose exercises a solved notebook checks without asserting that all are solved: a wrong answer raises nothing."""
    asserts = [ast.unparse(node.test) for node in ast.walk(ast.parse(code(solved))) if isinstance(node, ast.Assert)]
    modules = sorted(set(re.findall(r"\b(\w+)\.exercise_\d+\.check\(", code(solved))))
    return [m for m in modules if f"all((exercise.solved for exercise in {m}.exercises))" not in asserts]


def unasked(path):
    """Exercises of a notebook's module that the solved notebook does not check, and checks of what it does not have."""
    asked = re.findall(r"\b(\w+)\.(exercise_\d+)\.check\(", code(read(path)))
    (module,) = {name for name, _ in asked}
    offered = import_module(f"careedu.course.exercises.{module}").exercises
    return {name for _, name in asked} ^ {f"exercise_{number}" for number in range(1, len(offered) + 1)}


@pytest.mark.parametrize("path", SOLUTIONS, ids=name_of)
def test_a_solved_copy_asks_every_exercise_of_its_module_under_its_number(path):
    assert unasked(path) == set()
    headings = re.findall(r"^### Exercise (\d+) ·", markdown(read(path)), re.M)
    assert headings == re.findall(r"\.exercise_(\d+)\.check\(", code(read(path)))


def test_a_solved_copy_asserts_that_every_exercise_is_solved(good):
    assert {name_of(path): unasserted(read(path)) for path in SOLUTIONS} == {name_of(path): [] for path in SOLUTIONS}
    assert unasserted(good) == []
    for spoilt in ("assert not state.errors", "all(exercise.solved for exercise in two.exercises)"):
        good["cells"][5]["source"] = spoilt
        assert unasserted(good) == ["two"]


def cell(kind, name, source, *tagged):
    made = {"cell_type": kind, "id": name, "metadata": {"tags": list(tagged)} if tagged else {}, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


EXERCISE = """\
# stub: def two():
# stub:     return ...
# solution
def two():
    return 2
# end of solution
two.exercise_1.check(two)"""


def good_text():
    """A small solved notebook that keeps every rule."""
    cells = [
        cell(
            "markdown",
            "title",
            "# 99\n\n**Aim.** See.\n\n**Time.** 1 minute to read, about 2 seconds to run on two cores.",
        ),
        cell("code", "parameters", 'DATA = "phantom-skin"', "parameters"),
        cell("code", "exercise-one", EXERCISE, "exercise"),
        cell("markdown", "references", "**References.** None. ![a cat](cat.png)"),
        cell("code", "widget", "state.widget()"),
        cell(
            "code",
            "checks",
            "assert not state.errors\n# solution\nassert all(exercise.solved for exercise in two.exercises)\n"
            "# end of solution",
            "exercise",
        ),
    ]
    return text_of(notebook_of(cells))


def notebook_of(cells):
    return cleaned({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def good(tmp_path_factory):
    return read_text(good_text(), tmp_path_factory.mktemp("good"))


def read_text(text, folder):
    """A notebook that has been through a file."""
    (folder / "good.ipynb").write_text(text, encoding="utf-8")
    return read(folder / "good.ipynb")


def test_the_exercise_notebook_has_the_stub_for_the_solution_and_the_same_ids(tmp_path, good):
    exercise = derived(good)
    assert [c["id"] for c in exercise["cells"]] == [c["id"] for c in good["cells"]]
    assert exercise["cells"][2]["source"] == "def two():\n    return ...\ntwo.exercise_1.check(two)"
    assert exercise["cells"][5]["source"] == "assert not state.errors"
    assert text_of(exercise) == text_of(derived(read_text(text_of(good), tmp_path)))


def test_a_link_to_a_file_one_folder_up_leads_there_from_the_exercise_notebook_too(good):
    good["cells"][3]["source"] += " [words](../GLOSSARY.md), [next](98_made_up.ipynb)"
    assert derived(good)["cells"][3]["source"].endswith(" [words](GLOSSARY.md), [next](98_made_up.ipynb)")


def test_making_the_notebooks_twice_changes_nothing(tmp_path, good):
    (tmp_path / "solutions").mkdir()
    solved = tmp_path / "solutions" / "99_made_up.ipynb"
    dirty = copy.deepcopy(good)
    dirty["metadata"]["language_info"]["version"] = "3.11.9"
    dirty["cells"][1]["execution_count"] = 7
    dirty["cells"][1]["metadata"]["collapsed"] = True
    solved.write_text(text_of(dirty), encoding="utf-8")
    assert main(tmp_path) == [solved, tmp_path / "99_made_up.ipynb"]
    assert solved.read_text("utf-8") == good_text()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.ipynb")}
    assert main(tmp_path) == []
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.ipynb")} == before


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "needs '# solution'"),
        ("# solution\nx = 1", "needs '# solution'"),
        ("x = 1\n# end of solution", "without '# solution'"),
        ("# stub: x = ...\nx = 1\n# solution\n# end of solution", "after a stub comes"),
        ("# solution\n# solution\n# end of solution", "inside a solution"),
    ],
)
def test_marks_that_do_not_match_are_an_error_that_names_the_cell(good, source, reason):
    good["cells"][2]["source"] = source
    with pytest.raises(InvalidInputError, match=rf"cell 'exercise-one'.*{reason}"):
        derived(good)


def test_a_solution_in_an_untagged_cell_would_be_given_away_and_is_an_error(good):
    good["cells"][2]["metadata"] = {}
    with pytest.raises(InvalidInputError, match="lacks the tag"):
        derived(good)


# Would the rules notice?


def change(index, **values):
    return lambda notebook: notebook["cells"][index].update(values)


LATE = "if DATA:\n    import careedu.d\n    from careedu.e import x"
BREAKS = [
    (narrow_lines, change(1, source="x = " + " + ".join(["1"] * 40))),
    (few_lines, change(1, source="\n".join(f"x{i} = {i}" for i in range(16)))),
    (few_lines, lambda n: n["cells"].extend(cell("code", f"more-{i}", "x = 1\n" * 15) for i in range(10))),
    (few_places, change(4, source="\n".join(f"from careedu.m{i} import x" for i in range(MOST_MODULES + 1)))),
    (few_places, change(4, source="import careedu.a, careedu.b, careedu.c\nfrom careedu import d, e, f\n" * 2 + LATE)),
    (readable_ids, change(1, id="3f9c1a2b")),
    (readable_ids, change(1, id="deadbeef")),
    (readable_ids, change(1, id="title")),
    (no_outputs, change(1, execution_count=1)),
    (no_outputs, change(1, outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}])),
    (one_parameter_cell, change(1, metadata={})),
    (one_parameter_cell, change(4, metadata={"tags": ["parameters"]})),
    (aim_and_time, change(0, source="**Time.** 1 minute to read, about 2 seconds to run on two cores.")),
    (aim_and_time, change(0, source="**Aim.** See. **Time.** About five minutes.")),
    (references, change(3, source="None.")),
    (last_cell_asserts, change(5, source="print(1)")),
    (last_cell_asserts, change(5, source="assert True")),
    (alt_texts, change(3, source="![](cat.png)")),
    (alt_texts, change(3, source='<img src="cat.png" alt="">')),
    (pictures_only, change(4, source="import matplotlib.pyplot as plt")),
    (pictures_only, change(4, source="from matplotlib import pyplot")),
    (pictures_only, change(4, source="figure.show()")),
    (pictures_only, change(4, source="display.clear_output()")),
    (plain_kernel, lambda n: n["metadata"]["kernelspec"].update(name="mine")),
    (exercises_are_checked, change(2, metadata={})),
]


def test_a_good_notebook_passes_every_rule(good):
    assert [rule(good) for rule in RULES] == [[]] * len(RULES)
    assert {rule for rule, _ in BREAKS} == set(RULES)


@pytest.mark.parametrize(("rule", "spoil"), BREAKS, ids=[f"{r.__name__}-{i}" for i, (r, _) in enumerate(BREAKS)])
def test_a_broken_notebook_is_noticed(good, rule, spoil):
    spoil(good)
    assert rule(good) != []


# The time that nbval measures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "passes", "beside"),
    [(60, True, ()), (0, False, ()), (0, False, ("--numprocesses", "2", "--dist", "loadfile"))],
)
def test_a_notebook_that_takes_longer_than_it_says_fails_the_run(tmp_path, stated, passes, beside):
    text = f"**Time.** 1 minute to read, about {stated} seconds to run on two cores."
    cells = [cell("markdown", "title", text), cell("code", "one", "assert True")]
    (tmp_path / "99.ipynb").write_text(text_of(notebook_of(cells)), encoding="utf-8")
    (tmp_path / "conftest.py").write_text((FOLDER / "conftest.py").read_text("utf-8"), encoding="utf-8")
    nbval = ["--nbval", "--nbval-kernel-name", "python3", "--rootdir", ".", ".", *beside]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *nbval], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode == 0) == passes, done.stdout
    assert f"stated {stated} s" in done.stdout
    assert ("TOO LONG" in done.stdout) != passes
    assert ("(limit 2 times)" in done.stdout) != passes
