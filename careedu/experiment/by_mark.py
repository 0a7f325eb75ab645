"""Recall of each class with and without a mark that is no part of the disease.

A network that has learned the mark finds the marked images of its class and misses the others, which an average over
all images hides. The lowest of these recalls, that of the worst group, does not (Sagawa et al., ICLR 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas

from careedu.errors import InvalidInputError
from careedu.experiment.metric_names import PARTS
from careedu.measure.statistics import Estimate


def recalls_by_mark(results: Any, method: str) -> pandas.DataFrame:
    """What `Results.recalls_by_mark` gives."""
    rows = {}
    for (label, part), n in _images(results).items():
        found = results.estimate(method, f"recall of {label}{part}") if n else None
        ends = (np.nan,) * 3 if found is None else (found.estimate, found.low, found.high)
        rows[label, part.strip()] = (n, *ends)
    index = pandas.MultiIndex.from_tuples(rows, names=["class", "mark"])
    return pandas.DataFrame(rows.values(), index=index, columns=["n", "mean", "low", "high"])


def worst_group(results: Any, method: str) -> tuple[str, Estimate]:
    """What `Results.worst_group` gives."""
    names = [label + part for (label, part), n in _images(results).items() if n]
    found = {name: results.estimate(method, f"recall of {name}") for name in names}
    return min(found.items(), key=lambda pair: pair[1].estimate)


def _images(results: Any) -> dict[tuple[str, str], int]:
    """How many test images each class has in each part."""
    if results.marked is None:
        raise InvalidInputError(
            "nothing is known of marks on these test images; use images that know theirs, a LesionDataset with marks"
        )
    return {
        (label, part): int(((results.labels == c) & (results.marked == flag)).sum())
        for c, label in enumerate(results.classes)
        for part, flag in PARTS.items()
    }
