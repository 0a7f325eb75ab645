"""The layered pictures' own script in a real JupyterLab: its controls, what it redraws, and what it leaves alone."""

from __future__ import annotations

import pytest
from notebook_page import changed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A grey image, black evidence on the left for A and white on the right for B, and an outline; a slider of ipywidgets.
CELL = """
import ipywidgets
import numpy as np
from careedu.show.layered_picture import LayeredPicture, image_uri, layer, lesion_shape, map_layer, panel
from careedu.show.view import ROOT

grey = layer("image", image_uri(np.full((16, 16), 128, np.uint8)))
outline = layer("outline", lesion_shape([4, 4, 12, 12], None, 16, 16))

def pictures(a, b):
    maps = {"A": np.full((4, 4), a), "B": None if b is None else np.full((4, 4), b)}
    both = [map_layer(shown, (16, 16), side) for side, shown in maps.items()]
    alone = panel("A", "<b>A</b>", f"map A, {a}", [grey, map_layer(maps["A"], (16, 16)), outline], "5 < 6", "<i>n</i>")
    return [alone, panel("wipe", "<b>A | B</b>", f"A, {a}, beside B, {b}", [grey, *both, outline])]

picture = LayeredPicture(value=pictures(0.0, 1.0), size=[128, 128], outlined="the lesion")
box = ipywidgets.VBox([ipywidgets.IntSlider(description="Epoch"), picture])
box.add_class(ROOT)
box
"""
A, WIPE = '[data-panel="A"]', '[data-panel="wipe"]'


@pytest.fixture
def page(open_cells):
    return open_cells(CELL)


def css(page, selector, name):
    return page.page.locator(selector).first.evaluate("(e, name) => getComputedStyle(e).getPropertyValue(name)", name)


def test_the_looks_are_the_pages_own(page):
    asked = page.sent()
    before = {name: page.pixels(name) for name in (A, WIPE)}
    opacity = page.control("Map opacity").focus().press(*["ArrowRight"] * 10)
    assert opacity.value() == 100 and opacity.handle.get_attribute("aria-valuetext") == "100 %"
    assert css(page, f"{A} .careedu-map", "opacity") == "1"
    assert all(changed(before[name], page.pixels(name)).any() for name in (A, WIPE)), "one slider for all pictures"

    # At full opacity only the maps are seen: dark blue is A's, yellow B's.
    page.control("Outline the lesion").focus().press("Space")
    assert css(page, f"{A} .careedu-outline", "opacity") == "0"
    wiped = page.pixels(WIPE)
    left, right = wiped[100, 30], wiped[100, 98]
    assert left[0] < 50 and right[0] > 200
    page.control("Wipe between A and B").focus().press("End")
    assert (page.pixels(WIPE)[100, 30:98] == left).all(), "the whole is A's"
    page.control("Wipe between A and B").press("Home")
    assert (page.pixels(WIPE)[100, 30:98] == right).all(), "the whole is B's"
    assert page.sent() == asked, "the kernel was asked nothing"


def test_what_the_kernel_redraws_keeps_elements_and_looks(page):
    page.control("Map opacity").focus().press("Home")
    page.control("Wipe between A and B").focus().press("ArrowLeft", "ArrowLeft")
    page.page.evaluate(f"document.querySelector('{A} img.careedu-map').marked = true")
    source = page.page.locator(f"{A} img.careedu-map").get_attribute("src")
    page.run_in_kernel("picture.value = pictures(0.5, None)")
    page.page.wait_for_selector('[aria-label="map A, 0.5"]')
    # The same element with another source: the browser shows the old picture until the new one is there.
    assert page.page.evaluate(f"document.querySelector('{A} img.careedu-map').marked")
    assert page.page.locator(f"{A} img.careedu-map").get_attribute("src") != source
    assert page.page.locator(f"{WIPE} .careedu-side-B img").is_hidden(), "there is no map B"
    assert (page.control("Map opacity").value(), page.control("Wipe between A and B").value()) == (0, 40)
    assert css(page, f"{A} .careedu-map", "opacity") == "0"
    page.control("Outline the lesion").focus().press("Space")
    page.run_in_kernel("picture.outlined = 'the mark'")
    assert page.control("Outline the mark").value() is False, "another name, and the looks stay"
    page.run_in_kernel("picture.value = [panel('B', 'B', 'no image', [layer('words', '<b>on its way')])]")
    page.page.wait_for_selector('[data-panel="B"]')
    assert page.page.locator(A).count() == 0 and page.page.get_by_text("<b>on its way").count() == 1
    assert page.page.get_by_label("Wipe between A and B").count() == 0, "nothing to be wiped"


def test_words_are_words_and_controls_have_names(page):
    page.assert_all_controls_have_names()
    page.assert_all_pictures_have_alt_text()
    assert page.page.locator(f"{A} + .careedu-caption").inner_text() == "5 < 6"
    assert page.page.locator(".careedu-notes i").inner_text() == "n", "notes are marked up"
    epoch = page.page.locator(".noUi-handle")
    assert epoch.get_attribute("aria-label") == "Epoch"
    # A slider that comes later gets its name too.
    page.run_in_kernel("box.children = (*box.children, ipywidgets.IntSlider(description='Picture'))")
    page.page.wait_for_selector('.noUi-handle[aria-label="Picture"]')
    handlers = "e => e.getAttributeNames().filter(name => name.startsWith('on'))"
    elements = page.page.locator(".careedu-widget, .careedu-widget *").element_handles()
    assert len(elements) > 20 and not any(element.evaluate(handlers) for element in elements)
