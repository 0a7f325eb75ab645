"""The spatial explorer without a screen: its maps are the runs' own, and it claims no more than the intervals allow."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from itertools import product
from time import monotonic

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_maps import AFTER, ARMS, SIZE, ZONE, made_up_comparison, with_weights
from sklearn.metrics import roc_auc_score

import careedu
from careedu.data.phantoms import lesion_zones
from careedu.errors import InvalidInputError, MissingDataError
from careedu.measure.intervals import Interval
from careedu.measure.map_quality import interval_over_seeds
from careedu.measure.statistics import Difference, holm, sign_flip_p
from careedu.nn.pixel_features import mean_image
from careedu.show.compare import Comparison
from careedu.show.global_attention import drawings
from careedu.show.global_attention.explorer import SpatialExplorer
from careedu.show.global_attention.maps import MEAN, ROLES, SpatialMap
from careedu.show.global_attention.view import NAMES, SpatialView
from careedu.show.layered_picture import map_layer

LEARNED = {arm: kind for arm, kind in ARMS.items() if kind != "mean-image"}
METHOD = ROLES["pixels"]
KIND = {role: kind for kind, role in ROLES.items()}
KEPT = 5e-4
"""So near comes the AUROC of a saved map to that of the learned one."""


@pytest.fixture(scope="module")
def comparison():
    return made_up_comparison()


@pytest.fixture(scope="module")
def chest():
    return careedu.load("phantom-chest", size=SIZE, largest=20, val=3, test=4)


def shown(view):
    """All that the view shows, as text."""
    texts = [part.value for name, part in view.parts.items() if name != "pictures"]
    return "\n".join([*texts, *(picture["title"] + picture["notes"] for picture in view.parts["pictures"].value)])


def picture(view, name):
    """One of the layered pictures."""
    return next(one for one in view.parts["pictures"].value if one["name"] == name)


def layers(view, name):
    """What a picture's layers hold, by their kind."""
    return {layer["kind"]: layer["content"] for layer in picture(view, name)["layers"]}


