"""Lesion transplant: the rival that uses the same boxes or masks to make more images of the rare classes.

Rare lesions are cut out and pasted over the lesions of common images, anew in each batch. Copying and pasting objects
is an old augmentation (Dwibedi et al., Cut, Paste and Learn, ICCV 2017; Ghiasi et al., Simple Copy-Paste, CVPR 2021);
its form here, for lesions, is our choice.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.augmentation import Draw
from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.methods.boxes import enclosing_boxes, inside_boxes, lesion_regions
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import BuiltOnLoss, LossMethod
from careedu.training.batch import Batch, unit_range
from careedu.training.stage import Stage

AROUND = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
MOST = 0.5  # of the draws of common images that may become rare ones


@dataclass(frozen=True)
class LesionTransplant(BuiltOnLoss):
    """Shows images of common classes with a rare lesion pasted over their own, as images of the rare class.

    Each time that a common image is drawn it is replaced, with one probability for all, by its transplant, so that
    every rare class is shown as often as `target` asks. Number and size of the batches stay those of every other
    method, every paste is new, and each common image is still seen as it is in other epochs.

    Parameters
    ----------
    classification : LossMethod
        The loss. Losses that look at class counts are told how often each class is shown.
    target : float
        How often a rare class is shown, as a multiple of the mean count of the classes. At most half of the draws of
        common images are replaced.
    feather : float
        Width of the soft edge, the Gaussian's σ, as a share of the image's side.
    """

    name: ClassVar[str] = "lesion-transplant"
    limits: ClassVar = {"target": "(0, inf)", "feather": "(0, 0.25]"}

    classification: LossMethod = field(default_factory=LogitAdjusted)
    target: float = 1.0
    feather: float = 0.02

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images as they are, once every rare class is known to have a lesion to cut out.

        Raises
        ------
        InvalidInputError
            If a rare class has no training image with a box or mask.
        """
        known = data.train.has_box | data.train.has_mask
        for c in data.rare_indices:
            if not bool((known & (data.train.labels == c)).any()):
                raise InvalidInputError(
                    f"no training image of the rare class {data.classes[c]!r} has a box or mask, so there is no lesion "
                    "to transplant: add one to the table, or name other classes with rare="
                )
        return data.train

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """One stage, with transplants in its batches."""
        shown = self.shown(facts)

        def transplanted(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            inputs, labels = self.transplant(batch, facts)
            return {"classification": self.classification.loss(model(inputs), labels, shown, batch.progress)}

        return [Stage(self.name, epochs, transplanted)]

    def shown(self, facts: TrainingFacts) -> TrainingFacts:
        """The facts with the counts of how often each class is shown in an epoch, to the nearest image."""
        extra, probability = self._plan(facts)
        counts = [n + extra[c] if c in extra else n * (1 - probability) for c, n in enumerate(facts.counts)]
        return replace(facts, counts=tuple(max(1, round(n)) for n in counts))

    def _plan(self, facts: TrainingFacts) -> tuple[dict[int, float], float]:
        """How many more draws each rare class gets in an epoch, and the probability that a common draw is given up."""
        wanted = self.target * sum(facts.counts) / len(facts.counts)
        extra = {c: max(0.0, wanted - facts.counts[c]) for c in facts.rare}
        common = sum(n for c, n in enumerate(facts.counts) if c not in facts.rare)
        factor = min(1.0, MOST * common / max(sum(extra.values()), 1e-9))
        extra = {c: factor * n for c, n in extra.items()}
        return extra, sum(extra.values()) / max(common, 1)

    def transplant(self, batch: Batch, facts: TrainingFacts) -> tuple[Tensor, Tensor]:
        """Inputs and labels of a batch with some common images replaced by transplants, augmented like the others."""
        extra, probability = self._plan(facts)
        labels = batch.labels.cpu()
        rare = torch.tensor(facts.rare)
        drawn = torch.rand(len(batch), generator=batch.generator) < probability
        rows = (drawn & ~torch.isin(labels, rare)).nonzero()[:, 0]
        if len(rows) == 0:
            return batch.inputs, batch.labels
        data = batch.dataset
        wanted = torch.tensor([extra[c] for c in facts.rare])
        new = rare[torch.multinomial(wanted, len(rows), replacement=True, generator=batch.generator)]
        known = (data.has_box | data.has_mask).cpu()
        all_labels = data.labels.cpu()
        donors = torch.empty_like(rows)
        for c in new.unique():
            own = (known & (all_labels == c)).nonzero()[:, 0]
            places = (new == c).nonzero()[:, 0]
            donors[places] = own[torch.randint(len(own), (len(places),), generator=batch.generator)]
        device = batch.labels.device
        rows, donors, new = rows.to(device), donors.to(device), new.to(device)
        into = batch.index[rows]
        host, donor = ((unit_range(data.images[own]), lesion_regions(data, own)) for own in (into, donors))
        pasted = transplant_lesions(*host, *donor, self.feather)
        augmented = _part(batch.draw, rows).images(pasted)
        inputs = batch.inputs.index_copy(0, rows, augmented).contiguous(memory_format=torch.channels_last)
        return inputs, batch.labels.index_copy(0, rows, new)


def transplant_lesions(
    images: Tensor, regions: Tensor, donors: Tensor, donor_regions: Tensor, feather: float = 0.02
) -> Tensor:
    """Cover each image's lesion with tissue from beside it, and paste a donor's lesion in its place.

    Tissue and lesion are shifted in intensity, channel by channel, so that their surroundings agree with those of the
    place where they go, and get a soft edge.

    Parameters
    ----------
    images : float (B, C, H, W) in [0, 1]
    regions : bool (B, H, W)
        The lesions of the images; where none is known the donor's lesion keeps its own place.
    donors : float (B, C, H, W)
    donor_regions : bool (B, H, W)
        The lesions to be cut out, by mask or box; an empty one leaves the image with its lesion covered.
    feather : float
        σ of the soft edge as a share of the image's longer side.

    Returns
    -------
    float (B, C, H, W) in [0, 1]
    """
    height, width = images.shape[2:]
    sigma = max(0.5, feather * max(height, width))
    covered = cover_lesions(images, regions, sigma)
    boxes, donor_boxes = enclosing_boxes(regions), enclosing_boxes(donor_regions)
    there, here = (boxes[:, :2] + boxes[:, 2:]) / 2, (donor_boxes[:, :2] + donor_boxes[:, 2:]) / 2
    shift = (there - here).nan_to_num(0.0).round()
    # Not so far that the lesion leaves the image.
    limit = torch.tensor([width, height], dtype=shift.dtype, device=shift.device)
    lowest, highest = (-donor_boxes[:, :2]).nan_to_num(0.0), (limit - donor_boxes[:, 2:]).nan_to_num(0.0)
    shift = torch.minimum(torch.maximum(shift, lowest), highest)
    dx, dy = shift.long().unbind(1)
    moved, place = shifted(donors, dy, dx), shifted(donor_regions[:, None], dy, dx)[:, 0]
    # What the border mirrors is no lesion.
    place = place & inside_boxes(donor_boxes + shift.repeat(1, 2), (height, width))
    ring = _grown(place, 2 + round(2 * sigma)) & ~_grown(place, 1)
    moved = moved + _ring_mean(covered, ring) - _ring_mean(moved, ring)
    return torch.lerp(covered, moved, _soft(place, sigma)).clamp(0, 1)


def cover_lesions(images: Tensor, regions: Tensor, sigma: float) -> Tensor:
    """Fill each lesion with a copy of the tissue beside it, of eight directions the one whose surroundings fit best.

    Parameters
    ----------
    images : float (B, C, H, W)
    regions : bool (B, H, W)
    sigma : float
        Of the soft edge, in pixels.

    Returns
    -------
    float (B, C, H, W)
    """
    height, width = images.shape[2:]
    margin = 2 + round(2 * sigma)
    hole = _grown(regions, 1)
    ring = _grown(hole, margin) & ~_grown(hole, 1)
    x0, y0, x1, y1 = enclosing_boxes(regions).nan_to_num(0.0).long().unbind(1)
    around = _ring_mean(images, ring)
    best, least = images, torch.full((len(images),), math.inf, device=images.device)
    for down, across in AROUND:
        # So far that the lesion's own pixels land beyond the hole, its rim and the ring around it.
        dy, dx = down * (y1 - y0 + margin + 3), across * (x1 - x0 + margin + 3)
        source, still = shifted(images, dy, dx), shifted(hole[:, None], dy, dx)
        source = source + around - _ring_mean(source, ring & ~still[:, 0])
        misfit = ((source - images).abs().mean(dim=1) * ring).sum(dim=(1, 2)) / ring.sum(dim=(1, 2)).clamp_min(1)
        lesion = (still[:, 0] & hole).sum(dim=(1, 2)) / hole.sum(dim=(1, 2)).clamp_min(1)
        beyond = (x0 - dx < 0) | (y0 - dy < 0) | (x1 - dx > width) | (y1 - dy > height)
        # Intensities differ by 1 at most: what holds no lesion comes first, then what needs no mirror image.
        misfit = misfit + beyond + 2 * lesion
        # Beside a very large lesion there is too little tissue: the mean intensity around it stands in.
        source = torch.where(still, around, source)
        better = misfit < least
        best = torch.where(better[:, None, None, None], source, best)
        least = torch.where(better, misfit, least)
    return torch.lerp(images, best, _soft(hole, sigma)).clamp(0, 1)


def shifted(images: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Move images (B, C, H, W) down by dy and right by dx pixels, int64 (B,); the border mirrors what comes in."""
    height, width = images.shape[2:]
    y = _mirrored(torch.arange(height, device=images.device) - dy[:, None], height)
    x = _mirrored(torch.arange(width, device=images.device) - dx[:, None], width)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[number, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Indices beyond either end, by less than the length, as those that lie as far on this side of it."""
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= length, 2 * length - 1 - index, index).clamp(0, length - 1)


def _grown(regions: Tensor, pixels: int) -> Tensor:
    """Regions with a rim of some pixels added."""
    return functional.max_pool2d(regions[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[:, 0] > 0.5


def _soft(regions: Tensor, sigma: float) -> Tensor:
    """Weights that are 1 in the region and fall softly to 0 around it, (B, 1, H, W)."""
    radius = math.ceil(2 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=regions.device) / sigma).square())
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    # Grown first, so that the lesion's own rim, which its class may show in, stays whole.
    weights = _grown(regions, max(1, round(sigma)))[:, None].float()
    for shape in (kernel, kernel.transpose(2, 3)):
        margin = (shape.shape[3] // 2,) * 2 + (shape.shape[2] // 2,) * 2
        weights = functional.conv2d(functional.pad(weights, margin, mode="replicate"), shape)
    return torch.maximum(weights, regions[:, None].float())


def _ring_mean(images: Tensor, ring: Tensor) -> Tensor:
    """Mean of each channel over a region, (B, C, 1, 1); 0 where the region is empty."""
    ring = ring[:, None].float()
    return (images * ring).sum(dim=(2, 3), keepdim=True) / ring.sum(dim=(2, 3), keepdim=True).clamp_min(1)


def _part(draw: Draw, rows: Tensor) -> Draw:
    """Some images' share of a draw."""
    parts = {"forward": draw.forward, "brightness": draw.brightness, "contrast": draw.contrast}
    return Draw(**{name: of if of is None else of[rows.to(of.device)] for name, of in parts.items()})
