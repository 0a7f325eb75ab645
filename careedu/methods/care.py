"""CARE: class attention to regions of the lesion, so that a rare disease is told by what the lesion shows.

Zhuang, Cai, Wang, Zhang and Zheng, MIDL 2019; and Neurocomputing 2023, arXiv 2307.10036, of which we could read the
abstract only. Boxes around the lesions of the rare classes' training images steer where the network looks while it is
trained; the network that comes out is the plain one, and needs no box. In a training loop of your own:

>>> import torch
>>> from torch.nn.functional import cross_entropy
>>> from careedu.methods.boxes import inside_boxes
>>> from careedu.methods.care import attention_loss
>>> from careedu.nn.backbones import build_model
>>> from careedu.nn.maps import class_activation_map, normalize_map, resize_map
>>> model = build_model("small", classes=3, channels=1)
>>> optimizer = torch.optim.AdamW(model.parameters())
>>> images, labels = torch.rand(4, 1, 64, 64), torch.tensor([0, 1, 2, 2])
>>> nowhere = [torch.nan] * 4  # common classes need no box
>>> boxes = torch.tensor([nowhere, nowhere, [8.0, 8, 24, 30], [30.0, 16, 50, 40]])
>>> for images, labels, boxes in [(images, labels, boxes)]:  # your loader
...     features = model.features(images)
...     loss = cross_entropy(model.head(model.pool(features)), labels)
...     maps = class_activation_map(features, model.head.weight[labels].detach())
...     maps = resize_map(normalize_map(maps), images.shape[2:])
...     inside = inside_boxes(boxes, images.shape[2:])
...     if inside.any():
...         attention = attention_loss(maps, inside).sum() / inside.any(dim=(1, 2)).sum()
...         loss = 0.5 * loss + 0.5 * attention
...     optimizer.zero_grad(), loss.backward(), optimizer.step()
(None, None, None)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError, unknown_name
from careedu.methods.boxes import given_boxes, inside_boxes, lesion_boxes, random_boxes, scale_boxes, shifted_boxes
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import BuiltOnLoss, LossMethod, TrainingFacts, Workspace, two_stages
from careedu.methods.segmentation import REVISION as SEGMENTATION_REVISION
from careedu.methods.segmentation import boxes_of_a_trained_segmentation
from careedu.nn.arguments import at_least_float32
from careedu.nn.maps import class_activation_map, grad_cam, normalize_map, resize_map
from careedu.training.batch import Batch
from careedu.training.stage import Stage, Terms, Update

BOXES = ("given", "saliency", "segmentation", "random", "shifted")
CLASSES = ("rare", "all")
# Purposes that random numbers are drawn for, so that one option's draws leave the other's alone.
SHARE, PLACE = 1, 2


def attention_loss(maps: Tensor, inside: Tensor, cap: float = 0.5, outside_weight: float = 0.7) -> Tensor:
    """How far a network looks away from the lesion, one number an image.

    L_in = −min(mean of F inside, τ),  L_out = mean of F outside,  L_a = L_in + λ L_out

    Parameters
    ----------
    maps : float (B, H, W)
        F, the class's map, in [0, 1].
    inside : bool (B, H, W), or float of zeros and ones
        The pixels of the box, or of the union of several.
    cap : float
        τ: no more is gained by filling the box beyond this mean.
    outside_weight : float
        λ.

    Returns
    -------
    float (B,)
        In [−τ, λ], in the dtype of the maps, float32 for half precision; 0 for an image without anything inside.
        Where the whole image is inside, L_out is 0.

    Raises
    ------
    InvalidInputError
        If a shape or dtype does not fit, or `inside` holds anything but zeros and ones.

    Notes
    -----
    The paper (MIDL 2019) states the equations and λ = 0.7 for skin, 0.5 for X-rays; τ = 0.5 is of its authors' code.
    Outside is uniform as in the paper; its authors' variant has it grow with the distance from the box.
    """
    if maps.dim() != 3 or not maps.is_floating_point() or inside.shape != maps.shape:
        raise InvalidInputError(
            f"maps must be float (B, H, W) and inside of the same size, not {maps.dtype} {tuple(maps.shape)} and "
            f"{tuple(inside.shape)}: bring the maps to the image's size with resize_map"
        )
    if inside.dtype != torch.bool and not (inside.is_floating_point() and bool(((inside == 0) | (inside == 1)).all())):
        raise InvalidInputError(f"inside must be bool, or float of zeros and ones, not {inside.dtype}: use mask > 0")
    maps = at_least_float32(maps)
    inside = inside.to(maps.dtype)
    area = inside.sum(dim=(1, 2))
    rest = inside[0].numel() - area if len(inside) else area
    # A mean over nothing is 0 and not NaN: the divisor is never 0, in the branch that is not taken either.
    mean_inside = (maps * inside).sum(dim=(1, 2)) / area.clamp_min(1)
    mean_outside = (maps * (1 - inside)).sum(dim=(1, 2)) / rest.clamp_min(1)
    return torch.where(area > 0, outside_weight * mean_outside - mean_inside.clamp_max(cap), 0)


@dataclass(frozen=True)
class CARE(BuiltOnLoss):
    """Class attention to regions of the lesion (Zhuang et al., MIDL 2019, and arXiv 2307.10036).

    Two stages: the classification loss alone, then L = (1 − α) L_classification + α L_a, where L_a is the mean of
    :func:`attention_loss` over the batch's images that have a box; a batch without any has the classification loss
    alone. The map is Grad-CAM's of the true class without its ReLU, scaled to [0, 1] per image and resized to the
    image; its weights carry no gradient. For a linear head it has a closed form and costs no second backward pass.

    The paper states the two stages, the loss, the map and that only the rare classes' training images have boxes.
    How L_a is averaged and what a batch without boxes does are our choice, and so are the shares of the epochs and the
    learning rate of the second stage.

    Parameters
    ----------
    classification : LossMethod
        Logit adjustment by default, not the paper's plain cross-entropy: attention does not balance the classes, the
        paper itself does best with weights on top, and what it adds is best seen on a loss that is already balanced.
    alpha : float
        α, in [0, 1). 0 is the control that is trained alike but for the attention loss.
    cap, outside_weight : float
        τ and λ of the attention loss.
    boxes : str
        ``"given"``: those of the data set, or of its masks where there is no box. Without a doctor: ``"saliency"`` (the
        minimum barrier distance, which on the common classes' training images of the skin phantom met the true box
        better than the spectral residual) or ``"segmentation"`` (a U-Net trained on the common classes' masks).
        Controls: ``"random"`` (given boxes put anywhere) and ``"shifted"`` (given boxes put off the lesion).
    classes : str
        ``"rare"``, or ``"all"`` to give every training image its box.
    box_scale : float
        Factor on width and height of the boxes.
    box_share : float
        Share of the images that keep their box, in (0, 1], at least one per class; smaller shares are part of larger
        ones.
    share : float
        Share of the epochs that the second stage gets, in (0, 1).
    learning_rate : float
        Factor on the learning rate in the second stage.
    second_order : bool
        Whether gradient also flows through the weights of the map; the paper's does not.
    """

    name: ClassVar[str] = "care"

    classification: LossMethod = field(default_factory=LogitAdjusted)
    alpha: float = 0.5
    cap: float = 0.5
    outside_weight: float = 0.7
    boxes: str = "given"
    classes: str = "rare"
    box_scale: float = 1.0
    box_share: float = 1.0
    share: float = 0.5
    learning_rate: float = 1.0
    second_order: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.boxes not in BOXES:
            raise unknown_name("source of boxes", self.boxes, BOXES)
        if self.classes not in CLASSES:
            raise unknown_name("choice of classes", self.classes, CLASSES)
        limits = {
            "alpha": (0 <= self.alpha < 1, "in [0, 1)"),
            "cap": (0 < self.cap <= 1, "in (0, 1]"),
            "outside_weight": (0 <= self.outside_weight < math.inf, "at least 0 and finite"),
            "box_scale": (0 < self.box_scale < math.inf, "above 0 and finite"),
            "box_share": (0 < self.box_share <= 1, "in (0, 1]"),
            "share": (0 < self.share < 1, "in (0, 1)"),
            "learning_rate": (0 < self.learning_rate < math.inf, "above 0 and finite"),
        }
        for option, (fits, limit) in limits.items():
            if not fits:
                raise InvalidInputError(f"{option}={getattr(self, option)!r} must be {limit}")

    def all_revisions(self) -> str:
        """With that of the segmentation, where the boxes come from one."""
        revisions = super().all_revisions()
        return f"{revisions}.{SEGMENTATION_REVISION}" if self.boxes == "segmentation" else revisions

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """As `prepare_in`, without progress bar and with nothing kept."""
        return self.prepare_in(Workspace(), data, seed)

    def prepare_in(self, workspace: Workspace, data: Splits, seed: int) -> LesionDataset:
        """The training images with the boxes that this method may use, and no masks.

        Images and labels stay as they are, and the boxes are a function of the data and the seed alone.

        Raises
        ------
        InvalidInputError
            If no image that wants a box has one, or there are no masks to train a segmentation on.
        """
        train = data.train
        boxes = torch.full((len(train), 4), torch.nan)
        if self.alpha > 0:
            rows = self._wanted(data, seed)
            boxes[rows] = self._boxes(data, rows, seed, workspace)
            if bool(boxes.isnan().all()):
                which = "rare class " + ", ".join(map(repr, data.rare)) if self.classes == "rare" else "any class"
                raise InvalidInputError(
                    f"no training image of {which} has a box ({self.boxes!r}), and without one CARE has nothing to "
                    'attend to: add boxes or masks to the table, or use boxes="saliency"'
                )
        # What the method may not know, the training does not hold.
        return replace(train, boxes=boxes, masks=None, has_mask=None)

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """Classification alone, then with attention. The first does not depend on boxes or attention."""
        first, second = two_stages(epochs, self.share, self.name)

        def classification(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            progress = batch.progress * first / epochs
            return {"classification": self.classification.loss(model(batch.inputs), batch.labels, facts, progress)}

        # The outcome follows from the loss alone, so CARE and its controls can start from one training of it.
        loss = {"method": self.classification.name, **self.classification.options()}
        shared = {"classification": loss, "revision": [self.revision, self.classification.revision], "lesions": False}
        attention = self.terms(facts, lambda progress: (first + progress * second) / epochs)
        return [
            Stage("classification", first, classification, shared=shared),
            Stage("attention", second, Update(attention, learning_rate=self.learning_rate)),
        ]

    def terms(self, facts: TrainingFacts, progress: Callable[[float], float] = lambda within: within) -> Terms:
        """The second stage's loss.

        `progress` turns the share of the stage that is done into the share of the training that is done, for
        classification losses that change late.
        """

        def attentive(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            features = model.features(batch.inputs)
            logits = model.head(model.pool(features))
            loss = self.classification.loss(logits, batch.labels, facts, progress(batch.progress))
            if self.alpha == 0:
                return {"classification": loss}
            size = batch.image_size
            inside = inside_boxes(batch.boxes, size)
            maps = true_class_map(model, features, logits, batch.labels, size, self.second_order)
            # Counted on the device: asking it for the number would make a GPU wait in every step.
            boxed = inside.any(dim=2).any(dim=1).sum()
            alpha = self.alpha * (boxed > 0)
            away = attention_loss(maps, inside, self.cap, self.outside_weight).sum() / boxed.clamp_min(1)
            return {"classification": (1 - alpha) * loss, "attention": alpha * away}

        return attentive

    def _wanted(self, data: Splits, seed: int) -> Tensor:
        """Rows of the training images that are to have a box."""
        train, rows = data.train, []
        source = train.has_box | train.has_mask
        for c in range(len(train.classes)) if self.classes == "all" else data.rare_indices:
            own = train.labels == c
            # A share of those that a doctor has boxed; of all, where boxes are found without one.
            own = (own & source if self.boxes in ("given", "random", "shifted") else own).nonzero()[:, 0]
            order = np.random.default_rng([seed, SHARE, c]).permutation(len(own))
            rows.append(own[torch.from_numpy(order)][: math.ceil(self.box_share * len(own) - 1e-9)])
        return torch.cat(rows).sort().values

    def _boxes(self, data: Splits, rows: Tensor, seed: int, workspace: Workspace) -> Tensor:
        size = tuple(data.train.images.shape[2:])
        if len(rows) == 0:
            return torch.zeros(0, 4)
        if self.boxes == "saliency":
            found = lesion_boxes(data.train.images[rows], "minimum-barrier")
        elif self.boxes == "segmentation":
            found = boxes_of_a_trained_segmentation(data, rows, seed, workspace)
        else:
            found = given_boxes(data.train)[rows]
        found = scale_boxes(found, self.box_scale, size)
        rng = np.random.default_rng([seed, PLACE])
        if self.boxes == "random":
            return random_boxes(found, size, rng)
        if self.boxes == "shifted":
            return shifted_boxes(found, size, rng)
        return found


def true_class_map(
    model: nn.Module,
    features: Tensor,
    logits: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    second_order: bool = False,
) -> Tensor:
    """Where the evidence for each image's own class lies, in [0, 1], in the size of the image.

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
    return resize_map(normalize_map(maps), size)
