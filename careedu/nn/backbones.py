"""The networks: a small one made for a laptop's CPU, and the four families of CNN that the papers use.

Every network here has the same face, and the whole package rests on it::

    x (B, C, H, W) ── features ──> (B, K, h, w) ── pool ──> (B, K) ── head ──> logits (B, classes)

`pool` is the mean over the h·w positions and `head` is linear, so a logit is the mean of its class map plus a bias:
where the network looks can be read off the weights, without a backward pass (see `careedu.nn.maps`). What a method puts
into a network goes into the slots `before` and `after` of `features`, which is after(body(standardized(before(x)))).

Start with :func:`build_model`. Nothing is downloaded: all networks start from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import CheckpointError, InvalidInputError, check_known
from careedu.nn.bodies import initialize, small_body, torchvision_body
from careedu.nn.contrastive import unit_vectors
from careedu.nn.spatial_mask import SpatialMask
from careedu.nn.unet import UNetEncoder

MODELS: dict[str, str] = {
    "small": "residual network of 0.3 M parameters made for a CPU; feature grid of size/8, K = 128",
    "googlenet": "GoogLeNet (Szegedy et al., CVPR 2015) with batch normalisation, no auxiliary heads; K = 1024",
    "vgg16": "VGG-16 (Simonyan and Zisserman, ICLR 2015) with batch normalisation, up to conv5_3; K = 512",
    "resnet18": "ResNet-18 (He et al., CVPR 2016); K = 512",
    "resnet50": "ResNet-50 (He et al., CVPR 2016); K = 2048",
    "densenet121": "DenseNet-121 (Huang et al., CVPR 2017); K = 1024",
    "unet": "encoder of a small U-Net (Ronneberger et al., MICCAI 2015), which can learn from masks first; K = 48",
}
"""The names that `build_model` knows, and what each one is."""


class Classifier(nn.Module):
    """A feature extractor, the mean over positions, and a linear head, with two slots that a method may fill.

    A module in a slot may have ``record()``, which gives named tensors to be kept of each epoch, and ``freeze()``,
    which drops what only training needs.

    The weights are laid out channels-last, and so are the features: on a CPU that is the fastest order.

    Parameters
    ----------
    body : nn.Module
        Turns standardised images (B, image_channels, H, W) into features (B, channels, h, w).
    channels : int
        K, the number of feature maps.
    classes : int
        Number of classes, at least 1.
    image_channels : int
        Channels of the images: 1 for grey, 3 for colour.
    smallest : int
        Least height and width of an image, in pixels.

    Attributes
    ----------
    channels : int
        K, the number of feature maps.
    head : nn.Linear
        From K pooled features to the logits; a method may put another module with `in_features` in its place.
    before, after : nn.Module
        What the images go through before they are standardised, and the features before they are pooled. A
        `SpatialMask` in `before` is folded into the standardisation, where it costs nothing.
    training_parts : nn.ModuleDict
        What only training needs, such as a projector or a decoder. It is in checkpoints, but `freeze` drops it.
    mean, std : float (image_channels,)
        Buffers that standardise the images inside `features`; 0 and 1 until `standardize` is called. They are
        saved with the weights, so a saved network knows how its images were prepared.
    """

    def __init__(self, body: nn.Module, channels: int, classes: int, image_channels: int, smallest: int) -> None:
        super().__init__()
        if classes < 1 or image_channels < 1:
            raise InvalidInputError(
                f"a network needs at least one class and one image channel, not classes={classes!r}, "
                f"channels={image_channels!r}"
            )
        self.body = body
        self.head = nn.Linear(channels, classes)
        # Last among the parts, so that the body's learning rate stays the one that a history records.
        self.before, self.after = nn.Identity(), nn.Identity()
        self.training_parts = nn.ModuleDict()
        self.channels = channels
        self.smallest = smallest
        self.register_buffer("mean", torch.zeros(image_channels))
        self.register_buffer("std", torch.ones(image_channels))
        self.to(memory_format=torch.channels_last)

    def standardize(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        """Set what is subtracted from the images and what they are divided by.

        Parameters
        ----------
        mean, std : (C,) floats
            Of the training images' channels, in the units of the images, [0, 1].

        Raises
        ------
        InvalidInputError
            If a length is not C, a value not finite, or a standard deviation not positive.
        """
        mean, std = (torch.as_tensor(v, dtype=self.mean.dtype, device=self.mean.device) for v in (mean, std))
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise InvalidInputError(
                f"mean and std need one value per image channel, {len(self.mean)}; "
                f"they have the shapes {tuple(mean.shape)} and {tuple(std.shape)}"
            )
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise InvalidInputError(
                f"mean={mean.tolist()} and std={std.tolist()} must be finite and std above 0; "
                "a channel that is the same everywhere wants std 1"
            )
        self.mean.copy_(mean)
        self.std.copy_(std)

    def standardize_by(self, images: Tensor) -> None:
        """Standardise by the mean and spread of training images, uint8 (N, C, H, W), one pair a channel."""
        levels = torch.arange(256, dtype=torch.float64) / 255
        mean, spread = [], []
        for channel in images.cpu().unbind(1):
            # Only 256 intensities exist: counting them is exact, and needs no copy of the images in float64.
            share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
            mean.append(share @ levels)
            spread.append((share @ (levels - mean[-1]).square()).sqrt())
        spread = torch.stack(spread)
        # A set of constant images has no spread; dividing by one leaves them alone.
        self.standardize(torch.stack(mean).float(), torch.where(spread > 1e-6, spread, 1.0).float())

    def standardized(self, x: Tensor, weights: Tensor | None = None, behind: Tensor | None = None) -> Tensor:
        """The images as `body` takes them: (w ⊙ x + (1 − w) ⊙ x̄ − mean) / std, in channels-last order.

        Parameters
        ----------
        x : float (B, C, H, W)
            Images in [0, 1].
        weights : float (H, W), optional
            w, for all images alike; 1 where it is left out.
        behind : float (C, H, W), optional
            x̄, what is seen where w is 0; black where it is left out.

        Returns
        -------
        float (B, C, H, W)

        Raises
        ------
        InvalidInputError
            If x is not a float tensor of four dimensions with the network's channels, or too small for it.
        """
        if x.dim() != 4 or x.shape[1] != len(self.mean):
            raise InvalidInputError(
                f"the network takes images (B, {len(self.mean)}, H, W), not {tuple(x.shape)}; "
                "build it with channels= the channels of the images"
            )
        if not x.is_floating_point():
            raise InvalidInputError(f"images must be float in [0, 1], not {x.dtype}: divide uint8 by 255")
        if min(x.shape[2:]) < self.smallest:
            raise InvalidInputError(
                f"images of {x.shape[2]}×{x.shape[3]} pixels are too small for this network, which needs at least "
                f"{self.smallest}×{self.smallest}: load them with a larger size="
            )
        mean, std = self.mean[:, None, None], self.std[:, None, None]
        if weights is None:
            return ((x - mean) / std).contiguous(memory_format=torch.channels_last)
        # x·(w/std) + (what all share): one pass over the images, as the rest is computed once, in their order.
        scale = (weights / std)[None].contiguous(memory_format=torch.channels_last)
        base = -mean / std
        if behind is not None:
            base = (base + (1 - weights) * behind / std)[None].contiguous(memory_format=torch.channels_last)
        return torch.addcmul(base, x, scale).contiguous(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps, float (B, K, h, w), of images x (B, C, H, W) in [0, 1], which are `standardized` first.

        None is negative as long as `after` keeps it so: every body here ends with a ReLU.
        """
        return self.after(self.body(self.seen(x)))

    def seen(self, x: Tensor) -> Tensor:
        """The images (B, C, H, W) as `body` sees them: through `before`, and `standardized`.

        A mask, the same for all images, is folded into the standardisation with what is behind it: one pass.
        """
        if isinstance(self.before, SpatialMask) and type(self.before).forward is SpatialMask.forward:
            return self.standardized(x, self.before.map_for(x), self.before.behind)
        return self.standardized(self.before(x))

    def fill(self, slot: str, part: nn.Module) -> None:
        """Put a module into the slot "before" or "after".

        Raises
        ------
        InvalidInputError
            If there is one already: neither of two methods may lose what it put there.
        """
        there = getattr(self, slot)
        if not isinstance(there, nn.Identity):
            raise InvalidInputError(
                f"the slot {slot!r} holds a {type(there).__name__} already: put both into one module, such as "
                "torch.nn.Sequential, or build on a loss that needs no slot"
            )
        setattr(self, slot, part)

    def pool(self, features: Tensor) -> Tensor:
        """Global average pooling: the mean over the positions, (B, K, h, w) to (B, K)."""
        return features.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float (B, classes), of images x (B, C, H, W) in [0, 1]."""
        return self.head(self.pool(self.features(x)))

    def record(self) -> dict[str, Tensor]:
        """What is kept of each epoch: all that the modules in the slots record, by name."""
        return {name: kept for part in self._slot_parts("record") for name, kept in part.record().items()}

    def freeze(self) -> Classifier:
        """Keep what predictions need and drop what only training does; returns the network itself.

        No prediction changes by it, to the last bit.
        """
        for part in self._slot_parts("freeze"):
            part.freeze()
        self.training_parts = nn.ModuleDict()
        return self

    def _slot_parts(self, ability: str) -> list[nn.Module]:
        return [part for slot in (self.before, self.after) for part in slot.modules() if hasattr(part, ability)]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As in torch, but weights that do not fit are a `CheckpointError` that says what to do."""
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            raise CheckpointError(
                "these weights are not of this network, or were saved by a careedu that named its parts otherwise: "
                f"train it again with careedu.fit ({shorten(str(error), 300)})"
            ) from error


