"""Named sets of real images: what they are, where they lie, how they come to this machine."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from careedu.data.cache import cache_folder
from careedu.data.faults import TABLE
from careedu.data.medmnist_sets import MEDMNIST, SIZES, download, file_name, read_npz
from careedu.errors import InvalidInputError, MissingDataError, check_known, unknown_name

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset


# What is said of a table with `load`; every other option chooses rows by a column of that name.
FOLDER_OPTIONS = ("group", "box_format", "window", "lesion")


@dataclass(frozen=True)
class Source:
    """A named set of real images.

    Parameters
    ----------
    line : str
        What it is, in one line.
    licence, citation : str
        What it may be used for, and whom to name.
    folder : str
        Its folder in a folder of sets.
    size : int
        Side of the images in pixels where none is asked for.
    augmentation : str
        As in :class:`careedu.data.dataset.Splits`.
    options : dict of str to str
        Options where none are given: the group column and the columns to choose rows by. Sets with a table only.
    advice : str
        What to download from where. Sets with a table only; the others are downloaded.
    """

    line: str
    licence: str
    citation: str
    folder: str
    size: int
    augmentation: str
    options: dict[str, str] = field(default_factory=dict)
    advice: str = ""


_MEDMNIST_CITATION = (
    "J. Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image classification, "
    "Scientific Data 10, 41 (2023), doi:10.1038/s41597-022-01721-8"
)


_TABLE = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
SOURCES = {name: Source(**facts) for name, facts in tomllib.loads(_TABLE).items()} | {
    name: Source(facts.line, facts.licence, _MEDMNIST_CITATION, name, SIZES[0], facts.augmentation)
    for name, facts in MEDMNIST.items()
}


def read_source(
    name: str, size: int | None, seed: int, root: str | Path | None, options: Mapping[str, Any]
) -> tuple[dict[str, LesionDataset], dict[str, Any]]:
    """Read a named set.

    Parameters
    ----------
    name : str
        A key of `SOURCES`.
    size : int, optional
        Side of the images in pixels. MedMNIST sets come in 28, 64, 128 and 224 pixels, each from a file of its own.
    seed : int
        Of splits that the set does not tell.
    root : str or Path, optional
        Folder of sets. Where given, the set is looked for only there. Else it is looked for in the folder that
        CAREEDU_DATA names, then in the cache folder, and then downloaded, where that is possible.
    options : mapping
        Of sets with a table ``group`` and columns to choose rows by; of MedMNIST sets ``variant``, which opens
        ``<name>_<variant>.npz``.

    Returns
    -------
    parts : dict of str to LesionDataset
        ``"train"``, ``"val"`` and ``"test"``.
    facts : dict
        What was read, for the record, as JSON values.

    Raises
    ------
    MissingDataError
        If the set is not there, saying what to download from where to which folder.
    InvalidInputError
        If an option is unknown or the files cannot be used.
    """
    source = SOURCES[name]
    folders = _folders(root, source.folder)
    if name in MEDMNIST:
        return _read_medmnist(name, folders, size, root, options)
    from careedu.data.folder import read_folder

    folder = next((folder for folder in folders if (folder / TABLE).is_file()), None)
    if folder is None:
        raise MissingDataError(
            f"{name!r} is not on this machine (looked in {_listed(folders)}) and cannot be downloaded by careedu. "
            f"{source.advice}. Put it into {str(folders[0])!r} as {TABLE} with folders images/ and masks/ beside it; "
            "root= or the environment variable CAREEDU_DATA name another place, a folder of which "
            f"{source.folder!r} is a part. Phantoms need no download."
        )
    options = {**source.options, **options}
    size = source.size if size is None else size
    parts = read_folder(folder, size=size, seed=seed, advise=False, **folder_options(options))
    return parts, {"size": size, "options": dict(sorted(options.items()))}


def folder_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Tell the name of the group column from the columns to choose rows by, as `read_folder` takes them.

    Parameters
    ----------
    options : mapping
        Options of a set with a ``labels.csv``.

    Returns
    -------
    dict
        `FOLDER_OPTIONS`, None where they are not given, and ``where``, the wanted value of each further column.
    """
    where = {column: value for column, value in options.items() if column not in FOLDER_OPTIONS}
    return {**{option: options.get(option) for option in FOLDER_OPTIONS}, "where": where}


def _folders(root: str | Path | None, folder: str) -> list[Path]:
    if root is not None:
        return [Path(root).expanduser() / folder]
    named = os.environ.get("CAREEDU_DATA")
    return [*([Path(named).expanduser() / folder] if named else []), cache_folder() / folder]


def _listed(folders: list[Path]) -> str:
    return " and ".join(repr(str(folder)) for folder in folders)


def _read_medmnist(
    name: str, folders: list[Path], size: int | None, root: str | Path | None, options: Mapping[str, Any]
) -> tuple[dict[str, LesionDataset], dict[str, Any]]:
    for option in options:
        check_known(f"option of {name}", option, ["variant"])
    size = SOURCES[name].size if size is None else size
    if size not in SIZES:
        raise InvalidInputError(f"{name} comes in {', '.join(map(str, SIZES))} pixels, not in size={size}")
    variant = options.get("variant")
    if variant is not None and not (isinstance(variant, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", variant)):
        raise InvalidInputError(f"variant must be a word of letters and digits, not {variant!r}")
    # A file that was put together again from the sources may stand in for the official one.
    variants = [None, "rebuilt"] if variant is None else [variant]
    candidates = [folder / file_name(name, size, v) for folder in folders for v in variants]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None and variant is not None:
        pattern = re.compile(rf"{name}_([A-Za-z][A-Za-z0-9]*)\.npz")
        found = [m[1] for folder in folders for p in folder.glob("*.npz") if (m := pattern.match(p.name))]
        error = unknown_name(f"variant of {name}", variant, found)
        raise MissingDataError(f"there is no {file_name(name, size, variant)} in {_listed(folders)}: {error}")
    if path is None and root is not None:
        fault = f"there is no {file_name(name, size)} in {_listed(folders)}"
        raise MissingDataError(f"{fault}; leave root= out to have it downloaded")
    if path is None:
        path = download(name, size, cache_folder() / SOURCES[name].folder)
    parts, dropped = read_npz(path, name, size)
    return parts, {"size": size, "file": path.name, "dropped_as_duplicates": dropped}
