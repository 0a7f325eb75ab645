"""What the notebooks say of their widgets is so: which picture is shown, and what the reader is to find is there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import careedu
import careedu.show
from careedu.course.experiments.global_attention import JITTERS
from careedu.data.shipped import shipped
from careedu.show.global_attention.maps import MEAN, ROLES
from careedu.show.results_state import RECORDED


def cells(notebook):
    """Sources of a solved notebook's cells, by their id."""
    [path] = (shipped("notebooks") / "solutions").glob(f"{notebook}_*.ipynb")
    return {cell["id"]: "".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}


def run(source, **names):
    """What a cell leaves behind."""
    names |= {"careedu": careedu, **{name: getattr(careedu.show, name) for name in dir(careedu.show)}}
    exec(source, names)
    return names


@pytest.fixture(scope="module")
def microscope():
    options = {"shortcut": "mark", "shortcut_test": "random", "test": 200}
    data = careedu.load("phantom-skin", imbalance=10, **options)
    assert all(f'{name}="{value}"' in cells("02")["look"] for name, value in options.items() if name != "test")
    tuning = careedu.Comparison.load("02-dose-marked")
    made = run(cells("02")["widget"], data=data, tuning=tuning, rarest=tuning.rare[-1], DOSE=4)["microscope"]
    made.task.join()
    return made


def test_the_microscope_opens_on_the_rare_class_the_only_one_that_had_boxes(microscope):
    text = " ".join(cells("02")["widget-text"].split())
    assert "opens on an image of the rare class, the only one that had boxes" in text
    assert "picture_of=" not in cells("02")["widget"], "it opens there by itself"
    assert [microscope.true_class] == list(microscope.results.rare) and microscope.settings["source"] == RECORDED
    options = microscope.results.runs[microscope.settings["b"]][100].configuration["method"]["options"]
    assert (options["classes"], options["boxes"]) == ("rare", "given")


def test_no_network_has_seen_the_new_images(microscope):
    assert "no network has seen them" in " ".join(cells("02")["widget-text"].split())
    new = {image.numpy().tobytes() for image in microscope.given.images}
    data = microscope.results.data
    for seed in microscope.results.seeds:
        drawn = data.redraw(seed)
        for part in (drawn.train, drawn.val, drawn.test):
            assert not new & {image.numpy().tobytes() for image in part.images}


def test_what_the_reader_is_to_find_in_the_microscope_is_there(microscope):
    text = " ".join(cells("02")["widget-text"].split())
    results = microscope.results
    assert '"Dose of B" from none to the largest' in text and microscope.doses == (0, 0.25, 1, 4, 16)
    shares = []
    for dose in microscope.doses:
        microscope.set(dose=dose)
        shares.append(np.nanmean([_share_on_the_mark(microscope, k) for k in range(1, len(microscope.members) + 1)]))
    assert shares[-1] < shares[0] / 2, "(a) the share on the mark falls"
    microscope.set(dose=4)
    assert results.runs["dose 4"][100].history["stage"].nunique() == 2, "(b) a second stage sets in"
    assert "Set B to shifted boxes" in text and "dose 4, shifted boxes" in results.methods, "(c)"
    # (d) A common lesion with a plaster, which A calls rare.
    given = microscope.given
    rows = given.marked & (given.labels != results.rare_indices[-1])
    network = results.runs["logit adjustment"][100].network()
    with torch.no_grad():
        said = network(given.images[rows].float() / 255).argmax(dim=1)
    assert (said == results.rare_indices[-1]).double().mean() > 0.9


def _share_on_the_mark(microscope, picture):
    microscope.set(picture=picture)
    return microscope.seen["B"].mark


