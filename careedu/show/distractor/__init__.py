"""The distractor viewer: what tempts two networks to a wrong class, where in the image, and whether look-alikes do."""

from careedu.show.distractor.records import DistractorRecord, record_distractors
from careedu.show.distractor.view import DistractorView, distractor_viewer
from careedu.show.distractor.viewer import DistractorViewer

__all__ = ["DistractorRecord", "DistractorView", "DistractorViewer", "distractor_viewer", "record_distractors"]
