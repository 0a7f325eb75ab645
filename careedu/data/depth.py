"""From the numbers that an image file stores to brightness, whatever their depth, sample format and polarity.

The file's own tags are asked, as the library that decodes it keeps 8 bits of a colour of 16, does not turn round a grey
of 16 bits in which white is 0, and reads 32 bits without a sign as if they had one. What it cannot read is refused.
Greys and colours of more than 8 bits are stretched from each image's own minimum and maximum to 0-255, since a fixed
range would turn many of them black or clip them: absolute intensity is lost then, and a `window` keeps it.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from careedu.errors import InvalidInputError

DEEP_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BITS, _POLARITY, _SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0, section 8 and 19
_NO_COLOUR = ("LAB", "HSV")

Window = tuple[float, float]


def stored_values(image: Image.Image, path: Path) -> np.ndarray | None:
    """The numbers of an image of more than 8 bits a sample.

    Parameters
    ----------
    image : PIL.Image.Image
        As opened from `path`, not changed.
    path : Path
        Its file.

    Returns
    -------
    array or None
        (H, W) or (H, W, 3), larger is brighter, without an alpha channel; None where 8 bits are enough.

    Raises
    ------
    InvalidInputError
        If the numbers cannot be read as they are stored.
    """
    if image.mode in _NO_COLOUR:
        raise InvalidInputError(f"the image stores {image.mode} colours, whose brightness is not read; save it as RGB")
    if image.mode not in DEEP_GREY and is_deep(image, path):
        from torchvision.io import ImageReadMode, decode_image

        image.load()  # which tells a broken file in words; the other reader would end the program
        values = decode_image(str(path), mode=ImageReadMode.UNCHANGED).numpy()  # uint16 (C, H, W)
        return values[:3].transpose(1, 2, 0) if len(values) > 2 else values[0]
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    bits = tags.get(_BITS, (8,))
    kind = tags.get(_SAMPLE_FORMAT, (1,))[0]
    if len(bits) > 1 and max(bits) > 8:
        fault = f"the TIFF stores {len(bits)} samples of {max(bits)} bits a pixel, which are not read whole"
        raise InvalidInputError(f"{fault}; save it as PNG of 16 bits, or with 8 bits")
    if image.mode not in DEEP_GREY:
        return None
    values = np.asarray(image)
    if max(bits) == 32 and kind == 1 and image.mode == "I":
        values = values.view(np.uint32)
    # Of 8 bits the decoder has turned them round.
    return values.max() - values if tags.get(_POLARITY) == 0 and max(bits) > 8 and kind == 1 else values


def brightness(values: np.ndarray, window: Window | None) -> np.ndarray:
    """Scale stored numbers to 0-255.

    Parameters
    ----------
    values : array
        Any shape and number type.
    window : (float, float), optional
        Stored numbers that become 0 and 255; what lies outside is clipped. By default the smallest and the largest of
        this image.

    Returns
    -------
    array
        uint8 of that shape.

    Raises
    ------
    InvalidInputError
        If a number is not finite.
    """
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidInputError("the image holds NaN or infinite values; save it with finite ones")
    low, high = (values.min(), values.max()) if window is None else window
    scaled = np.zeros_like(values) if high == low else (values - low) * (255 / (high - low))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def is_deep(image: Image.Image, path: Path) -> bool:
    """Whether an image that was opened from `path` stores more than 8 bits a sample."""
    with path.open("rb") as file:  # of a PNG, bits a sample are the 25th byte (PNG specification, IHDR)
        return image.mode in DEEP_GREY or (image.format == "PNG" and file.read(25)[24] == 16)
