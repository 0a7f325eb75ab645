# What `careedu.methods` offers. Modules inside careedu import from where a name lives, not from here.

from .building import build_method as build_method
from .building import rebuild_method as rebuild_method
from .registry import METHODS as METHODS
from .registry import method_class as method_class
