"""Embeddings and results that nobody trained: for tests of what the embedding explorer shows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import torch
from made_up_runs import CLASSES, made_up_run

from careedu.data.dataset import LesionDataset
from careedu.show.compare import Comparison
from careedu.show.deep_pneumonia.embeddings import Embeddings

SIZE, COUNTS = 32, (30, 20, 10)
SKILL = {"untrained": 0.0, "pretrained": 0.6, "fine-tuned": 3.0, "with attention": 3.0}
"""How far apart a network's classes lie, in standard deviations of the noise."""
LABELS = np.repeat(np.arange(3), COUNTS)
IDS = np.array([f"bild-{i}" for i in range(len(LABELS))])
DATA = {
    "name": "mädé up",
    "recipe": {"made up": True},
    "classes": list(CLASSES),
    "rare": ["selten"],
    "image shape": [1, SIZE, SIZE],
}


def made_up_images():
    """The test images, backwards and with one more, of which each has its lesion in the upper left corner."""
    chance = torch.Generator().manual_seed(0)
    n = len(LABELS) + 1
    masks = torch.zeros(n, SIZE, SIZE, dtype=torch.bool)
    masks[:, :16, :16] = True
    return LesionDataset(
        images=torch.randint(0, 256, (n, 1, SIZE, SIZE), generator=chance).to(torch.uint8),
        labels=torch.from_numpy(np.append(LABELS[::-1].copy(), 0)),
        classes=CLASSES,
        masks=masks,
        ids=np.append(IDS[::-1], "one more"),
    )


def made_up_embeddings(**changes):
    """Of four networks; the attention of the last lies on the left half of each image."""
    chance = np.random.default_rng(0)
    noise = chance.normal(size=(len(SKILL), len(LABELS), 8)) + 1
    apart = np.array(list(SKILL.values()))[:, None, None] * np.eye(8)[LABELS]
    features = (20 * (noise + 2 * apart)).round().clip(-127, 127).astype(np.int8)
    attention = np.zeros((len(LABELS), 4, 4), dtype=np.uint8)
    attention[:, :, :2] = 255
    parts = {
        "names": tuple(SKILL),
        "features": features,
        "pca": features[:, :, :2].astype(np.float32),
        "tsne": features[:, :, 2:4].astype(np.float32),
        "labels": LABELS,
        "ids": IDS,
        "data": DATA,
        "attention": {"with attention": attention},
        "provenance": {name: {"seed": 0} for name in SKILL},
    }
    return Embeddings(**(parts | changes))


def made_up_results(gain=0.5, seeds=8, spread=0.9):
    """Results with few labels, in which the pretrained arm is better by so much skill."""
    runs = {"from scratch": {}, "pretrained": {}, "frozen, untrained": {}}
    for arm, skill in zip(runs, (0.3, 0.3 + gain, 0.1), strict=True):
        for seed in range(seeds):
            run = made_up_run("cross-entropy", seed, skill=skill)
            course = np.linspace(0.5, spread, 4) + 0.001 * seed
            table = pandas.DataFrame({"stage": "pretraining", "epoch": range(1, 5), "embedding spread": course})
            runs[arm][seed] = replace(run, pretraining=table) if arm == "pretrained" else run
    return Comparison(runs)