class NormalizedLinear(nn.Module):
    """A head whose logits are cosines between features and class vectors, in [-1, 1].

    s_c = (w_c / ‖w_c‖) · (z / ‖z‖), without bias. Cao et al. (NeurIPS 2019, section 3.2) need it for LDAM: margins
    mean something only if neither features nor class vectors can grow. Features that are all zero give zero
    logits, never NaN.

    Parameters
    ----------
    in_features : int
        K.
    classes : int
        C.

    Attributes
    ----------
    weight : float (C, K)
        The class vectors, of any length: they are normalised at each call.
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = classes
        self.weight = nn.Parameter(torch.empty(classes, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the class vectors afresh, in directions that are uniform on the sphere."""
        nn.init.normal_(self.weight)
        with torch.no_grad():
            self.weight.copy_(unit_vectors(self.weight))

    def forward(self, z: Tensor) -> Tensor:
        """Cosines, float (B, C), of features z (B, K)."""
        return functional.linear(unit_vectors(z), unit_vectors(self.weight))

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"in_features={self.in_features}, classes={self.out_features}"


def build_model(name: str, classes: int, channels: int = 1) -> Classifier:
    """Build a network with random weights.

    The weights come from torch's global generator: `torch.manual_seed` before it makes them the same bit for bit.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    classes : int
        Number of classes.
    channels : int
        Channels of the images: 1 for grey, 3 for colour.

    Returns
    -------
    Classifier

    Raises
    ------
    UnknownNameError
        If there is no network of that name.
    InvalidInputError
        If classes or channels is below 1.

    Notes
    -----
    All convolutions start as in He et al. (ICCV 2015, section 2.2), normal with variance 2 / fan_in, whatever
    torchvision would do: so that GoogLeNet and DenseNet differ from ResNet in their architecture and not in
    their start (our choice).
    """
    check_known("model", name, MODELS)
    if classes < 1 or channels < 1:
        raise InvalidInputError(
            f"a network needs at least one class and one channel, not classes={classes!r}, channels={channels!r}"
        )
    if name == "small":
        return Classifier(small_body(channels), 128, classes, channels, smallest=16)
    if name == "unet":
        encoder = UNetEncoder(channels)
        initialize(encoder)
        return Classifier(encoder, encoder.widths[-1], classes, channels, smallest=16)
    body, maps = torchvision_body(name, channels)
    return Classifier(body, maps, classes, channels, smallest=32)
