"""The spatial explorer: one map for all images beside its controls and the mean image; state, maps, drawings, view."""

from careedu.show.spatial_widget.explorer import SpatialExplorer
from careedu.show.spatial_widget.view import SpatialView

__all__ = ["SpatialExplorer", "SpatialView"]
