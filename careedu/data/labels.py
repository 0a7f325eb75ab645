"""The table of a folder of one's own images: ``labels.csv``, read strictly, every faulty row reported.

Nothing here looks inside an image; :mod:`careedu.data.decoding` does.
"""

import csv
import difflib
import functools
import io
import itertools
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from careedu.data.box_cells import BOX_FORMATS, box_of_cells, likely_fractions
from careedu.data.columns import BOX, MISSING, header_faults, like, meant_column, meant_split, spellings
from careedu.data.faults import TABLE, Faults
from careedu.errors import InvalidInputError, MissingDataError, UnknownNameError, check_known, unknown_name

SPLITS = ("train", "val", "test")
# Columns that cannot choose rows or name a patient, because they say something else.
_TAKEN = ("image", "label", "split", "mask", *BOX)
_LISTED_VALUES = 20


_Rows = list[tuple[int, dict[str, str], int]]
"""Of each row its number, its cells by column and how many cells it has."""


@dataclass
class Lesion:
    """What one row says of a lesion: a box, or the file of a mask, or both.

    An empty box says that there is no lesion; `fraction`, that the box is in shares of width and height.
    """

    row: int
    box: tuple[float, ...] | None
    mask: Path | None
    fraction: bool = False


@dataclass
class Entry:
    """One image of the table, with the lesions of all its rows."""

    row: int
    image: str
    path: Path
    label: str
    split: str
    group: str
    lesions: list[Lesion]


@dataclass
class Table:
    """The rows that were chosen.

    Parameters
    ----------
    entries : list of Entry
        Images in the order of their first rows.
    has_splits, has_groups : bool
        Whether the table says which split and group an image belongs to.
    group_column : str
        Column that tells the groups.
    faults : Faults
        What is wrong with single rows.
    """

    entries: list[Entry]
    has_splits: bool
    has_groups: bool
    group_column: str
    faults: Faults


