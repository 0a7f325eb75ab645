"""Exercises whose answer is a function: it is called on inputs of ours, and its results are compared.

A typical mistake is given as a function too, which makes it. Where an answer gives what the mistake gives, on all
inputs, that is what went wrong, and the reader is told so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import torch

from careedu.course.exercises.exercise import Exercise, as_numbers
from careedu.errors import InvalidInputError

Arguments = tuple[Any, ...]
Results = list[np.ndarray]


def as_tensors(arguments: Arguments) -> Arguments:
    """Arguments whose arrays are tensors."""
    return tuple(torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else copy.deepcopy(a) for a in arguments)


def as_arrays(arguments: Arguments) -> Arguments:
    """Arguments whose arrays stay what they are."""
    return copy.deepcopy(arguments)


def as_lists(arguments: Arguments) -> Arguments:
    """Arguments whose arrays are lists."""
    return tuple(a.tolist() if isinstance(a, np.ndarray) else copy.deepcopy(a) for a in arguments)


class FunctionExercise(Exercise):
    """A question whose answer is a function.

    Parameters
    ----------
    name : str
    cases : sequence of tuples
        The inputs it is called with: float or int arrays, numbers, dicts. Copies of them: whatever the answer does to
        its arguments, ours stay.
    right : callable
        What it should compute, from the same arguments as NumPy arrays.
    mistakes : sequence of (callable, str)
        Functions that go wrong in a typical way, and what to say then.
    properties : sequence of callables
        ``test(results, cases)`` gives a reason or None: what is wrong with results that no mistake explains.
    last : sequence of callables
        ``test(answer)`` gives a reason or None, asked of a function whose results are right.
    expected : str
        What kind of result it is, said where nothing is recognised.
    forms : sequence of callables
        How arguments are handed over; where an answer raises an error with the first, the next is tried.
    tolerance : float
        Relative; float32 should do.
    **texts
        As for `Exercise`.
    """

    def __init__(
        self,
        name: str,
        *,
        cases: Sequence[Arguments],
        right: Callable[..., Any],
        mistakes: Sequence[tuple[Callable[..., Any], str]],
        expected: str,
        properties: Sequence[Callable[[Results, Sequence[Arguments]], str | None]] = (),
        last: Sequence[Callable[[Callable[..., Any]], str | None]] = (),
        forms: Sequence[Callable[[Arguments], Arguments]] = (as_tensors, as_arrays, as_lists),
        tolerance: float = 1e-3,
        **texts: Any,
    ) -> None:
        super().__init__(name, **texts)
        self.cases, self.right, self.mistakes, self.expected = tuple(cases), right, tuple(mistakes), expected
        self.properties, self.last, self.forms, self.tolerance = tuple(properties), tuple(last), tuple(forms), tolerance

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a function is wrong."""
        if not callable(answer):
            kind = type(answer).__name__
            return f"A function is asked for, and this is a {kind}. Hand over `{self.name}` itself, without calling it."
        outcome = self._called(answer)
        if not isinstance(outcome, list):
            return outcome
        try:
            results = [as_numbers(result) for result in outcome]
        except InvalidInputError as error:
            return f"The result cannot be used. {error} Expected is {self.expected}."
        wanted = self._results_of(self.right)
        if self._agree(results, wanted):
            return next((why for test in self.last if (why := test(answer))), None)
        for mistake, why in self.mistakes:
            if self._agree(results, self._results_of(mistake)):
                return why
        for result, want in zip(results, wanted, strict=True):
            if result.shape != want.shape and (want.ndim or result.size != 1):
                kind = f"shape {want.shape}" if want.ndim else "one number"
                return f"The result has shape {result.shape}, where {kind} is asked for: {self.expected}."
            if not np.isfinite(result).all():
                return "The result holds NaN or infinity: is there a division by zero, or a log of zero or less?"
        why = next((why for test in self.properties if (why := test(results, self.cases))), None)
        return why or f"It runs, but it computes something else. Expected is {self.expected}."

    def _called(self, answer: Callable[..., Any]) -> list[Any] | str | EllipsisType:
        """The results on all cases, in the first form that works; else the reason why there are none."""
        first_error = ""
        for form in self.forms:
            try:
                given = [form(case) for case in self.cases]
                results = [answer(*arguments) for arguments in given]
            except Exception as error:
                # Not ours to fix, and not to be hidden: the error is what the reader needs to see. Of several forms
                # that of the first, in which the notebook itself would call the function.
                first_error = first_error or f"Your function raises `{type(error).__name__}: {error}`"
                continue
            if any(map(_unanswered, results)):
                return ...
            untouched = [form(case) for case in self.cases]
            if not all(map(_same, _flat(given), _flat(untouched))):
                return "Your function changes its arguments in place: whoever uses them next gets others. Use a copy."
            return results
        return first_error

    def _results_of(self, function: Callable[..., Any]) -> Results:
        # Mistakes may divide by zero where the right answer does not.
        with np.errstate(all="ignore"):
            return [np.asarray(function(*as_arrays(case)), dtype=np.float64) for case in self.cases]

    def _agree(self, results: Results, others: Results) -> bool:
        return all(
            (a.shape == b.shape or a.size == b.size == 1)
            and np.allclose(a.reshape(b.shape), b, rtol=self.tolerance, atol=1e-6)
            for a, b in zip(results, others, strict=True)
        )


def keeps_gradient(case: Arguments, source: str) -> Callable[[Callable[..., Any]], str | None]:
    """Make a test: whether an answer in torch cuts or spoils the gradient. One in NumPy has none, and may be right.

    Parameters
    ----------
    case : tuple
        What the answer is called with; the gradient is that of the first.
    source : str
        What the first is, in words.
    """

    def test(answer: Callable[..., Any]) -> str | None:
        first, *others = as_tensors(case)
        try:
            result = answer(first.requires_grad_(), *others)
        except Exception:
            # The results were right on plain tensors or arrays: what goes wrong here is the way to NumPy, and that is
            # allowed.
            return None
        if not isinstance(result, torch.Tensor):
            return None
        if not result.requires_grad:
            return (
                f"The numbers are right, but no gradient flows back to {source}, and a network could not learn from "
                "it. `torch.tensor(...)`, `.item()` and `.detach()` cut it; `torch.stack` and `torch.where` do not."
            )
        if not torch.autograd.grad(result.sum(), first)[0].isfinite().all():
            return (
                "The numbers are right, but the gradient holds NaN, and one step would spoil the whole network: "
                "`torch.where` and `nan_to_num` hide a division by zero in the value, not in the gradient. Keep the "
                "divisor above 0, for instance with `clamp(min=1e-6)`."
            )
        return None

    return test


def _flat(cases: Sequence[Arguments]) -> list[Any]:
    return [argument for case in cases for argument in case]


def _unanswered(result: Any) -> bool:
    """Whether a function still gives the `...` of the stub."""
    return result is ... or (isinstance(result, tuple | list) and any(part is ... for part in result))


def _same(a: Any, b: Any) -> bool:
    """Whether an argument is still what it was."""
    if isinstance(a, torch.Tensor | np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return bool(a == b)
