"""What a report says of a mark that is no part of the disease: what is found with and without it, who looks there."""

from __future__ import annotations

from typing import Any

import numpy as np

from careedu.experiment.results import Results
from careedu.measure.statistics import Estimate

_SHARES = {"inside share": "chance", "mark share": "mark chance"}
"""Share of the map → what it is for a map that knows nothing."""


def marks(results: Results) -> dict[str, Any] | None:
    """Tables on the mark; None where nothing is known of marks.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict or None
        ``"recalls"``: of each table (class, "with mark" | "without mark") → number of test images. ``"missing"``: the
        names of those without test images. ``"frames"``: method → `Results.recalls_by_mark`. ``"worst"``: method →
        `Results.worst_group`. ``"looks"``: which images → method → measure → `Estimate`.
    """
    if results.marked is None:
        return None
    frames = {method: results.recalls_by_mark(method) for method in results.methods}
    images = frames[results.reference]["n"].astype(int)
    classes = np.array_split(np.array(results.classes, dtype=object), -(-len(results.classes) // 2))
    tables = [{group: n for group, n in images.items() if n and group[0] in part} for part in classes]
    return {
        "recalls": [table for table in tables if table],
        "missing": [" ".join(group) for group, n in images.items() if not n],
        "frames": frames,
        "worst": {method: results.worst_group(method) for method in results.methods},
        "looks": _looks(results),
    }


def _looks(results: Results) -> dict[str, dict[str, dict[str, Estimate]]]:
    attention, tables = results.attention, {}
    for label in (None, *results.rare) if attention is not None else ():
        shares = {share: chance for share, chance in _SHARES.items() if attention.has(share, label)}
        measures = [measure for pair in shares.items() for measure in pair]
        if measures:
            title = "of all classes" if label is None else f"of class {label}"
            tables[title] = {
                method: {measure: attention.estimate(method, measure, label) for measure in measures}
                for method in attention.methods
            }
    return tables
