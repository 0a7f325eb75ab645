"""Maps of where in the image the evidence for a class lies.

In a network of global average pooling and a linear head, the logit of class y is

    s_y = b_y + Σ_k W_yk · mean over positions of A_k = b_y + mean over positions of Σ_k W_yk A_k,

so the map F = Σ_k W_yk A_k says position by position what each adds to the logit: :func:`class_activation_map`, which
costs no backward pass. For any other head, :func:`grad_cam` takes the gradient's mean as the weight of each feature
map; for a linear head both are the same up to the factor 1/(h·w).

There is no ReLU here: evidence against a class is evidence too, and `normalize_map` brings what remains to [0, 1].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError


def class_activation_map(features: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of the feature maps: F_b = Σ_k w_bk A_bk.

    Parameters
    ----------
    features : (B, K, h, w) float Tensor
        A.
    weight : (B, K) float Tensor
        Of each image's wanted class: `head.weight[labels]`. Detach it where the map enters a loss that should move the
        features only.

    Returns
    -------
    (B, h, w) Tensor
        In the dtype of the features, and of any sign. Its mean over positions is the logit less the bias. Gradient
        flows to the features and to the weights.

    Raises
    ------
    InvalidInputError
        If a shape does not fit.

    Notes
    -----
    Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, section 2, equation 2.
    """
    _check_features(features)
    if weight.shape != features.shape[:2]:
        raise InvalidInputError(
            f"weight must be (B, K) = {tuple(features.shape[:2])}, not {tuple(weight.shape)}: "
            "pass the head's row of each image's class, head.weight[labels]"
        )
    return torch.einsum("bkhw,bk->bhw", features, weight.to(features.dtype))


def grad_cam(features: Tensor, score: Tensor) -> Tensor:
    """Grad-CAM without its ReLU: F_b = Σ_k w_bk A_bk, where w_bk is the mean over positions of ∂score/∂A_bk.

    Only the features are differentiated, so no parameter's `.grad` is touched; the graph is kept, so a loss can still
    be propagated through it. The weights carry no gradient (first order); the map does, through the features.

    Parameters
    ----------
    features : (B, K, h, w) float Tensor
        A, requiring gradient.
    score : () Tensor
        Computed from these features: the sum over the batch of each image's wanted logit,
        `logits.gather(1, labels[:, None]).sum()`. Where images do not mix behind the features (no batch normalisation
        in the head that is in training mode), the gradient of the sum holds each image's own.

    Returns
    -------
    (B, h, w) Tensor
        In the dtype of the features, and of any sign.

    Raises
    ------
    InvalidInputError
        If score is not one number, does not depend on the features, or nothing requires gradient.

    Notes
    -----
    Selvaraju et al., Grad-CAM, ICCV 2017, section 3, equations 1 and 2, less the ReLU of equation 2: CARE (Zhuang et
    al., MIDL 2019) leaves it out, so that evidence against the class is not lost.
    """
    _check_features(features)
    if score.numel() != 1:
        raise InvalidInputError(f"score must be one number, not {tuple(score.shape)}: sum it over the batch")
    if not (features.requires_grad and score.requires_grad):
        raise InvalidInputError(
            "grad_cam needs features and a score that require gradient: compute the score outside torch.no_grad, and "
            "call features.requires_grad_() before it where the features were computed without gradient"
        )
    (gradient,) = torch.autograd.grad(score, features, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise InvalidInputError("score does not depend on these features: compute it from the very tensor passed here")
    return class_activation_map(features, gradient.mean(dim=(2, 3)).detach())


def normalize_map(maps: Tensor) -> Tensor:
    """Stretch each map to [0, 1]: (F − min F) / (max F − min F) over the positions of one image.

    A flat map, whose range is no more than rounding, has nothing to show and gives zeros. Gradient flows through
    minimum and maximum too; that of a flat map is zero.

    Parameters
    ----------
    maps : (B, h, w) float Tensor

    Returns
    -------
    (B, h, w) Tensor
        Of the same dtype, but float32 for float16 and bfloat16, whose range the difference could leave.

    Raises
    ------
    InvalidInputError
        If maps is not float (B, h, w) with at least one position.

    Notes
    -----
    Min-max per image as CARE does (Zhuang et al., MIDL 2019); zeros for flat maps are our choice.
    """
    _check_maps(maps)
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps = maps.float()
    lowest, highest = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    extent = highest - lowest
    precision = torch.finfo(maps.dtype)
    # Not more than the last digit of the values, or so small that the gradient, 1/extent, could overflow.
    rounding = precision.eps * torch.maximum(lowest.detach().abs(), highest.detach().abs())
    flat = extent <= rounding.clamp_min(precision.tiny**0.5)
    # The division must be safe in the branch that is not taken too: its gradient is multiplied by zero, and 0·∞ is NaN.
    stretched = (maps - lowest) / torch.where(flat, 1, extent)
    return torch.where(flat, 0, stretched)


def resize_map(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize maps bilinearly, usually from the feature grid to the image.

    The corners of the outermost grid cells, not their centres, meet those of the image (`align_corners=False`), as the
    cells of a convolutional network do.

    Parameters
    ----------
    maps : (B, h, w) float Tensor
    size : int or (int, int)
        H and W; one number for a square.

    Returns
    -------
    (B, H, W) Tensor
        Within the range of the values that came in.

    Raises
    ------
    InvalidInputError
        If maps is not float (B, h, w) with at least one position, or a size is below 1.
    """
    _check_maps(maps)
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise InvalidInputError(f"size={size!r} must be at least 1 pixel each way")
    resized = functional.interpolate(maps[:, None], size=(height, width), mode="bilinear", align_corners=False)
    return resized[:, 0]


def true_class_map(
    model: nn.Module,
    features: Tensor,
    logits: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    second_order: bool = False,
    stretch: bool = True,
) -> Tensor:
    """Where the evidence for each image's own class lies, in the size of the image.

    Parameters
    ----------
    model : nn.Module
        With `head`. For an ``nn.Linear`` after global average pooling the map has a closed form; for any other head it
        is Grad-CAM's, with a backward pass from the logits to the features.
    features : float (B, K, h, w)
    logits : float (B, C)
        Computed from these features.
    labels : int64 (B,)
    size : (H, W)
    second_order : bool
        Whether gradient flows through the map's weights too.
    stretch : bool
        Whether each map is stretched to [0, 1]; else it keeps its sign, and a factor that depends on the head.

    Returns
    -------
    float (B, H, W)
    """
    if type(model.head) is nn.Linear:
        weight = model.head.weight[labels]
        maps = class_activation_map(features, weight if second_order else weight.detach())
    else:
        score = logits.gather(1, labels[:, None]).sum()
        if second_order:
            (gradient,) = torch.autograd.grad(score, features, create_graph=True)
            maps = class_activation_map(features, gradient.mean(dim=(2, 3)))
        else:
            maps = grad_cam(features, score)
    return resize_map(normalize_map(maps) if stretch else maps, size)


def _check_features(features: Tensor) -> None:
    if features.dim() != 4 or not features.is_floating_point():
        raise InvalidInputError(f"features must be float (B, K, h, w), not {features.dtype} {tuple(features.shape)}")


def _check_maps(maps: Tensor) -> None:
    if maps.dim() != 3 or not maps.is_floating_point() or 0 in maps.shape[1:]:
        raise InvalidInputError(
            f"maps must be float (B, h, w) with at least one position, not {maps.dtype} {tuple(maps.shape)}"
        )
