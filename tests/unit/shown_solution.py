"""What the solution that an exercise shows defines: an answer, as a reader would have it in the notebook."""

from __future__ import annotations

from typing import Any

import torch

from careedu.course.exercises.exercise import Exercise


def solution_of(exercise: Exercise) -> Any:
    """The answer that the code of the solution makes."""
    names: dict[str, Any] = {"torch": torch}  # every notebook with such exercises has imported it
    exec(exercise.code, names)
    return names[exercise.name]
