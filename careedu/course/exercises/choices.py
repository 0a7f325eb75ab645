"""Exercises that ask which of several are meant, and the reading of answers that name some of several.

And those that ask which control of an experiment could refute which claim.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

import numpy as np

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


def _by_first_name(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Options "name | other name | …" by their first names; and of each other name the first one."""
    named = [(key.split(" | "), text) for key, text in options.items()]
    others = {other: names[0] for names, _ in named for other in names[1:]}
    return {names[0]: text for names, text in named}, others


@dataclass(eq=False, repr=False, kw_only=True)
class ChoiceExercise(Exercise):
    """Which of several have a property that is measured when an answer is checked.

    Parameters
    ----------
    name : str
    options : mapping of str to str
        Option → what to say to whoever gets it wrong, without its name. Other names stand behind the first, in lower
        case: "name | other name". They are read as it, and are `aliases` of it.
    measure : callable
        Gives of each option a share: it has the property where that is below `bound`.
    bound : float
    measured : str
        The words for it, such as "the class of {share} is still told after it".
    other_way : str
        Said to whoever names exactly those that do not have the property.
    **texts
        As for `Exercise`.
    """

    options: Mapping[str, str]
    measure: Callable[[], Mapping[str, float]]
    bound: float
    measured: str
    other_way: str

    def __post_init__(self) -> None:
        self.options, self.aliases = _by_first_name(self.options)

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


@dataclass(eq=False, repr=False, kw_only=True)
class ControlExercise(Exercise):
    """Which arm of an experiment could refute each of several claims, or what else belongs to what.

    The answer is a dict from the claim's short name to the arm's, or the arms in a list in the order of the claims.

    Parameters
    ----------
    name : str
    asked, given : (str, str)
        What claims and arms are called, one and several, where they are something else.
    claims : mapping of str to (str or tuple of str, str)
        Short name of a claim → the arm that could refute it, or each of several, the solution's first; and what to
        look for, said to whoever names another.
    arms : mapping of str to str
        Arm → what it is, as the end of a sentence that begins with "It". More of them than claims. Other names stand
        behind the first, as in `ChoiceExercise`.
    method : str
        What a name of an arm may begin with, in lower case.
    **texts
        As for `Exercise`.
    """

    code: str = field(init=False)
    claims: Mapping[str, tuple[str | tuple[str, ...], str]]
    arms: Mapping[str, str]
    method: str = ""
    asked: tuple[str, str] = ("claim", "claims")
    given: tuple[str, str] = ("arm", "arms")

    def __post_init__(self) -> None:
        self.arms, self.aliases = _by_first_name(self.arms)
        self.accepted = {claim: (arms,) if isinstance(arms, str) else arms for claim, (arms, _) in self.claims.items()}
        self.right = {claim: arms[0] for claim, arms in self.accepted.items()}
        lines = (f'    "{claim}": "{arm}",' for claim, arm in self.right.items())
        self.code = "\n".join([f"{self.name} = {{", *lines, "}"])

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a pairing is wrong; of several wrong ones, the first in the order of the claims."""
        (one, several), (_, arms) = self.asked, self.given
        names, count = ", ".join(f'"{claim}"' for claim in self.claims), len(self.claims)
        if isinstance(answer, np.ndarray) and answer.size <= len(self.arms):
            answer = answer.tolist()
        if isinstance(answer, Mapping):
            chosen = {_plain(claim): value for claim, value in answer.items()}
            if set(chosen) == set(self.right.values()):
                return f"The dict is the other way round: its keys are the {several}, {names}."
            if set(chosen) != set(self.claims):
                return f"The keys of the dict are the {count} {several}: {names}."
        elif isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
            if len(answer) != count:
                return f"{count} {arms} are asked for, one for each {one}; here are {len(answer)}."
            chosen = dict(zip(self.claims, answer, strict=True))
        else:
            return f"This is a {type(answer).__name__}. Give a dict with one of the {arms} for each {one}: {names}."
        if any(value is ... for value in chosen.values()):
            return ...
        named = {claim: self._arm(chosen[claim]) for claim in self.claims}
        for claim, name in named.items():
            if name not in self.arms:
                return f'{shown(chosen[claim])}, for "{claim}", is none of the {arms}: {", ".join(self.arms)}.'
        wrong = [claim for claim in self.claims if named[claim] not in self.accepted[claim]]
        if not wrong:
            return None
        name, (_, look) = named[wrong[0]], self.claims[wrong[0]]
        if len(set(named.values())) == 1:
            return f'"{name}" for all? Each {one} has one of the {arms} for itself.'
        told = f'{count - len(wrong)} of {count} are right. {one.capitalize()} "{wrong[0]}", with "{name}":'
        return f"{told} It {self.arms[name]}. {look}"

    def _arm(self, name: Any) -> str:
        """An arm's name as in `arms`, from any way of writing it."""
        plain = _plain(name).removeprefix(self.method).lstrip(", ")
        return self.aliases.get(plain, plain)


def _plain(name: Any) -> str:
    return " ".join(name.lower().split()) if isinstance(name, str) else shown(name)
