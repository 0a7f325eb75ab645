# What `careedu.methods` offers. Modules inside careedu import from where a name lives, not from here.

from .building import build_method as build_method
from .building import rebuild_method as rebuild_method
from .facts import TrainingFacts as TrainingFacts
from .method import LossMethod as LossMethod
from .method import Method as Method
from .method import TrainedMethod as TrainedMethod
from .method import UntrainedMethod as UntrainedMethod
from .registry import METHODS as METHODS
from .registry import method_class as method_class
