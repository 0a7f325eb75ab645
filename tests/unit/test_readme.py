"""What the README states is what the saved runs show, what its commands are, and what stands beside it."""

import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

import careedu
from careedu.course.cli import main

CLONE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CLONE / "tests" / "benchmarks"))
import figures  # noqa: E402

README = (CLONE / "README.md").read_text(encoding="utf-8")
CLAIM = re.compile(
    r"(?P<sign>[+−])(?P<size>\.\d\d) (?P<metric>rare recall|balanced accuracy) of (?P<method>[^()|;]+?) over "
    r"(?P<rival>[^()|;`]+?),? \(?`(?P<runs>[\w-]+)`\)?"
)
CLAIMS = [found.groupdict() for found in CLAIM.finditer(README)]


@cache
def load(name):
    return careedu.Comparison.load(name)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: f"{c['runs']}: {c['method']} over {c['rival']}, {c['metric']}")
def test_a_difference_is_what_the_saved_runs_show(claim):
    results = load(claim["runs"])
    difference = results.differences(claim["metric"], claim["rival"])[claim["method"]]
    stated = float(claim["sign"].replace("−", "-") + claim["size"])
    assert round(difference.effect, 2) == pytest.approx(stated, abs=1e-9)
    assert difference.verdict == ("better" if stated > 0 else "worse")
    assert difference.seeds == 10


def test_no_signed_number_of_the_table_escapes():
    table = README[README.index("## What the methods are worth") : README.index("**Limits.**")]
    assert len(re.findall(r"[+−]\.\d\d", table)) == len(CLAIMS) >= 9


def test_what_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (CLONE / target).exists(), target


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((CLONE / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == careedu.__version__
    assert citation["license"] == "BSD-3-Clause" and citation["authors"]
    assert f"## {careedu.__version__}" in (CLONE / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    careedu (\w+)", README, re.M))))
def test_its_commands_are_commands(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for line in re.findall(rf"^    careedu {command} .*", README, re.M):
        assert all(flag in said for flag in re.findall(r"--[\w-]+", line)), line


def test_what_it_calls_is_public():
    for name in set(re.findall(r"\bcareedu\.([A-Za-z_]+)\(", README)):
        assert hasattr(careedu, name), name


def test_what_it_costs_is_what_was_measured():
    said = README[README.index(figures.BEGIN) + len(figures.BEGIN) : README.index(figures.END)]
    assert said.strip() == figures.kept()


def test_the_table_of_what_it_costs_is_whole_and_hides_nothing():
    told = json.loads(figures.KEPT.read_text(encoding="utf-8"))["figures"]
    measured = [figures.Figure(**one) for one in told]
    assert len(measured) > 40 and sum(one.most is not None for one in measured) > 25
    assert README.count("(not kept)") == sum(not one.holds for one in measured)
    # One of each benchmark that there is: none is left out of the table.
    sources = {path.stem for path in figures.HERE.glob("bench_*.py")}
    assert sources == {one.source for one in measured}


def test_a_bound_that_is_not_kept_is_said():
    slow = figures.Figure("x", 0.08, "ms", most=75)
    assert not slow.holds and slow.cells()[-1] == "≤ 75 ms (not kept)"
    beside = figures.Figure("x", 2.0, "s", peer="y", theirs=1.0, ratio=2.0, most=1.12)
    assert not beside.holds and beside.cells() == ("x", "2.00 s", "y: 1.00 s", "2.00", "≤ 1.12 (not kept)")
    assert figures.Figure("x", 2.0, "s", peer="y", theirs=2.0, ratio=1.0, most=1.12).holds
    fast = figures.Figure("x", 0.002, "ms", peer="y", theirs=1.61, ratio=0.0012)
    assert fast.cells() == ("x", "2.00 ms", "y: 1,610 ms", "0.001", "")
