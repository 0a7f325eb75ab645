"""How the learning rate moves over a stage."""

from __future__ import annotations

import math


def one_cycle(update: int, updates: int) -> float:
    """Factor on the learning rate: up to 1 over the first quarter of a stage, then down to 0, both along a cosine.

    torch's own OneCycleLR fails for stages of one or four updates, which small sets have.
    """
    warm = max(1, round(0.25 * updates))
    if update < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * (update + 1) / warm)) / 2
    return (1 + math.cos(math.pi * (update - warm) / (updates - warm))) / 2 if update < updates else 0.0
