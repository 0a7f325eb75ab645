"""Global spatial attention: one weight map for all images (Xu et al., arXiv 2007.15897), and its controls.

Read from top to bottom: the map as a module that fits any loop, and the methods that put it into a network and train
it. `careedu.nn.spatial_mask` has the control, a mask free of the images, and `careedu.methods.local_attention` the
rival, attention that differs from image to image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.errors import InvalidInputError
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import BuiltOnLoss, LossMethod, two_stages
from careedu.nn import pixel_features
from careedu.nn.maps import resize_map
from careedu.nn.spatial_mask import OPEN, START, FixedMask, FreeMask, MaskedFeatures, SpatialMask, total_variation
from careedu.training.batch import Batch
from careedu.training.stage import Stage, Terms, Update

LEARNED = ("pixels", "neighbourhood", "principal-components", "permuted", "free", "shuffled")
FIXED = ("mean-image", "negative-mean-image", "mean-mask")
MAPS = (*LEARNED, *FIXED)
ORDERS = ("together", "after")
FILLS = ("black", "mean")
LEVELS = {"input": "before", "features": "after"}
"""What is multiplied with the map, and the network's slot that the map goes into."""
NETWORK = ("body.", "head.")
"""What learns before the map."""


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
        stack, self.scale = pixel_features.pixel_stack(images, grid, memory_limit)
        self.grid = tuple(stack.shape[1:])
        if permutation is not None:
            stack = pixel_features.permuted_pixels(stack, permutation)
        if components is not None:
            stack, self.scale = pixel_features.principal_components(stack, components)
        n = len(stack)
        dtype = stack.dtype if stack.is_floating_point() else torch.float32
        self.weight = nn.Parameter(torch.zeros((9, n) if neighbourhood else n, dtype=dtype))
        self.bias = nn.Parameter(torch.tensor(START, dtype=dtype))
        # Not persistent: no saved state may hold the training images.
        self.register_buffer("pixels", stack.flatten(1), persistent=False)

    def _computed(self) -> Tensor:
        with torch.autocast(self.weight.device.type, enabled=False):
            scores = pixel_features.pixel_scores(torch.atleast_2d(self.weight), self.pixels)
            scores = scores * (self.scale / len(self.pixels))
            if len(scores) == 9:
                # Each of nine score maps is moved by its offset and they are added: a 3 × 3 convolution.
                scores = functional.fold(scores[None] / 9, self.grid, kernel_size=3, padding=1)
            values = torch.sigmoid(scores.view(self.grid) + self.bias)
            return values if self.grid == self.size else resize_map(values[None], self.size)[0]

    def _flatten(self, logit: float) -> None:
        self.weight.zero_()
        self.bias.fill_(logit)


