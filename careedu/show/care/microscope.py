"""The attention microscope: where two methods look in one picture, epoch by epoch, and on images they have never seen.

It shows the first seed's runs: their recorded maps through the training, and for any other image the map of the
trained network, where its weights were kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.measure.map_quality import inside_share, pointing_game
from careedu.show.care.doses import dose_series
from careedu.show.results_state import RECORDED, PairState, Seen

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results

TEST, NEW = "test images", "new images"
SOURCES = (RECORDED, TEST, NEW)
"""Where the picture comes from. "new images" are those that were given, if any."""
TRUE_CLASS = "true class"


@dataclass(frozen=True)
class Look(Seen):
    """Where one side's network looks in the picture; the map is on the image's pixels, float64 (H, W).

    Parameters
    ----------
    inside : float
        Share of the map's mass in the lesion, Σ inside F / Σ F; NaN without a map or a known lesion.
    pointing : float
        1 where the map's maximum lies in the lesion, 0 where not; between the two where several pixels share it.
    shares : ndarray or None
        float64 (E,), `inside` after each epoch, of recorded images.
    mark : float
        Share of the map's mass on the image's mark, which is no part of the disease; NaN where it has none.
    """

    inside: float = np.nan
    pointing: float = np.nan
    shares: np.ndarray | None = None
    mark: float = np.nan

    @property
    def outside(self) -> float:
        """Share of the map's mass beside the lesion."""
        return 1 - self.inside


