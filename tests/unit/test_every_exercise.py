"""What must be true of every exercise, of whatever notebook: nothing is given away, and each wrong answer is told why.

The exercises are those that the notebooks' modules in `careedu.course.exercises` offer, so that those of a new notebook
are tested by being there; `CONTROLS` alone may need an entry. What is particular to an exercise, such as its numbers
and its own wrong answers, is tested in the file of its notebook.
"""

from __future__ import annotations

import copy
import html
import importlib
import inspect
import itertools
import pkgutil
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from shown_solution import solution_of

import careedu.course.exercises as package
from careedu.course.exercises.choices import ControlExercise
from careedu.course.exercises.exercise import Exercise, NumberExercise, as_numbers, numbered
from careedu.course.exercises.function import FunctionExercise
from careedu.errors import InvalidInputError

MODULES = {
    module.name: importlib.import_module(f"{package.__name__}.{module.name}")
    for module in pkgutil.iter_modules(package.__path__)
}
# A notebook's module has its exercises; the others are the machinery.
NOTEBOOKS = {name: module for name, module in MODULES.items() if hasattr(module, "exercises")}
ALL = {
    f"{notebook} {name}": value
    for notebook, module in NOTEBOOKS.items()
    for name, value in vars(module).items()
    if re.fullmatch(r"exercise_\d+", name)
}
# An exercise knows the five or six mistakes that readers really make.
MISTAKES = range(5, 7)
# A result in anything but torch is wrong here, since a network is to learn from it.
ONLY_TORCH = {where for where, exercise in ALL.items() if getattr(exercise, "in_torch", False)}


class Controls(NamedTuple):
    """The answer of an exercise on controls: claim → arm, written down apart from the exercise.

    Where other arms could refute a claim as well, they are in `also`.
    """

    right: dict[str, str]
    method: str
    aliases: tuple[dict[str, str], ...]
    reasons: dict[tuple[str, str], str]
    also: frozenset[tuple[str, str]] = frozenset()


CONTROLS = {
    "deep_pneumonia exercise_4": Controls(
        right={"a": "shortcut", "b": "healthy", "c": "collapse", "d": "identical views"},
        method="",
        aliases=({"a": "a shortcut", "d": "identical"}, {"b": "ok", "c": "collapsed"}),
        reasons={
            ("a", "healthy"): "the neighbours are strangers",
            ("a", "collapse"): "with no spread",
            ("b", "shortcut"): "no class",
            ("b", "learning rate too low"): "do not go by that",
            ("c", "two images a batch"): "near log 3 = 1.1",
            ("c", "healthy"): "to its end",
            ("d", "shortcut"): "would have views that differ",
            ("d", "healthy"): "neighbours of one class",
        },
    ),
    "care exercise_5": Controls(
        right={
            "place": "random boxes",
            "loss": "without attention",
            "use": "lesion transplant",
            "classes": "boxes of all classes",
        },
        method="CARE",
        aliases=({"place": "boxes shifted", "loss": "CARE without attention"}, {"loss": "CARE, alpha = 0"}),
        reasons={
            ("place", "without attention"): "Keep the loss and the stages, and spoil the place",
            ("loss", "balanced sampling"): "differs in the batches, the loss and the stages at once",
            ("use", "random boxes"): "uses the same good boxes for something else",
            ("use", "drop marked"): "somebody has to know",
            ("classes", "shifted boxes"): "moved off the lesion",
            ("classes", "boxes on the mark"): "around the plaster",
        },
        also=frozenset({("place", "shifted boxes"), ("place", "boxes on the mark")}),
    ),
    "distractor exercise_4": Controls(
        right={
            "class": "relevance of the true class",
            "neurons": "random relevance",
            "loss": "weight 0",
            "noise": "feature dropout",
        },
        method="distractor",
        aliases=({"class": "true class", "loss": "λ = 0"}, {"noise": "dropout"}),
        reasons={
            ("class", "random relevance"): "Keep all but the class",
            ("neurons", "weight 0"): "which neurons and places",
            ("loss", "attention to boxes"): "differs in all of these at once",
            ("noise", "a larger margin"): "all that the claim is about",
            ("noise", "hard example mining"): "disturbs as much and pushes nothing apart",
        },
    ),
    "everything exercise_1": Controls(
        right={
            "rare": "balanced sampling",
            "plaster": "lesion transplant",
            "labels": "pretraining",
            "chest": "mask attention",
        },
        method="",
        aliases=({"rare": "class-balanced sampling", "labels": "SimCLR"}, {"plaster": "transplant"}),
        reasons={
            ("rare", "lesion transplant"): "needs boxes or masks",
            ("plaster", "balanced sampling"): "part the lesion from what lies beside it",
            ("labels", "mask attention"): "nobody knows the class",
            ("chest", "distractor loss"): "not shown to help",
        },
        also=frozenset({("rare", "logit adjustment")}),
    ),
    "global_attention exercise_6": Controls(
        right={
            "lesion": "mean image",
            "classifier": "free mask",
            "places": "flat map",
            "remedy": "classifier retrained",
        },
        method="Global attention",
        aliases=(
            {"lesion": "negative mean image", "remedy": "classifier retraining"},
            {"classifier": "free", "places": "flat"},
        ),
        reasons={
            ("lesion", "shuffled map"): "has the learned weights",
            ("places", "shuffled map"): "wrong places harm",
            ("classifier", "permuted pixels"): "has the pixel classifier",
            ("places", "permuted pixels"): "learned anew",
            ("remedy", "no mask"): "neither a map nor balanced batches",
        },
    ),
}


