"""Exercises that ask which control of an experiment could refute which claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from careedu.course.exercises.exercise import WORDS, Exercise

_COUNTS = {number: word for word, number in WORDS.items()}


class ControlExercise(Exercise):
    """Which arm of an experiment could refute each of several claims.

    The answer is a dict from the claim's short name to the arm's, or the arms in a list in the order of the claims.

    Parameters
    ----------
    name : str
    claims : mapping of str to str
        Short name and claim; at most five.
    arms : sequence of str
        More of them than claims.
    right : mapping of str to str
        Claim → arm.
    wrong : mapping of (str, str) to str
        (claim, arm) → why that arm cannot refute that claim, for every wrong pair.
    aliases : mapping of str to str
        Other names of arms, in lower case.
    method : str
        What a name of an arm may begin with, in lower case.
    **texts
        As for `Exercise`.
    """

    def __init__(
        self,
        name: str,
        *,
        claims: Mapping[str, str],
        arms: Sequence[str],
        right: Mapping[str, str],
        wrong: Mapping[tuple[str, str], str],
        aliases: Mapping[str, str],
        method: str,
        **texts: Any,
    ) -> None:
        super().__init__(name, **texts)
        self.claims, self.arms, self.right = dict(claims), tuple(arms), dict(right)
        self.wrong, self.aliases, self.method = dict(wrong), dict(aliases), method

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a pairing is wrong; of several wrong ones, the first in the order of the claims."""
        names = ", ".join(f'"{claim}"' for claim in self.claims)
        count = _COUNTS[len(self.claims)]
        if isinstance(answer, np.ndarray):
            answer = answer.tolist()
        if isinstance(answer, Mapping):
            chosen = {_plain(claim): arm for claim, arm in answer.items()}
            if set(chosen) == set(self.right.values()):
                return f"The dict is the other way round: its keys are the claims, {names}."
            if set(chosen) != set(self.claims):
                return f"The keys of the dict are the {count} claims: {names}."
        elif isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
            if len(answer) != len(self.claims):
                return f"{count.capitalize()} arms are asked for, one for each claim; here are {len(answer)}."
            chosen = dict(zip(self.claims, answer, strict=True))
        else:
            return f"This is a {type(answer).__name__}. Give a dict with an arm for each claim: {names}."
        if any(arm is ... for arm in chosen.values()):
            return ...
        arms = {claim: self._arm(chosen[claim]) for claim in self.claims}
        for claim, arm in arms.items():
            if arm not in self.arms:
                return f'{chosen[claim]!r}, for "{claim}", is none of the arms: {", ".join(self.arms)}.'
        right = [claim for claim in self.claims if arms[claim] == self.right[claim]]
        if len(right) == len(self.claims):
            return None
        if len(set(arms.values())) == 1:
            arm = next(iter(arms.values()))
            return f'"{arm}" for all {count}? Each claim has an arm of its own, which differs in that one thing.'
        claim = next(claim for claim in self.claims if claim not in right)
        told = f"{len(right)} of {len(self.claims)} are right. " if right else f"None of the {count} is right. "
        return f'{told}Claim "{claim}", with "{arms[claim]}": {self.wrong[claim, arms[claim]]}'

    def _arm(self, name: Any) -> str:
        """An arm's name as in `arms`, from any way of writing it."""
        plain = _plain(name).removeprefix(self.method).lstrip(", ")
        return self.aliases.get(plain, plain)


def _plain(name: Any) -> str:
    return " ".join(name.lower().split()) if isinstance(name, str) else repr(name)
