"""What one check of an image set found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : str
        What was looked at.
    result : str
        What was found, in words.
    attention : bool
        Whether somebody should look at it before training.
    images : tuple of tuple of str
        Names of images to look at, those of a row beside each other.
    """

    check: str
    result: str
    attention: bool = False
    images: tuple[tuple[str, ...], ...] = ()
