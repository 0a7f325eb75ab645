"""Simulated results of which the truth is known: whether each test image is found, by each method and seed.

An image is found with probability 1/(1+e^−z), z = α + seed + group + (seed, group) + image, each a normal deviate, some
of them shared by all methods and some a method's own; standard deviations are in logits. α is chosen so that the mean
over all seeds, groups and images is what is asked for, the same for all methods: a difference that is shown is false.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import FEWEST_GROUPS, Difference, Estimate, difference_of, estimate_of, holm

NOTHING = (0.0, 0.0, 0.0, 0.0)
USUAL = (0.3, 1.0, 0.3, 1.0)  # of a seed, a group, a seed on a group, an image whatever the seed


class Population(NamedTuple):
    """What all methods share, what is a method's own, and the recall that all have."""

    shared: tuple[float, ...]
    own: tuple[float, ...]
    share: float


POPULATIONS = {
    "methods differ by seed": Population(USUAL, (0.3, 0.0, 0.3, 0.0), 0.7),
    "and a little by group and image": Population(USUAL, (0.3, 0.5, 0.3, 0.5), 0.85),
    "each suits some groups": Population(USUAL, (0.1, 1.0, 0.1, 1.0), 0.7),
    "a group is found or not": Population(USUAL, (0.1, 3.0, 0.1, 0.3), 0.5),
    "all seeds agree on an image": Population(NOTHING, (0.05, 0.0, 0.05, 30.0), 0.5),
    "nearly all are found": Population((0.1, 2.5, 0.3, 0.5), (0.1, 0.5, 0.1, 0.5), 0.97),
}
SIZES = ("one image each", "equal", "very unequal")
IMAGES = 5
"""Of an equal group, and the median of very unequal ones."""


@cache
def normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Places and weights of a mean over a normal deviate."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(81)
    return nodes, weights / weights.sum()


def true_share(alpha: float, deviation: float) -> float:
    """Mean of 1/(1+e^−z) over normal z."""
    nodes, weights = normal_nodes()
    return float(weights @ special.expit(alpha + deviation * nodes))


@cache
def logit_of(share: float, deviation: float) -> float:
    """The α of which the mean over normal deviates is the share."""
    return optimize.brentq(lambda alpha: true_share(alpha, deviation) - share, -90, 90)


def group_sizes(rng: np.random.Generator, kind: str, n: int) -> np.ndarray:
    """Images of each of n groups; very unequal ones are lognormal, σ = 1."""
    if kind == "very unequal":
        return np.maximum(1, np.round(IMAGES * np.exp(rng.normal(size=n)))).astype(int)
    return np.full(n, IMAGES if kind == "equal" else 1)


def hits_of(
    rng: np.random.Generator, population: Population, sizes: np.ndarray, methods: int, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is found, bool (M, S, N), and the group of each image (N,)."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    deviation = float(np.hypot(np.linalg.norm(population.shared), np.linalg.norm(population.own)))
    z = np.full((methods, seeds, len(groups)), logit_of(population.share, deviation))
    for scale, leading in ((population.shared, 1), (population.own, methods)):
        of_seed, of_group, of_both, of_image = scale
        z += of_seed * rng.normal(size=(leading, seeds, 1))
        z += of_group * rng.normal(size=(leading, 1, len(sizes)))[..., groups]
        z += of_both * rng.normal(size=(leading, seeds, len(sizes)))[..., groups]
        z += of_image * rng.normal(size=(leading, 1, len(groups)))
    return rng.random(z.shape) < special.expit(z), groups


class Table(NamedTuple):
    """What is said of one draw."""

    estimates: list[Estimate]
    differences: list[Difference]
    """To the first method, p-values not adjusted."""

    def false(self, methods: int) -> bool:
        """Whether a table of the first so many methods calls one better or worse."""
        family = self.differences[: methods - 1]
        adjusted = holm([one.p for one in family])
        verdicts = (replace(one, adjusted_p=float(p)).verdict for one, p in zip(family, adjusted, strict=True))
        return any(verdict in ("better", "worse") for verdict in verdicts)


def table_of(hits: np.ndarray, groups: np.ndarray) -> Table:
    """Estimates of all methods and differences to the first one."""
    spreads = [spread_of_images(of_method, groups) for of_method in hits]
    return Table(
        [estimate_of(one) for one in spreads], [difference_of("recall", one, spreads[0]) for one in spreads[1:]]
    )


class Cell(NamedTuple):
    """What many draws show: shares of draws."""

    covered: float
    """Intervals of a recall that hold the truth."""
    covered_difference: float
    """Intervals of a difference that hold 0."""
    false: dict[int, float]
    """Tables of so many methods in which a difference is shown."""
    verdict: float
    """Draws with groups enough for a verdict."""


def simulate(
    population: Population, kind: str, n_groups: int, *, seeds: int, methods: int = 6, draws: int = 200, seed: int = 0
) -> Cell:
    """Draw tables and count."""
    rng = np.random.default_rng([seed, n_groups, seeds, SIZES.index(kind)])
    covered, held, enough = [], [], []
    false: dict[int, list[bool]] = {m: [] for m in range(2, methods + 1)}
    for _ in range(draws):
        table = table_of(*hits_of(rng, population, group_sizes(rng, kind, n_groups), methods, seeds))
        covered += [e.low <= population.share <= e.high for e in table.estimates]
        held += [d.low <= 0 <= d.high for d in table.differences]
        enough.append(table.differences[0].groups >= FEWEST_GROUPS)
        for m, found in false.items():
            found.append(table.false(m))
    return Cell(
        float(np.mean(covered)), float(np.mean(held)), {m: float(np.mean(f)) for m, f in false.items()}, np.mean(enough)
    )
