"""The exercises of notebook 01, in its order."""

from careedu.course.exercises.imbalance_losses import loss_exercise as exercise_2
from careedu.course.exercises.imbalance_losses import weights_exercise as exercise_1
from careedu.course.exercises.imbalance_measures import choice_exercise as exercise_5
from careedu.course.exercises.imbalance_measures import image_exercise as exercise_4
from careedu.course.exercises.imbalance_measures import ppv_exercise as exercise_3

__all__ = ["exercise_1", "exercise_2", "exercise_3", "exercise_4", "exercise_5"]
