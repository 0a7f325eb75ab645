"""Global spatial attention: one weight map for all images (Xu et al., arXiv 2007.15897), and its controls.

Read from top to bottom: the map as a module that fits any loop, and the methods that put it into a network and train
it. `careedu.nn.spatial_mask` has the control, a mask free of the images, and `careedu.nn.local_attention` the rival,
attention that differs from image to image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError, unknown_name
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import BuiltOnLoss, LossMethod, TrainingFacts
from careedu.nn.local_attention import KINDS, build_local_attention
from careedu.nn.maps import resize_map
from careedu.nn.pixel_features import mean_image, permuted_pixels, pixel_scores, pixel_stack, principal_components
from careedu.nn.spatial_mask import START, FixedMask, FreeMask, MaskedFeatures, SpatialMask, total_variation
from careedu.training.batch import Batch, FeatureBatch
from careedu.training.stage import Stage, Update

MAPS = ("pixels", "neighbourhood", "principal-components", "permuted", "free", "mean-image", "negative-mean-image")
LEVELS = {"input": "before", "features": "after"}
"""What is multiplied with the map, and the network's slot that the map goes into."""


class GlobalSpatialAttention(SpatialMask):
    """The map as the output of a linear classifier of pixels.

    The features of pixel p are the intensities that the N training images have there, v_p = (X_1(p) … X_N(p)) / N, and

        ℓ_p = a·v_p + b,    M_p = σ(ℓ_p),    x̃ = M ⊙ x.

    Without the division by N one step of Adam, which moves each of the N weights alike, would move the logits the more
    the more images there are. Test images have no part in the map, and M does not depend on the order of the images.

    Parameters
    ----------
    images : Tensor
        Training images, not augmented: uint8 (N, C, H, W), or float in [0, 1]. X_n(p) is the mean over the channels
        (our choice). Their pixels stay in memory until `freeze`: one byte a pixel for grey uint8 images, two for
        coloured ones, and those of the float type otherwise; the computation itself needs a few megabytes more.
    grid : int, optional
        The map is computed on grid × grid cells, from the images averaged to these, and M is resized bilinearly.
    neighbourhood : bool
        The pixel's 3 × 3 neighbourhood in all images is its feature vector (9N numbers, divided by 9N).
    permutation : int, optional
        A control: seed of one permutation π of the pixels, the same for all images, so that ℓ_p = a·v_π(p) + b.
    components : int, optional
        The pixels' features are their first principal components instead, each of unit variance over the pixels.
    memory_limit : int
        Most bytes that the pixels may take.

    Attributes
    ----------
    weight : float (N,)
        a, zero at the start; (9, N) with `neighbourhood`, (components,) with principal components.
    bias : float ()
        b, 2 at the start.

    Raises
    ------
    InvalidInputError
        If the images do not fit, an intensity is outside [0, 1], or the pixels would take too much memory.

    Notes
    -----
    Xu et al., arXiv 2007.15897: one map for all images from a binary classifier of pixels, whose features are the
    intensities of all images there, trained with the network. That it is linear, its scale and its start are ours.
    """

    def __init__(
        self,
        images: Tensor,
        *,
        grid: int | None = None,
        neighbourhood: bool = False,
        permutation: int | None = None,
        components: int | None = None,
        memory_limit: int = 2**30,
    ) -> None:
        super().__init__()
        self.size = tuple(images.shape[2:])
        stack, self.scale = pixel_stack(images, grid, memory_limit)
        self.grid = tuple(stack.shape[1:])
        if permutation is not None:
            stack = permuted_pixels(stack, permutation)
        if components is not None:
            stack, self.scale = principal_components(stack, components)
        n = len(stack)
        dtype = stack.dtype if stack.is_floating_point() else torch.float32
        self.weight = nn.Parameter(torch.zeros((9, n) if neighbourhood else n, dtype=dtype))
        self.bias = nn.Parameter(torch.tensor(START, dtype=dtype))
        # Not persistent: no saved state may hold the training images.
        self.register_buffer("pixels", stack.flatten(1), persistent=False)

    def _computed(self) -> Tensor:
        with torch.autocast(self.weight.device.type, enabled=False):
            scores = pixel_scores(torch.atleast_2d(self.weight), self.pixels) * (self.scale / len(self.pixels))
            if len(scores) == 9:
                # Each of nine score maps is moved by its offset and they are added: a 3 × 3 convolution.
                scores = functional.fold(scores[None] / 9, self.grid, kernel_size=3, padding=1)
            values = torch.sigmoid(scores.view(self.grid) + self.bias)
            return values if self.grid == self.size else resize_map(values[None], self.size)[0]


