"""Pictures of maps that are the same for all images tell each map's range and how well it tells the zone."""

from __future__ import annotations

import numpy as np
import pytest

from careedu.errors import InvalidInputError
from careedu.show.plots import plot_weight_maps


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
