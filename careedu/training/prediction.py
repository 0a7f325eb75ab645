"""What a trained network says of images: logits, and where in the image a class's evidence lies."""

import numpy as np
import torch
from torch import Tensor, nn

from careedu.nn.maps import class_activation_map, grad_cam, normalize_map
from careedu.training.batch import unit_range
from careedu.training.isolation import plain_torch
from careedu.training.reproducibility import autocast

CHUNK = 64  # images at a time: more fall out of a laptop's cache and are slower


@plain_torch()
def predict_logits(model: nn.Module, images: Tensor, precision: str = "float32") -> Tensor:
    """Logits of images, in evaluation mode, without augmentation.

    Parameters
    ----------
    model : nn.Module
    images : Tensor
        uint8 (N, C, H, W), on the model's device.
    precision : str

    Returns
    -------
    Tensor
        float32 (N, C) on the CPU.
    """
    model.eval()
    with torch.inference_mode(), autocast(images.device, precision):
        logits = [model(unit_range(chunk)).float().cpu() for chunk in images.split(CHUNK)]
    return torch.cat(logits)


def as_array(tensor: Tensor) -> np.ndarray:
    """A copy of a tensor on the CPU, which does not move with it."""
    return tensor.detach().cpu().numpy().copy()


@plain_torch()
def pooled_or_maps(model: nn.Module, images: Tensor, pooled: bool, precision: str = "float32") -> Tensor:
    """Features of images in evaluation mode, float32 (N, K) where `pooled`, else (N, K, h, w), on their device."""
    model.eval()
    kept = model.pool if pooled else nn.Identity()
    with torch.no_grad(), autocast(images.device, precision):
        return torch.cat([kept(model.features(unit_range(chunk))).float() for chunk in images.split(CHUNK)])


def class_maps(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Map of the evidence for one class per image, on the feature grid.

    The closed form Σ_k W[y]_k A_k where the head is linear, Grad-CAM where it is not; no ReLU, then min-max per image.

    Parameters
    ----------
    model : nn.Module
        With `features`, `pool` and `head`.
    images : Tensor
        uint8 (N, C, H, W), on the model's device.
    labels : Tensor
        int64 (N,), the class to be mapped.

    Returns
    -------
    Tensor
        float32 (N, h, w) in [0, 1], on the CPU.
    """
    return maps_and_logits(model, images, labels)[0]


@plain_torch()
def maps_and_logits(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What `class_maps` gives, and float32 (N, C) head(pool(features)) of the same features, on the CPU too."""
    model.eval()
    linear, parts = isinstance(model.head, nn.Linear), []
    for chunk, wanted in zip(images.split(CHUNK), labels.split(CHUNK), strict=True):
        with torch.no_grad():
            features = model.features(unit_range(chunk))
        with torch.set_grad_enabled(not linear):
            logits = model.head(model.pool(features.requires_grad_(not linear)))
            if linear:
                maps = class_activation_map(features, model.head.weight[wanted])
            else:
                # Images do not mix in evaluation mode, so the sum's gradient holds each image's own.
                maps = grad_cam(features, logits.gather(1, wanted[:, None].clone()).sum())
        parts.append((normalize_map(maps.detach()).float().cpu(), logits.detach().float().cpu()))
    return torch.cat([own for own, _ in parts]), torch.cat([logits for _, logits in parts])
