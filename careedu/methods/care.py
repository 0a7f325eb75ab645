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
...     loss = 0.5 * loss + 0.5 * attention_loss(maps, inside).mean()  # 0 for an image without a box
...     optimizer.zero_grad(), loss.backward(), optimizer.step()
(None, None, None)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError, check_known, check_number
from careedu.methods.boxes import found_boxes, inside_boxes, random_boxes, scale_boxes, shifted_boxes, wanted_rows
from careedu.methods.facts import TrainingFacts, Workspace, named_classes
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import BuiltOnLoss, LossMethod, two_stages
from careedu.methods.segmentation import REVISION as SEGMENTATION_REVISION
from careedu.methods.segmentation import boxes_of_a_trained_segmentation
from careedu.nn.arguments import at_least_float32
from careedu.nn.maps import true_class_map
from careedu.training.batch import Batch
from careedu.training.stage import Stage, Terms, Update

FORMS = ("inside-outside", "outside", "energy")
AVERAGING = ("batch", "boxed images")
BOXES = ("given", "saliency", "segmentation", "random", "shifted", "mark")
CLASSES = ("rare", "all")
# Purposes that random numbers are drawn for, so that one option's draws leave the other's alone.
SHARE, PLACE = 1, 2


def attention_loss(
    maps: Tensor, inside: Tensor, cap: float = 0.5, outside_weight: float = 0.7, form: str = "inside-outside"
) -> Tensor:
    """How far a network looks away from the lesion, one number an image.

    ``"inside-outside"``:  L_a = −min(mean of F inside, τ) + λ · mean of F outside
    ``"outside"``:  L_a = λ · mean of F outside
    ``"energy"``:  L_a = 1 − (sum of max(F, 0) inside) / (sum of max(F, 0))

    Parameters
    ----------
    maps : float (B, H, W)
        F, the class's map: in [0, 1], but for ``"energy"`` of any sign and not stretched.
    inside : bool (B, H, W), or float of zeros and ones
        The pixels of the box, or of the union of several.
    cap : float
        τ: no more is gained by filling the box beyond this mean.
    outside_weight : float
        λ.
    form : str

    Returns
    -------
    float (B,)
        In [−τ, λ], [0, λ] or [0, 1], in the dtype of the maps, float32 for half precision; 0 for an image without
        anything inside. Where all is inside, the mean outside is 0. A map without positive evidence counts as looking
        everywhere alike (our choice): its energy is the share of the area outside, with gradient 0.

    Raises
    ------
    UnknownNameError
        If there is no such form.
    InvalidInputError
        If a shape or dtype does not fit, or `inside` holds anything but zeros and ones.

    Notes
    -----
    ``"inside-outside"`` is the paper's (MIDL 2019), with λ = 0.7 for skin, 0.5 for X-rays; τ = 0.5 is of its authors'
    code. Outside is uniform as in the paper; its authors' variant has it grow with the distance from the box.
    ``"energy"`` is the energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020) as a loss, as in Rao et
    al. (ICCV 2023). ``"outside"`` is our choice, near Ross et al. (IJCAI 2017), who penalise the gradient of the input.
    """
    check_known("form of the attention loss", form, FORMS)
    if maps.dim() != 3 or not maps.is_floating_point() or inside.shape != maps.shape:
        raise InvalidInputError(
            f"maps must be float (B, H, W) and inside of the same size, not {maps.dtype} {tuple(maps.shape)} and "
            f"{tuple(inside.shape)}: bring the maps to the image's size with resize_map"
        )
    if inside.dtype != torch.bool and not (inside.is_floating_point() and bool(((inside == 0) | (inside == 1)).all())):
        raise InvalidInputError(f"inside must be bool, or float of zeros and ones, not {inside.dtype}: use mask > 0")
    maps = at_least_float32(maps)
    inside = inside.to(maps.dtype)
    area, pixels = inside.sum(dim=(1, 2)), math.prod(inside.shape[1:])
    # Nothing is divided by 0, in the branch that is not taken either: its gradient would be 0 · ∞, NaN.
    if form == "energy":
        evidence = functional.relu(maps)
        mass = evidence.sum(dim=(1, 2))
        # So little that its gradient, 1/mass, could overflow is none.
        none = mass <= torch.finfo(maps.dtype).tiny ** 0.5
        held = (evidence * inside).sum(dim=(1, 2)) / torch.where(none, 1, mass)
        away = 1 - torch.where(none, area / pixels, held)
    else:
        away = outside_weight * ((maps * (1 - inside)).sum(dim=(1, 2)) / (pixels - area).clamp_min(1))
        if form == "inside-outside":
            away = away - ((maps * inside).sum(dim=(1, 2)) / area.clamp_min(1)).clamp_max(cap)
    return torch.where(area > 0, away, 0)