def of(kind):
    return [where for where, exercise in ALL.items() if isinstance(exercise, kind)]


def changeable(exercise):
    """The places of the arguments that an answer could change."""
    return [i for i, argument in enumerate(exercise.cases[0]) if isinstance(argument, np.ndarray | dict | list)]


def has_arrays(exercise):
    return any(isinstance(argument, np.ndarray) for argument in exercise.cases[0])


every = pytest.mark.parametrize("where", ALL)
every_function = pytest.mark.parametrize("where", of(FunctionExercise))
every_number = pytest.mark.parametrize("where", of(NumberExercise))
every_control = pytest.mark.parametrize("where", of(ControlExercise))


@pytest.fixture
def exercise(where):
    """As it was before anybody answered: what it keeps of answers and hints must not reach the next test."""
    fresh = copy.copy(ALL[where])
    fresh.state, fresh._hints_given = "not yet", 0
    return fresh


@pytest.fixture
def controls(where):
    assert where in CONTROLS, f"write the right answer of {where} down in CONTROLS"
    return CONTROLS[where]


def broken(*given):
    raise KeyError("where is it")


def answer_that_comes_back(exercise, text):
    """A wrong answer of which the reply repeats a text."""

    def raising(*given):
        raise RuntimeError(text)

    if isinstance(exercise, FunctionExercise):
        return raising
    return exercise.right | {next(iter(exercise.right)): text} if isinstance(exercise, ControlExercise) else text


def shown(reply):
    """What a reader sees of a reply, in a terminal and in a page."""
    page = html.unescape(re.sub("</?code>", "`", reply._repr_html_()))
    return f"{reply!r}\n{page}"


def names_the_number(text, number):
    return re.search(rf"(?<![\d.]){re.escape(f'{number:g}')}(?!\.?\d)", text) is not None


# That all are here


