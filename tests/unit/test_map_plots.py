"""Pictures of class maps show each network's maps, and say how much of them lies in the lesions."""

from __future__ import annotations

import pytest
import torch

import careedu
from careedu.errors import InvalidInputError
from careedu.show.map_plots import plot_maps


@pytest.fixture(scope="module")
def images():
    return careedu.load("phantom-skin", size=32, largest=20, val=3, test=3).test[torch.arange(4)]


def test_the_words_say_how_much_lies_in_the_lesions(images):
    inside = images.masks.float()
    half = (0.5 * inside / inside.sum() + 0.5 * (1 - inside) / (1 - inside).sum()).float()
    picture = plot_maps(images, {"all of it": inside, "none": 1 - inside, "half": half})
    assert picture.png.startswith(b"\x89PNG")
    for words in ("all of it: 100% of the maps' mass", "none: 0% of", "half: 50% of"):
        assert words in picture.alt
    assert ", ".join(images.classes[c] for c in images.labels.tolist()) in picture.alt


def test_other_maps_are_another_picture_and_the_same_maps_the_same(images):
    inside = images.masks.float()
    first = plot_maps(images, {"network": inside})
    assert plot_maps(images, {"network": inside}).png == first.png
    assert plot_maps(images, {"network": inside.flip(2)}).png != first.png
    assert plot_maps(images, {"another": inside}).png != first.png


def test_a_map_without_mass_is_shown_all_the_same(images):
    assert "flat: 0% of" in plot_maps(images, {"flat": torch.zeros(4, 32, 32)}).alt


def test_what_cannot_be_shown_is_refused_by_name(images):
    maps = torch.rand(4, 32, 32)
    with pytest.raises(InvalidInputError, match="from 1 to 12 images"):
        plot_maps(images, {})
    with pytest.raises(InvalidInputError, match="from 1 to 12 images"):
        plot_maps(careedu.load("phantom-skin", size=32, largest=20, val=3, test=5).test, {"network": maps})
    with pytest.raises(InvalidInputError, match=r"the maps of 'small' must be \(4, 32, 32\), not \(4, 16, 16\)"):
        plot_maps(images, {"network": maps, "small": maps[:, ::2, ::2]})
