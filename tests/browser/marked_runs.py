"""A small saved comparison of CARE at several doses on marked images, which nobody trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import careedu
from careedu.experiment.run import Run
from careedu.methods.care import CARE, alpha_of_dose

DOSES = (0, 1, 4, 14)
EPOCHS = 16
# At test the rare class alone is marked.
SMALL = {"size": 64, "largest": 20, "val": 3, "test": 4, "seed": 5}
MARKED = {"shortcut_share": (0.0, 1.0), "shortcut_test": "reversed"}
CELL = """
import careedu
from careedu.show.care import AttentionMicroscope, AttentionView

comparison = careedu.Comparison.load(
    {folder!r}
)
small = {small}
marked = {marked}
unseen = careedu.load("phantom-skin", shortcut="cast", **small, **marked).test
microscope = AttentionMicroscope(comparison, b="CARE, dose 1", images=unseen)
microscope.load_images()
AttentionView(microscope)
"""


def save_marked_runs(folder: Path) -> str:
    """Save the comparison; give the code of the cell that opens it."""
    data = careedu.load("phantom-skin", shortcut="mark", **SMALL, **MARKED)
    lesions, marks, labels = data.test.masks.numpy(), data.test.marks.numpy(), data.test.labels.numpy()
    trained = careedu.Comparison.load("01-phantom-skin").runs["logit adjustment"][0]
    about = {"recipe": dict(data.recipe), "train counts": data.train.counts.tolist()}

    def run(attention: float, method: dict) -> Run:
        steps = attention * np.linspace(0, 1, EPOCHS)
        right = np.eye(3)[labels] * (0.3 + 0.6 * steps[:, None, None])
        probabilities = right + (1 - right.sum(axis=2, keepdims=True)) / 3
        maps = [[evidence(*one, step) for one in zip(lesions, marks, strict=True)] for step in steps]
        return replace(
            trained,
            configuration=trained.configuration | {"data": trained.configuration["data"] | about, "method": method},
            probabilities=probabilities[-1],
            labels=labels,
            groups=data.test.groups,
            ids=data.test.ids,
            traces={"probe maps": np.array(maps), "probe probabilities": probabilities.astype(np.float32)},
            probes=np.arange(len(labels)),
            weights=None,
        )

    arms = {"logit adjustment": run(0.1, trained.configuration["method"])}
    for dose in DOSES:
        care = CARE(alpha=alpha_of_dose(dose))
        method = {"name": "care", "label": "CARE", "options": care.options(), "revision": care.all_revisions()}
        arms[f"CARE, dose {dose}" if dose else "no attention"] = run((dose / 14) ** 0.5, method)
    careedu.Comparison({name: {0: made} for name, made in arms.items()}).save(folder)
    return CELL.format(folder=str(folder), small=SMALL, marked=MARKED)


def evidence(lesion: np.ndarray, mark: np.ndarray, attention: float) -> np.ndarray:
    """A map uint8 (8, 8) that moves from the mark to the lesion, as attention grows."""
    there = attention * lesion + (1 - attention) * mark + 0.05 * np.sin(np.arange(lesion.size)).reshape(lesion.shape)
    blurred = Image.fromarray((200 * there.clip(0, 1)).astype(np.uint8)).filter(ImageFilter.GaussianBlur(3))
    small = np.asarray(blurred.resize((8, 8), Image.Resampling.BOX), dtype=float)
    return (255 * (small - small.min()) / max(np.ptp(small), 1)).astype(np.uint8)
