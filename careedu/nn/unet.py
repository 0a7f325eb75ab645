"""A small U-Net in two parts: an encoder that can be a classifier's body, and a decoder that shows the lesion."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError
from careedu.nn.bodies import double_convolution

WIDTHS = (12, 24, 48)
"""Feature maps of each level, from the finest; every further level halves the grid (our choice)."""


class UNetEncoder(nn.Module):
    """The contracting path (Ronneberger et al., MICCAI 2015, section 2).

    Smaller than the paper's, with padding so that the finest level has the image's size, and batch normalisation (our
    choice). `careedu.nn.backbones.build_model("unet", …)` makes it the body of a classifier.

    Parameters
    ----------
    channels : int
        Channels of the images.
    widths : sequence of int
        Feature maps of each level.
    """

    def __init__(self, channels: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if channels < 1 or not widths or min(widths) < 1:
            raise InvalidInputError(f"channels={channels!r} and widths={tuple(widths)!r} must be at least 1")
        self.widths = tuple(widths)
        self.down = nn.ModuleList(double_convolution(a, b) for a, b in pairwise([channels, *widths]))

    def levels(self, x: Tensor) -> list[Tensor]:
        """Features of each level, (B, K, H, W) the finest, then (B, K', H/2, W/2) and so on."""
        levels = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        return levels

    def forward(self, x: Tensor) -> Tensor:
        """Features of the coarsest level, of standardised images (B, C, H, W)."""
        return self.levels(x)[-1]


class UNetDecoder(nn.Module):
    """The expanding path, with shortcuts from the encoder's levels.

    Parameters
    ----------
    widths : sequence of int
        Of the encoder.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.up = nn.ModuleList(double_convolution(a + b, b) for a, b in pairwise(reversed(widths)))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits of each pixel being lesion, float (B, H, W), from the encoder's `levels`."""
        x = levels[-1]
        for block, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x)[:, 0]
