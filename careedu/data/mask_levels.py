"""Which pixels of a mask file are lesion: by any channel, depth, palette or transparency, understood or refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from careedu.data.depth import stored_values
from careedu.errors import InvalidInputError

Lesion = str | Sequence[int] | None
_FEW = 16
_LISTED = 8


def lesion_pixels(mask: Image.Image, path: Path, lesion: Lesion = None) -> np.ndarray:
    """Tell lesion from ground.

    Parameters
    ----------
    mask : PIL.Image.Image
        As opened from `path`, not changed.
    path : Path
        Its file.
    lesion : "above 0" or sequence of int, optional
        Values that are lesion, as the file stores them (of a palette its indices, of colours the largest channel). By
        default what is above half of the range: of 255, or of 65,535 where any value is above 255.

    Returns
    -------
    array
        bool (H, W). All false where the whole mask is 0: the image has no lesion.

    Raises
    ------
    InvalidInputError
        If it cannot be told which of its values are lesion.
    """
    values = _values(mask, path, lesion)
    if lesion == "above 0":
        return values > 0
    if lesion is not None:
        return np.isin(values, list(lesion))
    levels = np.unique(values)
    if not np.isfinite(levels).all():
        raise InvalidInputError("the mask holds NaN or infinite values; write the ground as 0")
    top = 255 if levels[-1] <= 255 else 65_535
    if len(levels) <= 2 and levels[0] == 0 and levels[-1] > 255:
        return values > 0
    # Many levels are a soft edge; a few are labels, or what JPEG leaves of two.
    inner = levels[(levels > top / 10) & (levels < top * 0.9)] if mask.format == "JPEG" else levels[1:-1]
    if (len(levels) <= _FEW and len(inner)) or 0 < levels[-1] <= top / 2:
        listed = ", ".join(f"{level:g}" for level in levels[:_LISTED]) + (", …" if len(levels) > _LISTED else "")
        fault = f"the mask holds no value above {levels[-1]:g}, or several levels ({listed})"
        remedy = f"load with lesion=[{levels[-1]:g}] or lesion='above 0', or write lesions as {top}"
        raise InvalidInputError(f"{fault}, and which are lesion is not known; {remedy}")
    return values > top / 2


def _values(mask: Image.Image, path: Path, lesion: Lesion) -> np.ndarray:
    """One number a pixel, 0 being ground."""
    deep = stored_values(mask, path)
    if deep is not None:
        return deep if deep.ndim == 2 else deep.max(axis=2)
    chosen = lesion is not None and lesion != "above 0"
    if mask.mode in ("1", "P") and chosen:
        return np.asarray(mask).astype(np.uint8)
    clear = "transparency" in mask.info or mask.mode in ("LA", "PA", "RGBA")
    colours = np.asarray(mask.convert("RGBA" if clear else "RGB"))
    if not clear or (colours[..., 3] == 255).all():
        several = mask.mode in ("P", "RGB", "RGBA") and not chosen and lesion is None
        if several and 2 < len(np.unique(colours[..., :3].reshape(-1, 3), axis=0)) <= _FEW:
            fault = f"the mask has several levels or colours, as {mask.mode} images do that mark several things"
            raise InvalidInputError(
                f"{fault}; load with lesion='above 0', or with lesion=[...] and what the file stores"
            )
        return colours[..., :3].max(axis=2)
    opaque = colours[..., 3]
    seen = colours[opaque > 0][:, :3]
    if len(seen) and (seen != seen[0]).any():
        fault = "the mask has both colours and transparency, and which of them is the lesion is not known"
        raise InvalidInputError(f"{fault}; save it black and white, without transparency")
    return opaque
