"""Hashes of large arrays, a piece at a time: images that are mapped into memory are never copied whole."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_PIECE = 1 << 22


def add_array(digest: Any, array: np.ndarray | Tensor) -> None:
    """Add an array's content, its bytes in row-major order, to a hash.

    Parameters
    ----------
    digest : hashlib object
        Its ``update`` is called with at most 4 MiB at a time, or with one row where that is larger.
    array : array or Tensor
        Of any shape, memory order and device, in memory or mapped into it.
    """
    if array.ndim == 0:
        array = array.reshape(1)
    rows = max(1, _PIECE // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        piece = array[start : start + rows]
        piece = piece if isinstance(piece, np.ndarray) else piece.cpu().numpy()
        digest.update(np.ascontiguousarray(piece))


def digest(values: Any) -> str:
    """Hash of JSON values, 24 hexadecimal digits."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def content_digest(*arrays: np.ndarray | Tensor, size: int = 12) -> str:
    """BLAKE2b hash of the bytes of arrays one after another; shapes and types are not part of it.

    Parameters
    ----------
    *arrays : array or Tensor
    size : int
        Bytes of the hash.

    Returns
    -------
    str
        2 `size` hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=size)
    for array in arrays:
        add_array(digest, array)
    return digest.hexdigest()