def plain(part):
    """What a part says, without its marks."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", getattr(part, "value", part)).split()))


def recorded(comparison, arm, seed=0):
    return comparison.runs[arm][seed].traces["attention map"] / 65535


def auroc(shown):
    return roc_auc_score(ZONE.ravel(), np.asarray(shown).ravel())


# What is shown


def test_the_maps_are_those_of_arm_seed_and_epoch(comparison):
    explorer = SpatialExplorer(comparison)
    assert list(explorer.maps) == [*ROLES.values(), MEAN] and explorer.settings["epoch"] == explorer.epochs == 3
    for seed in (0, 5):
        for epoch in (1, 3):
            explorer.set(seed=seed, epoch=epoch)
            for role, arm in explorer.here.ways[explorer.way].items():
                look = explorer.maps[role]
                assert (
                    look.arm == arm and comparison.runs[arm][0].configuration["method"]["options"]["map"] == KIND[role]
                )
                np.testing.assert_array_equal(look.map, recorded(comparison, arm, seed)[epoch - 1])
                assert look.auroc == pytest.approx(auroc(look.map)) and look.about == f"map after epoch {epoch} of 3"
            np.testing.assert_array_equal(explorer.maps[MEAN].map, recorded(comparison, "mean image", seed)[-1])


def test_scores_are_those_of_the_trained_maps_over_seeds(comparison):
    explorer = SpatialExplorer(comparison)
    explorer.set(epoch=1)
    for look in explorer.maps.values():
        expected = {seed: auroc(recorded(comparison, look.arm, seed)[-1]) for seed in comparison.seeds}
        assert look.aurocs == pytest.approx(expected)
        assert look.over_seeds == pytest.approx(interval_over_seeds(list(expected.values())))
        for metric, estimate in look.metrics.items():
            assert estimate == comparison.estimate(look.arm, metric)
        assert list(look.metrics) == ["balanced accuracy", "rare recall"]


def test_each_arm_is_compared_with_the_mean_image_seed_by_seed(comparison):
    explorer = SpatialExplorer(comparison)
    mean, found = explorer.maps[MEAN].aurocs, {}
    for role in ROLES.values():
        own = explorer.maps[role].aurocs
        found[role] = np.array([own[seed] - mean[seed] for seed in comparison.seeds])
    adjusted = dict(zip(found, holm([sign_flip_p(values) for values in found.values()]), strict=True))
    for role, values in found.items():
        against = explorer.maps[role].against_mean
        assert (against.effect, against.low, against.high) == pytest.approx(interval_over_seeds(values))
        assert against.adjusted_p == pytest.approx(adjusted[role])
    verdicts = [explorer.maps[role].against_mean.verdict for role in ROLES.values()]
    assert verdicts == ["better", "better", "worse", "worse"] and explorer.maps[MEAN].against_mean is None


@pytest.mark.parametrize(
    ("seeds", "worth", "words"),
    [
        (8, 0.9, f"{METHOD}: the map beats the mean image (AUROC 0.65): difference +"),
        (8, 0.5, f"{METHOD}: the map does not beat the mean image (AUROC 0.65): difference "),
        (8, 0.2, f"{METHOD}: the map does not beat the mean image (AUROC 0.65): difference −"),
        (5, 0.9, f"{METHOD}: the map does not beat the mean image (AUROC 0.65): difference +"),
        (
            1,
            0.9,
            f"{METHOD}: the map does not beat the mean image (AUROC 0.65): difference +0.080, no interval, 1 seed.",
        ),
    ],
)
def test_the_verdict_is_said_in_words_and_claims_no_more_than_the_interval(seeds, worth, words):
    view = SpatialView(SpatialExplorer(made_up_comparison(seeds, worth={"pixels": worth})))
    said = plain(view.parts["verdict"])
    assert words in said
    of_method = said.split("Principal components")[0]
    assert ("beats" in of_method) == (seeds == 8 and worth == 0.9)
    assert ("show nothing either way" in of_method) == (seeds < 6)
    assert ("It scores worse" in of_method) == (worth == 0.2)
    assert "find" not in said


def test_the_negative_of_the_mean_image_is_the_rival_where_it_scores_higher():
    darker = made_up_comparison(worth={"mean-image": -0.6, "pixels": 0.5})
    explorer = SpatialExplorer(darker)
    mean, own = explorer.maps[MEAN].aurocs, explorer.maps[METHOD].aurocs
    assert explorer.here.negative and explorer.maps[MEAN].over_seeds.estimate < 0.5
    expected = np.mean([own[s] - (1 - mean[s]) for s in mean])
    assert explorer.maps[METHOD].against_mean.effect == pytest.approx(expected)
    view = SpatialView(explorer)
    assert "the map does not beat the mean image (its negative scores 0.6" in plain(view.parts["verdict"])
    assert "hollow square: the negative of the mean image, 0.6" in picture(view, "pixels")["notes"]


def test_an_arm_that_has_the_negative_mean_as_its_map_gives_the_mean_image():
    arms = {**LEARNED, "negative": "negative-mean-image"}
    comparison = made_up_comparison(2, arms=arms, worth={"negative-mean-image": 0.5})
    explorer = SpatialExplorer(comparison)
    np.testing.assert_allclose(explorer.maps[MEAN].map, 1 - recorded(comparison, "negative")[-1])
    assert not explorer.here.wants_images and explorer.maps[MEAN].arm == "negative"
    assert explorer.maps[MEAN].metrics["rare recall"] == comparison.estimate("negative", "rare recall")


# Where something is not there


def test_without_a_mean_image_arm_the_training_images_of_each_seed_are_averaged(chest):
    explorer = SpatialExplorer(made_up_comparison(3, arms=LEARNED, data=chest))
    assert explorer.here.wants_images and explorer.maps[MEAN].map is None
    assert explorer.maps[METHOD].against_mean is None
    view = SpatialView(explorer)
    explorer.task.join()
    for seed in (0, 2):
        explorer.set(seed=seed)
        mean = mean_image(chest.redraw(seed).train.images).numpy()
        np.testing.assert_allclose(explorer.maps[MEAN].map, mean, atol=1e-6)
        assert explorer.maps[MEAN].aurocs[seed] == pytest.approx(auroc(mean), abs=1e-6)
    assert explorer.maps[METHOD].against_mean.seeds == 3 and not explorer.here.wants_images
    assert "no arm here" in picture(view, "mean")["notes"] and "not known" in picture(view, "mean")["notes"]


def test_images_are_drawn_when_the_widget_rests_and_those_of_the_chosen_point_first(chest, monkeypatch):
    comparison = made_up_comparison(3, arms=LEARNED, data=chest)
    few = made_up_comparison(3, arms=LEARNED, data=chest, images=80)
    explorer = SpatialExplorer(comparison, {(80, 0.02): few})
    here, there = explorer.points[160, 0.02], explorer.points[80, 0.02]
    drawn = []
    redraw = type(chest).redraw

    def slow(self, seed):
        drawn.append((monotonic(), explorer.settings["images"]))
        if len(drawn) == 1:
            explorer.set(images=80)
        return redraw(self, seed)

    monkeypatch.setattr(type(chest), "redraw", slow)
    explorer.set(epoch=1)
    start = monotonic()
    explorer.load_images(rest=0.2)
    # One of the first point was under way; the second's waited for the rest after the move and then are all there.
    assert drawn[0][0] - start > 0.15 and drawn[1][0] - drawn[0][0] > 0.15
    assert [images for _, images in drawn] == [160, 80, 80, 80]
    assert here.wants_images and not there.wants_images
    explorer.set(images=160)
    explorer.load_images()
    assert len(drawn) == 6 and not here.wants_images


@pytest.mark.parametrize("error", [MissingDataError("fetch them"), InvalidInputError("other images")])
def test_missing_images_leave_the_maps(monkeypatch, error):
    def data(self):
        raise error

    monkeypatch.setattr(Comparison, "data", property(data))
    explorer = SpatialExplorer(made_up_comparison(2, arms=LEARNED))
    view = SpatialView(explorer)
    explorer.task.join()
    assert str(error) in explorer.here.missing and str(error) in view.parts["note"].value
    assert explorer.maps[METHOD].map is not None and layers(view, "pixels")["words"] == "mean image not on this machine"
    assert "is not known as long as the mean image is not" in plain(view.parts["verdict"])
    assert explorer.errors == [] and not explorer.here.wants_images


def test_an_error_that_nobody_expected_is_recorded_and_shown_and_not_tried_for_ever(monkeypatch):
    calls = []

    def data(self):
        calls.append(1)
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Comparison, "data", property(data))
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    explorer = SpatialExplorer(made_up_comparison(2, arms=LEARNED))
    view = SpatialView(explorer)
    explorer.task.join()
    explorer.set(epoch=1)
    assert len(calls) == len(explorer.errors) == 1 and "by zero" in view.message.value
    explorer.errors.clear()


def test_of_saved_results_other_seeds_have_their_last_map_alone(comparison, tmp_path):
    back = Comparison.load(comparison.save(tmp_path / "results"))
    explorer, whole = SpatialExplorer(back), SpatialExplorer(comparison)
    for role, look in whole.maps.items():
        assert explorer.maps[role].over_seeds == pytest.approx(look.over_seeds, abs=KEPT)
        assert str(explorer.maps[role].against_mean) == str(look.against_mean)
    view = SpatialView(explorer)
    assert not view.controls["epoch"].disabled and view.controls["epoch"].min == 1
    explorer.set(epoch=1)
    np.testing.assert_array_equal(explorer.maps[METHOD].map, recorded(back, "global attention")[0])
    np.testing.assert_allclose(explorer.maps[METHOD].map, recorded(comparison, "global attention")[0], atol=1 / 255)
    explorer.set(seed=4)
    assert explorer.settings["epoch"] == 3 and explorer.maps[METHOD].about == "map after epoch 3 of 3"
    np.testing.assert_array_equal(explorer.maps[METHOD].map, recorded(back, "global attention", 4)[-1])
    np.testing.assert_allclose(explorer.maps[METHOD].map, recorded(comparison, "global attention", 4)[-1], atol=1 / 255)
    assert view.controls["epoch"].disabled and "Of seed 4 only the map after the last epoch" in plain(
        view.parts["note"]
    )
    explorer.set(seed=0, epoch=2)
    assert explorer.maps[METHOD].about == "map after epoch 2 of 3" and view.controls["epoch"].value == 2


def test_runs_without_maps_are_named_and_weights_take_their_place():
    comparison = made_up_comparison(2)
    runs = {arm: dict(by_seed) for arm, by_seed in comparison.runs.items()}
    values = np.linspace(0, 1, SIZE**2).reshape(SIZE, SIZE)
    for arm in ("free mask", "permuted"):
        runs[arm] = {seed: replace(run, traces={}) for seed, run in runs[arm].items()}
    runs["permuted"] = {seed: with_weights(run, values) for seed, run in runs["permuted"].items()}
    explorer = SpatialExplorer(Comparison(runs))
    assert explorer.maps["Free mask"].map is None and explorer.maps["Free mask"].over_seeds is None
    np.testing.assert_allclose(explorer.maps["Permuted pixels"].map, values, atol=1e-7)
    assert explorer.maps["Permuted pixels"].auroc == pytest.approx(auroc(values))
    view = SpatialView(explorer)
    assert (
        "hold no map of free mask, seed 0" in plain(view.parts["note"]) and picture(view, "free")["caption"] == "no map"
    )
    assert layers(view, "free")["image"] and not layers(view, "free")["map"], "the mean image is still there"


def test_arms_that_are_not_there_are_named():
    arms = {"plain": None, "global attention": "pixels", "mean image": "mean-image"}
    explorer = SpatialExplorer(made_up_comparison(2, arms=arms))
    assert explorer.maps["Free mask"].about == (
        'no arm with map="free", order="together", fill="black" in these results'
    )
    view = SpatialView(explorer)
    for name in ("permuted", "principal-components", "free"):
        said = f'no arm with map="{name}", order="together", fill="black" in these results'
        assert plain(picture(view, name)["notes"]) == said and said in picture(view, name)["alt"]
    assert "no arm with" not in plain(view.parts["note"])
    with pytest.raises(InvalidInputError, match="no arm with a map"):
        SpatialExplorer(made_up_comparison(2, arms={"plain": None}))


def test_images_without_known_zones_are_not_scored():
    for name in ("phantom-skin", "brain-tumor"):
        explorer = SpatialExplorer(made_up_comparison(2, recipe={"name": name, "options": {}}, name=name))
        assert explorer.zone is None and explorer.settings["jitter"] is None
        view = SpatialView(explorer)
        assert view.controls["jitter"].value == "not known" and view.controls["jitter"].disabled
        assert name in plain(view.parts["note"]) and "as long as the zones are not" in plain(view.parts["verdict"])
        assert np.isnan(explorer.maps[METHOD].auroc) and layers(view, "pixels")["outline"] == ""
        assert "AUROC of the trained map not known" in picture(view, "pixels")["notes"]
    given = SpatialExplorer(made_up_comparison(2, recipe={"name": "brain-tumor"}, name="brain-tumor"), zone=ZONE)
    assert given.maps[METHOD].auroc == pytest.approx(auroc(given.maps[METHOD].map))
    for wrong in (ZONE.astype(float), ZONE[1:], np.ones_like(ZONE), np.zeros_like(ZONE)):
        with pytest.raises(InvalidInputError, match="zone must be bool"):
            SpatialExplorer(made_up_comparison(2), zone=wrong)


def test_the_zones_are_the_phantoms_own():
    for kind in ("chest", "brain"):
        recipe = {"name": f"phantom-{kind}", "options": {}}
        explorer = SpatialExplorer(made_up_comparison(2, recipe=recipe))
        np.testing.assert_array_equal(explorer.zone, lesion_zones(kind, SIZE))


# Order and fill


@pytest.fixture(scope="module")
def both_orders():
    return made_up_comparison(arms=ARMS | AFTER, epochs=6, worth={"free after": 0.9})


def test_it_opens_on_maps_learned_after_the_network_with_the_mean_image_behind(both_orders, comparison):
    explorer = SpatialExplorer(both_orders)
    assert explorer.way == ("after", "mean") and explorer.settings["epoch"] == explorer.epochs == 6 + 4
    shown = {role: look.arm for role, look in explorer.maps.items()}
    after = {"Principal components": "components after", "Free mask": "free after"}
    assert shown == {METHOD: None, **after, "Permuted pixels": None, MEAN: "mean image"}
    assert explorer.maps[METHOD].about == 'no arm with map="pixels", order="after", fill="mean" in these results'
    assert SpatialExplorer(comparison).way == ("together", "black")
    black = {"free": AFTER["free after, black"]}
    assert SpatialExplorer(made_up_comparison(1, arms=black)).way == ("after", "black"), "the first there is"


def test_order_and_fill_choose_the_arms_and_move_to_what_is_there(both_orders):
    explorer = SpatialExplorer(both_orders)
    assert explorer.choices()["order"] == ("together", "after") and explorer.choices()["fill"] == ("black", "mean")
    for change, way, arms in (
        ({"order": "together"}, ("together", "black"), set(ARMS) - {"plain", "mean image"}),
        ({"fill": "mean"}, ("after", "mean"), {"components after", "free after"}),
        ({"fill": "black"}, ("after", "black"), {"free after, black"}),
        ({"order": "together"}, ("together", "black"), set(ARMS) - {"plain", "mean image"}),
        ({"order": "after"}, ("after", "black"), {"free after, black"}),
    ):
        explorer.set(**change)
        assert explorer.way == way and {explorer.maps[role].arm for role in ROLES.values()} - {None} == arms
        assert explorer.maps[MEAN].arm == "mean image" and explorer.maps[MEAN].map is not None
    with pytest.raises(InvalidInputError, match="no results at order='together', fill='mean'; there are order="):
        explorer.set(order="together", fill="mean")
    with pytest.raises(InvalidInputError, match="unknown order 'before'"):
        explorer.set(order="before")
    assert explorer.way == ("after", "black")


def test_of_several_arms_that_learn_alike_the_first_is_shown(both_orders):
    runs = {"first": both_orders.runs["free after"], **both_orders.runs}
    assert SpatialExplorer(Comparison(runs)).maps["Free mask"].arm == "first"


def test_each_way_is_judged_by_itself(both_orders):
    explorer = SpatialExplorer(both_orders)
    for way in explorer.here.ways:
        explorer.set(order=way[0], fill=way[1])
        against = {role: look.against_mean for role, look in explorer.maps.items() if look.against_mean}
        assert set(against) == set(explorer.here.ways[way])
        adjusted = holm([one.p for one in against.values()])
        assert [one.adjusted_p for one in against.values()] == pytest.approx(adjusted)
    explorer.set(order="after", fill="mean")
    said = plain(SpatialView(explorer).parts["verdict"])
    assert "Free mask: the map beats the mean image" in said and METHOD not in said


def test_another_point_of_the_sweep_has_its_own_ways(both_orders, comparison):
    explorer = SpatialExplorer(both_orders, {(40, 0.02): comparison})
    explorer.set(fill="black")
    explorer.set(images=40)
    assert explorer.way == ("together", "black") and explorer.choices()["order"] == ("together",)
    explorer.set(images=160, order="after", fill="mean")
    assert explorer.way == ("after", "mean")
    explorer.set(images=40)
    assert explorer.way == ("together", "black")
    explorer.set(images=160, order="after")
    assert explorer.way == ("after", "black"), "the fill stays where it can"


def test_results_of_an_older_careedu_learned_together_in_front_of_black(comparison):
    old = {
        arm: {seed: replace(run, configuration=_older(run.configuration)) for seed, run in by_seed.items()}
        for arm, by_seed in comparison.runs.items()
    }
    explorer = SpatialExplorer(Comparison(old))
    assert list(explorer.here.ways) == [("together", "black")] and explorer.maps[METHOD].arm == "global attention"
    assert explorer.maps[METHOD].about == "map after epoch 3 of 3"


def _older(configuration):
    method = configuration["method"]
    options = {name: value for name, value in method["options"].items() if name not in ("order", "fill")}
    return configuration | {"method": method | {"options": options}}


# The stages of a training


@pytest.mark.parametrize(("arm", "network"), [("free after", 6), ("free after, black", 3)])
def test_epochs_run_through_all_stages(both_orders, arm, network):
    explorer = SpatialExplorer(both_orders)
    explorer.set(fill=AFTER[arm].fill)
    view = SpatialView(explorer)
    run = both_orders.runs[arm][0]
    known = np.concatenate([run.traces[name] for name in sorted(run.traces, reverse=True) if "attention" in name])
    assert len(known) == 10 - network and (view.controls["epoch"].min, view.controls["epoch"].max) == (1, 10)
    for epoch in range(1, 11):
        view.controls["epoch"].value = epoch
        look = explorer.maps["Free mask"]
        stage = 0 if epoch <= network else 1 if epoch <= network + 4 else 2
        words = ("the network learns, all pixels open", "the map learns, the network rests", "both learn")[stage]
        assert look.about == f"map after epoch {epoch} of 10: {words}" and look.about in picture(view, "free")["alt"]
        assert plain(view.parts["heading"]).startswith(
            f"phantom-chest, jitter 0.02, seed 0, epoch {epoch} of 10: {words} "
        )
        if stage:
            np.testing.assert_array_equal(look.map, known[epoch - network - 1] / 65535)
        else:
            assert (look.map == 1).all() and look.auroc == 0.5 and "flat at 1.000" in picture(view, "free")["caption"]
            assert layers(view, "free")["map"] == map_layer(np.ones((SIZE, SIZE)), (SIZE, SIZE))["content"], "yellow"
        assert look.over_seeds == explorer.here.look("Free mask", explorer.way, 0, 10).over_seeds
    assert explorer.here.course(arm, 0).maps.shape == known.shape, "open maps are not kept"


def test_what_stands_at_the_last_epoch_stays_at_the_last(both_orders):
    explorer = SpatialExplorer(both_orders)
    for order, last in (("together", 6), ("after", 10)):
        explorer.set(order=order)
        assert explorer.settings["epoch"] == explorer.epochs == last
    explorer.set(epoch=4, order="together")
    explorer.set(order="after")
    assert explorer.settings["epoch"] == 4


def test_a_shorter_training_stands_at_its_last_epoch(both_orders):
    longer = replace(AFTER["components after"], map_epochs=9)
    runs = both_orders.runs | made_up_comparison(arms={"components after": longer}, epochs=6).runs
    view = SpatialView(SpatialExplorer(Comparison(runs)))
    assert view.state.epochs == 15
    assert [view.state.maps[role].about.split(":")[0] for role in ("Principal components", "Free mask")] == [
        "map after epoch 15 of 15",
        "map after epoch 10 of 10",
    ]
    heading = plain(view.parts["heading"])
    assert "epoch 15 of 15: the map learns, the network rests; epoch 10 of 10: the map learns" in heading


def test_of_saved_results_in_stages_the_first_seed_has_all_and_the_others_the_last(both_orders, tmp_path):
    explorer = SpatialExplorer(Comparison.load(both_orders.save(tmp_path / "results")))
    view, whole = SpatialView(explorer), SpatialExplorer(both_orders)
    for way in whole.here.ways:
        whole.set(order=way[0], fill=way[1])
        explorer.set(order=way[0], fill=way[1], seed=0)
        for role, look in whole.maps.items():
            assert explorer.maps[role].over_seeds == pytest.approx(look.over_seeds, abs=KEPT)
        assert (view.controls["epoch"].min, view.controls["epoch"].max) == (1, whole.epochs)
        explorer.set(seed=4)
        whole.set(seed=4)
        assert view.controls["epoch"].disabled and explorer.settings["epoch"] == whole.epochs
        assert "Of seed 4 only the map after the last epoch" in plain(view.parts["note"])
        np.testing.assert_allclose(explorer.maps["Free mask"].map, whole.maps["Free mask"].map, atol=1 / 255)
        assert explorer.maps["Free mask"].about == whole.maps["Free mask"].about


# The sweep


@pytest.fixture
def swept(comparison):
    few, loose = (
        made_up_comparison(3, epochs=5, arms=ARMS | AFTER),
        made_up_comparison(2, jitter=0.1, worth={"pixels": 0.0}),
    )
    both = made_up_comparison(3, worth={"pixels": 0.3})
    sweeps = {(40, 0.02): few, (160, 0.1): loose, (80, 0.2): both, (160, 0.02): made_up_comparison(2)}
    return SpatialExplorer(comparison, sweeps)


def test_number_and_jitter_choose_the_results(swept, comparison):
    assert swept.image_counts == (40, 80, 160) and swept.jitters == (0.02, 0.1, 0.2)
    assert swept.results is comparison, "the comparison itself counts at its own point"
    swept.set(seed=7)
    swept.set(images=40)
    assert (swept.settings["jitter"], swept.settings["seed"], swept.epochs) == (0.02, 0, 5)
    assert swept.maps[METHOD].over_seeds.estimate != SpatialExplorer(comparison).maps[METHOD].over_seeds.estimate
    swept.set(jitter=0.1)
    assert swept.settings["images"] == 160 and len(swept.maps[METHOD].aurocs) == 2
    np.testing.assert_allclose(swept.maps[METHOD].over_seeds.estimate, 0.5, atol=0.03)
    swept.set(images=80)
    assert swept.settings["jitter"] == 0.2
    swept.set(images=160)
    assert swept.settings["jitter"] == 0.1, "of .02 and .1 the one that is nearer to .2"
    swept.set(images=160, jitter=0.02, seed=7, epoch=1)
    assert swept.results is comparison and swept.settings["seed"] == 7


def test_the_point_of_a_comparison_is_read_from_its_runs():
    assert SpatialExplorer(made_up_comparison(1, images=200, jitter=0.1)).settings["images"] == 200
    comparison = made_up_comparison(1, recipe={"name": "phantom-chest", "options": {}})
    assert SpatialExplorer(comparison).settings["jitter"] == 0.02, "the phantoms' own"
    run = comparison.runs["global attention"][0]
    method = run.configuration["method"]
    fewer = {**run.configuration, "method": {**method, "options": {**method["options"], "images": 25}}}
    runs = comparison.runs | {"global attention": {0: replace(run, configuration=fewer)}}
    assert SpatialExplorer(Comparison(runs)).settings["images"] == 25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": 41}, "images=41"),
        ({"jitter": 0.3}, "jitter=0.3"),
        ({"images": 40, "jitter": 0.1}, "no results at images=40, jitter=0.1; there are images=160, jitter=0.02"),
        ({"seed": 8}, "unknown seed 8"),
        ({"epoch": 0}, "epoch=0"),
        ({"opacity": 0.5}, "no setting"),
    ],
)
def test_settings_that_cannot_be_are_named(swept, change, words):
    before, maps = dict(swept.settings), swept.maps
    with pytest.raises(InvalidInputError, match=words):
        swept.set(**change)
    assert swept.settings == before and swept.maps is maps


@pytest.mark.parametrize("key", [40, (40,), ("40", 0.1), (0, 0.1), (40, -0.1), (40, float("inf")), (40, "little")])
def test_a_sweep_of_another_kind_is_named(comparison, key):
    with pytest.raises(InvalidInputError, match="number of training images, jitter"):
        SpatialExplorer(comparison, {key: comparison})


def test_a_sweep_of_another_size_is_named(comparison):
    other = made_up_comparison(1, **{"image shape": [1, 48, 48]})
    with pytest.raises(InvalidInputError, match=r"\(48, 48\) pixels, not \(32, 32\)"):
        SpatialExplorer(comparison, {(40, 0.1): other})


# The view


def test_every_control_changes_what_is_shown(both_orders):
    few = made_up_comparison(4, arms=ARMS | AFTER, epochs=5)
    swept = SpatialExplorer(both_orders, {(40, 0.02): few, (160, 0.1): made_up_comparison(2, jitter=0.1)})
    view = SpatialView(swept)
    for setting, value, part in (
        ("epoch", 1, "pictures"),
        ("seed", 3, "pictures"),
        ("images", 40, "pictures"),
        ("order", "together", "verdict"),
        ("order", "after", "pictures"),
        ("fill", "mean", "verdict"),
        ("fill", "black", "pictures"),
        ("jitter", 0.1, "verdict"),
    ):
        before = view.parts[part].value
        view.controls[setting].value = value
        assert view.parts[part].value != before, f"{setting} changed nothing in {part}"
        assert swept.settings[setting] == value
        enabled = {name for name, control in view.controls.items() if not control.disabled}
        assert enabled == set(view.controls) - (set() if setting != "jitter" else {"order", "fill"})
    assert swept.errors == []
    assert {name: control.value for name, control in view.controls.items()} == swept.settings
    swept.set(images=160, jitter=0.1, seed=1)
    assert {name: control.value for name, control in view.controls.items()} == swept.settings
    assert [value for _, value in view.controls["seed"].options] == [0, 1]


def test_order_and_fill_that_no_arm_varies_are_disabled_and_say_why(both_orders, comparison):
    view = SpatialView(SpatialExplorer(comparison))
    assert view.controls["order"].disabled and view.controls["fill"].disabled
    assert "when the map learns and what is behind the map cannot be changed: no arm has another" in plain(
        view.parts["note"]
    )
    view = SpatialView(SpatialExplorer(both_orders))
    assert not view.controls["order"].disabled and not view.controls["fill"].disabled
    assert view.controls["order"].options == (("with the network", "together"), ("after the network", "after"))
    assert view.controls["fill"].options == (("black", "black"), ("mean image", "mean"))
    assert "no arm has another" not in plain(view.parts["note"])


def test_without_a_sweep_the_controls_are_disabled_and_say_why(comparison):
    view = SpatialView(SpatialExplorer(comparison))
    assert view.controls["images"].disabled and view.controls["jitter"].disabled and not view.controls["seed"].disabled
    assert "the number of images and the jitter cannot be changed: they were given without a sweep" in plain(
        view.parts["note"]
    )
    view = SpatialView(SpatialExplorer(comparison, {(40, 0.02): made_up_comparison(2)}))
    assert not view.controls["images"].disabled and view.controls["jitter"].disabled
    assert "the jitter cannot be changed: the sweep does not vary it" in plain(view.parts["note"])


def test_drawings_say_in_words_what_they_show(comparison):
    view = SpatialView(SpatialExplorer(comparison))
    labels = [html.unescape(words) for words in re.findall(r'aria-label="([^"]*)"', shown(view))]
    for role, name in NAMES.items():
        look = view.state.maps[role]
        alt = picture(view, name)["alt"]
        assert alt.startswith(f"{role}, {look.arm}: {look.about}") and f"AUROC of this map {look.auroc:.2f}" in alt
        measured = next(words for words in labels if words.startswith(f"{role}: AUROC"))
        assert f"{look.over_seeds} over 8 seeds" in measured
        assert all(f"{metric} {estimate}" in measured for metric, estimate in look.metrics.items())
        assert str(look.over_seeds) in plain(picture(view, name)["notes"])
    assert 'role="status"' in view.parts["verdict"].value and 'aria-live="polite"' in view.parts["heading"].value


def test_the_pictures_are_named_and_outlined_alike(comparison):
    view = SpatialView(SpatialExplorer(comparison))
    assert [one["name"] for one in view.parts["pictures"].value] == list(NAMES.values())
    assert view.parts["pictures"].outlined == "the lesion zones"
    shown = [layers(view, name) for name in NAMES.values()]
    assert all(list(one) == ["image", "map", "outline"] for one in shown)
    assert len({one["image"] for one in shown}) == len({one["outline"] for one in shown}) == 1
    assert len({one["map"] for one in shown}) == 5


def test_names_are_not_read_as_html():
    arms = {"<b>a&b": "pixels", 'c"d': "free", MEAN: "permuted", "mean": "mean-image"}
    view = SpatialView(SpatialExplorer(made_up_comparison(2, arms=arms, name="<i>set")))
    assert "<b>a&b" not in shown(view) and "&lt;b&gt;a&amp;b" in shown(view) and "<i>set" not in shown(view)
    # An arm may have any name, that of a role too.
    mean = view.state.maps[MEAN]
    assert mean.arm == "mean" and mean.aurocs != view.state.maps["Permuted pixels"].aurocs
    assert "N = 160 images < 1024 pixels" in plain(view.parts["heading"]), "no tag begins at the sign"


@pytest.mark.parametrize(("images", "words"), [(1023, "some maps are out of"), (1024, "reaches any map")])
def test_it_says_whether_there_are_as_many_images_as_pixels(images, words):
    assert words in plain(SpatialView(SpatialExplorer(made_up_comparison(1, images=images))).parts["heading"])


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-0.5, 0.5), middle=st.floats(0.5, 0.6), high=st.floats(0.6, 1.5), rival=st.floats(0, 1))
def test_intervals_are_drawn_where_they_lie_and_within_the_axis(low, middle, high, rival):
    look = SpatialMap(METHOD, "m", np.eye(2), "map", over_seeds=Interval(middle, low, high))
    drawn = drawings.measures(look, rival, "the mean image", "")

    def x(value):
        return 8 + (drawings.PICTURE - 16) * min(max(value, 0), 1)

    (ends,) = re.findall(r'<line x1="([\d.]+)" y1="46.0" x2="([\d.]+)"', drawn)
    np.testing.assert_allclose([float(end) for end in ends], [x(low), x(high)], atol=0.06)
    (centre,) = re.findall(r'<circle cx="([\d.]+)"', drawn)
    (square,) = re.findall(r'<rect x="([\d.]+)"', drawn)
    np.testing.assert_allclose([float(centre), float(square) + 4.5], [x(middle), x(rival)], atol=0.11)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.floats(-0.4, 0.4), st.floats(0, 0.3), st.floats(0.0, 1.0))
def test_nothing_is_said_to_beat_that_is_not_shown_to(seeds, effect, half, p):
    against = Difference("AUROC of the map", effect, effect - half, effect + half, p, seeds, np.nan)
    said = drawings.verdict_words(METHOD, against, 0.6, False)
    shows = seeds >= 6 and effect - half > 0 and p <= 0.05
    assert ("beats the mean image" in said) == shows and ("does not beat the mean image" in said) != shows


def test_a_flat_map_is_drawn_and_said_to_be_flat():
    comparison = made_up_comparison(1)
    run = comparison.runs["free mask"][0]
    flat = np.full((3, SIZE, SIZE), 57720, dtype=np.uint16)
    runs = comparison.runs | {"free mask": {0: replace(run, traces={"attention map": flat})}}
    explorer = SpatialExplorer(Comparison(runs))
    assert explorer.maps["Free mask"].auroc == 0.5
    assert "flat at 0.881" in picture(SpatialView(explorer), "free")["caption"]


# Trained


@pytest.mark.slow
def test_what_is_trained_is_what_is_shown(chest, tmp_path):
    methods = {
        "method": careedu.GlobalAttention(),
        "free": careedu.GlobalAttention(map="free"),
        "after": careedu.GlobalAttention(map="free", order="after", fill="mean", map_epochs=2, retrain=0.5),
        "mean": careedu.GlobalAttention(map="mean-image"),
    }
    comparison = careedu.compare(chest, methods, seeds=2, epochs=2, progress=False)
    explorer = SpatialExplorer(Comparison.load(comparison.save(tmp_path / "results")))
    chosen = {"epoch": 4, "order": "after", "fill": "mean"}
    assert explorer.settings == {"seed": 0, "images": 60, "jitter": 0.02, **chosen}
    for seed, order in product((0, 1), ("together", "after")):
        explorer.set(seed=seed, order=order)
        assert explorer.settings["epoch"] == explorer.epochs == (4 if order == "after" else 2)
        for role, arm in explorer.here.ways[explorer.way].items():
            with torch.no_grad():
                exact = comparison.runs[arm][seed].network().before.map().numpy()
            np.testing.assert_allclose(explorer.maps[role].map, exact, atol=2e-5 + np.ptp(exact) / 255)
            assert explorer.maps[role].auroc == pytest.approx(auroc(exact), abs=0.01)
        mean = mean_image(chest.redraw(seed).train.images)
        np.testing.assert_allclose(explorer.maps[MEAN].map, mean, atol=2e-5 + 1 / 255)
    explorer.set(seed=0, epoch=1)
    assert (explorer.maps["Free mask"].map == 1).all() and explorer.when.startswith("epoch 1 of 4: the network learns")
    explorer.set(epoch=2)
    assert explorer.maps["Free mask"].map.max() < 1 and explorer.when.startswith("epoch 2 of 4: the map learns")
