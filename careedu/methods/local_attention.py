"""Local attention: the rival of one map for all images, attention that differs from image to image.

`careedu.nn.local_attention` has its two kinds as modules that fit any network.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import BuiltOnLoss, LossMethod
from careedu.nn.local_attention import KINDS, build_local_attention


@dataclass(frozen=True)
class LocalAttention(BuiltOnLoss):
    """Attention on the feature maps that differs from image to image, trained with the network.

    Parameters
    ----------
    classification : LossMethod
    kind : str
        ``"squeeze-excitation"`` (Hu et al., CVPR 2018: a weight a channel) or ``"spatial"`` (Woo et al., ECCV 2018,
        the spatial half of CBAM: a weight a position).
    """

    name: ClassVar[str] = "local-attention"
    choices: ClassVar = {"kind": KINDS}

    classification: LossMethod = field(default_factory=CrossEntropy)
    kind: str = "squeeze-excitation"

    def wrap(self, model: nn.Module, facts: TrainingFacts) -> nn.Module:
        """What the loss needs, with attention behind the last features."""
        model = super().wrap(model, facts)
        model.fill("after", build_local_attention(self.kind, model.channels))
        return model
