"""Exercises that ask which control of an experiment could refute which claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

import numpy as np

from careedu.course.exercises.contained import shown
from careedu.course.exercises.exercise import Exercise


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
        Arm → what it is, as the end of a sentence that begins with "It". More of them than claims.
    aliases : mapping of str to str
        Other names of arms, in lower case.
    method : str
        What a name of an arm may begin with, in lower case.
    **texts
        As for `Exercise`.
    """

    code: str = field(init=False)
    claims: Mapping[str, tuple[str | tuple[str, ...], str]]
    arms: Mapping[str, str]
    aliases: Mapping[str, str]
    method: str = ""
    asked: tuple[str, str] = ("claim", "claims")
    given: tuple[str, str] = ("arm", "arms")

    def __post_init__(self) -> None:
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
