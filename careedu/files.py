"""Files and folders that are whole or not there: written aside and moved into place.

Tensors and a JSON state go into one safetensors file; nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from careedu.errors import CheckpointError


def write_tensors(path: Path, tensors: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> None:
    """Write tensors and a JSON state into one file, at once or not at all.

    Parameters
    ----------
    path : Path
        Of the file; its folder is made where it is missing.
    tensors : mapping of str to torch tensor or numpy array
        All of the one kind.
    state : mapping, optional
        JSON values, kept in the file's header.
    """
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save

        payload = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    else:
        from safetensors.torch import save

        payload, places = {}, set()
        for name, tensor in tensors.items():
            tensor = tensor.detach().cpu().contiguous()
            place = tensor.untyped_storage().data_ptr()
            # Tensors of one memory, as parts that a network holds twice have, are each written.
            payload[name] = tensor.clone() if place in places else tensor
            places.add(place)
    write_bytes(path, save(payload, metadata={"careedu": json.dumps(dict(state or {}))}))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside its own, flush it to the disk, and move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer, on whatever machine: two may write the same file at once; the last one stays.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `target` if all goes well and vanishes if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Move `new` to `target`; an older folder there is set aside first, as folders cannot be replaced in one step.

    Another process may put its own there in between: then that one is set aside, and it is tried again.
    """
    for _ in range(20):
        try:
            new.rename(target)
            return
        except OSError as error:
            # Not by `exists` alone: the one that was in the way may have been set aside since.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not target.exists():
                raise
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        with contextlib.suppress(FileNotFoundError):  # the other process has set it aside itself
            target.rename(aside / target.name)
        shutil.rmtree(aside)
    raise CheckpointError(f"{target} is written by other processes all the time; save elsewhere")


def tensor_names(path: Path) -> tuple[str, ...]:
    """Names of the tensors in a file; it is opened as far as its header, and needs no torch.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or shorter than its header says.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            return tuple(file.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it and run again") from error


def read_tensors(path: Path, framework: str = "pt") -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Parameters
    ----------
    path : Path
    framework : str
        ``"pt"`` for torch tensors, ``"numpy"`` for arrays (and no torch).

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
    if not path.is_file():
        raise CheckpointError(f"no file {path}")
    try:
        with safe_open(path, framework=framework) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            metadata = file.metadata() or {}
        if "careedu" not in metadata:
            raise CheckpointError(f"{path} was not written by careedu; name another file")
        return tensors, json.loads(metadata["careedu"])
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it and run again") from error
