"""The table of methods: where each name's class is, of careedu's and of anybody's own. It loads no torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from careedu.errors import unknown_name

# name: (module, class, one line). The one place to add a method to: the command line, the names `careedu.*` and what
# type checkers see follow from it. A table, and not a search through the classes, so that naming them needs no torch.
METHODS = {
    "cross-entropy": ("imbalance", "CrossEntropy", "plain cross-entropy, the naive way"),
    "class-balanced": ("imbalance", "ClassBalanced", "weights by the inverse effective number of images (Cui 2019)"),
    "focal": ("imbalance", "Focal", "focal loss: what is already classified well counts less (Lin 2017)"),
    "ohem": ("imbalance", "OHEM", "online hard example mining: the largest losses of a batch alone (Shrivastava 2016)"),
    "ldam": ("imbalance", "LDAM", "larger margins for rarer classes, re-weighted late (LDAM-DRW, Cao 2019)"),
    "logit-adjusted": ("imbalance", "LogitAdjusted", "class priors added to logits, or taken off after (Menon 2021)"),
    "balanced-sampling": ("imbalance", "BalancedSampling", "batches in which every class is equally likely"),
    "classifier-retraining": (
        "imbalance",
        "ClassifierRetraining",
        "features from all images, then a new head from balanced batches (cRT, Kang 2020)",
    ),
    "feature-smote": ("imbalance", "FeatureSMOTE", "rare features between neighbouring ones (SMOTE), then a new head"),
    "global-attention": ("global_attention", "GlobalAttention", "one learned weight map for all images (Xu 2020)"),
    "local-attention": (
        "local_attention",
        "LocalAttention",
        "rival: attention that differs from image to image (SE, Hu 2018; CBAM, Woo 2018)",
    ),
    "lesion-transplant": ("lesion_transplant", "LesionTransplant", "rival: rare lesions pasted into common images"),
    "care": ("care", "CARE", "attention to lesions: boxes of rare images steer the map (Zhuang 2019)"),
    "simclr": ("simclr", "SimCLR", "features from images without labels, then a linear head (Chen 2020)"),
    "deep-pneumonia": (
        "deep_pneumonia",
        "DeepPneumonia",
        "contrastive pretraining, attention that masks guide, lesion against background (Wei 2022)",
    ),
    "distractor": (
        "distractor",
        "DistractorAware",
        "features are pushed from what tempts to a wrong class (Gong 2020)",
    ),
    "drop-marked": ("shortcut", "DropMarked", "rival: training images that carry a mark are left out"),
    "paint-over": ("shortcut", "PaintOver", "rival: marks are covered with tissue from beside them"),
    "group-weights": ("shortcut", "GroupWeights", "rival: groups, class × marked or not, weigh alike (Sagawa 2020)"),
    "crop-to-box": ("shortcut", "CropToBox", "rival: rare training images are cropped to the box around the lesion"),
    "random-erasing": ("shortcut", "RandomErasing", "a random rectangle is filled with noise (Zhong 2020)"),
    "misplaced-weights": ("controls", "MisplacedWeights", "control: inverse-frequency weights, each at a wrong class"),
    "nearest-neighbour": ("references", "NearestNeighbour", "reference: label of the nearest training thumbnail"),
    "lesion-size": ("references", "LesionSize", "reference: a decision tree on the lesion's area alone"),
}

OWN: dict[str, type] = {}
"""Classes of methods that are not careedu's, by name: each is here once its cell has run or its module is imported."""


def method_class(name: str) -> type[Any]:
    """The class of the method called `name`; an unknown name is an error that suggests the nearest."""
    if name in OWN:
        return OWN[name]
    if name not in METHODS:
        raise unknown_name("method", name, [*METHODS, *OWN])
    module, class_name, _ = METHODS[name]
    return getattr(import_module(f".{module}", __package__), class_name)
