# The exercises by their numbers, which only the running module knows.

from careedu.course.exercises.exercise import Exercise

exercises: tuple[Exercise, ...]

def __getattr__(name: str) -> Exercise: ...
