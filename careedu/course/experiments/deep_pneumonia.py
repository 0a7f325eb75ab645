"""Notebook 04: what pretraining and the masks of lesions buy."""

from collections.abc import Mapping
from typing import Any

import careedu.course.experiments.experiment as common
from careedu.course.experiments.experiment import Experiment, arms, exploratory

# Notebook 04. What pretraining buys is asked at three shares of labels, all images being there without them.
POOLS = {
    "chest": {"name": "phantom-chest", "lesion_size": 1.15, "largest": 200},
    "skin": {"name": "phantom-skin", "largest": 200},
    "brain": {"name": "brain-tumor", "plane": "axial", "size": common.SMALL_BRAIN["size"]},
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
    f"{views}, temperature {temperature:g}": _few_labels(views=views, temperature=temperature)["pretrained"]
    for views, temperature in TRIED_VIEWS
}
# The four parts, one after the other; then what the masks of one of them are worth, on a loss that is balanced.
_SIMCLR, _PNEUMONIA = {"method": "simclr"}, {"method": "deep-pneumonia"}
_ON_CROSS_ENTROPY = {**_PNEUMONIA, "classification": {"method": "cross-entropy"}}
ATTENTION = {**_PNEUMONIA, "classification": {"method": "logit-adjusted"}, "regulation": "none", "pretrain": None}
# With so few labels masks are as few: those of the labelled images.
_MORE_ARMS = {**_SHUFFLED_PIXELS, "pretrained, attention": {**ATTENTION, "pretrain": _SIMCLR}}
_EMBEDDED = {
    "untrained": "frozen, untrained",
    "pretrained": "frozen, pretrained",
    "trained from scratch": "from scratch",
    "pretrained, then trained": "pretrained",
    "pretrained, then trained with masks": "pretrained, attention",
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
    "attention": ATTENTION,
    "attention, no masks": {**ATTENTION, "masks": "none"},
    "attention, shuffled masks": {**ATTENTION, "masks": "shuffled"},
}
_OTHER_ATTENTION = {
    "attention, rare masks": {**ATTENTION, "classes": "rare"},
    "attention, product": {**ATTENTION, "attention": "product"},
}
_LEFT_OUT = {
    "all four": _PNEUMONIA,
    "without pretraining": {**_PNEUMONIA, "pretrain": None},
    "without attention": {**_PNEUMONIA, "attention": "none"},
    "without regulation": {**_PNEUMONIA, "regulation": "none"},
    "without class-balanced": _ON_CROSS_ENTROPY,
}

EXPERIMENTS = (
    Experiment("04-phantom-chest", common.CHEST, {**_LADDER, **_OTHER_ATTENTION}, {"epochs": 16}),
    Experiment("04-brain-tumor", common.SMALL_BRAIN, _LADDER, {"epochs": 12}),
    *(
        Experiment(
            f"04-labels-{share}-{organ}",
            pool if share == "all" else {**pool, "labels": int(share)},
            _FEW_ARMS | (_MORE_ARMS if share == str(FEW) else {}),
            fit,
            reference="from scratch",
            embedded=_EMBEDDED if share == str(FEW) else {},
        )
        for organ, pool in POOLS.items()
        for share, fit in LABELS.items()
    ),
    exploratory("04-leave-one-out", common.CHEST, _LEFT_OUT, {"epochs": 16}, seeds=3, reference="all four"),
    exploratory(
        "04-marked-skin",
        common.MARKED,
        {
            **arms("logit adjustment"),
            "attention": ATTENTION,
            "attention, no masks": _LADDER["attention, no masks"],
            "attention, product": _OTHER_ATTENTION["attention, product"],
            **arms(common.AT_DOSE, "lesion transplant"),
        },
        common.ON_SKIN,
        seeds=3,
        reference="logit adjustment",
    ),
    exploratory(
        "04-pneumonia",
        common.XRAYS,
        {
            **arms("cross-entropy", "logit adjustment"),
            "+ pretraining": _LADDER["+ pretraining"],
            "logit adjustment, pretrained": {"method": "logit-adjusted", "pretrain": _SIMCLR},
            "attention, no masks": _LADDER["attention, no masks"],
        },
        common.ON_XRAYS,
        seeds=3,
    ),
    *(
        exploratory(
            f"04-search-{organ}",
            {**pool, "seed": 1, "labels": FEW},
            _PRETRAININGS,
            LABELS[str(FEW)],
            seeds=common.TUNING_SEEDS[:2],
            reference=next(iter(_PRETRAININGS)),
        )
        for organ, pool in POOLS.items()
    ),
)
