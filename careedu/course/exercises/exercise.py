"""What an exercise is: it checks an answer and says why it is wrong, gives hints, and shows the solution.

What it says back is a few lines of text that read well in a notebook, light or dark, and in a terminal.

`Exercise` is what all have in common; `NumberExercise` asks for one number. Exercises that ask for a function are in
`careedu.course.exercises.function`.
"""

from __future__ import annotations

import html
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

import numpy as np

from careedu.course.exercises.contained import contained, said_by
from careedu.errors import InvalidInputError

SECONDS = 10.0
"""How long an answer may take."""
MOST = 100_000
"""Numbers that an answer may have: a thousand times as many as any exercise asks for."""
# Of Okabe and Ito's palette. Each kind also has a sign and a word of its own: nothing is told by colour alone.
_LOOKS = {
    "not yet": ("…", "Not yet.", "#E69F00"),
    "nearly": ("≈", "Nearly.", "#0072B2"),
    "wrong": ("✗", "Not right.", "#D55E00"),
    "right": ("✓", "Right.", "#009E73"),
    "hint": ("→", "Hint", "#0072B2"),
    "solution": ("=", "Solution.", "#0072B2"),
}
_WORDS = {word: number for number, word in enumerate(("zero", "one", "two", "three", "four", "five"))}


def numbered(module: dict[str, Any]) -> tuple[Exercise, ...]:
    """Call the exercises of a module `exercise_1`, `exercise_2` … in the order in which they stand in it.

    Parameters
    ----------
    module : dict
        Its `globals()`, which get these names.

    Returns
    -------
    tuple of Exercise
    """
    made = tuple(value for value in module.values() if isinstance(value, Exercise))
    module.update({f"exercise_{number}": exercise for number, exercise in enumerate(made, start=1)})
    return made


@dataclass(frozen=True)
class Reply:
    """What is said to an answer, a hint, or a solution.

    Parameters
    ----------
    kind : str
        "not yet", "nearly" (the right numbers in another shape), "wrong", "right", "hint" or "solution".
    text : str
        One paragraph; what stands between backticks is shown as code.
    thought : str
        A second paragraph; only a right answer has one.
    code : str
        Lines of code below the text.
    """

    kind: str
    text: str
    thought: str = ""
    code: str = ""

    def __bool__(self) -> bool:
        """Whether the answer was right."""
        return self.kind == "right"

    def __repr__(self) -> str:
        sign, word, _ = _LOOKS[self.kind]
        parts = [f"{sign} {word} {self.text}".rstrip()]
        parts += [f"Next thought: {self.thought}"] * bool(self.thought) + [self.code] * bool(self.code)
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        sign, word, color = _LOOKS[self.kind]
        # The theme's own text colour on a veil of our colour, which lets a light or a dark page shine through.
        style = (
            f"border-left:4px solid {color};background:{color}1F;color:var(--jp-content-font-color1,inherit);"
            "padding:8px 12px;margin:4px 0;border-radius:0 4px 4px 0;max-width:46em;line-height:1.45"
        )
        body = f'<span aria-hidden="true">{sign}</span> <strong>{word}</strong> {_with_code(self.text)}'
        if self.thought:
            body += f'<div style="margin-top:6px"><strong>Next thought:</strong> {_with_code(self.thought)}</div>'
        if self.code:
            body += f'<pre style="margin:6px 0 0;white-space:pre-wrap">{html.escape(self.code)}</pre>'
        return f'<div role="status" style="{style}">{body}</div>'


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


class Nearly(str):
    """A reason that is said where an answer is right but for its form."""


@dataclass(eq=False, repr=False, kw_only=True)
class Exercise(ABC):
    """A question with `check(answer)`, `hint()` and `solution()`.

    Parameters
    ----------
    name : str
        What the answer is called in the notebook, and in the code of the solution.
    praise : str
        Said to a right answer.
    thought : str
        A question or remark that goes on from there; nobody sees it before.
    hints : sequence of str
        From faint to plain.
    code : str
        The solution: code that defines `name`.
    why : str
        A sentence that goes with the solution.

    Attributes
    ----------
    state : str
        "not yet", "wrong", "nearly" or "right": what was said to the last answer.
    seconds : float
        How long an answer may take.
    """

    name: str = field(kw_only=False)
    praise: str
    thought: str
    hints: Sequence[str]
    code: str
    why: str
    state = "not yet"
    seconds = SECONDS
    _hints_given = 0

    @abstractmethod
    def reason(self, answer: Any) -> str | EllipsisType | None:
        """Why an answer is wrong; None where it is right, `...` where there is none yet."""

    @property
    def solved(self) -> bool:
        """Whether the last answer was right."""
        return self.state == "right"

    def check(self, answer: Any = ...) -> Reply:
        """Say whether an answer is right, and if not, why.

        Parameters
        ----------
        answer : object, optional
            In any form that says it: a tensor, an array, a list, a number. `...`, as the notebook has it at first, is
            no answer yet. Whatever it does, such as raising an error, leaving Python or never ending, is told.

        Returns
        -------
        Reply
            True where the answer is right.

        Raises
        ------
        KeyboardInterrupt
            Where somebody interrupts the kernel.
        """
        reason = ... if answer is ... else contained(lambda: self.reason(answer), self.seconds)
        if reason is None:
            reply = Reply("right", self.praise, thought=self.thought)
        elif reason is ...:
            reply = Reply(
                "not yet", f"Put your answer in place of the `...`; `hint()` helps. It is called `{self.name}`."
            )
        else:
            reply = Reply("nearly" if isinstance(reason, Nearly) else "wrong", reason)
        self.state = reply.kind
        return reply

    def hint(self) -> Reply:
        """Give a hint; each call gives the next, plainer one."""
        number = min(self._hints_given, len(self.hints) - 1)
        self._hints_given = number + 1
        return Reply("hint", f"{number + 1} of {len(self.hints)}: {self.hints[number]}")

    def solution(self) -> Reply:
        """Show an answer that is right."""
        return Reply("solution", self.why, code=self.code)

    def __repr__(self) -> str:
        return f"exercise `{self.name}` ({self.state}): .check({self.name}), .hint(), .solution()"


