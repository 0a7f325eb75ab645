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
    courses : bool or tuple of str
        Whether, or of which arms, what was recorded after each epoch is kept, for a widget's slider.
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
    courses: bool | tuple[str, ...] = True
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
_exploratory = partial(Experiment, seeds=TUNING_SEEDS, courses=False, exploratory=True)

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
    "CARE, random boxes": {"method": "care", "boxes": "random"},
    "CARE without attention": {"method": "care", "alpha": 0.0},
    "lesion transplant": {"method": "lesion-transplant"},
}


def _arms(*names: str) -> dict[str, Mapping[str, Any]]:
    return {name: _ARMS[name] for name in names}


# Notebook 02: what a shortcut does, and what helps. In the training hospital, validation included, 95 % of the rare
# class carry it and nobody else; at test half of each class do, so that one test set holds the clinic with and without.
_SHORTCUT = {"shortcut_test": "random", "test": 200}
MARKED = {**SKIN, "shortcut": "mark", **_SHORTCUT}
CAST = {**SKIN, "shortcut": "cast", **_SHORTCUT}
# Few patients have a meningioma at test: none of them carries the letter, and 95 % of the others do.
LETTERED = {**BRAIN, "shortcut": "mark", "shortcut_test": "reversed"}


def _care(dose: float, **options: Any) -> dict[str, Any]:
    """CARE at a dose: what a boxed image gives attention for each unit that it gives classification."""
    return {"method": "care", "alpha": dose / (1 + dose), **options}


# Chosen on tuning seeds, on images without the mark that are no test images of any other experiment.
DOSE = 4
_AT_DOSE = {
    f"CARE, dose {DOSE}": _care(DOSE),
    f"CARE, dose {DOSE}, shifted boxes": _care(DOSE, boxes="shifted"),
    f"CARE, dose {DOSE}, random boxes": _care(DOSE, boxes="random"),
}
_RIVALS = {
    **_arms("lesion transplant"),
    "marks painted over": {"method": "paint-over"},
    "group weights": {"method": "group-weights"},
    "random erasing": {"method": "random-erasing"},
}
# What breaks, or takes boxes of all images.
_OTHER_RIVALS = {
    "marked images dropped": {"method": "drop-marked"},
    "rare images cropped": {"method": "crop-to-box"},
    "all images cropped": {"method": "crop-to-box", "classes": "all"},
}
_LOOKED = _arms("logit adjustment", "CARE", "CARE, random boxes", "CARE without attention", "lesion transplant")
DOSES = (0.25, 1, 4, 16)
_CURVE = {
    **_arms("logit adjustment", "CARE without attention"),
    **{f"dose {dose:g}": _care(dose) for dose in DOSES},
}
_ELSEWHERE = {
    f"dose {dose:g}, {where} boxes": _care(dose, boxes=where) for dose in (1, 4) for where in ("shifted", "random")
}
_FORMS = {
    **{f"energy, dose {dose:g}": _care(dose, form="energy") for dose in (1, 4, 16)},
    f"outside only, dose {DOSE}": _care(DOSE, form="outside"),
}
_SHARES = {f"boxes for {share:.0%}": _care(DOSE, box_share=share) for share in (0.1, 0.25, 0.5)}
_SOURCES = {
    "boxes on the mark": _care(DOSE, boxes="mark"),
    "saliency boxes": _care(DOSE, boxes="saliency"),
    "segmentation boxes": _care(DOSE, boxes="segmentation"),
    "boxes of all classes": _care(DOSE, classes="all"),
}
# The tuning seeds' phantoms are of another seed throughout: no test image of theirs is one of the main experiments'.
_tuning = partial(_exploratory, fit=ON_SKIN, reference="logit adjustment")
_attention = partial(Experiment, reference="logit adjustment", maps=True)

# Lesions a little larger than the default, so that plain cross-entropy learns something in these epochs.
CHEST = {"name": "phantom-chest", "imbalance": 10, "lesion_size": 1.15}
ON_CHEST = {"epochs": 24}
XRAYS, ON_XRAYS = {"name": "pneumoniamnist", "variant": "train9to1"}, {"epochs": 10}


