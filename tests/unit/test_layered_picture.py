"""Layered pictures without a screen: what is in the layers; what the page does with them is tested in a browser."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import careedu.show
from careedu.nn.maps import resize_map
from careedu.show import layered_picture
from careedu.show.layered_picture import LayeredPicture, layer, lesion_shape, map_layer, outline_path, panel
from careedu.show.style import cividis

SHOW = Path(careedu.show.__file__).parent


def test_the_script_and_the_styles_are_files_that_come_with_the_package():
    picture = LayeredPicture()
    assert (SHOW / "layered_picture.js").read_text(encoding="utf-8") == str(picture._esm)
    assert (SHOW / "layered_picture.css").read_text(encoding="utf-8") == str(picture._css)
    assert "export default { render }" in str(picture._esm)


@pytest.mark.parametrize("path", sorted(p for p in SHOW.rglob("*") if p.suffix in (".py", ".js")), ids=lambda p: p.name)
def test_no_mark_up_has_an_event_handler_or_a_script_in_it(path):
    """The page's own controls are elements of a script that is a file; what the kernel draws is drawing alone."""
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"""[\s"']on[a-z]+=\\?["'{]|<script|javascript:""", text)


def test_every_class_that_the_script_gives_has_a_style_or_is_a_place():
    script, styles = ((SHOW / f"layered_picture.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    for name in ("opacity", "outline", "wipe"):
        assert f"--careedu-{name}" in styles and f'"{name}"' in script
    for name in set(re.findall(r'"(careedu-[a-z]+)"', script)):
        assert f".{name}" in styles or name == "careedu-widget", name


def test_a_picture_holds_its_layers():
    shown = np.eye(4)
    made = panel("A", "<b>A</b>", "what it shows", [layer("words", "no image"), map_layer(shown, (8, 8), "A")], "below")
    assert [one["kind"] for one in made["layers"]] == ["words", "map"] and made["layers"][1]["side"] == "A"
    png = base64.b64decode(made["layers"][1]["content"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (8, 8)
    assert map_layer(None, (8, 8))["content"] == "", "nothing to show"
    picture = LayeredPicture()
    picture.value = [made]
    assert picture.get_state()["value"] == [made]


def test_a_box_is_dashed_and_an_unknown_lesion_is_not_drawn():
    assert lesion_shape(None, None, 8, 8) == lesion_shape(None, np.zeros((8, 8), bool), 8, 8) == ""
    assert "M1 2H3V4H1Z" in lesion_shape([1, 2, 3, 4], None, 8, 8)
    assert "stroke-dasharray" in lesion_shape([1, 2, 3, 4], None, 8, 8)
    assert "stroke-dasharray" not in lesion_shape([1, 2, 3, 4], np.eye(8, dtype=bool), 8, 8)


def squares(path):
    """Edges of unit length of an outline."""
    edges = set()
    for x, y, way, end in re.findall(r"M(\d+) (\d+)([HV])(\d+)", path):
        start = int(x) if way == "H" else int(y)
        for step in range(start, int(end)):
            edges.add((way, step, int(y)) if way == "H" else (way, int(x), step))
    return edges


@given(st.integers(0, 2**24 - 1))
def test_an_outline_is_the_edge_between_inside_and_outside(bits):
    mask = np.array([bits >> k & 1 for k in range(24)], dtype=bool).reshape(4, 6)
    expected = set()
    for y, x in np.argwhere(mask).tolist():
        for edge in (("H", x, y), ("H", x, y + 1), ("V", x, y), ("V", x + 1, y)):
            expected ^= {edge}
    assert squares(outline_path(mask)) == expected


def test_a_map_is_enlarged_as_torch_enlarges_it(monkeypatch):
    shown = []
    monkeypatch.setattr(layered_picture, "image_uri", lambda pixels: shown.append(pixels) or "")
    values = np.random.default_rng(0).random((5, 7))
    layered_picture.map_uri(values, (40, 56))
    whole = resize_map(torch.from_numpy(values).float()[None], (40, 56))[0].numpy()
    level = (whole * 255).round().astype(int)
    # A level more or less, where the two round another way.
    near = [cividis()[(level + d).clip(0, 255)] for d in (-1, 0, 1)]
    assert np.all([shown[0] == colours for colours in near], axis=3).any(axis=0).all()
