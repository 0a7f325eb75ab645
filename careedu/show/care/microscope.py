"""The attention microscope: where two methods look in one picture, epoch by epoch, and on images they have never seen.

It shows the first seed's runs: their recorded maps through the training, and for any other image the map of the
trained network, where its weights were kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError, MissingDataError, MissingPackageError, unknown_name
from careedu.show.widget import SIDES, BackgroundTask, WidgetState

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run
    from careedu.show.compare import Comparison

RECORDED, TEST, NEW = SOURCES = ("recorded each epoch", "test images", "new images")
"""Where the picture comes from. "new images" are those that were given, if any."""
TRUE_CLASS = "true class"


@dataclass(frozen=True)
class Look:
    """Where one side's network looks in the picture.

    Parameters
    ----------
    map : ndarray or None
        float64 (H, W) in [0, 1]: evidence for the class that is mapped, scaled per image.
    about : str
        What the map is, or why there is none.
    inside : float
        Share of the map's mass in the lesion, Σ inside F / Σ F; NaN without a map or a known lesion.
    pointing : float
        1 where the map's maximum lies in the lesion, 0 where not; between the two where several pixels share it.
    probability : float
        Of the true class; NaN where nobody knows.
    epoch : int or None
        The map is that after this epoch, from 1; None where it is of the trained network.
    course : ndarray or None
        float64 (E,), `inside` after each epoch, of recorded images.
    """

    map: np.ndarray | None
    about: str
    inside: float = np.nan
    pointing: float = np.nan
    probability: float = np.nan
    epoch: int | None = None
    course: np.ndarray | None = None

    @property
    def outside(self) -> float:
        """Share of the map's mass beside the lesion."""
        return 1 - self.inside


