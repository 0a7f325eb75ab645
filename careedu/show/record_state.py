"""States over saved records of what networks make of images, which are loaded when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from careedu.errors import InvalidInputError
from careedu.show.results_state import ResultsState, why_missing

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset


class RecordState(ResultsState):
    """State over what networks made of some images, A beside B, computed once and saved without these images.

    Parameters
    ----------
    record : Embeddings, DistractorRecord or GeneratedFeatures
        With the names of its networks, and labels, ids, classes and data of its images.
    images : LesionDataset, optional
        That hold those of the record; loaded by their recipe where not given.
    made_by : str
        Function of `careedu.show` that makes such records.
    **settings
        Beside ``a`` and ``b``, networks.

    Attributes
    ----------
    images : LesionDataset or None
        The record's images in their order, after `load_images`.

    Raises
    ------
    InvalidInputError
        If `images` lack one of the record's, or have other classes.
    """

    part: ClassVar[str] = "test"
    """Of the splits: where the record's images are from."""

    def __init__(self, record: Any, images: LesionDataset | None, made_by: str, **settings: Any) -> None:
        self._recorded, self._made_by = record, made_by
        self.labels, self.ids, self.classes = record.labels, record.ids, record.classes
        super().__init__(a=record.names[0], b=record.names[:2][-1], **settings)
        self.tests = None if images is None else self._own(images)

    def _own(self, images: LesionDataset) -> LesionDataset:
        place, given = {name: row for row, name in enumerate(images.ids.tolist())}, f"careedu.show.{self._made_by}"
        if lacking := [name for name in self.ids.tolist() if name not in place]:
            raise InvalidInputError(
                f"the images lack {len(lacking)} of the {len(self.ids)} that were recorded, such as {lacking[0]!r}: "
                f"give those that {given} was given"
            )
        own = images[[place[name] for name in self.ids.tolist()]]
        # Their names alone do not tell: phantoms of any recipe have the same.
        if own.classes != self.classes or own.labels.tolist() != self.labels.tolist():
            raise InvalidInputError(f"the images are of other classes than those recorded: give those of {given}")
        return own

    def load_images(self) -> None:
        """Load or draw the images; where they are not on this machine, `missing` says why."""
        from careedu.experiment.configuration import splits_of

        def load() -> None:
            splits = splits_of(self._recorded.data, instead=f"{type(self).__name__}(images=...)")
            self.tests = self._own(getattr(splits, self.part))

        self.missing = why_missing(load)
        self.notify()
