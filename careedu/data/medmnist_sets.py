"""MedMNIST sets: what the package `medmnist` knows of them, read from ``.npz`` files and downloaded with a checksum.

The facts stand here so that reading a file needs no further package; a test holds them against ``medmnist.INFO``.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    classes : tuple of str
        Names in the order of the labels.
    channels : int
        1 (grey) or 3 (RGB).
    checksums : dict of int to str
        MD5 of the official file of each size in pixels.
    """

    classes: tuple[str, ...]
    channels: int
    checksums: dict[int, str]


MEDMNIST = {
    "pneumoniamnist": MedMNISTSet(
        ("normal", "pneumonia"),
        1,
        {
            28: "28209eda62fecd6e6a2d98b1501bb15f",
            64: "8f4eceb4ccffa70c672198ea285246c6",
            128: "05b46931834c231683c68f40c47b2971",
            224: "d6a3c71de1b945ea11211b03746c1fe1",
        },
    ),
    "dermamnist": MedMNISTSet(
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        3,
        {
            28: "0744692d530f8e62ec473284d019b0c7",
            64: "b70a2f5635c6199aeaa28c31d7202e1f",
            128: "2defd784463fa5243564e855ed717de1",
            224: "8974907d8e169bef5f5b96bc506ae45d",
        },
    ),
    "bloodmnist": MedMNISTSet(
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        3,
        {
            28: "7053d0359d879ad8a5505303e11de1dc",
            64: "2b94928a2ae4916078ca51e05b6b800b",
            128: "adace1e0ed228fccda1f39692059dd4c",
            224: "b718ff6835fcbdb22ba9eacccd7b2601",
        },
    ),
    "retinamnist": MedMNISTSet(
        ("0", "1", "2", "3", "4"),
        3,
        {
            28: "bd4c0672f1bba3e3a89f0e4e876791e4",
            64: "afda852cc34dcda56f86ad2b2457dbcc",
            128: "e48e916a24454daf90583d4e6efb1a18",
            224: "eae7e3b6f3fcbda4ae613ebdcbe35348",
        },
    ),
    "breastmnist": MedMNISTSet(
        ("malignant", "normal, benign"),
        1,
        {
            28: "750601b1f35ba3300ea97c75c52ff8f6",
            64: "742edef2a1fd1524b2efff4bd7ba9364",
            128: "363e4b3f8d712e9b5de15470a2aaadf1",
            224: "b56378a6eefa9fed602bb16d192d4c8b",
        },
    ),
    "organamnist": MedMNISTSet(
        (
            "bladder",
            "femur-left",
            "femur-right",
            "heart",
            "kidney-left",
            "kidney-right",
            "liver",
            "lung-left",
            "lung-right",
            "pancreas",
            "spleen",
        ),
        1,
        {
            28: "68e3f8846a6bd62f0c9bf841c0d9eacc",
            64: "2dcccc29b88e6da5a01161ef20cda288",
            128: "eeae80d0a227a8d099027e1b3cfd3b60",
            224: "50747347e05c87dd3aaf92c49f9f3170",
        },
    ),
}


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
            raise InvalidInputError(
                f"{path.name}: {split}_images are {images.dtype} {images.shape}, those of {name} in {size} pixels "
                f"uint8 {('N', *shape)}; check that it is the file of this set and size"
            )
        if labels.shape != (len(images), 1) or labels.dtype.kind not in "iu":
            raise InvalidInputError(
                f"{path.name}: {split}_labels are {labels.dtype} {labels.shape}, they must be whole numbers "
                f"{(len(images), 1)}"
            )
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
        images = images[rows]
        images = images[:, None] if facts.channels == 1 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        parts[split] = LesionDataset(
            images=torch.from_numpy(images),
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
            missing = [key for key in names if key not in file]
            if missing:
                raise InvalidInputError(f"{path.name} lacks {', '.join(missing)}; it is not in the MedMNIST layout")
            return {key: file[key] for key in names}
    except InvalidInputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInputError(
            f"{str(path)!r} cannot be read as a MedMNIST file ({error}); remove it and download it again"
        ) from error
