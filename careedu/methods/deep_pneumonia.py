"""Deep Pneumonia: contrastive pretraining, attention that masks guide, and contrast between lesion and background.

Wei et al., Deep Pneumonia: Attention-Based Contrastive Learning for Class-Imbalanced Pneumonia Lesion Recognition in
Chest X-rays, arXiv 2207.11393, of which we could read the abstract only: it names four parts, and every form here is
our choice. (a) Self-supervised pretraining on the same images (`careedu.methods.simclr`); (b) an attention module on
the features that masks supervise; (c) features that are pulled to the lesion and pushed from the background; (d) a
class-balanced loss. Masks are read in training alone. In a training loop of your own:

>>> import torch
>>> from torch.nn.functional import cross_entropy
>>> from careedu.methods.deep_pneumonia import MaskAttention, attention_mask_loss, contrastive_regulation
>>> from careedu.methods.deep_pneumonia import lesion_and_background, masks_on_grid
>>> from careedu.nn.backbones import build_model
>>> model = build_model("small", classes=3, channels=1)
>>> model.fill("after", MaskAttention(model.channels))
>>> optimizer = torch.optim.AdamW(model.parameters())
>>> images, labels, masks = torch.rand(4, 1, 64, 64), torch.tensor([0, 1, 2, 2]), torch.zeros(4, 64, 64)
>>> masks[:, 20:30, 30:40] = 1
>>> for images, labels, masks in [(images, labels, masks)]:  # your loader
...     features = model.body(model.seen(images))
...     attention, inside = model.after.attention(features), masks_on_grid(masks, features.shape[2:])
...     z = model.pool(model.after(features, attention))
...     loss = cross_entropy(model.head(z), labels) + attention_mask_loss(attention, inside)
...     loss = loss + 0.1 * contrastive_regulation(z, *lesion_and_background(features, inside))
...     optimizer.zero_grad(), loss.backward(), optimizer.step()
(None, None, None)
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError, check_known, check_number
from careedu.methods.facts import TrainingFacts, named_classes
from careedu.methods.imbalance import ClassBalanced
from careedu.methods.method import BuiltOnLoss, LossMethod, Pretraining
from careedu.methods.simclr import SimCLR
from careedu.nn.arguments import at_least_float32
from careedu.nn.contrastive import unit_vectors
from careedu.training.batch import Batch
from careedu.training.stage import Stage

ATTENTIONS = ("none", "weighted-mean", "product")
REGULATIONS = ("none", "contrast", "ratio")
MASKS = ("given", "shuffled", "none")
CLASSES = ("all", "rare")


def attention_mask_loss(attention: Tensor, mask: Tensor) -> Tensor:
    """How far attention is from the lesion's mask: cross-entropy of the positions plus the Dice loss.

    L = mean over positions of −m log a − (1 − m) log(1 − a)  +  1 − (2 Σ a m + 1) / (Σ a + Σ m + 1),  mean over images

    Parameters
    ----------
    attention : float (B, h, w) or (B, 1, h, w)
        a, in [0, 1].
    mask : bool or float (B, h, w) or (B, 1, h, w)
        m, in {0, 1}, on the same grid: see :func:`masks_on_grid`.

    Returns
    -------
    ()
        At least 0; 0 for no images.

    Raises
    ------
    InvalidInputError
        If the shapes differ or attention is not float.

    Notes
    -----
    "Mask-guided" is the abstract's word; that it is a loss, and this one, is our choice. In half precision it is
    computed in float32.
    """
    if not attention.is_floating_point() or attention.dim() not in (3, 4) or attention.numel() != mask.numel():
        raise InvalidInputError(
            f"attention must be float (B, h, w) or (B, 1, h, w) and mask on the same grid, not {attention.dtype} "
            f"{tuple(attention.shape)} and {tuple(mask.shape)}: bring masks to the grid with masks_on_grid"
        )
    if len(attention) == 0:
        return attention.sum()
    with torch.autocast(attention.device.type, enabled=False):
        a = at_least_float32(attention).flatten(1)
        m = mask.to(a.dtype).reshape(a.shape)
        dice = (2 * (a * m).sum(dim=1) + 1) / (a.sum(dim=1) + m.sum(dim=1) + 1)
        return functional.binary_cross_entropy(a, m) + (1 - dice).mean()


def contrastive_regulation(anchor: Tensor, lesion: Tensor, background: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE: an image's features should be nearer to its lesion than to the background of any image of the batch.

    L = (1/B) Σ_i −log( exp(cos(z_i, p_i) / T) / (exp(cos(z_i, p_i) / T) + Σ_j exp(cos(z_i, q_j) / T)) )

    Parameters
    ----------
    anchor : float (B, K)
        z, the pooled features, which alone are moved.
    lesion, background : float (B, K)
        p and q, means of the features over the lesion and beside it, taken as they are: no gradient.
    temperature : float
        T, above 0.

    Returns
    -------
    ()
        0 for no images.

    Raises
    ------
    InvalidInputError
        If the shapes differ or the temperature is not above 0 and finite.

    Notes
    -----
    The abstract speaks of contrastive regulation on the features (arXiv 2207.11393); this form is our choice. InfoNCE:
    van den Oord et al., arXiv 1807.03748, equation 4.
    """
    _check_rows(anchor, lesion, background)
    check_number("temperature", temperature, "(0, inf)")
    if len(anchor) == 0:
        return anchor.sum()
    with torch.autocast(anchor.device.type, enabled=False):
        z, p, q = (unit_vectors(at_least_float32(part)) for part in (anchor, lesion.detach(), background.detach()))
        similarities = torch.cat([(z * p).sum(dim=1, keepdim=True), z @ q.T], dim=1) / temperature
        return functional.cross_entropy(similarities, torch.zeros(len(z), dtype=torch.long, device=z.device))


