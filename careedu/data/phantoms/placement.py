"""Where lesions and look-alikes may lie: zones of the anatomy, and places apart from one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.geometry import Frame
from careedu.data.phantoms.options import Draws
from careedu.data.phantoms.texture import FloatArray

_TRIES, _REACH = 6, 0.95


def far_from(rng: Draws, x: NDArray, y: NDArray, clearance: NDArray, slots: int) -> tuple[NDArray, NDArray]:
    """Draw places anywhere in the image that keep their distance from given centres and from one another.

    Of six candidates for each place the first that keeps its distance is taken, else the farthest.

    Parameters
    ----------
    rng : Draws
        Where the random numbers come from.
    x, y : array
        (n,) centres to stay away from.
    clearance : array
        (n,) how far.
    slots : int
        Places for each image.

    Returns
    -------
    x, y : array
        (n, slots) each.
    """
    n = len(x)
    candidates = rng.uniform(-_REACH, _REACH, (n, slots, _TRIES, 2))
    taken = np.stack([x, y], axis=1)[:, None, :]
    needed = clearance[:, None]
    for slot in range(slots):
        gap = np.sqrt(((candidates[:, slot, :, None, :] - taken[:, None, :, :]) ** 2).sum(-1)) / needed[:, None, :]
        nearest = gap.min(axis=2)
        fits = nearest >= 1.0
        choice = np.where(fits.any(axis=1), fits.argmax(axis=1), nearest.argmax(axis=1))
        place = candidates[np.arange(n), slot, choice][:, None, :]
        taken = np.concatenate([taken, place], axis=1)
        needed = np.concatenate([needed, 0.7 * clearance[:, None]], axis=1)
    return taken[:, 1:, 0], taken[:, 1:, 1]


@dataclass(frozen=True)
class Zone:
    """An ellipse of the anatomy that holds whole lesions.

    Parameters
    ----------
    u, v : float
        Centre in anatomical coordinates.
    width, height : float
        Half-axes.
    """

    u: float
    v: float
    width: float
    height: float

    def contains(self, u: FloatArray, v: FloatArray) -> NDArray[np.bool_]:
        """Tell which points lie in the zone.

        Parameters
        ----------
        u, v : array
            Anatomical coordinates that broadcast against each other.

        Returns
        -------
        array
            bool.
        """
        return ((u - self.u) / self.width) ** 2 + ((v - self.v) / self.height) ** 2 <= 1.0


def draw_in_zones(rng: Draws, frame: Frame, zones: Sequence[Zone], margin: NDArray) -> tuple[NDArray, NDArray]:
    """Draw one point in one of several zones, chosen alike.

    Parameters
    ----------
    rng : Draws
        Where the random numbers come from.
    frame : Frame
        Where each image's anatomy lies.
    zones : sequence of Zone
        The zones.
    margin : array
        (n,) distance to keep from the zone's border, as far as the zone is wide enough.

    Returns
    -------
    x, y : array
        (n,) image coordinates each.
    """
    zone = np.array([(z.u, z.v, z.width, z.height) for z in zones])[rng.integers(len(zones), size=rng.n)]
    radius, angle = np.sqrt(rng.uniform(0, 1, rng.n)), rng.uniform(0, 2 * np.pi, rng.n)
    half_axes = np.maximum(zone[:, 2:] - margin[:, None], 0.0)
    u = zone[:, 0] + half_axes[:, 0] * radius * np.cos(angle)
    v = zone[:, 1] + half_axes[:, 1] * radius * np.sin(angle)
    return frame.to_image(u, v)
