"""The imbalance explorer: two heads on the same features while the imbalance changes; state and view."""

from careedu.show.imbalance.explorer import ImbalanceExplorer
from careedu.show.imbalance.view import ImbalanceView

__all__ = ["ImbalanceExplorer", "ImbalanceView"]
