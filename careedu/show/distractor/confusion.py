"""How often images are called what their look-alikes are of: by method, with the differences to a reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import Difference, difference_of, estimate_of, holm

if TYPE_CHECKING:
    import pandas

    from careedu.experiment.results import Results


def called_like_patches(probabilities: ArrayLike, labels: ArrayLike, patch_labels: ArrayLike) -> np.ndarray:
    """Whether an image is called the class that its look-alikes are of, and whether another wrong one.

    Parameters
    ----------
    probabilities : float (N, C)
    labels, patch_labels : int (N,)
        True classes, and those of the look-alikes: −1 where there are none.

    Returns
    -------
    bool (N', 2)
        Of the images with look-alikes of another class than their own. With three classes there is one other wrong
        class, so that by chance both columns have the same mean.

    Raises
    ------
    InvalidInputError
        If there is no such image.
    """
    labels, patch_labels = np.asarray(labels), np.asarray(patch_labels)
    known = (patch_labels >= 0) & (patch_labels != labels)
    if not known.any():
        raise InvalidInputError("no image has look-alikes of another class: load phantom-skin with look_alike above 0")
    called, true, patch = np.asarray(probabilities).argmax(axis=1)[known], labels[known], patch_labels[known]
    return np.stack([called == patch, (called != patch) & (called != true)], axis=1)


def look_alike_confusion(results: Results, reference: str | None = None) -> pandas.DataFrame:
    """How often each method calls an image what its look-alikes are of, beside how often another wrong class.

    Parameters
    ----------
    results : Results
        With its data, whose test images have look-alikes.
    reference : str, optional
        The arm that the others are compared with, by default that of the results.

    Returns
    -------
    DataFrame
        One row a method: "look-alikes' class" and "other wrong class", means over seeds and images with intervals that
        cover others of both; "excess", the first less the second, a `Difference`; and "spared", by how much the first
        is less than the reference's (so that "better" is better), a paired `Difference`, p-values adjusted by Holm over
        the column; None for the reference.
    """
    import pandas

    test, reference = results.data.test, reference or results.reference
    if test.mark_labels is None:
        raise InvalidInputError("the classes of these images' marks are not known: load phantom-skin with look_alike")
    patch_labels = test.mark_labels.numpy()
    known = (patch_labels >= 0) & (patch_labels != results.labels)
    spreads = {}
    for method, runs in results.runs.items():
        called = [called_like_patches(run.probabilities, results.labels, patch_labels) for run in runs.values()]
        spreads[method] = [spread_of_images(np.stack(called)[..., k], results.groups[known]) for k in (0, 1)]
    against: dict[str, Difference | None] = {
        method: difference_of("confusion spared", spreads[reference][0], first)
        for method, (first, _) in spreads.items()
        if method != reference
    }
    adjusted = holm([one.p for one in against.values()]) if against else []
    against = {m: replace(d, adjusted_p=float(p)) for (m, d), p in zip(against.items(), adjusted, strict=True)}
    rows = {
        method: {
            "look-alikes' class": estimate_of(first),
            "other wrong class": estimate_of(second),
            "excess": difference_of("excess", first, second),
            "spared": against.get(method),
        }
        for method, (first, second) in spreads.items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("method")
