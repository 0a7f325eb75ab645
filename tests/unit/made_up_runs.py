"""Runs that nobody trained: made-up probabilities on a made-up test set, for tests of what is done with results."""

from __future__ import annotations

import numpy as np
import pandas
import torch

from careedu.experiment.attention import MARK_MEASURES, MEASURES
from careedu.experiment.attention_results import AttentionResults
from careedu.experiment.run import Run
from careedu.methods.building import build_method
from careedu.methods.registry import METHODS

CLASSES = ("dünn", "mittel", "selten")


def made_up_run(
    method="cross-entropy", seed=0, *, skill=1.0, per_class=(30, 20, 10), trained=True, weights=False, **data
):
    """A run of which `skill` says how well the classes are told apart; with all that a trained one has."""
    chance = np.random.default_rng([seed, round(skill * 100), len(method)])
    labels = np.repeat(np.arange(3), per_class)
    scores = chance.normal(size=(len(labels), 3)) + 1.5 * skill * np.eye(3)[labels]
    validation = chance.normal(size=(9, 3))
    known = method in METHODS
    epochs = np.arange(1, 4)
    history = {
        "stage": ["features", "features", "head"],
        "epoch": epochs,
        "learning rate": 1e-3 / epochs,
        "loss: classification": [np.nan, *chance.random(2)],
        f"loss: of {method} alone": chance.random(3),
        "rare recall": [np.nan] * 3,
    }
    return Run(
        configuration={
            "data": {
                "name": "mädé up",
                "recipe": {"made up": True},
                "fingerprint": f"{seed:016x}",
                "classes": list(CLASSES),
                "rare": ["selten"],
                "image shape": [1, 32, 32],
                "train counts": [100, 50, 10 + seed],
                **data,
            },
            "method": {
                "name": method,
                "label": method,
                "options": build_method(method).options() if known else {"strength": 1},
                "revision": build_method(method).all_revisions() if known else "1",
            },
            "model": "small" if trained else "none",
            "seed": seed,
            "revision": 1,
        },
        probabilities=_softmax(scores),
        labels=labels,
        groups=np.array([f"größe-{i // 2}" for i in range(len(labels))]),
        ids=np.array([f"bild-{i}" for i in range(len(labels))]),
        validation_probabilities=_softmax(validation),
        validation_labels=np.arange(9) % 3,
        history=pandas.DataFrame(history if trained else {}),
        traces={
            "probe maps": chance.integers(0, 256, (3, 2, 4, 4), dtype=np.uint8),
            "probe probabilities": chance.random((3, 2, 3)).astype(np.float32),
            f"mine {method}": chance.random((3, 2)).astype(np.float32),
        }
        if trained
        else {},
        probes=np.array([0, 30] if trained else [], dtype=np.int64),
        seconds=1.25 + seed,
        weights={"head.weight": torch.full((3, 4), 0.5 + seed), "steps": torch.tensor(seed)} if weights else None,
    )


def made_up_runs(methods=("cross-entropy", "focal"), seeds=8, **options):
    """Runs by method and seed; a method of a longer name does better."""
    return {
        name: {seed: made_up_run(name, seed, skill=len(name) / 10, **options) for seed in range(seeds)}
        for name in methods
    }


def mark_every_third(runs):
    """The same runs, of which it is known that each third test image carries a mark."""
    for run in (run for by_seed in runs.values() for run in by_seed.values()):
        run.marked = np.arange(len(run.labels)) % 3 == 0
    return runs


def made_up_attention(results):
    """Where the networks of results look; on the mark too, where marks are known."""
    chance = np.random.default_rng(0)
    shape = len(results.seeds), len(results.labels)
    names = MEASURES if results.marked is None else (*MEASURES, *MARK_MEASURES)
    values = {method: {name: chance.uniform(0.3, 0.7, shape) for name in names} for method in results.methods}
    for measures in values.values():
        measures["chance"][:] = 1 / 16
        if results.marked is not None:
            measures["mark chance"][:] = 1 / 32
            for name in MARK_MEASURES:
                measures[name][:, ~results.marked] = np.nan
    return AttentionResults(values, results.labels, results.groups, results.classes)


def _softmax(scores):
    shares = np.exp(scores)
    return shares / shares.sum(axis=1, keepdims=True)
