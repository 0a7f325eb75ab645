"""What else one can do about a shortcut, by what is known of it: the marks, who carries one, or the lesions' boxes.

All but one train the plain network with a plain loss, on other images or other batches; none needs anything at test.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.methods.boxes import given_boxes, inside_boxes
from careedu.methods.facts import TrainingFacts, named_classes
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.lesion_transplant import cover_lesions
from careedu.methods.method import BuiltOnLoss, LossMethod, TrainedMethod
from careedu.training.batch import Batch, unit_range
from careedu.training.stage import Stage

CLASSES = ("rare", "all")
FEATHER = 0.02  # σ of a soft edge, as a share of the image's longer side, as for transplants
# Of the erased rectangles: least and largest share of the image, and largest ratio of its sides (Zhong 2020).
AREA, ASPECT = (0.02, 0.4), 1 / 0.3


def marked_images(train: LesionDataset, name: str) -> Tensor:
    """Which training images carry a mark, bool (N,).

    Raises
    ------
    InvalidInputError
        If nothing is known of marks, naming the method that asks.
    """
    if train.marks is None:
        raise InvalidInputError(
            f"{name} has to know the marks of the training images, and nothing is known of any: give the training set "
            "its marks (LesionDataset.marks), or use a method that needs none, such as careedu.RandomErasing()"
        )
    return train.marked


@dataclass(frozen=True)
class _OneStage(BuiltOnLoss):
    """The loss in one stage, on the images that `prepare` gives."""

    classification: LossMethod = field(default_factory=LogitAdjusted)


@dataclass(frozen=True)
class DropMarked(_OneStage):
    """Trains on the images without a mark alone: what one can do who knows which images carry one (our choice).

    Class counts are those of the images that are left, and an epoch has fewer updates.

    Parameters
    ----------
    classification : LossMethod
        The loss.
    """

    name: ClassVar[str] = "drop-marked"

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images without a mark.

        Raises
        ------
        InvalidInputError
            If nothing is known of marks, or every image of a class carries one.
        """
        left = data.train[~marked_images(data.train, self.name)]
        for name, before, after in zip(data.classes, data.train.counts.tolist(), left.counts.tolist(), strict=True):
            if before and not after:
                raise InvalidInputError(
                    f"every training image of class {name!r} carries a mark, so {self.name} leaves none of it: add "
                    "images without a mark, or use a method that keeps the marked ones, such as careedu.PaintOver()"
                )
        return left


@dataclass(frozen=True)
class PaintOver(_OneStage):
    """Covers each mark with tissue from beside it, once before the training (our choice).

    Who knows where the marks are can take them out and keep the images. What is beside a mark may be a lesion: where
    marks lie is known here, and nothing else.

    Parameters
    ----------
    classification : LossMethod
        The loss.
    """

    name: ClassVar[str] = "paint-over"

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images with their marks painted over; no pixel far from a mark changes.

        Raises
        ------
        InvalidInputError
            If nothing is known of marks, or a mark covers more than half of its image.
        """
        train = data.train
        rows = marked_images(train, self.name).nonzero()[:, 0]
        large = train.marks[rows].sum(dim=(1, 2)) > math.prod(train.marks.shape[1:]) / 2
        if large.any():
            raise InvalidInputError(
                f"the mark of image {str(train.ids[int(rows[large][0])])!r} covers more than half of it, as a cast "
                "over the whole image does, and cannot be painted over with what is beside it: use "
                "careedu.DropMarked() or careedu.GroupWeights()"
            )
        sigma = max(0.5, FEATHER * max(train.images.shape[2:]))
        images = _changed(train, rows, lambda images, part: cover_lesions(images, train.marks[part], sigma))
        return replace(train, images=images, marks=None)


@dataclass(frozen=True)
class GroupWeights(TrainedMethod):
    """Cross-entropy in which all groups weigh alike (Sagawa et al., ICLR 2020; Idrissi et al., CLeaR 2022).

    L = (1/B) Σ w_g CE,  w_g = N / (G n_g), over the G groups, class × marked or not, that have images; so the mean
    weight of a training image is 1. The baseline that these papers call importance weighting and RWG. Their code draws
    images with probabilities in proportion to 1/n_g; that it is the loss which is weighted here, so that the batches
    are those of the other methods, is our choice. For who knows which images carry a mark, and not where.
    """

    name: ClassVar[str] = "group-weights"

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images as they are.

        Raises
        ------
        InvalidInputError
            If nothing is known of marks.
        """
        marked_images(data.train, self.name)
        return data.train

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage: the weighted loss on shuffled images."""
        weights = cache(group_weights)

        def weighted(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            losses = functional.cross_entropy(model(batch.inputs), batch.labels, reduction="none")
            return {"classification": (weights(batch.dataset)[batch.index] * losses).mean()}

        return [Stage(self.name, epochs, weighted)]


def group_weights(train: LesionDataset) -> Tensor:
    """The weight of each training image, N / (G n_g), float32 (N,).

    Its group g is class × marked or not; G of the groups have images.
    """
    group = 2 * train.labels + train.marked
    counts = torch.bincount(group, minlength=2 * len(train.classes))
    return len(train) / ((counts > 0).sum() * counts[group]).float()


@dataclass(frozen=True)
class CropToBox(_OneStage):
    """Trains on the crop around the box instead of the image, where there is a box (our choice).

    Validation and test images have no box and are not cropped. With boxes for the rare classes alone, that an image is
    magnified tells its class: the crop takes one shortcut away and brings another.

    Parameters
    ----------
    classification : LossMethod
        The loss.
    classes : str
        ``"rare"``, or ``"all"`` to crop every training image that has a box or mask.
    margin : float
        Room on each side of the box, as a share of its longer side, at least 0.
    """

    name: ClassVar[str] = "crop-to-box"
    choices: ClassVar = {"classes": CLASSES}
    limits: ClassVar = {"margin": "[0, inf)"}

    classes: str = "rare"
    margin: float = 0.25

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images, cropped where there is a box, without boxes, masks and marks.

        Raises
        ------
        InvalidInputError
            If no image that is to be cropped has a box or mask.
        """
        train, boxes = data.train, given_boxes(data.train)
        wanted = ~boxes.isnan().any(dim=1)
        if self.classes == "rare":
            wanted &= torch.isin(train.labels, torch.tensor(data.rare_indices))
        if not wanted.any():
            which, other = named_classes(data, self.classes)
            raise InvalidInputError(
                f"no training image of {which} has a box or mask, so there is nothing to crop to: add one to the table"
                f"{other}"
            )
        rows = wanted.nonzero()[:, 0]
        images = _changed(train, rows, lambda images, part: crop_to_boxes(images, boxes[part], self.margin))
        return replace(train, images=images, boxes=None, masks=None, has_mask=None, marks=None)


