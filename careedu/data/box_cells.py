"""What the four numbers of a box in ``labels.csv`` mean: corners, or a corner or centre with width and height."""

import contextlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from careedu.data.columns import BOX
from careedu.errors import InvalidInputError

BOX_FORMATS = tuple(form + unit for form in ("xyxy", "xywh", "cxcywh") for unit in ("", "-fraction"))
"""As torchvision names them; with ``-fraction``, in shares of the image's width and height."""
SLACK = 1e-3
"""So far outside the image may a share end that was written with few digits."""


def likely_fractions(rows: Sequence[Mapping[str, str]]) -> str:
    """The formats that boxes may have which all lie between 0 and 1, and how to decide; empty where they do not.

    Parameters
    ----------
    rows : sequence of mapping
        Cells of each row by column.

    Returns
    -------
    str
        Each of those of `BOX_FORMATS` under which all boxes lie in their image, or ``""``.
    """
    boxes = []
    for cells in rows:
        with contextlib.suppress(ValueError, KeyError):  # told with its row later
            box = [float(cells[name]) for name in BOX]
            boxes += [box] if any(box) else []  # four zeros say that there is no lesion
    if not boxes or not all(0 <= value <= 1 for box in boxes for value in box):
        return ""
    start, end = np.hsplit(np.array(boxes), 2)
    fits = {
        "box_format='xyxy-fraction' (if x1,y1 is a corner)": start < end,
        "box_format='xywh-fraction' (if x1,y1 are width and height)": start + end <= 1 + SLACK,
        "box_format='cxcywh-fraction' (if so, and x0,y0 is the centre: YOLO)": abs(2 * start - 1) + end
        <= 1 + 2 * SLACK,
    }
    return " or ".join([form for form, fit in fits.items() if fit.all()] or fits)


def box_of_cells(form: str, cells: Sequence[str]) -> tuple[tuple[float, ...] | None, bool]:
    """What the four cells of a box say.

    Parameters
    ----------
    form : str
        One of `BOX_FORMATS`.
    cells : sequence of str
        The four.

    Returns
    -------
    box : tuple of float or None
        Corners x0, y0, x1, y1; empty where four zeros say that there is no lesion, None where nothing is said.
    fraction : bool
        Whether they are shares of width and height.

    Raises
    ------
    InvalidInputError
        If they are no box.
    """
    fraction = form.endswith("-fraction")
    if not any(cells):
        return None, fraction
    said = f"the box {','.join(cells)}"
    if not all(cells):
        raise InvalidInputError(f"{said} is given in part; write all of x0,y0,x1,y1 or none")
    try:
        x0, y0, x1, y1 = tuple(map(float, cells))
    except ValueError:
        raise InvalidInputError(f"{said} is not four numbers; write {'shares' if fraction else 'pixels'}") from None
    if x0 == y0 == x1 == y1 == 0:
        return (), fraction  # how many tables say that there is no lesion
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise InvalidInputError(f"{said} is not finite; leave all four empty where there is no box")
    if form.startswith("cxcywh"):
        x0, y0 = x0 - x1 / 2, y0 - y1 / 2
    if not form.startswith("xyxy"):
        x1, y1 = x0 + x1, y0 + y1
    if x1 <= x0 or y1 <= y0:
        remedy = "where x1 and y1 are width and height, load with box_format='xywh'"
        raise InvalidInputError(f"{said} is empty; x1 must be above x0 and y1 above y0 (both exclusive); {remedy}")
    slack = SLACK if fraction else 0.0
    if min(x0, y0) < -slack:
        raise InvalidInputError(f"{said} starts outside the image; {'shares' if fraction else 'pixels'} count from 0")
    if fraction and max(x1, y1) > 1 + slack:
        raise InvalidInputError(f"{said} ends outside the image; shares end at 1")
    return ((max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)) if fraction else (x0, y0, x1, y1)), fraction
