"""Pictures of where networks look: class maps over the images they belong to, and maps that are the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from careedu.errors import InvalidInputError
from careedu.show.picture import Picture
from careedu.show.plots import draw_image, draw_lesion, draw_outline
from careedu.show.style import figure

if TYPE_CHECKING:
    from torch import Tensor

    from careedu.data.dataset import LesionDataset


def plot_maps(dataset: LesionDataset, maps: Mapping[str, Tensor]) -> Picture:
    """Images in the first row, and below them one row of maps a network, the lesion outlined throughout.

    Parameters
    ----------
    dataset : LesionDataset
        Twelve images at most.
    maps : mapping of str to float (N, H, W)
        Name of a network → its maps in [0, 1], of the size of the images.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are too many images or none, or maps of another size.
    """
    n, size = len(dataset), tuple(dataset.images.shape[2:])
    if not 1 <= n <= 12 or not maps:
        raise InvalidInputError(
            f"from 1 to 12 images and at least one row of maps can be shown, not {n} and {len(maps)}"
        )
    for name, rows in maps.items():
        if tuple(rows.shape) != (n, *size):
            raise InvalidInputError(f"the maps of {name!r} must be {(n, *size)}, not {tuple(rows.shape)}")
    side = min(1.3, 9.0 / n)
    words = []
    with figure(side * n + 0.2, (side + 0.24) * (1 + len(maps))) as fig:
        fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        parts = fig.subfigures(1 + len(maps), 1, squeeze=False)[:, 0]
        for part, (name, rows) in zip(parts, {"image": None, **maps}.items(), strict=True):
            part.suptitle(name, x=0.01, ha="left", fontsize=10, fontweight="bold")
            for index, axis in enumerate(part.subplots(1, n, squeeze=False)[0]):
                axis.set_axis_off()
                if rows is None:
                    draw_image(axis, dataset.images[index])
                else:
                    axis.imshow(np.asarray(rows[index]), cmap="cividis", vmin=0, vmax=1)
                draw_lesion(axis, dataset, index)
            if rows is not None and dataset.masks is not None:
                inside = dataset.masks.numpy()
                share = (np.asarray(rows) * inside).sum() / max(float(np.asarray(rows).sum()), 1e-9)
                words.append(f"{name}: {share:.0%} of the maps' mass lies in the outlined lesions")
        labels = ", ".join(dataset.classes[c] for c in dataset.labels.tolist())
        told = f" {'; '.join(words)}." if words else ""
        return Picture.of_figure(fig, f"Images of {labels}, and below them the class map of each network.{told}")


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
    from careedu.measure.map_quality import map_auroc

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