def alpha_of_dose(dose: float) -> float:
    """The α that gives a dose, dose / (1 + dose), where the attention loss is averaged over the batch.

    Raises
    ------
    InvalidInputError
        If the dose is below 0 or not finite.
    """
    check_number("dose", dose, "[0, inf)")
    return dose / (1 + dose)


@dataclass(frozen=True)
class CARE(BuiltOnLoss):
    """Class attention to regions of the lesion (Zhuang et al., MIDL 2019, and arXiv 2307.10036).

    Two stages: the classification loss alone, then L = (1 − α) L_classification + α L_a, where L_a is the mean of
    :func:`attention_loss` over the batch, 0 for an image without a box. The map is Grad-CAM's of the true class without
    its ReLU, scaled to [0, 1] per image (not for the energy form) and resized to the image; its weights carry no
    gradient. For a linear head it has a closed form and costs no second backward pass.

    Parameters
    ----------
    classification : LossMethod
        Logit adjustment by default, not the paper's plain cross-entropy: attention does not balance the classes, the
        paper itself does best with weights on top, and what it adds is best seen on a loss that is already balanced.
    alpha : float
        α, in [0, 1); :func:`alpha_of_dose` gives that of a dose. 0 is the control that is trained alike but for the
        attention loss.
    averaging : str
        ``"batch"``, or ``"boxed images"``: L_a is the mean over the batch's images that have a box, and a batch without
        any has the classification loss alone, unscaled.
    form : str
        Of the attention loss: ``"inside-outside"``, the paper's, or ``"outside"`` or ``"energy"``.
    cap, outside_weight : float
        τ and λ of the attention loss.
    boxes : str
        ``"given"``: those of the data set, or of its masks where there is no box. Without a doctor: ``"saliency"`` (the
        minimum barrier distance, which on the common classes' training images of the skin phantom met the true box
        better than the spectral residual) or ``"segmentation"`` (a U-Net trained on the common classes' masks).
        Controls: ``"random"`` (given boxes put anywhere), ``"shifted"`` (given boxes put off the lesion) and ``"mark"``
        (boxes on the mark, for those images that carry one).
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

    Notes
    -----
    The dose is what an image with a box gives to attention for each unit that it gives to classification: α / (1 − α),
    1 by default. The authors' code is near it: the first public state sums L_a over the boxed images of a batch of 96,
    averages the cross-entropy and has α = 0.01, which is a dose of 0.97. Averaging over the boxed images alone
    multiplies the dose by B / (boxed images of the batch). What was given stands in the history as ``"dose"``, the mean
    over the boxed images that the epoch has shown, 0 where there were none.

    The paper states the two stages, the loss, the map and that only the rare classes' training images have boxes. The
    shares of the epochs and the learning rate of the second stage are our choice.
    """

    name: ClassVar[str] = "care"
    # 2: the attention loss is averaged over the batch, where it was over the boxed images alone.
    revision: ClassVar[int] = 2
    choices: ClassVar = {"averaging": AVERAGING, "form": FORMS, "boxes": BOXES, "classes": CLASSES}
    limits: ClassVar = {
        **dict.fromkeys(("cap", "box_share"), "(0, 1]"),
        **dict.fromkeys(("box_scale", "learning_rate"), "(0, inf)"),
        "alpha": "[0, 1)",
        "share": "(0, 1)",
        "outside_weight": "[0, inf)",
    }

    classification: LossMethod = field(default_factory=LogitAdjusted)
    alpha: float = 0.5
    averaging: str = "batch"
    form: str = "inside-outside"
    cap: float = 0.5
    outside_weight: float = 0.7
    boxes: str = "given"
    classes: str = "rare"
    box_scale: float = 1.0
    box_share: float = 1.0
    share: float = 0.5
    learning_rate: float = 1.0
    second_order: bool = False

    def all_revisions(self) -> str:
        """With that of the segmentation, where the boxes come from one."""
        revisions = super().all_revisions()
        return f"{revisions}.{SEGMENTATION_REVISION}" if self.boxes == "segmentation" else revisions

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """As `prepare_in`, without progress bar and with nothing kept."""
        return self.prepare_in(Workspace(), data, seed)

    def prepare_in(self, workspace: Workspace, data: Splits, seed: int) -> LesionDataset:
        """The training images with the boxes that this method may use, and neither masks nor marks.

        Images and labels stay as they are, and the boxes are a function of the data and the seed alone.

        Raises
        ------
        InvalidInputError
            If no image that wants a box has one, or there are no masks to train a segmentation on, or no marks.
        """
        train = data.train
        boxes = torch.full((len(train), 4), torch.nan)
        if self.alpha > 0:
            rows = wanted_rows(data, self.boxes, self.classes, self.box_share, [seed, SHARE])
            boxes[rows] = self._boxes(data, rows, seed, workspace)
            if bool(boxes.isnan().all()):
                which, other = named_classes(data, self.classes)
                raise InvalidInputError(
                    f"no training image of {which} has a box ({self.boxes!r}), and without one CARE has nothing to "
                    f'attend to: add boxes or masks to the table (marks, for boxes="mark"){other}, or use '
                    'boxes="saliency"'
                )
        # What the method may not know, the training does not hold.
        return replace(train, boxes=boxes, masks=None, has_mask=None, marks=None)

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """Classification alone, then with attention. The first does not depend on boxes or attention."""
        first, second = two_stages(epochs, self.share, self.name)
        classification = self.classification.terms(facts, lambda progress: progress * first / epochs)
        # The outcome follows from the loss alone, so CARE and its controls can start from one training of it.
        loss = {"method": self.classification.name, **self.classification.options()}
        shared = {"classification": loss, "revision": [self.revision, self.classification.revision], "lesions": False}
        given: list[Tensor] = []
        attention = self.terms(facts, lambda progress: (first + progress * second) / epochs, given)

        def dose(model: nn.Module) -> dict[str, Tensor]:
            boxed, shares = torch.stack(given).sum(dim=0).tolist() if given else (0, 0)
            given.clear()  # the next epoch's begins
            mean = self.alpha / (1 - self.alpha) * shares / max(boxed, 1)
            return {"dose": torch.tensor(mean, dtype=torch.float64)}

        return [
            Stage("classification", first, classification, shared=shared),
            Stage("attention", second, Update(attention, learning_rate=self.learning_rate), record=dose),
        ]

    def terms(
        self,
        facts: TrainingFacts,
        progress: Callable[[float], float] = lambda within: within,
        given: list[Tensor] | None = None,
    ) -> Terms:
        """The second stage's loss.

        `progress` turns the share of the stage that is done into the share of the training that is done, for
        classification losses that change late. `given` gets int64 (2,) of each batch, on its device: the boxed images,
        and the sum over them of their dose, as a multiple of α / (1 − α).
        """

        def attentive(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            features = model.features(batch.inputs)
            logits = model.head(model.pool(features))
            loss = self.classification.loss(logits, batch.labels, facts, progress(batch.progress))
            if self.alpha == 0:
                return {"classification": loss}
            size = batch.image_size
            inside = inside_boxes(batch.boxes, size)
            stretch = self.form != "energy"
            maps = true_class_map(model, features, logits, batch.labels, size, self.second_order, stretch)
            # Counted on the device: asking it for the number would make a GPU wait in every step.
            boxed = inside.any(dim=2).any(dim=1).sum()
            alpha, images = self.alpha, len(batch)
            if self.averaging == "boxed images":
                alpha, images = alpha * (boxed > 0), boxed.clamp_min(1)
            if given is not None:
                given.append(torch.stack([boxed, boxed * len(batch) // images]))
            away = attention_loss(maps, inside, self.cap, self.outside_weight, self.form).sum() / images
            return {"classification": (1 - alpha) * loss, "attention": alpha * away}

        return attentive

    def _boxes(self, data: Splits, rows: Tensor, seed: int, workspace: Workspace) -> Tensor:
        size = tuple(data.train.images.shape[2:])
        if len(rows) == 0:
            return torch.zeros(0, 4)
        if self.boxes == "segmentation":
            found = boxes_of_a_trained_segmentation(data, rows, seed, workspace)
        else:
            found = found_boxes(data.train, rows, self.boxes)
        found = scale_boxes(found, self.box_scale, size)
        move = {"random": random_boxes, "shifted": shifted_boxes}.get(self.boxes)
        return found if move is None else move(found, size, np.random.default_rng([seed, PLACE]))
