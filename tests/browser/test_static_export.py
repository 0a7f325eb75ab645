"""A notebook exported to HTML shows each widget as it was left, with its pictures, where no kernel runs."""

from __future__ import annotations

import nbformat
import pytest
from lab import KERNEL
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook
from test_every_widget_elsewhere import OPENERS, READY

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What each shows, in words that its pictures have.
SHOWN = {
    "imbalance": 'svg[aria-label^="Method B."]',
    "comparison": 'svg[aria-label^="Metrics of A"]',
    "microscope": ".careedu-side-B img",
    "spatial": '.careedu-panel:has-text("Principal components") img',
    "embedding": 'svg[aria-label^="Weights of the negatives under A"]',
    "distractor": ".careedu-frame .careedu-outline svg",
    "feature": 'svg[aria-label^="Plane of B"]',
    "planner": '[aria-label^="Smallest difference shown"]',
}
BROKEN = "images => images.filter((image) => !image.complete || image.naturalWidth === 0).length"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A page of all widgets; no state of widgets is in it, as JupyterLab saves none unless it is asked to."""
    folder = tmp_path_factory.mktemp("exported")
    cells = [new_code_cell(f"{cell.strip()}\n{READY.format(view=view)}", id=view) for view, cell in OPENERS.items()]
    cells.append(new_code_cell("planner.state.set(difference=0.17)\nplanner", id="moved"))
    notebook = new_notebook(cells=cells, metadata=KERNEL)
    NotebookClient(notebook, timeout=300, store_widget_state=False).execute(cwd=str(folder))
    nbformat.validate(notebook)
    text, _ = HTMLExporter().from_notebook_node(notebook)
    page = folder / "widgets.html"
    page.write_text(text, encoding="utf-8")
    print(f"{len(text) / 1e6:.1f} MB")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_widget_is_seen_without_kernel_and_network(exported, browser, theme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme, offline=True)
    try:
        page = context.new_page()
        page.goto(exported.as_uri())
        for view, picture in SHOWN.items():
            found = page.locator(picture)
            assert found.count() >= 1 and found.first.bounding_box()["width"] > 40, view
        pictures = page.locator(".jp-OutputArea-output img")
        assert pictures.count() > 30 and pictures.evaluate_all(BROKEN) == 0
        # Settings are said, also those that were moved since.
        settings = page.get_by_text("Difference sought:")
        assert [one.inner_text() for one in settings.all()] == ["Difference sought: 0.1", "Difference sought: 0.17"]
        assert page.locator(".jp-OutputArea-output script").count() == 0
    finally:
        context.close()
