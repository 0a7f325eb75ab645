"""Fixtures of the browser tests: `open_notebook` is all that a test needs."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from lab import CHROMIUM_ARGUMENTS, KERNEL, Lab, find_chromium
from nbformat.v4 import new_code_cell, new_notebook
from notebook_page import ARTEFACTS, NotebookPage

REPOSITORY = Path(__file__).parents[2]
# Both files are called conftest, so that of the folder above cannot be imported by its name.
require = runpy.run_path(str(REPOSITORY / "tests" / "conftest.py"))["require"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Keep each test's outcome, for the fixtures that photograph a failure."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The installed Chromium."""
    found = find_chromium()
    require(found, "Chromium: install it, for example with apt-get install chromium")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def lab(chromium: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One JupyterLab server for all browser tests; its log is kept where a test has failed."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()
    if request.session.testsfailed:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(server.log, ARTEFACTS / "jupyterlab.log")


# Not for the whole session: while Playwright runs, its event loop would stand in the way of other tests' own.
@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[object]:
    """One Chromium for the tests of a file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def open_notebook(lab: Lab, browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., NotebookPage]]:
    """Open a notebook and run it: ``page = open_notebook("00_start_here.ipynb")``.

    A name is one in notebooks/, a path is taken as it is. ``run=False`` opens it only; ``timeout`` is the seconds that
    all cells may take. At the end of the test no error may have come up that no assertion has told of.
    """
    pages: list[NotebookPage] = []

    def opened(notebook: str | Path, *, run: bool = True, timeout: float = 300.0) -> NotebookPage:
        path = notebook if isinstance(notebook, Path) else REPOSITORY / "notebooks" / notebook
        page = NotebookPage(lab, browser, path, ARTEFACTS)
        pages.append(page)
        return page.run_all(timeout) if run else page

    try:
        yield opened
        failed = request.node.stash.get(FAILED, False)
        for number, page in enumerate(page for page in pages if not page.closed):
            if failed:
                page.screenshot(f"failed-{request.node.name}-{number}")
            elif not page.told:
                page.assert_no_errors()
    finally:
        for page in pages:
            page.close()


@pytest.fixture
def open_cells(open_notebook: Callable[..., NotebookPage], tmp_path: Path) -> Callable[..., NotebookPage]:
    """Open a notebook of the code cells that are given and run it: ``page = open_cells("1 + 1", timeout=60)``."""

    def opened(*cells: str, **options: float) -> NotebookPage:
        made = [new_code_cell(cell.strip(), id=f"cell-{number}") for number, cell in enumerate(cells)]
        nbformat.write(new_notebook(cells=made, metadata=KERNEL), tmp_path / "made.ipynb")
        return open_notebook(tmp_path / "made.ipynb", **options)

    return opened
