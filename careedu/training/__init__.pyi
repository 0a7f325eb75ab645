# What `careedu.training` offers. Modules inside careedu import from where a name lives, not from here.

from .loop import TrainingStopped as TrainingStopped
from .stage import Stage as Stage
from .stage import Update as Update