def test_the_spatial_explorer_has_the_maps_and_the_points_that_the_text_names():
    load = careedu.Comparison.load
    jitters = {j: load(f"03-jitter-{j:g}") for j in JITTERS}
    saved = load("03-phantom-chest")
    N = sum(saved.first.configuration["data"]["train counts"])
    explorer = run(cells("03")["widget"], saved=saved, jitters=jitters, N=N)["explorer"]
    assert list(explorer.maps) == [*ROLES.values(), MEAN] and all(one.map is not None for one in explorer.maps.values())
    free, trained = "Free mask", explorer.maps["Free mask"].auroc
    assert explorer.way == ("after", "mean") and explorer.lowest == 1 < explorer.epochs == explorer.settings["epoch"]
    explorer.set(epoch=1)
    assert explorer.maps[free].map.min() == 1, "(a) open while the network learns"
    explorer.set(epoch=explorer.epochs)
    explorer.set(fill="black")
    assert explorer.maps[free].auroc < trained, "(b) black behind"
    explorer.set(order="together", fill="black")
    assert explorer.maps["Pixel classifier"].map is not None, "(c) with the network"
    explorer.set(order="after", fill="mean")
    assert "Choose 16 training images" in " ".join(cells("03")["widget-text"].split()) and 16 in explorer.image_counts
    explorer.set(images=16)
    assert explorer.maps["Principal components"].map is not None, "(d) so few images"
    explorer.set(images=N)
    assert max(explorer.jitters) > explorer.settings["jitter"], "(e) the jitter can be raised"
    explorer.set(jitter=max(explorer.jitters))
    assert explorer.maps[free].map is not None


def test_there_is_an_image_that_one_method_always_misses_and_another_always_finds():
    assert "misses with every seed and another finds with every seed" in " ".join(cells("01")["methods-text"].split())
    saved = careedu.Comparison.load("01-phantom-skin")
    explorer = run(cells("01")["methods"], saved=saved)["view"].state
    explorer.task.join()
    right, all_seeds = {m: explorer.seeds_right(m) for m in saved.methods}, len(saved.seeds)
    assert any(((right[a] == 0) & (right[b] == all_seeds)).any() for a in right for b in right)
    shown = explorer.settings
    assert (shown["a"], shown["b"]) == ("cross-entropy", "logit adjustment") and [explorer.true_class] == list(
        saved.rare
    )


def test_what_the_reader_is_to_find_in_the_embedding_explorer_is_there():
    text = " ".join(cells("04")["widget-text"].split())
    explorer = run(cells("04")["widget"])["explorer"]
    explorer.task.join()
    assert explorer.images is not None and explorer.errors == []
    assert "A is untrained, B is pretrained" in text and explorer.settings["a"] == "untrained"
    assert [explorer.true_class] == list(explorer.embeddings.data["rare"]), "it opens on the rare class"
    assert explorer.seen["A"].share < explorer.chance + 0.05 < explorer.seen["B"].share - 0.2, "(a) neighbours"
    shares, own = [], []
    for temperature in (1.0, 0.2, 0.05):
        explorer.set(temperature=temperature)
        shares.append(explorer.seen["B"].nearest_share)
        own.append(explorer.seen["B"].own_share)
    assert shares == sorted(shares) and shares[-1] > 3 * shares[0] and min(own) > 0.1, (
        "(b) few negatives, some of the own class"
    )
    masked = "pretrained, then trained with masks"
    assert f'B to "{masked}"' in text
    explorer.set(b=masked)
    inside, chance = explorer.inside("B")
    assert inside > 3 * chance, "(c) attention lies on the lesion"
    gains = []
    for labels in (15, "all"):
        explorer.set(labels=labels)
        gains.append(explorer.rows[0].difference.effect)
    assert gains[0] > 2 * gains[1] > 0, "(d) less is left of the gain"
    ends = [spread[-1] for spread in explorer.spreads.values()]
    assert len(ends) == len(explorer.labelled.seeds) and min(ends) > 0.5, "(e) none collapsed"


