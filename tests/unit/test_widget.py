"""The widgets' foundation: a state without a screen, and errors that cannot be missed."""

from __future__ import annotations

import gc
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from careedu.errors import InvalidInputError, UnknownNameError
from careedu.show.view import View
from careedu.show.widget import BackgroundTask, WidgetState, _blas, recorded_errors


class Doubling(WidgetState):
    """Shows twice its number, in one unit or another."""

    units = ("mm", "cm", None)

    def __init__(self):
        super().__init__(number=1, unit="mm")
        self.largest = 20
        self.update()

    def choices(self):
        return {"unit": self.units}

    def limits(self):
        return {"number": (0, 100)}

    def update(self):
        if self.settings["number"] == 13:
            raise RuntimeError("bad luck")
        self.shown = 2 * self.settings["number"]


class DoublingView(View):
    """A slider, a row of buttons and a line of text."""

    def __init__(self, state):
        super().__init__(state)
        number = self.slider("number", "Number", lambda: (1, state.largest))
        self.open(number, self.buttons("unit", "Unit", label=str.upper), self.part("line"))

    def draw(self):
        return {"line": f"{self.state.shown} {self.state.settings['unit']}"}


@pytest.fixture(autouse=True)
def no_errors_left_behind():
    yield
    gc.collect()


def test_its_sums_have_one_thread_of_blas_and_what_follows_has_as_many_as_before():
    def threads():
        return {found["num_threads"] for found in threadpool_info() if found["internal_api"] == "openblas"}

    state, seen = Doubling(), []
    state.update = lambda: seen.append(threads())
    _blas.cache_clear()  # it knows the libraries that were loaded when it was first asked
    with threadpool_limits(2, user_api="blas"):
        state.set(number=4)
        assert seen == [{1}] and threads() == {2}


def test_nobody_waits_for_blas_to_be_found_at_the_first_move():
    state = Doubling()
    _blas.cache_clear()
    state.listen(lambda: None)
    assert _blas.cache_info().currsize == 1


def test_a_state_computes_without_a_screen_and_tells_its_views():
    state, heard = Doubling(), []
    state.listen(lambda: heard.append(state.shown))
    state.set(number=4)
    assert state.shown == 8 and heard == [8]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"number": -1}, InvalidInputError, "number=-1 must lie between 0 and 100"),
        ({"unit": "m"}, UnknownNameError, "mm"),
        ({"numbr": 1}, InvalidInputError, r"numbr.*number"),
        ({"number": 13}, RuntimeError, "bad luck"),
    ],
)
def test_a_setting_that_fails_leaves_everything_as_it_was(change, error, words):
    state, heard = Doubling(), []
    state.listen(lambda: heard.append(1))
    with pytest.raises(error, match=words):
        state.set(**change)
    assert state.settings == {"number": 1, "unit": "mm"} and state.shown == 2 and heard == []


def test_an_error_in_a_callback_is_shown_recorded_and_raised_again():
    state = Doubling()
    view = DoublingView(state)
    control = view.controls["number"]
    control.value = 5
    assert state.shown == 10 and view.message.value == "" and state.errors == []
    with pytest.raises(RuntimeError, match="bad luck"):
        control.value = 13
    assert "bad luck" in view.message.value and 'role="alert"' in view.message.value
    assert len(state.errors) == 1 and "RuntimeError: bad luck" in state.errors[0]
    assert state.errors[0] in recorded_errors()
    control.value = 6
    assert view.message.value == "" and len(state.errors) == 1, "shown no longer, recorded for good"


def test_controls_move_the_state_and_follow_it_whoever_has_changed_it():
    state, moves = Doubling(), []
    view = DoublingView(state)
    state.listen(lambda: moves.append(1))
    number, unit = view.controls["number"], view.controls["unit"]
    assert [label for label, _ in unit.options] == ["MM", "CM", "not known"]
    unit.value = "cm"
    assert state.settings == {"number": 1, "unit": "cm"} and view.parts["line"].value == "2 cm"
    unit.value = unit.options[2][1]
    assert state.settings["unit"] is None, "a choice like any other"
    state.set(number=7, unit="mm")
    assert (number.value, unit.value, view.parts["line"].value) == (7, "mm", "14 mm")
    assert len(moves) == 3, "what only follows moves nothing"
    state.largest, state.units = 8, ("mm",)
    state.set(number=8)
    assert (number.max, number.value, number.disabled) == (8, 8, False) and unit.disabled
    state.largest = 1
    state.set(number=1)
    assert number.disabled, "nothing to be moved"


def test_shown_errors_cannot_smuggle_in_markup():
    view = View(Doubling())
    view.show_error("<script>alert(1)</script>")
    assert "<script>" not in view.message.value


def test_background_work_reports_and_can_be_stopped():
    state, going = Doubling(), threading.Event()

    def work(task):
        for step in range(1000):
            going.set()
            if not task.report(step / 1000, f"step {step}"):
                return

    task = BackgroundTask(state, work).start()
    assert going.wait(5)
    task.stop()
    task.join(5)
    assert not task.running and task.stopped and task.failure is None
    assert task.text.startswith("step") and state.errors == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_background_work_is_recorded():
    state, heard = Doubling(), []
    state.listen(lambda: heard.append(list(state.errors)))

    def work(task):
        raise ValueError("the disk is full")

    task = BackgroundTask(state, work).start()
    task.join(5)
    assert not task.running
    assert task.failure is not None and "ValueError: the disk is full" in task.failure
    assert state.errors == [task.failure] and heard[-1] == [task.failure]
    assert task.failure in recorded_errors()
