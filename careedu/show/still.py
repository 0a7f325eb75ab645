"""What a widget shows where no kernel runs, as in a notebook exported to HTML: the state it was left in, no script."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

PLACE = Path(__file__).parent
_TEMPLATES = Environment(loader=FileSystemLoader(PLACE), autoescape=True)


def still(widget: Any) -> str:
    """A widget's parts and settings as HTML, with the pictures in it."""
    style = (PLACE / "layered_picture.css").read_text(encoding="utf-8")
    return _TEMPLATES.get_template("still.html").render(widget=widget, style=style)