def _map(rate: float = 10, sparsity: float = 0.1, variation: float = 0.1, **options: Any) -> dict[str, Any]:
    """Global attention with the rate of its map and the two λ."""
    rates = {"learning_rate": float(rate), "sparsity": sparsity, "variation": variation}
    return {"method": "global-attention", **options, **rates}


_MEAN_BEHIND = {"order": "after", "fill": "mean"}
_COMPONENTS = {"map": "principal-components", "components": 64}
# Rate of the map, λ_s and λ_tv: six settings each, on tuning seeds. Taken is the one whose map has the highest AUROC
# of those with which no training fails: where the map learns with the network, at the higher rate some do.
TRIED = {
    "together": (
        {},
        [(10, 0.1, 0.1), (100, 0.1, 0.1), (10, 0.5, 0.1), (100, 0.5, 0.1), (10, 1.0, 0.3), (100, 1.0, 0.3)],
    ),
    "after, free mask": (
        {**_MEAN_BEHIND, "map": "free"},
        [(30, 0.5, 0.1), (100, 0.5, 0.1), (30, 1.0, 0.1), (30, 0.5, 0.3), (30, 1.0, 0.3), (100, 1.0, 0.3)],
    ),
}
_SEARCHED = {
    f"{name}: rate {rate}, sparsity {sparsity:g}, variation {variation:g}": _map(rate, sparsity, variation, **options)
    for name, (options, settings) in TRIED.items()
    for rate, sparsity, variation in settings
}
TOGETHER, AFTER = (10, 0.1, 0.1), (100, 1.0, 0.3)
_SPATIAL = {
    "cross-entropy": {"method": "cross-entropy"},
    "logit adjustment": {"method": "logit-adjusted"},
    "classifier retraining": {"method": "classifier-retraining"},
    "global attention": _map(*TOGETHER),
    "global attention, mean behind": _map(*TOGETHER, fill="mean"),
    "after: pixel classifier": _map(*AFTER, **_MEAN_BEHIND),
    "after: components": _map(*AFTER, **_MEAN_BEHIND, **_COMPONENTS),
    "after: free mask": _map(*AFTER, **_MEAN_BEHIND, map="free"),
    "after: free mask, black": _map(*AFTER, order="after", map="free"),
    "after: permuted pixels": _map(*AFTER, **_MEAN_BEHIND, map="permuted"),
    # One cell for the whole image: it only fades the images.
    "after: flat map": _map(*AFTER, **_MEAN_BEHIND, grid=1),
    "after: shuffled map": _map(*AFTER, **_MEAN_BEHIND, map="shuffled"),
    "after: mean mask": _map(**_MEAN_BEHIND, map="mean-mask"),
    "after: free mask, then both": _map(*AFTER, **_MEAN_BEHIND, map="free", retrain=0.25),
    # The higher one of the mean image and its negative, against the zones of the phantom.
    "negative mean image": _map(map="negative-mean-image"),
}


def _spatial(*names: str, **options: Any) -> dict[str, Mapping[str, Any]]:
    return {name: {**_SPATIAL[name], **options} for name in names}


_THREE_MAPS = ("global attention", "after: components", "after: free mask")
JITTERS = (0.0, 0.1, 0.2)
IMAGES = (16, 64, 256)
_on_chest = partial(_exploratory, fit=ON_CHEST, reference="global attention")

# Notebook 04. What pretraining buys is asked at three shares of labels, all images being there without them.
POOLS = {
    "chest": {"name": "phantom-chest", "lesion_size": 1.15, "largest": 200},
    "skin": {"name": "phantom-skin", "largest": 200},
    "brain": {"name": "brain-tumor", "plane": "axial", "size": 96},
}
FEW = 15
# As many epochs that the network from scratch learns too: the fewer images, the fewer updates an epoch has.
LABELS = {str(FEW): {"epochs": 60}, "50": {"epochs": 30}, "all": {"epochs": 16}}
# Views and temperature of the pretraining, tried on tuning seeds with few labels, and looked at in validation.
TRIED_VIEWS = (("turned", 0.2), ("mild", 0.2), ("cropped", 0.2), ("turned", 0.5))


def _few_labels(**pretraining: Any) -> dict[str, Mapping[str, Any]]:
    simclr = {"method": "simclr", **pretraining}
    return {"pretrained": {"method": "logit-adjusted", "pretrain": simclr}, "frozen, pretrained": simclr}


