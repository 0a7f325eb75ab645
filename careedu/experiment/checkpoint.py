"""Files that are whole or not there: tensors and JSON in one safetensors file, written aside and moved into place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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

        payload = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(payload, metadata={"careedu": json.dumps(dict(state or {}))}))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside its own, flush it to the disk, and move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it and run again") from error
    if "careedu" not in metadata:
        raise CheckpointError(f"{path} was not written by careedu; name another file")
    return tensors, json.loads(metadata["careedu"])
