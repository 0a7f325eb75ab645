"""Small made-up image sets for tests: a bright square of which the intensity tells the class."""

from __future__ import annotations

from dataclasses import replace

import torch

from careedu.data.dataset import LesionDataset, Splits

CLASSES = ("dim", "middling", "bright")


def made_up_dataset(n: int, seed: int, *, size: int = 32, size_tells: bool = False, lesions: bool = True, channels=1):
    """`n` images of three classes in turn, grouped by threes of one class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    images = torch.randint(0, 90, (n, channels, size, size), generator=generator)
    corner = torch.randint(2, size - 14, (n, 2), generator=generator)
    masks = torch.zeros(n, size, size, dtype=torch.bool)
    boxes = torch.zeros(n, 4)
    for i, (label, (y, x)) in enumerate(zip(labels.tolist(), corner.tolist(), strict=True)):
        side = 6 + 2 * label if size_tells else 8
        images[i, :, y : y + side, x : x + side] += 50 * label + 15
        masks[i, y : y + side, x : x + side] = True
        boxes[i] = torch.tensor([x, y, x + side, y + side])
    return LesionDataset(
        images=images.to(torch.uint8),
        labels=labels,
        classes=CLASSES,
        boxes=boxes if lesions else None,
        masks=masks if lesions else None,
        groups=[f"{seed}-{i // 9}-{i % 3}" for i in range(n)],
        ids=[f"{seed}-{i}" for i in range(n)],
    )


def made_up_splits(train: int = 150, val: int = 30, test: int = 60, **options) -> Splits:
    """Training, validation and test images of the same kind."""
    parts = [made_up_dataset(n, seed, **options) for seed, n in enumerate((train, val, test))]
    return Splits(*parts, name="made-up", recipe={"made up": True})


def thinned(data: Splits, label: int, n: int) -> Splits:
    """The same with `n` training images of one class left."""
    keep = torch.ones(len(data.train), dtype=torch.bool)
    keep[(data.train.labels == label).nonzero()[n:, 0]] = False
    return replace(data, train=data.train[keep], rare=None)
