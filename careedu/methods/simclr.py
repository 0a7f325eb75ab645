"""SimCLR: features learned from images without labels, by telling two views of one image from views of all others.

Chen, Kornblith, Norouzi and Hinton, ICML 2020. Deep Pneumonia (arXiv 2207.11393) begins with such a pretraining on the
training images themselves; any other method can too: ``careedu.CARE(pretrain=careedu.SimCLR())``. In a training loop of
your own:

>>> import torch
>>> from torch import nn
>>> from careedu.nn.backbones import build_model
>>> from careedu.nn.contrastive import nt_xent
>>> model, projector = build_model("small", classes=3, channels=1), nn.Linear(128, 64)
>>> optimizer = torch.optim.AdamW([*model.parameters(), *projector.parameters()])
>>> images = torch.rand(8, 1, 64, 64)
>>> for images in [images]:  # your loader, large batches
...     views = torch.cat([images.flip(3), images.roll(4, 2)])  # two random changes that leave the class alone
...     z1, z2 = projector(model.pool(model.features(views))).chunk(2)
...     optimizer.zero_grad(), nt_xent(z1, z2).backward(), optimizer.step()
(None, None, None)
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from careedu.data.augmentation import Augmentation
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import LogitAdjusted
from careedu.methods.method import LossMethod, Pretraining, restart
from careedu.nn.contrastive import nt_xent, unit_vectors
from careedu.nn.pixel_features import permuted_pixels
from careedu.training.batch import Batch, unit_range
from careedu.training.stage import Stage, Update

_TONE = {"brightness": 0.1, "contrast": 0.3}
VIEWS = {
    "mild": Augmentation(flip_horizontal=True, rotation=10.0, shift=0.06, zoom=0.1, **_TONE),
    "turned": Augmentation(flip_horizontal=True, flip_vertical=True, rotation=180.0, shift=0.06, zoom=0.15, **_TONE),
    "cropped": Augmentation(flip_horizontal=True, flip_vertical=True, rotation=180.0, shift=0.25, zoom=0.5, **_TONE),
    "identical": Augmentation(),
}
"""How a view is made of an image, none with a change of hue, which X-rays and MRI do not have; all are our choice."""
PIXELS = ("given", "shuffled")
PROJECTOR, WATCHED = "projector", 128


@dataclass(frozen=True)
class SimCLR(Pretraining):
    """SimCLR (Chen et al., ICML 2020) on the training images, without their labels, boxes and masks.

    L = NT-Xent(g(z(v₁)), g(z(v₂))), see :func:`careedu.nn.contrastive.nt_xent`, where v₁ and v₂ are two views of the
    batch from one rule, z the pooled features and g a projector of two layers, which is thrown away afterwards. As
    ``pretrain=`` of another method it is that one's first stage; by itself a linear head follows on the features, which
    rest: the linear evaluation of section 4 of the paper.

    Parameters
    ----------
    classification : LossMethod
        Of the linear head.
    epochs : int
        Of the pretraining, counted apart; 0 leaves it out, so that the head is trained on the untrained network.
    temperature : float
        T of the loss, above 0.
    views : str
        A key of `VIEWS`: ``"turned"`` (flips, any rotation, small shifts and changes of size, brightness and contrast),
        ``"mild"`` (upright, for organs with an up and a down), ``"cropped"`` (half to one and a half the size), or
        ``"identical"``, a control: nothing is changed, so that two views have all in common.
    tint : float
        How much each colour channel is changed by itself, in [0, 1]; grey images have none.
    pixels : str
        ``"given"``; or ``"shuffled"``, a control: one permutation of the pixels for all images, so that as many updates
        are made and as many intensities are seen, and nothing of what is seen is an organ.
    batch_size : int
        Images in a batch, of which each view has as many negatives as 2 (B − 1); all there are where these are fewer.
    learning_rate : float
        Factor on the loop's learning rate.
    width : int
        Outputs of the projector.

    Notes
    -----
    The paper states loss, projector and evaluation. Views, batch (the paper's has thousands of images) and AdamW are
    our choice. The history of the pretraining has ``"embedding spread"``, the root mean square of the outputs'
    deviations from their mean, each output being of length 1, over training images: 1 where they point everywhere, 0
    where all point one way (collapse).
    """

    name: ClassVar[str] = "simclr"
    choices: ClassVar = {"views": VIEWS, "pixels": PIXELS}
    limits: ClassVar = {
        **dict.fromkeys(("batch_size", "width"), "whole [2, inf)"),
        **dict.fromkeys(("temperature", "learning_rate"), "(0, inf)"),
        "epochs": "whole [0, inf)",
        "tint": "[0, 1]",
    }

    classification: LossMethod = field(default_factory=LogitAdjusted)
    epochs: int = 30
    temperature: float = 0.2
    views: str = "turned"
    tint: float = 0.3
    pixels: str = "given"
    batch_size: int = 128
    learning_rate: float = 2.0
    width: int = 64

    def add_parts(self, model: nn.Module) -> None:
        """The projector."""
        if self.epochs:
            k = model.channels
            hidden = nn.Linear(k, k, bias=False), nn.BatchNorm1d(k), nn.ReLU()
            last = nn.Linear(k, self.width, bias=False), nn.BatchNorm1d(self.width, affine=False)
            model.training_parts[PROJECTOR] = nn.Sequential(*hidden, *last)

    def pretraining(self, facts: TrainingFacts) -> list[Stage]:
        """One stage, shared by all methods and all shares of labels that have the same images."""
        if not self.epochs:
            return []
        images = facts.dataset if facts.pool is None else facts.pool

        def seen(views: Tensor) -> Tensor:
            return views if self.pixels == "given" else permuted_pixels(views.flatten(0, 1), 0).view_as(views)

        def contrast(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
            views = torch.cat([batch.inputs, batch.view()])  # in one batch, normalised alike
            if views.shape[1] > 1:
                views = tinted(views, self.tint, batch.generator)
            views = seen(views)
            return {"contrast": nt_xent(*projections(model, views).chunk(2), self.temperature)}

        def spread(model: nn.Module) -> dict[str, Tensor]:
            z = unit_vectors(projections(model, seen(unit_range(images.images[:WATCHED]).to(model.mean.device))))
            return {"embedding spread": z.var(dim=0, correction=0).sum().sqrt()}

        own = {name: value for name, value in self.options().items() if name != "classification"}
        return [
            Stage(
                "pretraining",
                self.epochs,
                Update(contrast, ("body.", f"training_parts.{PROJECTOR}."), learning_rate=self.learning_rate),
                pool=facts.pool,
                batch_size=self.batch_size,
                augmentation=VIEWS[self.views],
                begin=lambda model: restart(model.training_parts[PROJECTOR]),
                record=spread,
                supervised=False,
                shared={**own, "revision": self.revision, "lesions": False, "labels": False},
            )
        ]


def tinted(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Colour images (B, C, H, W) in [0, 1] with each channel of each made brighter or darker by itself.

    x' = (1 + u) x, u uniform in [−amount, amount] for each image and channel; clipped to [0, 1].
    """
    u = torch.rand(images.shape[:2], generator=generator).to(images)
    return (images * (1 + amount * (2 * u - 1))[:, :, None, None]).clamp(0, 1)


def projections(model: nn.Module, images: Tensor) -> Tensor:
    """What the projector makes of the pooled features of images (B, C, H, W), float (B, D).

    Past the slots of the network, so that the pretraining is the same whatever a method puts into them.
    """
    return model.training_parts[PROJECTOR](model.pool(model.body(model.standardized(images))))