@dataclass(frozen=True)
class GlobalAttention(BuiltOnLoss):
    """Global spatial attention (Xu et al., arXiv 2007.15897): L = CE + λ_s mean(M) + λ_tv TV(M).

    In training the map is moved as the augmentation moves each image; test images are seen through it as it is. Both
    are continued beyond the border by their border's values, so what a rotation brings in is weighted like the border
    it repeats.

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
        Controls: ``"permuted"`` (another pixel's features, the same permutation for all images); ``"free"`` (a free
        logit a pixel), and ``"shuffled"`` (that one, its pixels shuffled once it is learned: the same weights in wrong
        places; only after the network). Fixed ones: ``"mean-image"`` and ``"negative-mean-image"`` (the mean training
        image stretched to [0, 1], and one minus it) and ``"mean-mask"`` (likewise the mean of the training masks, what
        somebody who has drawn all lesions knows of their places).
    level : str
        What is multiplied with the map. ``"input"``: the images, before they are standardised. ``"features"``: the
        feature maps, with the map averaged to their grid.
    order : str
        ``"together"``, as the paper has it: network and map in one stage. ``"after"`` (our choice): the network learns
        with all pixels open, then rests while only the map learns, on class-balanced batches; a fixed map is put on.
        The network's bits are those that the loss alone gives it.
    fill : str
        What is seen where an image is hidden: ``"black"``, M ⊙ x, as the paper has it; or ``"mean"`` (our choice), the
        mean training image x̄ at this place: M ⊙ x + (1 − M) ⊙ x̄. That hides what tells the images apart, and not light.
        It is moved and toned as each image is.
    map_epochs : int
        How long only the map learns after the network; they come on top of the network's own epochs.
    retrain : float
        Share of the network's epochs, in [0, 1), in which both learn at last, after the map. The first stage, which is
        shorter then, has a learning-rate schedule of its own.
    images : int, optional
        Compute the map from so many training images, evenly spaced, instead of all; x̄ is always the mean of all.
    grid : int, optional
        Compute the map on so many cells each way. Not for a free mask, which has a logit a pixel.
    components : int
        How many principal components; at most as many as there are images.
    learning_rate : float
        Factor on the learning rate of the map's parameters, of the free mask's too.

    Notes
    -----
    Together, what moves the map is mostly λ_s: with batch normalisation behind it, cross-entropy hardly minds one
    brightness more or less. Aligned images are alike, so Adam moves all a_n together, and the map stays near the
    negative mean image as long as nothing tells the images apart: compare it with ``map="negative-mean-image"`` before
    believing it. After the network with the mean image behind, a pixel is worth what its differences between images are
    worth to the network: on chest phantoms a free mask then finds the lesions' zones, best of what was tried with
    ``learning_rate=100, sparsity=1, variation=0.3``. Recall is another question; one weight for all pixels
    (``grid=1``), which only fades the images towards their mean, is the control for it.
    """

    name: ClassVar[str] = "global-attention"
    choices: ClassVar = {"map": MAPS, "level": LEVELS, "order": ORDERS, "fill": FILLS}
    limits: ClassVar = {
        **dict.fromkeys(("sparsity", "variation", "learning_rate"), "[0, inf)"),
        **dict.fromkeys(("images", "grid", "components", "map_epochs"), "whole [1, inf)"),
        "retrain": "[0, 1)",
    }
    # 2: with the map folded into what standardises the images, predictions differ in their last bits.
    revision: ClassVar[int] = 2

    classification: LossMethod = field(default_factory=CrossEntropy)
    sparsity: float = 0.1
    variation: float = 0.1
    map: str = "pixels"
    level: str = "input"
    order: str = "together"
    fill: str = "black"
    map_epochs: int = 18
    retrain: float = 0.0
    images: int | None = None
    grid: int | None = None
    components: int = 32
    learning_rate: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fill == "mean" and self.level != "input":
            raise InvalidInputError('fill="mean" is for level="input": features have no mean image')
        if self.order == "together" and (self.map == "shuffled" or self.retrain):
            raise InvalidInputError('map="shuffled" and retrain= need order="after": they follow the map\'s own stage')

    def mask(self, facts: TrainingFacts) -> SpatialMask:
        """The mask before training; of a saved run, one that its state can be loaded into.

        Raises
        ------
        InvalidInputError
            If the map is the mean mask and no training image has a mask.
        """
        if facts.dataset is None:
            return FixedMask(torch.ones(facts.image_shape[1:]))
        mask = self._map_of(facts)
        if self.fill == "mean":
            mask.behind = pixel_features.average_image(facts.dataset.images)
        return mask

    def _map_of(self, facts: TrainingFacts) -> SpatialMask:
        dataset = facts.dataset
        if self.map in ("free", "shuffled"):
            return FreeMask(facts.image_shape[1:])
        if self.map == "mean-mask":
            if dataset.masks is None or not dataset.masks.any():
                raise InvalidInputError('map="mean-mask" is the mean of the training masks, and there are none')
            return FixedMask(pixel_features.mean_image(dataset.masks[:, None]))
        images = dataset.images
        if self.images is not None and self.images < len(images):
            # Evenly spaced, so that a table sorted by class gives images of every class.
            images = images[torch.linspace(0, len(images) - 1, self.images).round().long()]
        if self.map in FIXED:
            mean = pixel_features.mean_image(images)
            return FixedMask(1 - mean if self.map.startswith("negative") else mean)
        return GlobalSpatialAttention(
            images,
            grid=self.grid,
            neighbourhood=self.map == "neighbourhood",
            permutation=0 if self.map == "permuted" else None,
            components=self.components if self.map == "principal-components" else None,
        )

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, seen through the mask, which is open as long as the network learns alone.

        Raises
        ------
        InvalidInputError
            If the loss has parts of its own, which would rest while the network learns alone.
        """
        model, mask = super().wrap(model, facts), self.mask(facts)
        if self.order == "after":
            mask.flatten(OPEN)
            own = [name for name, _ in model.named_parameters() if not name.startswith(NETWORK)]
            if own:
                raise InvalidInputError(f'{own[0]!r} would rest before the map learns: order="together" moves it too')
        model.fill(LEVELS[self.level], mask if self.level == "input" else MaskedFeatures(mask))
        return model

    def mask_of(self, model: nn.Module) -> SpatialMask:
        """The mask in a network that this method has wrapped."""
        return model.before if self.level == "input" else model.after.mask

    def features(self, model: nn.Module, batch: Batch, values: Tensor | None) -> Tensor:
        """Features of a batch whose images are seen through a map (H, W), moved as each of them, or through none."""
        moved = None if values is None else batch.warp(values.expand(len(batch), 1, *values.shape))
        if self.level == "features":
            features = model.body(model.seen(batch.inputs))
            return features if moved is None else model.after(features, moved)
        seen, behind = batch.inputs, model.before.behind
        if moved is not None:
            seen = seen * moved if behind is None else seen * moved + (1 - moved) * batch.augmented(behind)
        return model.after(model.body(model.standardized(seen)))

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """Network and map together; or the network, then the map alone, then both where some epochs are kept for it."""
        slot = f"{LEVELS[self.level]}."
        rates = {slot: self.learning_rate}
        if self.order == "together":
            return [Stage(self.name, epochs, Update(self._terms(facts), learning_rates=rates))]
        first, last = two_stages(epochs, self.retrain, self.name) if self.retrain else (epochs, 0)
        done, fixed = first / epochs, self.map in FIXED
        loss = {"method": self.classification.name, **self.classification.options()}
        # What is measured of an open network differs in its last bits with level and grid. A fixed map may be of masks.
        shared = {"loss": loss, "revision": self.all_revisions(), "level": self.level, "grid": self.grid}
        own = {"end": self._put_on(facts)} if fixed else {"shared": {**shared, "lesions": False}}
        update = Update(self._terms(facts, 0.0, done, through=False), trainable=NETWORK)
        network = Stage("network", first, update, **own)
        # Batches have all classes alike, so the loss is to see no imbalance in them either.
        balanced = replace(facts, counts=(max(facts.counts),) * len(facts.counts))
        alone = Stage(
            "map",
            self.map_epochs,
            Update(self._terms(balanced, done, 0.0), trainable=(slot,), learning_rate=self.learning_rate),
            sampler="class-balanced",
            begin=lambda model: self.mask_of(model).flatten(START),
            end=self._shuffle if self.map == "shuffled" else None,
            record=lambda model: self.mask_of(model).record(),
            supervised=False,
        )
        stages = [network] if fixed else [network, alone]
        both = Update(self._terms(facts, done, 1 - done), learning_rates=rates)
        return [*stages, Stage("both", last, both)] if last else stages

    def _terms(self, facts: TrainingFacts, done: float = 0.0, share: float = 1.0, through: bool = True) -> Terms:
        """The loss through the map or without any, in a stage that has this share of the network's training."""

        def terms(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            values = self.mask_of(model).map() if through else None
            logits = model.head(model.pool(self.features(model, batch, values)))
            progress = min(done + share * batch.progress, math.nextafter(1.0, 0.0))
            loss = {"classification": self.classification.loss(logits, batch.labels, facts, progress)}
            if values is not None:
                loss |= {"sparsity": self.sparsity * values.mean()}
                loss |= {"variation": self.variation * total_variation(values)}
            return loss

        return terms

    def _put_on(self, facts: TrainingFacts) -> Callable[[nn.Module], object]:
        return lambda model: self.mask_of(model).values.copy_(self._map_of(facts).values)

    def _shuffle(self, model: nn.Module) -> None:
        logits = self.mask_of(model).logits
        logits.copy_(pixel_features.permuted_pixels(logits[None], 0)[0])
