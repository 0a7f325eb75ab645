"""The pretrainings of which exercise 4 of notebook 04 shows the histories: a tiny network, a second each."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from careedu.nn.contrastive import nt_xent, unit_vectors

N, SIZE, NOISE, TINT = 96, 12, 0.7, 2.0
EPOCHS = (0, 10, 40)


def stripes(seed):
    """Images of three fine textures, in noise; and a tint for each image, which has nothing to do with its class."""
    random, labels = np.random.default_rng(seed), np.arange(N) % 3
    rows, columns = np.indices((SIZE, SIZE))
    textures = 2 * np.stack([rows % 2, rows // 2 % 2, (rows + columns) % 2]) - 1.0
    images = textures[labels] * random.choice([-1, 1], (N, 1, 1)) + random.normal(0, NOISE, (N, SIZE, SIZE))
    tints = random.normal(0, TINT, (N, 3, 1, 1))
    return torch.from_numpy(images).float()[:, None].repeat(1, 3, 1, 1), torch.from_numpy(tints).float(), labels


def pretraining(kind, seed=2):
    """Rows of epoch, loss, difference between the two views, embedding spread, share of five nearest of the same class.

    "healthy": views differ in place, noise and tint. "shortcut": in place and noise, and keep the image's own tint.
    "identical views": in nothing. "collapse": views as the healthy ones, and a loss without negatives.
    """
    images, tints, labels = stripes(seed)
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(16, 8))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    random = torch.Generator().manual_seed(seed)

    def view():
        if kind == "identical views":
            return images + tints
        tint = tints if kind == "shortcut" else TINT * torch.randn(tints.shape, generator=random)
        moved = images.roll(torch.randint(0, SIZE, (2,), generator=random).tolist(), (2, 3))
        return moved + tint + 0.5 * NOISE * torch.randn(images.shape, generator=random)

    rows = []
    for epoch in range(EPOCHS[-1] + 1):
        one, other = view(), view()
        first, second = network(one), network(other)
        alike = torch.cosine_similarity(first, second)
        loss = (1 - alike).mean() if kind == "collapse" else nt_xent(first, second, 0.2)
        if epoch in EPOCHS:
            with torch.no_grad():
                z = unit_vectors(network(images + tints))
            nearest = (z @ z.T).fill_diagonal_(-2).topk(5).indices.numpy()
            spread = z.var(0, correction=0).sum().sqrt().item()
            same = (labels[nearest] == labels[:, None]).mean()
            rows.append((epoch, loss.item(), (one - other).abs().mean().item(), spread, same))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return rows
