"""What a training must not depend on and must not change: whatever its caller has set, drawn, or started beside it.

Three things are kept apart. What belongs to a thread (modes, autocast, numpy's errors) is put aside in that thread.
torch's settings for the whole process are those of a fresh one as long as somebody needs them, and then what they were.
The generators of random numbers belong to the process too and cannot be shared: trainings take turns.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, has_torch_function
from tqdm.auto import tqdm

from careedu.errors import CareeduError

_TURN = threading.RLock()  # so that a training may be called by another one's `on_epoch`
WAITS = "another training goes on here, a widget's or a thread's; this one waits and begins when that has ended"


def _begin_anew() -> None:
    global _TURN
    _TURN = threading.RLock()


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads that were training
    os.register_at_fork(after_in_child=_begin_anew)


@contextlib.contextmanager
def turn(waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Nobody else trains in this process meanwhile. Whoever has to wait says so at once, and Ctrl-C ends the wait.

    Parameters
    ----------
    waiting : callable, optional
        Called ten times a second in place of a line that says it; what it raises ends the wait.
    """
    lock = _TURN
    if not lock.acquire(blocking=False):
        if waiting is None:
            tqdm.write(f"careedu: {WAITS}", file=sys.stderr)
        while not lock.acquire(timeout=0.1):
            if waiting is not None:
                waiting()
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class _Setting:
    """A setting of torch for the whole process, and what it is in a training, mostly as in a fresh one."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    fresh: Any

    @classmethod
    def of_torch(cls, name: str, own: str, fresh: Any) -> _Setting:
        """What torch has two functions for, the one to get and the one to set it."""
        return cls(name, getattr(torch, f"get_{own}"), getattr(torch, f"set_{own}"), fresh)

    @classmethod
    def of_backends(cls, path: str, fresh: Any) -> _Setting:
        """An attribute in `torch.backends`."""
        way, _, name = path.rpartition(".")

        def write(value: Any) -> None:
            setattr(attrgetter(way)(torch.backends) if way else torch.backends, name, value)

        return cls(f"torch.backends.{path}", lambda: attrgetter(path)(torch.backends), write, fresh)

    def now(self) -> Any:
        """Its value. Where torch has none, or old and new names are mixed so that it cannot tell, the fresh one."""
        try:
            return self.read()
        except (AttributeError, RuntimeError):
            return self.fresh


# From the general to the special, which follows it where it is "none"; "cudnn." is for all that CUDA computes.
_PLAIN = ("", "mkldnn.", "cudnn.", "mkldnn.matmul.", "mkldnn.conv.", "mkldnn.rnn.", "cuda.matmul.")
_OF_BACKENDS = {
    "cudnn.deterministic": True,
    "cudnn.benchmark": False,
    "cudnn.enabled": True,
    "mkldnn.enabled": True,
    "mkldnn.deterministic": False,
    **{f"{part}fp32_precision": "none" for part in _PLAIN},
    "cudnn.conv.fp32_precision": "tf32",
    "cudnn.rnn.fp32_precision": "tf32",
}
_SETTINGS = [
    _Setting.of_torch("the default dtype", "default_dtype", torch.float32),
    # On a CUDA card some gradients are sums in whatever order, that of a bilinear resize for one, unless torch is told
    # otherwise. It warns of those that it has in no fixed order: a method of somebody's own may need one.
    _Setting.of_torch("torch.use_deterministic_algorithms", "deterministic_debug_mode", int(torch.cuda.is_available())),
    _Setting.of_torch("torch.set_float32_matmul_precision", "float32_matmul_precision", "highest"),
    *(_Setting.of_backends(path, fresh) for path, fresh in _OF_BACKENDS.items()),
]
_FRESH = {setting.name: setting.fresh for setting in _SETTINGS}


def _write(values: dict[str, Any]) -> None:
    # One may change others that are more special.
    for setting in _SETTINGS:
        if setting.name in values and setting.now() != values[setting.name]:
            setting.write(values[setting.name])


class _ProcessSettings:
    """The settings of a fresh torch, while at least one thread is inside; what they were, when the last has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: dict[str, Any] = {}

    @staticmethod
    def _differing() -> dict[str, Any]:
        return {setting.name: now for setting in _SETTINGS if (now := setting.now()) != setting.fresh}

    @contextlib.contextmanager
    def held(self, strict: bool) -> Iterator[None]:
        with self._lock:
            for _ in range(2):  # where names were mixed, the first time makes an old one readable
                self._before = self._differing() | self._before
                _write(_FRESH)
            self._inside += 1
        try:
            yield
        except Exception as error:
            if strict and (changed := self._differing()):
                raise _spoiled(changed) from error
            raise
        finally:
            with self._lock:
                changed = self._differing()
                self._inside -= 1
                if self._inside == 0:
                    # What somebody has changed meanwhile is a new wish. All others are written, as one moves others.
                    before = _FRESH | self._before
                    _write({name: value for name, value in before.items() if name not in changed})
                    self._before = {}
        if strict and changed:
            raise _spoiled(changed)


