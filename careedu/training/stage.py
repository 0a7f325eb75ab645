"""What a stage of a training is: a declaration that the one loop carries out.

A stage goes through its images so many times and makes one or more updates of each batch. Each update has a loss and an
optimiser of its own, so that these are no special cases:

>>> Stage("classification", 20, cross_entropy)  # doctest: +SKIP
>>> Stage("head", 5, Update(cross_entropy, trainable=("head.",)), sampler="class-balanced")  # doctest: +SKIP
>>> critic = Update(critic_terms, trainable=("training_parts.critic.",), schedule="constant")  # doctest: +SKIP
>>> generator = Update(generator_terms, trainable=("training_parts.generator.",), every=5)  # doctest: +SKIP
>>> Stage("features", 50, [critic, generator], inputs="pooled-features", supervised=False)  # doctest: +SKIP
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.data.digest import content_digest
from careedu.errors import InvalidInputError, check_known, check_number
from careedu.training.batch import Batch, FeatureBatch

Terms = Callable[[nn.Module, Batch | FeatureBatch], Mapping[str, Tensor]]
Table = tuple[np.ndarray, np.ndarray]
"""Features and their labels."""
SAMPLERS = ("shuffle", "class-balanced")
INPUTS = ("images", "feature-maps", "pooled-features")
SCHEDULES = ("one-cycle", "constant")
_BEFORE_FEATURES = ("body", "before", "after")


@dataclass(frozen=True, eq=False)
class Update:
    """What is minimised, and by which parameters: a step of AdamW with an optimiser of its own.

    Parameters
    ----------
    terms : callable
        ``terms(model, batch)`` gives the named terms of the loss, scalars of which the sum is minimised. With several
        updates in a stage the names differ, as each has a column in the history.
    trainable : tuple of str, optional
        Prefixes of the names of the parameters that move. By default all do.
    every : int
        The update is made of each batch, or of every so many: of the `every`-th batch first.
    learning_rate : float
        Factor on the loop's learning rate.
    learning_rates : mapping of str to float
        Further factors for parameters whose names begin with the key.
    betas : (float, float)
        AdamW's, how long its two means look back.
    weight_decay : float, optional
        By default the loop's.
    schedule : str
        ``"one-cycle"``: up over the first quarter of the stage's updates, then down to 0; or ``"constant"``.

    Raises
    ------
    InvalidInputError
        If a value cannot be.
    """

    terms: Terms
    trainable: tuple[str, ...] | None = None
    every: int = 1
    learning_rate: float = 1.0
    learning_rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float | None = None
    schedule: str = "one-cycle"

    def __post_init__(self) -> None:
        if isinstance(self.trainable, str):
            raise InvalidInputError(f"trainable={self.trainable!r} must be a tuple of prefixes: ({self.trainable!r},)")
        if self.trainable is not None:
            object.__setattr__(self, "trainable", tuple(self.trainable))
        check_number("every", self.every, "whole [1, inf)", "it counts batches")
        check_number("learning_rate", self.learning_rate, "[0, inf)")
        check_known("schedule", self.schedule, SCHEDULES)


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a training.

    Parameters
    ----------
    name : str
        Shown in the progress bar and the history.
    epochs : int
        How often the stage goes through its rows.
    updates : Update, sequence of Update, or callable
        What is made of each batch, in this order; a callable is the terms of a plain `Update`.
    rows : int64 (M,) or bool (N,), optional
        The training images of the stage, where it does not see all of them: few labels, those with a mask. A loss that
        looks at class counts wants those of the rows, ``facts.of_rows(rows)``.
    pool : LesionDataset, optional
        The images of the stage, where they are not the training's: those that have no label, for instance.
    batch_size : int, optional
        By default the loop's.
    augmentation : Augmentation, optional
        By default the loop's.
    sampler : str
        ``"shuffle"`` (each image once an epoch) or ``"class-balanced"`` (a class is drawn uniformly, then one of its
        images; as many draws as there are images, so the number of batches is the same).
    inputs : str
        ``"images"``, augmented; or ``"feature-maps"`` or ``"pooled-features"``: computed once at the beginning of
        the stage from the unaugmented images, for stages in which the features rest. Every update then names what is
        trainable.
    resample : callable, optional
        With features as inputs: ``resample(model, features, labels, seed) -> (features, labels)`` in numpy, applied
        once before the first update, and again where a stopped training goes on; so it may ask the model for nothing
        that the stage moves.
    begin, end : callable, optional
        ``begin(model)`` is called once before the stage's first update, for instance to start the head afresh;
        ``end(model)`` once after its last one, and before the last epoch is measured. They may change values, but not
        which parameters there are: these are the method's `wrap`'s.
    record : callable, optional
        ``record(model)`` gives named tensors after each epoch, the network being in evaluation mode: numbers become
        columns of the history, arrays the traces ``"<stage>: <name>"``, one entry an epoch of this stage.
    supervised : bool
        Whether the stage counts towards the total of supervised epochs. Of others nothing is measured on validation
        images, and their epochs are counted apart (`Run.pretraining`).
    shared : mapping, optional
        Of a stage, in the leading run of stages, that other methods have too: JSON values that its outcome follows
        from, beside data, network, seed, loop and what stands above; so what `terms` and other functions do, and their
        revision. ``"lesions": False`` says that it reads neither boxes nor masks, which a method may have changed,
        and ``"labels": False`` no label either.
        Methods that agree train it once (`shared_stages` of `careedu.fit`). What the stages have changed is kept, and
        nothing else, so that networks which differ in other parts can share it.

    Raises
    ------
    InvalidInputError
        If a value cannot be.
    """

    name: str
    epochs: int
    updates: Update | Sequence[Update] | Terms
    rows: Tensor | Sequence[int] | None = None
    pool: LesionDataset | None = None
    batch_size: int | None = None
    augmentation: Augmentation | None = None
    sampler: str = "shuffle"
    inputs: str = "images"
    resample: Callable[[np.ndarray, np.ndarray, int], Table] | None = None
    begin: Callable[[nn.Module], object] | None = None
    end: Callable[[nn.Module], object] | None = None
    record: Callable[[nn.Module], Mapping[str, Tensor]] | None = None
    supervised: bool = True
    shared: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        what = f"stage {self.name!r}"
        updates = self.updates if isinstance(self.updates, Sequence) else [self.updates]
        updates = tuple(update if isinstance(update, Update) else Update(update) for update in updates)
        object.__setattr__(self, "updates", updates)
        if not updates:
            raise InvalidInputError(f"{what} has no update; give at least one")
        if self.sampler not in SAMPLERS or self.inputs not in INPUTS:
            raise InvalidInputError(
                f"{what} has sampler {self.sampler!r} and inputs {self.inputs!r}; "
                f"samplers: {', '.join(SAMPLERS)}; inputs: {', '.join(INPUTS)}"
            )
        check_number(f"{what}: epochs", self.epochs, "whole [1, inf)")
        if self.batch_size is not None:
            check_number(f"{what}: batch_size", self.batch_size, "whole [2, inf)")
        if self.inputs != "images":
            moves = [prefix for update in updates for prefix in update.trainable or ("",)]
            if any(prefix.startswith(_BEFORE_FEATURES) or not prefix for prefix in moves):
                raise InvalidInputError(
                    f"{what} trains on features that are computed once, so each update must name what is trainable, "
                    f"and nothing that the features come from: not {', '.join(map(repr, moves))}"
                )
        if self.rows is not None:
            rows = torch.as_tensor(self.rows)
            whole = not (rows.is_floating_point() or rows.is_complex())
            empty = rows.numel() == 0 or (not bool(rows.any()) if rows.dtype == torch.bool else int(rows.min()) < 0)
            if rows.dim() != 1 or not whole or empty:
                raise InvalidInputError(
                    f"{what} has no training image, or a row that is none: rows={self.rows!r}; "
                    "give whole numbers from 0, or one truth value an image"
                )
            object.__setattr__(self, "rows", rows)

    @property
    def trainable(self) -> tuple[str, ...] | None:
        """Prefixes of what moves in any of the updates; None where all does."""
        return trainable_in(self.updates)


def declared(part: Stage | Update) -> dict[str, Any]:
    """What a stage or an update sets apart from its defaults, as JSON values; of functions only that there is one.

    Of its images it does not speak.
    """
    own: dict[str, Any] = {}
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        if f.name in ("terms", "shared", "pool"):
            continue
        if isinstance(value, Tensor):
            own[f.name] = content_digest(value)
        elif f.name == "updates":
            own[f.name] = [declared(update) for update in value]
        elif isinstance(value, Augmentation):
            own[f.name] = dataclasses.asdict(value)
        elif value is not None and value != f.default:
            plain = list(value) if isinstance(value, tuple) else value  # as JSON gives them back
            own[f.name] = True if callable(value) else dict(value) if isinstance(value, Mapping) else plain
    return own


def trainable_in(parts: Sequence[Update | Stage]) -> tuple[str, ...] | None:
    """Prefixes of what moves in any of several updates or stages; None where all does."""
    prefixes = [part.trainable for part in parts]
    return None if any(own is None for own in prefixes) else tuple(dict.fromkeys(p for own in prefixes for p in own))
