"""From image files to uint8 arrays: decoded, brought to one size, checked against what the table says of them.

Pixels are taken as they are stored: an EXIF orientation is not applied, because boxes and masks refer to stored pixels.
An alpha channel is dropped. What more than 8 bits become, :mod:`careedu.data.depth` tells, and what of a mask is lesion
:mod:`careedu.data.mask_levels`.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm

from careedu.data import mask_levels
from careedu.data.depth import DEEP_GREY, Window, brightness, is_deep, stored_values
from careedu.data.faults import Faults
from careedu.data.labels import Entry, Lesion
from careedu.errors import InvalidInputError

# Named, so that no other plugin of Pillow is tried on files of others (that of EPS starts a program).
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
_GREY = ("1", "L", "LA", *DEEP_GREY)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
# Large enough to keep the threads busy, small enough that a batch in flight costs little memory.
_BATCH = 64
_BAR_FROM = 2000


@dataclass(frozen=True)
class Reading:
    """How files are read: side in pixels, window of brightness, what of a mask is lesion (None: as by default)."""

    size: int | None = None
    window: Window | None = None
    lesion: mask_levels.Lesion = None


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded; sizes in pixels, and whether it has more than 8 bits."""

    mode: str
    width: int
    height: int
    deep: bool


def decode(entries: Sequence[Entry], reading: Reading, faults: Faults) -> Iterator[dict[str, np.ndarray]]:
    """Decode the images and masks of a table.

    Parameters
    ----------
    entries : sequence of Entry
        The images, N of them.
    reading : Reading
        Images are stretched to its size (bilinear, antialiased), or left as they are.
    faults : Faults
        What is already known to be wrong. More is added; nothing is yielded once there is any.

    Yields
    ------
    dict of str to array
        Batches, in order: ``images`` uint8 (n, C, H, W), C being 1 where all N images are grey and 3 where any is not;
        ``boxes`` float32 (n, 4) with NaN rows where there is none; ``has_mask`` and ``lesion_free`` bool (n,);
        ``stored`` int64 (n, 2), width and height of the files; ``deep`` bool (n,), whether they have more than 8 bits;
        and, where any of the N has a mask, ``masks`` bool (n, H, W).

    Raises
    ------
    InvalidInputError
        At the end, reporting all faults together.
    """

    def header_of(entry: Entry) -> Header | None:
        with faults.noted(entry.row, entry.image):
            return read_header(entry)

    n = len(entries)
    bar = tqdm(total=n, desc="decoding images", unit=" images", disable=n < _BAR_FROM, leave=False)
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = list(pool.map(header_of, entries))
        if reading.size is None:
            _check_one_size(entries, headers, faults)
        channels = 1 if all(header is None or header.mode in _GREY for header in headers) else 3
        with_masks = any(lesion.mask for entry in entries for lesion in entry.lesions)

        def one(entry: Entry, header: Header | None) -> dict[str, np.ndarray] | None:
            return None if header is None else _decode_entry(entry, header, channels, reading, with_masks, faults)

        for start in range(0, n, _BATCH):
            stop = start + _BATCH
            done = list(pool.map(one, entries[start:stop], headers[start:stop]))
            bar.update(len(done))
            if not faults:
                yield {name: np.stack([parts[name] for parts in done]) for name in done[0]}
    if faults:
        raise faults.error()


def read_header(entry: Entry) -> Header:
    """Read mode and size of an image without decoding it.

    Parameters
    ----------
    entry : Entry
        Of which the file is looked at.

    Returns
    -------
    Header

    Raises
    ------
    InvalidInputError
        If it is not an image, or several in one file.
    """
    with _opened(entry.path, "image") as image:
        # Phones store previews behind a JPEG (then called MPO); those are no frames.
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if frames > 1:
            raise InvalidInputError(f"the image holds {frames} frames; save each as an image with a row of its own")
        return Header(image.mode, *image.size, is_deep(image, entry.path))


def read_image(path: Path, channels: int, size: int | None, window: Window | None = None) -> np.ndarray:
    """Decode an image.

    Parameters
    ----------
    path : Path
        The file.
    channels : int
        1 (grey) or 3 (RGB).
    size : int, optional
        Side in pixels that it is stretched to.
    window : (float, float), optional
        As in :func:`careedu.data.depth.brightness`. Images of 8 bits keep their numbers where it is not given.

    Returns
    -------
    array
        uint8 (channels, H, W).

    Raises
    ------
    InvalidInputError
        If it is broken.
    """
    with _opened(path, "image") as image:
        values = stored_values(image, path)
        if values is not None:
            image = Image.fromarray(brightness(values, window))
        image = image.convert("L" if channels == 1 else "RGB")
        if values is None and window is not None:
            image = Image.fromarray(brightness(np.asarray(image), window))
        if size is not None and image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_mask(path: Path, width: int, height: int, lesion: mask_levels.Lesion = None) -> np.ndarray:
    """Decode a mask.

    Parameters
    ----------
    path : Path
        The file.
    width, height : int
        Size of its image in pixels.
    lesion : "above 0" or sequence of int, optional
        As in :func:`careedu.data.mask_levels.lesion_pixels`.

    Returns
    -------
    array
        bool (height, width); all false where the image has no lesion.

    Raises
    ------
    InvalidInputError
        If it is broken, of another size than its image, or does not tell which pixels are lesion.
    """
    with _opened(path, "mask") as mask:
        if getattr(mask, "n_frames", 1) > 1 and mask.format != "MPO":
            raise InvalidInputError(f"the mask holds {mask.n_frames} frames; save the one that belongs to the image")
        if mask.size != (width, height):
            fault = f"the mask is {mask.size[0]}x{mask.size[1]} pixels, its image {width}x{height}"
            raise InvalidInputError(f"{fault}; save it in the image's size")
        return mask_levels.lesion_pixels(mask, path, lesion)


