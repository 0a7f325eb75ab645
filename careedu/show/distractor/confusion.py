"""Do look-alikes mislead, and is it these that tempt? How often images are called their class, and where that tempts.

Tables by method, of the runs and of the record that belongs to them.
"""

from dataclasses import replace

import numpy as np
import pandas
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.measure.crossed import spread_of_images
from careedu.measure.map_quality import map_difference
from careedu.measure.statistics import difference_of, estimate_of, holm
from careedu.show.distractor.records import MEASURES, DistractorRecord


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
        class; a network that no patch misleads, and that names all classes alike often, has the same mean in both.

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
    test, reference = results.data.test, reference or results.reference
    if test.mark_labels is None:
        raise InvalidInputError("the classes of these images' marks are not known: load phantom-skin with look_alike")
    patch_labels = test.mark_labels.numpy()
    known, spreads = (patch_labels >= 0) & (patch_labels != results.labels), {}
    for method, runs in results.runs.items():
        called = [called_like_patches(run.probabilities, results.labels, patch_labels) for run in runs.values()]
        spreads[method] = [spread_of_images(np.stack(called)[..., k], results.groups[known]) for k in (0, 1)]
    own, others = spreads[reference][0], [method for method in spreads if method != reference]
    found = [difference_of("confusion spared", own, spreads[method][0]) for method in others]
    adjusted = zip(found, holm([one.p for one in found]) if found else (), strict=True)
    against = dict(zip(others, (replace(one, adjusted_p=float(p)) for one, p in adjusted), strict=True))
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


def shares_by_temptation(record: DistractorRecord, results: Results) -> pandas.DataFrame:
    """Relevance on look-alikes beyond chance, where their class is the one that tempts and where another wrong one is.

    Were the relevance on look-alikes for any other reason than their class, such as that they are dark, it would be
    there in both cases.

    Parameters
    ----------
    record : DistractorRecord
    results : Results
        The runs that it was made of.

    Returns
    -------
    DataFrame
        One row a method: mean over seeds of the share of the relevance less chance, "look-alikes' class" and "other
        wrong class", over the images of which the one or the other tempts most; and "difference", paired over seeds, a
        `Difference`.

    Raises
    ------
    InvalidInputError
        If under some seed one of the two tempts in all images.
    """
    rows, there = {}, record.patch_labels >= 0
    for arm, shares in zip(record.arms, record.shares.astype(np.float64), strict=True):
        beyond, means = shares[..., MEASURES.index("relevance")] - shares[..., MEASURES.index("chance")], []
        for run, values in zip(results.runs[arm].values(), beyond, strict=True):
            tempted = np.where(np.eye(len(results.classes))[results.labels] > 0, -1, run.probabilities).argmax(axis=1)
            same = tempted == record.patch_labels
            if same[there].all() or not same[there].any():
                raise InvalidInputError(f"under {arm!r} look-alikes tempt always or never: nothing to compare with")
            means.append([values[there & same].mean(), values[there & ~same].mean()])
        first, second = np.transpose(means)
        found = {"look-alikes' class": first.mean(), "other wrong class": second.mean()}
        rows[arm] = {**found, "difference": replace(map_difference(first, second), metric="share")}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("method")
