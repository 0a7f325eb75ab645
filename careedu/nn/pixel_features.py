"""What a set of aligned images has at each pixel, as features of that pixel.

An image set X (N, H, W) is N images of pixels; seen from the other side it is H·W pixels with N features each. That is
the side from which `careedu.methods.global_attention` looks.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from careedu.errors import InvalidInputError

_AT_A_TIME = 2**20  # pixels that are floats at the same time: they fit into a processor's cache


def pixel_stack(images: Tensor, grid: int | None = None, memory_limit: int = 2**30) -> tuple[Tensor, float]:
    """Intensities of images as they are kept, and what they are multiplied with to lie in [0, 1].

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W), or float in [0, 1].
    grid : int, optional
        Average the images to grid × grid cells.
    memory_limit : int
        In bytes.

    Returns
    -------
    stack : Tensor
        (N, H, W), a copy: the sum over the channels as uint8 (grey) or int16 (exact, and a quarter or half of
        float32), or the mean over the channels of float images. (N, grid, grid) float with a grid.
    scale : float
        The intensity X is ``stack * scale``.

    Raises
    ------
    InvalidInputError
        If the images do not fit, an intensity is outside [0, 1], or the stack would be above the limit.
    """
    if images.dim() != 4 or 0 in images.shape or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise InvalidInputError(
            f"images must be uint8 or float (N, C, H, W) with at least one image, not {images.dtype} "
            f"{tuple(images.shape)}"
        )
    n, channels, height, width = images.shape
    if channels > 128:
        raise InvalidInputError(f"images have {channels} channels; at most 128 are summed exactly")
    if grid is not None and not 1 <= grid <= min(height, width):
        raise InvalidInputError(f"grid={grid!r} must lie between 1 and the images' side, {min(height, width)}")
    whole = images.dtype == torch.uint8
    size = ((1 if channels == 1 else 2) if whole else images.element_size()) if grid is None else 4
    needed = n * size * (height * width if grid is None else grid**2)
    if needed > memory_limit:
        fewer = max(1, n * memory_limit // needed)
        raise InvalidInputError(
            f"the pixels of {n} images of {height}×{width} need {needed / 2**30:.2f} GiB, more than the limit of "
            f"{memory_limit / 2**30:.2f} GiB: use at most {fewer} of them (images={fewer}), or a coarser map (grid=64)"
        )
    if not whole:
        low, high = images.amin().item(), images.amax().item()
        if not (low >= 0 and high <= 1):
            raise InvalidInputError(f"float images must lie in [0, 1], not from {low:g} to {high:g}: divide by 255")
    scale = 1 / (255 * channels) if whole else 1.0
    kind = (torch.uint8 if channels == 1 else torch.int16) if whole else images.dtype
    if grid is not None and whole:
        kind = torch.float32
    stack = torch.empty(n, *((height, width) if grid is None else (grid, grid)), dtype=kind, device=images.device)
    for rows in _chunks(n, channels * height * width):
        part = images[rows].sum(dim=1, dtype=torch.int16) if whole else images[rows].mean(dim=1)
        if grid is not None:
            part = functional.adaptive_avg_pool2d(part.to(kind), grid)
        stack[rows] = part
    return stack, scale


def pixel_scores(weight: Tensor, stack: Tensor) -> Tensor:
    """Multiply weight @ stack, where the stack may be of whole numbers: only a part of it is a float at any time.

    Parameters
    ----------
    weight : float (K, N)
    stack : (N, P)
        Of any real type; gets no gradient.

    Returns
    -------
    float (K, P)
    """
    return _PixelScores.apply(weight, stack)


def permuted_pixels(stack: Tensor, seed: int) -> Tensor:
    """The pixels of all images (N, H, W) in one and the same random order."""
    order = torch.randperm(stack[0].numel(), generator=torch.Generator().manual_seed(seed)).to(stack.device)
    return stack.flatten(1)[:, order].view_as(stack)


def principal_components(stack: Tensor, components: int) -> tuple[Tensor, float]:
    """Principal components of the pixels' features, each of mean 0 and variance 1 over the pixels.

    Parameters
    ----------
    stack : (N, H, W)
    components : int
        At most so many; no more than there are images or pixels.

    Returns
    -------
    stack : float (K, H, W)
    scale : float
        1, as `pixel_stack` returns it.
    """
    pixels = stack.flatten(1).to(stack.dtype if stack.is_floating_point() else torch.float32)
    pixels = (pixels - pixels.mean(dim=1, keepdim=True)).T
    rank = min(components, *pixels.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the search starts in random directions: always the same ones
        # Ten directions more than are kept make the last ones accurate.
        scores, singular, _ = torch.svd_lowrank(pixels, q=min(rank + 10, *pixels.shape), niter=4)
    scores, singular = scores[:, :rank], singular[:rank]
    # Directions in which the images do not differ hold nothing but rounding.
    scores = scores[:, singular > 1e-5 * singular[0].clamp_min(1e-12)]
    if scores.shape[1] == 0:
        raise InvalidInputError("the images are the same at every pixel and have no principal components")
    return (scores * len(pixels) ** 0.5).T.contiguous().view(-1, *stack.shape[1:]), 1.0


def mean_image(images: Tensor) -> Tensor:
    """Mean of images (N, C, H, W) over images and channels, stretched to [0, 1], float32 (H, W); ones if it is flat."""
    total = _total(images).sum(dim=0)
    low, high = total.amin(), total.amax()
    return ((total - low) / (high - low)).float() if high > low else torch.ones_like(total, dtype=torch.float32)


def average_image(images: Tensor) -> Tensor:
    """Mean over images, uint8 (N, C, H, W), as they are seen: float32 (C, H, W) in [0, 1]."""
    return (_total(images) / (255 * len(images))).float()


def _total(images: Tensor) -> Tensor:
    """Sum over images, float64 (C, H, W); part by part, so that the floats take little memory."""
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    for rows in _chunks(len(images), images[0].numel()):
        total += images[rows].sum(dim=0, dtype=torch.float64)
    return total


class _PixelScores(torch.autograd.Function):
    """A product that turns whole numbers into floats part by part, forward and backward."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, weight: Tensor, stack: Tensor) -> Tensor:
        ctx.save_for_backward(stack)
        scores = weight.new_zeros(len(weight), stack.shape[1])
        for rows in _chunks(*stack.shape):
            scores.addmm_(weight[:, rows], stack[rows].to(weight.dtype))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (stack,) = ctx.saved_tensors
        parts = [gradient @ stack[rows].to(gradient.dtype).T for rows in _chunks(*stack.shape)]
        return torch.cat(parts, dim=1), None


def _chunks(n: int, pixels: int) -> Iterator[slice]:
    """Rows of n images of so many pixels that are worked on together."""
    step = max(1, _AT_A_TIME // pixels)
    for start in range(0, n, step):
        yield slice(start, start + step)
