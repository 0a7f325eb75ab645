"""The decision guide: what each line says of saved comparisons is what these show."""

import re

import pytest

from careedu.course.guide import VERDICTS, Evidence, decision_guide
from careedu.data.shipped import shipped
from careedu.errors import InvalidInputError

GUIDE = decision_guide()
ALL = [evidence for advice in GUIDE for evidence in advice.evidence]


@pytest.mark.parametrize("evidence", ALL, ids=lambda e: f"{e.runs}: {e.method} {e.rival} {e.metric}")
def test_saved_runs_show_what_the_guide_says(evidence):
    assert evidence.difference.verdict == evidence.verdict
    assert evidence.difference.seeds == 10  # no line rests on a search or a sweep
    assert not (shipped("runs") / evidence.runs / "results.json").read_text().count('"exploratory": true')


def test_each_line_rests_on_something_and_is_shown_with_it():
    page, text = GUIDE._repr_html_(), repr(GUIDE)
    assert len(GUIDE) >= 8
    for advice in GUIDE:
        assert len(advice.evidence) >= 2, advice.when
        assert advice.when in text
        assert advice.do in text
    for evidence in ALL:
        assert str(evidence) in text
        assert re.search(rf'<a href="{evidence.runs[:2]}_\w+\.ipynb">{re.escape(evidence.runs)}</a>', page)
    # Each notebook that proposes a remedy, and real images as well as phantoms.
    assert {evidence.runs[:2] for evidence in ALL} == {"01", "02", "03", "04", "05", "06"}
    assert any("brain" in evidence.runs for evidence in ALL)
    assert {evidence.verdict for evidence in ALL} == set(VERDICTS.values())


def test_evidence_is_read_with_its_commas():
    read = Evidence.read("02-marked-skin: CARE, dose 4 > CARE, dose 4, random boxes, rare recall")
    assert (read.method, read.rival, read.metric) == ("CARE, dose 4", "CARE, dose 4, random boxes", "rare recall")
    assert (
        Evidence.read("03-phantom-chest: after: free mask < after: flat map, rare recall").method == "after: free mask"
    )


def test_what_is_no_evidence_is_refused():
    with pytest.raises(InvalidInputError, match="is no evidence"):
        Evidence.read("logit adjustment is better")
