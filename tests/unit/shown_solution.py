"""What the solution that an exercise shows defines: an answer, as a reader would have it."""

from __future__ import annotations

from typing import Any

from careedu.course.exercises.exercise import Exercise


def solution_of(exercise: Exercise) -> Any:
    """The answer that the code of the solution makes."""
    names: dict[str, Any] = {}
    exec(exercise.code, names)
    return names[exercise.name]
