"""Notebook 02: what a shortcut does, and what helps."""

from functools import partial

import careedu.course.experiments.experiment as common
from careedu.course.experiments.experiment import Experiment, arms, care, exploratory

_MAIN = ("logit adjustment", "CARE", common.AT_DOSE)
_SHIFTED, _RANDOM = (f"{common.AT_DOSE}, {boxes} boxes" for boxes in ("shifted", "random"))
_RIVALS = ("lesion transplant", "marks painted over", "group weights", "random erasing")
# What breaks, or takes boxes of all images.
_OTHER_RIVALS = {
    "marked images dropped": {"method": "drop-marked"},
    "rare images cropped": {"method": "crop-to-box"},
    "all images cropped": {"method": "crop-to-box", "classes": "all"},
}
_LOOKED = arms("logit adjustment", "CARE", "CARE, random boxes", "CARE without attention", "lesion transplant")
DOSES = (0.25, 1, 4, 16)
_CURVE = {**arms("logit adjustment", "CARE without attention"), **{f"dose {dose:g}": care(dose) for dose in DOSES}}
_ELSEWHERE = {
    f"dose {dose:g}, {where} boxes": care(dose, boxes=where) for dose in (1, 4) for where in ("shifted", "random")
}
_FORMS = {
    **{f"energy, dose {dose:g}": care(dose, form="energy") for dose in (1, 4, 16)},
    f"outside only, dose {common.DOSE}": care(common.DOSE, form="outside"),
}
_SHARES = {f"boxes for {share:.0%}": care(common.DOSE, box_share=share) for share in (0.1, 0.25, 0.5)}
_SOURCES = {
    "boxes on the mark": care(common.DOSE, boxes="mark"),
    "saliency boxes": care(common.DOSE, boxes="saliency"),
    "segmentation boxes": care(common.DOSE, boxes="segmentation"),
    "boxes of all classes": care(common.DOSE, classes="all"),
}
# The tuning seeds' phantoms are of another seed throughout: no test image of theirs is one of the main experiments'.
_tuning = partial(exploratory, fit=common.ON_SKIN, reference="logit adjustment")
_MARKED = {**common.MARKED, "seed": 1}
_attention = partial(Experiment, reference="logit adjustment", maps=True)

EXPERIMENTS = (
    _attention(
        "02-marked-skin",
        common.MARKED,
        arms(*_MAIN, _SHIFTED, _RANDOM, "CARE without attention", f"{common.AT_DOSE}, energy", *_RIVALS),
        common.ON_SKIN,
        courses=True,
    ),
    _attention("02-cast-skin", common.CAST, arms(*_MAIN, "lesion transplant", "group weights"), common.ON_SKIN),
    _attention("02-phantom-skin", common.SKIN, _LOOKED, common.ON_SKIN),
    _attention("02-brain-tumor", common.BRAIN, _LOOKED, common.ON_BRAIN),
    _attention("02-lettered-brain", common.LETTERED, arms(*_MAIN, _RANDOM, "lesion transplant"), common.ON_BRAIN),
    # The attention microscope opens on these.
    _tuning("02-dose-marked", _MARKED, {**_CURVE, **_ELSEWHERE, **_FORMS}, weights=tuple(_CURVE), courses=True),
    _tuning("02-dose-plain", {**common.SKIN, "seed": 1}, _CURVE),
    _tuning("02-boxes-marked", _MARKED, {**_SHARES, **_SOURCES}, reference="boxes for 50%"),
    _tuning("02-rivals-marked", _MARKED, {**arms("logit adjustment"), **_OTHER_RIVALS}),
)
