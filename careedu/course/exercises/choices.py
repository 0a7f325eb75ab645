"""Exercises that ask which of several are meant, and the reading of answers that name some of several."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from careedu.course.exercises.contained import shown
from careedu.course.exercises.exercise import MOST, Exercise
from careedu.errors import InvalidInputError


def named_options(
    answer: Any, options: Sequence[str], aliases: Mapping[str, str] | None = None
) -> dict[str, Any] | EllipsisType:
    """Which of several options an answer names, and what it says of each: True where it only names it.

    Parameters
    ----------
    answer : object
        A dict or Series from name to value; pairs of both; names in a list, tuple, set, array or text with commas; or a
        value for each option in their order. "none" is none of them.
    options : sequence of str
    aliases : mapping of str to str
        Other names, in lower case.

    Returns
    -------
    dict of str to object
        `...` where the answer still has one.

    Raises
    ------
    InvalidInputError
        If it is nothing of that, or names something else.
    """
    kind, listing = type(answer).__name__, ", ".join(f'"{option}"' for option in options)
    if isinstance(answer, str):
        answer = [part for part in re.split(r"[,;\n]", answer) if plain(part) not in ("", "none")]
    elif hasattr(answer, "to_dict"):
        answer = answer.to_dict()
    elif getattr(answer, "ndim", 0) and len(answer) <= MOST:
        answer = answer.tolist()
    if not isinstance(answer, Mapping | Set | list | tuple) or len(answer) > MOST:
        raise InvalidInputError(f"This is a {kind}. Give a list of names out of: {listing}.")
    if isinstance(answer, Mapping):
        pairs = list(answer.items())
    elif answer and all(isinstance(part, list | tuple) and len(part) == 2 for part in answer):
        pairs = [tuple(part) for part in answer]
    elif len(answer) == len(options) and isinstance(answer, list | tuple) and not all(map(_is_text, answer)):
        pairs = list(zip(options, answer, strict=True))
    else:
        pairs = [(part, True) for part in answer]
    if any(part is ... for pair in pairs for part in pair):
        return ...
    names = {plain(option): option for option in options} | dict(aliases or {})
    for name, _ in pairs:
        if not _is_text(name) or plain(name) not in names:
            raise InvalidInputError(f"{shown(name)} is none of these: {listing}.")
    return {names[plain(name)]: value for name, value in pairs}


def plain(name: str) -> str:
    """A name in lower case, without a plus before it, with hyphens and underscores as spaces."""
    return " ".join(re.sub(r"[-_+]", " ", name.lower()).split())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


@dataclass(eq=False, repr=False, kw_only=True)
class ChoiceExercise(Exercise):
    """Which of several have a property that is measured when an answer is checked.

    Parameters
    ----------
    name : str
    options : mapping of str to str
        Option → what to say to whoever gets it wrong, without its name.
    measure : callable
        Gives of each option a share: it has the property where that is below `bound`.
    bound : float
    measured : str
        The words for it, such as "the class of {share} is still told after it".
    aliases : mapping of str to str
        Other names of options, in lower case.
    other_way : str
        Said to whoever names exactly those that do not have the property.
    **texts
        As for `Exercise`.
    """

    options: Mapping[str, str]
    measure: Callable[[], Mapping[str, float]]
    bound: float
    measured: str
    aliases: Mapping[str, str]
    other_way: str

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a choice is wrong; of several faults, the first that is named wrongly, then one that is missing."""
        try:
            said = named_options(answer, tuple(self.options), self.aliases)
        except InvalidInputError as error:
            return str(error)
        if said is ...:
            return ...
        for option, value in said.items():
            if not isinstance(value, bool | int | float) or value not in (0, 1):
                return (
                    f'For "{option}" this says {shown(value)}. Name those that are meant, or say True or False of each.'
                )
        shares = self.measure()
        right = {option for option in self.options if shares[option] < self.bound}
        chosen = {option for option, value in said.items() if value}
        if chosen == right:
            return None
        if chosen == set(self.options) - right:
            return self.other_way
        count = sum((option in chosen) == (option in right) for option in self.options)
        told = f"Of {count} of {len(self.options)} you are right."
        for option in self.options:
            if option in chosen - right:
                return (
                    f'{told} "{option}": {self.measured.format(share=f"{shares[option]:.0%}")}. {self.options[option]}'
                )
        missing = next(option for option in self.options if option in right - chosen)
        return f"{told} One is missing. {self.options[missing]}"
