"""What the header and the cells of ``labels.csv`` mean: likely names of our columns, missing values, like spellings."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

BOX = ("x0", "y0", "x1", "y1")
OURS = ("image", "label", "split", *BOX, "mask", "group")
MISSING = ("nan", "na", "n/a", "none", "null", "nil", "<na>", "nat", "#n/a")
# What other tables call our columns, in small letters without signs.
_ALSO = {
    "image": "imagepath imageid imagename filename file filepath path img imgpath fname pngpath",
    "label": "class classname diagnosis dx target category finding labelname",
    "split": "subset partition datasetsplit datasplit traintest trainvaltest",
    "mask": "maskpath maskfile maskname segmentation segmentationpath segmask lesionmask maskid",
    "group": "patient patientid patientname patientno patientnumber mrn medicalrecordnumber subject subjectid groups "
    "case caseid casenumber participant participantid personid lesionid lesionno lesionnumber",
    "x0": "xmin left bboxx0 bboxxmin boxx0",
    "y0": "ymin top bboxy0 bboxymin boxy0",
    "x1": "xmax right bboxx1 bboxxmax boxx1",
    "y1": "ymax bottom bboxy1 bboxymax boxy1",
}
_MEANT = {word: ours for ours, words in _ALSO.items() for word in [ours, *words.split()]}
_CORNERS, *_SIZES = "x1 y1 x2 y2", "x y width height", "x y w h", "xcenter ycenter width height", "bbox", "boundingbox"
_BOX_FORMS = [form.split() for form in (_CORNERS, *_SIZES, "bboxx bboxy bboxwidth bboxheight")]
_SPLITS_ALSO = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}


def meant_column(name: str) -> str | None:
    """Our column that a header most likely means, such as ``x0`` by ``X-Min``, or None; `name` itself where it is ours.

    Parameters
    ----------
    name : str
        The header as it stands.

    Returns
    -------
    str or None
    """
    if name in OURS:
        return name
    plain = _plain(name)
    if plain in _MEANT:
        return _MEANT[plain]
    close = difflib.get_close_matches(plain, ["image", "label", "split", "mask"], n=1, cutoff=0.8)
    return close[0] if close else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def header_faults(columns: Sequence[str], chosen: Collection[str], needed: Collection[str]) -> list[str]:
    """What is wrong with a header, in words: columns that are needed and not there, and those that look like ours.

    Parameters
    ----------
    columns : sequence of str
        The header.
    chosen : collection of str
        Columns that the reader of the table has named, which are no mistake.
    needed : collection of str
        Those of ours that must be there.

    Returns
    -------
    list of str
        Empty where nothing is wrong. A column that looks like one of ours, where that is missing, would be ignored in
        silence, and splits, patients or boxes with it.
    """
    faults: list[str] = []
    likely: dict[str, str] = {}
    plain = list(map(_plain, columns))
    form = next((form for form in _BOX_FORMS if set(form) <= set(plain)), None)
    form = None if {"x0", "y0", *(BOX if form != _BOX_FORMS[0] else ())} & set(columns) else form
    needed = [name for name in needed if form is None or name not in BOX]
    for name in columns:
        ours = meant_column(name)
        # That a column tells patients apart is assumed aloud.
        if ours not in (None, "group", *columns) and name not in chosen:
            likely.setdefault(ours, name)
    if len(set(BOX) & {*likely, *columns}) < len(BOX):  # a side alone, left or right, is no box
        likely = {ours: name for ours, name in likely.items() if ours not in BOX or ours in needed}
    for ours in (name for name in needed if name not in columns):
        meant = f". Did you mean {likely.pop(ours)!r}? Rename it" if ours in likely else "; write it"
        faults.append(f"it lacks the column {ours!r}{meant}")
    for ours, name in likely.items():
        text = f"the column {name!r} looks like {ours!r} and would be ignored"
        faults.append(f"{text}: rename it, to that or away from it")
    if form:
        kind = "xyxy" if form == _BOX_FORMS[0] else "cxcywh" if "center" in form[0] else "xywh"
        text = f"the columns {', '.join(columns[plain.index(part)] for part in form)} look like a box"
        remedy = f"rename them x0,y0,x1,y1 and load with box_format={kind!r} (or {kind + '-fraction'!r})"
        faults.append(f"{text} and would be ignored: {remedy}")
    return faults


def meant_split(name: str) -> str | None:
    """Name of the split that another word for it means, such as ``val`` by ``Validation``, or None."""
    plain = name.casefold()
    return _SPLITS_ALSO.get(plain, plain if plain in _SPLITS_ALSO.values() else None)


def like(name: str) -> str:
    """One spelling for all that a person would read as the same name.

    Parameters
    ----------
    name : str
        A class, a patient or a file.

    Returns
    -------
    str
        Small letters, composed, single blanks of the common kind, without signs that nobody sees (of no width, soft
        hyphens, marks of direction or byte order); of whole numbers their value, so that ``7``, ``7.0`` and ``007`` are
        alike.
    """
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
    plain = " ".join(seen.casefold().split())
    number = re.fullmatch(r"0*(\d+)(\.0*)?", plain)
    return number[1] if number else plain


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Names that differ in spelling only, as lists of two or more.

    Parameters
    ----------
    names : iterable of str
        Such as all classes.

    Returns
    -------
    list of list of str
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(like(name), []).append(name)
    return [own for own in alike.values() if len(own) > 1]