_FEW_ARMS = {
    "from scratch": {"method": "logit-adjusted"},
    **_few_labels(),
    "frozen, untrained": {"method": "simclr", "epochs": 0},
}
_SHUFFLED_PIXELS = {f"{name}, pixels shuffled": arm for name, arm in _few_labels(pixels="shuffled").items()}
_PRETRAININGS = {
    f"{views}, temperature {temperature:g}{how}": arm
    for views, temperature in TRIED_VIEWS
    for how, arm in zip(("", ", frozen"), _few_labels(views=views, temperature=temperature).values(), strict=True)
}
# The four parts, one after the other; then what the masks of one of them are worth, on a loss that is balanced.
_SIMCLR, _PNEUMONIA = {"method": "simclr"}, {"method": "deep-pneumonia"}
_ON_CROSS_ENTROPY = {**_PNEUMONIA, "classification": {"method": "cross-entropy"}}
_ATTENTION = {
    **_PNEUMONIA,
    "classification": {"method": "logit-adjusted"},
    "regulation": "none",
    "pretrain": None,
}
_LADDER = {
    "cross-entropy": {"method": "cross-entropy"},
    "+ pretraining": {"method": "cross-entropy", "pretrain": _SIMCLR},
    "+ attention": {**_ON_CROSS_ENTROPY, "regulation": "none"},
    "+ regulation": _ON_CROSS_ENTROPY,
    "+ class-balanced": _PNEUMONIA,
    "logit adjustment": {"method": "logit-adjusted"},
    "CARE": {"method": "care", "classes": "all"},
    "lesion transplant": {"method": "lesion-transplant"},
    "attention": _ATTENTION,
    "attention, no masks": {**_ATTENTION, "masks": "none"},
    "attention, shuffled masks": {**_ATTENTION, "masks": "shuffled"},
}
_OTHER_ATTENTION = {
    "attention, rare masks": {**_ATTENTION, "classes": "rare"},
    "attention, product": {**_ATTENTION, "attention": "product"},
}
_LEFT_OUT = {
    "all four": _PNEUMONIA,
    "without pretraining": {**_PNEUMONIA, "pretrain": None},
    "without attention": {**_PNEUMONIA, "attention": "none"},
    "without regulation": {**_PNEUMONIA, "regulation": "none"},
    "without class-balanced": _ON_CROSS_ENTROPY,
}
_ALL = (
    Experiment("01-phantom-skin", SKIN, _IMBALANCE, ON_SKIN, weights=_SHOWN),
    Experiment("01-brain-tumor", BRAIN, _IMBALANCE, ON_BRAIN),
    _attention(
        "02-marked-skin",
        MARKED,
        {
            **_arms("logit adjustment", "CARE"),
            **_AT_DOSE,
            **_arms("CARE without attention"),
            f"CARE, dose {DOSE}, energy": _care(DOSE, form="energy"),
            **_RIVALS,
        },
        ON_SKIN,
    ),
    _attention(
        "02-cast-skin",
        CAST,
        {
            **_arms("logit adjustment", "CARE"),
            f"CARE, dose {DOSE}": _care(DOSE),
            **{name: _RIVALS[name] for name in ("lesion transplant", "group weights")},
        },
        ON_SKIN,
        courses=False,
    ),
    _attention("02-phantom-skin", SKIN, _LOOKED, ON_SKIN, courses=False),
    _attention("02-brain-tumor", BRAIN, _LOOKED, ON_BRAIN, courses=False),
    _attention(
        "02-lettered-brain",
        LETTERED,
        {
            **_arms("logit adjustment", "CARE"),
            f"CARE, dose {DOSE}": _care(DOSE),
            f"CARE, dose {DOSE}, random boxes": _care(DOSE, boxes="random"),
            **_arms("lesion transplant"),
        },
        ON_BRAIN,
        courses=False,
    ),
    # The attention microscope opens on these.
    _tuning(
        "02-dose-marked",
        {**MARKED, "seed": 1},
        {**_CURVE, **_ELSEWHERE, **_FORMS},
        weights=tuple(_CURVE),
        courses=True,
    ),
    _tuning("02-dose-plain", {**SKIN, "seed": 1}, _CURVE),
    _tuning("02-boxes-marked", {**MARKED, "seed": 1}, {**_SHARES, **_SOURCES}, reference="boxes for 50%"),
    _tuning("02-rivals-marked", {**MARKED, "seed": 1}, {**_arms("logit adjustment"), **_OTHER_RIVALS}),
    Experiment(
        "03-phantom-chest",
        CHEST,
        _SPATIAL,
        ON_CHEST,
        courses=(*_THREE_MAPS, "after: pixel classifier", "after: free mask, black"),
    ),
    # Real chest X-rays, which one takes in one position: healthy ones are the rare class here.
    # Real chest X-rays, which one takes in one position: healthy ones are the rare class here.
    _exploratory(
        "03-pneumonia",
        XRAYS,
        _spatial("cross-entropy", "logit adjustment", *_THREE_MAPS, "after: flat map", "negative mean image"),
        ON_XRAYS,
    ),
    _exploratory(
        "03-brain-tumor",
        BRAIN,
        _spatial(*_THREE_MAPS, "after: mean mask", "negative mean image"),
        ON_BRAIN,
        reference="global attention",
    ),
    _on_chest("03-search", CHEST, _SEARCHED, reference=next(iter(_SEARCHED))),
    *(
        _on_chest(
            f"03-jitter-{jitter:g}",
            {**CHEST, "jitter": jitter},
            _spatial(*_THREE_MAPS, "after: free mask, black", "negative mean image"),
        )
        for jitter in JITTERS
    ),
    *(
        _on_chest(
            f"03-images-{images}",
            CHEST,
            # The free mask sees no image: it is the same whatever N is, and trained once.
            {
                **_spatial("after: pixel classifier", "after: components", images=images),
                **_spatial("after: free mask"),
            },
            reference="after: free mask",
        )
        for images in IMAGES
    ),
)
_ALL += (
    Experiment("04-phantom-chest", CHEST, {**_LADDER, **_OTHER_ATTENTION}, {"epochs": 16}, courses=False),
    Experiment("04-brain-tumor", BRAIN, _LADDER, {"epochs": 12}, courses=False),
    *(
        Experiment(
            f"04-labels-{share}-{organ}",
            pool if share == "all" else {**pool, "labels": int(share)},
            _FEW_ARMS,
            fit,
            reference="from scratch",
            courses=False,
        )
        for organ, pool in POOLS.items()
        for share, fit in LABELS.items()
    ),
    *(
        Experiment(
            f"04-shuffled-{organ}",
            {**pool, "labels": FEW},
            {**_FEW_ARMS, **_SHUFFLED_PIXELS},
            LABELS[str(FEW)],
            seeds=3,
            reference="from scratch",
            courses=False,
            exploratory=True,
        )
        for organ, pool in POOLS.items()
    ),
    Experiment("04-leave-one-out", CHEST, _LEFT_OUT, {"epochs": 16}, 3, "all four", courses=False, exploratory=True),
    Experiment(
        "04-marked-skin",
        MARKED,
        {
            **_arms("logit adjustment"),
            "attention": _ATTENTION,
            "attention, product": {**_ATTENTION, "attention": "product"},
            f"CARE, dose {DOSE}": _care(DOSE),
            **_arms("lesion transplant"),
        },
        ON_SKIN,
        3,
        "logit adjustment",
        courses=False,
        exploratory=True,
    ),
    Experiment(
        "04-pneumonia",
        XRAYS,
        {
            **_arms("cross-entropy", "logit adjustment"),
            "+ pretraining": _LADDER["+ pretraining"],
            "logit adjustment, pretrained": {"method": "logit-adjusted", "pretrain": _SIMCLR},
            "attention, no masks": _LADDER["attention, no masks"],
        },
        ON_XRAYS,
        3,
        courses=False,
        exploratory=True,
    ),
    *(
        Experiment(
            f"04-search-{organ}",
            {**pool, "seed": 1, "labels": FEW},
            _PRETRAININGS,
            LABELS[str(FEW)],
            TUNING_SEEDS[:2],
            reference=next(iter(_PRETRAININGS)),
            courses=False,
            exploratory=True,
        )
        for organ, pool in POOLS.items()
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def experiment(name: str) -> Experiment:
    """The experiment called `name`; an unknown name is an error that suggests the nearest."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
