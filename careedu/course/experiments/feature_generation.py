"""Notebook 06: features of the rare classes, generated or told apart by cheaper means."""

from collections.abc import Mapping
from typing import Any

from careedu.course.experiments.experiment import ON_SKIN, SMALL_BRAIN, TUNING_SEEDS, Experiment, arms, exploratory

# Two images of a patient, so 150, 28 and 5 patients; a hundred patients a class at test.
PHANTOM = {"name": "phantom-brain", "imbalance": 30, "images_per_patient": 2, "test": 200}
IMAGES = {"phantom": PHANTOM, "brain": SMALL_BRAIN}
# The segmentation network, and one of the size that the other notebooks train from images to classes.
SEGMENTED, END_TO_END = {**ON_SKIN, "model": "unet"}, ON_SKIN
ON_FEATURES = {"segmentation": (SEGMENTED, {}), "cross-entropy": (END_TO_END, {"pretrain": None})}
_WAYS = {
    "plain": {"generator": "none"},
    "class weights": {"generator": "none", "classification": {"method": "class-balanced", "weighting": "inverse"}},
    "balanced sampling": {"generator": "none", "sampler": "class-balanced"},
    "SMOTE": {"generator": "smote"},
    "Gaussian": {"generator": "gaussian"},
    "deviations": {"generator": "deviations"},
    "ACGAN": {"generator": "acgan"},
    "WGAN-GP": {"generator": "wgan-gp"},
}
CHEAP = ("class weights", "balanced sampling", "SMOTE", "Gaussian", "deviations")
GENERATORS = ("ACGAN", "WGAN-GP")
# What the features are of, which images, and the training images of the rarest class.
REGIMES = (("segmentation", "brain", 10), ("cross-entropy", "brain", 30))
# By the gain of the better generator over the best rival in balanced accuracy, in validation.
BEST = ("cross-entropy", "brain", 30)
AMOUNTS, _SWEPT = (0.25, 0.5, 2.0), (0, 1, 2)


def ways(*names: str, **options: Any) -> dict[str, Mapping[str, Any]]:
    """Ways to a head that does not forget rare classes, by their names in tables."""
    return {name: {"method": "feature-generation", **_WAYS[name], **options} for name in names}


def regime(features: str, images: str, rare: int) -> str:
    """Name of the experiment in which a regime was tried."""
    return f"06-regime-{features}-{images}-{rare}"


def _staged(name: str, features: str, images: str, rare: int, tried: tuple[str, ...], **more: Any) -> Experiment:
    fit, options = ON_FEATURES[features]
    data = PHANTOM if images == "phantom" else {**SMALL_BRAIN, "counts": {"meningioma": rare}}
    return Experiment(name, data, ways(*tried, **options), fit, reference="class weights", **more)


def _tried(name: str, tried: Mapping[str, Mapping[str, Any]]) -> Experiment:
    return exploratory(f"{name}-phantom", PHANTOM, tried, SEGMENTED, seeds=_SWEPT, reference=next(iter(tried)))


_ALL, _GENERATED = ("plain", *CHEAP, *GENERATORS), (*GENERATORS, "SMOTE", "Gaussian")
_FEW = ("class weights", "SMOTE", "Gaussian", *GENERATORS)
EXPERIMENTS = (
    _staged("06-phantom-brain", "segmentation", "phantom", 30, _ALL, generated=_GENERATED),
    _staged("06-brain-tumor", "segmentation", "brain", 30, _ALL, generated=_GENERATED),
    *(
        Experiment(
            f"06-end-to-end-{name}",
            data,
            {**arms("logit adjustment", "balanced sampling"), **ways("class weights", pretrain=None)},
            END_TO_END,
            reference="logit adjustment",
        )
        for name, data in IMAGES.items()
    ),
    _staged("06-best-regime", *BEST, _FEW),
    *(_staged(regime(*told), *told, _FEW, seeds=TUNING_SEEDS, exploratory=True) for told in REGIMES),
    *(_tried(f"06-amount-{amount:g}", ways("SMOTE", "Gaussian", *GENERATORS, amount=amount)) for amount in AMOUNTS),
    _tried("06-synthetic", ways("Gaussian", "deviations", *GENERATORS, real=False)),
)