def test_what_the_reader_is_to_find_in_the_distractor_viewer_is_there():
    text = " ".join(cells("05")["widget-text"].split())
    viewer = run(cells("05")["widget"])["viewer"]
    viewer.task.join()
    assert viewer.images is not None and viewer.errors == []
    record, shown = viewer.distractors, viewer.settings
    assert (shown["a"], shown["b"]) == ("logit adjustment", "+ distractor")
    assert "under logit adjustment (A) and with the loss (B)" in text
    assert "at five moments of the training" in text and len(record.epochs) == 5
    likely = [wrong_probability(record, row) for row in viewer.members[:20]]
    assert likely == sorted(likely, reverse=True) and "those that tempt A most come first" in text
    lies = []
    for row in range(1, 41):
        viewer.set(image=row, map="distractor")
        lies.append(viewer.on_look_alikes("A"))
    share, _ = np.nanmean(lies, axis=0)
    assert share < 0.5, "(a) it does not keep to the patch"
    calls = []
    for true in viewer.classes:
        for predicted in set(viewer.classes) - {true}:
            viewer.set(true=true, predicted=predicted)
            calls += [record.patch_labels[row] == viewer.classes.index(predicted) for row in viewer.members]
    assert np.mean(calls) > 0.55, "(b) more of them than by chance are called what their patches are of"
    apart = viewer.mean_distances("B") - viewer.mean_distances("A")
    assert abs(apart[0]) < 0.001 and apart[-1] > 0.02, "(c) the two part"
    viewer.set(true="any", predicted="any", margin=2.0)
    assert "Move the margin to 2" in text and viewer.seen["A"].near == viewer.seen["B"].near == 1, "(d) nobody"


def test_what_the_reader_is_to_find_in_the_feature_explorer_is_there():
    text = " ".join(cells("06")["widget-text"].split())
    explorer = run(cells("06")["widget"])["explorer"]
    explorer.task.join()
    assert explorer.images is not None and explorer.errors == []
    record, real = explorer.record_of, explorer.real.std(axis=0)
    assert "Phantoms, seed 0" in text and record.provenance["seed"] == 0 and record.data["name"] == "phantom-brain"
    explorer.set(a="ACGAN", b="Gaussian", epoch=1)
    assert "the epoch from 1 to 400" in text and (record.epochs[0], record.epochs[-1]) == (1, 400)
    heap, gaussian = (explorer.seen[side].places for side in "AB")
    assert (heap.std(axis=0) < 0.2 * real).all(), "(a) they begin in one heap"
    explorer.set(epoch=400)
    assert (explorer.seen["A"].places.std(axis=0) > 0.7 * real).all(), "(a) and come to lie as the real ones do"
    assert np.array_equal(explorer.seen["B"].places, gaussian), "(a) nothing happens to the Gaussian's"
    same = {"A": [], "B": []}
    for row in range(1, 31):
        explorer.set(generated_of="grade III", generated=row)
        for side, found in same.items():
            found.append(explorer.seen[side].same)
    assert np.mean(same["A"]) > 0.75 and np.mean(same["B"]) < 0.5, "(b) of grade III, and mostly of another"
    features = record.real.astype(float)
    apart = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    rare = np.flatnonzero(record.labels == 2)
    assert "3 in 10 have one of grade III next to them" in text
    assert len(rare) == 10 and (record.labels[apart[rare].argmin(axis=1)] == 2).sum() == 3
    explorer.set(a="SMOTE")
    assert explorer.seen["A"].copies > 0.5 and explorer.seen["B"].copies == 0, "(c) most of them"
    for way in record.names:
        before, after = (np.array([one.estimate for one in explorer.recalls(way)[amount]]) for amount in (0, 2))
        assert (after[:2] < before[:2]).all() and after[2] > before[2] + 0.1, "(d) grades IV and II"


def wrong_probability(record, row):
    """How likely the first network takes an image for its most tempting wrong class after the last epoch."""
    return max(p for c, p in enumerate(record.probabilities[0, -1, row].tolist()) if c != record.labels[row])