def regulation_ratio(anchor: Tensor, lesion: Tensor, background: Tensor) -> Tensor:
    """The other reading of contrastive regulation: mean over images of ‖z − p‖₁ / ‖z − q‖₁, of unit vectors.

    Arguments and errors are those of :func:`contrastive_regulation`. It is unbounded where z meets q; a distance below
    1e-3 counts as that (our choice).
    """
    _check_rows(anchor, lesion, background)
    if len(anchor) == 0:
        return anchor.sum()
    z, p, q = (unit_vectors(at_least_float32(part)) for part in (anchor, lesion.detach(), background.detach()))
    return ((z - p).abs().sum(dim=1) / (z - q).abs().sum(dim=1).clamp_min(1e-3)).mean()


def _check_rows(anchor: Tensor, lesion: Tensor, background: Tensor) -> None:
    if anchor.dim() != 2 or not anchor.shape == lesion.shape == background.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (anchor, lesion, background))
        raise InvalidInputError(f"anchor, lesion and background must all be (B, K), not {shapes}")


def masks_on_grid(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Masks (B, H, W) on the feature grid (h, w): a position is inside if any of its pixels is; bool (B, h, w)."""
    return functional.adaptive_max_pool2d(masks[:, None].float(), tuple(grid))[:, 0] > 0.5


def lesion_and_background(features: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of features (B, K, h, w) over the positions inside, bool (B, h, w), and over the others: two (B, K).

    No position gives zeros.
    """
    m = inside[:, None].to(features.dtype)

    def mean(weights: Tensor) -> Tensor:
        return (features * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp_min(1)

    return mean(m), mean(1 - m)


class MaskAttention(nn.Module):
    """Attention to positions, a = σ(conv 1×1 (ReLU (conv 3×3 (A)))), for the network's slot `after`.

    Parameters
    ----------
    channels : int
        K, of the features A.
    pooling : str
        ``"weighted-mean"``: A ⊙ a / mean(a), so that the mean over positions is the mean that attention weights,
        Σ a A / Σ a; or ``"product"``: A ⊙ a, whose mean shrinks with the attention.
    width : int
        Channels between the convolutions.

    Notes
    -----
    At the start a is 1/2 everywhere. All of this is our choice; the weighted mean, by trials in which the product lost
    the small lesions of brain slices.
    """

    def __init__(self, channels: int, pooling: str = "weighted-mean", width: int = 32) -> None:
        super().__init__()
        check_known("attention", pooling, ATTENTIONS[1:])
        self.pooling = pooling
        self.score = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))
        nn.init.zeros_(self.score[2].weight)
        nn.init.zeros_(self.score[2].bias)

    def attention(self, features: Tensor) -> Tensor:
        """What each position of features (B, K, h, w) is worth, float (B, 1, h, w) in [0, 1]."""
        return torch.sigmoid(self.score(features))

    def forward(self, features: Tensor, attention: Tensor | None = None) -> Tensor:
        """Features (B, K, h, w) weighted by their attention, or by one that is given."""
        a = self.attention(features) if attention is None else attention
        weighted = features * a
        if self.pooling == "product":
            return weighted
        # No attention anywhere weights nothing, and divides by nothing.
        return weighted / a.mean(dim=(2, 3), keepdim=True).clamp_min(1e-6)


