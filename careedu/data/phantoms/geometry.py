"""Where things lie: the frame of the anatomy, and roundish blobs with irregular outlines.

Lengths are in half-sides of the image: x and y run from -1 to 1, left to right and top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.options import Draws
from careedu.data.phantoms.texture import FloatArray, per_image, ramp

# The most that the harmonics can push an outline beyond its mean radius.
LARGEST_BULGE = 1.45


def pixel_centres(size: int) -> FloatArray:
    """Give the coordinate of every pixel centre along one side.

    Parameters
    ----------
    size : int
        Side of the image in pixels.

    Returns
    -------
    array
        (size,) from just above -1 to just below 1.
    """
    return ((np.arange(size) + 0.5) * (2.0 / size) - 1.0).astype(np.float32)


@dataclass(frozen=True)
class Frame:
    """How each image's anatomy is shifted, turned and scaled against the nominal one.

    Parameters
    ----------
    shift : array
        (n, 2) in half-sides.
    angle, scale : array
        (n,) radians and factor.
    """

    shift: NDArray[np.float64]
    angle: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: Draws, jitter: float) -> Frame:
        """Draw frames that move each image by at most `jitter`.

        Parameters
        ----------
        rng : Draws
            Where the random numbers come from.
        jitter : float
            Largest shift as a fraction of the side, largest turn in radians, largest relative change of scale.

        Returns
        -------
        Frame
            One for each image.
        """
        moves = rng.of(slice(None)).uniform(-1.0, 1.0, (rng.n, 4)) * jitter  # each image's own, also of one patient
        return cls(2.0 * moves[:, :2], moves[:, 2], 1.0 + moves[:, 3])

    def grid(self, size: int) -> tuple[FloatArray, FloatArray]:
        """Give the anatomical coordinates of every pixel.

        Parameters
        ----------
        size : int
            Side of the image in pixels.

        Returns
        -------
        u, v : array
            (n, size, size) each.
        """
        axis = pixel_centres(size)
        cos, sin = np.cos(self.angle) / self.scale, np.sin(self.angle) / self.scale
        x = axis[None, None, :] - per_image(self.shift[:, 0])
        y = axis[None, :, None] - per_image(self.shift[:, 1])
        return per_image(cos) * x + per_image(sin) * y, per_image(cos) * y - per_image(sin) * x

    def to_image(self, u: NDArray, v: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Carry anatomical points into the image.

        Parameters
        ----------
        u, v : array
            (n,) anatomical coordinates.

        Returns
        -------
        x, y : array
            (n,) image coordinates.
        """
        cos, sin = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        return cos * u - sin * v + self.shift[:, 0], sin * u + cos * v + self.shift[:, 1]


@dataclass(frozen=True)
class Patch:
    """A square cut-out around each blob, so that only the pixels near it are computed.

    Parameters
    ----------
    at : tuple of array
        Indices that pick the cut-outs from an (n, H, W) array: (n, 1, 1), (n, P, 1) and (n, 1, P).
    x, y : array
        (n, P, P) coordinates relative to the blob's centre, in half-sides.
    radial : array
        (n, P, P) distance from the centre over the outline's radius in that direction: 1 on the outline.
    cover : array
        (n, P, P) from 0 outside the outline to 1 inside, with a soft edge; exactly 0 outside.
    """

    at: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    x: FloatArray
    y: FloatArray
    radial: FloatArray
    cover: FloatArray

    @property
    def side(self) -> int:
        """Side of the cut-outs in pixels."""
        return self.x.shape[-1]

    def blend(self, canvas: FloatArray, value: FloatArray, cover: FloatArray) -> None:
        """Paint over a canvas in place.

        Parameters
        ----------
        canvas : array
            (N, H, W), changed in place where `cover` is above 0 and nowhere else.
        value, cover : array
            (n, P, P) what to paint and how opaquely.
        """
        below = canvas[self.at]
        canvas[self.at] = below + cover * (value - below)

    def shade(self, canvas: FloatArray, value: FloatArray) -> None:
        """Add brightness to a canvas in place, less where it is bright already.

        Parameters
        ----------
        canvas : array
            (N, H, W), from 0 to about 1.
        value : array
            (n, P, P), what is added to black.
        """
        below = canvas[self.at]
        canvas[self.at] = below + value * np.maximum(1.0 - below, 0.0)

    def add(self, canvas: FloatArray, value: FloatArray) -> None:
        """Add to a canvas in place.

        Parameters
        ----------
        canvas : array
            (N, H, W).
        value : array
            (n, P, P).
        """
        canvas[self.at] += value

    def mask(self, n: int, size: int) -> NDArray[np.bool_]:
        """Mark the pixels that the blobs cover.

        Parameters
        ----------
        n, size : int
            Number and side of the images.

        Returns
        -------
        array
            bool (n, size, size).
        """
        masks = np.zeros((n, size, size), dtype=bool)
        masks[self.at] = self.cover > 0
        return masks

    def mean(self, values: FloatArray) -> FloatArray:
        """Average over the blob, weighted by its cover.

        Parameters
        ----------
        values : array
            (n, P, P).

        Returns
        -------
        array
            (n, 1, 1).
        """
        weight = self.cover.sum(axis=(1, 2), keepdims=True)
        return (values * self.cover).sum(axis=(1, 2), keepdims=True) / np.maximum(weight, np.float32(1e-6))


