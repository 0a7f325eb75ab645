"""Attention that differs from image to image: small blocks that weight the feature maps they are given."""

import torch
from torch import Tensor, nn

from careedu.errors import InvalidInputError, check_known, check_number

KINDS = ("squeeze-excitation", "spatial")


class SqueezeExcitation(nn.Module):
    """A weight for each channel of each image: A'_k = A_k · σ(W₂ relu(W₁ z))_k, z the channels' means over positions.

    Parameters
    ----------
    channels : int
        K.
    reduction : int
        W₁ has K / reduction rows, at least one.

    Notes
    -----
    Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, section 3.1 and 3.2, whose reduction is 16.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        check_number("channels", channels, "whole [1, inf)")
        check_number("reduction", reduction, "whole [1, inf)")
        narrow = max(1, channels // reduction)
        self.gate = nn.Sequential(nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, K, h, w), weighted."""
        return features * self.gate(features.mean(dim=(2, 3)))[:, :, None, None]


class SpatialAttention(nn.Module):
    """A weight for each position of each image: A' = A · σ(conv([mean over channels; maximum over channels])).

    Parameters
    ----------
    kernel : int
        Side of the convolution's window, odd.

    Notes
    -----
    Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018, section 3, "spatial attention module", whose
    window is 7 × 7. The batch normalisation of the authors' code is left out.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InvalidInputError(f"kernel={kernel!r} must be odd and at least 1")
        self.window = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, K, h, w), weighted."""
        summary = torch.stack([features.mean(dim=1), features.amax(dim=1)], dim=1)
        return features * torch.sigmoid(self.window(summary))


def build_local_attention(kind: str, channels: int) -> nn.Module:
    """The block called `kind`, one of `KINDS`, for features of so many channels."""
    check_known("kind of local attention", kind, KINDS)
    return SqueezeExcitation(channels) if kind == "squeeze-excitation" else SpatialAttention()