@dataclass(eq=False, repr=False, kw_only=True)
class NumberExercise(Exercise):
    """A question whose answer is one number, and not a negative one.

    Parameters
    ----------
    name : str
    right : float
        A whole number where an int is given.
    mistakes : mapping of str to callable
        Reason → test, tried in this order: the first whose ``test(number)`` holds says why the number is wrong.
    expected : str
        What kind of answer it is, said where no mistake is recognised; not the answer itself.
    tolerance : float
        How far from `right` is still right.
    **texts
        As for `Exercise`.
    """

    right: float
    mistakes: Mapping[str, Callable[[float], bool]]
    expected: str
    tolerance: float = 0.01

    def reason(self, answer: Any) -> str | None:
        """Why a number is wrong."""
        if callable(answer):
            return f"This is a function, and the question asks for a number. Call it: `{self.name} = ...(...)`."
        try:
            numbers = as_numbers(_WORDS.get(answer.strip().lower(), answer) if isinstance(answer, str) else answer)
        except InvalidInputError as error:
            return f"{error} Expected is {self.expected}."
        if numbers.size != 1:
            return f"One number is asked for; this has {numbers.size}, of shape {numbers.shape}."
        number = float(numbers.reshape(()))
        if not np.isfinite(number):
            return f"This is {number}, which is no number at all: is there a division by zero, or a log of zero?"
        if abs(number - self.right) <= self.tolerance:
            return None
        if recognised := next((why for why, test in self.mistakes.items() if test(number)), None):
            return recognised
        if number < 0:
            kind = "cannot be negative"
        elif isinstance(self.right, int) and not number.is_integer():
            kind = "has to be a whole number"
        else:
            kind = "is another one"
        return f"{number:g} is not right: the answer {kind}. Expected is {self.expected}."


def near(*values: float, tolerance: float = 0.02) -> Callable[[float], bool]:
    """Make a test: whether a number is one of some values, but for `tolerance` of itself."""
    return lambda number: any(abs(number - value) <= tolerance * abs(value) for value in values)


def as_numbers(value: Any) -> np.ndarray:
    """Numbers in any form (tensor, array, list, tuple, number, text of a number) as a float64 array.

    Raises
    ------
    InvalidInputError
        If they are none, or more than `MOST`.
    """
    if isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"This is a truth value, `{value}`, and no number.")
    kind = type(value).__name__
    if isinstance(value, dict | set | frozenset):
        raise InvalidInputError(f"This is a {kind}; give its values as a list, in the order of the classes.")
    try:
        array = np.asarray(_plain(value))
        if array.dtype.kind == "c":
            raise TypeError("they are complex: is a `.real` missing?")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"A {kind} that cannot be read as numbers ({said_by(error)}).") from error


def _size(value: Any) -> int:
    """How many numbers a tensor or an array has, or how many parts a list has, without looking at them."""
    if hasattr(value, "numel"):
        return value.numel()
    if isinstance(size := getattr(value, "size", None), int):
        return size
    return len(value) if hasattr(value, "__len__") else 1


def _plain(value: Any) -> Any:
    """The same without tensors, whether `value` is one or holds some."""
    if value is None:
        raise InvalidInputError("This is `None`: a function without `return` gives that.")
    if (size := _size(value)) > MOST:
        raise InvalidInputError(f"These are {size:,} numbers, far more than are asked for.")
    if hasattr(value, "detach"):
        if value.is_meta:
            raise InvalidInputError('This tensor has a shape and no numbers: its device is "meta".')
        value = value.dequantize() if value.is_quantized else value.detach().to_dense()
        value = value.cpu().resolve_conj().resolve_neg()
        return (value.double() if value.dtype.is_floating_point else value).numpy()  # NumPy has no bfloat16
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__array__") or isinstance(value, str | bytes | Sequence) or not isinstance(value, Iterable):
        return value
    kind = type(value).__name__
    raise InvalidInputError(f"This is a `{kind}`, which gives its items one by one: make a list of it, `list(...)`.")
