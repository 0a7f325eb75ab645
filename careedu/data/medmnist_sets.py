"""MedMNIST sets: what the package `medmnist` knows of them, read from ``.npz`` files and downloaded with a checksum.

The facts stand in ``medmnist_sets.toml``, so that reading a set needs no further package.
"""

from __future__ import annotations

import hashlib
import tomllib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError, MissingDataError

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset

SIZES = (28, 64, 128, 224)
RECORD = "https://zenodo.org/records/10519652"
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class MedMNISTSet:
    """The facts of one set.

    Parameters
    ----------
    line, licence, augmentation : str
        As in :class:`careedu.data.sources.Source`.
    classes : tuple of str
        Names in the order of the labels.
    channels : int
        1 (grey) or 3 (RGB).
    checksums : dict of int to str
        MD5 of the official file of each size in pixels.
    """

    line: str
    licence: str
    augmentation: str
    classes: tuple[str, ...]
    channels: int
    checksums: dict[int, str]


def _facts(classes: list[str], checksums: list[str], **others: Any) -> MedMNISTSet:
    return MedMNISTSet(classes=tuple(classes), checksums=dict(zip(SIZES, checksums, strict=True)), **others)


_TABLE = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
MEDMNIST = {name: _facts(**facts) for name, facts in tomllib.loads(_TABLE).items()}


def file_name(name: str, size: int, variant: str | None = None) -> str:
    """Name of the file of a set.

    Parameters
    ----------
    name : str
        A key of `MEDMNIST`.
    size : int
        One of `SIZES`.
    variant : str, optional
        A version of one's own.

    Returns
    -------
    str
    """
    parts = [name, *([variant] if variant else []), *([str(size)] if size != 28 else [])]
    return f"{'_'.join(parts)}.npz"


def download_address(name: str, size: int) -> str:
    """Address of the official file of a set in one of its sizes."""
    return f"{RECORD}/files/{file_name(name, size)}?download=1"


def download(name: str, size: int, folder: Path) -> Path:
    """Download the official file of a set, with a progress bar.

    Parameters
    ----------
    name : str
        A key of `MEDMNIST`.
    size : int
        One of `SIZES`.
    folder : Path
        Where to put it; made where it does not exist.

    Returns
    -------
    Path
        The file, whose checksum is right.

    Raises
    ------
    MissingDataError
        If it cannot be downloaded, or is not the official file. No file is left then.
    """
    import pooch

    address, target = download_address(name, size), folder / file_name(name, size)
    try:
        # It writes to a temporary name and moves the file when the checksum has been compared.
        pooch.retrieve(
            address,
            known_hash=f"md5:{MEDMNIST[name].checksums[size]}",
            fname=target.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=30),
        )
    except (OSError, ValueError) as error:  # of the network (requests' errors are OSErrors), and of the checksum
        raise MissingDataError(
            f"{name!r} ({size} pixels) is not on this machine and could not be downloaded: {error}\n"
            f"Download {address} by hand, put it at {str(target)!r} (or into <root>/{name}/ of a folder that root= or "
            "CAREEDU_DATA names), or work with phantoms, which need no download."
        ) from error
    return target


def read_npz(path: Path, name: str, size: int) -> tuple[dict[str, LesionDataset], dict[str, int]]:
    """Read a file in the MedMNIST layout.

    Parameters
    ----------
    path : Path
        An ``.npz`` with ``{train,val,test}_images`` uint8 (N, H, W) or (N, H, W, 3) and ``…_labels`` (N, 1).
    name : str
        A key of `MEDMNIST`.
    size : int
        Side of the images in pixels.

    Returns
    -------
    parts : dict of str to LesionDataset
        ``"train"``, ``"val"`` and ``"test"``. Patients are not known.
    dropped : dict of str to int
        How many images were left out of train and val because a later split has the very same pixels: a network that
        has seen an image proves nothing by knowing it.

    Raises
    ------
    InvalidInputError
        If it is no such file, or holds other images than those of this set and size.
    """
    import torch

    from careedu.data.dataset import LesionDataset

    facts = MEDMNIST[name]
    arrays = _arrays(path)
    shape = (size, size) if facts.channels == 1 else (size, size, 3)
    parts, dropped, seen = {}, {}, set()
    for split in reversed(_SPLITS):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            due = f"those of {name} in {size} pixels uint8 {('N', *shape)}"
            fault = f"{path.name}: {split}_images are {images.dtype} {images.shape}, {due}"
            raise InvalidInputError(f"{fault}; check that it is the file of this set and size")
        if labels.shape != (len(images), 1) or labels.dtype.kind not in "iu":
            due = f"they must be whole numbers {(len(images), 1)}"
            raise InvalidInputError(f"{path.name}: {split}_labels are {labels.dtype} {labels.shape}, {due}")
        labels = labels[:, 0].astype(np.int64)
        absent = set(range(len(facts.classes))) - set(labels.tolist())
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(facts.classes):
            raise InvalidInputError(f"{path.name}: {split}_labels must lie from 0 to {len(facts.classes) - 1}")
        if split == "train" and absent:
            raise InvalidInputError(f"{path.name}: class {facts.classes[min(absent)]!r} has no training image")
        digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        rows = np.flatnonzero([digest not in seen for digest in digests])
        seen.update(digests)
        dropped[split] = len(images) - len(rows)
        images = images[rows].reshape(-1, size, size, facts.channels).transpose(0, 3, 1, 2)
        parts[split] = LesionDataset(
            images=torch.from_numpy(np.ascontiguousarray(images)),
            labels=torch.from_numpy(labels[rows]),
            classes=facts.classes,
            ids=[f"{split}-{row}" for row in rows],
        )
    return {split: parts[split] for split in _SPLITS}, {split: dropped[split] for split in ("train", "val")}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    names = [f"{split}_{what}" for split in _SPLITS for what in ("images", "labels")]
    try:
        # A pickled array could run anything.
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in names if key in file}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        fault = f"{str(path)!r} cannot be read as a MedMNIST file ({error})"
        raise InvalidInputError(f"{fault}; remove it and download it again") from error
    if missing := [key for key in names if key not in arrays]:
        raise InvalidInputError(f"{path.name} lacks {', '.join(missing)}; it is not in the MedMNIST layout")
    return arrays
