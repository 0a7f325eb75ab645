"""Every widget of the course where it is not at home: in a narrow window, and in Notebook 7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab import KERNEL, Lab
from nbformat.v4 import new_code_cell, new_notebook
from notebook_page import ARTEFACTS, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPENERS = {
    "imbalance": """
import careedu
from careedu.show.imbalance import ImbalanceExplorer, ImbalanceView

data = careedu.load("phantom-skin", imbalance=10, largest=60, test=12, val=6)
run = careedu.fit(data, "cross-entropy", epochs=2, progress=False)
imbalance = ImbalanceView(ImbalanceExplorer(run, careedu.load("phantom-skin", largest=60, test=12, val=6)))
""",
    "comparison": 'comparison = careedu.Comparison.load("01-phantom-skin").widget("cross-entropy", "logit adjustment")',
    "microscope": """
from careedu.show import AttentionMicroscope, AttentionView

dose = careedu.Comparison.load("02-dose-marked")
microscope = AttentionView(AttentionMicroscope(dose, "logit adjustment", "dose 4"))
""",
    "spatial": """
from careedu.show import SpatialExplorer, SpatialView

spatial = SpatialView(SpatialExplorer(careedu.Comparison.load("03-phantom-chest")))
""",
    "embedding": "from careedu.show import embedding_explorer\n\nembedding = embedding_explorer()",
    "distractor": "from careedu.show import distractor_viewer\n\ndistractor = distractor_viewer()",
    "feature": "from careedu.show import feature_explorer\n\nfeature = feature_explorer()",
    "planner": "from careedu.show import plan_patients\n\nplanner = plan_patients()",
}
HALVES = list(OPENERS)[:4], list(OPENERS)[4:]  # in a narrow window all of them are higher than Chromium paints
READY = "if {view}.state.task is not None:\n    {view}.state.task.join()\n{view}"
# View, label, which of that label in its notebook, keys, setting that must follow, picture that must change.
MOVES = [
    ("imbalance", "Imbalance ratio", 0, ("ArrowLeft",), "imbalance", 'svg[aria-label^="Method A"]'),
    ("comparison", "Metric", 0, ("Tab", "Space"), "metric", 'svg[aria-label^="Seed by seed"]'),
    ("microscope", "Epoch", 1, ("ArrowLeft",), "epoch", '[data-panel="A"]'),
    ("spatial", "Epoch", 2, ("ArrowLeft",), "epoch", '[data-panel="principal-components"]'),
    ("embedding", "Temperature", 0, ("ArrowRight",), "temperature", 'svg[aria-label^="Weights of the negatives"]'),
    ("distractor", "Margin", 0, ("ArrowRight",), "margin", 'svg[aria-label^="Distance to the distractor"]'),
    ("feature", "Amount", 0, ("ArrowLeft",), "amount", 'svg[aria-label^="Recall by amount"]'),
    ("planner", "Difference sought", 0, ("ArrowRight",), "difference", '[aria-label^="Smallest difference shown"]'),
]


@pytest.fixture(scope="module")
def notebook_7(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server of Notebook 7."""
    server = Lab(tmp_path_factory.mktemp("notebook-7"), app="notebook")
    yield server
    server.stop()


@pytest.mark.parametrize("views", HALVES, ids="-".join)
@pytest.mark.parametrize(("app", "width"), [("lab", 900), ("notebook", 1280), ("notebook", 900)])
def test_every_widget_looks_right_and_answers(app, width, views, request, browser, tmp_path):
    server = request.getfixturevalue("lab" if app == "lab" else "notebook_7")
    notebook = tmp_path / f"{views[0]}-in-{app}-{width}.ipynb"
    cells = {view: f"{OPENERS[view].strip()}\n{READY.format(view=view)}" for view in views}
    made = [new_code_cell(cell, id=view) for view, cell in cells.items()]
    nbformat.write(new_notebook(cells=made, metadata=KERNEL), notebook)
    page = NotebookPage(server, browser, notebook, ARTEFACTS, width)
    try:
        page.run_all(timeout=400)
        print(f"the cells ran in {page.seconds:.1f} s")
        page.assert_looks_right(f"{views[0]}-in-{app}-{width}", code=False)
        for view, label, which, keys, setting, picture in MOVES:
            if view not in views:
                continue
            number = views.index(view) + 1
            there = f".jp-Cell:nth-child({number}) {picture}"
            page.move(label, keys, there, f"{view}.state.settings[{setting!r}]", which)
        page.assert_nothing_clipped()
        page.assert_no_errors()
    finally:
        page.close()
