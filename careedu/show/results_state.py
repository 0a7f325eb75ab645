"""States over saved results: their images are loaded when they are asked for, and a picture is chosen by its class."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from careedu.errors import InvalidInputError, MissingDataError, MissingPackageError
from careedu.show.widget import SIDES, BackgroundTask, WidgetState

if TYPE_CHECKING:
    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results
    from careedu.experiment.run import Run

RECORDED = "recorded each epoch"
"""Images of which a run has kept maps and probabilities after each epoch."""
ALL, ANY = "all classes", "any"
"""What stands for every class where one is asked for."""
T = TypeVar("T")


def of_class(wanted: str, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Which labels are of the class, bool (N,); all where it is `ALL` or `ANY`."""
    return np.ones(len(labels), dtype=bool) if wanted in (ALL, ANY) else labels == classes.index(wanted)


def why_missing(load: Callable[[], Any]) -> str:
    """Load images; where they are not on this machine, say why, and else nothing."""
    try:
        load()
    except (MissingDataError, MissingPackageError, InvalidInputError) as error:
        return f"the images cannot be shown: {error}"
    return ""


class Memory:
    """What keeps what it has computed, so that a move of a slider costs little."""

    @cached_property
    def _known(self) -> dict[Hashable, Any]:
        return {}

    def once(self, *key: Hashable, of: Callable[[], T]) -> T:
        """What `of` gives, computed once for each key."""
        if key not in self._known:
            self._known[key] = of()
        return self._known[key]


class ResultsState(Memory, WidgetState):
    """State over results, whose images may be missing. A subclass says how they are loaded, and what is computed once.

    Attributes
    ----------
    results : Results
    tests : LesionDataset or None
        The images, after `load_images`.
    missing : str
        Why there are no images; empty while nobody has asked, and where there are some.
    members : ndarray
        Rows of the pictures that can be chosen.
    """

    results: Results
    tests: LesionDataset | None = None
    missing: str = ""
    chooses: tuple[str, ...] = ()
    """Settings on which it depends which pictures there are."""
    place: str = "picture"
    """The setting that is the place among them, from 1."""

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; other pictures begin with their first."""
        if any(changes.get(name, self.settings.get(name)) != self.settings.get(name) for name in self.chooses):
            changes = {self.place: 1, **changes}
        super().set(**changes)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Clamped above, not refused: what else is chosen has other pictures."""
        return {self.place: (1, inf)}

    def pick(self, members: np.ndarray) -> int | None:
        """The row at the chosen place among those that can be chosen; None where there are none."""
        self.members = members
        place = self.settings[self.place] = int(min(self.settings[self.place], max(1, len(members))))
        return int(members[place - 1]) if len(members) else None

    def method(self, side: str) -> str:
        """Name of the method, or network, of side "A" or "B"."""
        return self.settings[side.lower()]

    @property
    def images(self) -> LesionDataset | None:
        """The images that the picture comes from; None where they are not here."""
        return self.tests

    @property
    def wants_images(self) -> bool:
        """Whether nobody has asked for images that would be shown."""
        return self.tests is None and not self.missing

    def load_images(self) -> None:
        """Load or draw the images; `missing` says why that cannot be."""
        raise NotImplementedError

    def start_loading(self, *arguments: Any) -> BackgroundTask:
        """Load the images beside the notebook; an error other than missing images is recorded in `errors`."""
        self.task = BackgroundTask(self, lambda _: self.load_images(*arguments))
        return self.task.start()


@dataclass(frozen=True)
class Seen:
    """What one side's network makes of the picture.

    Parameters
    ----------
    label : int
        True class of the picture.
    probabilities : ndarray
        float64 (C,), after `epoch`; NaN where nobody knows.
    map : ndarray or None
        float64 (h, w) in [0, 1]: evidence for the class that is mapped, scaled per image.
    about : str
        What the map is, or why there is none.
    epoch : int or None
        Map and probabilities are those after this supervised epoch, from 1; None: those of the trained network.
    maps, course : ndarray or None
        float64 (E, h, w) and (E, C), map and probabilities after each epoch.
    """

    label: int
    probabilities: np.ndarray
    map: np.ndarray | None
    about: str
    epoch: int | None = None
    maps: np.ndarray | None = None
    course: np.ndarray | None = None

    @property
    def probability(self) -> float:
        """Of the true class."""
        return float(self.probabilities[self.label])


