"""Decoded images kept between sessions, as arrays that are mapped into memory instead of read.

An entry of the cache is a folder of ``.npy`` files with a manifest of their checksums. It appears under its name only
when it is whole, by one rename, so that writers at the same time and writers that are killed do no harm. An entry that
does not match its manifest is made anew.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from careedu.errors import StorageError, check_number
from careedu.files import is_stale, storing

_MANIFEST = "manifest.json"
_PARTIAL = "partial-"
_STALE_SECONDS = 24 * 3600
_LIMIT_GIGABYTES = 20.0

Batches = Callable[[], Iterator[dict[str, np.ndarray]]]


def cache_folder() -> Path:
    """Folder where careedu keeps what it made or downloaded.

    Returns
    -------
    Path
        What the environment variable CAREEDU_CACHE names, else the user's cache. It need not exist yet.
    """
    if named := os.environ.get("CAREEDU_CACHE"):
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("careedu"))


def cached_arrays(key: str, length: int, batches: Batches) -> dict[str, np.ndarray]:
    """Take arrays from the cache, or make them and keep them there.

    Parameters
    ----------
    key : str
        Hash of everything the arrays depend on, of letters and digits.
    length : int
        Their length along the first axis.
    batches : callable
        Makes them, batch by batch: ``batches()`` iterates over dicts of arrays that share their names, types and
        further axes. It is called only where the cache has nothing, and again where the cache cannot be written. What
        it raises passes through, and nothing is kept then.

    Returns
    -------
    dict of str to array
        Mapped into memory; changing them changes no file. Plain arrays, with a warning, where the cache folder cannot
        be written.
    """
    entry = cache_folder() / "decoded" / key
    arrays = _open(entry)
    reason: Any = "what was written cannot be read back"
    if arrays is None:
        try:
            _write(entry, length, batches)
            arrays = _open(entry)
            _drop_oldest(entry)
        except StorageError as error:  # work goes on without it
            reason = error.__cause__
    if arrays is not None:
        return arrays
    warnings.warn(
        f"decoded images cannot be kept in {str(entry.parent)!r} ({reason}), so they are decoded each time; make the "
        "folder writable, or set CAREEDU_CACHE to another one",
        stacklevel=2,
    )
    parts = list(batches())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def cached_entries() -> list[tuple[Path, int, float]]:
    """Decoded sets that are kept.

    Returns
    -------
    list of (Path, int, float)
        Folder, bytes and time of last use (seconds since 1970) of each, the one longest unused first.
    """
    found = []
    for manifest in (cache_folder() / "decoded").glob(f"*/{_MANIFEST}"):
        with contextlib.suppress(OSError):  # another process may be removing it
            size = sum(path.stat().st_size for path in manifest.parent.iterdir())
            found.append((manifest.parent, size, manifest.stat().st_mtime))
    return sorted(found, key=lambda entry: entry[2])


def clear_cache() -> int:
    """Remove all decoded sets, which are made again where they are needed.

    Returns
    -------
    int
        Bytes that were freed.
    """
    entries = cached_entries()
    for entry, _, _ in entries:
        _discard(entry)
    return sum(size for _, size, _ in entries)


def cache_limit() -> int:
    """Bytes of decoded sets that are kept: CAREEDU_CACHE_LIMIT in gigabytes, else 20.

    Returns
    -------
    int

    Raises
    ------
    InvalidInputError
        If the variable is no number above 0.
    """
    said = os.environ.get("CAREEDU_CACHE_LIMIT", str(_LIMIT_GIGABYTES))
    try:
        limit = float(said)
    except ValueError:
        limit = float("nan")
    check_number("CAREEDU_CACHE_LIMIT", limit, "(0, inf)", f"it counts gigabytes, and reads {said!r}")
    return int(limit * 1e9)


def _drop_oldest(new: Path) -> None:
    """Keep to the limit; the set that was just made stays in any case."""
    entries, limit = cached_entries(), cache_limit()
    total = sum(size for _, size, _ in entries)
    for entry, size, _ in entries:
        if total > limit and entry != new:
            _discard(entry)
            total -= size


def _open(entry: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an entry, or None if it is missing or damaged (a damaged one is removed)."""
    try:
        digests = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))["digests"]
        if not digests:
            raise ValueError("it names no file")
        for name, digest in digests.items():
            with (entry / name).open("rb") as file:
                if hashlib.file_digest(file, "blake2b").hexdigest() != digest:
                    raise ValueError(f"{name} is not what was written")
        with contextlib.suppress(OSError):  # when it was used last; a cache that may only be read serves as well
            (entry / _MANIFEST).touch()
        # "c": changes stay in memory, so that no careless line of a notebook alters what is kept.
        return {Path(name).stem: np.load(entry / name, mmap_mode="c", allow_pickle=False) for name in digests}
    except FileNotFoundError:
        if not entry.exists():
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # damaged, and dealt with below
    _discard(entry)
    return None


def _discard(entry: Path) -> None:
    try:
        aside = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=entry.parent))
        entry.replace(aside / entry.name)
    except OSError:
        return  # it is not ours to remove, or another process was quicker; _write finds out
    shutil.rmtree(aside, ignore_errors=True)


def _write(entry: Path, length: int, batches: Batches) -> None:
    with storing(entry):
        entry.parent.mkdir(parents=True, exist_ok=True)
        for path in entry.parent.glob(f"{_PARTIAL}*"):  # of writers that were killed long ago
            if is_stale(path, _STALE_SECONDS):
                shutil.rmtree(path, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=entry.parent))
    try:
        _fill(staging, length, batches)
        with storing(entry):
            try:
                staging.replace(entry)
            except OSError:
                # Another process may have put the same entry there first; then there is nothing left to do.
                if not (entry / _MANIFEST).is_file():
                    raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fill(staging: Path, length: int, batches: Batches) -> None:
    files: dict[str, Any] = {}
    digests: dict[str, Any] = {}
    try:
        for batch in batches():
            with storing(staging):
                for name, array in batch.items():
                    array = np.ascontiguousarray(array)
                    pieces = [array.data]
                    if name not in files:
                        files[name] = (staging / f"{name}.npy").open("wb")
                        digests[name] = hashlib.blake2b()
                        pieces.insert(0, _npy_header(array, length))
                    for piece in pieces:
                        files[name].write(piece)
                        digests[name].update(piece)
        with storing(staging):
            for file in files.values():
                file.close()
            manifest = {"digests": {f"{name}.npy": digest.hexdigest() for name, digest in digests.items()}}
            (staging / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    finally:
        for file in files.values():
            with contextlib.suppress(OSError):  # closing writes what is still held; all that fails has been told by now
                file.close()


def _npy_header(array: np.ndarray, length: int) -> bytes:
    header = io.BytesIO()
    description = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(header, {**description, "shape": (length, *array.shape[1:])})
    return header.getvalue()
