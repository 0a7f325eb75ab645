"""The table of a comparison: of each method and metric a mean, its interval and how it stands against the reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas

_COMPARED = {"difference": "effect", "difference low": "low", "difference high": "high"}
_COMPARED |= {"p": "adjusted_p", "smallest": "smallest"}


def comparison_table(results: Any, metrics: Sequence[str], reference: str | None) -> pandas.DataFrame:
    """What `Results.table` gives."""
    columns: dict[tuple[str, str], list[Any]] = {}
    for metric in metrics:
        estimates = [results.estimate(name, metric) for name in results.methods]
        found = results.differences(metric, reference)
        against = [found.get(name) for name in results.methods]
        for part, attribute in {"mean": "estimate", "low": "low", "high": "high"}.items():
            columns[metric, part] = [getattr(e, attribute) for e in estimates]
        for part, attribute in _COMPARED.items():
            columns[metric, part] = [np.nan if d is None else getattr(d, attribute) for d in against]
        columns[metric, "verdict"] = ["reference" if d is None else d.verdict for d in against]
    return pandas.DataFrame(columns, index=pandas.Index(results.methods, name="method"))