def test_every_exercise_is_offered_by_one_notebook():
    assert set(NOTEBOOKS) == set(package.__all__) >= {"imbalance", "care", "global_attention"}
    made = [e for module in MODULES.values() for e in vars(module).values() if isinstance(e, Exercise)]
    assert set(map(id, made)) == set(map(id, ALL.values())), "one is made and not offered"
    assert len(set(map(id, ALL.values()))) == len(ALL), "one is offered twice"
    assert set(of(FunctionExercise)) >= ONLY_TORCH and "imbalance exercise_2" in ONLY_TORCH
    assert set(CONTROLS) == set(of(ControlExercise))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_exercises_of_a_notebook_are_numbered_and_called_differently(notebook):
    offered = NOTEBOOKS[notebook].exercises
    numbers = {f"{notebook} exercise_{number}": exercise for number, exercise in enumerate(offered, start=1)}
    assert numbers == {where: exercise for where, exercise in ALL.items() if where.split()[0] == notebook}
    # Two answers of one name would overwrite each other in the notebook.
    assert len({exercise.name for exercise in offered}) == len(offered)
    # Of what a reader writes: one thing in one place.
    source = inspect.getsource(NOTEBOOKS[notebook])
    assert not re.search(r"exercise_\d+ *[=:]", source)


def test_another_exercise_gets_its_number_by_standing_there():
    first, second = NOTEBOOKS["care"].exercises[:2]
    module = {"second": second, "something": 3, "kind": Exercise, "first": first}
    assert numbered(module) == (second, first)
    assert module["exercise_1"] is second and module["exercise_2"] is first


# Before there is an answer


@every
def test_the_stub_is_not_yet_answered_and_raises_nothing(exercise):
    for reply in (exercise.check(...), exercise.check()):
        assert reply.kind == "not yet"
        assert not reply
        assert exercise.name in reply.text
        assert "Not yet" in repr(reply)
        assert "Not yet" in reply._repr_html_()
    assert exercise.state == "not yet"
    assert not exercise.solved


@every_function
def test_a_function_that_gives_the_stub_back_is_not_yet_answered(exercise):
    assert exercise.check(lambda *given: ...).kind == "not yet"
    assert exercise.check(lambda *given: (..., ...)).kind == "not yet"
    assert exercise.state == "not yet"


@every
def test_nobody_sees_the_next_thought_or_the_solution_before(exercise):
    hints = [exercise.hint() for _ in range(max(4, len(exercise.hints)))]
    nonsense = exercise.check("nonsense")
    assert nonsense.kind == "wrong"
    before = [exercise.check(...), nonsense, exercise.check(broken), *hints]
    assert not any(exercise.thought in shown(reply) for reply in [*before, exercise.solution()])
    assert not any(exercise.code in shown(reply) for reply in before)
    assert exercise.thought not in repr(exercise) and exercise.code not in repr(exercise)


@every
def test_hints_go_from_faint_to_plain_and_the_last_stays(exercise):
    texts = [exercise.hint().text for _ in range(len(exercise.hints) + 2)]
    assert len(set(texts)) == len(set(exercise.hints)) == len(exercise.hints) >= 2
    for i, (text, hint) in enumerate(zip(texts, exercise.hints, strict=False), start=1):
        assert text == f"{i} of {len(exercise.hints)}: {hint}"
    assert texts[-1] == texts[-2] == texts[-3]
    assert all(len(text) > 40 for text in texts)


# What is said


@every
def test_the_solution_solves_it_is_short_and_unlocks_the_next_thought(exercise):
    reply = exercise.check(solution_of(exercise))
    assert reply, repr(reply)
    assert exercise.solved
    assert exercise.praise in reply.text
    assert exercise.thought in repr(reply)
    assert "Next thought" in reply._repr_html_()
    exercise.check(...)
    assert not exercise.solved

    assert len(exercise.code.splitlines()) <= 15
    assert exercise.code in repr(exercise.solution())
    assert "<pre" in exercise.solution()._repr_html_()


@every
def test_a_reply_is_escaped(exercise):
    reply = exercise.check(answer_that_comes_back(exercise, "<b>bold</b>"))
    assert reply.kind == "wrong"
    assert "<b>" not in reply._repr_html_()
    assert "&lt;b&gt;bold&lt;/b&gt;" in reply._repr_html_()


