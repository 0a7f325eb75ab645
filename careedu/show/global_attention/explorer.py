"""The spatial explorer: one weight map for all images, beside its controls and beside the mean image.

A map that scores high against the zones where lesions lie has proved nothing until it beats the mean image, which does
so without learning: the explorer says which of the two it is, and never more than the interval allows.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from math import inf
from numbers import Integral, Real
from time import monotonic, sleep
from typing import Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.show.global_attention.maps import FILLS, MEAN, ORDERS, ROLES, SpatialMap, SpatialMaps, Way, known_zone
from careedu.show.results_state import ResultsState

BEST = ("after", "mean")
"""Order and fill that the widget opens on."""


class SpatialExplorer(ResultsState):
    """State of the spatial explorer.

    Settings: ``epoch``, from 1, through all stages of the longest training; ``seed``; ``images`` and ``jitter``, which
    choose among the results and the sweeps; ``order`` and ``fill``, which choose among the arms there. Of either pair,
    where there is nothing at both, the other of the two moves to the nearest at which there is. It opens on maps that
    are learned after the network with the mean image behind them, where there are such.

    Parameters
    ----------
    results : Results
        With arms of `careedu.GlobalAttention`: of each ``map`` in `ROLES` the first arm with the chosen order and fill
        is shown, and where there is one with ``map="mean-image"`` (or its negative), however learned, no image is
        needed.
    sweeps : mapping of (int, float) to Results, optional
        Number of training images and alignment jitter → the same arms there. The results themselves are one more, and
        take the place of a sweep at their own point.
    zone : bool (H, W), optional
        Where lesions can lie. Of phantoms with an anatomy it is known.

    Attributes
    ----------
    points : dict of (int, float or None) to SpatialMaps
    image_counts, jitters : tuple
        The numbers of training images that there are, and the jitters.
    maps : dict of str to SpatialMap
        By role: the four of `ROLES`, then `MEAN`.
    zone : ndarray or None
        bool (H, W): union of the zones.
    no_zone : str
        Why there is none.
    epochs, lowest : int
        Last epoch of the longest training, and the first of which there is a map.
    when : str
        The epoch in words, with what goes on in it.

    Raises
    ------
    InvalidInputError
        If no arm has a map, a sweep's key or size does not fit, or the zone is not bool of the images' size.
    """

    def __init__(
        self,
        results: Results,
        sweeps: Mapping[tuple[int, float], Results] | None = None,
        *,
        zone: np.ndarray | None = None,
    ) -> None:
        self.size = _size(results)
        self.zone, self.no_zone = known_zone(results) if zone is None else (_checked_zone(zone, self.size), "")
        maps = SpatialMaps(results, self.zone)
        self.points: dict[tuple[int, float | None], SpatialMaps] = {maps.point: maps}
        for key, other in (sweeps or {}).items():
            if _size(other) != self.size:
                raise InvalidInputError(f"the sweep at {key} has images of {_size(other)} pixels, not {self.size}")
            self.points.setdefault(_checked_point(key), SpatialMaps(other, self.zone))
        self.image_counts = tuple(sorted({images for images, _ in self.points}))
        jitters = {jitter for _, jitter in self.points}
        self.jitters = tuple(sorted(jitters, key=lambda value: (value is None, value or 0)))
        self._moved = -inf
        (images, jitter), (order, fill) = maps.point, BEST if BEST in maps.ways else next(iter(maps.ways))
        super().__init__(epoch=inf, seed=results.seeds[0], images=images, jitter=jitter, order=order, fill=fill)
        self.update()

    @property
    def here(self) -> SpatialMaps:
        """The maps at the chosen point."""
        return self.points[self.settings["images"], self.settings["jitter"]]

    @property
    def way(self) -> Way:
        """The chosen order and fill."""
        return self.settings["order"], self.settings["fill"]

    @property
    def results(self) -> Results:
        """The results at the chosen point."""
        return self.here.results

    @property
    def wants_images(self) -> bool:
        """Whether a mean image at the chosen point can only come from the images, and nobody has asked for them."""
        return self.here.wants_images

    @property
    def missing(self) -> str:
        """Why there is no mean image at the chosen point; empty while nobody has asked, and where there is one."""
        return self.here.missing

    def choices(self) -> dict[str, Any]:
        """What a setting can be that is one of several."""
        orders, fills = (set(values) for values in zip(*self.here.ways, strict=True))
        return {
            "order": tuple(order for order in ORDERS if order in orders),
            "fill": tuple(fill for fill in FILLS if fill in fills),
            "images": self.image_counts,
            "jitter": self.jitters,
            "seed": self.results.seeds,
        }

    def limits(self) -> dict[str, tuple[float, float]]:
        """Clamped above, not refused: another seed or point has another number of recorded epochs."""
        return {"epoch": (1, inf)}

    def check(self) -> None:
        """Refuse settings that cannot be, by name."""
        self._require(("images", "jitter"), self.points)
        super().check()
        self._require(("order", "fill"), self.here.ways)

    def _require(self, names: tuple[str, str], there: Iterable[tuple[Any, Any]]) -> None:
        def told(pair: tuple[Any, Any]) -> str:
            return ", ".join(f"{name}={value!r}" for name, value in zip(names, pair, strict=True))

        wanted = self.settings[names[0]], self.settings[names[1]]
        if wanted not in there:
            raise InvalidInputError(f"no results at {told(wanted)}; there are {'; '.join(map(told, there))}")

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows.

        Where another point lacks the seed, it begins with its first; what stands at the last epoch stays at the last.
        """
        changes = self._nearest(("images", "jitter"), self.points, changes) | changes
        point = changes.get("images"), changes.get("jitter")
        if point in self.points:
            changes = self._nearest(("order", "fill"), self.points[point].ways, changes) | changes
            seeds = self.points[point].results.seeds
            changes.setdefault("seed", self.settings["seed"] if self.settings["seed"] in seeds else seeds[0])
        if self.settings["epoch"] == self.epochs:
            changes.setdefault("epoch", inf)
        self._moved = monotonic()
        super().set(**changes)

    def _nearest(
        self, names: tuple[str, str], there: Iterable[tuple[Any, Any]], changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What two settings become: each as it is where there are results, else the nearest at which there are."""
        wanted = [changes.get(name, self.settings[name]) for name in names]

        def distances(pair: tuple[Any, Any]) -> list[tuple[bool, float]]:
            # One word is as near as another; None, a jitter that nobody knows, is the nearest only to itself.
            both = zip(pair, wanted, strict=True)
            return [(v != w, 0 if isinstance(v, str) else abs((v or 0) - (w or 0))) for v, w in both]

        left = [p for p in there if all(changes.get(name, v) == v for name, v in zip(names, p, strict=True))]
        return dict(zip(names, min(left, key=distances), strict=True)) if left else {}

    def update(self) -> None:
        """Compute everything that is shown from the settings."""
        settings, arms = self.settings, self.here.ways[self.way].values()
        courses = [self.here.course(arm, settings["seed"]) for arm in arms]
        self.epochs = max(course.last for course in courses)
        self.lowest = min(self.epochs, *(course.first for course in courses))
        settings["epoch"] = int(min(max(settings["epoch"], self.lowest), self.epochs))
        # Arms whose trainings differ are not all at the same.
        self.when = "; ".join(dict.fromkeys(course.when(settings["epoch"]) for course in courses))
        self.maps: dict[str, SpatialMap] = {
            role: self.here.look(role, self.way, settings["seed"], settings["epoch"])
            for role in (*ROLES.values(), MEAN)
        }

    def load_images(self, rest: float = 0.0) -> None:
        """Average the training images of each seed of the chosen point; `here.missing` says why that cannot be.

        Parameters
        ----------
        rest : float
            Seconds for which nothing may have been moved before a seed's images are drawn.
        """

        def wanted(here: SpatialMaps) -> bool:
            while (left := self._moved + rest - monotonic()) > 0:
                sleep(left)
            return self.here is here

        # Another point may be chosen in the meantime: then its images come first.
        while (here := self.here).wants_images:
            here.load_means(partial(wanted, here))
            with self._lock:
                self.update()
        self.notify()


def _size(results: Results) -> tuple[int, int]:
    return tuple(results.first.configuration["data"]["image shape"][1:])


def _checked_zone(zone: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    zone = np.asarray(zone)
    if zone.dtype != bool or zone.shape != size or zone.all() or not zone.any():
        raise InvalidInputError(
            f"zone must be bool {size}, neither everywhere nor nowhere, not {zone.dtype} {zone.shape} with "
            f"{int(np.count_nonzero(zone))} pixels"
        )
    return zone


def _checked_point(key: Any) -> tuple[int, float]:
    pair = isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], Integral) and isinstance(key[1], Real)
    if not pair or key[0] < 1 or not 0 <= key[1] < np.inf:
        raise InvalidInputError(
            f"a key of `sweeps` is (number of training images, jitter), such as (200, 0.1), not {key!r}"
        )
    return int(key[0]), float(key[1])
