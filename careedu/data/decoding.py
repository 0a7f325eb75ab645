"""From image files to uint8 arrays: decoded, brought to one size, checked against what the table says of them.

Pixels are taken as they are stored: an EXIF orientation is not applied, because boxes and masks refer to stored pixels.
An alpha channel is dropped. Greys of more than 8 bits are stretched from each image's own minimum and maximum to 0-255,
since a fixed range would turn many of them black or clip them.
"""

from __future__ import annotations

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

from careedu.data.labels import Entry, Faults, Lesion
from careedu.errors import InvalidInputError

# Named, so that no other plugin of Pillow is tried on files of others (that of EPS starts a program).
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
_DEEP_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", *_DEEP_GREY)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
# Large enough to keep the threads busy, small enough that a batch in flight costs little memory.
_BATCH = 64
_BAR_FROM = 2000


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded; sizes in pixels."""

    mode: str
    width: int
    height: int


def decode(entries: Sequence[Entry], size: int | None, faults: Faults) -> Iterator[dict[str, np.ndarray]]:
    """Decode the images and masks of a table.

    Parameters
    ----------
    entries : sequence of Entry
        The images, N of them.
    size : int, optional
        Side in pixels that images are stretched to (bilinear, antialiased). None leaves them as they are.
    faults : Faults
        What is already known to be wrong. More is added; nothing is yielded once there is any.

    Yields
    ------
    dict of str to array
        Batches, in order: ``images`` uint8 (n, C, H, W), C being 1 where all N images are grey and 3 where any is not;
        ``boxes`` float32 (n, 4) with NaN rows where there is none; ``has_mask`` bool (n,); and, where any of the N has
        a mask, ``masks`` bool (n, H, W).

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
        if size is None:
            _check_one_size(entries, headers, faults)
        channels = 1 if all(header is None or header.mode in _GREY for header in headers) else 3
        with_masks = any(lesion.mask for entry in entries for lesion in entry.lesions)

        def one(entry: Entry, header: Header | None) -> dict[str, np.ndarray] | None:
            return None if header is None else _decode_entry(entry, header, channels, size, with_masks, faults)

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
        return Header(image.mode, *image.size)


def read_image(path: Path, channels: int, size: int | None) -> np.ndarray:
    """Decode an image.

    Parameters
    ----------
    path : Path
        The file.
    channels : int
        1 (grey) or 3 (RGB).
    size : int, optional
        Side in pixels that it is stretched to.

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
        if image.mode in _DEEP_GREY:
            image = _stretched(np.asarray(image))
        image = image.convert("L" if channels == 1 else "RGB")
        if size is not None and image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_mask(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a mask: lesion where a value is above 127.

    Parameters
    ----------
    path : Path
        The file.
    width, height : int
        Size of its image in pixels.

    Returns
    -------
    array
        bool (height, width), true somewhere.

    Raises
    ------
    InvalidInputError
        If it is broken, of another size than its image, or empty.
    """
    with _opened(path, "mask") as mask:
        if mask.size != (width, height):
            raise InvalidInputError(
                f"the mask is {mask.size[0]}x{mask.size[1]} pixels, its image {width}x{height}; save it in the image's "
                "size"
            )
        values = np.asarray(mask if mask.mode in _DEEP_GREY else mask.convert("L"))
    inside = values > 127
    if not inside.any():
        what = f"holds no value above {values.max()}" if values.max() > 0 else "is empty"
        raise InvalidInputError(f"the mask {what}; write lesions as 255, or leave the cell empty if there is no mask")
    return inside


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
    entry: Entry, header: Header, channels: int, size: int | None, with_masks: bool, faults: Faults
) -> dict[str, np.ndarray] | None:
    before, boxes, masks = len(faults.rows), [], {}
    with faults.noted(entry.row, entry.image):
        image = read_image(entry.path, channels, size)
    for lesion in entry.lesions:
        with faults.noted(lesion.row, entry.image):
            if lesion.mask is not None and lesion.mask not in masks:
                masks[lesion.mask] = read_mask(lesion.mask, header.width, header.height)
            boxes.append(_box(lesion, header, masks))
    if len(faults.rows) > before:
        return None
    height, width = image.shape[1:]
    parts = {"images": image, "boxes": _enclosing(boxes, header, width, height), "has_mask": np.array(bool(masks))}
    if with_masks and masks:
        union = np.any(list(masks.values()), axis=0)
        parts["masks"] = union if size is None else resized_mask(union, size)
    elif with_masks:
        parts["masks"] = np.zeros((height, width), dtype=bool)
    return parts


def _box(lesion: Lesion, header: Header, masks: dict[Path, np.ndarray]) -> tuple[float, float, float, float]:
    if lesion.box is None:
        columns, rows = (np.flatnonzero(masks[lesion.mask].any(axis=axis)) for axis in (0, 1))
        return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    x1, y1 = lesion.box[2:]
    if x1 > header.width or y1 > header.height:
        raise InvalidInputError(
            f"the box ends at x1={x1:g}, y1={y1:g}, outside the image of {header.width}x{header.height} pixels; x1 and "
            "y1 are exclusive, in pixels of the stored image"
        )
    return lesion.box


def _enclosing(boxes: list[tuple[float, ...]], header: Header, width: int, height: int) -> np.ndarray:
    """Box around all boxes, in pixels of the resized image, at least one pixel wide and high."""
    if not boxes:
        return np.full(4, np.nan, dtype=np.float32)
    every = np.array(boxes, dtype=np.float64)
    low, high = every[:, :2].min(axis=0), every[:, 2:].max(axis=0)
    side = np.array([width, height])
    scale = side / [header.width, header.height]
    low, high = low * scale, high * scale
    short = np.maximum(1 - (high - low), 0) / 2 if tuple(side) != (header.width, header.height) else 0.0
    low, high = low - short, high + short
    # Widening may have pushed it over an edge.
    shift = np.maximum(-low, 0) - np.maximum(high - side, 0)
    return np.concatenate([np.maximum(low + shift, 0), np.minimum(high + shift, side)]).astype(np.float32)


def _stretched(values: np.ndarray) -> Image.Image:
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidInputError("the image holds NaN or infinite values; save it with finite ones")
    low, high = values.min(), values.max()
    scaled = np.zeros_like(values) if high == low else (values - low) * (255 / (high - low))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _check_one_size(entries: Sequence[Entry], headers: Sequence[Header | None], faults: Faults) -> None:
    known = [(e, h) for e, h in zip(entries, headers, strict=True) if h is not None]
    for entry, header in known:
        first, usual = known[0]
        if (header.width, header.height) != (usual.width, usual.height):
            faults.add_whole(
                f"the images differ in size: row {first.row} ({first.image}) has {usual.width}x{usual.height} pixels, "
                f"row {entry.row} ({entry.image}) {header.width}x{header.height}; give size=, for instance size=112, "
                "to bring all to one"
            )
            return


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[Image.Image]:
    """Open an image file; whatever goes wrong inside the block is told in our words."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except InvalidInputError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidInputError(
            f"the {what} {path.name!r} is not an image that can be read ({', '.join(FORMATS)}); export it as PNG"
        ) from error
    except _BROKEN as error:
        raise InvalidInputError(
            f"the {what} {path.name!r} is broken or truncated ({error}); copy it again from its source"
        ) from error
