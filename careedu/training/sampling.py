"""What the batches of a stage are drawn from: training images, or a table of features of them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.errors import InvalidInputError
from careedu.training.batch import Batch, FeatureBatch, FeatureTable
from careedu.training.prediction import pooled_or_maps
from careedu.training.stage import Stage


class Sampling:
    """The batches of a stage.

    Parameters
    ----------
    stage : Stage
    train : LesionDataset or FeatureTable
        All training images, on the device of the training; or features of images, in their stead. A stage with images
        of its own has these.
    batch_size : int
        Where the stage has none of its own.
    augmentation : Augmentation
        Likewise.

    Attributes
    ----------
    images : int
        Images that the stage sees.
    batches : int
        Batches of an epoch: as many as these images fill, alike for every method.
    """

    def __init__(
        self, stage: Stage, train: LesionDataset | FeatureTable, batch_size: int, augmentation: Augmentation
    ) -> None:
        self.stage = stage
        self.train = train = train if stage.pool is None else stage.pool.to(train.labels.device)
        self.augmentation = augmentation if stage.augmentation is None else stage.augmentation
        self.rows = None
        if stage.rows is not None:
            mask = stage.rows.dtype == torch.bool
            last = len(stage.rows) - 1 if mask else int(stage.rows.max())
            if last >= len(train) or (mask and last + 1 != len(train)):
                raise InvalidInputError(f"stage {stage.name!r} names row {last} of {len(train)} training images")
            self.rows = (stage.rows.nonzero()[:, 0] if mask else stage.rows.long()).to(train.labels.device)
        self.images = len(train) if self.rows is None else len(self.rows)
        self.batch_size = stage.batch_size or batch_size
        # No batch is of one image, which has no batch statistics.
        self.batches = max(1, min(-(-self.images // self.batch_size), self.images // 2))
        self._features: tuple[Tensor, Tensor] | None = None

    def prepare(self, model: nn.Module, precision: str, seed: int) -> None:
        """Compute the features once, where the stage trains on these."""
        rows = slice(None) if self.rows is None else self.rows
        labels = self.train.labels[rows]
        if isinstance(self.train, FeatureTable):
            features = self.train.features[rows]
        elif self.stage.inputs == "images":
            return
        else:
            pooled = self.stage.inputs == "pooled-features"
            features = pooled_or_maps(model, self.train.images[rows], pooled, precision)
        if self.stage.resample is not None:
            new, new_labels = self.stage.resample(model, features.cpu().numpy(), labels.cpu().numpy(), seed)
            features = torch.from_numpy(np.ascontiguousarray(new)).to(features)
            labels = torch.from_numpy(np.ascontiguousarray(new_labels)).to(labels)
            if len(labels) < 2 * self.batches:
                raise InvalidInputError(
                    f"resampling in stage {self.stage.name!r} leaves {len(labels)} rows for {self.batches} batches; "
                    "leave at least two for each"
                )
        self._features = features, labels

    def epoch(self, epoch: int, generator: torch.Generator) -> Iterator[Batch | FeatureBatch]:
        """One epoch's batches, drawn by a generator on the CPU."""
        for number, rows in enumerate(torch.tensor_split(self._order(generator), self.batches)):
            progress = (epoch + number / self.batches) / self.stage.epochs
            if self._features is None:
                yield Batch(self.train, rows, self.augmentation, generator, progress)
            else:
                yield FeatureBatch(*self._features, rows, progress)

    def _order(self, generator: torch.Generator) -> Tensor:
        """Rows in the order of drawing. Split evenly, so that no batch is too small for batch statistics."""
        labels, images = (self.train.labels, self.rows) if self._features is None else (self._features[1], None)
        if images is not None:
            labels = labels[images]
        if self.stage.sampler == "class-balanced":
            counts = torch.bincount(labels).cpu().double()
            weights = 1 / counts[labels.cpu()]
            order = torch.multinomial(weights, self.images, replacement=True, generator=generator)
        else:
            # A resampled table of features is longer than the training set; an epoch is still as many batches.
            order = torch.randperm(len(labels), generator=generator)[: self.images]
        order = order.to(labels.device)
        return order if images is None else images[order]