def read_table(
    folder: Path, *, group: str | None = None, where: Mapping[str, object] | None = None, box_format: str | None = None
) -> Table:
    """Read ``labels.csv``.

    Parameters
    ----------
    folder : Path
        Where it lies. No path in it may lead out of this folder.
    group : str, optional
        Column that tells which images are of one patient. By default ``group``, if there is one.
    where : mapping of str to str, optional
        Only rows with these values in these columns are read, and checked.
    box_format : str, optional
        What the four numbers of a box are: ``"xyxy"`` (corners, the default), ``"xywh"`` (corner, width and height) or
        ``"cxcywh"`` (centre, width and height) in pixels; with ``"-fraction"`` after it, in shares of width and height
        (``"cxcywh-fraction"`` is that of YOLO). Where it is not given, boxes that look like shares are refused.

    Returns
    -------
    Table

    Raises
    ------
    MissingDataError
        If there is no ``labels.csv``, or it cannot be read.
    InvalidInputError
        If it is no table with the columns that are needed. Faults of single rows are returned, not raised.
    """
    path = folder / TABLE
    if not path.is_file():
        columns = "image,label (and, where known, split,x0,y0,x1,y1,mask,group)"
        remedy = f"make one with a row an image and the columns {columns}"
        raise MissingDataError(f"there is no {TABLE} in {str(folder)!r}; {remedy}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingDataError(f"{str(path)!r} cannot be read ({error.strerror}); mend its permissions") from error
    columns, rows = _parse(content)
    if box_format is not None:
        check_known("box_format", box_format, BOX_FORMATS)
    _check_columns(columns, {*(where or {}), *([group] if group else [])})
    free = [name for name in columns if name not in _TAKEN]
    if group is not None:
        check_known("column for group=", str(group), free)
    told = [name for name in free if meant_column(name) == "group" and name not in (where or {})]
    told.sort(key=lambda name: "lesion" in name.casefold())  # a patient may have several
    # The first that says anything: an empty column must not hide the patients.
    filled_first = (name for name in ("group", *told) if any(cells.get(name) for _, cells, _ in rows))
    group_column = group or next(filled_first, "group")
    rows = _chosen(rows, free, where or {})
    for _, cells, _ in rows:
        for name in {"label", "split", "mask", group_column, *BOX} & set(columns):
            if cells[name].casefold() in MISSING:
                cells[name] = ""
    faults = Faults()
    _files.cache_clear()  # what was renamed since is seen
    if box_format is None and (likely := likely_fractions([cells for _, cells, _ in rows])):
        remedy = f"load with {likely}, or write pixels (box_format='xyxy' says that these are pixels)"
        raise InvalidInputError(f"all boxes of {TABLE} lie between 0 and 1, as shares of the image do; {remedy}")
    # Asked once of each file, however many rows name it.
    find = functools.cache(functools.partial(_file, folder, os.path.realpath(folder)))
    boxes_of = functools.partial(box_of_cells, box_format or "xyxy")
    filled = {name for name in columns if any(cells[name] for _, cells, _ in rows)}
    has_splits, has_groups = "split" in filled, group_column in filled
    entries: dict[str, Entry] = {}
    for row, cells, width in rows:
        if width > len(columns):
            faults.add(row, cells["image"], f"it has {width} cells, the header {len(columns)}; put quotes round commas")
            continue
        entry = _entry(row, cells, group_column if has_groups else None, has_splits, find, boxes_of, faults)
        if entry is None:
            continue
        first = entries.setdefault(os.path.realpath(entry.path), entry)
        if first.image != entry.image:
            text = f"it is a link to the same file as {first.image!r} in row {first.row}; name an image in one way only"
            faults.add(row, entry.image, text)
        elif first is not entry:
            _join(first, entry, faults)
    if has_groups and has_splits:
        _check_groups(entries.values(), faults)
    for what, column in {"label": "label", **({"group": group_column} if has_groups else {})}.items():
        for own in spellings(getattr(entry, what) for entry in entries.values()):
            text = (
                f"the {column}s {', '.join(map(repr, own))} differ in capitals, blanks, zeros or invisible signs only"
            )
            other = f"where they mean different ones, put more before each, such as the hospital: {'north-' + own[0]!r}"
            faults.add_whole(f"{text}; write them alike{f', or, {other}' if what == 'group' else ''}")
    return Table(list(entries.values()), has_splits, has_groups, group_column if has_groups else "group", faults)


def _parse(content: bytes) -> tuple[list[str], _Rows]:
    """Return the columns and the rows."""
    try:
        text = content.decode("utf-8-sig")  # spreadsheets put a byte order mark first
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        remedy = "save it as 'CSV UTF-8' in the spreadsheet"
        raise InvalidInputError(f"{TABLE} is not UTF-8 (row {row}); {remedy}") from error
    if "\0" in text:
        raise InvalidInputError(f"{TABLE} is no text; save it as 'CSV UTF-8' in the spreadsheet")
    try:
        # newline="" keeps line breaks inside quotes in their cells: a row is what a spreadsheet calls a row.
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InvalidInputError(f"{TABLE} is no table with commas: {error}; save it as CSV again") from error
    if not records or not any(cell.strip() for cell in records[0]):
        raise InvalidInputError(f"{TABLE} is empty; its first row must name the columns: image,label")
    first = 1 if len(records) > 1 and records[0][0].startswith("sep=") else 0  # a line that spreadsheets write
    columns = [cell.strip() for cell in records[first]]
    while not columns[-1] and len(columns) > 1:  # a spreadsheet may leave empty columns
        columns.pop()
    rows = []
    for number, record in enumerate(records[first + 1 :], start=first + 2):
        cells = [cell.strip() for cell in record]
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if any(cells):  # a spreadsheet may leave empty rows
            rows.append((number, dict(zip(columns, [*cells, *[""] * len(columns)], strict=False)), len(cells)))
    if not rows:
        raise InvalidInputError(f"{TABLE} has no rows below its header; write one for each image")
    return columns, rows


def _check_columns(columns: Sequence[str], chosen: set[str]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InvalidInputError(f"{TABLE} has more than one column {twice[0]!r}; rename or remove all but one")
    if len(columns) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in columns[0]:
                raise InvalidInputError(f"the cells of {TABLE} are separated by {name}; save it with commas")
    needed = ["image", "label", *(BOX if set(BOX) & set(columns) else ())]
    if faults := header_faults(columns, chosen, needed):
        raise InvalidInputError(f"the columns of {TABLE} ({', '.join(columns)}): {'; '.join(faults)}")


def _chosen(rows: _Rows, columns: Sequence[str], where: Mapping[str, object]) -> _Rows:
    for column, value in where.items():
        if column not in columns:
            raise unknown_name("option", column, {"group", *columns})
        values = sorted({cells[column] for _, cells, _ in rows if cells[column]})
        if str(value) not in values:
            # Of a column with a value of its own in each row only some are listed, the nearest among them.
            listed = {*values[:_LISTED_VALUES], *difflib.get_close_matches(str(value), values, n=1)}
            error = unknown_name(f"value of column {column!r}:", str(value), listed)
            more = len(values) - len(listed)
            raise UnknownNameError(f"{error} And {more} more.") if more else error
        rows = [row for row in rows if row[1][column] == str(value)]
    return rows


def _entry(
    row: int,
    cells: Mapping[str, str],
    group: str | None,
    splits: bool,
    find: Callable,
    box_of: Callable,
    faults: Faults,
) -> Entry | None:
    """What a row says, or None where it has faults, which are noted."""
    before, image = len(faults.rows), cells["image"]
    with faults.noted(row, image):
        path = find(image, "image")
    if not cells["label"]:
        faults.add(row, image, "it has no label; write the name of its class (None, NA and the like count as no name)")
    split = cells.get("split", "")
    if splits and split not in SPLITS:
        error = unknown_name("split", split, SPLITS) if split else "it has no split; write train, val or test"
        meant = meant_split(split)
        faults.add(row, image, f"unknown split {split!r}; write {meant!r}" if meant else str(error))
    if group is not None and not cells[group]:
        faults.add(row, image, f"it has no {group}; where the patient is unknown, write a name that no other image has")
    with faults.noted(row, image):
        box, fraction = box_of([cells.get(name, "") for name in BOX])
    with faults.noted(row, image):
        mask = find(cells["mask"], "mask") if cells.get("mask") else None
        if mask is not None and posixpath.normpath(cells["mask"]) == posixpath.normpath(image):
            raise InvalidInputError("its mask is the image itself; name the mask's own file")
    if len(faults.rows) > before:
        return None
    name = posixpath.normpath(image)  # one spelling for one file, so that two rows of an image belong together
    lesions = [] if box is None and mask is None else [Lesion(row, box, mask, fraction)]
    return Entry(row, name, path, cells["label"], split, name if group is None else cells[group], lesions)


def _file(folder: Path, inside: str, name: str, what: str) -> Path:
    """The file of a name, which must lie in a folder; `inside` is where that really is."""
    if not name:
        raise InvalidInputError(f"it names no {what} file")
    path = folder / posixpath.normpath(name)
    # Asked of the file that is really there: a link may lead anywhere.
    if Path(name).is_absolute() or not Path(os.path.realpath(path)).is_relative_to(inside):
        remedy = "copy it into the folder and name it from there"
        raise InvalidInputError(f"the {what} {name!r} lies outside the folder; {remedy}")
    if not os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file it takes a name of any length
        remedy = "write / instead of \\" if "\\" in name else "correct the name (capitals count) or add the file"
        wanted = like(Path(name).name)
        near = [there for there in _files(inside) if wanted in (like(there.name), like(there.stem))]
        if len(near) == 1:
            remedy = f"did you mean {os.path.relpath(near[0], inside)!r}?"
        raise InvalidInputError(f"there is no {what} file {name!r}; {remedy}")
    return path


@functools.lru_cache(maxsize=1)
def _files(inside: str) -> tuple[Path, ...]:
    """All files of a folder, to find the one that a name may mean; of very large ones the first hundred thousand."""
    every = (Path(place, name) for place, _, names in os.walk(inside) for name in names)
    return tuple(itertools.islice(every, 100_000))


def _join(first: Entry, again: Entry, faults: Faults) -> None:
    for what in ("label", "split", "group"):
        if getattr(first, what) != getattr(again, what):
            text = f"{what} {getattr(again, what)!r}, but row {first.row} gives the same image {getattr(first, what)!r}"
            faults.add(again.row, again.image, f"{text}; rows of one image must agree")
    mixed = len({lesion.mask is None for lesion in [*first.lesions[:1], *again.lesions]}) > 1
    first.lesions.extend(again.lesions)
    if mixed:
        text = f"row {first.row} and this one are of the same image, but only one of them has a mask; give both or none"
        faults.add(again.row, again.image, text)


def _check_groups(entries: Iterable[Entry], faults: Faults) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.group, entry)
        if first.split != entry.split:
            text = f"group {entry.group!r} is in {entry.split}, but in {first.split} in row {first.row}"
            faults.add(entry.row, entry.image, f"{text}; all images of a patient belong in one split")
