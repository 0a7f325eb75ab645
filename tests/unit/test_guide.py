"""The decision guide of notebook 07: what each line says of saved comparisons is what these show."""

import json
import re
import tomllib
from functools import cache
from importlib.resources import files

import pytest

import careedu
from careedu.data.shipped import shipped

LINES = tomllib.loads(files("careedu.course").joinpath("guide.toml").read_text(encoding="utf-8"))["line"]
EVIDENCE = re.compile(r"(.+?): (.+) ([><=]) (.+), ([a-z ]+)")
VERDICTS = {">": "better", "<": "worse", "=": "no difference shown"}
ALL = [EVIDENCE.fullmatch(told) for line in LINES for told in line["evidence"]]


@cache
def load(name):
    return careedu.Comparison.load(name)


@pytest.mark.parametrize("told", ALL, ids=lambda told: told[0] if told else "cannot be read")
def test_saved_runs_show_what_the_guide_says(told):
    name, method, sign, rival, metric = told.groups()
    difference = load(name).differences(metric, rival)[method]
    assert difference.verdict == VERDICTS[sign]
    assert difference.seeds == 10 and not load(name).provenance["exploratory"], "no line rests on a search"


def test_each_line_rests_on_several_and_the_guide_on_all_notebooks():
    assert len(LINES) >= 8
    assert all(line["when"] and line["do"] and len(line["evidence"]) >= 2 for line in LINES)
    assert {told[1][:2] for told in ALL} == {f"0{number}" for number in range(1, 8)}
    assert any("brain" in told[1] for told in ALL)
    assert {told[3] for told in ALL} == set(VERDICTS)


def test_the_notebook_reads_it_as_this_test_does():
    notebook = json.loads((shipped("notebooks") / "07_compare_everything.ipynb").read_text(encoding="utf-8"))
    code = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert f'r"{EVIDENCE.pattern}"' in code
    assert all(f'"{sign}": "{verdict}"' in code for sign, verdict in VERDICTS.items())
