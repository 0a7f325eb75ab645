"""The methods floor: one file per paper, and one for the imbalance baselines; declares, never trains."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from careedu.errors import InvalidInputError, unknown_name

if TYPE_CHECKING:
    from careedu.methods.method import Method

# name: (module, class, one line). A table, and not a search through the classes, so that naming them needs no torch.
METHODS = {
    "cross-entropy": ("imbalance", "CrossEntropy", "plain cross-entropy, the naive way"),
    "class-balanced": (
        "imbalance",
        "ClassBalanced",
        "cross-entropy weighted by the inverse effective number of images (Cui 2019)",
    ),
    "focal": ("imbalance", "Focal", "focal loss: what is already classified well counts less (Lin 2017)"),
    "ldam": ("imbalance", "LDAM", "larger margins for rarer classes, re-weighted late (LDAM-DRW, Cao 2019)"),
    "logit-adjusted": (
        "imbalance",
        "LogitAdjusted",
        "class priors added to the logits in training, or taken off after it (Menon 2021)",
    ),
    "balanced-sampling": (
        "imbalance",
        "BalancedSampling",
        "batches with every class equally likely; rare images come more often",
    ),
    "classifier-retraining": (
        "imbalance",
        "ClassifierRetraining",
        "features from all images, then a new head from balanced batches (cRT, Kang 2020)",
    ),
    "feature-smote": (
        "imbalance",
        "FeatureSMOTE",
        "new rare features between neighbouring ones (SMOTE), then a new head",
    ),
    "global-attention": (
        "global_attention",
        "GlobalAttention",
        "one weight map for all images, learned from their pixels (Xu 2020)",
    ),
    "local-attention": (
        "global_attention",
        "LocalAttention",
        "rival: attention that differs from image to image (SE, Hu 2018; CBAM, Woo 2018)",
    ),
    "lesion-transplant": (
        "lesion_transplant",
        "LesionTransplant",
        "rival: rare lesions cut out and pasted over the lesions of common images",
    ),
    "care": ("care", "CARE", "attention to lesions: boxes of rare images steer the map (Zhuang 2019)"),
    "misplaced-weights": (
        "controls",
        "MisplacedWeights",
        "control: inverse-frequency weights, each at the wrong class",
    ),
    "nearest-neighbour": (
        "references",
        "NearestNeighbour",
        "reference: label of the training image with the nearest thumbnail",
    ),
    "lesion-size": ("references", "LesionSize", "reference: a decision tree on the lesion's area alone"),
}


def method_class(name: str) -> type[Method]:
    """The class of the method called `name`; an unknown name is an error that suggests the nearest."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module, class_name, _ = METHODS[name]
    return getattr(import_module(f"careedu.methods.{module}"), class_name)


def build_method(name: str, **options: Any) -> Method:
    """Make a method from its name and options, as a command line or a saved run gives them.

    Parameters
    ----------
    name : str
        A key of `METHODS`.
    **options
        The method's options. An option that is itself a method is given as its name, or as
        ``{"method": name, ...}``.

    Returns
    -------
    Method

    Raises
    ------
    UnknownNameError
        If the method or an option does not exist; the message suggests the nearest.
    """
    cls = method_class(name)
    known = {f.name: f for f in fields(cls) if f.init}
    for option, value in options.items():
        if option not in known:
            raise unknown_name(f"option of method {name!r}", option, known)
        if option == "classification" and isinstance(value, str):
            options[option] = build_method(value)
        elif isinstance(value, dict) and "method" in value:
            inner = dict(value)
            options[option] = build_method(inner.pop("method"), **inner)
    try:
        return cls(**options)
    except TypeError as error:
        raise InvalidInputError(f"method {name!r} cannot be made with {options}: {error}") from error
