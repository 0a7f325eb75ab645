"""How many patients it takes to show that one method finds more of a rare class than another; asked before training.

What is shown is what `careedu.measure.statistics.Difference.verdict` calls "better": the interval of the paired
difference, the sign-flip test over seeds and Holm's correction all say so.

**The model.** `careedu.measure.paired_shares` says how far the difference varies for a true difference d: by B between
seeds, by g between patients in the mean over their images and S seeds, of which R/S is the seeds' own on a patient.
With k patients the difference Y that is found is normal about d with V = V_seeds + V_groups − V_both,

    V_seeds = (B + R/k)/S,   V_groups = g/k,   V_both = R/(Sk).

A study estimates V_seeds with S−1 degrees of freedom and V_groups with 2/(2/(k−1) + κ₄/(k g²)), and this one together
with Y: their covariance is κ₃/k² (κ are the cumulants of a patient's mean). Given both estimates "better" is said above
one value of Y, the larger of

    t √V̂ (k+¼)/k, with V̂ and the degrees of freedom of `careedu.measure.crossed`, t of the level α = .05/(methods−1);
    √(S V̂_seeds) η + ½/(km(1+log₂K)), with m images each,

η being what the sign-flip test asks of S seeds where K of 2^S signs may be as far as what is seen, K = ⌊α 2^S/2⌋: about
t/√S (1 + .12/K) (1 + .21 z/√K), t of the level 2K/2^S and z a normal deviate. The last term is half an image, as a seed
without a difference counts against it. So the power is a mean of Φ((d−y)/√V), y being that value, over both estimates
and z, taken on a lattice of 144 points; the smallest difference is found by secants.

Sources: variance of s² and its covariance with a mean Cramér, Mathematical Methods of Statistics, 1946, section 27; χ²
as a cube of a normal deviate Wilson and Hilferty, PNAS 1931; the lattice Niederreiter, Random Number Generation and
Quasi-Monte Carlo Methods, 1992. η is fitted to exact counts; that, half an image, and Holm's correction taken at its
first step, as if no other method were better, are our choice.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from careedu.errors import InvalidInputError, check_number
from careedu.experiment.results import Results
from careedu.measure.crossed import DIFFERENCE, MORE, with_more
from careedu.measure.paired_shares import paired_spread, spread_found
from careedu.measure.statistics import FEWEST_GROUPS, FEWEST_SEEDS, LARGEST_FAMILY, MOST_EXACT

MOST_PATIENTS = 10**7
"""As good as all patients there are."""
AT_A_TIME = 8
"""So many numbers of patients are tried at once: a slider waits for what is found."""
_LIMITS = {"methods": f"whole [2, {LARGEST_FAMILY + 1}]", "power": "(0, 1)"}
_LIMITS |= dict.fromkeys(("images", "seeds"), "whole [1, inf)") | dict.fromkeys(("recall", "disagreement"), "(0, 1]")
# Equal steps, and multiples of powers of the root of x³ = x + 1.
_DEVIATES = ndtri((np.arange(144) + 0.5) / [[144], [1.32471795724], [1.32471795724**2]] % 1)


@dataclass(frozen=True)
class Design:
    """An experiment but for its patients; what each value is stands at :func:`smallest_difference`."""

    images: int = 1
    seeds: int = 10
    recall: float = 0.8
    disagreement: float = 0.5
    lasting: float = 0.2
    correlation: float = 0.5
    seed_spread: float = 0.03
    methods: int = 2
    power: float = 0.8

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_number(name, value, _LIMITS.get(name, "[0, 1]"))

    def signs(self) -> tuple[float, int, int]:
        """The level of one comparison, the signs that may be as far as what is seen, and all that are looked at."""
        level, signs = 0.05 / (self.methods - 1), 2 ** min(self.seeds, MOST_EXACT)
        return level, int(level * signs / 2 + 1e-9), signs


def smallest_difference(
    patients: int, images: int = 1, seeds: int = 10, *, recall: float = 0.8, **more: float
) -> float:
    """The smallest true difference in recall that would be shown with this probability.

    Parameters
    ----------
    patients, images : int
        Test patients of the rare class, and images of each. Where images are no patient's, each is a patient.
    seeds : int
    recall : float
        Of the baseline; the other method has more.
    **more
        disagreement : float, .5 by default
            How often just one of the two methods finds an image, as a share of how often that would be if they knew
            nothing of each other, 2·recall·(1 − recall): 1 − Cohen's κ. As if they were equally good, as all below.
        lasting : float, .2
            Share of the variance of the difference in one image that stays in its mean over many seeds.
        correlation : float, .5
            Of whether two images of a patient are found, in the mean over many seeds.
        seed_spread : float, .03
            Standard deviation of the paired difference of recall between seeds, with so many patients that they add
            nothing to it; no more counts than the disagreement leaves room for.
        methods : int, 2
            In the table, the baseline among them.
        power : float, .8
            How often the difference is shown.

    Returns
    -------
    float
        `inf` where none can be shown: fewer than six seeds or five patients, too few seeds for so many methods, or a
        recall above which there is no room.

    Raises
    ------
    InvalidInputError
        If an argument is no such number.

    Notes
    -----
    Saved runs of this package have a disagreement of .4 to .7, of which .05 to .25 lasts, and a seed_spread of .01 to
    .06 where no training fails; :func:`design_of` reads all of it off results. The equations,
    and their sources, stand at the top of this module and of `careedu.measure.paired_shares`. In simulations
    (`tests/unit/test_planner.py`) it is within .02 of what the verdicts show; between five and eight patients, where
    much hangs on each, at times within .03.
    """
    check_number("patients", patients, "whole [1, inf)")
    return float(smallest_differences(np.array([patients]), Design(images, seeds, recall, **more))[0])


def patients_needed(difference: float, images: int = 1, seeds: int = 10, *, recall: float = 0.8, **more: float) -> int:
    """The fewest patients with which :func:`smallest_difference` is at most this difference.

    Parameters
    ----------
    difference : float
        In (0, 1).
    images, seeds, recall, **more
        As there.

    Returns
    -------
    int

    Raises
    ------
    InvalidInputError
        If an argument is no such number, or no number of patients is enough; it says why.
    """
    check_number("difference", difference, "(0, 1)")
    design = Design(images, seeds, recall, **more)
    if _power(MOST_PATIENTS, difference, design) < design.power or difference > 1 - recall + 1e-9:
        least = smallest_differences(np.array([MOST_PATIENTS]), design)[0]
        why = f"{seeds} seeds in a table of {design.methods} methods show {least:.2g} at best: take more seeds"
        why = why.replace("inf at best", "none") if difference <= 1 - recall + 1e-9 else f"recall is {recall:g} already"
        raise InvalidInputError(f"no number of patients is enough to show a difference of {difference:g}: {why}")
    few, enough = FEWEST_GROUPS - 1, MOST_PATIENTS
    while enough - few > 1:
        tried = np.unique(np.geomspace(few + 1, enough - 1, AT_A_TIME).round().astype(int))
        first = int(np.append(_power(tried, difference, design) >= design.power, True).argmax())
        few, enough = int(np.append(few, tried)[first]), int(np.append(tried, enough)[first])
    return enough


def design_of(results: Results, method: str, reference: str | None = None) -> dict[str, float]:
    """The options of :func:`smallest_difference` that an experiment had, read off its results.

    So a small experiment says what a larger one could show:
    ``careedu.smallest_difference(40, **careedu.design_of(comparison, "CARE"))``.

    Parameters
    ----------
    results : Results
        Two seeds at least.
    method : str
    reference : str, optional
        The baseline; where it is left out, the results' own.

    Returns
    -------
    dict
        images (the median of a patient), seeds, recall, disagreement, lasting, correlation and seed_spread. A
        correlation of which patients of a single image say nothing is 0: it is not asked for then.

    Raises
    ------
    InvalidInputError
        If there are fewer than two seeds or rare test images, or both methods find the same.

    Notes
    -----
    `careedu.measure.paired_shares.spread_found` has the equations.
    """
    rare, reference = np.isin(results.labels, results.rare_indices), reference or results.reference
    found = [
        results.probabilities(name).argmax(axis=2)[:, rare] == results.labels[rare] for name in (method, reference)
    ]
    if min(found[0].shape) < 2 or (found[0] == found[1]).all():
        seeds, images = found[0].shape
        alike = f"{method!r} and {reference!r} never differ on {images} rare test images with {seeds} seeds"
        raise InvalidInputError(f"{alike}, so how far they would is not known: take more of both, or other methods")
    return spread_found(*found, results.groups[rare])


def smallest_differences(patients: np.ndarray, design: Design) -> np.ndarray:
    """As :func:`smallest_difference`, of several numbers of patients at once, float64 (N,)."""
    room, found = 1 - design.recall, np.full(len(patients), np.inf)
    at_best = _power(np.maximum(patients, FEWEST_GROUPS), room, design)
    enough = (at_best >= design.power) & (patients >= FEWEST_GROUPS)

    def above(difference: np.ndarray) -> np.ndarray:
        # As normal deviates: nearly a line, of which a secant soon finds the root.
        power = _power(patients[enough], difference, design)
        return ndtri(np.clip(power, 1e-15, 1 - 1e-15)) - ndtri(design.power)

    low, high, before = np.zeros(enough.sum()), np.full(enough.sum(), room), False
    at_low, at_high = above(low), above(high)
    while (wide := high - low > 1e-6).any():  # each by itself, so that it does not matter which are asked for together
        middle = low + (high - low) * np.clip(at_low / np.minimum(at_low - at_high, -1e-9), 1e-3, 1 - 1e-3)
        shown = (at := above(middle)) >= 0
        # An end that stays twice counts half, so that both close in (Illinois method, Dowell and Jarratt 1971).
        at_low = np.where(shown, np.where(before, at_low / 2, at_low), at)
        at_high = np.where(shown, at, np.where(before, at_high, at_high / 2))
        low, high, before = np.where(wide & ~shown, middle, low), np.where(wide & shown, middle, high), shown
    found[enough] = low
    return found


def _power(patients: np.ndarray | int, difference: np.ndarray | float, design: Design) -> np.ndarray:
    """How often a difference is shown with so many patients, float64 (N,), see the top of this module."""
    k, d = (np.array(values, dtype=np.float64, ndmin=1)[:, None] for values in (patients, difference))
    (level, signs, of_signs), s, m = design.signs(), design.seeds, design.images
    if s < FEWEST_SEEDS or not signs or design.recall == 1:
        return np.zeros(len(k))
    at, rows = paired_spread(*list(vars(design).values())[:7])
    by_seed, of_group, rest, third, fourth = (np.interp(d, at, row) for row in rows)
    by_seeds, by_groups, both = (by_seed + rest / k) / s, of_group / k, rest / k / s
    variance = by_seeds + by_groups - both
    # Variance of the estimate of a group's, as a share of its square, and how it goes with Y.
    own = np.maximum(2 / (k - 1) + fourth / of_group**2 / k, 0.2 / (k - 1))
    tilt = np.clip(third / of_group / k / np.sqrt(own * variance), -0.95, 0.95)
    seen_seeds, seen_groups = (
        value * np.maximum(1 - part / 9 + deviate * np.sqrt(part / 9), 0.1) ** 3
        for value, part, deviate in ((by_seeds, 2 / (s - 1), _DEVIATES[0]), (by_groups, own, _DEVIATES[1]))
    )
    _, seen_groups = with_more(d - ndtri(design.power) * np.sqrt(variance), seen_groups, k, DIFFERENCE)
    seen = np.maximum(seen_seeds + seen_groups - np.minimum(both, np.minimum(seen_seeds, seen_groups)), 0)
    freedom = np.clip(seen**2 / (seen_seeds**2 / (s - 1) + seen_groups**2 / (k - 1)), np.minimum(s, k) - 1, k - 1)
    over = np.linspace(1e-9, 1 / (FEWEST_GROUPS - 1), 17)
    by_t = np.interp(1 / freedom, over, stdtrit(1 / over, 1 - level / 2)) * np.sqrt(seen) * (1 + MORE / k)
    eta = stdtrit(s - 1, 1 - signs / of_signs) * (1 + 0.12 / signs) * (1 + 0.21 * _DEVIATES[2] / np.sqrt(signs))
    by_flips = eta * np.sqrt(seen_seeds) + 0.5 / k / m / (1 + np.log2(signs))
    reach = (d - np.maximum(by_t, by_flips)) / np.sqrt(variance) + tilt * _DEVIATES[1]
    return ndtr(reach / np.sqrt(1 - tilt**2)).mean(axis=1)
