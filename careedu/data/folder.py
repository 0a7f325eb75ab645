"""A folder of one's own images with ``labels.csv``, read into training, validation and test images.

The table has a row an image (or several, one for each lesion) and the columns ``image,label`` and, where known,
``split`` (train, val or test), ``x0,y0,x1,y1`` (a box in pixels of the stored image, x1 and y1 exclusive), ``mask`` (an
image file of the image's size, lesion where it is above 127), ``group`` (the patient). Further columns may be there.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL
import torch

from careedu.data.cache import cached_arrays
from careedu.data.dataset import LesionDataset
from careedu.data.decoding import decode
from careedu.data.imbalance import hold_out_by_group
from careedu.data.labels import SPLITS, Table, read_table
from careedu.errors import MissingDataError

# Raised whenever the same files would give other arrays, so that no cache of an older version is taken for ours.
_REVISION = 1


def read_folder(
    path: str | Path,
    *,
    size: int | None = None,
    seed: int = 0,
    group: str | None = None,
    where: Mapping[str, object] | None = None,
) -> dict[str, LesionDataset]:
    """Read a folder with ``labels.csv``.

    Parameters
    ----------
    path : str or Path
        The folder. Paths in the table start there and must not lead out.
    size : int, optional
        Side in pixels that images, boxes and masks are stretched to. By default they stay as they are, and must all be
        of one size.
    seed : int
        Of the splits that are drawn. Without a split column 20 % of the images are held out for test by group, then
        20 % of the rest for validation; with one but without ``val`` rows 20 % of the training images.
    group : str, optional
        Column that tells which images are of one patient. By default ``group``, if there is one; else each image is
        taken for a patient of its own.
    where : mapping of str to str, optional
        Only rows with these values in these columns are read, for instance ``{"plane": "axial"}``.

    Returns
    -------
    dict of str to LesionDataset
        ``"train"``, ``"val"`` and ``"test"``. Classes stand in alphabetical order (numbers in that of numbers), ids are
        the names in the column ``image``. Images are grey (C = 1) where all files are, else RGB.

    Raises
    ------
    MissingDataError
        If there is no such folder, or no ``labels.csv`` in it.
    UnknownNameError
        If `group` or `where` names a column or value that is not there.
    InvalidInputError
        If the table or images cannot be used; faulty rows are reported together, with their number as a spreadsheet
        shows it. Nothing is written then.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {str(path)!r}")
    table = read_table(folder, group=group, where=where)
    classes = _classes(table)
    if not table.faults:
        _check_whole(table, classes)
    if table.has_splits:
        # Images of a split lie one after the other, so that each split is a view of the mapped arrays, not a copy.
        table.entries.sort(key=lambda entry: SPLITS.index(entry.split))
    if table.faults:
        list(decode(table.entries, size, table.faults))  # raises, when it has looked into the images too
    labels = np.array([classes.index(entry.label) for entry in table.entries])
    rows = _split_rows(table, labels, classes, seed)
    key = _key(folder, table, size, where)
    arrays = cached_arrays(key, len(labels), lambda: decode(table.entries, size, table.faults))
    splits = {name: _dataset(table, rows[name], {**arrays, "labels": labels}, classes) for name in SPLITS}
    for name in ("val", "test"):
        absent = [c for c, n in zip(classes, splits[name].counts.tolist(), strict=True) if n == 0]
        if absent:
            warnings.warn(
                f"no {name} image of {', '.join(absent)}, so that its recall cannot be measured there", stacklevel=2
            )
    return splits


def _classes(table: Table) -> tuple[str, ...]:
    names = {entry.label for entry in table.entries}
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _check_whole(table: Table, classes: Sequence[str]) -> None:
    faults = table.faults
    spellings: dict[str, str] = {}
    for name in classes:
        other = spellings.setdefault(name.casefold(), name)
        if other != name:
            faults.add_whole(f"the labels {other!r} and {name!r} differ in capitals only; write them alike")
    if len(classes) < 2:
        faults.add_whole(f"all images have the label {classes[0]!r}; at least two classes are needed")
    if not table.has_splits:
        return
    count = Counter((entry.split, entry.label) for entry in table.entries)
    for name in classes:
        if not count["train", name]:
            faults.add_whole(f"class {name!r} has no training image; give it rows with split train")
    if not any(entry.split == "test" for entry in table.entries):
        faults.add_whole(
            "no row has the split test; mark images to be measured on, or remove the column split to have the splits "
            "drawn"
        )


def _split_rows(table: Table, labels: np.ndarray, classes: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Rows of each split, drawn where the table does not tell them. No image is needed, so that none is decoded."""
    groups, given = np.array([(entry.group, entry.split) for entry in table.entries]).T

    def hold_out(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept, held = hold_out_by_group(labels[rows], groups[rows], classes, seed=seed)
        return rows[kept], rows[held]

    rows = {name: np.flatnonzero(given == name) for name in SPLITS}
    if not table.has_splits:
        rows["train"], rows["test"] = hold_out(np.arange(len(labels)))
    if not len(rows["val"]):
        rows["train"], rows["val"] = hold_out(rows["train"])
    return rows


def _key(folder: Path, table: Table, size: int | None, where: Mapping[str, object] | None) -> str:
    files = {}
    for entry in table.entries:
        for path in (entry.path, *(lesion.mask for lesion in entry.lesions if lesion.mask is not None)):
            status = path.stat()
            files[os.path.relpath(path, folder)] = (status.st_size, status.st_mtime_ns)
    facts = [
        _REVISION,
        PIL.__version__,
        os.path.realpath(folder),
        hashlib.blake2b(table.content).hexdigest(),
        size,
        sorted((column, str(value)) for column, value in (where or {}).items()),
        files,
    ]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _dataset(table: Table, rows: np.ndarray, arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> LesionDataset:
    one_piece = len(rows) == rows[-1] - rows[0] + 1
    chosen = slice(rows[0], rows[-1] + 1) if one_piece else rows
    tensors = {name: torch.from_numpy(array[chosen]) for name, array in arrays.items()}
    picked = [table.entries[row] for row in rows]
    return LesionDataset(
        **tensors,
        classes=classes,
        groups=[entry.group for entry in picked] if table.has_groups else None,
        ids=[entry.image for entry in picked],
    )
