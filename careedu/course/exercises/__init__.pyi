# What `careedu.course.exercises` offers: a module for each notebook.

from . import care as care
from . import deep_pneumonia as deep_pneumonia
from . import distractor as distractor
from . import everything as everything
from . import feature_generation as feature_generation
from . import global_attention as global_attention
from . import imbalance as imbalance
