"""What an experiment is, and what those of several notebooks have in common: images, epochs, tuning seeds, methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

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
    embedded : mapping of str to str
        Name of a network → arm, where it is kept to which places the networks of the first seed put the test images.
    tempted : tuple of str
        Arms of which it is kept what tempts their network of the first seed to a wrong class, epoch by epoch. They are
        trained once more for it, and must give the same.
    generated : tuple of str
        Arms of which it is kept what they generate, epoch by epoch, with the first seed, and the segmentations' masks.
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
    courses: bool | tuple[str, ...] = False
    embedded: Mapping[str, str] = field(default_factory=dict)
    tempted: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
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

        def built(method: str, **options: Any) -> Method:
            return build_method(method, **options)

        return {name: built(**options) for name, options in self.arms.items()}


SKIN = {"name": "phantom-skin", "imbalance": 10}
# Below about 96 pixels many tumours vanish; more cost time that ten seeds do not leave.
BRAIN = {"name": "brain-tumor", "plane": "axial", "size": 96, "counts": {"meningioma": 30}}
# Of the phantoms' size, for notebooks of which the runs would take too long.
SMALL_BRAIN = {**BRAIN, "size": 64}
ON_SKIN, ON_BRAIN = {"epochs": 16}, {"epochs": 18}

TUNING_SEEDS = (100, 101, 102)
exploratory = partial(Experiment, seeds=TUNING_SEEDS, exploratory=True)

IMBALANCE = {
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


def care(dose: float, **options: Any) -> dict[str, Any]:
    """CARE at a dose: what a boxed image gives attention for each unit that it gives classification."""
    return {"method": "care", "alpha": dose / (1 + dose), **options}


# Chosen on tuning seeds, on images without the mark that are no test images of any other experiment.
DOSE = 4
AT_DOSE = f"CARE, dose {DOSE}"
ARMS = {
    **IMBALANCE,
    "CARE": {"method": "care"},
    "CARE, random boxes": {"method": "care", "boxes": "random"},
    "CARE without attention": {"method": "care", "alpha": 0.0},
    AT_DOSE: care(DOSE),
    f"{AT_DOSE}, shifted boxes": care(DOSE, boxes="shifted"),
    f"{AT_DOSE}, random boxes": care(DOSE, boxes="random"),
    f"{AT_DOSE}, energy": care(DOSE, form="energy"),
    "lesion transplant": {"method": "lesion-transplant"},
    "marks painted over": {"method": "paint-over"},
    "group weights": {"method": "group-weights"},
    "random erasing": {"method": "random-erasing"},
}


def arms(*names: str) -> dict[str, Mapping[str, Any]]:
    """Some of the methods by their names in tables."""
    return {name: ARMS[name] for name in names}


# A shortcut: in the training hospital, validation included, 95 % of the rare class carry it and nobody else; at test
# half of each class do, so that one test set holds the clinic with and without.
SHORTCUT = {"shortcut_test": "random", "test": 200}
MARKED, CAST = {**SKIN, "shortcut": "mark", **SHORTCUT}, {**SKIN, "shortcut": "cast", **SHORTCUT}
# Few patients have a meningioma at test: none of them carries the letter, and 95 % of the others do.
LETTERED = {**BRAIN, "shortcut": "mark", "shortcut_test": "reversed"}

# Lesions a little larger than the default, so that plain cross-entropy learns something in these epochs.
CHEST, ON_CHEST = {"name": "phantom-chest", "imbalance": 10, "lesion_size": 1.15}, {"epochs": 24}
XRAYS, ON_XRAYS = {"name": "pneumoniamnist", "variant": "train9to1"}, {"epochs": 10}
