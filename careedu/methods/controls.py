"""Controls that belong to no one paper: what a gain has to beat before it is a method's doing."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from careedu.methods.facts import TrainingFacts
from careedu.methods.method import LossMethod
from careedu.nn.losses import inverse_frequency_weights, weighted_cross_entropy


@dataclass(frozen=True)
class MisplacedWeights(LossMethod):
    """Inverse-frequency weights, each given to the next class: the same disturbance, and no sense in it (our choice).

    Where this does as well as weights in their place, what helps is not that rare classes weigh more.
    """

    name: ClassVar[str] = "misplaced-weights"

    def loss(self, logits: Tensor, target: Tensor, facts: TrainingFacts, progress: float) -> Tensor:
        """(1/B) Σ w_{y−1} CE, the first class taking the last one's weight."""
        weight = inverse_frequency_weights(facts.counts_like(logits)).roll(1)
        return weighted_cross_entropy(logits, target, weight)
