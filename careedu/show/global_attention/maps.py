"""The weight maps of one set of results, each the same for all images, and what they score beside the mean image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.experiment.attention import recorded_maps, trained_map
from careedu.experiment.results import Results
from careedu.experiment.run import Run
from careedu.measure.intervals import Interval
from careedu.measure.map_quality import interval_over_seeds, map_auroc, map_difference
from careedu.measure.statistics import Difference, Estimate, holm
from careedu.show.results_state import Memory, why_missing

ROLES = {
    "pixels": "Pixel classifier",
    "principal-components": "Principal components",
    "free": "Free mask",
    "permuted": "Permuted pixels",
}
"""Arms that learn a map: the option ``map`` of `careedu.GlobalAttention`, and what it is called here."""
MEAN, METRICS = "Mean image", ("balanced accuracy", "rare recall")
ORDERS = {"together": "with the network", "after": "after the network"}
FILLS = {"black": "black", "mean": "mean image"}
"""The options ``order`` and ``fill`` of `careedu.GlobalAttention`, and what they are called here."""
Point = tuple[int, float | None]
"""Number of training images that the map is learned from, and jitter of their alignment (None where not known)."""
Way = tuple[str, str]
"""How a map is learned: order and fill."""
STAGES = ("the network learns, all pixels open", "the map learns, the network rests", "both learn")
"""What goes on while a map learns after its network, in this order."""


@dataclass(frozen=True)
class SpatialMap:
    """One map for all images, and what it is worth.

    Parameters
    ----------
    role : str
        A value of `ROLES`, or `MEAN`.
    arm : str or None
        Name of the arm; None where it has none.
    map : ndarray or None
        float64 (H, W) in [0, 1], of one seed and epoch.
    about : str
        What the map is, or why there is none.
    auroc : float
        Of this map against the zones; NaN where there is no map or no zone.
    aurocs : dict of int to float
        By seed, of the trained maps.
    over_seeds : Interval or None
        Of the trained maps' AUROC, over seeds; infinitely wide for one seed.
    against_mean : Difference or None
        AUROC of the trained maps less that of the mean image or its negative, paired over seeds.
    metrics : dict of str to Estimate
        The arm's balanced accuracy and rare recall, over seeds and test groups.
    """

    role: str
    arm: str | None
    map: np.ndarray | None
    about: str
    auroc: float = np.nan
    aurocs: Mapping[int, float] = field(default_factory=dict)
    over_seeds: Interval | None = None
    against_mean: Difference | None = None
    metrics: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """A run's maps over all its epochs, whichever stage they belong to.

    Parameters
    ----------
    stages : dict of str to int
        What goes on → its epochs, in order; one without a name where network and map learn together.
    maps : ndarray
        float64 (E, H, W), those that were recorded, the last being that of the trained network.
    """

    stages: Mapping[str, int]
    maps: np.ndarray

    @property
    def last(self) -> int:
        """The last epoch."""
        return sum(self.stages.values())

    @property
    def first(self) -> int:
        """The first epoch of which the map is known, 1 if only open ones were not recorded; n + 1 if none is."""
        whole = len(self.maps) == self.last - self.stages.get(STAGES[0], 0)
        return 1 if whole else self.last - len(self.maps) + 1

    def when(self, epoch: int) -> str:
        """An epoch, or the nearest of which the map is known, in words, with what goes on in it."""
        epoch = self._nearest(epoch)
        ends = zip(np.cumsum(list(self.stages.values())), self.stages, strict=True)
        stage = next(stage for end, stage in ends if epoch <= end)
        return f"epoch {epoch} of {self.last}" + (f": {stage}" if stage else "")

    def at(self, epoch: int) -> np.ndarray:
        """The map after an epoch, or the nearest of which it is known, float64 (H, W)."""
        place = self._nearest(epoch) - self.last - 1  # from the end
        return self.maps[place] if place >= -len(self.maps) else np.ones(self.maps.shape[1:])

    def _nearest(self, epoch: int) -> int:
        return min(max(epoch, self.first), self.last)


class SpatialMaps(Memory):
    """The maps of one set of results. Everything is computed once, so that a move of a slider costs little.

    Parameters
    ----------
    results : Results
    zone : bool (H, W), optional
        Where lesions can lie; without it nothing is scored.

    Attributes
    ----------
    ways : dict of (str, str) to dict of str to str
        Order and fill → role → the first arm that learns the role's map so.
    missing : str
        Why there is no mean image; empty while nobody has asked, and where there is one.

    Raises
    ------
    InvalidInputError
        If no arm has a map.
    """

    def __init__(self, results: Results, zone: np.ndarray | None = None) -> None:
        self.results, self.zone, self.missing = results, zone, ""
        self.ways: dict[Way, dict[str, str]] = {}
        for (option, role), arm in product(ROLES.items(), results.methods):
            options = options_of(results, arm)
            if options.get("map") == option:
                # Results of an older careedu know neither option.
                way = options.get("order", "together"), options.get("fill", "black")
                self.ways.setdefault(way, {}).setdefault(role, arm)
        if not self.ways:
            raise InvalidInputError(
                f"{results!r} has no arm with a map; train careedu.GlobalAttention() and "
                'careedu.GlobalAttention(map="free") beside it'
            )
        self._means: dict[int, np.ndarray] = {}
        found = {option: arm_with(results, option) for option in ("mean-image", "negative-mean-image")}
        self._mean_arms = {option: arm for option, arm in found.items() if arm is not None}

    @property
    def point(self) -> Point:
        """Where in a sweep the results stand by themselves; jitter is None where no images are aligned phantoms."""
        from careedu.data.phantoms import DEFAULTS

        arm = next((arm for option in ROLES if (arm := arm_with(self.results, option))), None)
        run = self.results.first if arm is None else next(iter(self.results.runs[arm].values()))
        data = run.configuration["data"]
        images = run.configuration["method"]["options"].get("images") or sum(data["train counts"])
        recipe = data.get("recipe") or {}
        jitter = recipe.get("options", {}).get("jitter", DEFAULTS["jitter"])
        return int(images), None if anatomy(recipe) is None else float(jitter)

    def look(self, role: str, way: Way, seed: int, epoch: int) -> SpatialMap:
        """The map of a role: of one seed, after one epoch or the nearest that is known; its scores over seeds."""
        shown, scores = None, {}
        if role == MEAN:
            arm, shown = next(iter(self._mean_arms.values()), None), self.mean(seed)
            about = f"no mean image: {self.missing or 'the training images are being loaded'}"
            if shown is not None:
                about, scores = "mean of the training images, stretched to [0, 1]", self.mean_aurocs()
        else:
            arm = self.ways[way].get(role)
            if arm is None:
                option = next(option for option, known in ROLES.items() if known == role)
                wanted = f'map="{option}", order="{way[0]}", fill="{way[1]}"'
                return SpatialMap(role, None, None, f"no arm with {wanted} in these results")
            course, scores = self.course(arm, seed), self.aurocs(arm)
            about = f"these results hold no map of {arm}, seed {seed}"
            if len(course.maps):
                shown, about = course.at(epoch), f"map after {course.when(epoch)}"
        auroc = np.nan if shown is None else self._score(shown)
        over_seeds = interval_over_seeds(list(scores.values())) if scores else None
        metrics = {metric: self.results.estimate(arm, metric) for metric in METRICS} if arm else {}
        against_mean = self._against_mean(way).get(role)
        return SpatialMap(role, arm, shown, about, auroc, scores, over_seeds, against_mean, metrics)

    def aurocs(self, arm: str) -> dict[int, float]:
        """AUROC of an arm's trained map, by seed; nothing without a zone, or for a seed without a map."""
        runs = self.results.runs[arm].items()
        return self.once("aurocs", arm, of=lambda: self._scores({seed: trained_map(run) for seed, run in runs}))

    def mean(self, seed: int) -> np.ndarray | None:
        """A seed's mean training image stretched to [0, 1]: the map of an arm, or loaded; None as long as neither."""
        if seed not in self._means:
            for option, arm in self._mean_arms.items():
                if (found := trained_map(self.results.runs[arm][seed])) is not None:
                    self._means[seed] = found if option == "mean-image" else 1 - found
                    break
        return self._means.get(seed)

    def mean_aurocs(self) -> dict[int, float]:
        """AUROC of the mean image, by seed; its negative has one minus that."""
        means = {seed: self.mean(seed) for seed in self.results.seeds}
        return self.once("means", sum(one is not None for one in means.values()), of=lambda: self._scores(means))

    @property
    def negative(self) -> bool:
        """Whether it is the negative of the mean image that scores higher, so that it is what a map has to beat."""
        scores = list(self.mean_aurocs().values())
        return bool(scores) and float(np.mean(scores)) < 0.5

    @property
    def wants_images(self) -> bool:
        """Whether a mean image can only come from the images, and nobody has asked for them."""
        return not self.missing and any(self.mean(seed) is None for seed in self.results.seeds)

    def load_means(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Average the training images of each seed, as long as they are wanted.

        Where they are not on this machine, `missing` says why.
        """

        def load() -> None:
            for seed in [seed for seed in self.results.seeds if self.mean(seed) is None]:
                if not wanted():
                    return
                # Here, as this is the first that needs torch, and importing that takes a second.
                from careedu.nn.pixel_features import mean_image

                self._means[seed] = mean_image(self.results.data.redraw(seed).train.images).double().numpy()

        self.missing = why_missing(load)

    def course(self, arm: str, seed: int) -> Course:
        """An arm's maps over the epochs of one seed."""
        return self.once("course", arm, seed, of=lambda: self._course(arm, self.results.runs[arm][seed]))

    def _course(self, arm: str, run: Run) -> Course:
        maps, last = recorded_maps(run), trained_map(run)
        stages = {"": len(run.history)}
        if options_of(self.results, arm).get("order") == "after":
            network = int((run.history["stage"] == "network").sum())
            lengths = network, len(run.pretraining), len(run.history) - network
            stages = dict(zip(STAGES, lengths, strict=True))
        return Course(stages, maps if last is None else np.concatenate([maps[:-1], last[None]]))

    def _score(self, shown: np.ndarray) -> float:
        return np.nan if self.zone is None else map_auroc(shown, self.zone)

    def _scores(self, maps: Mapping[int, np.ndarray | None]) -> dict[int, float]:
        return {seed: self._score(one) for seed, one in maps.items() if one is not None and self.zone is not None}

    def _against_mean(self, way: Way) -> dict[str, Difference]:
        """Each arm's trained maps against the mean image or its negative, Holm-adjusted over the arms shown."""
        means = self.mean_aurocs()

        def compared() -> dict[str, Difference]:
            found = {}
            for role, arm in self.ways[way].items():
                own = self.aurocs(arm)
                both = [seed for seed in own if seed in means]
                if both:
                    rival = [1 - means[seed] if self.negative else means[seed] for seed in both]
                    found[role] = map_difference([own[seed] for seed in both], rival)
            adjusted = holm([one.p for one in found.values()])
            pairs = zip(found.items(), adjusted, strict=True)
            return {role: replace(one, adjusted_p=float(p)) for (role, one), p in pairs}

        return self.once("contests", way, len(means), of=compared)


def options_of(results: Results, arm: str) -> Mapping[str, Any]:
    """An arm's options where its method is `careedu.GlobalAttention`; else none."""
    method = next(iter(results.runs[arm].values())).configuration["method"]
    return method["options"] if method["name"] == "global-attention" else {}


def arm_with(results: Results, option: str) -> str | None:
    """The first arm of `careedu.GlobalAttention` with ``map=option``; None where there is none."""
    return next((arm for arm in results.methods if options_of(results, arm).get("map") == option), None)


def known_zone(results: Results) -> tuple[np.ndarray | None, str]:
    """Union of the zones where lesions can lie, bool (H, W), or None and the reason why it is not known."""
    from careedu.data.phantoms import lesion_zones

    data = results.first.configuration["data"]
    kind = anatomy(data.get("recipe") or {})
    if kind is None:
        return None, f"where lesions can lie is not known of {data['name']}, or it is everywhere"
    return lesion_zones(kind, data["image shape"][1]), ""


def anatomy(recipe: Mapping[str, Any]) -> str | None:
    """The kind of aligned phantom that a recipe makes; None where it makes none."""
    from careedu.data.phantoms import KINDS, lesion_zones

    kind = str(recipe.get("name", "")).removeprefix("phantom-")
    return kind if kind in KINDS and not lesion_zones(kind).all() else None
