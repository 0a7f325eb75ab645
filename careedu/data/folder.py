"""A folder of one's own images with ``labels.csv``, read into training, validation and test images.

The table has a row an image (or several, one for each lesion) and the columns ``image,label`` and, where known,
``split`` (train, val or test), ``x0,y0,x1,y1`` (a box in pixels of the stored image, x1 and y1 exclusive), ``mask`` (an
image file of the image's size, white where the lesion is), ``group`` (the patient). Further columns may be there.
Of what is doubtful a warning says what was assumed, each time that the folder is read.
"""

import functools
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch

from careedu.data.cache import cached_arrays
from careedu.data.dataset import LesionDataset
from careedu.data.decoding import Reading, decode
from careedu.data.imbalance import hold_out_by_group
from careedu.data.labels import SPLITS, Table, read_table
from careedu.data.mask_levels import Lesion
from careedu.errors import InvalidInputError, MissingDataError, check_number

# Raised whenever the same files would give other arrays, so that no cache of an older version is taken for ours.
_REVISION = 3
# A lesion of more than this share of its image is rather an inverted mask.
_MOST = 0.6
_NAMED = 3

Arrays = Mapping[str, np.ndarray]


def read_folder(
    path: str | Path,
    *,
    size: int | None = None,
    seed: int = 0,
    group: str | None = None,
    where: Mapping[str, object] | None = None,
    box_format: str | None = None,
    window: Sequence[float] | None = None,
    lesion: Lesion = None,
    advise: bool = True,
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
    box_format : str, optional
        As in :func:`careedu.data.labels.read_table`.
    window : (float, float), optional
        Stored numbers that become black and white, alike for all images; see :func:`careedu.data.depth.brightness`.
    lesion : "above 0" or sequence of int, optional
        Which values of a mask are lesion; see :func:`careedu.data.mask_levels.lesion_pixels`.
    advise : bool
        Whether to warn of what is doubtful.

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
    reading = _reading(size, window, lesion)
    table = read_table(folder, group=group, where=where, box_format=box_format)
    classes = _classes(table)
    if not table.faults:
        _check_whole(table, classes)
    if table.has_splits:
        # Images of a split lie one after the other, so that each split is a view of the mapped arrays, not a copy.
        table.entries.sort(key=lambda entry: SPLITS.index(entry.split))
    if table.faults:
        list(decode(table.entries, reading, table.faults))  # raises, when it has looked into the images too
    labels = np.array([classes.index(entry.label) for entry in table.entries])
    rows = _split_rows(table, labels, classes, seed)
    contents = _contents(table)
    key = _key(table, contents, reading)
    arrays = cached_arrays(key, len(labels), lambda: decode(table.entries, reading, table.faults))
    of_images = {name: array for name, array in arrays.items() if name != "deep"} | {"labels": labels}
    splits = {name: _dataset(table, rows[name], of_images, classes) for name in SPLITS}
    doubts = _doubts(table, contents, rows, arrays, window, group) if advise else []
    if advise and (told := squeezed(splits.values())):
        doubts.append(f"images are squeezed {told}, which changes shapes; crop or pad the files where shape matters")
    if lesion is not None and (arrays["lesion_free"] & [any(le.mask for le in e.lesions) for e in table.entries]).any():
        doubts.append(f"some masks hold none of lesion={lesion!r}; their images are taken as free of lesions")
    for name in ("val", "test"):
        if absent := [c for c, n in zip(classes, splits[name].counts.tolist(), strict=True) if n == 0]:
            doubts.append(f"no {name} image of {', '.join(absent)}, so that its recall cannot be measured there")
    for text in doubts:
        warnings.warn(text, stacklevel=2)
    return splits


def _classes(table: Table) -> tuple[str, ...]:
    names = {entry.label for entry in table.entries}
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _check_whole(table: Table, classes: Sequence[str]) -> None:
    note = table.faults.add_whole
    if len(classes) < 2:
        note(f"all images have the label {classes[0]!r}; at least two classes are needed")
    if table.has_splits:
        trained = {entry.label for entry in table.entries if entry.split == "train"}
        for name in (name for name in classes if name not in trained):
            note(f"class {name!r} has no training image; give it rows with split train")
        if not any(entry.split == "test" for entry in table.entries):
            remedy = "mark images to be measured on, or remove the column split to have the splits drawn"
            note(f"no row has the split test; {remedy}")


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


def _reading(size: int | None, window: Sequence[float] | None, lesion: Lesion) -> Reading:
    if window is not None:
        if isinstance(window, str) or not isinstance(window, Sequence) or len(window) != 2:
            raise InvalidInputError(f"window={window!r} must be two numbers, those that become black and white")
        for number in window:
            check_number("window: a bound", number, "(-inf, inf)")
        if not window[0] < window[1]:
            raise InvalidInputError(f"window={window!r} must go upwards, from what becomes black to what becomes white")
        window = (float(window[0]), float(window[1]))
    if lesion is not None and lesion != "above 0":
        if isinstance(lesion, str) or not isinstance(lesion, Sequence) or not lesion:
            known = "'above 0' or a list of values of the masks, such as [2, 3]"
            raise InvalidInputError(f"lesion={lesion!r} must be {known}")
        for level in lesion:
            check_number("lesion: a value", level, "whole [0, inf)")
    return Reading(size, window, lesion)


def _contents(table: Table) -> dict[Path, str]:
    """Hash of the content of each file."""

    def digest(path: Path) -> str:
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=16)).hexdigest()
        except OSError as error:
            raise MissingDataError(f"{str(path)!r} cannot be read ({error.strerror}); mend its permissions") from error

    masks = [lesion.mask for entry in table.entries for lesion in entry.lesions if lesion.mask is not None]
    paths = dict.fromkeys([*(entry.path for entry in table.entries), *masks])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(digest, paths), strict=True))


