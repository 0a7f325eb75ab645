"""Segmentation on the loop: a stage that learns where lesions are, from images that have masks.

Its network is a classifier with the encoder of a U-Net as its body, so that what it has learned can be the beginning of
a classification. CARE's abstract (arXiv 2307.10036) names "a pretrained segmentation model" as one source of boxes;
which, and what it is trained on, are our choice: a small U-Net on the common classes' training images that have masks.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset, Splits
from careedu.data.digest import content_digest
from careedu.errors import InvalidInputError
from careedu.methods.boxes import component_boxes
from careedu.methods.facts import TrainingFacts, Workspace
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import LossMethod, Pretraining, restart
from careedu.nn.backbones import Classifier, build_model
from careedu.nn.unet import UNetDecoder, UNetEncoder
from careedu.training.batch import Batch, unit_range
from careedu.training.checkpoint import again_if_damaged
from careedu.training.isolation import plain_torch, reproducible
from careedu.training.loop import INITIALISATION, Training
from careedu.training.loop import REVISION as LOOP_REVISION
from careedu.training.reproducibility import derive_seed
from careedu.training.stage import Stage, Update

REVISION = 2
"""Raised by hand when the segmentation's results change. 2: it trains on the loop that all stages train on."""
BATCH, UPDATES = 16, 150
LEARNING_RATE, WEIGHT_DECAY = 1e-2, 1e-2
MOVES = ("body.", "training_parts.decoder.")


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of the pixels plus the Dice loss, 1 − (2 Σ p m + 1) / (Σ p + Σ m + 1), both means over the batch.

    Parameters
    ----------
    logits : float (B, H, W)
    masks : bool (B, H, W)

    Returns
    -------
    ()
    """
    target, p = masks.to(logits.dtype), logits.sigmoid()
    overlap, total = (p * target).sum(dim=(1, 2)), (p + target).sum(dim=(1, 2))
    dice = (2 * overlap + 1) / (total + 1)
    return functional.binary_cross_entropy_with_logits(logits, target) + (1 - dice).mean()


def add_decoder(model: Classifier) -> Classifier:
    """Give a network the other half of a U-Net, for training only; returns the network itself.

    Of a body that is no `UNetEncoder`, masks are read off the last features, and so as coarse as these.
    """
    widths = model.body.widths if isinstance(model.body, UNetEncoder) else (model.channels,)
    model.training_parts["decoder"] = UNetDecoder(widths)
    return model


def segment(model: Classifier, images: Tensor) -> Tensor:
    """Logits of each pixel being lesion, float (B, H, W), of float images (B, C, H, W) in [0, 1]."""
    seen = model.standardized(images)  # past the slots, so that it is the same whatever a method puts into them
    levels = model.body.levels(seen) if isinstance(model.body, UNetEncoder) else [model.body(seen)]
    logits = model.training_parts["decoder"](levels)
    if logits.shape[1:] == seen.shape[2:]:
        return logits
    return functional.interpolate(logits[:, None], size=seen.shape[2:], mode="bilinear")[:, 0]


@dataclass(frozen=True)
class Segmentation(Pretraining):
    """Features from where the lesions are: the network learns the masks of the training images, and no class.

    L = :func:`mask_loss`. As ``pretrain=`` of another method it is that one's first stage; by itself a linear head
    follows on the features, which rest. ``model="unet"`` gives it shortcuts between its halves; see `add_decoder`.

    Parameters
    ----------
    classification : LossMethod
        Of the linear head.
    epochs : int
        Of the pretraining, counted apart.
    learning_rate : float
        Factor on the loop's.

    Notes
    -----
    Mehra et al. (arXiv 2209.14097) begin with a segmentation network that they transfer to the small set; which one,
    and its training on the images themselves, are our choice.
    """

    name: ClassVar[str] = "segmentation"
    limits: ClassVar = {"epochs": "whole [1, inf)", "learning_rate": "(0, inf)"}

    classification: LossMethod = field(default_factory=LogitAdjusted)
    epochs: int = 20
    learning_rate: float = 3.0

    def add_parts(self, model: nn.Module) -> None:
        """The decoder."""
        add_decoder(model)

    def pretraining(self, facts: TrainingFacts) -> list[Stage]:
        """One stage, on the training images that have a mask, shared by all methods that begin with it.

        Raises
        ------
        InvalidInputError
            If fewer than two have one.
        """
        rows = None if facts.dataset is None else facts.dataset.has_mask
        if rows is not None and int(rows.sum()) < 2:
            raise InvalidInputError(
                f"a segmentation learns from masks, and {int(rows.sum())} of the training images have one that this "
                "method may read: add masks to the table, or begin with another pretraining, such as careedu.SimCLR()"
            )
        stage = segmentation_stage(self.epochs, rows, self.learning_rate)
        shared = {"revision": self.revision, "labels": False}
        return [replace(stage, begin=lambda model: restart(model.training_parts["decoder"]), shared=shared)]


def segmentation_stage(epochs: int, rows: Tensor | None = None, learning_rate: float = 1.0) -> Stage:
    """A stage that trains encoder and decoder on masks, and sees no class.

    Parameters
    ----------
    epochs : int
    rows : int64 (M,) or bool (N,), optional
        The training images that have a mask, where not all have.
    learning_rate : float
        Factor on the loop's.

    Returns
    -------
    Stage
        For a network from ``build_model("unet", …)`` that `add_decoder` has completed.
    """

    def terms(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"segmentation": mask_loss(segment(model, batch.inputs), batch.masks)}

    update = Update(terms, trainable=MOVES, learning_rate=learning_rate)
    return Stage("segmentation", epochs, update, rows=rows, batch_size=BATCH, supervised=False)


@plain_torch()
def train_segmentation(
    dataset: LesionDataset, augmentation: Augmentation, seed: int, updates: int, workspace: Workspace | None = None
) -> Callable[[Tensor], Tensor]:
    """Train a small U-Net on images whose masks are known.

    The same data and seed give the same bits; the caller's random state is left alone.

    Parameters
    ----------
    dataset : LesionDataset
        All of its images need masks.
    augmentation : Augmentation
    seed : int
    updates : int
        Of AdamW, with a one-cycle learning rate up to 0.01, on batches of 16; rounded to whole epochs.
    workspace : Workspace, optional
        Whether there is a progress bar, and where a stopped training is kept and goes on.

    Returns
    -------
    callable
        From float images (B, C, H, W) in [0, 1] to logits (B, H, W).

    Raises
    ------
    InvalidInputError
        If an image has no mask, or there are fewer than two.
    """
    if len(dataset) < 2 or not bool(dataset.has_mask.all()):
        raise InvalidInputError(
            "a segmentation network needs at least two images, all with masks, not "
            f"{int(dataset.has_mask.sum())} masks for {len(dataset)} images"
        )
    workspace = workspace or Workspace()
    device = dataset.images.device
    with reproducible(device, derive_seed(seed, INITIALISATION)):
        model = add_decoder(build_model("unet", len(dataset.classes), dataset.images.shape[1]))
    model.standardize_by(dataset.images)
    epochs = max(1, round(updates * BATCH / len(dataset)))
    model, stages = model.to(device, memory_format=torch.channels_last), [segmentation_stage(epochs)]
    training = Training(model, stages, dataset, augmentation, seed, BATCH, LEARNING_RATE, WEIGHT_DECAY)
    identity = {
        "segmentation of": content_digest(dataset.images, dataset.masks),
        "classes": len(dataset.classes),  # the head's first weights are drawn before the decoder's
        "revision": [REVISION, LOOP_REVISION],
        "augmentation": asdict(augmentation),
        "seed": seed,
        "epochs": epochs,
        "threads": torch.get_num_threads(),
    }
    checkpoint = workspace.checkpoint("segmentation", identity)
    run = partial(training.run, checkpoint, identity, workspace.progress, "segmentation")
    again_if_damaged(run, checkpoint, "the segmentation is trained again")
    model.eval()
    return lambda images: segment(model, images)


@plain_torch()
def regions(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What is more likely lesion than not, bool (N, H, W), of images uint8 (N, C, H, W); see `segmented_boxes`."""
    with torch.inference_mode():
        return torch.cat([network(unit_range(chunk)) > 0 for chunk in images.split(64)]).cpu()


