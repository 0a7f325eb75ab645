"""What a report says in sentences that depend on the numbers: no more than the verdicts allow."""

import math

import numpy as np

from careedu.experiment.results import Results
from careedu.measure.statistics import FEWEST_GROUPS, FEWEST_SEEDS, Difference
from careedu.show.style import of_measured

DASH, MINUS = "–", "−"
JUDGED = ("rare recall", "balanced accuracy")
"""The metrics that the summary speaks of."""
FEW_GROUPS = 20
"""Below about so many test groups of a class only large differences can be shown (our choice of where to warn)."""


def summary(results: Results) -> list[str]:
    """What the verdicts allow to say, in sentences.

    Parameters
    ----------
    results : Results

    Returns
    -------
    list of str
    """
    found = [(metric, results.estimate(results.reference, metric)) for metric in reversed(JUDGED)]
    levels = [f"{of_measured(metric, results)} {one}" for metric, one in found]
    lines = [f"The reference, {results.reference}, has {' and '.join(levels)} (mean over seeds, 95 % interval)."]
    if len(results.methods) == 1:
        return [*lines, "There is no other method to compare it with."]
    return [*lines, *(_judgement(results, metric) for metric in JUDGED)]


def _judgement(results: Results, metric: str) -> str:
    """The verdicts on one metric as a sentence or two."""
    found, metric = results.differences(metric), of_measured(metric, results)
    by_verdict: dict[str, dict[str, Difference]] = {}
    for name, one in found.items():
        by_verdict.setdefault(one.verdict, {})[name] = one
    if "too few seeds" in by_verdict:
        n = len(results.seeds)
        return (
            f"In {metric}, {number(n, 'seed')} {_verb(n)} too few to tell any method from {results.reference}: "
            f"at least {out_of_reach(results)} are needed."
        )
    if "too few groups" in by_verdict:
        return (
            f"In {metric}, the test groups of a class are too few to tell any method from {results.reference}: "
            f"it takes {FEWEST_GROUPS} of one size, or more of unequal size."
        )
    parts = []
    for verdict in ("better", "worse"):
        if shown := by_verdict.get(verdict, {}):
            each = (f"{name} {signed(d.effect)} [{signed(d.low)}, {signed(d.high)}]" for name, d in shown.items())
            parts.append(f"{len(shown)} {_verb(len(shown))} {verdict} ({', '.join(each)})")
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


def groups_of_classes(results: Results) -> dict[str, int]:
    """Number of groups of test images of each class."""
    return {name: len(np.unique(results.groups[results.labels == c])) for c, name in enumerate(results.classes)}


def few_groups(results: Results) -> list[str]:
    """A warning where classes have so few test groups that little can be shown."""
    sizes = groups_of_classes(results)
    lines = [
        f"{name} has no test images: nothing is known about it, and it is left out of averages."
        for name, n in sizes.items()
        if n == 0
    ]
    few = ", ".join(f"{name} {n}" for name, n in sizes.items() if 0 < n < FEW_GROUPS)
    if few:
        lines.append(
            f"Classes with less than about {FEW_GROUPS} test groups: {few}. Intervals that they have a part in are "
            f"wide, and below {FEWEST_GROUPS} groups of one size no method is called better or worse."
        )
    return lines


def plain(value: float, digits: int = 2) -> str:
    """A number with so many digits, a dash where it is not defined, "none" where there is no finite one."""
    return DASH if math.isnan(value) else "none" if math.isinf(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign, three digits."""
    return DASH if math.isnan(value) else f"{value:+.3f}".replace("-", MINUS)


def p_value(value: float) -> str:
    """A p-value, four digits, so that what lies beside .05 is not rounded to it."""
    return DASH if math.isnan(value) else "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def number(n: int, what: str) -> str:
    """So many of something: "1 class", "3 classes"."""
    plural = what + ("es" if what.endswith("ss") else "s")
    return f"{n} {what if n == 1 else plural}"


def _verb(n: int) -> str:
    return "is" if n == 1 else "are"
