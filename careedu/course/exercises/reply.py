"""What an exercise says back: a few lines of text that read well in a notebook, light or dark, and in a terminal."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

# Of Okabe and Ito's palette. Each kind also has a sign and a word of its own: nothing is told by colour alone.
_LOOKS = {
    "not yet": ("…", "Not yet.", "#E69F00"),
    "nearly": ("≈", "Nearly.", "#0072B2"),
    "wrong": ("✗", "Not right.", "#D55E00"),
    "right": ("✓", "Right.", "#009E73"),
    "hint": ("→", "Hint", "#0072B2"),
    "solution": ("=", "Solution.", "#0072B2"),
}


@dataclass(frozen=True)
class Reply:
    """What is said to an answer, a hint, or a solution.

    Parameters
    ----------
    kind : str
        "not yet", "nearly" (the right numbers in another shape), "wrong", "right", "hint" or "solution".
    text : str
        One paragraph; what stands between backticks is shown as code.
    thought : str
        A second paragraph; only a right answer has one.
    code : str
        Lines of code below the text.
    """

    kind: str
    text: str
    thought: str = ""
    code: str = ""

    def __bool__(self) -> bool:
        """Whether the answer was right."""
        return self.kind == "right"

    def __repr__(self) -> str:
        sign, word, _ = _LOOKS[self.kind]
        parts = [f"{sign} {word} {self.text}".rstrip()]
        parts += [f"Next thought: {self.thought}"] * bool(self.thought) + [self.code] * bool(self.code)
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        sign, word, color = _LOOKS[self.kind]
        # The theme's own text colour on a veil of our colour, which lets a light or a dark page shine through.
        style = (
            f"border-left:4px solid {color};background:{color}1F;color:var(--jp-content-font-color1,inherit);"
            "padding:8px 12px;margin:4px 0;border-radius:0 4px 4px 0;max-width:46em;line-height:1.45"
        )
        body = f'<span aria-hidden="true">{sign}</span> <strong>{word}</strong> {_with_code(self.text)}'
        if self.thought:
            body += f'<div style="margin-top:6px"><strong>Next thought:</strong> {_with_code(self.thought)}</div>'
        if self.code:
            body += f'<pre style="margin:6px 0 0;white-space:pre-wrap">{html.escape(self.code)}</pre>'
        return f'<div role="status" style="{style}">{body}</div>'


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