@dataclass(frozen=True)
class Blobs:
    """One roundish region in each image.

    Parameters
    ----------
    x, y, radius : array
        (n,) centre and mean radius in half-sides.
    harmonics : array
        (n, 6, 2) cosine and sine parts of the outline's second to seventh harmonic, relative to the radius.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]
    harmonics: NDArray[np.float64]

    @staticmethod
    def draw_harmonics(rng: Draws, irregularity: float = 1.0) -> NDArray[np.float64]:
        """Draw irregular outlines.

        Parameters
        ----------
        rng : Draws
            Where the random numbers come from.
        irregularity : float
            Factor on how far the outline may leave the circle, 0 to 1.

        Returns
        -------
        array
            (n, 6, 2).
        """
        amplitude = rng.uniform(0.2, 1.0, (rng.n, 6)) * np.array((0.15, 0.08, 0.06, 0.05, 0.04, 0.03)) * irregularity
        phase = rng.uniform(0.0, 2 * np.pi, (rng.n, 6))
        return np.stack([amplitude * np.cos(phase), amplitude * np.sin(phase)], axis=-1)

    def patch(self, size: int, largest_radius: float, edge: float, chosen: NDArray[np.intp] | None = None) -> Patch:
        """Cut out the surroundings of each blob and draw its outline there.

        Parameters
        ----------
        size : int
            Side of the image in pixels.
        largest_radius : float
            Largest radius that can be drawn, in half-sides. It fixes the side of the cut-outs for all images, so that
            no image depends on its neighbours.
        edge : float
            Width of the soft edge in half-sides; at least a pixel and a half is used.
        chosen : array, optional
            Indices of the images to cut out from. All by default, and then each blob has at least one pixel.

        Returns
        -------
        Patch
            One cut-out for each chosen image.
        """
        index = np.arange(len(self.x)) if chosen is None else chosen
        side = min(size, int(np.ceil(largest_radius * LARGEST_BULGE * size)) + 3)

        def cut(centre: NDArray) -> tuple[NDArray[np.intp], FloatArray]:
            first = np.clip(np.rint((centre + 1) * (size / 2) - side / 2), 0, size - side).astype(np.intp)
            pixels = first[:, None] + np.arange(side)
            return pixels, pixel_centres(size)[pixels] - centre[:, None].astype(np.float32)

        (columns, x), (rows, y) = cut(self.x[index]), cut(self.y[index])
        x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
        distance = np.sqrt(x * x + y * y) + np.float32(1e-6)
        cos, sin = x / distance, y / distance
        bulge = np.ones_like(distance)
        cos_k, sin_k = cos, sin
        for k in range(self.harmonics.shape[1]):
            cos_k, sin_k = cos_k * cos - sin_k * sin, sin_k * cos + cos_k * sin
            bulge += per_image(self.harmonics[index, k, 0]) * cos_k + per_image(self.harmonics[index, k, 1]) * sin_k
        outline = np.maximum(bulge, np.float32(0.3)) * per_image(self.radius[index])
        width = np.float32(max(edge, 3.0 / size))
        # The soft edge lies inside the outline, and however small the blob, its centre is opaque.
        cover = ramp((outline - distance) / np.minimum(width, outline))
        # However small the blob, the pixel that holds its centre belongs to it.
        holds_centre = (np.abs(x) <= 1.0 / size) & (np.abs(y) <= 1.0 / size)
        cover = np.where(holds_centre, np.maximum(cover, np.float32(0.5)), cover)
        if chosen is None:  # a lesion that jitter has moved out of the image keeps the pixel that is nearest to it
            hidden = ~(cover > 0).any(axis=(1, 2), keepdims=True)
            cover[hidden & (distance == distance.min(axis=(1, 2), keepdims=True))] = 0.5
        at = index[:, None, None], rows[:, :, None], columns[:, None, :]
        return Patch(at, x, y, distance / outline, cover)
