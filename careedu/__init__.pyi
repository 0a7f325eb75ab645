# Made from careedu/__init__.py: run tests/unit/test_public_names.py to make it anew.

from careedu.checks.audit import Audit as Audit
from careedu.checks.audit import audit as audit
from careedu.checks.check_method import check_method as check_method
from careedu.checks.planner import design_of as design_of
from careedu.checks.planner import patients_needed as patients_needed
from careedu.checks.planner import smallest_difference as smallest_difference
from careedu.data.augmentation import Augmentation as Augmentation
from careedu.data.dataset import LesionDataset as LesionDataset
from careedu.data.dataset import Splits as Splits
from careedu.data.load import load as load
from careedu.data.phantoms import lesion_zones as lesion_zones
from careedu.errors import CareeduError as CareeduError
from careedu.experiment.attention import attention_of as attention_of
from careedu.experiment.attention import trained_map as trained_map
from careedu.experiment.attention_results import AttentionResults as AttentionResults
from careedu.experiment.fit import fit as fit
from careedu.experiment.run import Run as Run
from careedu.methods.boxes import lesion_boxes as lesion_boxes
from careedu.methods.care import CARE as CARE
from careedu.methods.controls import MisplacedWeights as MisplacedWeights
from careedu.methods.deep_pneumonia import DeepPneumonia as DeepPneumonia
from careedu.methods.distractor import DistractorAware as DistractorAware
from careedu.methods.facts import TrainingFacts as TrainingFacts
from careedu.methods.feature_generation import FeatureGeneration as FeatureGeneration
from careedu.methods.global_attention import GlobalAttention as GlobalAttention
from careedu.methods.imbalance import LDAM as LDAM
from careedu.methods.imbalance import OHEM as OHEM
from careedu.methods.imbalance import BalancedSampling as BalancedSampling
from careedu.methods.imbalance import ClassBalanced as ClassBalanced
from careedu.methods.imbalance import ClassifierRetraining as ClassifierRetraining
from careedu.methods.imbalance import CrossEntropy as CrossEntropy
from careedu.methods.imbalance import FeatureSMOTE as FeatureSMOTE
from careedu.methods.imbalance import Focal as Focal
from careedu.methods.imbalance import LogitAdjusted as LogitAdjusted
from careedu.methods.lesion_transplant import LesionTransplant as LesionTransplant
from careedu.methods.local_attention import LocalAttention as LocalAttention
from careedu.methods.references import LesionSize as LesionSize
from careedu.methods.references import NearestNeighbour as NearestNeighbour
from careedu.methods.segmentation import Segmentation as Segmentation
from careedu.methods.segmentation import boxes_of_a_trained_segmentation as boxes_of_a_trained_segmentation
from careedu.methods.shortcut import CropToBox as CropToBox
from careedu.methods.shortcut import DropMarked as DropMarked
from careedu.methods.shortcut import GroupWeights as GroupWeights
from careedu.methods.shortcut import PaintOver as PaintOver
from careedu.methods.shortcut import RandomErasing as RandomErasing
from careedu.methods.simclr import SimCLR as SimCLR
from careedu.show.compare import Comparison as Comparison
from careedu.show.compare import compare as compare

__version__: str
__all__: list[str]