@every
def test_a_reply_is_told_by_a_word_and_a_sign_not_by_colour_alone(exercise):
    replies = {
        "… Not yet.": exercise.check(...),
        "✗ Not right.": exercise.check("nonsense"),
        "✓ Right.": exercise.check(solution_of(exercise)),
        "→ Hint": exercise.hint(),
        "= Solution.": exercise.solution(),
    }
    for told, reply in replies.items():
        page = reply._repr_html_()
        assert repr(reply).startswith(told)
        assert re.sub("<[^>]*>", "", page).startswith(told)
        # The colour of the text is that of the theme, and readable in a light and in a dark one.
        assert "color:var(--jp-content-font-color1" in page


# Answers that are functions


def change(argument):
    if isinstance(argument, torch.Tensor):
        argument.logical_not_() if argument.dtype == torch.bool else argument.neg_()
    else:
        for key in argument if isinstance(argument, dict) else range(len(argument)):
            argument[key] = -argument[key]


def changing_after(exercise, place):
    """The right answer, which then changes an argument."""
    solution = solution_of(exercise)

    def answer(*given):
        result = copy.deepcopy(solution(*given))
        change(given[place])
        return result

    return answer


def changing_before(exercise, place):
    """What the solution makes of an argument that it has changed."""
    solution = solution_of(exercise)

    def answer(*given):
        given[place].mul_(0.5)
        return solution(*given)

    return answer


@every_function
def test_every_mistake_is_told_by_its_own_reason(exercise):
    """The table of mistakes itself: each is wrong, and recognised as itself."""
    for why, mistakes in exercise.mistakes.items():
        for mistake in mistakes:
            reply = exercise.check(mistake)
            assert reply.kind == "wrong" and reply.text == why
    assert len(exercise.mistakes) in MISTAKES


@every_function
def test_what_is_no_answer_in_kind_is_told_why(exercise):
    right = exercise.right
    answers = {
        "not called": 3.0,
        "None": lambda *given: None,
        "text": lambda *given: "high",
        "NaN": lambda *given: as_numbers(right(*given)) * np.nan,
        "shape": lambda *given: np.zeros((7, 2)),
        "bool": lambda *given: True,
        "arguments": lambda: 1,
        "raises": broken,
        "wrong": lambda *given: as_numbers(right(*given)) * 0 + 0.123,
    }
    if changeable(exercise):
        answers["in place"] = changing_after(exercise, changeable(exercise)[0])
    replies = {name: exercise.check(answer) for name, answer in answers.items()}
    assert all(reply.kind == "wrong" for reply in replies.values())
    for a, b in itertools.combinations(replies, 2):
        assert replies[a].text != replies[b].text, (a, b)
    for name, part in {
        "not called": "without calling it",
        "None": "without `return`",
        "NaN": "NaN",
        "shape": "shape (7, 2)",
        "bool": "truth value",
        "arguments": "TypeError",
        "raises": "KeyError: 'where is it'",
    }.items():
        assert part in replies[name].text


@pytest.mark.parametrize("where", [where for where in of(FunctionExercise) if changeable(ALL[where])])
def test_an_argument_that_is_changed_in_place_is_told_and_no_harm_is_done(exercise):
    before = copy.deepcopy(exercise.cases)
    for place in changeable(exercise):
        assert "in place" in exercise.check(changing_after(exercise, place)).text
        argument = exercise.cases[0][place]
        if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
            assert "in place" in exercise.check(changing_before(exercise, place)).text
    for case, old in zip(exercise.cases, before, strict=True):
        for argument, kept in zip(case, old, strict=True):
            assert np.array_equal(argument, kept) if isinstance(argument, np.ndarray) else argument == kept
    assert exercise.check(solution_of(exercise))


def as_tensor(result):
    if isinstance(result, tuple | list):
        return torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in result])
    return torch.as_tensor(result, dtype=torch.float64)