@dataclass(frozen=True)
class GlobalAttention(BuiltOnLoss):
    """Global spatial attention (Xu et al., arXiv 2007.15897): L = CE + λ_s mean(M) + λ_tv TV(M).

    The map is learned with the network. In training it is moved as the augmentation moves each image; test images are
    seen through it as it is. Both are continued beyond the border by their border's values, so what a rotation brings
    in is weighted like the border it repeats.

    Parameters
    ----------
    classification : LossMethod
        The loss that stands for CE.
    sparsity : float
        λ_s, how much an open pixel costs (our choice).
    variation : float
        λ_tv, how much a ragged map costs (our choice).
    map : str
        ``"pixels"``, the method; ``"neighbourhood"`` and ``"principal-components"``, variants of its features.
        Controls: ``"permuted"`` (another pixel's features, the same permutation for all images), ``"free"`` (a free
        logit a pixel), ``"mean-image"`` and ``"negative-mean-image"`` (fixed: the mean training image stretched to
        [0, 1], and one minus it).
    level : str
        What is multiplied with the map. ``"input"``: the images, before they are standardised, so that M = 0 is black.
        ``"features"``: the feature maps, with the map averaged to their grid.
    images : int, optional
        So many training images, evenly spaced, instead of all.
    grid : int, optional
        Compute the map on so many cells each way. Not for ``map="free"``, which has a logit a pixel.
    components : int
        How many principal components; at most as many as there are images.
    learning_rate : float
        Factor on the learning rate of the map's parameters, of the free mask's too.

    Notes
    -----
    What moves the map is mostly λ_s: with batch normalisation behind it, cross-entropy hardly minds one brightness more
    or less. Aligned images are alike, so Adam moves all a_n together, and the map stays near the negative mean image
    as long as nothing tells the images apart: compare it with ``map="negative-mean-image"`` before believing it.
    """

    name: ClassVar[str] = "global-attention"
    # 2: with the map folded into what standardises the images, predictions differ in their last bits.
    revision: ClassVar[int] = 2

    classification: LossMethod = field(default_factory=CrossEntropy)
    sparsity: float = 0.1
    variation: float = 0.1
    map: str = "pixels"
    level: str = "input"
    images: int | None = None
    grid: int | None = None
    components: int = 32
    learning_rate: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for value, known, what in ((self.map, MAPS, "map"), (self.level, LEVELS, "level")):
            if value not in known:
                raise unknown_name(what, value, known)
        for name in ("sparsity", "variation", "learning_rate"):
            value = getattr(self, name)
            if not (0 <= value < math.inf):
                raise InvalidInputError(f"{name}={value!r} must be at least 0 and finite")
        for name in ("images", "grid", "components"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidInputError(f"{name}={value!r} must be a whole number, at least 1")

    def mask(self, facts: TrainingFacts) -> SpatialMask:
        """The mask before training; of a saved run, one that its state can be loaded into."""
        size = facts.image_shape[1:]
        if facts.dataset is None:
            return FixedMask(torch.ones(size))
        if self.map == "free":
            return FreeMask(size)
        images = facts.dataset.images
        if self.images is not None and self.images < len(images):
            # Evenly spaced, so that a table sorted by class gives images of every class.
            images = images[torch.linspace(0, len(images) - 1, self.images).round().long()]
        if self.map.endswith("mean-image"):
            mean = mean_image(images)
            return FixedMask(1 - mean if self.map.startswith("negative") else mean)
        return GlobalSpatialAttention(
            images,
            grid=self.grid,
            neighbourhood=self.map == "neighbourhood",
            permutation=0 if self.map == "permuted" else None,
            components=self.components if self.map == "principal-components" else None,
        )

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, seen through the mask."""
        model, mask = super().wrap(model, facts), self.mask(facts)
        model.fill(LEVELS[self.level], mask if self.level == "input" else MaskedFeatures(mask))
        return model

    def mask_of(self, model: nn.Module) -> SpatialMask:
        """The mask in a network that this method has wrapped."""
        return model.before if self.level == "input" else model.after.mask

    def features(self, model: nn.Module, inputs: Tensor, maps: Tensor) -> Tensor:
        """Features of images that are each seen through a map of their own, float (B, 1, H, W)."""
        if self.level == "input":
            return model.after(model.body(model.standardized(inputs * maps)))
        return model.after(model.body(model.seen(inputs)), maps)

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage: network and map together, the map at its own learning rate."""

        def terms(model: nn.Module, batch: Batch | FeatureBatch) -> dict[str, Tensor]:
            values = self.mask_of(model).map()
            moved = batch.warp(values.expand(len(batch), 1, *values.shape))
            logits = model.head(model.pool(self.features(model, batch.inputs, moved)))
            return {
                "classification": self.classification.loss(logits, batch.labels, facts, batch.progress),
                "sparsity": self.sparsity * values.mean(),
                "variation": self.variation * total_variation(values),
            }

        learning_rates = {f"{LEVELS[self.level]}.": self.learning_rate}
        return [Stage(self.name, epochs, Update(terms, learning_rates=learning_rates))]


@dataclass(frozen=True)
class LocalAttention(BuiltOnLoss):
    """The rival: attention on the feature maps that differs from image to image, trained with the network.

    Parameters
    ----------
    classification : LossMethod
    kind : str
        ``"squeeze-excitation"`` (Hu et al., CVPR 2018: a weight a channel) or ``"spatial"`` (Woo et al., ECCV 2018,
        the spatial half of CBAM: a weight a position).
    """

    name: ClassVar[str] = "local-attention"

    classification: LossMethod = field(default_factory=CrossEntropy)
    kind: str = "squeeze-excitation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise unknown_name("kind of local attention", self.kind, KINDS)

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, with attention behind the last features."""
        model = super().wrap(model, facts)
        model.fill("after", build_local_attention(self.kind, model.channels))
        return model

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage."""
        return [Stage(self.name, epochs, self.classification.terms(facts))]
