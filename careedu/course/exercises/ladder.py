"""An exercise that asks what the steps of a ladder of methods buy, each over the one before."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import EllipsisType
from typing import Any

import pandas

from careedu.course.exercises.choices import named_options
from careedu.course.exercises.contained import shown
from careedu.course.exercises.exercise import Exercise, Nearly, as_numbers
from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.measure.statistics import FEWEST_GROUPS, FEWEST_SEEDS, holm

BEFORE, FIRST = "to the step before", "to the first"
_PARTS = ("difference", "low", "high", "p")
COLUMNS = pandas.MultiIndex.from_tuples([("mean", ""), *((kind, part) for kind in (BEFORE, FIRST) for part in _PARTS)])
"""Of a `ladder_table`."""
_HELPS = {"helps", "better", "shown"}
_OPEN, _NOTHING = {"not shown", "no difference shown", "unknown", "?"}, {"no effect"}
_ROUNDED = 0.0051


def ladder_table(results: Results, steps: Sequence[str], metric: str = "rare recall") -> pandas.DataFrame:
    """Each step of a ladder beside the step before, and beside the first.

    Parameters
    ----------
    results : Results
    steps : sequence of str
        Names of methods, from the first on.
    metric : str
        One of which more is better.

    Returns
    -------
    DataFrame
        A row a step; columns ("mean", "") and (`BEFORE` | `FIRST`, "difference" | "low" | "high" | "p"), p adjusted by
        Holm over the rows; NaN in the first row.

    Raises
    ------
    InvalidInputError
        If a method is not there, or seeds or test groups are too few for any verdict.
    """
    rows = {BEFORE: list(pairwise(steps)), FIRST: [(steps[0], step) for step in steps[1:]]}
    columns: dict[tuple[str, str], list[float]] = {("mean", ""): [results.estimate(s, metric).estimate for s in steps]}
    for kind, pairs in rows.items():
        found = [results.difference(step, other, metric) for other, step in pairs]
        if any(one.seeds < FEWEST_SEEDS or one.groups < FEWEST_GROUPS for one in found):
            raise InvalidInputError(
                f"these results have too few seeds or test groups for a verdict: it takes {FEWEST_SEEDS} and "
                f"{FEWEST_GROUPS}"
            )
        values = zip(*((d.effect, d.low, d.high) for d in found), strict=True)
        for part, column in zip(_PARTS, [*values, holm([d.p for d in found])], strict=True):
            columns[kind, part] = [math.nan, *map(float, column)]
    return pandas.DataFrame(columns, index=pandas.Index(steps, name="step"))


@dataclass(eq=False, repr=False, kw_only=True)
class LadderExercise(Exercise):
    """Which steps of a ladder are shown to help, and by how much.

    The answer is a dict from step to gain. What is not shown is left out, or said to be "not shown".

    Parameters
    ----------
    name : str
    steps : tuple of str
        Names of the ladder's methods, from the first on.
    table : DataFrame
        As `ladder_table` gives it: what is asked about until `read` is given results.
    **texts
        As for `Exercise`.
    """

    code: str = field(init=False)
    steps: tuple[str, ...]
    table: pandas.DataFrame

    def __post_init__(self) -> None:
        self._ask(self.table)

    def read(self, results: Results, metric: str = "rare recall") -> pandas.DataFrame:
        """Ask about these results from now on; returns their `ladder_table`."""
        self._ask(ladder_table(results, self.steps, metric))
        return self.table

    def _ask(self, table: pandas.DataFrame) -> None:
        self.table, self.state = table, "not yet"
        gains = table[BEFORE].loc[_shown(table[BEFORE]), "difference"].round(3)
        self.code = f"{self.name} = {json.dumps(gains.to_dict(), ensure_ascii=False)}"

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a reading is wrong."""
        steps = self.steps[1:]
        try:
            said = named_options(answer, steps, {"class balanced loss": steps[-1]})
            if said is ...:
                return ...
            gains = {step: _gain(step, value) for step, value in said.items()}
        except InvalidInputError as error:
            return str(error)
        before, right = self.table[BEFORE], _shown(self.table[BEFORE])
        for step, gain in gains.items():
            low, high = before.loc[step, ["low", "high"]]
            if gain == 0 and low <= 0 <= high:
                return (
                    f'No effect of "{step}" is more than these runs show: the interval from {low:+.3f} to {high:+.3f} '
                    "holds 0, and all else between as well. Where nothing is shown leave the step out, or say "
                    '"not shown".'
                )
        gains = {step: gain for step, gain in gains.items() if gain is not None}
        if set(gains) != set(before.index[right]):
            return self._which(set(gains))
        for step, gain in gains.items():
            if gain is not True and (wrong := self._how_much(step, gain)):
                return wrong
        if any(gain is True for gain in gains.values()):
            return Nearly("These are the steps. By how much does each help? Give a dict, from step to gain.")
        return None

    def _which(self, chosen: set[str]) -> str:
        """Why these are not the steps that are shown to help."""
        before, first = self.table[BEFORE], self.table[FIRST]
        recognised = {
            "Those are all steps with a larger mean than the step before. By chance alone every second step has one: "
            "what do interval and adjusted p say?": before["difference"] > 0,
            f'Those are better than "{self.steps[0]}", with all in them that came before. What a step buys is its '
            "difference to the step before.": _shown(first),
            "Those have an interval above 0. Several steps are looked at, and with each the chance grows that one "
            "interval misses: the adjusted p has to be at most .05 as well.": before["low"] > 0,
            "Those are shown to differ, and not all for the better: look at the sign.": before["p"] <= 0.05,
        }
        for why, mistaken in recognised.items():
            if chosen == set(before.index[mistaken]):
                return why
        for step, row in before.loc[[s for s in self.steps if s in chosen]].iterrows():
            if row["low"] <= 0:
                return f'"{step}" is not shown to help: its interval begins at {row["low"]:+.3f}, which is not above 0.'
            if row["p"] > 0.05:
                return f'"{step}" is not shown to help: its interval is above 0, but the adjusted p is {row["p"]:.3f}.'
        return "At least one is missing: take each whose interval is above 0 and whose adjusted p is at most .05."

    def _how_much(self, step: str, gain: float) -> str | None:
        """Why that is not the step's gain."""
        row, right = self.table.loc[step], self.table.loc[step, (BEFORE, "difference")]
        if abs(gain - right) <= _ROUNDED:
            return None
        if abs(gain - 100 * right) <= 100 * _ROUNDED:
            return Nearly("Right, in percentage points. The table has shares; give those.")
        recognised = {
            f'That is the difference to "{self.steps[0]}", in which the steps before have a part. Take that to the '
            "step before.": row[FIRST, "difference"],
            "That is the mean itself. How much larger is it than that of the step before?": row["mean", ""],
            "That is the lower end of the interval; the difference lies within.": row[BEFORE, "low"],
            "That is the upper end of the interval; the difference lies within.": row[BEFORE, "high"],
            "The sign is the other way round: it is this step less the one before.": -right,
            "That is the p-value. It says how sure the gain is, not how large.": row[BEFORE, "p"],
        }
        told = (why for why, value in recognised.items() if abs(gain - value) <= _ROUNDED)
        return f'"{step}": {next(told, f"{gain:g} is another number. Look in its row, below {BEFORE!r}.")}'


def _shown(differences: pandas.DataFrame) -> pandas.Series:
    return (differences["low"] > 0) & (differences["p"] <= 0.05)


def _gain(step: str, value: Any) -> float | bool | None:
    """What is said of a step: its gain, True where it only helps, None where nothing is shown."""
    if isinstance(value, str) and (word := " ".join(value.lower().split())) in _HELPS | _OPEN | _NOTHING:
        return True if word in _HELPS else None if word in _OPEN else 0.0
    if value is None or isinstance(value, bool):
        return value or None
    numbers = as_numbers(value.replace("−", "-") if isinstance(value, str) else value)
    if numbers.size != 1:
        raise InvalidInputError(f'For "{step}" this says {shown(value)}. One number is asked for, the gain.')
    number = float(numbers.reshape(()))
    return None if math.isnan(number) else number