def resized_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Bring a mask to another size so that its area stays true and it never vanishes.

    Parameters
    ----------
    mask : array
        bool (H, W), true somewhere.
    size : int
        Side of the result in pixels.

    Returns
    -------
    array
        bool (size, size): pixels at least half of which the lesion covers. Taking the nearest pixel instead would tear
        thin lesions, and may miss small ones. Where a lesion covers half of no pixel, the ones it covers most are kept.
    """
    if mask.shape == (size, size):
        return mask
    # As floats, since a lesion may cover less of a large pixel than 1/255.
    exact = Image.fromarray(mask.astype(np.float32))
    cover = np.asarray(exact.resize((size, size), Image.Resampling.BOX))
    return cover >= min(0.5 - 1e-6, cover.max())


def _decode_entry(
    entry: Entry, header: Header, channels: int, reading: Reading, with_masks: bool, faults: Faults
) -> dict[str, np.ndarray] | None:
    before, boxes, masks = len(faults.rows), [], {}
    with faults.noted(entry.row, entry.image):
        image = read_image(entry.path, channels, reading.size, reading.window)
    for lesion in entry.lesions:
        with faults.noted(lesion.row, entry.image):
            if lesion.mask is not None and lesion.mask not in masks:
                masks[lesion.mask] = read_mask(lesion.mask, header.width, header.height, reading.lesion)
            shown = lesion.mask is not None and bool(masks[lesion.mask].any())
            if lesion.mask is not None and lesion.box is not None and shown != bool(lesion.box):
                which = "is empty, but the row has a box" if lesion.box else "shows a lesion, but the box is empty"
                raise InvalidInputError(f"the mask {which}; mend one of the two")
            if lesion.box or shown:
                boxes.append(_box(lesion, header, masks))
    if len(faults.rows) > before:
        return None
    height, width = image.shape[1:]
    union = np.any(list(masks.values()), axis=0) if masks else np.zeros((header.height, header.width), dtype=bool)
    parts = {
        "images": image,
        "boxes": _enclosing(boxes, header, width, height),
        # An empty mask says that there is no lesion. No method learns from it: what has no lesion has no mask to learn.
        "has_mask": union.any(),
        "lesion_free": np.array(bool(entry.lesions) and not union.any() and not boxes),
        "stored": np.array([header.width, header.height]),
        "deep": np.array(header.deep),
    }
    if parts["has_mask"]:
        parts["masks"] = union if reading.size is None else resized_mask(union, reading.size)
    elif with_masks:
        parts["masks"] = np.zeros((height, width), dtype=bool)
    return parts


def _box(lesion: Lesion, header: Header, masks: dict[Path, np.ndarray]) -> tuple[float, float, float, float]:
    if lesion.box is None:
        columns, rows = (np.flatnonzero(masks[lesion.mask].any(axis=axis)) for axis in (0, 1))
        return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    if lesion.fraction:
        return tuple(np.multiply(lesion.box, [header.width, header.height] * 2))
    x1, y1 = lesion.box[2:]
    if x1 > header.width or y1 > header.height:
        fault = f"the box ends at x1={x1:g}, y1={y1:g}, outside the image of {header.width}x{header.height} pixels"
        remedy = "x1 and y1 are exclusive, in pixels of the stored image; other forms are named by box_format="
        raise InvalidInputError(f"{fault}; {remedy}")
    return lesion.box


def _enclosing(boxes: list[tuple[float, ...]], header: Header, width: int, height: int) -> np.ndarray:
    """Box around all boxes, in pixels of the resized image, at least one pixel wide and high."""
    if not boxes:
        return np.full(4, np.nan, dtype=np.float32)
    every, side = np.array(boxes, dtype=np.float64), np.array([width, height])
    scale = side / [header.width, header.height]
    low, high = every[:, :2].min(axis=0) * scale, every[:, 2:].max(axis=0) * scale
    short = np.maximum(1 - (high - low), 0) / 2 if tuple(side) != (header.width, header.height) else 0.0
    low, high = low - short, high + short
    # Widening may have pushed it over an edge.
    shift = np.maximum(-low, 0) - np.maximum(high - side, 0)
    return np.concatenate([np.maximum(low + shift, 0), np.minimum(high + shift, side)]).astype(np.float32)


def _check_one_size(entries: Sequence[Entry], headers: Sequence[Header | None], faults: Faults) -> None:
    firsts: dict[str, Entry] = {}  # of each size
    for entry, header in zip(entries, headers, strict=True):
        if header is not None:
            firsts.setdefault(f"{header.width}x{header.height}", entry)
    if len(firsts) > 1:
        (usual, first), (size, entry), *_ = firsts.items()
        text = f"the images differ in size: row {first.row} ({first.image}) has {usual} pixels"
        remedy = "give size=, for instance size=112, to bring all to one"
        faults.add_whole(f"{text}, row {entry.row} ({entry.image}) {size}; {remedy}")


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[Image.Image]:
    """Open an image file; whatever goes wrong inside the block is told in our words."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except InvalidInputError:
        raise
    except _BROKEN as error:
        fault = f"is broken or truncated ({error}); copy it again from its source"
        if isinstance(error, UnidentifiedImageError):
            fault = f"is not an image that can be read ({', '.join(FORMATS)}); export it as PNG"
        elif isinstance(error, Image.DecompressionBombError):
            fault = f"has more pixels than are read ({error}); save it smaller"
        raise InvalidInputError(f"the {what} {path.name!r} {fault}") from error