def crop_to_boxes(images: Tensor, boxes: Tensor, margin: float) -> Tensor:
    """Magnify what is around each box to the size of the image, bilinearly.

    What is cut out has the image's shape, a square in a square image, so that nothing is squeezed. It is moved, and for
    a large box made smaller, so that it lies within the image.

    Parameters
    ----------
    images : float (B, C, H, W)
    boxes : float (B, 4)
        None of them NaN.
    margin : float
        Room on each side, as a share of the box's longer side.

    Returns
    -------
    float (B, C, H, W)
    """
    size = torch.tensor([images.shape[3], images.shape[2]])
    # In shares of the image, in which the cut-out is as wide as it is high.
    low, high = boxes[:, :2] / size, boxes[:, 2:] / size
    share = ((high - low).amax(dim=1, keepdim=True) * (1 + 2 * margin)).clamp_max(1)
    centre = torch.minimum(torch.maximum((low + high) / 2, share / 2), 1 - share / 2)
    # Output to input coordinates, both from -1 to 1 over the image.
    there = torch.diag_embed(share.expand(-1, 2))
    grid = functional.affine_grid(torch.cat([there, (2 * centre - 1)[:, :, None]], dim=2), list(images.shape), False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class RandomErasing(_OneStage):
    """Random erasing: a rectangle of some images is filled with noise (Zhong et al., AAAI 2020, algorithm 1).

    It knows nothing, neither of marks nor of lesions, and hides either at times; as a rectangle lies within the image,
    what is in the middle far more often (in half of the erased images) than what is near a corner.

    That the noise is uniform, for each pixel and channel, and the rectangle covers .02 to .4 of the image, is the
    paper's. That its aspect ratio, relative to the image's, is log-uniform in [.3, 1/.3], so that upright and lying
    ones are as likely, and narrower where it would not fit, where the paper draws again, and that erasing comes after
    the augmentation, is our choice.

    Parameters
    ----------
    classification : LossMethod
        The loss.
    probability : float
        Of an image, each time that it is drawn, in [0, 1].
    """

    name: ClassVar[str] = "random-erasing"
    limits: ClassVar = {"probability": "[0, 1]"}

    probability: float = 0.5

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage: the loss on shuffled images, some with a rectangle erased."""

        def erased(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            logits = model(self.erase(batch.inputs, batch.generator))
            return {"classification": self.classification.loss(logits, batch.labels, facts, batch.progress)}

        return [Stage(self.name, epochs, erased)]

    def erase(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, C, H, W) in [0, 1] with a rectangle of some filled with noise; `generator` is on the CPU."""
        rows = (torch.rand(len(images), generator=generator) < self.probability).nonzero()[:, 0]
        drawn = torch.rand(len(rows), 4, generator=generator)
        noise = torch.rand(len(rows), *images.shape[1:], generator=generator)
        area = torch.lerp(*torch.tensor(AREA), drawn[:, 0])
        # With height and width as shares of the image's, √(area · ratio) and √(area / ratio), both are at most 1.
        most = (-area.log()).clamp_max(math.log(ASPECT))
        ratio = ((2 * drawn[:, 1] - 1) * most).exp()
        extent = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=1)
        low = drawn[:, 2:] * (1 - extent)
        size = tuple(images.shape[2:])
        boxes = torch.cat([low, low + extent], dim=1) * torch.tensor(size[::-1]).repeat(2)
        hidden, noise, rows = (values.to(images.device) for values in (inside_boxes(boxes, size), noise, rows))
        filled = torch.where(hidden[:, None], noise, images[rows])
        return images.index_copy(0, rows, filled).contiguous(memory_format=torch.channels_last)


def _changed(train: LesionDataset, rows: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The images, those of some rows replaced by ``change(images in [0, 1], their rows)``, as uint8."""
    images = train.images.clone()
    for part in rows.split(256):  # so that the memory does not grow with the data
        images[part] = (change(unit_range(images[part]), part) * 255).round().to(torch.uint8)
    return images
