"""What the losses ask of their arguments, and how they say so when it is not met."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from careedu.errors import InvalidInputError

Counts = Tensor | np.ndarray | Sequence[float]
"""Images per class."""


def checked_batch(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in at least float32 and target as int64, or an error that names what is wrong."""
    if logits.dim() != 2 or logits.shape[1] == 0 or not logits.is_floating_point():
        raise InvalidInputError(f"logits must be float (B, C), not {logits.dtype} {tuple(logits.shape)}")
    if len(logits) == 0:
        raise InvalidInputError("the batch is empty, and has no mean loss: skip it")
    if target.shape != logits.shape[:1]:
        raise InvalidInputError(
            f"target must be ({len(logits)},), the class index of each row of the logits, not {tuple(target.shape)}"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise InvalidInputError(f"target must be an integer tensor of class indices, not {target.dtype}")
    classes = logits.shape[1]
    target = target.long()
    # One number from the device: on a GPU each question asked of the data waits for it.
    if bool(((target < 0) | (target >= classes)).any()):
        wrong = target[(target < 0) | (target >= classes)][0].item()
        raise InvalidInputError(
            f"target holds {wrong}, and the logits have the classes 0 to {classes - 1}: "
            "leave out images without a class before the loss (there is no ignore_index)"
        )
    return at_least_float32(logits), target


def at_least_float32(values: Tensor) -> Tensor:
    """Half-precision values as float32, which a sum of exponentials needs; others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def finite_numbers(values: Counts, what: str) -> Tensor:
    """A float64 vector of finite numbers that are at least 0."""
    try:
        vector = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{what}s must be numbers, one per class, not {values!r}") from error
    if vector.dim() != 1 or len(vector) == 0:
        raise InvalidInputError(f"{what}s must be (C,), one per class, not {tuple(vector.shape)}")
    wrong = ~(vector.isfinite() & (vector >= 0))
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        raise InvalidInputError(
            f"the {what} of class {index} is {vector[index].item()}; it must be finite and at least 0"
        )
    return vector


def positive_counts(counts: Counts, formula: str) -> Tensor:
    """Counts as float64, none of them 0."""
    n = finite_numbers(counts, "count")
    if bool((n == 0).any()):
        index = int((n == 0).nonzero()[0])
        raise InvalidInputError(
            f"class {index} has no training image, and {formula} divides by its count or takes its logarithm: "
            "leave the class out, or add images of it"
        )
    return n


def one_per_class(values: Tensor, logits: Tensor) -> Tensor:
    """Values of the classes, with the dtype and on the device of the logits."""
    if len(values) != logits.shape[1]:
        raise InvalidInputError(f"there are {len(values)} counts or weights for logits of {logits.shape[1]} classes")
    return values.to(logits)


def class_weight(weight: Counts, logits: Tensor) -> Tensor:
    """Weights of the classes, checked, with the dtype and on the device of the logits."""
    return one_per_class(finite_numbers(weight, "weight"), logits)


def averaged(losses: Tensor, target: Tensor, logits: Tensor, weight: Counts | None) -> Tensor:
    """Mean of the images' losses, each times the weight of its class where weights are given."""
    return (losses if weight is None else class_weight(weight, logits)[target] * losses).mean()


def dtype_of(counts: Counts) -> torch.dtype:
    """The dtype of float tensors and arrays, else float64: Python's own floats are that."""
    if isinstance(counts, np.ndarray):
        counts = torch.from_numpy(counts)
    return counts.dtype if isinstance(counts, Tensor) and counts.is_floating_point() else torch.float64