class AttentionMicroscope(PairState):
    """State of the attention microscope. It opens on an image of the rarest class, where there is one.

    Settings: those of `PairState`; ``source`` of the picture, one of `sources`; ``map_of``, "true class" or the name of
    a class. Of recorded images only the map of the true class was kept. ``epoch`` counts for recorded images. Where
    there are `doses`, ``dose`` is that of B, and None where B is none of these arms; to set one sets the other.

    Parameters
    ----------
    results : Results
    a, b : str, optional
        As in `PairState`.
    images : LesionDataset, optional
        Images that no method has seen, of the classes and the size of the training images.

    Attributes
    ----------
    sources : tuple of str
    doses : tuple of float
        Of the arms that are CARE alike but for its dose α / (1 − α), in rising order; empty where fewer than two are.
    seen : dict of str to Look
        By side; empty where there is no such picture.
    chance : float
        Share of the image that the lesion covers, which is what a map that knows nothing has inside; NaN where the
        lesion is not known.
    mark_chance : float
        The same of the image's mark: 0 where it has none, 1 where the whole image is marked; NaN where no mark is known
        in any of the source's images.

    Raises
    ------
    InvalidInputError
        If a method is unknown, or `images` are not of the classes and size of the results'.
    """

    chooses = ("picture_of", "source")

    def __init__(
        self, results: Results, a: str | None = None, b: str | None = None, images: LesionDataset | None = None
    ) -> None:
        self.given, self.sources = images, SOURCES[:2]
        if images is not None:
            _check_images(images, results)
            self.sources = SOURCES
        data = results.first.configuration["data"]
        self.size, self.series = tuple(data["image shape"][1:]), dose_series(results)
        self.doses = tuple(self.series)
        super().__init__(results, a, b, source=RECORDED, map_of=TRUE_CLASS)
        if not len(self.recorded):
            self.settings["source"] = TEST
        if self.doses:
            self.settings["dose"] = self._dose_of(self.settings["b"])
        rarest = min(results.rare_indices, key=lambda c: data["train counts"][c])
        if (self.labels[self.rows()] == rarest).any():
            self.settings["picture_of"] = results.classes[rarest]
        self.update()

    def _dose_of(self, method: str) -> float | None:
        return next((dose for dose, name in self.series.items() if name == method), None)

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        found = super().choices() | {"source": self.sources, "map_of": (TRUE_CLASS, *self.results.classes)}
        if "dose" in self.settings:
            none = () if self.settings["b"] in self.series.values() else (None,)
            found["dose"] = (*none, *self.doses)
        return found

    def check(self) -> None:
        """Refuse settings that cannot be, by name."""
        super().check()
        if self.settings["source"] == RECORDED and self.settings["map_of"] != TRUE_CLASS:
            raise InvalidInputError(
                f"map_of={self.settings['map_of']!r}: of images {RECORDED!r} only the map of the true class was kept; "
                f"choose source={TEST!r} first"
            )
        b, dose = self.settings["b"], self.settings.get("dose")
        if dose is not None and self.series[dose] != b:
            raise InvalidInputError(f"dose={dose:g} is not that of b={b!r}; set one of the two, and the other follows")

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; another source begins with its first picture and the true class."""
        if changes.get("source", self.settings["source"]) != self.settings["source"]:
            changes = {"map_of": TRUE_CLASS, **changes}
        if changes.get("dose") in self.series:
            changes = {"b": self.series[changes["dose"]], **changes}
        elif "b" in changes and "dose" in self.settings:
            changes = {"dose": self._dose_of(changes["b"]), **changes}
        super().set(**changes)

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        super().update()
        region, mark = (None, None) if self.row is None else (self._region(), self._mark())
        self.chance = np.nan if region is None or not region.any() else float(region.mean())
        self.mark_chance = np.nan if mark is None else float(mark.mean())

    @property
    def per_epoch(self) -> bool:
        """Whether the maps after each epoch are shown."""
        return self.settings["source"] == RECORDED

    @property
    def images(self) -> LesionDataset | None:
        """The images that the picture comes from; None where they are not here."""
        return self.given if self.settings["source"] == NEW else self.tests

    @property
    def labels(self) -> np.ndarray:
        """Their true classes, int64 (N,)."""
        return self.given.labels.numpy() if self.settings["source"] == NEW else super().labels

    @property
    def ids(self) -> np.ndarray:
        """Their names, str (N,)."""
        return self.given.ids if self.settings["source"] == NEW else super().ids

    @property
    def mapped(self) -> int:
        """The class that is mapped."""
        name = self.settings["map_of"]
        return self.label if name == TRUE_CLASS else self.results.classes.index(name)

    def rows(self) -> np.ndarray:
        """Rows of the source's pictures."""
        return self.recorded if self.per_epoch else np.arange(len(self.labels))

    def see(self, side: str) -> Look:
        """Where a side's network looks, and how much of that lies in the lesion."""
        seen, region = super().see(side), self._region()
        whole = None if seen.map is None else self._resized(seen.map[None])
        if region is None or whole is None:
            return Look(**{**vars(seen), "map": None if whole is None else whole[0]})
        mark, shares = self._mark(), None
        if seen.maps is not None and region.any():
            shares = self.once("shares", self.method(side), self.row, of=lambda: self._shares(seen.maps, region))
        inside, pointing = (float(measure(whole, region[None])[0]) for measure in (inside_share, pointing_game))
        on_mark = np.nan if mark is None else float(inside_share(whole, mark[None])[0])
        return Look(**{**vars(seen), "map": whole[0]}, inside=inside, pointing=pointing, shares=shares, mark=on_mark)

    def _region(self) -> np.ndarray | None:
        """Where the picture's lesion lies, bool (H, W): its mask, or else its box; all false where neither is known."""
        images, row = self.images, self.row
        if images is None:
            return None

        def region() -> np.ndarray:
            import torch

            from careedu.methods.boxes import lesion_regions

            return lesion_regions(images, torch.tensor([row]))[0].numpy()

        return self.once("region", images is self.given, row, of=region)

    def _mark(self) -> np.ndarray | None:
        """Where the picture's mark lies, bool (H, W); None where no mark is known in any of the source's images."""
        images = self.images
        if images is None or images.marks is None:
            return None
        known = self.once("marks", images is self.given, of=lambda: bool(images.marks.any()))
        return images.marks[self.row].numpy() if known else None

    def _shares(self, maps: np.ndarray, region: np.ndarray) -> np.ndarray:
        return inside_share(self._resized(maps), np.repeat(region[None], len(maps), axis=0))

    def _resized(self, maps: np.ndarray) -> np.ndarray:
        """Maps (E, h, w) on the image's pixels, float64 (E, H, W)."""
        import torch

        from careedu.nn.maps import resize_map

        return resize_map(torch.from_numpy(maps).float(), self.size).numpy().astype(np.float64)


def _check_images(images: LesionDataset, results: Results) -> None:
    shape = tuple(results.first.configuration["data"]["image shape"])
    if images.classes != results.classes:
        given, known = (", ".join(of.classes) for of in (images, results))
        raise InvalidInputError(f"images have the classes {given}, these results {known}")
    if not len(images) or tuple(images.images.shape[1:]) != shape:
        wanted, given = f"(N, {', '.join(map(str, shape))})", tuple(images.images.shape)
        raise InvalidInputError(f"images must be {wanted} with N > 0, as in training, not {given}")