def _key(table: Table, contents: Mapping[Path, str], reading: Reading) -> str:
    """All that the arrays depend on, and nothing else: what stands in other columns makes no second copy."""
    images = [
        [contents[entry.path], [[le.box, le.fraction, le.mask and contents[le.mask]] for le in entry.lesions]]
        for entry in table.entries
    ]
    facts = [_REVISION, PIL.__version__, reading.size, reading.window, reading.lesion, images]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def squeezed(parts: Iterable[LesionDataset]) -> str:
    """How far images were squeezed whose files are known, in words; empty where no side changed by a tenth."""
    found = [(0.0, 0, 0, 0)]
    for part in parts:
        for width, height in [] if part.stored is None else part.stored.tolist():
            *_, down, across = part.images.shape
            found.append((abs(math.log(width / height * down / across)), width, height, across))
    change, width, height, side = max(found)
    return f"into squares of {side} pixels (one of {width}x{height} the most)" if change > math.log(1.1) else ""


def _doubts(
    table: Table, contents: Mapping[Path, str], rows: Arrays, arrays: Arrays, window: object, group: str | None
) -> list[str]:
    """What is doubtful, and what was assumed, in words."""
    entries, found = table.entries, []

    def named(which: Sequence[int]) -> str:
        more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
        return ", ".join(f"{entries[i].image!r}" for i in which[:_NAMED]) + more

    split_of = {int(row): name for name, own in rows.items() for row in own}
    same: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        same.setdefault(contents[entry.path], []).append(i)
    twins = [own for own in same.values() if len(own) > 1]
    for kind, of in (("splits", split_of.__getitem__), ("labels", lambda i: entries[i].label)):
        if apart := [own for own in twins if len({of(i) for i in own}) > 1]:
            what = "what is tested was trained on" if kind == "splits" else "one of the labels is wrong"
            text = f"{len(apart)} images are there more than once, in different {kind} (the first: {named(apart[0])})"
            found.append(f"{text}: {what}; keep one of each")
    if twins and not found:
        text = f"{len(twins)} images are there more than once (the first: {named(twins[0])})"
        found.append(f"{text}; each counts as one image")
    deep = np.flatnonzero(arrays["deep"])
    if window is None and 0 < len(deep) < len(entries):
        text = f"{len(deep)} images store more than 8 bits ({named(deep)}), {len(entries) - len(deep)} store 8"
        done = "each of the former is stretched from its own minimum and maximum, the latter keep their numbers"
        found.append(f"{text}: {done}; save all alike, or, if they are on one scale, load with window=(low, high)")
    if table.group_column not in ("group", group):
        who = "lesions, not patients," if "lesion" in table.group_column.casefold() else "patients"
        found.append(f"{who} are told apart by the column {table.group_column!r}; group= names another")
    if not table.has_splits:
        by = "by group" if table.has_groups else "image by image, as no column 'group' tells patients apart"
        found.append(f"the splits were drawn {by}; a column 'split' keeps them, split_seed= draws others")
    if "masks" in arrays:
        large = np.flatnonzero(arrays["masks"].mean(axis=(1, 2)) > _MOST)
        if len(large):
            text = f"{len(large)} masks cover more than {_MOST:.0%} of their image ({named(large)})"
            found.append(f"{text}; lesion is white: are they inverted, or masks of the organ?")
        masked = np.flatnonzero(arrays["has_mask"])
        if apart := [i for i in masked if _misses(arrays["masks"][i], arrays["boxes"][i])]:
            text = f"{len(apart)} boxes do not meet the masks of their images ({named(apart)})"
            found.append(f"{text}; mend one of the two")
    return found


def _misses(mask: np.ndarray, box: np.ndarray) -> bool:
    if np.isnan(box).any():
        return False
    (x0, y0), (x1, y1) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    return not mask[y0:y1, x0:x1].any()


def _dataset(table: Table, rows: np.ndarray, arrays: Arrays, classes: Sequence[str]) -> LesionDataset:
    one_piece = len(rows) == rows[-1] - rows[0] + 1
    chosen = slice(rows[0], rows[-1] + 1) if one_piece else rows
    tensors = {name: torch.from_numpy(array[chosen]) for name, array in arrays.items()}
    groups = [table.entries[row].group for row in rows] if table.has_groups else None
    return LesionDataset(**tensors, classes=classes, groups=groups, ids=[table.entries[row].image for row in rows])
