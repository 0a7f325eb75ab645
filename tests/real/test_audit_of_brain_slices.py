"""The check names the leakage of a random split of brain slices, shows the twins, and is silent on the given split."""

from __future__ import annotations

import csv
import shutil

import pytest

import careedu


@pytest.fixture
def random_split(real_data, tmp_path, monkeypatch):
    """The axial slices without split, run and all else that would tell patients apart."""
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))
    source, place = real_data / "brain_tumor_mri", tmp_path / "slices"
    with (source / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["plane"] == "axial"]
    for folder in ("images", "masks"):
        shutil.copytree(source / folder, place / folder)
    with (place / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image", "label", "mask"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return place, {row["image"]: row["run"] for row in rows}


def finding(audit, check):
    return next(found for found in audit.findings if found.check == check)


@pytest.mark.real
@pytest.mark.slow
def test_a_random_split_leaks_and_the_given_one_does_not(random_split, real_data):
    place, run_of = random_split
    leaking = finding(careedu.audit(place), "leakage")
    assert leaking.attention and "split by patient" in leaking.result
    shown = [run_of[test] == run_of[train] for test, train in leaking.images]
    assert len(shown) >= 10 and sum(shown) >= 0.8 * len(shown), "the twins are of one run"
    given = careedu.audit(careedu.load("brain-tumor", size=128))
    assert not finding(given, "leakage").attention
    assert not finding(given, "copies across splits").attention
