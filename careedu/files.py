"""Files that are whole or not there, and files of tensors that know by a digest whether they are what was written.

A file is written under a hidden name beside its own and moved into place; what killed writers leave of that goes an
hour later. Tensors and a JSON state go into one safetensors file; nothing is pickled.
"""

import contextlib
import hashlib
import json
import lzma
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from careedu.errors import CheckpointError, InvalidInputError, StorageError

STALE_SECONDS = 3600
"""So old is what nobody is writing any more."""
_MOST_TRIED = 1 << 26
# In safetensors' words.
_TYPES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"{sign}int{bits}": f"{sign.upper() or 'I'}{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "bool": "BOOL",
}
UNREADABLE = (SafetensorError, lzma.LZMAError, OSError, ValueError, LookupError, TypeError, AttributeError)
"""What is raised where a damaged file is read, or one that is packed."""
_FOUR_BYTES = {"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 2}
_PARTIAL = re.compile(r"\..+\.[0-9a-f]{32}\.partial")


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing to `path` into a `StorageError` that names the remedy."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} cannot be written ({error.strerror or error}): make room on the disk, mend the permissions "
            "or choose another place"
        ) from error


def check_writable(folder: Path, room: int = 1 << 20) -> None:
    """Try whether so many bytes, or 64 MiB where it is more, can be written to a folder, or where it would be made.

    Raises
    ------
    StorageError
        If not.
    """
    with storing(folder):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=there, prefix=".writable.") as file:
            file.write(bytes(min(room, _MOST_TRIED)))


def write_bytes(path: Path, *content: bytes | np.ndarray) -> None:
    """Write a file, from one piece or several, at once or not at all.

    Raises
    ------
    StorageError
        If it cannot be written: what stood there stands, and nothing is left of the new one.
    """
    path = Path(path)
    # A name of its own for each writer, on whatever machine: two may write the same file at once; the last one stays.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with contextlib.suppress(OSError):  # a disk that is read-only refuses this too
                partial.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the file stands, whether or not others can be tidied away
        for left in path.parent.iterdir():
            if is_partial(left.name) and is_stale(left):
                left.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Whether a file of that name can only be what `write_bytes` had not finished."""
    return _PARTIAL.fullmatch(name) is not None


def is_stale(path: Path, seconds: float = STALE_SECONDS) -> bool:
    """Whether what is left at a path is too old to be somebody's who is still writing."""
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:
        return False  # its writer has just finished


def write_tensors(path: Path, tensors: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> str:
    """Write tensors and a JSON state into one file, at once or not at all.

    Parameters
    ----------
    path : Path
        Of the file; its folder is made where it is missing.
    tensors : mapping of str to torch tensor or numpy array
        All of the one kind.
    state : mapping, optional
        JSON values, kept in the file's header.

    Returns
    -------
    str
        Digest of all that, 32 hexadecimal digits, which the file holds too.

    Raises
    ------
    StorageError
        If it cannot be written.
    InvalidInputError
        If a tensor is of a type that cannot be saved.
    """
    state = dict(state or {})
    arrays = {name: _content(tensor) for name, tensor in tensors.items()}
    digest = _digest(tensors, arrays, state)
    # By hand, as safetensors' own `save` holds all of it twice more, and `save_file` leaves files of its own names when
    # it is killed. Those with large elements first, so that each lies where its type wants it.
    header: dict[str, Any] = {"__metadata__": {"careedu": json.dumps({"digest": digest, "state": state})}}
    names, end = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)), 0
    for name in names:
        start, end = end, end + arrays[name].nbytes
        shape = list(tensors[name].shape)
        if _type(tensors[name]) not in _TYPES:
            raise InvalidInputError(f"{name!r} is {_type(tensors[name])}; only {', '.join(_TYPES)} can be saved")
        header[name] = {"dtype": _TYPES[_type(tensors[name])], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, len(text).to_bytes(8, "little"), text, *(arrays[name] for name in names))
    return digest


def _type(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _content(tensor: Any) -> np.ndarray:
    """A tensor as an array in row-major order; of its bytes where numpy does not know its type."""
    if isinstance(tensor, np.ndarray):
        return np.asarray(tensor, tensor.dtype.newbyteorder("<"), order="C")
    tensor = tensor.detach().cpu().contiguous()
    try:
        return tensor.numpy()
    except TypeError:
        import torch

        return tensor.reshape(-1).view(torch.uint8).numpy()


def _digest(tensors: Mapping[str, Any], arrays: Mapping[str, np.ndarray], state: Any) -> str:
    names = sorted(tensors)
    facts = [[name, _type(tensors[name]), list(tensors[name].shape)] for name in names]
    digest = hashlib.blake2b(json.dumps([state, facts]).encode(), digest_size=16)
    for name in names:
        digest.update(arrays[name])
    return digest.hexdigest()


def tensor_names(path: Path) -> tuple[str, ...]:
    """Names of the tensors in a file; it is opened as far as its header, and needs no torch.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or shorter than its header says.
    """
    with _reading(path), safe_open(path, framework="numpy") as file:
        return tuple(file.keys())


def was_written_by_careedu(path: Path) -> bool:
    """Whether a file says of itself that `write_tensors` wrote it, and not for a training that is to go on."""
    try:
        with _reading(path), safe_open(path, framework="numpy") as file:
            kept = (file.metadata() or {}).get("careedu")
            return kept is not None and '"optimizers"' not in kept
    except CheckpointError:
        return False


def read_tensors(path: Path, framework: str = "pt", digest: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Parameters
    ----------
    path : Path
    framework : str
        ``"pt"`` for torch tensors, ``"numpy"`` for arrays (and no torch).
    digest : str, optional
        That the file must have. Files of the first careedu have none, and are taken as they are where none is asked
        for.

    Returns
    -------
    tensors : dict
    state : dict

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or not ours.
    """
    path = Path(path)
    with _reading(path):
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            if "careedu" not in metadata:
                raise CheckpointError(f"{path} was not written by careedu; name another file")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        kept = json.loads(metadata["careedu"])
        # Either word, so that one that is damaged makes no older file of it.
        if digest is None and not kept.keys() & {"digest", "state"}:
            return tensors, kept
        arrays = {name: _content(tensor) for name, tensor in tensors.items()}
        if not _digest(tensors, arrays, kept["state"]) == kept["digest"] == (digest or kept["digest"]):
            raise ValueError("its content is not what was written")
        return tensors, kept["state"]


def packed(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays as one, ``"packed"``: a safetensors file of them, compressed (xz).

    Raises
    ------
    InvalidInputError
        If one is of a type that cannot be saved.
    """
    try:
        # Row by row: safetensors takes the bytes as they lie.
        whole = safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    except SafetensorError as error:
        raise InvalidInputError(f"an array is of a type that cannot be saved: {error}") from error
    # Most of what is saved are numbers of four bytes: so many places of a byte are told apart, and bits before it not.
    return {"packed": np.frombuffer(lzma.compress(whole, filters=[_FOUR_BYTES]), np.uint8)}


def unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `packed` was given; arrays that are not packed as they are."""
    return safetensors.numpy.load(lzma.decompress(arrays["packed"])) if "packed" in arrays else dict(arrays)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not Path(path).is_file():
        raise CheckpointError(f"no file {path}")
    try:
        yield
    except (*UNREADABLE, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it and run again") from error
