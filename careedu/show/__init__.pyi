# What `careedu.show` offers. Modules inside careedu import from where a name lives, not from here.

from .care import AttentionMicroscope as AttentionMicroscope
from .care import AttentionView as AttentionView
from .care.plots import plot_doses as plot_doses
from .comparison import ComparisonExplorer as ComparisonExplorer
from .comparison import ComparisonView as ComparisonView
from .comparison_plots import plot_comparison as plot_comparison
from .comparison_plots import plot_differences as plot_differences
from .comparison_plots import plot_methods as plot_methods
from .global_attention import SpatialExplorer as SpatialExplorer
from .global_attention import SpatialView as SpatialView
from .global_attention.plots import plot_weight_maps as plot_weight_maps
from .imbalance import ImbalanceExplorer as ImbalanceExplorer
from .imbalance import ImbalanceView as ImbalanceView
from .imbalance.plots import plot_prevalence as plot_prevalence
from .picture import Picture as Picture
from .plots import plot_counts as plot_counts
from .plots import plot_history as plot_history
from .plots import plot_images as plot_images
from .plots import plot_maps as plot_maps
from .plots import plot_recalls as plot_recalls
from .report import write_report as write_report
from .result_plots import plot_confusion as plot_confusion
from .result_plots import plot_sweep as plot_sweep
from .widget import recorded_errors as recorded_errors
