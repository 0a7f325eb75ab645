"""Exercises whose answer is a function: it is called on inputs of ours, and its results are compared.

A typical mistake is given as a function too, which makes it. Where an answer gives what the mistake gives, on all
inputs, that is what went wrong, and the reader is told so.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import EllipsisType
from typing import Any

import numpy as np
import torch

from careedu.course.exercises.contained import named
from careedu.course.exercises.exercise import Exercise, Nearly, as_numbers
from careedu.errors import InvalidInputError

Arguments = tuple[Any, ...]
Results = list[np.ndarray]


def in_float32(arguments: Arguments) -> Arguments:
    """Arguments whose float arrays are float32, as everything in the notebooks is."""
    return _with_arrays(arguments, lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a.copy())


def as_tensors(arguments: Arguments) -> Arguments:
    """Arguments whose arrays are tensors."""
    return _with_arrays(arguments, lambda a: torch.from_numpy(a.copy()))


def as_float32_tensors(arguments: Arguments) -> Arguments:
    """Arguments whose arrays are tensors, those of floats in float32: as a notebook calls an answer."""
    return as_tensors(in_float32(arguments))


def as_lists(arguments: Arguments) -> Arguments:
    """Arguments whose arrays are lists."""
    return _with_arrays(arguments, np.ndarray.tolist)


def _with_arrays(arguments: Arguments, change: Callable[[np.ndarray], Any]) -> Arguments:
    """Copies of arguments, their arrays changed."""
    return tuple(change(a) if isinstance(a, np.ndarray) else copy.deepcopy(a) for a in arguments)


# Where an answer works in one form of a line, the lines below are not tried.
_FORMS = (as_float32_tensors, as_tensors), (in_float32, copy.deepcopy), (as_lists,)


@dataclass(eq=False, repr=False, kw_only=True)
class FunctionExercise(Exercise):
    """A question whose answer is a function.

    Parameters
    ----------
    right : callable
        The solution, in torch: what is shown to the reader, and what answers are held to. Its name is that of the
        answer.
    cases : sequence of tuples
        The inputs it is called with: float or int arrays, numbers, dicts. Copies of them: whatever the answer does to
        its arguments, ours stay.
    mistakes : mapping of str to callable, or to a tuple of some
        What to say → a function that goes wrong in this way, of the same arguments as `right`; several where one thing
        is to be said of all.
    expected : str
        What kind of result it is, said where nothing is recognised.
    learns : str
        What the first argument is, in words, where a gradient has to flow back to it; else empty.
    in_torch : bool
        Whether an answer without a gradient, as in NumPy, is wrong. Arguments are handed over as tensors of float32
        and of float64, and what is right in one is right. If both raise an error, and an answer in NumPy is not wrong,
        they are handed over as arrays of the same types, and as lists.
    seen : callable
        Of a result and the arguments: what is compared, where results that differ may be as right.
    tolerance : float
        Relative to the largest value of a result; float32 should do.
    **texts
        As for `Exercise`.
    """

    name: str = field(init=False)
    code: str = field(init=False)
    why: str = field(init=False)
    right: Callable[..., Any] = field(kw_only=False)
    cases: Sequence[Arguments]
    mistakes: Mapping[str, Any]
    expected: str
    learns: str = ""
    in_torch: bool = False
    seen: Callable[..., Any] = lambda result, *arguments: result
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        self.name, self.code = self.right.__name__, inspect.getsource(self.right).strip()
        self.why = inspect.getdoc(self.right) or ""
        self.mistakes = {why: made if isinstance(made, tuple) else (made,) for why, made in self.mistakes.items()}

    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why a function is wrong."""
        if not callable(answer):
            kind = type(answer).__name__
            return f"A function is asked for, and this is a {kind}. Hand over `{self.name}` itself, without calling it."
        first_error = ""
        for forms in _FORMS[:1] if self.in_torch else _FORMS:
            reasons: list[str | EllipsisType] = []
            for form in forms:
                try:
                    results, changed = self._called(answer, form)
                except Exception as error:
                    # Not ours to fix, and not to be hidden: the error is what the reader needs to see. Of several forms
                    # that of the first, in which the notebook itself would call the function.
                    first_error = first_error or f"Your function raises {named(error)}"
                    continue
                reason = ... if any(map(_unanswered, results)) else changed or self._judged(results)
                if reason is None and self.learns:
                    reason = self._without_gradient(answer, form)
                if reason is None:
                    return None
                reasons.append(reason)
            if reasons:
                return reasons[0]
        return first_error

    def _called(self, answer: Callable[..., Any], form: Callable[[Arguments], Arguments]) -> tuple[list[Any], str]:
        """The results on all cases, and what to say where it has changed what it was given."""
        given, untouched = ([form(case) for case in self.cases] for _ in range(2))
        results = [answer(*arguments) for arguments in given]
        changed = not all(map(_same, chain.from_iterable(given), chain.from_iterable(untouched)))
        said = "Your function changes its arguments in place: whoever uses them next gets others. Use a copy."
        return results, said if changed else ""

    def _judged(self, outcome: Sequence[Any]) -> str | None:
        """Why results are wrong."""
        try:
            results = [as_numbers(result) for result in outcome]
        except InvalidInputError as error:
            return f"The result cannot be used. {error} Expected is {self.expected}."
        wanted = self._results_of(self.right)
        if all(self._agree(results, wanted)):
            return None
        for why, mistakes in self.mistakes.items():
            if any(all(self._agree(results, self._results_of(mistake))) for mistake in mistakes):
                return why
        if shaped := self._but_for_an_axis(results, wanted):
            return shaped
        for result, want in zip(results, wanted, strict=True):
            if result.shape != want.shape and (want.ndim or result.size != 1):
                kind = f"shape {want.shape}" if want.ndim else "one number"
                return f"The result has shape {result.shape}, where {kind} is asked for: {self.expected}."
            if not np.isfinite(result).all():
                return "The result holds NaN or infinity: is there a division by zero, or a log of zero or less?"
        return self._but_for_a_factor(results, wanted) or (
            f"It runs, but it computes something else: of {len(wanted)} results {sum(self._agree(results, wanted))} "
            f"are right. Expected is {self.expected}."
        )

    def _results_of(self, function: Callable[..., Any]) -> Results:
        return [as_numbers(function(*as_tensors(case))) for case in self.cases]

    def _agree(self, results: Results, others: Results) -> list[bool]:
        """Of each case, whether two results are alike; NaN is like NaN, since a mistake may be to give it."""
        alike = []
        for case, a, b in zip(self.cases, results, others, strict=True):
            if a.shape == b.shape:
                a, b = self.seen(a, *case), self.seen(b, *case)
            largest = np.abs(b).max(where=np.isfinite(b), initial=1e-6)
            alike.append(
                (a.shape == b.shape or a.size == b.size == 1)
                and np.allclose(a.reshape(b.shape), b, rtol=0, atol=self.tolerance * largest, equal_nan=True)
            )
        return alike

    def _but_for_an_axis(self, results: Results, wanted: Results) -> Nearly | None:
        """What to say where results are right, and have axes of size 1 more or less than they should."""
        if any(np.squeeze(a).shape != np.squeeze(b).shape for a, b in zip(results, wanted, strict=True)):
            return None
        if not all(self._agree([a.reshape(b.shape) for a, b in zip(results, wanted, strict=True)], wanted)):
            return None
        has, want = next((a.shape, b.shape) for a, b in zip(results, wanted, strict=True) if a.shape != b.shape)
        alone = (axis for axis in range(len(has)) if has[axis] == 1 and has[:axis] + has[axis + 1 :] == want)
        way = next((f"squeeze({axis})" for axis in alone), f"reshape{want}")
        return Nearly(f"The numbers are right. Their shape is {has}, and {want} is asked for: `.{way}` makes it so.")

    def _but_for_a_factor(self, results: Results, wanted: Results) -> str | None:
        """What to say where results are multiples of those that are wanted."""
        sizes = [(float((a * b).sum()), float((b * b).sum())) for a, b in zip(results, wanted, strict=True)]
        overall = sum(size for size, _ in sizes) / max(sum(size for _, size in sizes), 1e-12)
        factors = [size / own if own else overall for size, own in sizes]  # of 0 each multiple is 0
        multiples = [factor * b for factor, b in zip(factors, wanted, strict=True)]
        if not all(factors) or not all(self._agree(results, multiples)):
            return None
        if np.allclose(factors, -1, rtol=self.tolerance):
            return "Right but for the sign of the whole."
        if np.allclose(factors, factors[0], rtol=self.tolerance):
            return f"Right but for a factor: yours is {factors[0]:.3g} times the one that is asked for."
        if all(want.size > 1 for want in wanted) and not any(self._agree(results, wanted)):
            return f"The proportions are right, the scale is not. Expected is {self.expected}."
        return None

    def _without_gradient(self, answer: Callable[..., Any], form: Callable[[Arguments], Arguments]) -> str | None:
        """Why a network could not learn from results that are right."""
        first, *others = form(self.cases[0])
        if not isinstance(first, torch.Tensor):
            return None  # right in NumPy or lists alone, where that is allowed
        cut = (
            f"The numbers are right, but no gradient flows back to {self.learns}, and a network could not learn from "
            "them. `torch.tensor(...)`, `.item()`, `.numpy()`, `.detach()` and `no_grad` cut it; `torch.stack` and "
            "`torch.where` do not."
        )
        try:
            result = answer(first.requires_grad_(), *others)
        except Exception as error:
            # It works on plain tensors or arrays: what goes wrong here is the way to NumPy, and that may be allowed.
            return f"{cut} Where one is asked for, your function raises {named(error)}" if self.in_torch else None
        if not isinstance(result, torch.Tensor):
            return cut if self.in_torch else None
        # Asked apart, since a result may have a gradient that leads to something else, such as a layer of its own.
        slope = torch.autograd.grad(result.sum(), first, allow_unused=True)[0] if result.requires_grad else None
        if slope is None or not slope.any():  # of zeros too: a step, a sign or a product with 0 leads back and is flat
            return cut
        if not slope.isfinite().all():
            return (
                "The numbers are right, but the gradient holds NaN, and one step would spoil the whole network: "
                "`torch.where` and `nan_to_num` hide a division by zero in the value, not in the gradient. Keep the "
                "divisor above 0, for instance with `clamp(min=1e-6)`."
            )
        return None


def _unanswered(result: Any) -> bool:
    """Whether a function still gives the `...` of the stub."""
    return result is ... or (isinstance(result, tuple | list) and any(part is ... for part in result))


def _same(a: Any, b: Any) -> bool:
    """Whether an argument is still what it was."""
    if isinstance(a, torch.Tensor | np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return bool(a == b)
