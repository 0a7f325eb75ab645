"""The spatial explorer: one map for all images beside its controls and the mean image; state, maps, drawings, view."""

from careedu.show.global_attention.explorer import SpatialExplorer
from careedu.show.global_attention.view import SpatialView

__all__ = ["SpatialExplorer", "SpatialView"]
