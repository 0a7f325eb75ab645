"""Boxes from a segmentation network that has seen lesions of the common classes only.

CARE's abstract (arXiv 2307.10036) names "a pretrained segmentation model" as one source of boxes; which, and what it is
trained on, are our choice: a small U-Net on the common classes' training images that have masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.methods.boxes import component_boxes
from careedu.nn.unet import UNet
from careedu.training.batch import Batch, unit_range

BATCH, UPDATES = 16, 150


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


def train_segmentation(dataset: LesionDataset, augmentation: Augmentation, seed: int, updates: int) -> UNet:
    """Train a small U-Net on images whose masks are known.

    The same data and seed give the same bits; the caller's random state is left alone.

    Parameters
    ----------
    dataset : LesionDataset
        All of its images need masks.
    augmentation : Augmentation
    seed : int
    updates : int
        Of AdamW, with a learning rate that falls from 0.01 to zero along a cosine, on batches of 16.

    Returns
    -------
    UNet
        In evaluation mode.

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
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet(dataset.images.shape[1]).train()
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        rows = torch.randint(len(dataset), (min(BATCH, len(dataset)),), generator=generator)
        batch = Batch(dataset, rows, augmentation, generator)
        optimizer.zero_grad()
        mask_loss(network(batch.inputs), batch.masks).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def segmented_boxes(network: nn.Module, images: Tensor) -> Tensor:
    """The box around the largest component of what is more likely lesion than not.

    Parameters
    ----------
    network : nn.Module
        From float images (B, C, H, W) in [0, 1] to logits (B, H, W).
    images : uint8 (N, C, H, W)

    Returns
    -------
    float32 (N, 4)
        NaN where no pixel is.
    """
    with torch.inference_mode():
        regions = torch.cat([network(unit_range(chunk)) > 0 for chunk in images.split(64)])
    return component_boxes(regions.numpy())


def boxes_of_a_trained_segmentation(data: Splits, rows: Tensor, seed: int) -> Tensor:
    """Boxes of some training images, found by a network trained on the common classes' masks.

    Parameters
    ----------
    data : Splits
        Only its training images are used.
    rows : int64 (M,)
        The training images that want a box.
    seed : int

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
            'images have one: add masks to the table, or use boxes="given" or boxes="saliency"'
        )
    network = train_segmentation(train[common], Augmentation.named(data.augmentation), seed, UPDATES)
    return segmented_boxes(network, train.images[rows])