class AttentionMicroscope(WidgetState):
    """State of the attention microscope.

    Settings: ``a`` and ``b``, the methods; ``source`` of the picture, one of `sources`; ``picture``, its place there,
    from 0; ``epoch``, from 1, which counts for recorded images; ``map_of``, "true class" or the name of a class. Of
    recorded images only the map of the true class was kept.

    Parameters
    ----------
    comparison : Comparison
    a, b : str, optional
        Where not given: the reference, and the first other method of which the weights were kept, if there is one.
    images : LesionDataset, optional
        Images that no method has seen, of the classes and the size of the training images.

    Attributes
    ----------
    sources : tuple of str
    members : ndarray
        Rows of the source's images that can be chosen.
    row : int
        The chosen one.
    looks : dict of str to Look
        By side.
    chance : float
        Share of the image that the lesion covers, which is what a map that knows nothing has inside; NaN where the
        lesion is not known.
    label : int
        True class of the picture.
    picture_id : str
    epochs : int
        Of the longer training.
    tests : LesionDataset or None
        The test images, after `load_images`.
    missing : str
        Why there are no test images; empty while nobody has asked, and where there are some.

    Raises
    ------
    InvalidInputError
        If a method is unknown, or `images` are not of the classes and size of the comparison's.
    """

    def __init__(
        self, comparison: Comparison, a: str | None = None, b: str | None = None, images: LesionDataset | None = None
    ) -> None:
        self.comparison, self.given = comparison, images
        self.sources = SOURCES if images is not None else SOURCES[:2]
        self._check_given()
        first = comparison.reference if a is None else a
        super().__init__(
            a=first,
            b=self._other(first) if b is None else b,
            source=RECORDED,
            picture=0,
            epoch=1,
            map_of=TRUE_CLASS,
        )
        self.sources = SOURCES if images is not None else SOURCES[:2]
        self.tests: LesionDataset | None = None
        self.missing = ""
        self.task: BackgroundTask | None = None
        # Made once each, so that a move of a slider costs little.
        self._networks: dict[str, Any] = {}
        self._answers: dict[tuple[str, str, int, int], tuple[np.ndarray, float]] = {}
        self._regions: dict[tuple[str, int], np.ndarray] = {}
        self._courses: dict[tuple[str, int], np.ndarray] = {}
        self.check(self.settings)
        if not len(self._members(self.settings)):
            self.settings["source"] = TEST
        self.settings["epoch"] = self._epochs(self.settings)
        self.update()

    def _check_given(self) -> None:
        if self.given is None:
            return
        shape = tuple(self.comparison.first.configuration["data"]["image shape"])
        if self.given.classes != self.comparison.classes:
            raise InvalidInputError(
                f"images have the classes {', '.join(self.given.classes)}, "
                f"these results {', '.join(self.comparison.classes)}"
            )
        if not len(self.given) or tuple(self.given.images.shape[1:]) != shape:
            raise InvalidInputError(
                f"images must be (N, {', '.join(map(str, shape))}) with N > 0, as in training, "
                f"not {tuple(self.given.images.shape)}"
            )

    def _other(self, first: str) -> str:
        others = [name for name in self.comparison.methods if name != first]
        kept = [name for name in others if self.run_of(name).weights is not None]
        return next(iter([*kept, *others, first]))

    def run_of(self, method: str) -> Run:
        """The run of a method that is looked at: that of the first seed."""
        return self.comparison.runs[method][self.comparison.seeds[0]]

    def method(self, side: str) -> str:
        """Name of the method of side "A" or "B"."""
        return self.settings[side.lower()]

    def check(self, settings: dict[str, Any]) -> None:
        """Refuse values that cannot be, by name."""
        results = self.comparison
        known = {
            "a": results.methods,
            "b": results.methods,
            "source": self.sources,
            "map_of": (TRUE_CLASS, *results.classes),
        }
        for name, values in known.items():
            if settings[name] not in values:
                raise unknown_name(name, settings[name], values)
        for name, low in (("picture", 0), ("epoch", 1)):
            if not settings[name] >= low:
                raise InvalidInputError(f"{name}={settings[name]!r} must be at least {low}")
        if settings["source"] == RECORDED and settings["map_of"] != TRUE_CLASS:
            raise InvalidInputError(
                f"map_of={settings['map_of']!r}: of images {RECORDED!r} only the map of the true class was kept; "
                f"choose source={TEST!r} first"
            )

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; another source begins with its first picture and the true class."""
        if changes.get("source", self.settings["source"]) != self.settings["source"]:
            changes = {"picture": 0, "map_of": TRUE_CLASS, **changes}
        super().set(**changes)

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings = self.settings
        self.members, self.epochs = self._members(settings), self._epochs(settings)
        # Clamped, not refused: another pair of methods has another number of recorded images and epochs.
        settings["picture"] = int(min(settings["picture"], max(0, len(self.members) - 1)))
        settings["epoch"] = int(min(settings["epoch"], self.epochs))
        self.row = int(self.members[settings["picture"]]) if len(self.members) else 0
        new = settings["source"] == NEW
        self.label = int(self.given.labels[self.row] if new else self.comparison.labels[self.row])
        self.picture_id = str(self.given.ids[self.row] if new else self.comparison.first.ids[self.row])
        region = self._region()
        self.chance = np.nan if region is None or not region.any() else float(region.mean())
        self.looks = {side: self._look(self.method(side), region) for side in SIDES}

    @property
    def dataset(self) -> LesionDataset | None:
        """The images that the picture comes from; None where they are not here."""
        return self.given if self.settings["source"] == NEW else self.tests

    @property
    def mapped(self) -> int:
        """The class that is mapped."""
        name = self.settings["map_of"]
        return self.label if name == TRUE_CLASS else self.comparison.classes.index(name)

    def _members(self, settings: dict[str, Any]) -> np.ndarray:
        if settings["source"] == NEW:
            return np.arange(len(self.given))
        if settings["source"] == TEST:
            return np.arange(len(self.comparison.labels))
        runs = [self.run_of(settings[side.lower()]) for side in SIDES]
        recorded = [run.probes for run in runs if len(run.traces.get("probe maps", ()))]
        return np.unique(np.concatenate(recorded)) if recorded else np.zeros(0, dtype=np.int64)

    def _epochs(self, settings: dict[str, Any]) -> int:
        runs = (self.run_of(settings[side.lower()]) for side in SIDES)
        return max(1, *(len(run.traces.get("probe maps", ())) for run in runs))

    def _region(self) -> np.ndarray | None:
        """Where the picture's lesion lies, bool (H, W): its mask, or else its box; all false where neither is known."""
        dataset, key = self.dataset, (self.settings["source"], self.row)
        if dataset is None:
            return None
        if key not in self._regions:
            import torch

            from careedu.methods.boxes import lesion_regions

            self._regions[key] = lesion_regions(dataset, torch.tensor([self.row]))[0].numpy()
        return self._regions[key]

    def _look(self, method: str, region: np.ndarray | None) -> Look:
        run, row = self.run_of(method), self.row
        if self.settings["source"] == RECORDED:
            return self._recorded(method, region)
        known = self.settings["source"] == TEST
        probability = float(run.probabilities[row, self.label]) if known else np.nan
        if run.weights is None:
            had = len(run.traces.get("probe maps", ()))
            other = f", which has maps of the images {RECORDED!r} alone" if had else ", and no maps either"
            return Look(None, f"no map: these results hold no weights of {method}{other}", probability=probability)
        if self.dataset is None:
            reason = self.missing or "the images are being loaded"
            return Look(None, f"no map: {reason}", probability=probability)
        shown, own = self._answer(method)
        inside, pointing = _measured(shown, region)
        return Look(shown, "map of the trained network", inside, pointing, probability if known else own)

    def _recorded(self, method: str, region: np.ndarray | None) -> Look:
        run, row = self.run_of(method), self.row
        maps = run.traces.get("probe maps", np.zeros(0))
        place = np.flatnonzero(run.probes == row)
        if not len(maps) or not len(place):
            only = "neither maps nor weights" if run.weights is None else "no maps of this image"
            probability = float(run.probabilities[row, self.label])
            return Look(None, f"no map: these results hold {only} of {method}", probability=probability)
        p, epoch = int(place[0]), min(self.settings["epoch"], len(maps))
        whole = self._resized(maps[:, p])
        inside, pointing = _measured(whole[epoch - 1], region)
        course = None
        if region is not None and region.any():
            from careedu.measure.map_quality import inside_share

            if (method, row) not in self._courses:
                self._courses[method, row] = inside_share(whole, np.repeat(region[None], len(whole), axis=0))
            course = self._courses[method, row]
        probability = float(run.traces["probe probabilities"][epoch - 1, p, self.label])
        about = f"map after epoch {epoch} of {len(maps)}"
        return Look(whole[epoch - 1], about, inside, pointing, probability, epoch, course)

    def _resized(self, maps: np.ndarray) -> np.ndarray:
        """Maps as they were recorded, uint8 (E, h, w), on the image's pixels, float64 (E, H, W) in [0, 1]."""
        import torch

        from careedu.nn.maps import resize_map

        shape = tuple(self.comparison.first.configuration["data"]["image shape"][1:])
        return resize_map(torch.from_numpy(maps).float() / 255, shape).numpy().astype(np.float64)

    def _answer(self, method: str) -> tuple[np.ndarray, float]:
        """The trained network's map of the picture, float64 (H, W), and its probability of the true class."""
        key = method, self.settings["source"], self.row, self.mapped
        if key not in self._answers:
            import torch

            from careedu.nn.maps import resize_map
            from careedu.training.prediction import class_maps, predict_logits

            # As Run.class_maps does, which would build the network anew at each move.
            if method not in self._networks:
                self._networks[method] = self.run_of(method).network()
            network, image = self._networks[method], self.dataset.images[self.row : self.row + 1]
            maps = resize_map(class_maps(network, image, torch.tensor([self.mapped])), tuple(image.shape[2:]))
            probability = predict_logits(network, image).softmax(dim=1)[0, self.label]
            self._answers[key] = maps[0].numpy().astype(np.float64), float(probability)
        return self._answers[key]

    def load_images(self) -> None:
        """Load or draw the test images; where they are not on this machine, `missing` says why."""
        try:
            images = self.comparison.data.test
        except (MissingDataError, MissingPackageError, InvalidInputError) as error:
            with self._lock:
                self.missing = f"the test images cannot be shown: {error}"
                self.update()
        else:
            with self._lock:
                self.tests, self.missing = images, ""
                self.update()
        self.notify()

    def start_loading(self) -> BackgroundTask:
        """Load the test images beside the notebook; an error other than missing images is recorded in `errors`."""
        self.task = BackgroundTask(self, lambda _: self.load_images())
        return self.task.start()


def _measured(shown: np.ndarray, region: np.ndarray | None) -> tuple[float, float]:
    """Share of the map's mass inside the lesion, and the pointing game; NaN where the lesion is not known."""
    from careedu.measure.map_quality import inside_share, pointing_game

    if region is None:
        return np.nan, np.nan
    return float(inside_share(shown[None], region[None])[0]), float(pointing_game(shown[None], region[None])[0])
