"""A record of generated features that nobody trained, and results by amount: for tests of the feature explorer."""

from __future__ import annotations

import numpy as np
import pandas
import torch
from made_up_runs import CLASSES, made_up_run

from careedu.data.dataset import LesionDataset
from careedu.show.compare import Comparison
from careedu.show.feature_generation.records import GeneratedFeatures

SIZE, COUNTS, EPOCHS, WIDTH = 16, (40, 12, 4), (1, 5, 9), 6
NAMES = ("ACGAN", "SMOTE")
AMOUNTS = (0.5, 1, 2)
LABELS = np.repeat(np.arange(3), COUNTS)
IDS = np.array([f"bild-{i}" for i in range(len(LABELS))])
MADE_LABELS = np.repeat(np.arange(3), 30)
TESTS = 12
DATA = {
    "name": "mädé up",
    "recipe": {"made up": True},
    "classes": list(CLASSES),
    "rare": ["mittel", "selten"],
    "image shape": [1, SIZE, SIZE],
}


def made_up_images(names=IDS):
    """The training images, backwards and with one more, each with its lesion in the upper left corner."""
    chance = torch.Generator().manual_seed(0)
    n = len(LABELS) + 1
    masks = torch.zeros(n, SIZE, SIZE, dtype=torch.bool)
    masks[:, :8, :8] = True
    return LesionDataset(
        images=torch.randint(0, 256, (n, 1, SIZE, SIZE), generator=chance).to(torch.uint8),
        labels=torch.from_numpy(np.append(LABELS[::-1].copy(), 0)),
        classes=CLASSES,
        masks=masks,
        ids=np.append(names[::-1], "one more"),
    )


def made_up_record(**changes):
    """ACGAN's features come from far away to their classes; SMOTE's are real ones, of which the first is a copy."""
    chance = np.random.default_rng(0)
    real = chance.normal(size=(len(LABELS), WIDTH)) + 4 * np.eye(WIDTH)[LABELS]
    noise = chance.normal(size=(len(MADE_LABELS), WIDTH))
    made = np.empty((2, len(EPOCHS), len(MADE_LABELS), WIDTH))
    for e, way in enumerate((0.0, 0.5, 1.0)):
        made[0, e] = way * 4 * np.eye(WIDTH)[MADE_LABELS] + noise + (1 - way) * 9
    for c in range(3):
        own = np.flatnonzero(c == LABELS)
        made[1][:, c == MADE_LABELS] = (real[own[0]] + real[own[np.arange(30) % len(own)]]) / 2
    agreed = np.ones((2, len(EPOCHS), len(MADE_LABELS)), dtype=bool)
    agreed[0, 0, ::2] = False
    parts = {
        "names": NAMES,
        "epochs": EPOCHS,
        "real": real.astype(np.float16),
        "labels": LABELS,
        "ids": IDS,
        "groups": np.array([f"größe-{i // 2}" for i in range(len(LABELS))]),
        "made": made.astype(np.float16),
        "made_labels": MADE_LABELS,
        "agreed": agreed,
        "quality": np.array([[3.0, 4.0, 5.0, 0.1], [1.0, 2.0, 3.0, 0.6]], dtype=np.float32),
        "floor": np.tile(np.array([0.5, 1.5, 2.5], dtype=np.float32), (8, 1)),
        "spread": np.full((8, 3), 9, dtype=np.float32),
        "found": np.zeros((TESTS, SIZE, SIZE), dtype=bool),
        "dice": np.clip(chance.normal(0.8, 0.05, (8, TESTS)), 0, 1).astype(np.float32),
        "test_ids": np.array([f"probe-{i}" for i in range(TESTS)]),
        "test_groups": np.array([f"kranke-{i // 2}" for i in range(TESTS)]),
        "data": DATA,
        "provenance": {"seed": 0},
    }
    return GeneratedFeatures(**(parts | changes))


def made_up_results(names=NAMES, amounts=AMOUNTS):
    """By amount, results of the ways; the more is generated, the better the rare class is told."""

    def run(name, seed, amount):
        found = made_up_run("focal" if name == "ACGAN" else "ldam", seed, skill=0.5 + amount / 4)
        if name == "ACGAN":
            epochs = np.arange(1, EPOCHS[-1] + 1)
            found.pretraining = pandas.DataFrame(
                {
                    "stage": ["segmentation"] + ["generation"] * len(epochs),
                    "epoch": np.arange(1, len(epochs) + 2),
                    "loss: discriminator, source": [np.nan, *(1.4 - 0.05 * epochs + seed)],
                    "loss: generator, source": [np.nan, *(0.7 + 0.03 * epochs)],
                    **{f"Fréchet distance: {c}": [np.nan, *(30.0 / epochs + n)] for n, c in enumerate(CLASSES)},
                }
            )
        return found

    def results(amount):
        arms = (*names, *(["plain"] if amount == 1 else []))
        return Comparison(
            {name: {seed: run(name, seed, 0 if name == "plain" else amount) for seed in range(8)} for name in arms}
        )

    return {amount: results(amount) for amount in amounts}
