"""Augmentation of image, box and mask together, on whole batches.

One random draw per image is turned into one affine map. The image, its mask, its box and any other map that lies on
the image (a spatial attention map, say) are moved by that same map, so that they cannot come apart. Everything runs on
the batch as one tensor, on the device where the batch is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from careedu.data.dataset import AUGMENTATIONS
from careedu.errors import InvalidInputError, check_known, check_number


@dataclass(frozen=True)
class Augmentation:
    """How much images are changed in training; the same for every method.

    Parameters
    ----------
    flip_horizontal, flip_vertical : bool
        Whether an image is mirrored, each with probability one half.
    quarter_turns : bool
        Whether an image is turned by 0, 90, 180 or 270 degrees (square images only).
    rotation : float
        Largest further rotation in degrees, drawn uniformly on both sides.
    shift : float
        Largest shift as a fraction of the image's side.
    zoom : float
        Largest relative change of size, at most 0.9.
    brightness, contrast : float
        Largest change of brightness (added, intensities being in [0, 1]) and largest relative change of contrast
        about the image's mean.

    Raises
    ------
    InvalidInputError
        If a value is negative, not finite or out of range.
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    quarter_turns: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in {"rotation": 180, "shift": 1, "zoom": 0.9, "brightness": 1, "contrast": 1}.items():
            check_number(f"augmentation option {name}", getattr(self, name), f"[0, {limit}]")

    @classmethod
    def named(cls, name: str) -> Augmentation:
        """The augmentation that suits an organ: "none", "upright" or "any-orientation"."""
        check_known("augmentation", name, AUGMENTATIONS)
        if name == "none":
            return cls()
        mild = {"shift": 0.06, "zoom": 0.1, "brightness": 0.08, "contrast": 0.15}
        if name == "upright":
            return cls(flip_horizontal=True, rotation=10.0, **mild)
        return cls(flip_horizontal=True, flip_vertical=True, quarter_turns=True, rotation=15.0, **mild)

    @property
    def geometric(self) -> bool:
        """Whether pixels move at all."""
        moves = (self.flip_horizontal, self.flip_vertical, self.quarter_turns, self.rotation, self.shift, self.zoom)
        return any(moves)

    def draw(self, batch_size: int, image_size: tuple[int, int], generator: torch.Generator) -> Draw:
        """Draw one change per image.

        Parameters
        ----------
        batch_size : int
        image_size : (H, W)
        generator : torch.Generator
            On the CPU, so that the draw is the same on every device.

        Returns
        -------
        Draw
        """
        if self.quarter_turns and image_size[0] != image_size[1]:
            raise InvalidInputError(f"quarter turns need square images, not {image_size[0]}x{image_size[1]}")
        # One block of numbers whatever is switched on: switching an option off leaves the other draws as they were.
        uniform = torch.rand(batch_size, 9, generator=generator, dtype=torch.float64)
        signed = 2 * uniform - 1
        angle = torch.deg2rad(self.rotation * signed[:, 0])
        if self.quarter_turns:
            angle = angle + torch.floor(uniform[:, 1] * 4) * (math.pi / 2)
        size = 1 + self.zoom * signed[:, 2]
        mirror_x = torch.where((uniform[:, 3] < 0.5) & torch.tensor(self.flip_horizontal), -1.0, 1.0)
        mirror_y = torch.where((uniform[:, 4] < 0.5) & torch.tensor(self.flip_vertical), -1.0, 1.0)
        cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
        # Rows of the map from input to output coordinates; both run from -1 to 1 over the image, so the aspect ratio
        # has to be taken out before a rotation and put back after it.
        aspect = image_size[1] / image_size[0]
        forward = torch.zeros(batch_size, 3, 3, dtype=torch.float64)
        forward[:, 0, 0], forward[:, 0, 1] = cos * mirror_x, -sin * mirror_y / aspect
        forward[:, 1, 0], forward[:, 1, 1] = sin * mirror_x * aspect, cos * mirror_y
        forward[:, 0, 2], forward[:, 1, 2] = 2 * self.shift * signed[:, 5], 2 * self.shift * signed[:, 6]
        forward[:, 2, 2] = 1
        return Draw(
            forward=forward if self.geometric else None,
            brightness=(self.brightness * signed[:, 7]).float() if self.brightness else None,
            contrast=(1 + self.contrast * signed[:, 8]).float() if self.contrast else None,
        )


@dataclass(frozen=True, eq=False)
class Draw:
    """One drawn change per image of a batch, to be applied to whatever belongs to these images.

    Parameters
    ----------
    forward : Tensor or None
        float64 (B, 3, 3), where a point of the input goes, in coordinates from -1 to 1; None where nothing moves.
    brightness, contrast : Tensor or None
        float32 (B,), added and multiplied.
    """

    forward: Tensor | None
    brightness: Tensor | None
    contrast: Tensor | None

    def images(self, images: Tensor) -> Tensor:
        """Move and tone images, float (B, C, H, W) in [0, 1]; the result is clipped to [0, 1]."""
        images = self.maps(images)
        if self.contrast is None and self.brightness is None:
            return images
        if self.contrast is not None:
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = torch.lerp(mean, images, self.contrast.to(images).view(-1, 1, 1, 1))
        if self.brightness is not None:
            images = images + self.brightness.to(images).view(-1, 1, 1, 1)
        return images.clamp(0, 1)

    def maps(self, maps: Tensor) -> Tensor:
        """Move what lies on the images, bilinearly, without toning it: float (B, C, H, W) of any resolution."""
        return self._sample(maps, "bilinear")

    def masks(self, masks: Tensor) -> Tensor:
        """Move masks, bool (B, H, W), to the nearest pixel."""
        if self.forward is None:
            return masks
        return self._sample(masks.unsqueeze(1).float(), "nearest").squeeze(1) > 0.5

    def boxes(self, boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Move boxes, float32 (B, 4) XYXY in pixels, to the upright box that encloses the moved one.

        The result is clipped to the image (H, W) = `image_size`; a box that leaves it becomes a NaN row, and NaN rows
        stay NaN.
        """
        if self.forward is None:
            return boxes
        height, width = image_size
        scale = torch.tensor([width, height], dtype=torch.float64, device=boxes.device) / 2
        corners = boxes.double()[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] / scale - 1
        forward = self.forward.to(boxes.device)
        moved = corners @ forward[:, :2, :2].transpose(1, 2) + forward[:, None, :2, 2]
        moved = (moved + 1) * scale
        low = moved.amin(dim=1).clamp(min=0)
        high = torch.minimum(moved.amax(dim=1), 2 * scale)
        gone = (high - low).amin(dim=1) < 1  # less than a pixel is left
        return torch.where(gone[:, None], torch.nan, torch.cat([low, high], dim=1)).float()

    def _sample(self, values: Tensor, mode: str) -> Tensor:
        if self.forward is None:
            return values
        # grid_sample asks where each output pixel comes from, so the map is inverted (in float64: exact flips).
        backward = torch.linalg.inv(self.forward)[:, :2].to(values)
        options = {"mode": mode, "padding_mode": "border", "align_corners": False}
        # In half precision a place would be rounded to an eighth of a pixel, and maps would not lie on their images.
        with torch.autocast(values.device.type, enabled=False):
            grid = F.affine_grid(backward, list(values.shape), align_corners=False)
            if values.is_cuda and values.requires_grad:
                # A card sums this gradient in no fixed order, so that a seed would not give the same bits twice. What
                # is learned and moved along with images is one small map.
                return F.grid_sample(values.cpu(), grid.cpu(), **options).to(values.device)
            return F.grid_sample(values, grid, **options)
