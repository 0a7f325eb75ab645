"""Attention maps that are the same for all images, side by side, and how well each tells where lesions can lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from careedu.errors import InvalidInputError
from careedu.measure.map_quality import map_auroc
from careedu.show.picture import Picture
from careedu.show.plots import draw_outline
from careedu.show.style import figure


def plot_weight_maps(maps: Mapping[str, np.ndarray], zone: np.ndarray | None = None) -> Picture:
    """Maps that are the same for all images, side by side, each stretched to its own range.

    Parameters
    ----------
    maps : mapping of str to float (H, W)
        Six at most.
    zone : bool (H, W), optional
        Where lesions can lie: it is outlined, and each map's AUROC against it is told.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are too many maps or none, or they do not fit each other or the zone.
    """
    if not 1 <= len(maps) <= 6:
        raise InvalidInputError(f"from 1 to 6 maps can be shown, not {len(maps)}")
    values = {name: np.asarray(one, dtype=np.float64) for name, one in maps.items()}
    if any(one.ndim != 2 for one in values.values()) or len({one.shape for one in values.values()}) > 1:
        shapes = ", ".join(f"{name!r} {one.shape}" for name, one in values.items())
        raise InvalidInputError(f"maps must all be (H, W) of one size, not {shapes}")
    words = []
    side = min(2.2, 9.0 / len(values))
    with figure(side * len(values), side + 0.75) as fig:
        for axis, (name, one) in zip(fig.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
            axis.set_axis_off()
            axis.imshow(one, cmap="cividis")
            told = f"{one.min():.2f} to {one.max():.2f}"
            if zone is not None:
                draw_outline(axis, zone)
                told += f"\nAUROC {map_auroc(one, zone):.2f}"
            axis.set_title(name, fontsize=10, fontweight="bold")
            axis.text(0.5, -0.04, told, ha="center", va="top", fontsize=9, transform=axis.transAxes)
            words.append(f"{name}, {told}".replace("\n", ", "))
        outlined = "" if zone is None else " Where lesions can lie is outlined."
        return Picture.of_figure(fig, f"Maps that are the same for all images: {'; '.join(words)}.{outlined}")
