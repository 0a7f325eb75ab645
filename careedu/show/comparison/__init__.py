"""The comparison explorer: two methods side by side, over all seeds and image by image; state, drawings, view."""

from careedu.show.comparison.explorer import ComparisonExplorer
from careedu.show.comparison.view import ComparisonView

__all__ = ["ComparisonExplorer", "ComparisonView"]
