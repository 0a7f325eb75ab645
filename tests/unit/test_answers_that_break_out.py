"""Whatever an answer does stays inside `check`, is told in words, and leaves the kernel as it was.

Answers that are right or wrong in what they compute are tested in test_answers_in_many_ways.py.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque

import numpy as np
import pytest
import torch

from careedu.course.exercises import care, global_attention, imbalance
from careedu.course.exercises.exercise import SECONDS, as_numbers
from careedu.errors import InvalidInputError

KINDS = {"function": care.exercise_1, "torch": imbalance.exercise_2, "number": care.exercise_4}
KINDS |= {"scalar": care.exercise_7, "pair": global_attention.exercise_5, "controls": care.exercise_5}
FUNCTIONS = ["function", "torch", "scalar", "pair"]
on_unix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of Unix")


@pytest.fixture
def exercise(request):
    fresh = copy.copy(KINDS[getattr(request, "param", "function")])
    fresh.seconds = 0.2
    return fresh


every_kind = pytest.mark.parametrize("exercise", KINDS, indirect=True)
every_function = pytest.mark.parametrize("exercise", FUNCTIONS, indirect=True)


class Odd:
    """An answer that does what it is given to do, whatever is asked of it."""

    def __init__(self, action):
        self.action = action

    def act(self, *given):
        # While it is checked, and not where pytest shows it: an object that never ends would hang the report.
        watched = any(one.name == "careedu-exercise" for one in threading.enumerate())
        return self.action() if watched else "odd"

    __array__ = __float__ = __len__ = __iter__ = __repr__ = __str__ = __eq__ = __bool__ = act
    __hash__ = object.__hash__


def raising(error):
    def answer(*given):
        raise error

    return answer


class UnprintableError(Exception):
    def __str__(self):
        raise ValueError("no text")


class StrayError(BaseException):
    """Neither an error nor an exit."""


# Never ending


def loop(*given):
    while True:
        pass


def catching_loop(*given):
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def bare_loop(*given):
    while True:
        try:  # noqa: SIM105
            sum(range(1000))
        except:  # noqa: E722
            pass


def sleeping_bare_loop(*given):
    while True:
        try:  # noqa: SIM105
            time.sleep(1)
        except:  # noqa: E722
            pass


def nested_bare_loop(*given):
    def inner():
        try:
            return sum(range(1000))
        except:  # noqa: E722
            return 0

    while True:
        try:  # noqa: SIM105
            inner()
        except:  # noqa: E722
            pass


def tensor_loop(*given):
    total = torch.zeros(())
    while total >= 0:
        total = total + 1


def endless_generator(*given):
    yield from iter(int, 1)


ENDLESS = [loop, catching_loop, tensor_loop]
ENDLESS_IN_MAIN = [bare_loop, sleeping_bare_loop, nested_bare_loop, lambda *given: time.sleep(1e6)]


@every_function
@pytest.mark.parametrize("endless", [loop])
def test_an_endless_answer_is_stopped_in_every_kind_of_function(exercise, endless):
    assert_stopped(exercise, endless)


def assert_stopped(exercise, answer):
    start = time.monotonic()
    reply = exercise.check(answer)
    assert time.monotonic() - start < 20
    assert reply.kind == exercise.state == "wrong"
    assert "not ended after 0.2 seconds" in reply.text


@on_unix
@pytest.mark.parametrize("endless", ENDLESS + ENDLESS_IN_MAIN)
def test_an_endless_answer_is_stopped_in_the_main_thread(exercise, endless):
    handler, tracer = signal.getsignal(signal.SIGINT), sys.gettrace()
    assert_stopped(exercise, endless)
    assert signal.getsignal(signal.SIGINT) is handler and sys.gettrace() is tracer
    time.sleep(0.2)  # nothing comes after it
    assert exercise.check(exercise.right)


@pytest.mark.parametrize("endless", ENDLESS)
def test_an_endless_answer_is_stopped_in_another_thread(exercise, endless):
    raised = []

    def run():
        try:
            assert_stopped(exercise, endless)
            time.sleep(0.2)
            assert exercise.check(exercise.right)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and not raised, raised


@every_kind
def test_an_object_that_never_ends_when_looked_at_is_stopped(exercise):
    odd = Odd(loop)
    in_kind = {"needed": odd, "controls": dict.fromkeys(care.exercise_5.claims, odd)}
    assert_stopped(exercise, in_kind.get(exercise.name, lambda *given: odd))


NOTHING = "a function without `return` gives that"


def test_an_answer_that_ends_at_the_limit_leaves_nothing_behind(exercise):
    """Neither a signal that comes late nor a thread: a hundred answers about as long as they may be."""
    before, replies = threading.active_count(), set()
    for i in range(100):
        exercise.seconds = 0.005
        until = time.monotonic() + 0.004 + i * 2e-5
        reply = exercise.check(lambda *given, until=until: spin(until)).text
        replies.add(NOTHING if NOTHING in reply else reply.split(" after")[0])
        spin(time.monotonic() + 0.001)
    assert replies <= {"It had not ended", NOTHING}, replies
    assert threading.active_count() == before


def spin(until):
    while time.monotonic() < until:
        pass


def test_an_honest_answer_has_time():
    assert all(exercise.seconds == SECONDS >= 5 for exercise in KINDS.values())


# Errors and exits


@every_kind
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(0), "leave Python"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (RecursionError("too deep"), "RecursionError"),
        (MemoryError(), ""),
        (StopIteration(), "StopIteration"),
        (GeneratorExit(), "GeneratorExit"),
        (StrayError("x"), "StrayError"),
        (UnprintableError(), "UnprintableError"),
        (RuntimeError("long " * 10_000), "RuntimeError: long"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_an_answer_raises_is_told(exercise, error, told):
    function = exercise.name not in ("needed", "controls")
    answers = [raising(error), lambda *given: Odd(raising(error))] if function else [Odd(raising(error))]
    for answer in answers:
        reply = exercise.check(answer)
        assert reply.kind == exercise.state == "wrong"
        assert len(reply.text) < 900 and reply._repr_html_() and repr(reply)
        if answer is answers[0] and function:
            assert told in reply.text


@every_function
@pytest.mark.parametrize("leave", [sys.exit, exit, quit, lambda: sys.exit("bye")])
def test_leaving_is_told(exercise, leave):
    assert "leave Python" in exercise.check(lambda *given: leave()).text


def test_recursion_without_end_is_told(exercise):
    def deeper(*given):
        return deeper(*given)

    nested = []
    nested.append(nested)
    exercise.seconds = 60  # a slow machine is not to stop it before it has run into Python's limit
    assert "RecursionError" in exercise.check(deeper).text
    assert "recursion depth" in exercise.check(lambda *given: nested).text


@pytest.mark.parametrize("seconds", [0.005, 0.01, 0.02, 0.04])
def test_recursion_that_is_stopped_on_the_way_ends(exercise, seconds):
    """What sets the trace that stops it is taken back before anything else is called: else this hung."""

    def deeper(*given):
        return deeper(*given)

    exercise.seconds = seconds
    text = exercise.check(deeper).text
    assert "RecursionError" in text or "had not ended" in text


@on_unix
def test_somebody_who_interrupts_is_heard(exercise, interruptible):
    """A real Ctrl-C ends the cell, also where the answer makes another error of it."""

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    state, handler = exercise.state, signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        exercise.check(interrupted)
    assert exercise.state == state and signal.getsignal(signal.SIGINT) is handler
    assert exercise.check(exercise.right)


@on_unix
def test_another_handler_of_an_interrupt_is_asked(exercise):
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        assert exercise.check(lambda *given: (os.kill(os.getpid(), signal.SIGINT), exercise.right(*given))[1])
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen and set(seen) == {signal.SIGINT}


# Results that are no numbers


sparse = torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (4,))
numbers = [0.1, 0.2, 0.3, 0.4]
STRANGE = {
    "10**400": (lambda: 10**400, "cannot be read as numbers"),
    "10**400 in a list": (lambda: [10**400] * 4, "cannot be read as numbers"),
    "generator": (lambda: (x for x in numbers), "make a list"),
    "endless generator": (endless_generator, "make a list"),
    "map": (lambda: map(float, numbers), "make a list"),
    "values": (lambda: dict(enumerate(numbers)).values(), "make a list"),
    "range": (lambda: range(10**9), "1,000,000,000 numbers"),
    "list": (lambda: [0.0] * (10**6), "1,000,000 numbers"),
    "nested list": (lambda: [[[0.0] * 1000] * 1000] * 1000, ""),
    "tensor": (lambda: torch.zeros(1).expand(10**9), "1,000,000,000 numbers"),
    "array": (lambda: np.broadcast_to(0.0, 10**9), "1,000,000,000 numbers"),
    "sparse and large": (lambda: torch.sparse_coo_tensor(torch.zeros(1, 0), [], (10**9,)), "1,000,000,000 numbers"),
    "text": (lambda: "0" * 10**6, "1,000,000 numbers"),
    "complex tensor": (lambda: torch.tensor(numbers) * 1j, ".real"),
    "complex array": (lambda: np.array(numbers) + 0j, ".real"),
    "complex number": (lambda: 1j, ".real"),
    "meta": (lambda: torch.empty(4, device="meta"), "no numbers"),
    "meta in a list": (lambda: [torch.empty((), device="meta")] * 4, "no numbers"),
    "objects": (lambda: np.array([object()] * 4), "cannot be read as numbers"),
    "ragged": (lambda: [[1.0], [1.0, 2.0]], "cannot be read as numbers"),
    "None in a list": (lambda: [None] * 4, "`None`"),
    "set": (lambda: set(numbers), "give its values as a list"),
    "frozenset": (lambda: frozenset(numbers), "give its values as a list"),
    "module": (lambda: torch.nn.Linear(1, 1), "cannot be read as numbers"),
    "function": (lambda: len, "cannot be read as numbers"),
    "class": (lambda: int, "cannot be read as numbers"),
    "bytes": (lambda: b"high", "cannot be read as numbers"),
    "record": (lambda: np.zeros(4, dtype=[("a", float), ("b", float)]), "cannot be read as numbers"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), ""),
}


@every_function
@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_result_is_told(exercise, kind):
    exercise.seconds = 0.5 if kind == "nested list" else 30  # a slow machine is not to stop it before it is looked at
    make, told = STRANGE[kind]
    start = time.monotonic()
    reply = exercise.check(lambda *given: make())
    assert time.monotonic() - start < 20
    assert reply.kind == "wrong" and told in reply.text, reply.text
    assert len(reply.text) < 900


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_number_is_told(kind):
    exercise = copy.copy(care.exercise_4)
    exercise.seconds = 0.5
    reply = exercise.check(STRANGE[kind][0]())
    assert reply.kind == "wrong" and len(reply.text) < 900


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_controls_are_told(kind):
    for answer in (STRANGE[kind][0](), dict.fromkeys(care.exercise_5.claims, STRANGE[kind][0]())):
        reply = care.exercise_5.check(answer)
        assert reply.kind == "wrong" and len(reply.text) < 900, reply.text
    assert care.exercise_5.check(np.broadcast_to("place", 10**9)).kind == "wrong"
    assert care.exercise_5.check({"place" * 10_000: 10**5000} | dict.fromkeys(care.exercise_5.claims, 1)).text


@pytest.mark.parametrize(
    "result",
    [
        sparse,
        torch.tensor([1, 0, 0, 0]),
        torch.quantize_per_tensor(torch.tensor([1.0, 0, 0, 0]), 0.1, 0, torch.quint8),
        np.array([1.0, 0, 0, 0], dtype=object),
        np.ma.array([1.0, 0, 0, 0]),
        [torch.tensor(1.0, requires_grad=True), 0, np.float32(0), "0"],
        deque([1.0, 0, 0, 0]),
        (torch.tensor([1.0, 0, 0, 0]) + 0j).real,
        torch.tensor([1.0, 0, 0, 0], dtype=torch.float16),
        np.array([1, 0, 0, 0], dtype=np.float16),
        torch.tensor([True, False, False, False]),
    ],
    ids=lambda result: type(result).__name__,
)
def test_numbers_in_a_strange_dress_are_read(result):
    assert as_numbers(result).tolist() == [1, 0, 0, 0]


def test_numbers_are_counted_before_they_are_looked_at():
    assert as_numbers(np.zeros(100_000)).size == 100_000
    for value in (np.zeros(100_001), [0] * 100_001, torch.zeros(400, 400)):
        with pytest.raises(InvalidInputError, match="far more than are asked for"):
            as_numbers(value)


# Results from which nothing can learn


@pytest.mark.parametrize("exercise", ["function", "torch"], indirect=True)
@pytest.mark.parametrize(
    "cut",
    [
        lambda result: result.detach(),
        lambda result: result.detach() + torch.nn.Parameter(torch.zeros(())),  # a gradient, to something else
        lambda result: torch.as_tensor(result.tolist()),
        lambda result: result.detach().requires_grad_(),
    ],
)
def test_a_result_without_gradient_is_told(exercise, cut):
    assert "no gradient" in exercise.check(lambda *given: cut(exercise.right(*given))).text


@pytest.mark.parametrize("exercise", ["function", "torch"], indirect=True)
def test_gradients_are_asked_for_wherever_the_cell_stands(exercise):
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            assert exercise.check(exercise.right)
            assert not torch.is_grad_enabled()
            reply = exercise.check(lambda *given: exercise.right(*given).detach())
            assert "no gradient" in reply.text


def test_an_integer_result_is_told(exercise):
    assert exercise.check(lambda maps, *rest: torch.zeros(len(maps), dtype=torch.int64)).kind == "wrong"


# What is left behind


def settings():
    states = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    switches = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(), np.geterr()
    return *states, *switches, list(warnings.filters), signal.getsignal(signal.SIGINT)


def meddle():
    torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    np.seterr(all="raise")
    warnings.simplefilter("error")


@every_function
@pytest.mark.parametrize("end", [lambda: None, raising(KeyError("x")), sys.exit, loop])
def test_what_an_answer_changes_is_put_back(exercise, end):
    torch.manual_seed(5), random.seed(5), np.random.seed(5)  # noqa: NPY002
    before = settings()
    exercise.check(lambda *given: (meddle(), end()))
    assert settings() == before
    with torch.no_grad():
        exercise.check(lambda *given: (meddle(), end()))
        assert not torch.is_grad_enabled()
    assert settings() == before


def test_an_answer_that_prints_and_warns_is_right(exercise, capsys):
    def answer(*given):
        print("looking")
        warnings.warn("mind", stacklevel=1)
        np.log(np.zeros(2))
        return exercise.right(*given)

    for action in ("default", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            reply = exercise.check(answer)
            assert reply, reply
    assert "looking" in capsys.readouterr().out


def test_an_answer_that_changes_the_default_type_is_right(exercise):
    def answer(maps, inside, cap, weight):
        torch.set_default_dtype(torch.float64)
        return exercise.right(maps * torch.ones(()), inside, cap, weight)

    assert exercise.check(answer)


# In a kernel

CELLS = {
    "exit": ("leave Python", "exit()"),
    "quit": ("leave Python", "quit()"),
    "sys.exit": ("leave Python", "import sys; sys.exit()"),
    "loop": ("not ended after 1 seconds", "while True: pass"),
    "sleep": ("not ended after 1 seconds", "import time; time.sleep(1e6)"),
    "input": ("", "input()"),
    "interrupt": ("KeyboardInterrupt", "raise KeyboardInterrupt"),
}


@pytest.mark.slow
def test_in_a_real_kernel_it_stays_inside_and_the_kernel_lives():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    start = "from careedu.course.exercises import care\ncare.exercise_1.seconds = 1"
    cells = [nbformat.v4.new_code_cell(start)]
    for _, source in CELLS.values():
        text = f"def answer(*given):\n    {source}\ncare.exercise_1.check(answer)"
        cells.append(nbformat.v4.new_code_cell(text))
    cells.append(nbformat.v4.new_code_cell("print(care.exercise_1.check(care.exercise_1.right).kind)"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for cell, (name, (told, _)) in zip(notebook.cells[1:], CELLS.items(), strict=False):
        (output,) = cell.outputs
        assert "Not right" in output.data["text/plain"] and told in output.data["text/plain"], (name, output)
    assert notebook.cells[-1].outputs[0].text.strip() == "right"


@pytest.mark.slow
def test_a_kernel_that_is_interrupted_stops_the_cell():
    client = pytest.importorskip("jupyter_client")
    manager, kernel = client.manager.start_new_kernel(kernel_name="python3")
    try:
        kernel.execute_interactive("from careedu.course.exercises import care\nimport time", timeout=60)
        asked = "care.exercise_1.check(lambda *given: (print('in', flush=True), time.sleep(8)))"
        kernel.execute(asked, stop_on_error=False)  # else what is sent in the next moment is aborted, as in a Run All
        while kernel.get_iopub_msg(timeout=60)["content"].get("text", "").strip() != "in":
            pass
        manager.interrupt_kernel()
        reply = kernel.get_shell_msg(timeout=60)["content"]
        assert reply["status"] == "error" and reply["ename"] == "KeyboardInterrupt"
        after = kernel.execute_interactive("assert care.exercise_1.check(care.exercise_1.right)", timeout=60)
        assert after["content"]["status"] == "ok"
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_exit_in_a_plain_python_stays_inside():
    code = "from careedu.course.exercises import care\nprint(care.exercise_1.check(lambda *given: quit()).kind)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "wrong"), done.stderr
