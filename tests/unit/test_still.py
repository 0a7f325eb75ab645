"""What a widget shows where no kernel runs: its parts and settings as they are now, escaped, without a script."""

import re

import ipywidgets
import pytest
from ipywidgets import HBox, Layout, VBox

from careedu.show import plan_patients
from careedu.show.layered_picture import LayeredPicture, layer, panel
from careedu.show.still import still

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def body(widget):
    """What is shown, without the style sheet."""
    return re.sub(r"<style>.*?</style>", "", still(widget), flags=re.DOTALL)


def pictures(*layers, **options):
    found = LayeredPicture(size=[200, 100], **options)
    found.value = [panel("A", "<b>A</b>", 'what "it" shows', layers, "cap < tion", "<i>note</i>")]
    return found


def test_a_view_is_shown_with_its_widget_and_follows_it():
    view = plan_patients()
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "Rare test patients: <b>12</b>" in bundle["text/html"] and view.parts["curves"].value in bundle["text/html"]
    view.state.set(patients=50)
    assert "Rare test patients: <b>50</b>" in view._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("widget", "shown"),
    [
        (ipywidgets.HTML("<p>as it is</p>"), "<p>as it is</p>"),
        (ipywidgets.IntSlider(3, description="Seeds"), "Seeds: <b>3</b>"),
        (ipywidgets.IntSlider(0, description="Seeds"), "Seeds: <b>0</b>"),
        (ipywidgets.ToggleButtons(options=[("one & all", 1), ("b", 2)], description="Which"), "one &amp; all"),
        (ipywidgets.SelectionSlider(options=["<b>", "c"], description="A < B"), "A &lt; B: <b>&lt;b&gt;</b>"),
    ],
)
def test_parts_and_settings(widget, shown):
    assert shown in body(VBox([HBox([widget])]))


@pytest.mark.parametrize(
    "widget",
    [
        ipywidgets.IntSlider(3, description="Seeds", layout=Layout(display="none")),
        VBox([ipywidgets.HTML("inside")], layout=Layout(display="none")),
        ipywidgets.FloatProgress(0.5),
        LayeredPicture(),
    ],
)
def test_what_is_hidden_or_has_nothing_to_say(widget):
    assert re.sub(r"<div[^>]*>|</div>", "", body(VBox([widget]))).strip() == ""


def test_a_button_says_nothing_that_nobody_can_press():
    assert "Train" not in body(VBox([ipywidgets.Button(description="Train")]))


def test_layered_pictures():
    found = body(
        pictures(layer("image", PIXEL), layer("map", ""), layer("outline", "<svg></svg>"), layer("words", "<no>"))
    )
    assert f'<img class="careedu-image" alt="" src="{PIXEL}">' in found and found.count("<img") == 1
    assert '<div class="careedu-outline"><svg></svg></div>' in found
    assert '<div class="careedu-words">&lt;no&gt;</div>' in found
    assert "--careedu-width:200px;--careedu-height:100px" in found
    assert 'aria-label="what &#34;it&#34; shows"' in found and "cap &lt; tion" in found and "<i>note</i>" in found


def test_both_sides_of_a_wipe():
    found = body(pictures(layer("map", PIXEL, "A"), layer("map", PIXEL, "B")))
    for side in "AB":
        assert re.search(
            rf'careedu-side-{side}"><img class="careedu-map"[^>]*><b class="careedu-chip">{side}</b>', found
        )
