"""What to do, by what is at hand: each line beside what saved comparisons show, computed anew whenever it is read."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources

from careedu.data.shipped import shipped
from careedu.errors import InvalidInputError
from careedu.measure.statistics import Difference
from careedu.show.compare import Comparison

VERDICTS = {">": "better", "<": "worse", "=": "no difference shown"}
_EVIDENCE = re.compile(r"(?P<runs>[\w.-]+): (?P<method>.+) (?P<sign>[><=]) (?P<rival>.+), (?P<metric>[\w ]+)")


@cache
def _saved(name: str) -> Comparison:
    return Comparison.load(name)


@dataclass(frozen=True)
class Evidence:
    """What a line of the guide rests on.

    Parameters
    ----------
    runs : str
        Name of a saved comparison.
    method, rival, metric : str
        What is compared there, and by what.
    verdict : str
        What the line takes it to show.
    """

    runs: str
    method: str
    rival: str
    metric: str
    verdict: str

    @classmethod
    def read(cls, text: str) -> Evidence:
        """From a line such as ``"01-phantom-skin: logit adjustment > cross-entropy, rare recall"``."""
        found = _EVIDENCE.fullmatch(text)
        if found is None:
            raise InvalidInputError(f"{text!r} is no evidence: '<comparison>: <method> >, < or = <rival>, <metric>'")
        parts = found.groupdict()
        return cls(verdict=VERDICTS[parts.pop("sign")], **parts)

    @property
    def difference(self) -> Difference:
        """The paired difference in the saved runs, adjusted for all methods that were compared with the rival."""
        return _saved(self.runs).differences(self.metric, self.rival)[self.method]

    def __str__(self) -> str:
        return f"{self.runs}: {self.method} against {self.rival}, {self.difference}"


@dataclass(frozen=True)
class Advice:
    """One line of the guide: when, what to do, and what that rests on."""

    when: str
    do: str
    evidence: tuple[Evidence, ...]


class Guide(tuple[Advice, ...]):
    """The lines of the decision guide; shown in a notebook as a table."""

    def _repr_html_(self) -> str:
        pages = {path.name[:2]: path.name for path in shipped("notebooks").glob("*.ipynb")}
        rows = []
        for advice in self:
            shown = (
                f'<li><a href="{pages[of.runs[:2]]}">{of.runs}</a>{escape(str(of).removeprefix(of.runs))}</li>'
                for of in advice.evidence
            )
            rows.append(f"<tr><td>{escape(advice.when)}<td>{escape(advice.do)}<td><ul>{''.join(shown)}</ul>")
        style = "text-align: left; vertical-align: top; white-space: normal"
        body = "".join(rows).replace("<td>", f'<td style="{style}">')
        return f"<table><tr><th>you have<th>do<th>saved runs of ten seeds show{body}</table>"

    def __repr__(self) -> str:
        return "\n\n".join("\n".join([f"{a.when}: {a.do}", *(f"  {of}" for of in a.evidence)]) for a in self)


def decision_guide() -> Guide:
    """What to do, by what is at hand, as the saved comparisons of the course have it.

    Returns
    -------
    Guide
        `Advice` by `Advice`; each of its `Evidence` computes its `difference` from the saved runs.

    Examples
    --------
    >>> decision_guide()[0].evidence[0].difference.verdict
    'better'
    """
    text = resources.files("careedu.course").joinpath("guide.toml").read_text(encoding="utf-8")
    lines = tomllib.loads(text)["line"]
    return Guide(Advice(own["when"], own["do"], tuple(map(Evidence.read, own["evidence"]))) for own in lines)
