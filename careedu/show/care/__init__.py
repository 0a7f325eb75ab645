"""The attention microscope: where two methods look at the same image; state, drawings, view."""

from careedu.show.care.microscope import AttentionMicroscope
from careedu.show.care.view import AttentionView

__all__ = ["AttentionMicroscope", "AttentionView"]
