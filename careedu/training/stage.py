"""What a stage of a training is: a declaration that the one loop carries out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from careedu.errors import InvalidInputError
from careedu.training.batch import Batch, FeatureBatch

Terms = Callable[[nn.Module, Batch | FeatureBatch], Mapping[str, Tensor]]
SAMPLERS = ("shuffle", "class-balanced")
INPUTS = ("images", "feature-maps", "pooled-features")


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Parameters
    ----------
    name : str
        Shown in the progress bar and the history.
    epochs : int
        How often the stage goes through as many images as the training set has.
    terms : callable
        ``terms(model, batch)`` gives the named terms of the loss, scalars of which the sum is minimised.
    trainable : tuple of str, optional
        Prefixes of the names of the parameters that move. By default all do. Modules of which nothing moves are put in
        evaluation mode, so that their batch-normalisation statistics rest too.
    sampler : str
        ``"shuffle"`` (each image once an epoch) or ``"class-balanced"`` (a class is drawn uniformly, then one of its
        images; as many draws as there are images, so the number of updates is the same).
    inputs : str
        ``"images"``, augmented; or ``"feature-maps"`` or ``"pooled-features"``: computed once at the beginning of
        the stage from the unaugmented training images, for stages in which the features rest.
    resample : callable, optional
        With features as inputs: ``resample(features, labels, seed) -> (features, labels)`` in numpy, applied once.
    learning_rate : float
        Factor on the loop's learning rate.
    learning_rates : mapping of str to float
        Further factors for parameters whose names begin with the key.
    begin : callable, optional
        ``begin(model)`` is called once before the stage's first update, for instance to start the head afresh.
    supervised : bool
        Whether the stage counts towards the total of supervised epochs.
    shared : mapping, optional
        Of a first stage that other methods have too: JSON values that its outcome follows from, beside data, network,
        seed and loop. Methods with the same values train it once (`shared_stages` of `careedu.fit`).
    """

    name: str
    epochs: int
    terms: Terms
    trainable: tuple[str, ...] | None = None
    sampler: str = "shuffle"
    inputs: str = "images"
    resample: Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]] | None = None
    learning_rate: float = 1.0
    learning_rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    begin: Callable[[nn.Module], None] | None = None
    supervised: bool = True
    shared: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS or self.inputs not in INPUTS:
            raise InvalidInputError(
                f"stage {self.name!r} has sampler {self.sampler!r} and inputs {self.inputs!r}; "
                f"samplers: {', '.join(SAMPLERS)}; inputs: {', '.join(INPUTS)}"
            )
        if self.epochs < 1:
            raise InvalidInputError(f"stage {self.name!r} has {self.epochs} epochs; it needs at least 1")
