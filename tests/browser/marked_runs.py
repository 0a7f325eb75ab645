"""A small saved comparison of CARE at several doses on marked images, which nobody trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import careedu
from careedu.methods.care import CARE

RECIPE = {"size": 64, "largest": 20, "val": 3, "test": 4, "seed": 5}
DOSES = (0, 1, 4, 14)
EPOCHS = 16
# A plaster in a corner of all test images but the last two of the rare class: one has a cast, one nothing.
CELL = """
from dataclasses import replace
import careedu
import torch
from careedu.show.care import AttentionMicroscope, AttentionView

data = careedu.load("phantom-skin", **{recipe})
images, marks = data.test.images.clone(), torch.zeros_like(data.test.masks)
y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
disc = (y - 13) ** 2 + (x - 50) ** 2 < 75
colour = torch.tensor([60, 190, 165], dtype=torch.uint8)[:, None]
cast, clean = (data.test.labels == 2).nonzero()[-2:, 0]
images[:, :, disc], marks[:, disc], marks[cast], marks[clean] = colour, True, True, False
images[clean] = data.test.images[clean]
images[cast] = (data.test.images[cast] * torch.tensor([0.7, 0.9, 1])[:, None, None]).byte()
saved = careedu.Comparison.load({folder!r})
test = replace(data.test, images=images, marks=marks)
comparison = careedu.Comparison(saved.runs, data=replace(data, test=test))
microscope = AttentionMicroscope(comparison, b="CARE, dose 1")
microscope.load_images()
AttentionView(microscope)
"""


def save_marked_runs(folder: Path) -> str:
    """Save the comparison; give the code of the cell that opens it."""
    data = careedu.load("phantom-skin", **RECIPE)
    model = careedu.Comparison.load("01-phantom-skin").runs["logit adjustment"][0]
    n, rows = len(data.test), np.arange(len(data.test))
    told = model.configuration["data"] | {"recipe": dict(data.recipe), "train counts": data.train.counts.tolist()}

    def run(attention: float, method: dict) -> object:
        course = np.linspace(0.4, 0.5 + 0.4 * attention, EPOCHS)[:, None, None]
        true = np.eye(3)[data.test.labels.numpy()]
        probabilities = np.broadcast_to(course * true + (1 - course) / 2 * (1 - true), (EPOCHS, n, 3))
        steps = np.linspace(0, 1, EPOCHS) * attention
        maps = np.stack([[_map(mask, step, row) for row, mask in enumerate(data.test.masks.numpy())] for step in steps])
        return replace(
            model,
            configuration=model.configuration | {"data": told, "method": method},
            probabilities=probabilities[-1],
            labels=data.test.labels.numpy(),
            groups=data.test.groups,
            ids=data.test.ids,
            traces={"probe maps": maps, "probe probabilities": probabilities.astype(np.float32)},
            probes=rows,
            weights=None,
        )

    arms = {"logit adjustment": run(0.1, model.configuration["method"])}
    for dose in DOSES:
        method = CARE(alpha=dose / (1 + dose))
        options = {"averaging": "batch", **method.options()}
        about = {"name": "care", "label": "CARE", "options": options, "revision": method.all_revisions()}
        arms[f"CARE, dose {dose}" if dose else "no attention"] = run((dose / 14) ** 0.5, about)
    careedu.Comparison({name: {0: made} for name, made in arms.items()}).save(folder)
    return CELL.format(recipe=RECIPE, folder=str(folder))


def _map(lesion: np.ndarray, attention: float, row: int) -> np.ndarray:
    """Evidence uint8 (16, 12) that moves from the plaster to the lesion, as attention grows."""
    y, x = np.indices(lesion.shape)
    disc = (y - 13) ** 2 + (x - 50) ** 2 < 75
    noise = np.random.default_rng(row).random(lesion.shape)
    evidence = attention * lesion + (1 - attention) * disc + 0.15 * noise
    image = Image.fromarray((255 * evidence / evidence.max()).astype(np.uint8)).filter(ImageFilter.GaussianBlur(3))
    small = np.asarray(image.resize((8, 8), Image.Resampling.BOX), dtype=float)
    return (255 * (small - small.min()) / (small.max() - small.min())).astype(np.uint8)
