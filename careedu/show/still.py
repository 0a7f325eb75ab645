"""What a widget shows where no kernel runs, as in a notebook exported to HTML: the state it was left in, no script."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


def still(widget: Any) -> str:
    """A widget's parts and settings as HTML, with the pictures in it."""
    return _TEMPLATES.get_template("still.html").render(widget=widget)
