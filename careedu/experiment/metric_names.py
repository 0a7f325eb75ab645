"""Names of metrics, as tables and intervals take them.

A metric is one of `careedu.measure.metrics.METRICS`, or "recall of" and the name of a class. Where it is known which
test images carry a mark, " with mark" or " without mark" may follow: the same metric of those images alone.
"""

from typing import Any

import numpy as np

from careedu.errors import InvalidInputError, unknown_name
from careedu.measure.leave_one_out import averaged_classes, recall_metric
from careedu.measure.metrics import METRICS

PARTS = {" with mark": True, " without mark": False}
"""What may follow a metric's name → whether the images that it is then measured on carry a mark."""


def canonical_name(name: str, run: Any) -> str:
    """A metric as `careedu.measure.statistics` calls it, and the part of the test images that it is measured on.

    Parameters
    ----------
    name : str
    run : Run
        One of those that are measured, for classes, labels and marks.

    Returns
    -------
    str
        For instance "rare recall" or "recall of class 2 with mark".

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    InvalidInputError
        If it asks for marks where nothing is known of them, or for a part in which its classes have no image.
    """
    known = {metric: metric for metric in METRICS}
    known |= {f"recall of {label}": recall_metric(c) for c, label in enumerate(run.classes)}
    if name in known:  # first: a class may be called like a part
        return known[name]
    base, part = _split(name)
    if base not in known:
        raise unknown_name("metric", name, [metric + part for metric in known])
    if run.marked is None:
        raise InvalidInputError(
            f"{name!r}: nothing is known of marks on these test images; leave out {part!r}, or use images that know "
            "theirs, a LesionDataset with marks"
        )
    rare = [run.classes.index(label) for label in run.rare]
    classes = averaged_classes(known[base], len(run.classes), rare) or range(len(run.classes))
    if not np.isin(run.labels[run.marked == PARTS[part]], list(classes)).any():
        of = ", ".join(run.classes[c] for c in classes)
        raise InvalidInputError(f"{name!r}: no test image{part} of {of}; `recalls_by_mark` counts what there is")
    return known[base] + part


def measured_part(canonical: str, marked: np.ndarray | None) -> tuple[str, np.ndarray | slice]:
    """The metric of a canonical name as `careedu.measure` has it, and the test images it is measured on.

    Parameters
    ----------
    canonical : str
        As :func:`canonical_name` gives it.
    marked : bool (N,), optional
        Which images carry a mark.

    Returns
    -------
    metric : str
    rows : bool (N,), or a slice of all
    """
    metric, part = _split(canonical)
    return metric, marked == PARTS[part] if part else slice(None)


def _split(name: str) -> tuple[str, str]:
    part = next((part for part in PARTS if name.endswith(part)), "")
    return name.removesuffix(part), part
