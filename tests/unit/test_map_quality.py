"""Where a map looks: counted by hand, at ties and edges, and of a trained network."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_splits
from sklearn.metrics import roc_auc_score

import careedu
from careedu.errors import InvalidInputError, MissingWeightsError
from careedu.experiment.attention import MARK_MEASURES, MEASURES, attention_of
from careedu.experiment.attention_results import measure_attention
from careedu.experiment.results import Results
from careedu.measure import map_quality
from careedu.measure.map_quality import (
    area_share,
    inside_share,
    interval_over_seeds,
    map_auroc,
    map_difference,
    pointing_game,
)
from careedu.methods.boxes import inside_boxes


def one(values):
    return np.array([values], dtype=float)


def test_counted_by_hand():
    maps = one([[0, 0.2, 0], [0, 1, 0.8], [0, 0, 0]])
    mask = np.array([[[False, True, False], [False, True, False], [False, False, False]]])
    assert pointing_game(maps, mask) == [1.0]
    np.testing.assert_allclose(inside_share(maps, mask), [0.6])
    np.testing.assert_allclose(area_share(mask, (3, 3)), [2 / 9])
    box = torch.tensor([[1.0, 0, 2, 2]])  # the same pixels
    assert pointing_game(torch.from_numpy(maps), box) == [1.0]
    np.testing.assert_allclose(inside_share(maps, box), [0.6])
    np.testing.assert_allclose(area_share(box, (3, 3)), [2 / 9])
    assert pointing_game(maps, ~mask) == [0.0]


def test_ties_count_by_their_share_and_a_flat_map_scores_chance():
    mask = np.zeros((1, 4, 4), dtype=bool)
    mask[0, 0, :3] = True
    maps = one([[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert pointing_game(maps, mask) == [0.25]
    for value in (0.0, 0.7):
        flat = np.full((1, 4, 4), value)
        for measure in (pointing_game(flat, mask), inside_share(flat, mask)):
            np.testing.assert_allclose(measure, area_share(mask, (4, 4)))


def test_an_image_without_a_lesion_has_no_measure():
    maps = np.random.default_rng(0).random((2, 5, 5))
    masks = np.zeros((2, 5, 5), dtype=bool)
    masks[1, 2, 2] = True
    boxes = np.array([[np.nan] * 4, [1.0, 1, 3, 3]])
    for regions in (masks, boxes):
        for measure in (pointing_game(maps, regions), inside_share(maps, regions), area_share(regions, (5, 5))):
            assert np.isnan(measure[0]) and np.isfinite(measure[1])


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_measures_of_a_region_and_of_the_rest_add_up(images, height, width, seed):
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 4, (images, height, width)) / 4
    mask = rng.random((images, height, width)) < 0.5
    both = mask.any(axis=(1, 2)) & (~mask).any(axis=(1, 2))
    for measure in (pointing_game, inside_share):
        np.testing.assert_allclose((measure(maps, mask) + measure(maps, ~mask))[both], 1)
    assert ((inside_share(maps, mask)[both] >= 0) & (inside_share(maps, mask)[both] <= 1)).all()


# Quarters of pixels, so that edges fall on centres and between them, and boxes also lie outside, backwards or empty.
EDGES = st.one_of(st.integers(-8, 40).map(lambda quarter: quarter / 4), st.floats(-2, 10, width=32), st.just(np.nan))


@given(st.lists(st.tuples(EDGES, EDGES, EDGES, EDGES), min_size=1, max_size=4), st.integers(1, 8), st.integers(1, 8))
def test_the_inside_of_a_box_is_what_the_methods_take_it_for(boxes, height, width):
    boxes = np.array(boxes, dtype=np.float32)
    inside = map_quality._inside(boxes, (len(boxes), height, width))
    np.testing.assert_array_equal(inside, inside_boxes(torch.from_numpy(boxes), (height, width)))
    # Pixel by pixel: centres from the first edges on, and before the second ones.
    for box, found in zip(boxes, inside, strict=True):
        for y, x in np.ndindex(height, width):
            assert found[y, x] == (box[0] <= x + 0.5 < box[2] and box[1] <= y + 0.5 < box[3])


def test_edges_on_pixel_centres_are_half_open():
    boxes = np.array([[0.5, 1.5, 2.5, 2.5], [0.6, 1.6, 2.6, 2.6], [np.nan] * 4, [0, np.nan, 3, 3]])
    inside = map_quality._inside(boxes, (4, 3, 4))
    assert np.argwhere(inside[0]).tolist() == [[1, 0], [1, 1]]
    assert np.argwhere(inside[1]).tolist() == [[2, 1], [2, 2]]
    assert not inside[2:].any()


@pytest.mark.parametrize(
    ("maps", "regions", "words"),
    [
        (np.zeros((2, 4)), np.zeros((2, 4, 4), dtype=bool), r"\(N, H, W\)"),
        (np.zeros((2, 4, 4)), np.zeros((2, 5, 5), dtype=bool), "regions must be masks"),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), "float64"),
        (np.full((2, 4, 4), np.nan), np.zeros((2, 4, 4), dtype=bool), "2 maps hold NaN"),
    ],
)
def test_what_does_not_fit_is_named(maps, regions, words):
    with pytest.raises(InvalidInputError, match=words):
        pointing_game(maps, regions)


def test_negative_mass_is_refused():
    with pytest.raises(InvalidInputError, match="normalize_map"):
        inside_share(np.full((1, 2, 2), -1.0), np.ones((1, 2, 2), dtype=bool))


def test_a_run_is_measured_image_by_image():
    data = made_up_splits()
    run = careedu.fit(data, "cross-entropy", epochs=2, progress=False)
    table = attention_of(run, data.test)
    assert list(table.columns) == ["id", "class", "group", "pointing", "inside share", "chance"]
    assert list(table["id"]) == list(data.test.ids) and list(table["group"]) == list(data.test.groups)
    assert list(table["class"][:4]) == ["dim", "middling", "bright", "dim"]
    maps = run.class_maps(data.test.images, data.test.labels)
    np.testing.assert_array_equal(table["pointing"], pointing_game(maps, data.test.masks))
    np.testing.assert_array_equal(table["inside share"], inside_share(maps, data.test.masks))
    np.testing.assert_allclose(table["chance"], 64 / 1024)
    boxed = replace(data.test, masks=None, has_mask=None)  # square lesions: box and mask are the same pixels
    assert attention_of(run, boxed).equals(table)
    with pytest.raises(InvalidInputError, match="no image has a mask, box or mark"):
        attention_of(run, replace(boxed, boxes=None))
    with pytest.raises(InvalidInputError, match="no image has a mask, box or mark"):
        attention_of(run, replace(boxed, boxes=None, marks=torch.zeros_like(data.test.masks)))
    with pytest.raises(InvalidInputError, match="classes"):
        attention_of(run, replace(data.test, classes=("a", "b", "c")))
    with pytest.raises(MissingWeightsError):
        attention_of(replace(run, weights=None), data.test)


def marked_half(data):
    """The same test images, every other one with a mark in a corner."""
    marks = torch.zeros(len(data.test), 32, 32, dtype=torch.bool)
    marks[::2, :4, :8] = True
    return replace(data, test=replace(data.test, marks=marks))


def test_of_marked_images_the_share_on_the_mark_is_measured_too():
    data = marked_half(made_up_splits())
    run = careedu.fit(data, "cross-entropy", epochs=2, progress=False)
    table = attention_of(run, data.test)
    unmarked = replace(data.test, marks=None)
    assert table.drop(columns=["mark share", "mark chance"]).equals(attention_of(run, unmarked))
    maps = run.class_maps(data.test.images, data.test.labels).numpy().astype(float)
    total, corner = maps.sum(axis=(1, 2)), maps[:, :4, :8].sum(axis=(1, 2))
    expected = np.where(total > 0, corner / np.maximum(total, 1e-300), 32 / 1024)
    np.testing.assert_allclose(table["mark share"][::2], expected[::2])
    np.testing.assert_allclose(table["mark chance"][::2], 32 / 1024)
    assert table[["mark share", "mark chance"]][1::2].isna().all(axis=None)
    # Nobody has to know the lesions for that.
    alone = attention_of(run, replace(data.test, masks=None, has_mask=None, boxes=None))
    assert alone["mark share"].equals(table["mark share"])
    assert alone["inside share"].isna().all()
    # Seen by a comparison: as many decimals as are saved.
    results = Results({"plain": {0: run}, "again": {0: run}}, data=data)
    measured = measure_attention(results, data.test)
    for measure in (*MEASURES, *MARK_MEASURES):
        np.testing.assert_array_equal(
            measured.values["plain"][measure][0], table[measure].to_numpy().astype(np.float16).astype(float)
        )
    assert measure_attention(results, unmarked).values["plain"].keys() == set(MEASURES)


# An attention map that is the same for all images


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_map_auroc_is_the_area_under_the_curve(seed):
    generator = np.random.default_rng(seed)
    zone = generator.random((6, 7)) < 0.4
    zone[0, 0], zone[0, 1] = True, False
    values = generator.integers(0, 5, (6, 7)) / 4  # with ties
    assert map_auroc(values, zone) == pytest.approx(roc_auc_score(zone.ravel(), values.ravel()))


def test_map_auroc_at_its_ends_and_what_it_refuses():
    zone = np.zeros((4, 4), dtype=bool)
    zone[1:3] = True
    assert map_auroc(zone.astype(float), zone) == 1 and map_auroc(1.0 - zone, zone) == 0
    assert map_auroc(np.full((4, 4), 0.88), zone) == 0.5
    for values, where, words in (
        (np.zeros((4, 4)), np.ones((4, 4), dtype=bool), "everywhere"),
        (np.zeros((4, 4)), np.zeros((4, 4), dtype=bool), "nowhere"),
        (np.zeros((4, 5)), zone, r"\(H, W\)"),
        (np.full((4, 4), np.nan), zone, "NaN"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            map_auroc(values, where)


def test_intervals_over_seeds():
    interval = interval_over_seeds([0.6, 0.7, 0.8])
    assert interval.estimate == pytest.approx(0.7)
    assert interval.high - interval.estimate == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)
    assert interval_over_seeds([0.6])[1:] == (-math.inf, math.inf)
    for wrong in ([], [math.nan], [[1.0]]):
        with pytest.raises(InvalidInputError, match="one a seed"):
            interval_over_seeds(wrong)


def test_a_map_beats_another_only_where_interval_and_p_say_so():
    base = np.array([0.6, 0.62, 0.58, 0.61, 0.6, 0.63, 0.59, 0.6])
    for gain, verdict in ((0.1, "better"), (-0.1, "worse"), (0.0, "no difference shown")):
        noise = 0.02 * np.array([1, -1, 1, -1, 1, -1, 1, -1])
        found = map_difference(base + gain + noise, base)
        assert found.verdict == verdict and found.effect == pytest.approx(gain)
        assert (found.effect, found.low, found.high) == pytest.approx(interval_over_seeds(gain + noise))
    assert map_difference(base[:5] + 0.1, base[:5]).verdict == "too few seeds"
    with pytest.raises(InvalidInputError, match="pair them by seed"):
        map_difference(base, base[:3])
