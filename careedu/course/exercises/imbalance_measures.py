"""Exercises of notebook 01 on what a number is worth: a positive finding, one image, and a score that chose itself."""

from __future__ import annotations

from collections.abc import Sequence

from careedu.course.exercises.exercise import NumberExercise, near
from careedu.course.exercises.function import Arguments, FunctionExercise, Results

# Positive predictive value at the prevalence of the real world


def _ppv(sensitivity: float, specificity: float, prevalence: float) -> float:
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false)


def _npv(sensitivity: float, specificity: float, prevalence: float) -> float:
    true, false = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return true / (true + false)


def _ppv_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    outside = [float(result) for result in results if not 0 <= result <= 1]
    if outside:
        return f"{outside[0]:.3g} is no share: a predictive value lies between 0 and 1."
    return None


ppv_exercise = FunctionExercise(
    "ppv",
    cases=[(0.9, 0.95, 0.01), (0.6, 0.99, 0.2), (0.75, 0.8, 0.03)],
    right=_ppv,
    mistakes=[
        (
            lambda sensitivity, specificity, prevalence: _ppv(sensitivity, specificity, 0.5),
            "The prevalence plays no part. This is the value on a balanced test set, where every second image is "
            "diseased; in a clinic the healthy are many, and so are the false alarms among them.",
        ),
        (
            lambda sensitivity, specificity, prevalence: _ppv(specificity, sensitivity, prevalence),
            "Sensitivity and specificity are swapped: sensitivity is the share of the diseased that are found, "
            "specificity the share of the healthy that are let go.",
        ),
        (
            _npv,
            "This is the negative predictive value: how sure is a negative finding. Asked is the positive one.",
        ),
        (
            lambda *shares: 1 - _npv(*shares),
            "This is the share of diseased among the negative findings. Asked is the share among the positive ones.",
        ),
        (
            lambda *shares: 1 - _ppv(*shares),
            "This is the share of false alarms among the positive findings: one minus what is asked.",
        ),
        (
            lambda *shares: 100 * _ppv(*shares),
            "The number is right in percent; give it as a share, between 0 and 1.",
        ),
        (
            lambda sensitivity, specificity, prevalence: _ppv(sensitivity, specificity, 1 - prevalence),
            "The prevalence is used the wrong way round: it is the share of the diseased, not of the healthy.",
        ),
        (
            lambda sensitivity, specificity, prevalence: _ppv(sensitivity, 1 - specificity, prevalence),
            "The healthy who are called diseased are (1 − specificity) of all healthy; this takes specificity of them.",
        ),
        (
            lambda sensitivity, specificity, prevalence: sensitivity * prevalence,
            "This is the share of true positives among all people. Divide it by the share of all positive findings.",
        ),
        (
            lambda sensitivity, specificity, prevalence: sensitivity * prevalence + specificity * (1 - prevalence),
            "This is the accuracy. Asked is: of those called diseased, how many are?",
        ),
        (
            lambda sensitivity, specificity, prevalence: sensitivity,
            "This is the sensitivity: of the diseased, how many are found. Asked is: of those called diseased, how "
            "many are?",
        ),
    ],
    properties=[_ppv_properties],
    expected="the share of the truly diseased among all who are called diseased, between 0 and 1",
    praise="True positives over all positives, each as a share of everybody.",
    thought="With sensitivity .9, specificity .95 and a prevalence of 1 %, how many of a hundred alarms are right? "
    "Which of the two would you improve first, and which one does recall report?",
    hints=[
        "Think of 10 000 people. How many are diseased and found, how many are healthy and called diseased?",
        "True positives: sensitivity · prevalence. False ones: (1 − specificity) · (1 − prevalence).",
    ],
    code="""
def ppv(sensitivity, specificity, prevalence):
    true_positive = sensitivity * prevalence
    false_positive = (1 - specificity) * (1 - prevalence)
    return true_positive / (true_positive + false_positive)
""",
    why="Count both kinds of positive findings as shares of everybody.",
)

# What one image is worth

_IMAGES, _BEFORE, _AFTER = 23, 0.4783, 0.5217

