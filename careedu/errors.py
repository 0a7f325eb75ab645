"""The errors careedu raises.

All derive from :class:`CareeduError`, so that one ``except`` catches them, and from the built-in
that fits, so that code which knows nothing of careedu behaves as it should. Every message names
the thing that is wrong and what to do about it.
"""

import difflib
import math
from collections.abc import Collection, Iterable
from numbers import Integral, Real


class CareeduError(Exception):
    """Base of every error that careedu raises on purpose."""


class InvalidInputError(CareeduError, ValueError):
    """An argument, an option, a row of a table or an image cannot be used."""


class UnknownNameError(InvalidInputError):
    """A name of a data set, method, model, class or option does not exist."""


class MissingDataError(CareeduError, FileNotFoundError):
    """A file or data set that is needed is not on this machine."""


class MissingPackageError(CareeduError, ImportError):
    """An optional package is needed for what was asked and is not installed."""


class StorageError(CareeduError, OSError):
    """A disk is full, may not be written to, or has something else in the way."""


class CheckpointError(CareeduError):
    """A checkpoint or saved run is damaged, or belongs to something else."""


class MissingWeightsError(CareeduError):
    """A saved run is asked for what only its weights can tell, and holds none."""


class ContractError(CareeduError):
    """A method does not do what all methods must; the message lists every clause that it breaks."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that does not exist, suggesting the nearest that does.

    Parameters
    ----------
    kind : str
        What was looked for, for instance ``"method"``.
    name : object
        The name as given.
    known : iterable of str
        The names that exist.

    Returns
    -------
    UnknownNameError
        To be raised by the caller.
    """
    known = sorted(str(candidate) for candidate in known)
    lowered = {candidate.lower(): candidate for candidate in reversed(known)}
    nearest = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.5)
    suggestion = f" Did you mean {lowered[nearest[0]]!r}?" if nearest else ""
    return UnknownNameError(f"unknown {kind} {name!r}.{suggestion} Known: {', '.join(known) or 'none'}.")


def check_known(kind: str, name: object, known: Collection[str]) -> None:
    """Raise the error of :func:`unknown_name` unless a name exists.

    Parameters
    ----------
    kind, name, known
        As there.

    Raises
    ------
    UnknownNameError
        If it does not.
    """
    if name not in known:
        raise unknown_name(kind, name, known)


def check_number(name: str, value: object, within: str, advice: str = "") -> None:
    """Raise an error unless a value is a number in an interval.

    Parameters
    ----------
    name : str
        What it is.
    value : object
        Truth values are no numbers, and NaN is in no interval. A tensor of one number is one, such as a temperature
        that is learned, where no whole number is asked for.
    within : str
        The interval, such as ``"[0, 1)"`` or ``"(0, inf)"``; ``"whole [1, inf)"`` for whole numbers.
    advice : str
        What is said besides.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    interval = within.removeprefix("whole ")
    whole, closed = interval != within, interval[0] == "["
    low, high = map(float, interval[1:-1].split(", "))
    n = value.item() if not whole and getattr(value, "ndim", None) == 0 else value
    if isinstance(n, Integral if whole else Real) and not isinstance(n, bool):
        above, below = n >= low if closed else n > low, n <= high if interval[-1] == "]" else n < high
        if above and below:
            return
    limits = f"from {low:.12g} to {high:.12g}" if whole else f"in {interval}"
    if high == math.inf:
        limits = f"at least {low:.12g}" if closed else f"above {low:.12g}"
    kind = "a whole number" if whole else "a number" if high < math.inf else "a finite number"
    raise InvalidInputError(f"{name}={value!r} must be {kind} {limits}{advice and '; '}{advice}")
