"""The attention microscope: where two methods look at the same image; state, drawings, view."""

from careedu.show.attention_widget.microscope import AttentionMicroscope
from careedu.show.attention_widget.view import AttentionView

__all__ = ["AttentionMicroscope", "AttentionView"]