def dice_scores(network: Callable[[Tensor], Tensor], dataset: LesionDataset) -> np.ndarray:
    """Dice score of each image, 2 |found ∩ lesion| / (|found| + |lesion|); 1 where both are empty.

    Parameters
    ----------
    network : callable
        As for `segmented_boxes`.
    dataset : LesionDataset
        All of its images need masks, empty ones where there is no lesion.

    Returns
    -------
    float64 (N,)

    Raises
    ------
    InvalidInputError
        If an image has no mask.
    """
    if not bool(dataset.has_mask.all()):
        raise InvalidInputError(
            f"a Dice score needs masks: there are {int(dataset.has_mask.sum())} masks for {len(dataset)} images"
        )
    found, masks = regions(network, dataset.images), dataset.masks.cpu()
    both, sizes = (a.sum(dim=(1, 2)).double() for a in (found & masks, found.int() + masks.int()))
    return torch.where(sizes > 0, 2 * both / sizes, 1.0).numpy()


def segmented_boxes(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The box around the largest component of what is more likely lesion than not.

    Parameters
    ----------
    network : callable
        From float images (B, C, H, W) in [0, 1] to logits (B, H, W).
    images : uint8 (N, C, H, W)

    Returns
    -------
    float32 (N, 4)
        NaN where no pixel is.
    """
    return component_boxes(regions(network, images).numpy())


def boxes_of_a_trained_segmentation(
    data: Splits, rows: Tensor, seed: int, workspace: Workspace | None = None
) -> Tensor:
    """Boxes of some training images, found by a network trained on the common classes' masks.

    Parameters
    ----------
    data : Splits
        Only its training images are used.
    rows : int64 (M,)
        The training images that want a box.
    seed : int
    workspace : Workspace, optional

    Returns
    -------
    float32 (M, 4)
        NaN where nothing was found.

    Raises
    ------
    InvalidInputError
        If the common classes have fewer than two training images with masks.
    """
    train = data.train
    common = train.has_mask & ~torch.isin(train.labels, torch.tensor(data.rare_indices))
    if int(common.sum()) < 2:
        raise InvalidInputError(
            f'boxes="segmentation" trains on masks of the common classes, and {int(common.sum())} of their training '
            'images have one: add masks to the table, name other classes as rare with rare=, or use boxes="given" or '
            'boxes="saliency"'
        )
    network = train_segmentation(train[common], Augmentation.named(data.augmentation), seed, UPDATES, workspace)
    return segmented_boxes(network, train.images[rows])
