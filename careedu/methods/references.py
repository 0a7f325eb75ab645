"""References that no network is needed for. A learned result that does not beat them has learned nothing new."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from careedu.data.dataset import LesionDataset
from careedu.errors import InvalidInputError
from careedu.methods.method import UntrainedMethod
from careedu.training.batch import unit_range


@dataclass(frozen=True)
class NearestNeighbour(UntrainedMethod):
    """The label of the training image whose thumbnail is nearest (our choice of reference).

    Where this does well, look-alike images are on both sides of the split.

    Parameters
    ----------
    size : int
        Side of the thumbnail in pixels.
    """

    name: ClassVar[str] = "nearest-neighbour"
    limits: ClassVar = {"size": "whole [1, inf)"}

    size: int = 32

    def predict(self, train: LesionDataset, images: LesionDataset) -> np.ndarray:
        """One for the nearest image's class, zero elsewhere, float64 (N, C)."""
        from sklearn.neighbors import KNeighborsClassifier

        model = KNeighborsClassifier(n_neighbors=1).fit(self.thumbnails(train.images), train.labels.numpy())
        return _all_classes(model, self.thumbnails(images.images), len(train.classes))

    def thumbnails(self, images: Tensor) -> np.ndarray:
        """Images uint8 (N, C, H, W) averaged down to (N, C · size · size)."""
        pooled = [nn.functional.adaptive_avg_pool2d(unit_range(chunk), self.size) for chunk in images.split(256)]
        return torch.cat(pooled).flatten(1).numpy()


@dataclass(frozen=True)
class LesionSize(UntrainedMethod):
    """A decision tree that sees nothing but the lesion's area (our choice of reference).

    Where this does well, the class can be told without looking inside the lesion.
    """

    name: ClassVar[str] = "lesion-size"
    needs_lesions: ClassVar[bool] = True

    def predict(self, train: LesionDataset, images: LesionDataset) -> np.ndarray:
        """Class probabilities from the area, float64 (N, C), at equal priors."""
        from sklearn.tree import DecisionTreeClassifier

        known = torch.from_numpy(~np.isnan(lesion_area(train)))
        for part in (train, images):
            missing = torch.from_numpy(np.isnan(lesion_area(part)))
            if missing.any() and not (part is train and known.any()):
                row = int(missing.nonzero()[0, 0])
                raise InvalidInputError(
                    "lesion-size needs a mask or box for every image it predicts and some to learn from; image "
                    f"{str(part.ids[row])!r} has neither. Add them to the table, or leave this reference out."
                )
        # At most ten leaves' worth of detail: a finer tree learns single images by heart.
        model = DecisionTreeClassifier(min_samples_leaf=10, class_weight="balanced", random_state=0)
        model.fit(lesion_area(train)[known.numpy(), None], train.labels[known].numpy())
        return _all_classes(model, lesion_area(images)[:, None], len(train.classes))


def lesion_area(dataset: LesionDataset) -> np.ndarray:
    """Area of each lesion as a share of the image, from mask or else box, float64 (N,); 0 for none, NaN if unknown."""
    height, width = dataset.images.shape[2:]
    x0, y0, x1, y1 = dataset.boxes.double().unbind(1)
    area = (x1 - x0) * (y1 - y0)
    if dataset.masks is not None:
        area = torch.where(dataset.has_mask, dataset.masks.sum(dim=(1, 2)).double(), area)
    if dataset.lesion_free is not None:
        area = torch.where(dataset.lesion_free, 0.0, area)
    return (area / (height * width)).numpy()


def _all_classes(model: object, features: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities with a column for every class, also for those that training did not hold."""
    probabilities = np.zeros((len(features), classes))
    probabilities[:, model.classes_] = model.predict_proba(features)
    return probabilities
