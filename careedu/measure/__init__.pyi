# What `careedu.measure` offers. Modules inside careedu import from where a name lives, not from here.

from .intervals import Interval as Interval
from .intervals import jackknife_interval as jackknife_interval
from .intervals import recall_interval as recall_interval
from .map_quality import area_share as area_share
from .map_quality import inside_share as inside_share
from .map_quality import interval_over_seeds as interval_over_seeds
from .map_quality import map_auroc as map_auroc
from .map_quality import map_difference as map_difference
from .map_quality import pointing_game as pointing_game
from .metrics import accuracy as accuracy
from .metrics import auroc as auroc
from .metrics import balanced_accuracy as balanced_accuracy
from .metrics import calibration_error as calibration_error
from .metrics import confusion as confusion
from .metrics import macro_f1 as macro_f1
from .metrics import rare_recall as rare_recall
from .metrics import recall_per_class as recall_per_class
from .precision import average_precision_interval as average_precision_interval
from .precision import positive_predictive_value as positive_predictive_value
from .precision import positive_predictive_value_interval as positive_predictive_value_interval
from .statistics import Difference as Difference
from .statistics import Estimate as Estimate
from .statistics import holm as holm
from .statistics import sign_flip_p as sign_flip_p
