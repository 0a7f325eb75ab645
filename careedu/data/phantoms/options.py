"""The knobs of a phantom, checked once, and where its random numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from careedu.errors import InvalidInputError, check_number

RANGES: dict[str, tuple[float, float]] = {
    "size": (32, 512),
    "lesion_size": (0.1, 4.0),
    "contrast": (0.0, 4.0),
    "distractors": (0.0, 4.0),
    "jitter": (0.0, 0.25),
    "look_alike": (0.0, 1.0),
    "look_alike_correlation": (0.0, 1.0),
}


@dataclass(frozen=True)
class PhantomOptions:
    """The knobs of a phantom; see :func:`careedu.data.phantoms.draw_phantom`.

    Parameters
    ----------
    size : int
        Side of the image in pixels.
    lesion_size, contrast, distractors, jitter, look_alike, look_alike_correlation : float
        The knobs.
    lesions : bool
        False leaves the lesions out and changes nothing else.

    Raises
    ------
    InvalidInputError
        If a knob is no number or lies outside its range.
    """

    size: int = 64
    lesion_size: float = 1.0
    contrast: float = 1.0
    distractors: float = 1.0
    jitter: float = 0.02
    lesions: bool = True
    look_alike: float = 0.0
    look_alike_correlation: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value, whole = getattr(self, name), name == "size"
            check_number(name, value, f"{'whole ' if whole else ''}[{low}, {high}]")
            object.__setattr__(self, name, int(value) if whole else float(value))
        if not isinstance(self.lesions, bool | np.bool_):
            raise InvalidInputError(f"lesions must be True or False, not {self.lesions!r}.")

    @property
    def pixel(self) -> float:
        """Side of a pixel in half-sides of the image."""
        return 2.0 / self.size

    def share(self, usual: float) -> float:
        """Turn the share of images that usually hold a distractor into the share under the `distractors` knob.

        Parameters
        ----------
        usual : float
            Share at ``distractors=1``, from 0 to 1.

        Returns
        -------
        float
            0 at ``distractors=0``, rising towards 1.
        """
        return 1.0 - (1.0 - usual) ** self.distractors


Drawn = tuple[NDArray[np.uint8], NDArray[np.bool_], *tuple[NDArray, ...]]
"""Images, masks, and, where look-alikes are of a class, the mask and the class of those."""
"""Images, uint8 (n, C, H, W), and where their lesions lie, bool (n, H, W)."""


class Draws:
    """Random numbers of all images, drawn by the names of numpy's, of which only those of some rows are given.

    So what an image gets does not depend on which others are wanted: ``draws.uniform(0, 1, (draws.n, 2))``.

    Parameters
    ----------
    rng : Generator
        Where they come from.
    n : int
        How many images there are: the first axis of whatever is drawn.
    rows : array or slice
        Those whose numbers are given; all by default.
    """

    def __init__(self, rng: Generator, n: int, rows: np.ndarray | slice = slice(None)) -> None:
        self.rng, self.n, self.rows = rng, n, rows

    def of(self, rows: np.ndarray) -> Draws:
        """The same, of other rows."""
        return Draws(self.rng, self.n, rows)

    def __getattr__(self, kind: str) -> Callable[..., np.ndarray]:
        return lambda *arguments, **options: getattr(self.rng, kind)(*arguments, **options)[self.rows]


@dataclass(frozen=True)
class Streams:
    """Independent random streams of one chunk, so that what one part draws never shifts what another draws.

    Parameters
    ----------
    anatomy, lesion, distractor, grain : Draws
        One for each part of the picture.
    """

    anatomy: Draws
    lesion: Draws
    distractor: Draws
    grain: Draws