@dataclass(frozen=True)
class DeepPneumonia(BuiltOnLoss):
    """Deep Pneumonia (Wei et al., arXiv 2207.11393), each of whose four parts can be switched.

    L = classification + λ_m · :func:`attention_mask_loss` + λ_r · :func:`contrastive_regulation`, after a pretraining.

    Parameters
    ----------
    classification : LossMethod
        (d): the class-balanced loss.
    pretrain : Pretraining, optional
        (a): SimCLR; None for none. By keyword only.
    attention : str
        (b): ``"weighted-mean"`` or ``"product"``, see `MaskAttention`; or ``"none"``.
    regulation : str
        (c): ``"contrast"``, or ``"ratio"``, the other reading; or ``"none"``.
    masks : str
        ``"given"``. Controls: ``"shuffled"`` (each mask at another image) and ``"none"`` (the module learns where to
        look from the classes alone, and there is no regulation).
    classes : str
        Whose masks are read: ``"all"``, or ``"rare"``.
    attention_weight, regulation_weight : float
        λ_m and λ_r, at least 0.
    temperature : float
        Of the regulation.
    teacher_forcing : bool
        Whether, in training, images that have a mask are pooled by it in the place of their attention.

    Notes
    -----
    An image without a mask counts in the classification alone. The abstract states the four parts; all forms, weights
    and the single stage in which (b) to (d) learn together are our choice.
    """

    name: ClassVar[str] = "deep-pneumonia"
    choices: ClassVar = {"attention": ATTENTIONS, "regulation": REGULATIONS, "masks": MASKS, "classes": CLASSES}
    limits: ClassVar = {"attention_weight": "[0, inf)", "regulation_weight": "[0, inf)", "temperature": "(0, inf)"}

    classification: LossMethod = field(default_factory=ClassBalanced)
    attention: str = "weighted-mean"
    regulation: str = "contrast"
    masks: str = "given"
    classes: str = "all"
    attention_weight: float = 1.0
    regulation_weight: float = 0.1
    temperature: float = 0.1
    teacher_forcing: bool = False
    pretrain: Pretraining | None = field(default_factory=SimCLR, kw_only=True)

    @property
    def _reads_masks(self) -> bool:
        return self.masks != "none" and (self.attention, self.regulation) != ("none", "none")

    def prepare(self, data: Splits, seed: int) -> LesionDataset:
        """The training images with the masks that this method may read, and neither boxes nor marks.

        Raises
        ------
        InvalidInputError
            If it reads masks and no training image of these classes has one.
        """
        train = replace(data.train, boxes=None, marks=None)
        if not self._reads_masks:
            return replace(train, masks=None, has_mask=None)
        known = train.has_mask.clone()
        if self.classes == "rare":
            known &= torch.isin(train.labels, torch.tensor(data.rare_indices))
        if not bool(known.any()):
            which, other = named_classes(data, self.classes)
            raise InvalidInputError(
                f"no training image of {which} has a mask, and masks guide the attention: add them to the "
                f'table{other}, or give masks="none"'
            )
        masks = train.masks & known[:, None, None]
        if self.masks == "shuffled":
            rows = known.nonzero()[:, 0]
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            # Round a circle in a random order: no image keeps its own, unless it is the only one.
            masks[rows[order]] = masks[rows[order.roll(1)]]
        return replace(train, masks=masks, has_mask=known)

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, with the attention behind the last features."""
        model = super().wrap(model, facts)
        if self.attention != "none":
            model.fill("after", MaskAttention(model.channels, self.attention))
        return model

    def stages(self, facts: TrainingFacts, epochs: int) -> list[Stage]:
        """Attention, regulation and classification in one stage."""

        def terms(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            features = model.body(model.seen(batch.inputs))
            attends = self.attention != "none"
            attention = model.after.attention(features) if attends else None
            own = {}
            pooled_by = attention
            if self._reads_masks:
                rows = (batch.has_mask & batch.masks.flatten(1).any(dim=1)).nonzero()[:, 0]
                inside = masks_on_grid(batch.masks[rows], features.shape[2:])
                if attends:
                    own["attention"] = self.attention_weight * attention_mask_loss(attention[rows], inside)
                if attends and self.teacher_forcing:
                    pooled_by = attention.index_copy(0, rows, inside[:, None].to(attention.dtype))
            z = model.pool(model.after(features, pooled_by) if attends else features)
            if self._reads_masks and self.regulation != "none":
                lesion, background = lesion_and_background(features[rows].detach(), inside)
                apart = contrastive_regulation if self.regulation == "contrast" else regulation_ratio
                options = {"temperature": self.temperature} if self.regulation == "contrast" else {}
                own["regulation"] = self.regulation_weight * apart(z[rows], lesion, background, **options)
            logits = model.head(z)
            loss = self.classification.loss(logits, batch.labels, facts, batch.progress)
            return {"classification": loss, **own}

        return [Stage(self.name, epochs, terms)]
