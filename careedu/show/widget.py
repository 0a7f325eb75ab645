"""What every widget stands on: a state that works without a screen, errors that cannot be missed, training beside it.

A widget is two objects. Its *state* holds the settings and what follows from them; set a value, read what would be
shown, no browser needed. Its *view* is a thin layer of ipywidgets over the state. An error in a callback is shown in
place, recorded in ``state.errors`` and raised again; the last cell of each notebook asserts that none was recorded.
"""

from __future__ import annotations

import contextlib
import html
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from careedu.errors import InvalidInputError

SIDES = ("A", "B")
"""Where two methods are put side by side."""
ROOT = "careedu-widget"
"""Class of a widget's outermost element in the page."""
# ipywidgets writes a slider's name beside handle and number, not where a screen reader looks for it. The page does that
# here, now and whenever a slider is drawn anew; a handler runs where a script in ipywidgets' HTML would not.
_NAME_SLIDERS = (
    f"const root=this.closest('.{ROOT}'),"
    "name=()=>root.querySelectorAll('.noUi-handle,.widget-readout').forEach(part=>{"
    "const label=part.closest('.widget-slider')?.querySelector('.widget-label')?.textContent;"
    "if(label)part.setAttribute('aria-label',label)});"
    "new MutationObserver(name).observe(root,{childList:true,subtree:true});name()"
)

_STATES: weakref.WeakSet[WidgetState] = weakref.WeakSet()


def recorded_errors() -> list[str]:
    """Errors that any widget of this process has recorded, one line each."""
    return [error for state in _STATES for error in state.errors]


class WidgetState:
    """Settings of a widget and what follows from them, without a screen.

    A subclass names its settings in `settings` and computes what is shown in `update`.

    Attributes
    ----------
    settings : dict
        The settings by name.
    errors : list of str
        Every error that a callback or a background task of this widget has met, one line each.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = dict(settings)
        self.errors: list[str] = []
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        _STATES.add(self)

    def update(self) -> None:
        """Compute what is shown from the settings."""
        raise NotImplementedError

    def check(self, settings: dict[str, Any]) -> None:
        """Raise `InvalidInputError` where settings cannot be; by default anything goes."""

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
                self.check(self.settings)
                self.update()
            except Exception:
                self.settings = before
                raise
        self.notify()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a view told when something has changed."""
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


class View:
    """A column of ipywidgets over a state, with a place for errors and a sign that something is going on.

    Parameters
    ----------
    state : WidgetState

    Attributes
    ----------
    widget : ipywidgets.Widget
        What is shown; a subclass puts it together.
    """

    def __init__(self, state: WidgetState) -> None:
        import ipywidgets

        self.state = state
        self.message = ipywidgets.HTML()
        self.widget: Any = None
        self.lock, self._following = threading.RLock(), False

    def column(self, children: Sequence[Any]) -> Any:
        """The widget's parts below one another, the place for errors last."""
        from ipywidgets import HTML, Layout, VBox

        naming = HTML(f'<img hidden alt="" src="data:," onerror="{_NAME_SLIDERS}">', layout=Layout(display="none"))
        column = VBox([*children, self.message, naming], layout=Layout(overflow="hidden"))
        column.add_class(ROOT)
        return column

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the widget where the view is a cell's last line."""
        return self.widget._repr_mimebundle_(**options)

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback: its error is shown in place, recorded, and raised again."""

        def guarded(*arguments: Any) -> None:
            try:
                self.message.value = ""
                callback(*arguments)
            except Exception as error:
                self.show_error(self.state.record(error))
                raise

        return guarded

    def show_error(self, line: str) -> None:
        """Show an error in place, and let a screen reader say it."""
        self.message.value = (
            '<div role="alert" style="border-left:4px solid #D55E00;padding:4px 10px;margin:4px 0;'
            f'background:#D55E0022;color:var(--jp-content-font-color1,#222)">{html.escape(line)}</div>'
        )

    def bind(self, control: Any, setting: str, convert: Callable[[Any], Any] = lambda value: value) -> Any:
        """Let a control change a setting."""

        def changed(change: dict[str, Any]) -> None:
            self.state.set(**{setting: convert(change["new"])})

        control.observe(self.guard(changed), names="value")
        return control

    def watch(self, controls: Mapping[str, Any], converted: Mapping[str, Callable[[Any], Any]] | None = None) -> None:
        """Let each control move the setting of its name, but not while it only follows the state.

        Parameters
        ----------
        controls : mapping of str to Widget
            By setting.
        converted : mapping of str to callable, optional
            What a control's value becomes as a setting, where it is another.
        """

        def moved(setting: str, value: Any) -> None:
            with self.lock:
                if not self._following:
                    self.state.set(**{setting: (converted or {}).get(setting, lambda same: same)(value)})

        for setting, control in controls.items():
            control.observe(self.guard(lambda change, setting=setting: moved(setting, change["new"])), "value")

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """While it lasts, controls may be set to what the settings are: that moves nothing."""
        with self.lock:
            self._following = True
            try:
                yield
            finally:
                self._following = False

    def write(self, parts: Mapping[str, Any], drawn: Mapping[str, str]) -> None:
        """Put what is drawn into its parts, and say it where background work has failed."""
        # A value that is as before is not sent.
        for name, text in drawn.items():
            parts[name].value = text
        task = getattr(self.state, "task", None)
        if task is not None and task.failure:
            self.show_error(task.failure)
