"""The curve along the number of labels tells each mean with its interval."""

from __future__ import annotations

import pytest
from made_up_runs import made_up_run

from careedu.errors import InvalidInputError
from careedu.experiment.results import Results
from careedu.show.result_plots import plot_label_shares


def results(first):
    seeds = (first, first + 1)
    return Results({name: {s: made_up_run(name, seed=s) for s in seeds} for name in ("focal", "ldam")})


def test_each_share_is_told_with_its_interval():
    sets = {"chest": {"15": results(0), "all": results(2)}, "skin": {"15": results(4), "50": results(6)}}
    picture = plot_label_shares(sets)
    assert picture.png.startswith(b"\x89PNG")
    for name, shares in sets.items():
        for method in ("focal", "ldam"):
            told = ", ".join(f"{share}: {one.estimate(method, 'balanced accuracy')}" for share, one in shares.items())
            assert f"{name}, {method}, at {told}" in picture.alt
    one = plot_label_shares(sets, "rare recall", ["ldam"])
    assert "focal" not in one.alt and one.alt.startswith("rare recall") and one.png != picture.png


def test_nothing_to_show_is_refused():
    for sets, methods in (({}, None), ({"chest": {}}, None), ({"chest": {"15": results(0)}}, [])):
        with pytest.raises(InvalidInputError, match="a set with results"):
            plot_label_shares(sets, methods=methods)
