"""The feature explorer: generated features beside real ones, where they come from, and what they do to recall."""

from careedu.show.feature_generation.explorer import FeatureExplorer
from careedu.show.feature_generation.records import GeneratedFeatures, record_generation
from careedu.show.feature_generation.view import FeatureView, feature_explorer

__all__ = ["FeatureExplorer", "FeatureView", "GeneratedFeatures", "feature_explorer", "record_generation"]
