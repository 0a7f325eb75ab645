"""What a report says in sentences: no more than the verdicts allow, and what the results do not tell."""

from __future__ import annotations

import math

import numpy as np

from careedu.experiment.results import Results
from careedu.measure.statistics import FEWEST_SEEDS, Difference

DASH = "–"
MINUS = "−"
JUDGED = ("rare recall", "balanced accuracy")
"""The metrics that the summary speaks of."""
FEW_GROUPS = 20
"""Below about so many test groups of a class intervals cover less than they say (our choice of where to warn)."""


def summary(results: Results) -> list[str]:
    """What the verdicts allow to say, in sentences.

    Parameters
    ----------
    results : Results

    Returns
    -------
    list of str
    """
    levels = []
    for metric in reversed(JUDGED):
        one = results.estimate(results.reference, metric)
        levels.append(f"{metric} {plain(one.estimate)} [{plain(one.low)}, {plain(one.high)}]")
    lines = [f"The reference, {results.reference}, has {' and '.join(levels)} (mean over seeds, 95 % interval)."]
    if len(results.methods) == 1:
        return [*lines, "There is no other method to compare it with."]
    return [*lines, *(_judgement(results, metric) for metric in JUDGED)]


def _judgement(results: Results, metric: str) -> str:
    """The verdicts on one metric as a sentence or two."""
    found = results.differences(metric)
    by_verdict: dict[str, dict[str, Difference]] = {}
    for name, one in found.items():
        by_verdict.setdefault(one.verdict, {})[name] = one
    if "too few seeds" in by_verdict:
        n = len(results.seeds)
        return (
            f"In {metric}, {number(n, 'seed')} {_verb(n)} too few to tell any method from {results.reference}: "
            f"at least {out_of_reach(results)} are needed."
        )
    parts = []
    for verdict in ("better", "worse"):
        if shown := by_verdict.get(verdict, {}):
            listed = ", ".join(f"{name} {_with_interval(one)}" for name, one in shown.items())
            parts.append(f"{len(shown)} {_verb(len(shown))} {verdict} ({listed})")
    missed = by_verdict.get("no difference shown", {})
    compared = f"In {metric}, of {number(len(found), 'method')} compared with {results.reference}, "
    if missed and not parts:
        line = f"In {metric}, no method is shown to differ from {results.reference} ({', '.join(missed)})."
    elif missed:
        line = f"{compared}{'; '.join(parts)}; for {len(missed)} no difference is shown ({', '.join(missed)})."
    else:
        return f"{compared}{'; '.join(parts)}."
    if needed := out_of_reach(results):
        return f"{line} None could have been, however large: it takes {needed} seeds."
    smallest = [one.smallest for one in missed.values()]
    if not all(np.isfinite(smallest)):
        return f"{line} With a single test group of a class none could have been."
    low, high = (plain(end) for end in (min(smallest), max(smallest)))
    size = low if low == high else f"{low} to {high}, depending on the method,"
    return (
        f"{line} That does not mean that there is none: true differences below about {size} are found less than four "
        "times in five with these seeds and test images."
    )


def out_of_reach(results: Results) -> int:
    """How many seeds it takes for any difference to be shown, where there are fewer; else 0.

    The smallest p-value that S seeds can have is 2/2^S, and Holm multiplies the smallest of m by m.
    """
    compared = len(results.methods) - 1
    needed = max(FEWEST_SEEDS, math.ceil(math.log2(2 * compared / 0.05))) if compared else 0
    return needed if len(results.seeds) < needed else 0


def _with_interval(one: Difference) -> str:
    return f"{signed(one.effect)} [{signed(one.low)}, {signed(one.high)}]"


def few_groups(results: Results) -> list[str]:
    """A warning where classes have so few test groups that intervals are not to be relied on."""
    sizes = {name: len(np.unique(results.groups[results.labels == c])) for c, name in enumerate(results.classes)}
    lines = [
        f"{name} has no test images: nothing is known about it, and it is left out of averages."
        for name, n in sizes.items()
        if n == 0
    ]
    few = ", ".join(f"{name} {n}" for name, n in sizes.items() if 0 < n < FEW_GROUPS)
    if few:
        lines.append(
            f"Classes with less than about {FEW_GROUPS} test groups: {few}. Intervals that they have a part in may "
            "cover less often than 95 times in 100."
        )
    return lines


def limits(results: Results) -> list[str]:
    """What these results do not tell.

    Parameters
    ----------
    results : Results

    Returns
    -------
    list of str
    """
    sizes = {c: len(np.unique(results.groups[results.labels == c])) for c in range(len(results.classes))}
    rarest = min(sizes, key=sizes.__getitem__)
    name = results.first.configuration["data"]["name"]
    singles = len(np.unique(results.groups)) == len(results.groups)
    lines = [
        "The intervals cover other seeds and other test groups of the same source. They know nothing of other "
        "hospitals, devices or populations, nor of wrong labels.",
        f"The class with the fewest test groups is {results.classes[rarest]}, with {sizes[rarest]}. The fewer there "
        "are, the less the intervals can be relied on.",
        "The numbers are those of the network after the last epoch; none was chosen by its validation results.",
        "careedu.compare tunes nothing: each method has the options that stand beside it above, and might do better "
        "or worse with others. Whether anybody chose them with these test images in view, the runs cannot tell.",
        "p is adjusted for the number of methods within one metric, not for the number of metrics: of many verdicts a "
        "few may be chance.",
        "“No difference shown” is not “no difference”: how large a difference had to be to be found stands beside it.",
        "Other networks, more epochs or more images may rank the methods otherwise.",
    ]
    if singles:
        alone = "Every test image is a group of its own. If several are of one patient, the intervals are too narrow."
        lines.insert(1, alone)
    if len(results.seeds) == 1:
        lines.insert(
            1, "With one seed the intervals cover test groups only; another seed may give quite other numbers."
        )
    if name.startswith("phantom"):
        lines.insert(0, "These are phantoms, drawn by careedu, and not patients: what holds here need not hold there.")
    return lines


def plain(value: float, digits: int = 2) -> str:
    """A number with so many digits, a dash where it is not defined, "none" where there is no finite one."""
    if math.isnan(value):
        return DASH
    return "none" if math.isinf(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign, three digits."""
    return DASH if math.isnan(value) else f"{value:+.3f}".replace("-", MINUS)


def p_value(value: float) -> str:
    """A p-value, four digits, so that what lies beside .05 is not rounded to it."""
    if math.isnan(value):
        return DASH
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def number(n: int, what: str) -> str:
    """So many of something: "1 class", "3 classes"."""
    plural = what + ("es" if what.endswith("ss") else "s")
    return f"{n} {what if n == 1 else plural}"


def _verb(n: int) -> str:
    return "is" if n == 1 else "are"
