"""Comparisons that nobody trained, with attention maps of known worth: for tests of what is shown of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import torch
from made_up_runs import made_up_run

import careedu
from careedu.data.phantoms import lesion_zones
from careedu.nn.spatial_mask import SpatialMask
from careedu.show.compare import Comparison

SIZE = 32
ZONE = lesion_zones("chest", SIZE)
ARMS = {
    "plain": None,
    "global attention": "pixels",
    "components": "principal-components",
    "free mask": "free",
    "permuted": "permuted",
    "mean image": "mean-image",
}
WORTH = {"pixels": 0.9, "principal-components": 0.7, "free": 0.4, "permuted": 0.0, "mean-image": 0.5}
"""How much brighter the zone is than the rest, in standard deviations of the noise."""
AFTER = {
    "components after": careedu.GlobalAttention(map="principal-components", order="after", fill="mean", map_epochs=4),
    "free after": careedu.GlobalAttention(map="free", order="after", fill="mean", map_epochs=4),
    "free after, black": careedu.GlobalAttention(map="free", order="after", map_epochs=4, retrain=0.5),
}
"""Arms whose map learns after the network, for four epochs; in the last of them both learn then."""


def made_up_maps(kind, seed, epochs, worth):
    """uint16 (epochs, 32, 32): the zone stands out more from epoch to epoch; a fixed map stays what it is."""
    noise = np.random.default_rng([seed, len(kind)]).normal(size=ZONE.shape)
    share = np.ones(epochs) if kind == "mean-image" else np.arange(1, epochs + 1) / epochs
    scores = noise + worth * share[:, None, None] * ZONE
    return (65535 / (1 + np.exp(-scores / 4))).round().astype(np.uint16)


def made_up_course(run, method, seed, epochs, worth):
    """The run as `method` would have trained it in so many supervised epochs, whose map is worth so much."""
    about = {"name": method.name, "label": method.label(), "options": method.options(), "revision": "1"}
    alone = method.map_epochs if method.order == "after" else 0
    both = round(epochs * method.retrain) if alone else epochs
    maps = made_up_maps(method.map, seed, alone + both, worth)
    recorded = {"map: attention map": maps[:alone], "attention map": maps[alone:]}
    stages = ["network"] * (epochs - both) + ["both" if alone else method.name] * both
    return replace(
        run,
        configuration=run.configuration | {"method": about},
        traces=run.traces | {name: trace for name, trace in recorded.items() if len(trace)},
        history=pandas.DataFrame({"stage": stages, "epoch": np.arange(1, epochs + 1)}),
        pretraining=pandas.DataFrame({"stage": ["map"] * alone, "epoch": np.arange(1, alone + 1)}),
    )


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
    """A comparison of runs on chest phantoms; arms are kinds of map, or methods; `worth` by either changes `WORTH`."""
    worth = WORTH | (worth or {})
    recipe = {"name": "phantom-chest", "options": {"jitter": jitter}}
    told = {"name": "phantom-chest", "recipe": recipe, "train counts": [images - 60, 50, 10]} | more
    runs = {}
    for arm, kind in arms.items():
        runs[arm] = {}
        for seed in range(seeds):
            run = made_up_run("cross-entropy", seed, skill=0.5 + len(arm) / 20, **told)
            if kind is not None:
                method = careedu.GlobalAttention(map=kind) if isinstance(kind, str) else kind
                run = made_up_course(run, method, seed, epochs, worth.get(arm, worth[method.map]))
            runs[arm][seed] = run
    return Comparison(runs, data=data)


def with_weights(run, values):
    """The run with a network's weights, of which only the map is of use."""
    return replace(run, weights={"before.values": torch.as_tensor(values, dtype=torch.float32)})


def attention_map(network):
    """The map that a network sees every image through, float32 (H, W)."""
    mask = next(part for part in network.modules() if isinstance(part, SpatialMask))
    return mask.map().detach().float().cpu().numpy()
