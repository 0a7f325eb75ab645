"""What the phantoms are painted with: soft edges, waves, smooth noise and the lattice that tells the classes apart.

Pixels are computed in float32 from sums, products, quotients and roots only. Those are rounded alike by every
processor, whereas vectorised sines and exponentials are not; so a phantom has the same bits on every machine.
"""

import numpy as np
from numpy.typing import NDArray

from careedu.data.phantoms.options import Draws

FloatArray = NDArray[np.float32]

# B-spline interpolation averages neighbouring grid values; this brings its standard deviation back to about 1.
_SPLINE_GAIN = 2.08


def per_image(values: NDArray) -> FloatArray:
    """Make one number an image ready to meet (n, h, w) arrays.

    Parameters
    ----------
    values : array
        (n,).

    Returns
    -------
    array
        (n, 1, 1) float32.
    """
    return np.asarray(values, dtype=np.float32)[:, None, None]


def ramp(distance: FloatArray) -> FloatArray:
    """Rise smoothly from 0 to 1 while the distance goes from 0 to 1.

    Parameters
    ----------
    distance : array
        Anything; below 0 counts as 0, above 1 as 1.

    Returns
    -------
    array
        3 d² - 2 d³ of the clipped distance.
    """
    d = np.clip(distance, 0.0, 1.0)
    rising = -2.0 * d
    rising += 3.0
    d *= d
    rising *= d
    return rising


def bump(squared_distance: FloatArray) -> FloatArray:
    """Fall smoothly from 1 at the centre to 0 at distance 1, and stay there.

    Parameters
    ----------
    squared_distance : array
        Squared distance from the centre.

    Returns
    -------
    array
        A bell of finite width.
    """
    d = np.maximum(1.0 - squared_distance, 0.0)
    return d * d


def wave(turns: FloatArray) -> FloatArray:
    """Swing like a cosine of period 1 between -1 and 1, as a cubic.

    Parameters
    ----------
    turns : array
        The phase in turns, not radians.

    Returns
    -------
    array
        1 at whole turns, -1 half-way between them.
    """
    s = turns - np.rint(turns)
    np.abs(s, out=s)
    s *= -4.0
    s += 1.0
    cubic = s * s
    cubic *= -0.5
    cubic += 1.5
    cubic *= s
    return cubic


def smooth_noise(rng: Draws, length: int, cell: float) -> FloatArray:
    """Draw smooth random fields.

    Parameters
    ----------
    rng : Draws
        Where the random numbers come from.
    length : int
        Side of a field in pixels.
    cell : float
        Pixels between two independent values: the grain of the noise.

    Returns
    -------
    array
        (as many as `rng` gives rows, length, length), mean 0, standard deviation about 1.
    """
    position = np.arange(length) / cell
    start = np.floor(position).astype(np.intp)
    f, points = position - start, int(start[-1]) + 4
    weights = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6
    weights = weights.astype(np.float32)
    grid = rng.standard_normal((rng.n, points, points), dtype=np.float32) * np.float32(_SPLINE_GAIN)
    # Columns first while the grid is still small; the rows that follow are then copied whole, which is the fast way.
    columns = sum(weights[k] * grid[:, :, start + k] for k in range(4))
    field = columns[:, start] * weights[0][:, None]
    for k in range(1, 4):
        field += columns[:, start + k] * weights[k][:, None]
    return field


def lattice(
    x: FloatArray, y: FloatArray, angle: FloatArray, offset: FloatArray, polarity: FloatArray, stripes: FloatArray
) -> FloatArray:
    """Weave three waves, 120° apart, into globules, a network or stripes.

    Globules and network have the same mean, variance and power spectrum: only the sign of the sum differs, so neither
    brightness nor coarseness tells them apart, while a look at the shapes does.

    Parameters
    ----------
    x, y : array
        (n, h, w) coordinates, already warped, in periods of the lattice.
    angle : array
        (n,) orientation in radians.
    offset : array
        (n, 2) shift in periods.
    polarity : array
        (n,) +1 for positive globules on a negative ground, -1 for a negative-globule, positive-network one.
    stripes : array
        (n,) 0 for the lattice, 1 for parallel stripes.

    Returns
    -------
    array
        (n, h, w), mean about 0 and standard deviation about 1.
    """
    first, second = (
        per_image(np.cos(angle + turn)) * x + per_image(np.sin(angle + turn)) * y + per_image(offset[:, k])
        for k, turn in enumerate((0.0, 2 * np.pi / 3))
    )
    # The three wave vectors sum to zero, so the third phase follows from the others and the pattern keeps its shape.
    one, two, three = wave(first), wave(second), wave(first + second)
    woven, striped = per_image(polarity * (1 - stripes) * 0.82), per_image(stripes * 1.41)
    return (woven + striped) * one + woven * (two + three)
