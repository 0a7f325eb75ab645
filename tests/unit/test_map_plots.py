"""Pictures of class maps show each network's maps, and say how much of them lies in the lesions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import careedu
from careedu.errors import InvalidInputError
from careedu.show.map_plots import plot_maps, plot_weight_maps


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


def test_weight_maps_tell_their_range_and_their_score():
    zone = np.zeros((8, 8), dtype=bool)
    zone[2:5, 2:5] = True
    picture = plot_weight_maps({"right": zone * 0.5 + 0.25, "flat": np.full((8, 8), 0.3)}, zone)
    assert picture.png.startswith(b"\x89PNG")
    assert "right, 0.25 to 0.75, AUROC 1.00" in picture.alt
    assert "flat, 0.30 to 0.30, AUROC 0.50" in picture.alt
    without = plot_weight_maps({"right": zone * 0.5 + 0.25})
    assert "AUROC" not in without.alt and without.png != picture.png


def test_weight_maps_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInputError, match="from 1 to 6 maps"):
        plot_weight_maps({})
    with pytest.raises(InvalidInputError, match=r"'a' \(4, 4\), 'b' \(5, 4\)"):
        plot_weight_maps({"a": np.zeros((4, 4)), "b": np.zeros((5, 4))})
    with pytest.raises(InvalidInputError, match="zone"):
        plot_weight_maps({"a": np.zeros((4, 4))}, np.ones((5, 5), dtype=bool))
