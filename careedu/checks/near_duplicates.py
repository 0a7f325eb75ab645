"""Pairs of images that are the same picture: resized, compressed again, mirrored or cropped by some pixels.

Two images of one organ look alike in the large; copies of one picture look alike in the small as well. So images are
compared by what lies between coarse and finest detail, at the place, the side and the scale where they fit best. The
whole method is our choice; tests/benchmarks/bench_audit.py tells how well it ranks planted copies.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from tqdm.auto import tqdm

SIDE = 64
_COARSE = 16
_CANDIDATES = 5  # of each image, on either side of the mirror, whole and cropped
_CROP = 0.96
_SCALES = (0.95, 1.0, 1.05)
_FINE, _WIDE = 0.7, 3.0  # pixels, of the band that is compared
_BATCH = 512
_ROWS = 1024
_STEPS = 6
_BLUR = 1.5
_BLURRED = 0.9  # likeness without fine detail from which on that is looked at
_REFINED = 0.3  # likeness from which on a pair is looked at closely
_CLOSE = 3  # pairs of an image that are looked at closely
_INNER = 0.86  # share of width and height that is compared then


@dataclass(frozen=True)
class Pairs:
    """Pairs of images, the most alike first.

    Parameters
    ----------
    first, second : array
        int64 (P,), rows of the images, first < second.
    likeness : array
        float64 (P,), largest normalised cross-correlation of the two, at most 1.
    """

    first: np.ndarray
    second: np.ndarray
    likeness: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def near_duplicates(images: Tensor, progress: bool = False) -> Pairs:
    """Find the pairs of images that are most alike.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Pairs
        Those among which copies of one picture are: of each image the five others of most like thumbnails, and the
        five of most like mirrored, cropped, and mirrored and cropped ones. Each pair's likeness is the largest
        Σ f(x) g(s·x + d) / (‖f‖ ‖g‖) over side, scales s and shift d; f and g are the images less their coarse and
        finest detail; the best of a coarse search is made better by steps of Gauss and Newton (Lucas and Kanade, IJCAI
        1981), each axis with a scale of its own, as a crop gives it, and the margin left out.
    """
    grey = thumbnails(images, SIDE)
    first, second = _candidates(grey)
    bands = _bands(grey)
    turned = torch.from_numpy(bands)
    spectra = _spectra(turned)
    variants = [(mirror, scale) for mirror in (False, True) for scale in _SCALES]
    coarse = torch.full((len(first), 3), -1.0)  # likeness, which variant, at which place
    total = len(first) * len(variants)
    with tqdm(total=total, desc="comparing images", unit=" fits", disable=not progress, leave=False) as bar:
        for number, (mirror, scale) in enumerate(variants):
            # Of each image once, not of each pair that it is in.
            changed = _spectra(_rescaled(turned.flip(-1) if mirror else turned, scale))
            for start in range(0, len(first), _BATCH):
                rows = slice(start, start + _BATCH)
                fit = torch.fft.irfft2(spectra[first[rows]].conj() * changed[second[rows]], s=(SIDE, SIDE))
                value, place = fit.flatten(1).max(dim=1)
                found = torch.stack([value, torch.full_like(value, number), place.float()], dim=1)
                coarse[rows] = torch.where((value > coarse[rows, 0])[:, None], found, coarse[rows])
                bar.update(len(value))
    likeness = coarse[:, 0].numpy().astype(np.float64)
    closest = _closest(first, second, likeness)
    for start in range(0, len(closest), _BATCH):
        rows = closest[start : start + _BATCH]
        likeness[rows] = _refined(turned[first[rows]], turned[second[rows]], coarse[rows], variants).numpy()
    order = np.argsort(-likeness, kind="stable")
    return Pairs(first[order], second[order], likeness[order])


def _closest(first: np.ndarray, second: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    """Of each image the few pairs that are most alike, among those that are worth a close look."""
    order = np.argsort(-likeness, kind="stable")
    order = order[likeness[order] > _REFINED]
    seen: Counter[int] = Counter()
    chosen = []
    for pair in order.tolist():
        ends = first[pair], second[pair]
        if min(seen[end] for end in ends) < _CLOSE:
            chosen.append(pair)
            seen.update(ends)
    return np.array(chosen, dtype=np.int64)


def _refined(own: Tensor, other: Tensor, coarse: Tensor, variants: list[tuple[bool, float]]) -> Tensor:
    """The likeness of pairs once the coarse fit has been made better, (P,)."""
    best, variant, place = coarse.T
    shift = torch.stack([place % SIDE, place // SIDE], dim=1)
    shift = torch.where(shift > SIDE / 2, shift - SIDE, shift) * (2 / SIDE)
    mirrored = torch.tensor([mirror for mirror, _ in variants])[variant.long()]
    scale = torch.tensor([scale for _, scale in variants])[variant.long()]
    moved = torch.where(mirrored[:, None, None], other.flip(-1), other)
    parameters = torch.stack([scale, scale * shift[:, 0], scale, scale * shift[:, 1]], dim=1)
    # First without the fine detail, which fits by chance at many places a hair away from the right one.
    blurred, parameters = _fitted(_blurred(own), _blurred(moved), parameters)
    close = (blurred > _BLURRED).nonzero()[:, 0]
    if len(close):
        best[close] = torch.maximum(best[close], _fitted(own[close], moved[close], parameters[close])[0])
    return best


def _fitted(own: Tensor, other: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation of the inner parts (P,) where scale and shift of each axis fit best, and what these are (P, 4)."""
    axis = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    margin = int((axis <= -_INNER).sum())

    def inner(pictures: Tensor) -> Tensor:
        return pictures[:, margin:-margin, margin:-margin].flatten(1)

    def unit(pictures: Tensor) -> Tensor:
        flat = inner(pictures)
        return nn.functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)

    wanted, best = unit(own), torch.full((len(own),), -1.0)
    for _ in range(_STEPS):
        sx, tx, sy, ty = parameters.T[:, :, None, None]
        grid = torch.stack([(sx * x + tx).expand(-1, SIDE, SIDE), (sy * y + ty).expand(-1, SIDE, SIDE)], dim=-1)
        seen = nn.functional.grid_sample(other[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
        found = unit(seen)
        best = torch.maximum(best, (wanted * found).sum(dim=1))
        # How the picture changes with each parameter; its mean and size are taken out, as from the picture.
        down, across = torch.gradient(seen, dim=(1, 2), spacing=2 / SIDE)
        across, down = across / sx, down / sy
        norm = (inner(seen) - inner(seen).mean(dim=1, keepdim=True)).norm(dim=1).clamp_min(1e-6)
        slopes = torch.stack([inner(part) for part in (across * x, across, down * y, down)], dim=2)
        slopes = (slopes - slopes.mean(dim=1, keepdim=True)) / norm[:, None, None]
        normal = slopes.mT @ slopes + 1e-3 * torch.eye(4)
        step = torch.linalg.solve(normal, slopes.mT @ (wanted - found)[..., None])[..., 0]
        parameters = parameters + step.clamp(-0.05, 0.05)
    return best, parameters


def thumbnails(images: Tensor, side: int) -> np.ndarray:
    """Grey pictures of a side, float32 (N, side, side) from 0 to 1; of smaller images enlarged."""

    def small(part: Tensor) -> Tensor:
        grey = part.float().mean(dim=1, keepdim=True) / 255
        return nn.functional.interpolate(grey, (side, side), mode="bilinear", antialias=True, align_corners=False)[:, 0]

    return torch.cat([small(part) for part in images.split(_BATCH)]).numpy()


def _candidates(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the pairs of most like thumbnails, each once."""
    pictures = torch.from_numpy(grey)

    def unit(pictures: Tensor) -> Tensor:
        flat = nn.functional.adaptive_avg_pool2d(pictures[:, None], _COARSE).flatten(1)
        return nn.functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)

    cropped = _rescaled(pictures, _CROP)
    sides = [unit(part) for part in (pictures, pictures.flip(-1), cropped, cropped.flip(-1))]
    count, n = min(_CANDIDATES, len(grey) - 1), len(grey)
    pairs = []
    for start in range(0, n, _ROWS):
        rows = torch.arange(start, min(start + _ROWS, n))
        for side in sides:
            alike = sides[0][rows] @ side.T
            alike[torch.arange(len(rows)), rows] = -2.0
            others = alike.topk(count).indices
            pairs.append(torch.stack([rows[:, None].expand_as(others), others], dim=-1).flatten(0, 1))
    found = np.unique(np.sort(torch.cat(pairs).numpy(), axis=1), axis=0)
    return found[:, 0], found[:, 1]


def _blurred(bands: Tensor) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(bands.numpy(), (0, _BLUR, _BLUR), mode="nearest"))


def _bands(grey: np.ndarray) -> np.ndarray:
    """The pictures less their coarse and their finest detail."""
    fine = ndimage.gaussian_filter(grey, (0, _FINE, _FINE), mode="nearest")
    return fine - ndimage.gaussian_filter(grey, (0, _WIDE, _WIDE), mode="nearest")


def _rescaled(pictures: Tensor, scale: float) -> Tensor:
    if scale == 1.0:
        return pictures
    grid = nn.functional.affine_grid(torch.eye(2, 3)[None] * scale, (1, 1, SIDE, SIDE), align_corners=False)
    grid = grid.expand(len(pictures), -1, -1, -1)
    return nn.functional.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]


def _spectra(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(1)
    pictures = (pictures - flat.mean(dim=1)[:, None, None]) / (flat.std(dim=1, correction=0) + 1e-6)[:, None, None]
    return torch.fft.rfft2(pictures, norm="forward") * SIDE
