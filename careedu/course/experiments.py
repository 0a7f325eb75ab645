"""The experiments whose saved runs the notebooks open: data, methods, seeds and settings, written down once.

Main tables have ten seeds and at most six trained arms (notebook 01: nine) on one phantom and one real set; a few more
of that size stand beside them where their findings asked for it. Sweeps have three seeds and are marked exploratory.
Nothing here was tuned on a test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from careedu.errors import unknown_name

if TYPE_CHECKING:
    from careedu.data.dataset import Splits
    from careedu.methods.method import Method


@dataclass(frozen=True)
class Experiment:
    """Methods × seeds on one data set.

    Parameters
    ----------
    name : str
        Of the folder in ``data/runs``; it begins with the notebook's number.
    data : mapping
        Arguments of `careedu.load`.
    arms : mapping of str to mapping
        Name in tables: a method's name under ``"method"``, and its options.
    fit : mapping
        Arguments of `careedu.fit`.
    seeds : int or tuple of int
        How many, or which.
    reference : str
        The arm that the others are compared with.
    weights : tuple of str
        Arms of which the weights of one seed are kept, so that class maps of unseen images work.
    maps : bool
        Whether it is measured, for every seed, how much of each test image's map lies in the lesion.
    courses : bool
        Whether what was recorded after each epoch is kept, for a widget's slider; never of exploratory ones.
    exploratory : bool
        Whether it looks around and proves nothing.
    """

    name: str
    data: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    fit: Mapping[str, Any]
    seeds: int | tuple[int, ...] = 10
    reference: str = "cross-entropy"
    weights: tuple[str, ...] = ()
    maps: bool = False
    courses: bool = True
    exploratory: bool = False

    @property
    def notebook(self) -> str:
        """Number of the notebook that opens it."""
        return self.name[:2]

    def load(self) -> Splits:
        """The images."""
        from careedu.data.load import load

        options = dict(self.data)
        return load(options.pop("name"), **options)

    def methods(self) -> dict[str, Method]:
        """The methods by their names in tables."""
        from careedu.methods.building import build_method

        built = {}
        for name, options in self.arms.items():
            options = dict(options)
            built[name] = build_method(options.pop("method"), **options)
        return built


SKIN = {"name": "phantom-skin", "imbalance": 10}
# Below about 96 pixels many tumours vanish; more cost time that ten seeds do not leave.
BRAIN = {"name": "brain-tumor", "plane": "axial", "size": 96, "counts": {"meningioma": 30}}
ON_SKIN, ON_BRAIN = {"epochs": 16}, {"epochs": 18}

TUNING_SEEDS = (100, 101, 102)
_exploratory = partial(Experiment, seeds=TUNING_SEEDS, exploratory=True)

_IMBALANCE = {
    "cross-entropy": {"method": "cross-entropy"},
    "inverse-frequency weights": {"method": "class-balanced", "weighting": "inverse"},
    "effective-number weights": {"method": "class-balanced"},
    "focal": {"method": "focal"},
    "LDAM-DRW": {"method": "ldam"},
    "logit adjustment": {"method": "logit-adjusted"},
    "balanced sampling": {"method": "balanced-sampling"},
    "classifier retraining": {"method": "classifier-retraining"},
    "weights misplaced": {"method": "misplaced-weights"},
    # No network: these cost next to nothing, and keep the others honest.
    "nearest neighbour": {"method": "nearest-neighbour"},
    "lesion size alone": {"method": "lesion-size"},
}
_SHOWN = ("cross-entropy", "inverse-frequency weights", "logit adjustment", "balanced sampling")
_ARMS = {
    **_IMBALANCE,
    "CARE": {"method": "care"},
    "CARE without attention": {"method": "care", "alpha": 0.0},
    "CARE, random boxes": {"method": "care", "boxes": "random"},
    "CARE, saliency boxes": {"method": "care", "boxes": "saliency"},
    "CARE, alpha .1": {"method": "care", "alpha": 0.1},
    "CARE, alpha .1, random boxes": {"method": "care", "alpha": 0.1, "boxes": "random"},
    "lesion transplant": {"method": "lesion-transplant"},
    "global attention": {"method": "global-attention"},
    "free mask": {"method": "global-attention", "map": "free"},
    "permuted pixels": {"method": "global-attention", "map": "permuted"},
    # The higher one of the mean image and its negative, against the zones of the phantom.
    "negative mean image": {"method": "global-attention", "map": "negative-mean-image"},
    "mean image": {"method": "global-attention", "map": "mean-image"},
    "local attention": {"method": "local-attention"},
}


def _arms(*names: str) -> dict[str, Mapping[str, Any]]:
    return {name: _ARMS[name] for name in names}


# CARE, its control without attention, and its control with boxes anywhere.
_CARE_AND_CONTROLS = _arms("logit adjustment", "CARE", "CARE without attention", "CARE, random boxes")
# Where might attention help? Six kinds of skin phantoms, looked through on the validation images of three tuning seeds.
_REGIMES = {
    "default": {},
    "few": {"imbalance": 30},
    "few-of-all": {"largest": 120, "imbalance": 12},
    "distracted": {"distractors": 3.0},
    "small": {"lesion_size": 0.6},
    "few-small-distracted": {"imbalance": 30, "lesion_size": 0.6, "distractors": 3.0},
}
_MAPPED = ("logit adjustment", "CARE", "CARE, random boxes", "CARE, saliency boxes")
_ATTENTION = _arms(*_MAPPED, "balanced sampling", "lesion transplant")
_attention = partial(Experiment, arms=_ATTENTION, reference="logit adjustment", maps=True)
_light = partial(
    Experiment,
    arms=_arms("logit adjustment", "CARE, alpha .1", "CARE, alpha .1, random boxes"),
    reference="logit adjustment",
    maps=True,
)
# Settings of CARE about its defaults (alpha .5, boxes as they are, all rare images boxed, second half of the epochs).
_SWEEP = {
    "CARE": {},
    "without attention": {"alpha": 0.0},
    "alpha .1": {"alpha": 0.1},
    "alpha .25": {"alpha": 0.25},
    "boxes × .7": {"box_scale": 0.7},
    "boxes × 1.3": {"box_scale": 1.3},
    "one box in four": {"box_share": 0.25},
    "boxes shifted": {"boxes": "shifted"},
    "boxes of all classes": {"classes": "all"},
    "boxes by segmentation": {"boxes": "segmentation"},
}

# Lesions a little larger than the default, so that plain cross-entropy learns something in these epochs.
CHEST = {"name": "phantom-chest", "imbalance": 10, "lesion_size": 1.15}
ON_CHEST = {"epochs": 24}
_MAPS = ("global attention", "free mask", "permuted pixels")
_SPATIAL = _arms("cross-entropy", *_MAPS, "negative mean image", "local attention")
# Beside the negative the mean image itself, which darkens what the other leaves bright.
_FIXED = _arms("cross-entropy", *_MAPS, "negative mean image", "mean image")
JITTERS = (0.0, 0.05, 0.1, 0.2)
IMAGES = (16, 64, 256)
NETWORKS = ("googlenet", "vgg16", "resnet18", "densenet121")

_ALL = (
    Experiment("01-phantom-skin", SKIN, _IMBALANCE, ON_SKIN, weights=_SHOWN),
    Experiment("01-brain-tumor", BRAIN, _IMBALANCE, ON_BRAIN),
    *(
        _exploratory(
            f"02-search-{name}",
            {**SKIN, "val": 100, **options},
            _CARE_AND_CONTROLS,
            ON_SKIN,
            reference="logit adjustment",
        )
        for name, options in _REGIMES.items()
    ),
    _attention("02-phantom-skin", SKIN, fit=ON_SKIN, weights=_MAPPED),
    _attention("02-brain-tumor", BRAIN, fit=ON_BRAIN, weights=_MAPPED[:2]),
    # Of the regimes in which logit adjustment learns at all, the one where CARE did best and the one where it did worst
    # on the validation images; ten fresh seeds each.
    *(
        Experiment(
            f"02-{verdict}-regime",
            {**SKIN, **_REGIMES[name]},
            _CARE_AND_CONTROLS,
            ON_SKIN,
            reference="logit adjustment",
        )
        for verdict, name in (("best", "few"), ("worst", "few-of-all"))
    ),
    # The weight that did best in the sweep below, chosen there on validation images of skin and for both data sets.
    _light("02-light-phantom-skin", SKIN, fit=ON_SKIN),
    _light("02-light-brain-tumor", BRAIN, fit=ON_BRAIN),
    _exploratory(
        "02-sweep", SKIN, {arm: {"method": "care", **o} for arm, o in _SWEEP.items()}, ON_SKIN, reference="CARE"
    ),
    Experiment("03-phantom-chest", CHEST, _SPATIAL, ON_CHEST),
    Experiment("03-brain-tumor", BRAIN, _SPATIAL, ON_BRAIN, courses=False),
    # Where the sweep over jitter, on three tuning seeds, gave the method its best chance: ten fresh seeds.
    Experiment("03-aligned-chest", {**CHEST, "jitter": 0.0}, _FIXED, ON_CHEST, courses=False),
    # Real chest X-rays, which one takes in one position: healthy ones are the rare class here.
    Experiment(
        "03-pneumonia", {"name": "pneumoniamnist", "variant": "train9to1"}, _FIXED, {"epochs": 10}, courses=False
    ),
    # The families of network that the paper names, to see that they run with the map; they say nothing of its worth.
    *(
        _exploratory(
            f"03-smoke-{model}",
            CHEST,
            _arms("cross-entropy", "global attention"),
            {"epochs": 2, "model": model},
            seeds=TUNING_SEEDS[:1],
        )
        for model in NETWORKS
    ),
    *(
        _exploratory(f"03-jitter-{jitter:g}", {**CHEST, "jitter": jitter}, _arms("cross-entropy", *_MAPS), ON_CHEST)
        for jitter in JITTERS
    ),
    *(
        _exploratory(
            f"03-images-{images}",
            CHEST,
            # The free mask sees no image: it is the same whatever N is, and trained once.
            {name: {**_ARMS[name], **({} if name == "free mask" else {"images": images})} for name in _MAPS},
            ON_CHEST,
            reference="global attention",
        )
        for images in IMAGES
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def experiment(name: str) -> Experiment:
    """The experiment called `name`; an unknown name is an error that suggests the nearest."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
