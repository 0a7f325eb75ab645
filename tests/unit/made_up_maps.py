"""Comparisons that nobody trained, with attention maps of known worth: for tests of what is shown of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import torch
from made_up_runs import made_up_run

import careedu
from careedu.data.phantoms import lesion_zones
from careedu.show.compare import Comparison

SIZE = 32
ZONE = lesion_zones("chest", SIZE)
ARMS = {
    "plain": None,
    "global attention": "pixels",
    "free mask": "free",
    "permuted": "permuted",
    "mean image": "mean-image",
}
WORTH = {"pixels": 0.9, "free": 0.4, "permuted": 0.0, "mean-image": 0.5}
"""How much brighter the zone is than the rest, in standard deviations of the noise."""


def made_up_maps(kind, seed, epochs, worth):
    """uint16 (epochs, 32, 32): the zone stands out more from epoch to epoch; a fixed map stays what it is."""
    noise = np.random.default_rng([seed, len(kind)]).normal(size=ZONE.shape)
    share = np.ones(epochs) if kind == "mean-image" else np.arange(1, epochs + 1) / epochs
    scores = noise + worth * share[:, None, None] * ZONE
    return (65535 / (1 + np.exp(-scores / 4))).round().astype(np.uint16)


def made_up_comparison(
    seeds=8,
    *,
    epochs=3,
    worth=None,
    arms=ARMS,
    jitter=0.02,
    images=160,
    data=None,
    **more,
):
    """A comparison of runs on chest phantoms; `worth` by kind of map changes `WORTH`."""
    worth = WORTH | (worth or {})
    recipe = {"name": "phantom-chest", "options": {"jitter": jitter}}
    told = {"name": "phantom-chest", "recipe": recipe, "train counts": [images - 60, 50, 10]} | more
    runs = {}
    for arm, kind in arms.items():
        runs[arm] = {}
        for seed in range(seeds):
            run = made_up_run("cross-entropy", seed, skill=0.5 + len(arm) / 20, **told)
            if kind is not None:
                method = careedu.GlobalAttention(map=kind)
                about = {"name": method.name, "label": method.label(), "options": method.options(), "revision": "1"}
                traces = run.traces | {"attention map": made_up_maps(kind, seed, epochs, worth[kind])}
                history = pandas.DataFrame({"epoch": np.arange(1, epochs + 1)})
                run = replace(run, configuration=run.configuration | {"method": about}, traces=traces, history=history)
            runs[arm][seed] = run
    return Comparison(runs, data=data)


def with_weights(run, values):
    """The run with a network's weights, of which only the map is of use."""
    return replace(run, weights={"before.values": torch.as_tensor(values, dtype=torch.float32)})
