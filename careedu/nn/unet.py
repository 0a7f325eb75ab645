"""A small U-Net: where in the image the lesion is, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError


class UNet(nn.Module):
    """An encoder, a decoder, and shortcuts between their levels (Ronneberger et al., MICCAI 2015, section 2).

    Smaller than the paper's, with padding so that the output has the input's size, and batch normalisation, also of
    the input, so that any range of intensities will do (our choice).

    Parameters
    ----------
    channels : int
        Channels of the images.
    widths : sequence of int
        Feature maps of each level, from the finest; every further level halves the grid.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (12, 24, 48)) -> None:
        super().__init__()
        if channels < 1 or not widths or min(widths) < 1:
            raise InvalidInputError(f"channels={channels!r} and widths={tuple(widths)!r} must be at least 1")
        before = [channels, *widths[:-1]]
        self.standardize = nn.BatchNorm2d(channels, affine=False)
        self.down = nn.ModuleList(_double_convolution(a, b) for a, b in zip(before, widths, strict=True))
        deeper = list(reversed(widths))
        self.up = nn.ModuleList(_double_convolution(a + b, b) for a, b in pairwise(deeper))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each pixel being lesion, float (B, H, W), of images (B, C, H, W)."""
        x = self.standardize(x)
        levels = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        for block, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x)[:, 0]


def _double_convolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