image_exercise = NumberExercise(
    "images",
    right=1,
    tolerance=0.01,
    mistakes=[
        (
            near(100 / _IMAGES, 1 / _IMAGES, tolerance=0.0005),
            "That is what one image is worth. How many of them are in the gain?",
        ),
        (
            near(100 * (_AFTER - _BEFORE)),
            "Those are percentage points. How many images are they, when all images of the class are 100 points?",
        ),
        (
            near(_AFTER - _BEFORE),
            "That is the gain as a share of the class. How many images is this share of all 23?",
        ),
        (
            near(_AFTER / _BEFORE - 1, 100 * (_AFTER / _BEFORE - 1)),
            "That is the gain relative to the old recall; it says nothing of how many images changed.",
        ),
        (
            near(100 * _IMAGES * (_AFTER - _BEFORE)),
            "Those are images times percentage points: divide by 100.",
        ),
        (
            near(_IMAGES * _BEFORE, _IMAGES * _AFTER),
            "So many images were found before or after. Asked is by how many they differ.",
        ),
        (near(_IMAGES), "Those are all test images of the class. Asked is how many changed side."),
        (near(4), "One image of 23 is worth about 4 *points*. Asked is how many images the gain holds."),
        (lambda number: number == 0, "Recall did change, so at least some images did."),
        (lambda number: number < 0, "Recall rose, so more images were found: the number is positive."),
        (lambda number: number > _IMAGES, "There are only 23 images in the class."),
        (lambda number: not float(number).is_integer(), "Images come whole: the answer is a count."),
    ],
    expected="a count of images, the difference between those found after and those found before",
    praise="One image. Before, 11 of 23 were found; after, 12.",
    thought="The 95 % interval of 12 out of 23 reaches from .33 to .71. Could another random seed alone have moved one "
    "image? How many test images would you ask for, before you believe four points?",
    hints=[
        "Recall is found / all. How many images were found before, and how many after?",
        "23 · 0.4783 and 23 · 0.5217 are whole numbers, but for rounding.",
    ],
    code="images = round(23 * 0.5217) - round(23 * 0.4783)",
    why="12 found after, 11 before.",
)

# A choice that does not look at the test


def _choose(validation: dict[float, float], test: dict[float, float]) -> list[float]:
    beta = max(validation, key=validation.__getitem__)
    return [beta, test[beta]]


def _choice_by_test(validation: dict[float, float], test: dict[float, float]) -> list[float]:
    beta = max(test, key=test.__getitem__)
    return [beta, test[beta]]


def _choice_by_both(validation: dict[float, float], test: dict[float, float]) -> list[float]:
    beta = max(validation, key=lambda candidate: validation[candidate] + test[candidate])
    return [beta, test[beta]]


def _choice_of_least(validation: dict[float, float], test: dict[float, float]) -> list[float]:
    beta = min(validation, key=validation.__getitem__)
    return [beta, test[beta]]


def _choice_properties(results: Results, cases: Sequence[Arguments]) -> str | None:
    if all(result[0] == _choose(*case)[0] for result, case in zip(results, cases, strict=True)):
        return "β is chosen rightly, on the validation images; the score to report with it is another one."
    if any(result[0] not in case[0] for result, case in zip(results, cases, strict=True)):
        return f"{results[0][0]:g} is none of the βs that were tried: return one of the keys of `validation`."
    return None


choice_exercise = FunctionExercise(
    "choose",
    cases=[
        (
            {0.0: 0.61, 0.9: 0.66, 0.99: 0.74, 0.999: 0.71, 0.9999: 0.70},
            {0.0: 0.58, 0.9: 0.64, 0.99: 0.69, 0.999: 0.75, 0.9999: 0.68},
        ),
        (
            {0.0: 0.52, 0.9: 0.68, 0.99: 0.63, 0.999: 0.65, 0.9999: 0.60},
            {0.0: 0.55, 0.9: 0.57, 0.99: 0.67, 0.999: 0.66, 0.9999: 0.71},
        ),
    ],
    right=_choose,
    mistakes=[
        (
            _choice_by_test,
            "This β was chosen on the test images, and so its test score is too good: it was picked because it is "
            "high. Choose on `validation`, and look at `test` once.",
        ),
        (
            lambda validation, test: [_choose(validation, test)[0], max(test.values())],
            "β is chosen rightly, but the score is the best of the test, which belongs to another β. Report the test "
            "score of the β that you chose.",
        ),
        (
            lambda validation, test: [_choose(validation, test)[0], max(validation.values())],
            "β is chosen rightly, but the score is the one that chose it, and the best of several is too good. Report "
            "its test score.",
        ),
        (
            _choice_by_both,
            "This looks at validation and test together: the test images had a say in the choice, so they are no test.",
        ),
        (_choice_of_least, "This is the β with the lowest validation score; higher is better."),
        (
            lambda validation, test: _choose(validation, test)[0],
            "β is chosen rightly. And which score do you report? Return both: `return beta, score`.",
        ),
        (
            lambda validation, test: _choice_by_test(validation, test)[0],
            "This β was chosen on the test images; nothing is left then to measure it on. Choose on `validation`.",
        ),
        (
            lambda validation, test: _choose(validation, test)[::-1],
            "The right two, in the other order: first β, then the score.",
        ),
        (
            lambda validation, test: [
                list(validation).index(_choose(validation, test)[0]),
                _choose(validation, test)[1],
            ],
            "This gives the place of β in the list; return β itself.",
        ),
    ],
    properties=[_choice_properties],
    expected="two numbers, the chosen β and the score you would report for it",
    praise="Chosen on validation, reported on test, once.",
    thought="You looked at five βs. Had you looked at five hundred, what would happen to the best validation score, "
    "and what to its test score? (The seed is a thing one can choose, too.)",
    hints=[
        "Which of the two tables may have a say in the choice?",
        "`max(validation, key=validation.get)` is a key; then look it up in `test`.",
    ],
    code="""
def choose(validation, test):
    beta = max(validation, key=validation.get)
    return beta, test[beta]
""",
    why="The test images are asked once, after the choice.",
)
