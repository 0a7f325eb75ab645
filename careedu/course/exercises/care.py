"""The exercises of notebook 02, in its order."""

from careedu.course.exercises.care_attention import attention_exercise as exercise_1
from careedu.course.exercises.care_evidence import control_exercise as exercise_4
from careedu.course.exercises.care_evidence import needed_exercise as exercise_3
from careedu.course.exercises.care_maps import map_exercise as exercise_2
from careedu.course.exercises.care_pointing import pointing_exercise as exercise_5

__all__ = ["exercise_1", "exercise_2", "exercise_3", "exercise_4", "exercise_5"]