def _spoiled(changed: Iterable[str]) -> CareeduError:
    return CareeduError(
        f"{' and '.join(changed)} was changed while careedu computed with it, by another thread or by the "
        "method, so the bits cannot be relied on; leave it alone meanwhile, and run this again"
    )


_PROCESS_SETTINGS = _ProcessSettings()


class _NoOtherMode(TorchFunctionMode):
    """Keeps the caller's modes from what is called inside; those that are begun inside are its own."""

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        with torch._C.DisableTorchFunction():
            return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def plain_torch(strict: bool = True) -> Iterator[None]:
    """Torch and numpy as in a fresh process, with gradients, whatever the caller has set; afterwards as it was.

    Any number of threads may be inside. Of the caller's settings only the number of threads counts, which is part of a
    run's configuration, and ``torch.autograd.set_detect_anomaly``, which changes no bit.

    Parameters
    ----------
    strict : bool
        Whether it is an error if a setting is changed meanwhile. Not so around what holds a caller's own callbacks.

    Raises
    ------
    CareeduError
        If another thread, or what is computed, has changed a setting meanwhile.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))  # gradients too
        if has_torch_function((None,)):  # a default device, or another mode
            stack.enter_context(_NoOtherMode())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                torch.set_autocast_enabled(kind, False)
                stack.callback(torch.set_autocast_enabled, kind, True)
        if sys.float_info.min / 2 == 0:  # torch cannot be asked whether it flushes these to zero
            torch.set_flush_denormal(False)
            stack.callback(torch.set_flush_denormal, True)
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(_PROCESS_SETTINGS.held(strict))
        yield


class DrawingFrom(TorchFunctionMode):
    """First weights from a generator of its own, not from torch's, which a training in another thread may draw from."""

    draws: ClassVar[set[str]] = {
        *(f"{name}_" for name in ("bernoulli", "exponential", "kaiming_uniform", "normal", "random", "uniform")),
        *("bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"),
    }

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        given = dict(kwargs or {})
        if getattr(function, "__name__", "") in self.draws and given.get("generator") is None:
            given["generator"] = self.generator
        return function(*args, **given)


@contextlib.contextmanager
def reproducible(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """All that a training needs to give the same bits; nothing of the caller's is changed after it.

    Deterministic algorithms, `plain_torch`, a `turn`, and torch's random numbers from `seed`. Code of somebody's own
    that draws from torch's generator in another thread meanwhile would spoil the dropout of a network that has some.
    """
    with turn(), plain_torch(strict=seed is not None), _random_state(device):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
        yield


@contextlib.contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_rng_state, torch.get_rng_state())
        if device.type == "cuda":
            stack.callback(torch.cuda.set_rng_state, torch.cuda.get_rng_state(device), device)
        elif device.type == "mps":
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        yield
