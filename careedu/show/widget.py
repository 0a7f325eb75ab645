"""What every widget stands on: a state that works without a screen, errors that cannot be missed, training beside it.

A widget is two objects. Its *state* holds the settings and what follows from them; set a value, read what would be
shown, no browser needed. Its *view* is a thin layer of ipywidgets over the state. An error in a callback is shown in
place, recorded in ``state.errors`` and raised again; the last cell of each notebook asserts that none was recorded.
"""

from __future__ import annotations

import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from careedu.errors import InvalidInputError, unknown_name

SIDES = ("A", "B")
"""Where two methods are put side by side."""

_STATES: weakref.WeakSet[WidgetState] = weakref.WeakSet()


@cache
def _blas() -> Any:
    """Linear algebra of numpy: a second thread of it waits by spinning, on the core that the browser draws with."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas")


def recorded_errors() -> list[str]:
    """Errors that any widget of this process has recorded, one line each."""
    return [error for state in _STATES for error in state.errors]


class WidgetState:
    """Settings of a widget and what follows from them, without a screen.

    A subclass names its settings in `settings`, says in `choices` and `limits` what they can be, and computes what is
    shown in `update`.

    Attributes
    ----------
    settings : dict
        The settings by name.
    errors : list of str
        Every error that a callback or a background task of this widget has met, one line each.
    task : BackgroundTask or None
        What goes on beside the notebook, or went on last.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = dict(settings)
        self.errors: list[str] = []
        self.task: BackgroundTask | None = None
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        _STATES.add(self)

    def update(self) -> None:
        """Compute what is shown from the settings."""
        raise NotImplementedError

    def choices(self) -> Mapping[str, Sequence[Any]]:
        """What a setting can be that is one of several; these are also what the view offers."""
        return {}

    def limits(self) -> Mapping[str, tuple[float, float]]:
        """Lowest and highest value of a setting that is a number."""
        return {}

    def check(self) -> None:
        """Refuse settings that cannot be, by name.

        Raises
        ------
        InvalidInputError
        """
        for name, values in self.choices().items():
            if self.settings[name] not in values:
                raise unknown_name(name, self.settings[name], map(str, values))
        for name, (low, high) in self.limits().items():
            if not low <= self.settings[name] <= high:
                raise InvalidInputError(f"{name}={self.settings[name]!r} must lie between {low} and {high}")

    def set(self, **changes: Any) -> None:
        """Change settings and compute what follows; on an error nothing has changed.

        Raises
        ------
        InvalidInputError
            If a setting does not exist or a value cannot be.
        """
        unknown = changes.keys() - self.settings.keys()
        if unknown:
            raise InvalidInputError(f"no setting {sorted(unknown)}; there are {sorted(self.settings)}")
        with self._lock:
            before = self.settings
            self.settings = {**before, **changes}
            try:
                self.check()
                with _blas().limit(limits=1):
                    self.update()
            except Exception:
                self.settings = before
                raise
        self.notify()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a view told when something has changed."""
        _blas()  # to find it takes as long as to draw: here, not while somebody waits for the first move
        self._listeners.append(listener)

    def notify(self) -> None:
        """Tell all views that something has changed."""
        for listener in self._listeners:
            listener()

    def record(self, error: BaseException) -> str:
        """Keep an error, and give the line that is shown."""
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({where[-1].name}, line {where[-1].lineno})" if where else ""
        line = f"{type(error).__name__}: {error}{place}"
        self.errors.append(line)
        return line


class BackgroundTask:
    """Work that goes on beside the notebook, with progress and a stop.

    Parameters
    ----------
    state : WidgetState
        Which records an error of the work.
    work : callable
        ``work(task)``; it calls ``task.report(share, text)`` now and then, which tells it whether to go on.

    Attributes
    ----------
    share : float
        How much is done, in [0, 1].
    text : str
        What is going on.
    """

    def __init__(self, state: WidgetState, work: Callable[[BackgroundTask], None]) -> None:
        self.state, self._work = state, work
        self.share, self.text = 0.0, ""
        self.failure: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="careedu training")

    def start(self) -> BackgroundTask:
        """Begin."""
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether it is still going on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the work to end at its next report."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def report(self, share: float, text: str) -> bool:
        """Say how far the work is; False means that it should end."""
        self.share, self.text = share, text
        self.state.notify()
        return not self._stop.is_set()

    @property
    def stopped(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def _run(self) -> None:
        try:
            self._work(self)
        except Exception as error:
            # Recorded and shown, since nobody is there to catch it; then raised for the log.
            self.failure = self.state.record(error)
            raise
        finally:
            self.share = 1.0
            self.state.notify()
