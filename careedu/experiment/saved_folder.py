"""A folder in which something is saved: a small JSON file, the record, and files of tensors that it names.

Saving again writes new files of tensors beside the old ones, moves the new record into the old one's place, and only
then removes what the old one named. So at each moment something whole can be opened, whoever is killed, on every file
system. The record's first line has the digest of all that follows it, and that has the digests of the tensors. What the
first careedu saved (format 1) has no digests and fixed names of files, and is opened too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from careedu.errors import CheckpointError, InvalidInputError
from careedu.experiment.saved_checks import check_text
from careedu.experiment.saved_weights import SavedWeights
from careedu.files import (
    UNREADABLE,
    is_partial,
    is_stale,
    read_tensors,
    storing,
    was_written_by_careedu,
    write_bytes,
    write_tensors,
)

if TYPE_CHECKING:
    import numpy as np

FORMAT = 4
_TRIES = 20
# Sixteen digits drawn anew whenever something is saved: so is nothing called that somebody else put there.
_TOKEN = "[0-9a-f]{16}"
_TENSORS = re.compile(rf"(arrays|weights(?:-\d+)?)-{_TOKEN}\.safetensors")
_TENSORS_OF_FORMAT_1 = re.compile(r"(?:arrays|weights(?:-\d+)?)\.safetensors")


@dataclass(frozen=True)
class Kind:
    """What is saved in a folder.

    Parameters
    ----------
    what, lacking, free : str
        In words: what it is, what a folder without it is told, and which part of its text users fill.
    record : str
        Name of the JSON file.
    keys : frozenset of str
        What it holds at least, by which it is told from files of others.
    beside : tuple of str
        Other files in which an older careedu kept something of it; they go when it is replaced.
    """

    what: str
    lacking: str
    free: str
    record: str
    keys: frozenset[str]
    beside: tuple[str, ...] = ()


def write_saved(
    folder: Path, kind: Kind, text: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]], *, force: bool = False
) -> Path:
    """Write a record and its tensors into a folder, in place of what was saved there. Files of others stay.

    Parameters
    ----------
    folder : Path
        Where it is missing, it appears whole or not at all.
    kind : Kind
    text : mapping
        JSON values.
    tensors : mapping of str to mapping of str to tensor or array
        ``"arrays"``, ``"weights"`` or ``"weights-<k>"`` → name → tensor.
    force : bool
        Whether a record that cannot be read is replaced too.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InvalidInputError
        If something else is in the folder, or the text is no JSON. Nothing is changed then.
    StorageError
        If it cannot be written. What was saved before stands, and nothing is left of the new.
    """
    checked_json(kind, text)
    if not force:
        check_replaceable(folder, kind)
    _sweep_beside(folder, kind)
    with storing(folder):
        if not folder.is_dir():
            new = folder.with_name(f".{folder.name}.{_token()}")
            try:
                new.mkdir(parents=True)
                _write_into(new, kind, text, tensors)
                new.rename(folder)
                return folder
            except OSError:
                if not folder.is_dir():
                    raise  # else another process was quicker
                if not force:
                    check_replaceable(folder, kind)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        _write_into(folder, kind, text, tensors)
    return folder


def checked_json(kind: Kind, text: Mapping[str, Any], part: str | None = None) -> str:
    """A record's text, or one part of it, as JSON.

    Raises
    ------
    InvalidInputError
        If it is none, or nobody could open it.
    """
    try:
        written = json.loads(json.dumps(text, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{kind.free} must hold finite JSON values ({error})") from error
    try:
        check_text(kind.record.removesuffix(".json"), written)
    except ValueError as error:
        raise InvalidInputError(f"this cannot be saved, as nobody could open it: {error}") from error
    return json.dumps(written if part is None else written[part])


def check_replaceable(folder: Path, kind: Kind) -> None:
    """Refuse a folder in which something else is: one that is neither missing nor empty nor proved to be ours.

    Raises
    ------
    InvalidInputError
        Naming what is there.
    """
    record = folder / kind.record
    with storing(folder):
        if record.is_file():
            try:
                _parsed(record, record.read_bytes(), kind)
                return
            except (ValueError, CheckpointError) as error:
                raise InvalidInputError(
                    f"{record} stays: it was not written by this careedu, or is damaged ({error}); move it away "
                    "or choose another folder"
                ) from error
        if not folder.exists():
            return
        others = sorted(path.name for path in folder.iterdir() if not _is_ours(path)) if folder.is_dir() else ["a file"]
    if others:
        told = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
        raise InvalidInputError(f"{folder} exists and {kind.lacking} ({told}); choose another folder")


def read_saved(folder: Path, kind: Kind) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, SavedWeights]]:
    """Read what `write_saved` wrote, though somebody may be replacing it.

    Returns
    -------
    text : dict
        What the record holds.
    arrays : dict of str to ndarray
        The tensors of ``"arrays"``.
    weights : dict of str to SavedWeights
        The others, of which nothing is read yet.

    Raises
    ------
    CheckpointError
        If the folder holds nothing of that kind, or something damaged, or of a newer careedu.
    """
    record = folder / kind.record
    with naming_damage(folder, kind):
        if not record.is_file():
            raise CheckpointError(f"no {kind.what} in {folder}: it has no {kind.record}")
        for _ in range(_TRIES):
            content = record.read_bytes()
            text = _parsed(record, content, kind, whole=True)
            try:
                files = _files(folder, text)
                path, digest = files.pop("arrays")
                arrays, _ = read_tensors(path, "numpy", digest)
                return text, arrays, {part: SavedWeights(*file) for part, file in files.items()}
            except (CheckpointError, OSError):
                # What an old record names is gone when a new one has taken its place in between.
                if record.read_bytes() == content:
                    raise
        raise CheckpointError(f"{folder} is written by other processes all the time; try again later")


@contextlib.contextmanager
def naming_damage(folder: Path, kind: Kind) -> Iterator[None]:
    """Name the folder in whatever its content makes go wrong inside."""
    try:
        yield
    except (*UNREADABLE, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"the {kind.what} in {folder} is damaged ({error!r}); make it again") from error


def _write_into(folder: Path, kind: Kind, text: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]) -> None:
    gone: set[str] = set()
    try:
        files = {}
        for part, content in tensors.items():
            path = folder / f"{part}-{_token()}.safetensors"
            gone.add(path.name)
            files[part] = {"file": path.name, "digest": write_tensors(path, content), "bytes": path.stat().st_size}
        body = json.dumps({"files": files, **text}, separators=(",", ":"))[1:] + "\n"
        head = json.dumps({"format": FORMAT, "digest": _digest(body)})[:-1] + ",\n"
        gone |= _named(folder, kind) or set()  # as late as this, so that of writers side by side little is left
        write_bytes(folder / kind.record, (head + body).encode())
        gone.update(kind.beside)
        # The new name is to be on the disk before the old files go; not all systems can say so.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    finally:
        _sweep(folder, kind, gone)


def _token() -> str:
    return uuid.uuid4().hex[:16]


def _digest(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()


def _refuse(number: str) -> None:
    raise ValueError(f"{number} is no number of JSON")


def _parsed(record: Path, content: bytes, kind: Kind, *, whole: bool = False) -> dict[str, Any]:
    """What a record holds; with `whole` it must be what was written, to the last letter."""
    lines = content.decode().replace("\r\n", "\n")
    try:
        text = json.loads(lines, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(text, dict) or type(text.get("format")) is not int or text["format"] < 1:
        raise ValueError(f"it is no record of a {kind.what}")
    if text["format"] > FORMAT:
        raise CheckpointError(f"{record} was saved by a newer careedu (format {text['format']}); update careedu")
    if not kind.keys <= text.keys():
        raise ValueError(f"it lacks {', '.join(sorted(kind.keys - text.keys()))}")
    if whole and text["format"] > 1 and text["digest"] != _digest(lines.partition("\n")[2]):
        raise ValueError(f"{kind.record} is not what was written")
    return text


def _files(folder: Path, text: Mapping[str, Any], *, looked_at: bool = True) -> dict[str, tuple[Path, str | None]]:
    """Of each part of the tensors the file, and the digest that it must have."""
    if text["format"] == 1:
        paths = (path for path in folder.iterdir() if _TENSORS_OF_FORMAT_1.fullmatch(path.name))
        return {"arrays": (folder / "arrays.safetensors", None), **{path.stem: (path, None) for path in paths}}
    files = {}
    for part, file in text["files"].items():
        path, digest = folder / file["file"], file["digest"]
        match = _TENSORS.fullmatch(file["file"])
        if match is None or match[1] != part or not isinstance(digest, str):
            raise ValueError(f"{file} is no file of ours")
        if looked_at and path.stat().st_size != file["bytes"]:
            raise ValueError(f"{path.name} is not as long as what was written")
        files[part] = (path, digest)
    return files


def _named(folder: Path, kind: Kind) -> set[str] | None:
    """Names of the files of tensors that the record names; None where it cannot be read."""
    record = folder / kind.record
    if not record.exists():
        return set()
    try:
        text = _parsed(record, record.read_bytes(), kind)
        return {path.name for path, _ in _files(folder, text, looked_at=False).values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, CheckpointError):
        return None


def _is_ours(path: Path) -> bool:
    """Whether a file holds tensors that were saved: by a name that nobody else gives, or by what it says of itself."""
    if path.is_symlink() or not path.is_file():
        return False
    if is_partial(path.name) or _TENSORS.fullmatch(path.name):
        return True
    return bool(_TENSORS_OF_FORMAT_1.fullmatch(path.name)) and was_written_by_careedu(path)


def tidy(folder: Path, kind: Kind) -> None:
    """Remove what killed writers left long ago, in a folder and beside it."""
    _sweep(folder, kind)
    _sweep_beside(folder, kind)


def _sweep(folder: Path, kind: Kind, gone: Iterable[str] = ()) -> None:
    """Remove files of ours that the record does not name: those in `gone`, and what killed writers left long ago."""
    live = _named(folder, kind)
    if live is None:
        return
    with contextlib.suppress(OSError):  # somebody has it open, where the system minds: at the next time
        # A copy of the record, or another kind's, may name them too.
        records = "".join(
            path.read_text(errors="replace") for path in folder.glob("*.json") if path.name != kind.record
        )
        for path in folder.iterdir():
            old = _TENSORS_OF_FORMAT_1.fullmatch(path.name)
            left = (_TENSORS.fullmatch(path.name) or old or is_partial(path.name)) and is_stale(path)
            if path.name in live or path.name in records or not (left or path.name in gone):
                continue
            if _is_ours(path) or (path.name in kind.beside and was_written_by_careedu(path)):
                path.unlink()


def _sweep_beside(folder: Path, kind: Kind) -> None:
    """Remove folders of writers that were killed long ago, before theirs had its name."""
    ours = re.compile(r"\..+\.[0-9a-f]{16,32}")
    old = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}")
    with contextlib.suppress(OSError):  # tidying is no reason to fail
        for path in folder.parent.iterdir():
            named = ours.fullmatch(path.name)
            # The first careedu's; nobody else may read those. One with a record may be all that is left of a result.
            if not named and not (old.fullmatch(path.name) and path.stat().st_mode & 0o077 == 0):
                continue
            files = [file for file in path.rglob("*") if file.is_symlink() or not file.is_dir()]
            known = all(_is_ours(file) or (named and file.name == kind.record) for file in files)
            known = known and not _named(path, kind)  # somebody may have called a whole one so
            if (files or named) and known and is_stale(path) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
