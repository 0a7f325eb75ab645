"""Make the exercise notebooks from the solved ones: one source, so that the two cannot drift apart.

The source is `notebooks/solutions/NN_name.ipynb`. In its cells tagged "exercise", what stands between two marks is the
solution, and the exercise notebook has the stub in its place::

    # stub: def weights(counts, beta):
    # stub:     return ...
    # solution
    def weights(counts, beta):
        inverse = [(1 - beta) / (1 - beta**n) for n in counts]
        return [len(counts) * w / sum(inverse) for w in inverse]
    # end of solution
    exercise_1.check(weights)

A link of the text to a file one folder up, as ``](../GLOSSARY.md)``, leads from the exercise notebook to the same file.

Without a stub the lines between the marks are left out. A notebook without exercises lies in `notebooks/` alone.
``python -m careedu.course.derive`` (or ``make notebooks``) cleans all of them (no outputs, nothing of one machine or
one editor) and derives; run twice it changes nothing.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from careedu.data.shipped import shipped
from careedu.errors import InvalidInputError
from careedu.files import write_bytes

Notebook = dict[str, Any]

KEPT = "# NBVAL_CHECK_OUTPUT"
"""In a cell whose output is kept in git, since nbval compares it."""

_STUB, _BEGIN, _END = "# stub: ", "# solution", "# end of solution"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_TIME = re.compile(r"\*\*Time\.\*\* (\d+) minutes? to read, about (\d+) (seconds?|minutes?) to run on two cores\.")


def tags(cell: Notebook) -> list[str]:
    """The tags of a cell."""
    return list(cell["metadata"].get("tags", []))


def stated_seconds(notebook: Notebook) -> int | None:
    """How long a notebook says that it runs; None if it does not say so in the words of the course.

    They are: ``**Time.** 5 minutes to read, about 45 seconds to run on two cores.``
    """
    found = _TIME.search(notebook["cells"][0]["source"]) if notebook["cells"] else None
    return int(found[2]) * (60 if found[3].startswith("minute") else 1) if found else None


def read(path: Path) -> Notebook:
    """Read a notebook; each cell's source is one string."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])  # a string in the file, or a list of lines
    return notebook


def text_of(notebook: Notebook) -> str:
    """The text of a notebook's file, as JupyterLab would write it: the same for the same notebook, always."""
    cells = [cell | {"source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    return json.dumps(notebook | {"cells": cells}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def cleaned(notebook: Notebook) -> Notebook:
    """A copy without outputs and without what a machine or an editor has left in the metadata."""
    clean = copy.deepcopy(notebook)
    clean["metadata"] = copy.deepcopy(_METADATA)
    clean["nbformat"], clean["nbformat_minor"] = 4, 5
    for cell in clean["cells"]:
        cell["metadata"] = {"tags": tags(cell)} if tags(cell) else {}
        cell["source"] = cell["source"].rstrip()
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            cell["outputs"] = cell["outputs"] if KEPT in cell["source"] else []
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = None
    return clean


def without_solution(source: str) -> str:
    """Source of an exercise cell with the stub in place of the solution.

    Raises
    ------
    InvalidInputError
        If the marks do not match: no solution, one without an end, a stub without a solution.
    """
    kept: list[str] = []
    stub: list[str] = []
    solutions, inside = 0, False
    for number, line in enumerate(source.split("\n"), start=1):
        mark, indent = line.strip(), line[: len(line) - len(line.lstrip())]
        if inside and mark == _END:
            inside = False
        elif inside:
            if mark == _BEGIN or mark.startswith(_STUB):
                raise InvalidInputError(f"line {number}: {mark!r} inside a solution; end it first with {_END!r}")
        elif mark.startswith(_STUB):
            stub.append(indent + mark[len(_STUB) :])
        elif mark == _BEGIN:
            kept, stub, solutions, inside = kept + stub, [], solutions + 1, True
        elif mark == _END:
            raise InvalidInputError(f"line {number}: {_END!r} without {_BEGIN!r} before it")
        elif stub:
            raise InvalidInputError(f"line {number}: after a stub comes {_BEGIN!r}, not {mark!r}")
        else:
            kept.append(line)
    if inside or stub or not solutions:
        raise InvalidInputError(f"an exercise cell needs {_BEGIN!r} and, after it, {_END!r}")
    return "\n".join(kept).strip("\n")


def derived(solved: Notebook) -> Notebook:
    """The exercise notebook of a solved one.

    Raises
    ------
    InvalidInputError
        If an exercise cell lacks its marks, another cell has some, or there is no exercise.
    """
    exercise, count = cleaned(solved), 0
    for cell in exercise["cells"]:
        lines = [line.strip() for line in cell["source"].split("\n")]
        if "exercise" in tags(cell) and cell["cell_type"] == "code":
            try:
                cell["source"] = without_solution(cell["source"])
            except InvalidInputError as error:
                raise InvalidInputError(f"cell {cell['id']!r}, {error}") from error
            cell["outputs"] = []  # those of the solution
            count += 1
        elif cell["cell_type"] == "code" and (_BEGIN in lines or any(line.startswith(_STUB) for line in lines)):
            raise InvalidInputError(f"cell {cell['id']!r} has a solution and lacks the tag 'exercise'")
        elif cell["cell_type"] == "markdown":
            cell["source"] = cell["source"].replace("](../", "](")
    if not count:
        raise InvalidInputError("no cell is tagged 'exercise'; a notebook without any lies outside of solutions/")
    return exercise


def expected_texts(folder: Path) -> dict[Path, str]:
    """What each notebook's file in a folder, and in its `solutions`, should hold."""
    texts = {path: text_of(cleaned(read(path))) for path in sorted(folder.glob("*.ipynb"))}
    for path in sorted((folder / "solutions").glob("*.ipynb")):
        solved = read(path)
        texts[path] = text_of(cleaned(solved))
        try:
            texts[folder / path.name] = text_of(derived(solved))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
    return texts


def main(folder: Path | None = None) -> list[Path]:
    """Write every notebook whose file is not as it should be, and say which.

    Parameters
    ----------
    folder : Path, optional
        Where the notebooks lie; by default those of this clone.

    Returns
    -------
    list of Path
        The files that were written.
    """
    texts = expected_texts(shipped("notebooks") if folder is None else folder)
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_bytes(path, texts[path].encode())
        print(f"written: {path}")
    return changed


if __name__ == "__main__":
    main()
