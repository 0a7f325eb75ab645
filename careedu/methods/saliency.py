"""What stands out in an image, without anything learned: two classic saliency maps, in numpy."""

from collections.abc import Callable

import numpy as np

SIDE = 64  # pixels that the spectral residual is computed on, as in its paper
SWEEPS = 3  # rounds of four sweeps; the paper scans three times
CHUNK = 64  # images at a time, to bound the memory


def spectral_residual(images: np.ndarray) -> np.ndarray:
    """What an image's spectrum has beyond the smooth spectrum that images have (Hou and Zhang, CVPR 2007, section 2).

    With A the log amplitude and P the phase of the image's Fourier transform, R = A − mean of A over 3×3, and the map
    is |F⁻¹(exp(R + iP))|², smoothed. Computed on 64×64 pixels as in the paper; the smoothing (σ = 2.5 pixels of these)
    and the taper towards the border, which has an edge where opposite sides meet, are our choice.

    Parameters
    ----------
    images : uint8 (N, C, H, W)

    Returns
    -------
    float32 (N, H, W)
        In [0, 1]; zero everywhere for a constant image.
    """
    from scipy import ndimage

    n, _, height, width = images.shape
    grey = images.mean(axis=1, dtype=np.float64) / 255
    small = ndimage.zoom(grey, (1, SIDE / height, SIDE / width), order=1, grid_mode=True, mode="nearest")
    small = small - small.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(SIDE + 2)[1:-1] ** 0.5
    spectrum = np.fft.fft2(small * window[:, None] * window)
    amplitude = np.log(np.abs(spectrum) + 1e-8)
    residual = amplitude - ndimage.uniform_filter(amplitude, (0, 3, 3), mode="wrap")
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    saliency[small.std(axis=(1, 2)) < 1e-6] = 0
    saliency = ndimage.gaussian_filter(saliency, (0, 2.5, 2.5))
    factors = (1, height / SIDE, width / SIDE)
    saliency = ndimage.zoom(saliency, factors, order=1, grid_mode=True, mode="nearest")
    return _unit_range(saliency.reshape(n, height, width))


def minimum_barrier(images: np.ndarray) -> np.ndarray:
    """How large a step of intensity parts each pixel from the image's border.

    The barrier of a path is its highest less its lowest intensity; a pixel's saliency is the least barrier of all paths
    from the border to it (Zhang et al., Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015, section 3),
    averaged over the channels. Like the paper we approximate it by a few scans over the image. Ours sweep whole rows
    and columns from side to side, which numpy does at once, where the paper goes pixel by pixel; smoothing before
    (σ = 1/64 of the image's side) and after is our choice, and we leave out the paper's steps after the distance.

    Parameters
    ----------
    images : uint8 (N, C, H, W)

    Returns
    -------
    float32 (N, H, W)
        In [0, 1]; zero everywhere for a constant image.
    """
    if len(images) > CHUNK:
        return np.concatenate([minimum_barrier(images[i : i + CHUNK]) for i in range(0, len(images), CHUNK)])
    from scipy import ndimage

    n, channels, height, width = images.shape
    sigma = max(height, width) / 64
    smooth = ndimage.gaussian_filter(images.astype(np.float32) / 255, (0, 0, sigma, sigma))
    # The axis that a sweep runs along comes first, so that each step is one operation on contiguous memory.
    values = np.ascontiguousarray(smooth.reshape(n * channels, height, width).transpose(1, 0, 2))
    high, low, distance = values.copy(), values.copy(), np.full_like(values, np.inf)
    distance[[0, -1]] = 0
    distance[:, :, [0, -1]] = 0
    state = (values, high, low, distance)
    for _ in range(SWEEPS):
        for _axis in range(2):
            _sweep(*state)
            _sweep(*(array[::-1] for array in state))
            state = tuple(np.ascontiguousarray(array.transpose(2, 1, 0)) for array in state)
    distance = state[3].transpose(1, 0, 2).reshape(n, channels, height, width).mean(axis=1)
    return _unit_range(ndimage.gaussian_filter(distance, (0, sigma, sigma)))


def _sweep(values: np.ndarray, high: np.ndarray, low: np.ndarray, distance: np.ndarray) -> None:
    """Lead each path one step on from slice to slice, in place, where that makes a lower barrier."""
    for i in range(1, len(values)):
        new_high, new_low = np.maximum(high[i - 1], values[i]), np.minimum(low[i - 1], values[i])
        barrier = new_high - new_low
        # No path has come to the neighbour yet where its distance is infinite.
        better = (barrier < distance[i]) & (distance[i - 1] < np.inf)
        np.copyto(high[i], new_high, where=better)
        np.copyto(low[i], new_low, where=better)
        np.copyto(distance[i], barrier, where=better)


def _unit_range(maps: np.ndarray) -> np.ndarray:
    """Each map from 0 to 1; a flat one is zero."""
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    extent = np.where(high - low > 1e-6 * np.abs(high), high - low, np.inf)
    return ((maps - low) / extent).astype(np.float32)


SALIENCIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "spectral-residual": spectral_residual,
    "minimum-barrier": minimum_barrier,
}
"""The saliency maps by name."""
