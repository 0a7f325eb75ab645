"""A weight map that is the same for all images: learned, free or fixed, and how ragged it is.

`careedu.methods.global_attention` learns such a map from the pixels of the training images; here are what all such maps
have in common, and the controls that need no images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError

START = 2.0
"""Logit of every pixel before a map is trained: σ(2) = .88, open, but with a slope (our choice)."""
OPEN = 30.0
"""Logit of every pixel of an open map: in float32 σ(30) is 1 and has no slope, so that nothing is hidden or moved."""


class SpatialMask(nn.Module):
    """A weight map (H, W) in [0, 1], the same for all images, that they are multiplied with.

    Attributes
    ----------
    values : float (H, W) or None
        The map itself where it is fixed; None while it is learned. A saved state always holds it, and what is learned
        beside it as long as the mask is not frozen; it never holds an image of the training, only their mean.
    behind : float (C, H, W) or None
        What is seen where the map is closed: the mean image x̄, so that x̃ = M ⊙ x + (1 − M) ⊙ x̄; None for black.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", None)
        self.register_buffer("behind", None)

    def map(self) -> Tensor:
        """The map M, float (H, W) in [0, 1], in at least float32 under mixed precision too."""
        return self._computed() if self.values is None else self.values

    def map_for(self, x: Tensor) -> Tensor:
        """The map, once it is seen that float images x (B, C, H, W) are of its size."""
        values = self.map()
        if x.dim() != 4 or x.shape[2:] != values.shape or not x.is_floating_point():
            raise InvalidInputError(
                f"the map is for float images (B, C, {', '.join(map(str, values.shape))}), not {x.dtype} "
                f"{tuple(x.shape)}: load the images at the size they were trained at"
            )
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Multiply float images x (B, C, H, W) with the map, x ⊙ M, and add what is behind it."""
        values = self.map_for(x)
        return x * values if self.behind is None else x * values + (1 - values) * self.behind

    @torch.no_grad()
    def flatten(self, logit: float) -> SpatialMask:
        """Give all pixels this logit, `OPEN` or `START`; a fixed map becomes its sigmoid. Returns the mask itself."""
        if self.values is None:
            self._flatten(logit)
        else:
            self.values.fill_(torch.sigmoid(torch.tensor(logit)))
        return self

    def freeze(self) -> SpatialMask:
        """Keep the map as it is, and drop what it was computed from: parameters and the images' pixels.

        An optimiser that holds the parameters no longer moves anything. Returns the mask itself.
        """
        values = self.map().detach().clone()
        for name in [*self._parameters, *self._buffers]:
            if name != "behind":
                delattr(self, name)
        self.register_buffer("values", values)
        return self

    @torch.no_grad()
    def record(self) -> dict[str, Tensor]:
        """What is kept of each epoch: ``"attention map"`` uint16 (H, W), 65535 times the map; nothing of an open one.

        Eight bits are too few: the whole map of a short training may lie within three of their 256 steps, and its AUROC
        would be that of the ties.
        """
        values = self.map()
        # Resized from a coarser grid, an open map is 1 but for rounding.
        return {} if values.amin() > 1 - 1e-6 else {"attention map": (values * 65535).round().to(torch.uint16)}

    def _computed(self) -> Tensor:
        raise NotImplementedError

    def _flatten(self, logit: float) -> None:
        raise NotImplementedError

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # The map goes along, so that a saved training opens without the images it was computed from.
        destination[prefix + "values"] = self.map().detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        kept = (prefix + "values", prefix + "behind")
        learned = [key for key in state_dict if key.startswith(prefix) and key not in kept]
        if self.values is not None and prefix + "values" in state_dict:
            for key in learned:
                del state_dict[key]
        elif self.values is None and learned:
            state_dict.pop(prefix + "values", None)
        elif self.values is None and prefix + "values" in state_dict:
            self.freeze()
        if self.behind is None and prefix + "behind" in state_dict:  # opened without the images that it is the mean of
            self.behind = self.map().detach().new_empty(state_dict[prefix + "behind"].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class FreeMask(SpatialMask):
    """The control: a mask M = σ(ℓ) whose H·W logits are free parameters, all 2 at the start.

    Where there are at least as many training images as pixels, `careedu.methods.global_attention` can reach every map
    that this can: it is then this mask with a preconditioner. Adam moves each logit here as far in a step as b there.

    Parameters
    ----------
    size : (int, int)
        H and W.

    Attributes
    ----------
    logits : float (H, W)
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.full(tuple(size), START))

    def _computed(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def _flatten(self, logit: float) -> None:
        self.logits.fill_(logit)


class FixedMask(SpatialMask):
    """A mask that is not learned: a control, or what a saved state is loaded into.

    Parameters
    ----------
    values : float (H, W)
        In [0, 1].
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        if values.dim() != 2 or not values.is_floating_point() or not ((values >= 0) & (values <= 1)).all():
            raise InvalidInputError(
                f"a mask must be float (H, W) in [0, 1], not {values.dtype} {tuple(values.shape)}: "
                "divide by its maximum"
            )
        self.values = values.detach().clone()


class MaskedFeatures(nn.Module):
    """Feature maps multiplied with a mask that is averaged to their grid.

    Parameters
    ----------
    mask : SpatialMask
    """

    def __init__(self, mask: SpatialMask) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, features: Tensor, maps: Tensor | None = None) -> Tensor:
        """Features (B, K, h, w), weighted; with `maps`, float (B, 1, H, W), each image's by a map of its own."""
        maps = self.mask.map()[None, None] if maps is None else maps
        return features * functional.adaptive_avg_pool2d(maps, features.shape[2:])


def total_variation(values: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, down and across, of a map (H, W): a scalar, 0 for a flat map.

    TV = mean |M(i+1, j) − M(i, j)| + mean |M(i, j+1) − M(i, j)|, anisotropic (Rudin et al., Physica D 1992, in the
    form that images are commonly regularised with; our choice here). Where a side is one pixel long its part is 0.
    """
    parts = [values.diff(dim=axis).abs().mean() for axis in (0, 1) if values.shape[axis] > 1]
    return sum(parts, values.new_zeros(()))
