"""Where trained networks look: their attention map where they have one for all images, and the map of a class.

`careedu.measure.map_quality` has the measures as functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas

from careedu.errors import InvalidInputError
from careedu.measure.map_quality import area_share, inside_share, pointing_game

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run

ATTENTION_MAP = "attention map"
"""Name of the trace that holds an attention map after each epoch; of a stage that is no supervised one, ends in it."""
MEASURES = ("inside share", "pointing", "chance")
"""What is measured of the map of a class."""
MARK_MEASURES = ("mark share", "mark chance")
"""What is measured besides, where the images know their marks."""
_MAPS = ("before.values", "after.mask.values", "attention.values")  # in weights; the last in those of an older careedu


def recorded_maps(run: Run) -> np.ndarray:
    """The attention maps that were recorded after each epoch, in order of the training.

    Parameters
    ----------
    run : Run

    Returns
    -------
    ndarray
        float64 (E, H, W) in [0, 1], the last being that after the last epoch. E is 0 without any, and 1 where only the
        last was kept, as saved results do for all seeds but the first. Epochs of an open map are not recorded.
    """
    kept = [maps / np.iinfo(maps.dtype).max for maps in _traces(run)]
    return np.concatenate(kept) if kept else np.zeros((0, *run.configuration["data"]["image shape"][1:]))


def _traces(run: Run) -> list[np.ndarray]:
    """What was recorded of the map: first while it learned alone, then with the network. Saved traces have no order."""
    alone = [trace for name, trace in run.traces.items() if name.endswith(f": {ATTENTION_MAP}")]
    return [trace for trace in (*alone, run.traces.get(ATTENTION_MAP, ())) if len(trace)]


def trained_map(run: Run) -> np.ndarray | None:
    """The attention map of the trained network, as it was recorded, or else as its weights hold it.

    Parameters
    ----------
    run : Run

    Returns
    -------
    ndarray or None
        float64 (H, W) in [0, 1]; None where the run has none.
    """
    traces = _traces(run)
    # The record tells pixels apart that are alike in weights saved as float16, saved results' 256 levels too, unless it
    # is an older one of eight bits. Every state of a `SpatialMask` holds the map, so that no network has to be built.
    rough = not traces or traces[-1].dtype == np.uint8
    held = [name for name in run.weights or () if name in _MAPS] if rough else []
    if held:
        return run.weights[held[0]].double().numpy()
    return traces[-1][-1] / np.iinfo(traces[-1].dtype).max if traces else None


def attention_of(run: Run, dataset: LesionDataset) -> pandas.DataFrame:
    """Where a trained network looks on images whose lesions are known.

    Parameters
    ----------
    run : Run
        With its weights.
    dataset : LesionDataset
        Usually the test split. The lesion is the mask where there is one, else the box.

    Returns
    -------
    DataFrame
        One row an image: "id", "class", "group", "pointing" (pointing game), "inside share", and "chance", the lesion's
        share of the image; all three of the map of the true class, and NaN for an image whose lesion is not known.
        Where the data set knows its marks also "mark share", how much of that map lies on the mark, and "mark chance",
        the mark's share of the image; NaN for an image without a mark.

    Raises
    ------
    MissingWeightsError
        If the run was saved without weights or was not trained.
    InvalidInputError
        If classes or image size are not those of the run, or neither a lesion nor a mark is known.
    """
    from careedu.methods.boxes import lesion_regions

    if dataset.classes != run.classes:
        raise InvalidInputError(f"the images have the classes {dataset.classes}, the run {run.classes}")
    regions = lesion_regions(dataset).numpy()
    if not regions.any() and (dataset.marks is None or not dataset.marks.any()):
        raise InvalidInputError("no image has a mask, box or mark, so nobody knows where the network should look")
    maps = run.class_maps(dataset.images, dataset.labels).numpy()
    columns: dict[str, Any] = {
        "id": dataset.ids,
        "class": np.array(dataset.classes)[dataset.labels.numpy()],
        "group": dataset.groups,
        "pointing": pointing_game(maps, regions),
        "inside share": inside_share(maps, regions),
        "chance": area_share(regions, maps.shape[1:]),
    }
    if dataset.marks is not None:
        marks = dataset.marks.numpy()
        columns |= {"mark share": inside_share(maps, marks), "mark chance": area_share(marks, maps.shape[1:])}
    return pandas.DataFrame(columns)
