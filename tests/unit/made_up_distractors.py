"""A record of distractors that nobody trained, and its images: for tests of the distractor viewer."""

from __future__ import annotations

import numpy as np
import torch
from made_up_runs import CLASSES

from careedu.data.dataset import LesionDataset
from careedu.show.distractor.records import MEASURES, DistractorRecord

SIZE, GRID, COUNTS, EPOCHS, SEEDS = 32, 4, (14, 10, 6), (1, 3, 6, 10), 8
NAMES = ("plain", "distractor")
LABELS = np.repeat(np.arange(3), COUNTS)
IDS = np.array([f"bild-{i}" for i in range(len(LABELS))])
PATCHES = np.where(np.arange(len(LABELS)) % 5 == 4, -1, (LABELS + 1 + np.arange(len(LABELS)) % 2) % 3)
"""The classes of the look-alikes; one image in five has none."""
DATA = {
    "name": "mädé up",
    "recipe": {"made up": True},
    "classes": list(CLASSES),
    "rare": ["selten"],
    "image shape": [3, SIZE, SIZE],
}


def made_up_images():
    """The test images, backwards and with one more: lesions upper left, look-alikes lower right."""
    chance = torch.Generator().manual_seed(0)
    n = len(LABELS) + 1
    masks, marks = torch.zeros(2, n, SIZE, SIZE, dtype=torch.bool)
    patches = torch.from_numpy(np.append(PATCHES[::-1].copy(), -1))
    masks[:, :16, :16] = True
    marks[:, 16:, 16:] = (patches >= 0)[:, None, None]
    return LesionDataset(
        images=torch.randint(0, 256, (n, 3, SIZE, SIZE), generator=chance).to(torch.uint8),
        labels=torch.from_numpy(np.append(LABELS[::-1].copy(), 0)),
        classes=CLASSES,
        masks=masks,
        marks=marks,
        mark_labels=patches,
        ids=np.append(IDS[::-1], "one more"),
    )


def made_up_record(seeds=SEEDS, **changes):
    """Of two networks: under the first the distractor lies on the look-alikes, under the second everywhere alike.

    The second pushes distractors away, and nothing speaks for the wrong class of its last image. A third arm was
    measured over seeds alone.
    """
    chance = np.random.default_rng(0)
    told = (len(NAMES), len(EPOCHS), len(LABELS))
    skill = np.linspace(0.5, 3, len(EPOCHS))[:, None, None] * np.eye(3)[LABELS]
    scores = np.exp(chance.normal(size=(*told, 3)) + skill)
    distances = np.clip(chance.normal(0.3, 0.1, told), 0.02, 0.95)
    distances[1] += np.linspace(0, 0.3, len(EPOCHS))[:, None]
    true_maps, wrong_maps, relevance = chance.integers(0, 256, (3, *told, GRID, GRID)).astype(np.uint8)
    relevance[0] = 0
    relevance[0, ..., 2:, 2:] = 255
    relevance[1] = 100
    shares = -np.sort(-chance.uniform(0.02, 0.3, (*told, 3)), axis=-1)
    shares[1, :, -1], relevance[1, :, -1] = 0, 0
    found = np.full((3, seeds, len(LABELS), len(MEASURES)), 0.25)
    found[0, ..., 0] = chance.normal(0.6, 0.05, (seeds, len(LABELS)))
    found[1, ..., 0] = chance.normal(0.25, 0.05, (seeds, len(LABELS)))
    found[:, :, PATCHES < 0] = np.nan
    parts = {
        "names": NAMES,
        "epochs": EPOCHS,
        "probabilities": (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32),
        "distances": distances.astype(np.float32),
        "true_maps": true_maps,
        "wrong_maps": wrong_maps,
        "relevance": relevance,
        "neurons": np.argsort(chance.random((*told, 64)), axis=-1)[..., :3].astype(np.int16),
        "neuron_shares": shares.astype(np.float32),
        "neuron_maps": chance.integers(0, 256, (*told, 3, GRID, GRID)).astype(np.uint8),
        "labels": LABELS,
        "patch_labels": PATCHES,
        "ids": IDS,
        "groups": IDS,
        "data": DATA,
        "arms": (*NAMES, "random"),
        "shares": found.astype(np.float16),
        "provenance": {"seed": 0},
    }
    return DistractorRecord(**(parts | changes))
