"""Recall of each class with and without a mark that is no part of the disease.

A network that has learned the mark finds the marked images of its class and misses the others, which an average over
all images hides. The lowest of these recalls, that of the worst group, does not (Sagawa et al., ICLR 2020).
"""

from typing import Any

import numpy as np
import pandas

from careedu.errors import InvalidInputError
from careedu.experiment.metric_names import PARTS
from careedu.measure.statistics import Estimate, estimate_of, recall_metric


def recalls_by_mark(results: Any, method: str) -> pandas.DataFrame:
    """What `Results.recalls_by_mark` gives."""
    found = _recalls(results, method)
    rows = [(n, *((one.estimate, one.low, one.high) if one else (np.nan,) * 3)) for n, one in found.values()]
    index = pandas.MultiIndex.from_tuples([(label, part.strip()) for label, part in found], names=["class", "mark"])
    return pandas.DataFrame(rows, index=index, columns=["n", "mean", "low", "high"])


def worst_group(results: Any, method: str) -> tuple[str, Estimate]:
    """What `Results.worst_group` gives."""
    found = {label + part: one for (label, part), (_, one) in _recalls(results, method).items() if one}
    return min(found.items(), key=lambda pair: pair[1].estimate)


def _recalls(results: Any, method: str) -> dict[tuple[str, str], tuple[int, Estimate | None]]:
    """Class and part → how many test images there are and, where there are any, the recall."""
    if results.marked is None:
        raise InvalidInputError(
            "nothing is known of marks on these test images; use images that know theirs, a LesionDataset with marks"
        )
    found = {}
    for c, label in enumerate(results.classes):
        for part, flag in PARTS.items():
            n = int(((results.labels == c) & (results.marked == flag)).sum())
            # By number: another class may be called like this one's part.
            found[label, part] = n, estimate_of(results._spread(method, recall_metric(c) + part)) if n else None
    return found