class PairState(ResultsState):
    """Two methods, A and B, on one picture.

    Settings: ``a`` and ``b``, the methods; ``picture_of``, the name of a class or `ALL`, and ``picture``, the place
    among its pictures, from 1; ``epoch``, from 1: of the supervised stages, so that the sides stay aligned.

    Parameters
    ----------
    results : Results
    a, b : str, optional
        Where not given: the reference, and the first other method of which the weights were kept, if there is one.
    **settings
        More settings.

    Attributes
    ----------
    row : int or None
        The chosen picture; None where there is none.
    true_class, picture_id : str
        Of the picture; empty where there is none.
    seen : dict of str to Seen
        By side; empty where there is no picture.
    epochs : int
        Of the longer training.

    Raises
    ------
    UnknownNameError
        If a method is unknown.
    """

    per_epoch = True
    """Whether the maps after each epoch are shown, of images of which they were recorded."""
    chooses = ("picture_of",)

    def __init__(self, results: Results, a: str | None = None, b: str | None = None, **settings: Any) -> None:
        self.results = results
        first = results.reference if a is None else a
        b = self._other(first) if b is None else b
        super().__init__(a=first, b=b, picture_of=ALL, picture=1, epoch=1, **settings)
        self.check()
        self.settings["epoch"] = max(1, *(len(self.run(side).history) for side in SIDES))

    def _other(self, first: str) -> str:
        others = [name for name in self.results.methods if name != first]
        kept = [name for name in others if self.results.runs[name][self.results.seeds[0]].weights is not None]
        return next(iter([*kept, *others, first]))

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        methods = self.results.methods
        return {"a": methods, "b": methods, "picture_of": (ALL, *self.results.classes)}

    def limits(self) -> dict[str, tuple[float, float]]:
        """Clamped above, not refused: another pair of methods has other pictures and epochs."""
        return super().limits() | {"epoch": (1, inf)}

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings, labels, rows = self.settings, self.labels, self.rows()
        self.row = self.pick(rows[of_class(settings["picture_of"], labels[rows], self.results.classes)])
        self.epochs = max(1, *(len(self.run(side).history) for side in SIDES))
        settings["epoch"] = int(min(settings["epoch"], self.epochs))
        self.label = -1 if self.row is None else int(labels[self.row])
        self.true_class = "" if self.row is None else self.results.classes[self.label]
        self.picture_id = "" if self.row is None else str(self.ids[self.row])
        self.seen = {} if self.row is None else {side: self.see(side) for side in SIDES}

    def rows(self) -> np.ndarray:
        """Rows of the pictures that can be chosen, whatever their class."""
        raise NotImplementedError

    @property
    def seed(self) -> int:
        """The seed whose runs are looked at."""
        return self.settings.get("seed", self.results.seeds[0])

    def run(self, side: str) -> Run:
        """The run of one side that is looked at."""
        return self.results.runs[self.method(side)][self.seed]

    @property
    def labels(self) -> np.ndarray:
        """Their true classes, int64 (N,)."""
        return self.results.labels

    @property
    def ids(self) -> np.ndarray:
        """Their names, str (N,)."""
        return self.results.first.ids

    @property
    def mapped(self) -> int:
        """The class that is mapped: here the true one."""
        return self.label

    @property
    def recorded(self) -> np.ndarray:
        """Rows of the test images that were recorded of A or B after each epoch, with whichever seed."""
        runs = (run for side in SIDES for run in self.results.runs[self.method(side)].values())
        probed = [run.probes for run in runs if len(run.traces.get("probe maps", ()))]
        return np.unique(np.concatenate(probed)) if probed else np.zeros(0, dtype=np.int64)

    @property
    def recorded_seeds(self) -> list[int]:
        """Seeds of which images of A or B were recorded after each epoch."""
        runs = [self.results.runs[self.method(side)] for side in SIDES]
        return [seed for seed in self.results.seeds if any(len(of[seed].traces.get("probe maps", ())) for of in runs)]

    def see(self, side: str) -> Seen:
        """What a side's network makes of the picture: after the epoch where that was recorded, else at its end."""
        run, row = self.run(side), self.row
        maps, place = run.traces.get("probe maps", np.zeros(0)), np.flatnonzero(run.probes == row)
        if self.per_epoch and len(maps) and len(place):
            p, last = int(place[0]), len(run.history)
            epoch = min(self.settings["epoch"], last)
            # Where only the last epochs were kept, what came before is as the first of them.
            at = max(0, epoch - 1 - (last - len(maps)))
            course = run.traces["probe probabilities"][:, p].astype(np.float64)
            shown, about = maps[:, p].astype(np.float64) / 255, f"map after epoch {epoch} of {last}"
            return Seen(self.label, course[at], shown[at], about, epoch=epoch, maps=shown, course=course)
        known, nothing = self.images is self.tests, np.full(len(self.results.classes), np.nan)
        probabilities = run.probabilities[row] if known else nothing
        if run.weights is None or self.images is None:
            return Seen(self.label, probabilities, None, f"no map: {self._why_no_map(side)}")
        shown, own = self._answer(side)
        return Seen(self.label, probabilities if known else own, shown, "map of the trained network")

    def _why_no_map(self, side: str) -> str:
        method = self.method(side)
        if self.run(side).weights is not None:
            return self.missing or "the images are being loaded"
        kept = [seed for seed, run in self.results.runs[method].items() if len(run.traces.get("probe maps", ()))]
        other = f'maps only of images "{RECORDED}", seed {kept[0]}' if kept else "no maps either"
        return f"these results hold no weights of {method}, seed {self.seed}, and {other}"

    def _answer(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        """The trained network's map of the picture, float64 (H, W), and its probabilities, float64 (C,)."""

        def answer() -> tuple[np.ndarray, np.ndarray]:
            import torch

            from careedu.nn.maps import resize_map
            from careedu.training.isolation import plain_torch
            from careedu.training.prediction import maps_and_logits

            with plain_torch():
                # As `Run.class_maps` does, which would build the network anew at each move.
                network = self.once("network", method, self.seed, of=self.run(side).network)
                image = self.images.images[self.row : self.row + 1]
                maps, logits = maps_and_logits(network, image, torch.tensor([self.mapped]))
                found = resize_map(maps, tuple(image.shape[2:])), self.run(side).adjusted(logits).softmax(dim=1)
                return found[0][0].numpy().astype(np.float64), found[1][0].numpy()

        method, of_tests = self.method(side), self.images is self.tests
        return self.once("answer", method, self.seed, of_tests, self.row, self.mapped, of=answer)

    def load_images(self) -> None:
        """Load or draw the test images; where they are not on this machine, `missing` says why."""
        missing = why_missing(lambda: self.results.data)
        with self._lock:
            self.missing, self.tests = missing, None if missing else self.results.data.test
            self.update()
        self.notify()
