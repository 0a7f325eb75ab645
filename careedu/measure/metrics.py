"""Metrics of a classifier on one test set, each a plain float; F1 score and AUROC are scikit-learn's.

All take class probabilities (N, C) and true labels (N,). The predicted class is the most probable one. Classes without
test images have recall NaN and are left out of averages.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from careedu.errors import InvalidInputError


def confusion(probabilities: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Confusion matrix, int (C, C): rows are true classes, columns predicted ones."""
    probabilities, labels = _checked(probabilities, labels)
    shape = probabilities.shape[1:] * 2
    # Counted here: saved results open sooner where scikit-learn need not be loaded.
    cells = np.ravel_multi_index((labels, probabilities.argmax(axis=1)), shape)
    return np.bincount(cells, minlength=np.prod(shape)).reshape(shape)


def recall_per_class(probabilities: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Share of each class's images that are found, float64 (C,)."""
    matrix = confusion(probabilities, labels)
    count = matrix.sum(axis=1)
    return np.divide(np.diag(matrix), count, out=np.full(len(matrix), np.nan), where=count > 0)


def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Share of all images classified rightly: the metric that lies under imbalance."""
    matrix = confusion(probabilities, labels)
    return float(np.trace(matrix) / matrix.sum())


def balanced_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the recalls of all classes."""
    return mean_recall(recall_per_class(probabilities, labels))


def rare_recall(probabilities: ArrayLike, labels: ArrayLike, rare: Sequence[int]) -> float:
    """Mean of the recalls of the classes whose indices are `rare`."""
    return mean_recall(recall_per_class(probabilities, labels)[list(rare)])


def mean_recall(recalls: np.ndarray) -> float:
    """Mean of recalls float64 (C,) of the classes with test images; NaN where none has any."""
    return float(np.nanmean(recalls)) if np.isfinite(recalls).any() else float("nan")


def macro_f1(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over the classes with test images of the F1 score; one that is never predicted scores 0."""
    from sklearn.metrics import f1_score

    probabilities, labels = _checked(probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def auroc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over classes of the area under the ROC curve, one class against the rest."""
    from sklearn.metrics import roc_auc_score

    probabilities, labels = _checked(probabilities, labels)
    present = np.unique(labels)
    if len(present) < 2:
        return float("nan")
    areas = [roc_auc_score(labels == c, probabilities[:, c]) for c in present]
    return float(np.mean(areas))


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error (Guo et al., ICML 2017, section 2): Σ_b (n_b/N) |accuracy_b − confidence_b|.

    `bins` of equal width over the probability of the predicted class.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.searchsorted(np.arange(1, bins) / bins, confidence)  # (low, high], as in the paper
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


METRICS: dict[str, Callable[..., float]] = {
    "balanced accuracy": balanced_accuracy,
    "rare recall": rare_recall,
    "macro F1": macro_f1,
    "AUROC": auroc,
    "accuracy": accuracy,
    "calibration error": calibration_error,
}
"""The metrics of a run by name, in the order of tables. "rare recall" also takes the rare classes."""


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or len(labels) == 0:
        raise InvalidInputError(
            "probabilities must be (N, C) and labels (N,) with N at least 1, "
            f"not {probabilities.shape} and {labels.shape}"
        )
    check_values(probabilities, labels)
    return probabilities, labels


def check_values(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Raise InvalidInputError if a probability, float (…, N, C), is NaN or a label, int (N,), no class."""
    if broken := int(np.isnan(probabilities).any(axis=-1).sum()):
        raise InvalidInputError(f"{broken} rows of probabilities are NaN")
    if not ((labels >= 0) & (labels < probabilities.shape[-1])).all():
        raise InvalidInputError(f"labels must be class indices from 0 to {probabilities.shape[-1] - 1}")
