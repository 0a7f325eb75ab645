"""The exercises of notebook 03, in its order."""

from careedu.course.exercises.spatial_evidence import control_exercise as exercise_5
from careedu.course.exercises.spatial_evidence import score_exercise as exercise_4
from careedu.course.exercises.spatial_maps import regulariser_exercise as exercise_2
from careedu.course.exercises.spatial_reach import fewest_exercise as exercise_1
from careedu.course.exercises.spatial_reach import jump_exercise as exercise_3
from careedu.course.exercises.spatial_reach import reach_exercise as exercise_1b

__all__ = ["exercise_1", "exercise_1b", "exercise_2", "exercise_3", "exercise_4", "exercise_5"]