# Forms of one and the same result, made from a tensor.
IN_TORCH = {
    "tensor": lambda result: result,
    "float32 tensor": lambda result: result.float(),
    "tensor with a gradient": lambda result: result.clone().requires_grad_(),
}
ELSEWHERE = {
    "array": lambda result: result.detach().numpy(),
    "float32 array": lambda result: result.detach().numpy().astype(np.float32)[()],
    "numbers": lambda result: result.tolist(),
    "tuple": lambda result: tuple(result.tolist()) if result.ndim else (result.item(),),
    "list of tensors": lambda result: list(result) if result.ndim else [result],
}


@pytest.mark.parametrize(
    ("where", "form"),
    [
        pytest.param(where, form, id=f"{where}-{name}")
        for where in of(FunctionExercise)
        for name, form in (IN_TORCH if where in ONLY_TORCH else IN_TORCH | ELSEWHERE).items()
    ],
)
def test_a_right_result_is_accepted_in_every_form(exercise, form):
    solution = solution_of(exercise)
    reply = exercise.check(lambda *given: form(as_tensor(solution(*given))))
    assert reply, repr(reply)


@pytest.mark.parametrize("kind", [np.ndarray, list], ids=["arrays", "lists"])
@pytest.mark.parametrize(
    "where", [where for where in of(FunctionExercise) if has_arrays(ALL[where]) and where not in ONLY_TORCH]
)
def test_an_answer_that_works_on_arrays_or_on_lists_alone_is_accepted(exercise, kind):
    asked = set()

    def answer(*given):
        kinds = {type(argument) for argument in given} & {torch.Tensor, np.ndarray, list}
        asked.update(kinds)
        if kinds != {kind}:
            raise TypeError(f"{kind} only")
        arrays = (isinstance(argument, np.ndarray | list) for argument in given)
        given = [torch.tensor(g) if array else g for g, array in zip(given, arrays, strict=True)]
        result = as_numbers(exercise.right(*given))
        return result.tolist() if kind is list else result

    reply = exercise.check(answer)
    assert reply, repr(reply)
    assert torch.Tensor in asked, "tensors come first: that is how the notebook calls it"


# Answers that are numbers


@every_number
def test_a_right_number_is_accepted_in_every_form(exercise):
    forms = [lambda n: n, float, str, np.float32, np.float64, torch.tensor, np.array, lambda n: [n], lambda n: (n,)]
    if float(exercise.right).is_integer():
        forms += [int, np.int64, lambda n: str(int(n)), lambda n: torch.tensor(int(n))]
    for form in forms:
        reply = exercise.check(form(exercise.right))
        assert reply, f"{form(exercise.right)!r}: {reply!r}"
    for sign in (-1, 1):
        assert exercise.check(exercise.right + sign * exercise.tolerance / 2)
        assert exercise.check(exercise.right + sign * exercise.tolerance * 2).kind == "wrong"


@every_number
def test_what_is_no_number_is_told_why(exercise):
    answers = [None, True, "many", [exercise.right] * 2, np.nan, np.inf, {1.5}, {"a": 1}, 1j, len]
    replies = [exercise.check(answer) for answer in answers]
    assert all(reply.kind == "wrong" for reply in replies)
    texts = {reply.text for reply in replies}
    assert len(texts) == len(answers)
    assert not texts & set(exercise.mistakes)
    assert not any(names_the_number(text, exercise.right) for text in texts)


@every_number
def test_no_reason_gives_the_number_away(exercise):
    assert len(exercise.mistakes) in MISTAKES
    assert not any(names_the_number(text, exercise.right) for text in [*exercise.mistakes, exercise.expected])


@every_number
def test_what_no_mistake_explains_is_told_all_the_same(exercise):
    for number in (-exercise.right * 1.7, exercise.right * 1.013 + 0.37):
        reply = exercise.check(number)
        assert reply.kind == "wrong" and reply.text
    assert "negative" in exercise.check(-exercise.right * 1.7).text
    whole = "whole number" in exercise.check(exercise.right * 0.987 - 0.371).text
    assert whole == isinstance(exercise.right, int)


