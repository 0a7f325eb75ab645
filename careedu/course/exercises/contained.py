"""Looks at an answer such that whatever it does stays inside: it may not end, leave the kernel, or change settings."""

import ctypes
import random
import reprlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch

Said = TypeVar("Said")
_AGAIN = 0.1
"""Seconds after which an answer that swallowed being stopped is stopped once more."""
_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxother, _SHORT.maxlevel = 60, 60, 1


class _TooLongError(BaseException):
    """Not an `Exception`: an answer that catches all of these is stopped all the same."""


def contained(judge: Callable[[], Said], seconds: float) -> Said | str:
    """What `judge` returns; and where it does not return, why, in words for the reader.

    Python code is stopped after so many seconds in any thread, and in the main thread also what waits, such as
    `time.sleep` (not on Windows). A single call into compiled code that computes for ever cannot be stopped; nor,
    outside the main thread, an answer that catches everything with a bare `except`.

    Parameters
    ----------
    judge : callable
        Without arguments. Random states, torch's default type and gradient mode, warning filters and NumPy's error
        settings are afterwards as they were.
    seconds : float

    Returns
    -------
    object
        The result, or a str.

    Raises
    ------
    KeyboardInterrupt
        Where somebody interrupts the kernel; raised by an answer itself it is told as any other error.
    """
    ctrl_c = threading.Event()
    try:
        with _as_before(), _kernel_kept():
            return _stopped_after(judge, seconds, ctrl_c)
    except _TooLongError:
        return (
            f"It had not ended after {seconds:g} seconds, and was stopped: is there a loop that never ends? On the few "
            "numbers that it is checked with an answer takes a moment."
        )
    except SystemExit:
        return "It wants to leave Python, with `exit()` or the like. A function ends with `return`; leave the exit out."
    except MemoryError:
        return "It needs more memory than there is: is there something far larger than what is asked for?"
    except BaseException as error:
        # Nothing is hidden: the error is what the reader gets to see, in the place where they look for it.
        if ctrl_c.is_set() and not isinstance(error, Exception):
            raise
        return f"This raises {named(error)}, so that it cannot be checked."


def named(error: BaseException) -> str:
    """An error as a reader is told of it: its kind and what it says."""
    return f"`{type(error).__name__}: {text}`" if (text := said_by(error)) else f"`{type(error).__name__}`"


def said_by(error: BaseException) -> str:
    """What an error says, on one line of a bearable length."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error of the answer's own, whose text raises another
        return ""
    return text if len(text) <= 300 else f"{text[:300]}…"


def shown(value: Any) -> str:
    """A value in a bearable length."""
    return _SHORT.repr(value)


@contextmanager
def _as_before() -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - an answer may use the old one
        stack.callback(torch.set_rng_state, torch.get_rng_state())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        # Gradients are on, whatever the cell has switched off: an answer is asked for one.
        for setting in (torch.inference_mode(False), torch.enable_grad(), np.errstate(), warnings.catch_warnings()):
            stack.enter_context(setting)
        if any(action == "error" for action, *_ in warnings.filters):
            warnings.simplefilter("default")  # a warning is no error
        yield


@contextmanager
def _kernel_kept() -> Iterator[None]:
    """`exit` in a notebook raises nothing, but tells the kernel to end; here it raises."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        yield
        return
    shell.ask_exit = sys.exit
    try:
        yield
    finally:
        del shell.ask_exit


def _stopped_after(judge: Callable[[], Said], seconds: float, ctrl_c: threading.Event) -> Said:
    """Call it, and raise `_TooLongError` in it after so long; `ctrl_c` is set where somebody interrupts it.

    In the main thread by the signal of Ctrl-C itself, which a notebook's kernel expects and which wakes who sleeps;
    in another by an exception that Python sets in it.
    """
    ours, ended, late = threading.get_ident(), threading.Event(), threading.Event()
    running = over = False
    main = threading.current_thread() is threading.main_thread()

    def watch() -> None:
        wait = seconds
        while not (ended.wait(wait) or over):
            if running:  # what is raised while the watcher itself is made would break its locks
                late.set()
                _wake(ours, main)
            wait = _AGAIN

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not late.is_set():
            ctrl_c.set()
            if callable(handler):
                handler(number, frame)
        elif not over:
            _raise_on_the_next_line(frame)
            raise _TooLongError

    tracer, watcher = sys.gettrace(), threading.Thread(target=watch, name="careedu-exercise", daemon=True)
    handler = signal.signal(signal.SIGINT, on_signal) if main else None
    try:
        watcher.start()
        running = True
        return judge()
    finally:
        over = True  # first, and by an assignment alone: between it and the answer Python looks at no signal
        # Then, before any Python function is called here: one that is entered under `_raise_on_the_next_line` may hang.
        if sys.gettrace() is not tracer:
            sys.settrace(tracer)
        if late.is_set():
            time.sleep(0.01)  # a signal on its way comes while there is somebody to take it
        ended.set()
        watcher.join()
        if main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ours), None)


def _wake(thread: int, main: bool) -> None:
    if not main:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_TooLongError))
    elif hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _raise_on_the_next_line(frame: FrameType | None) -> None:
    """So that it ends even in `try: ... except: pass`: what is raised in the `except` leaves it."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("call", "line") and frame.f_code.co_filename != __file__:
            raise _TooLongError
        return trace

    while frame is not None and frame.f_code.co_filename != __file__:
        frame.f_trace, frame = trace, frame.f_back
    sys.settrace(trace)