def test_numbers_are_read_in_any_form_and_nothing_else():
    for value in (torch.ones(2, dtype=torch.bfloat16), np.float32(1), [torch.tensor(1.0)], "1.0", (1,)):
        assert (as_numbers(value) == 1).all()
    for value in (None, True, {"a": 1}, 1j, torch.tensor(1j), "many", [1, [2, 3]]):
        with pytest.raises(InvalidInputError):
            as_numbers(value)


# Answers that say which control could refute which claim


@every_control
def test_the_controls_are_accepted_in_every_form(exercise, controls):
    right, method = controls.right, controls.method
    answers = [
        right,
        list(right.values()),
        tuple(right.values()),
        np.array(list(right.values())),
        dict(reversed(right.items())),
        {claim.upper(): f"  {arm.title()} " for claim, arm in right.items()},
        {claim: f"{method}, {arm}" for claim, arm in right.items()},
        {claim: f"{method} {arm}" for claim, arm in right.items()},
        *(right | alias for alias in controls.aliases),
    ]
    for answer in answers:
        reply = exercise.check(answer)
        assert reply, f"{answer}: {reply!r}"


@every_control
def test_every_wrong_pairing_has_its_own_reason_and_gives_nothing_away(exercise, controls):
    right, said = controls.right, {}
    for claim, arm in itertools.product(exercise.claims, exercise.arms):
        reply = exercise.check(right | {claim: arm})
        assert bool(reply) == (right[claim] == arm or (claim, arm) in controls.also)
        if not reply:
            one = f'{exercise.asked[0].capitalize()} "{claim}", with "{arm}": '
            assert reply.text.startswith(f"{len(right) - 1} of {len(right)} are right. {one}")
            said[claim, arm] = reply.text.split('": ')[1]
            assert right[claim] not in said[claim, arm]
    wrong_ones = len(right) * (len(exercise.arms) - 1) - len(controls.also)
    assert len(said) == len(set(said.values())) == wrong_ones >= 4 * 5
    for pairing, reason in controls.reasons.items():
        assert reason in said[pairing]
    assert {claim for claim, _ in controls.reasons} == set(right)


@every_control
def test_other_wrong_answers_on_controls_are_told_why(exercise, controls):
    right, claims, arms = controls.right, list(controls.right), list(controls.right.values())
    assert len(claims) == 4, "the lines below count four claims"
    spare = next(arm for arm in exercise.arms if not any(arm in accepted for accepted in exercise.accepted.values()))
    wrong = [
        ("other way round", {arm: claim for claim, arm in right.items()}),
        ("keys of the dict", {claims[0]: arms[0]}),
        ("here are 3", arms[:3]),
        ("here are 5", [*arms, spare]),
        *((f"is none of the {exercise.given[1]}", right | {claim: "magic"}) for claim in claims),
        ("3, for", right | {claims[2]: 3}),
        (f"['{arms[0]}'], for", right | {claims[0]: [arms[0]]}),
        (f'"{arms[0]}" for all', [arms[0]] * 4),
        (f'"{spare}" for all', [spare] * 4),
        ("0 of 4 are right", [*arms[1:], arms[0]]),
        ("2 of 4", right | {claims[1]: arms[0], claims[2]: arms[0]}),
        ("2 of 4", right | {claims[0]: spare, claims[2]: spare}),
        ("is a str", arms[0]),
        ("is a set", set(arms)),
        ("is a int", 4),
        ("is a NoneType", None),
        ("is a function", broken),
    ]
    for reason, answer in wrong:
        reply = exercise.check(answer)
        assert reply.kind == "wrong"
        assert reason in reply.text, reply.text


@every_control
def test_controls_that_are_half_filled_in_are_not_yet_answered(exercise, controls):
    assert exercise.check(dict.fromkeys(exercise.claims, ...)).kind == "not yet"
    for i, claim in enumerate(controls.right):
        assert exercise.check(controls.right | {claim: ...}).kind == "not yet"
        arms = list(controls.right.values())
        assert exercise.check([*arms[:i], ..., *arms[i + 1 :]]).kind == "not yet"
