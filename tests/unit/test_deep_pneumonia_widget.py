"""The embedding explorer without a screen: neighbours, weights and shares are those of the features and the results."""

from __future__ import annotations

import html
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import made_up_splits
from made_up_embeddings import (
    COUNTS,
    DATA,
    IDS,
    LABELS,
    SIZE,
    SKILL,
    made_up_embeddings,
    made_up_images,
    made_up_results,
)
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

import careedu
from careedu.errors import CheckpointError, InvalidInputError, MissingWeightsError, UnknownNameError
from careedu.nn.maps import resize_map
from careedu.show import embed, embedding_explorer
from careedu.show.compare import Comparison
from careedu.show.deep_pneumonia import drawings
from careedu.show.deep_pneumonia.embeddings import Embeddings, nearest_neighbours, negative_weights, share_of_class
from careedu.show.deep_pneumonia.explorer import METRICS, TEMPERATURES, EmbeddingExplorer
from careedu.show.deep_pneumonia.view import EmbeddingView
from careedu.show.layered_picture import map_layer
from careedu.show.results_state import ALL
from careedu.training.batch import unit_range


@pytest.fixture(scope="module")
def embeddings():
    return made_up_embeddings()


@pytest.fixture(scope="module")
def by_labels():
    return {15: made_up_results(0.6), 50: made_up_results(0.0), "all": made_up_results(-0.2, seeds=3)}


@pytest.fixture
def view(embeddings, by_labels):
    return EmbeddingView(EmbeddingExplorer(embeddings, by_labels, made_up_images()))


def alts(text):
    """What a screen reader says of the drawings in a text."""
    return [html.unescape(words) for words in re.findall(r'(?:aria-label|alt)="([^"]*)"', text)]


def plain(part):
    """What a part says, without its marks."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", part.value).split()))


def shown(view, part, side):
    """What a part shows of one side."""
    a, b = view.parts[part].value.split('<div style="width:404px">')[1:]
    return {"A": a, "B": b}[side]


def panel(view, side):
    """One of the layered pictures, and what its layers hold."""
    found = next(one for one in view.parts["pictures"].value if one["name"] == side)
    return found, {layer["kind"]: layer["content"] for layer in found["layers"]}


# Functions


def test_neighbours_are_scikit_learns(embeddings):
    features = embeddings.of("pretrained")
    judge = NearestNeighbors(n_neighbors=8, metric="cosine").fit(features).kneighbors(return_distance=False)
    np.testing.assert_array_equal(nearest_neighbours(features, 7), judge[:, :7])


def test_neighbours_do_not_depend_on_length_and_ties_go_to_the_first():
    features = np.array([[1, 0], [5, 0], [2, 0], [0, 3], [0, 0]])
    assert nearest_neighbours(features, 2)[:3].tolist() == [[1, 2], [0, 2], [0, 1]]
    for k in (0, 5):
        with pytest.raises(InvalidInputError, match=f"k={k} nearest neighbours need"):
            nearest_neighbours(features, k)


def test_the_share_of_the_own_class_by_hand():
    share = share_of_class(np.array([[1, 2], [0, 2], [0, 1]]), np.array([0, 0, 1]))
    assert share.tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize("temperature", [0.01, 0.2, 1])
def test_weights_are_the_gradient_of_the_loss(temperature):
    """Of −log(e^(p/T) / (e^(p/T) + Σ e^(s/T))) by the cosines s of the negatives, up to a factor."""
    cosines = np.random.default_rng(0).uniform(-1, 1, 12)
    weights = negative_weights(cosines, 3, temperature)
    negatives = torch.tensor(np.delete(cosines, 3), requires_grad=True)
    torch.logsumexp(torch.cat([torch.tensor([0.9]).double(), negatives]) / temperature, dim=0).backward()
    gradient = negatives.grad.numpy()
    np.testing.assert_allclose(np.delete(weights, 3), gradient / gradient.sum(), atol=1e-9)
    assert weights[3] == 0 and weights.sum() == pytest.approx(1)


# Embeddings of networks


@pytest.fixture(scope="module")
def trained():
    data = made_up_splits(60, 9, 18)
    pretrain = careedu.SimCLR(epochs=1, batch_size=32)
    options = {"epochs": 1, "progress": False, "device": "cpu", "probes": 0}
    runs = {"plain": careedu.fit(data, pretrain, **options)}
    return data.test, runs | {"attentive": careedu.fit(data, careedu.DeepPneumonia(pretrain=None), **options)}


def test_embeddings_are_those_of_the_networks(trained):
    images, runs = trained
    found = embed(runs, images)
    x = unit_range(images.images)
    for name, run in runs.items():
        network = run.network()
        with torch.no_grad():
            maps = network.features(x) if name == "attentive" else network.body(network.seen(x))
            pooled = network.pool(maps).numpy()
        pooled -= pooled.mean(axis=0)
        unit = np.abs(pooled).max() / 127
        assert np.abs(found.of(name)).max() == 127
        np.testing.assert_allclose(found.of(name) * unit, pooled, atol=unit * 0.51)
        cosines = cosine_similarity(pooled)
        np.testing.assert_allclose(cosine_similarity(found.of(name)), cosines, atol=0.02)
        assert found.provenance[name]["method"] == run.configuration["method"]
    with torch.no_grad():
        attention = network.after.attention(network.body(network.seen(x)))[:, 0].numpy()
    assert list(found.attention) == ["attentive"]
    np.testing.assert_allclose(found.attention["attentive"] / 255, attention, atol=0.5 / 255 + 1e-6)
    # The plane of PCA is the best linear one of the units: what it keeps of distances is never more than there is.
    chord = 2 - 2 * cosines
    kept = ((found.pca[1][:, None] - found.pca[1]) ** 2).sum(axis=2)
    assert (kept <= chord + 1e-2).all() and kept.sum() > 0.3 * chord.sum()
    assert found.tsne.shape == (2, 18, 2) and np.isfinite(found.tsne).all()
    np.testing.assert_array_equal(embed(runs, images).tsne, found.tsne)
    assert found.ids.tolist() == images.ids.tolist() and found.labels.tolist() == images.labels.tolist()


def test_a_network_that_has_collapsed_puts_all_images_at_one_place(trained):
    images, runs = trained
    given = runs["attentive"].weights.items()
    weights = {n: torch.zeros_like(t) if n.startswith("body.") and "running" not in n else t for n, t in given}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = embed({"collapsed": replace(runs["attentive"], weights=weights)}, images)
    assert not (found.features.any() or found.pca.any() or found.tsne.any())


def test_what_cannot_be_embedded_is_named(trained):
    images, runs = trained
    with pytest.raises(InvalidInputError, match=r"more than 5 images are needed.*not 2 and 5"):
        embed(runs, images[:5])
    with pytest.raises(InvalidInputError, match=r"a network and more.*not 0 and 18"):
        embed({}, images)
    with pytest.raises(InvalidInputError, match="of one image set"):
        embed(runs, made_up_splits(9, 9, 9, size=40).test)
    with pytest.raises(MissingWeightsError, match="holds no weights"):
        embed({"plain": replace(runs["plain"], weights=None)}, images)


def test_saved_embeddings_are_the_same_and_small(embeddings, tmp_path):
    path = embeddings.save(tmp_path / "folder" / "planes.safetensors")
    back = Embeddings.load(path)
    for name in ("features", "pca", "tsne", "labels", "ids"):
        mine, theirs = getattr(embeddings, name), getattr(back, name)
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype or name == "ids"
    assert (back.names, back.data, back.provenance) == (embeddings.names, embeddings.data, embeddings.provenance)
    np.testing.assert_array_equal(back.attention["with attention"], embeddings.attention["with attention"])
    networks, images = 5, 300
    whole = Embeddings(
        names=tuple("abcde"),
        features=np.random.default_rng(0).normal(0, 25, (networks, images, 128)).astype(np.int8),
        pca=np.zeros((networks, images, 2), dtype=np.float32),
        tsne=np.zeros((networks, images, 2), dtype=np.float32),
        labels=np.zeros(images, dtype=np.int64),
        ids=np.array([f"chest-{i:05}" for i in range(images)]),
        data=DATA,
        attention={"e": np.zeros((images, 8, 8), dtype=np.uint8)},
    )
    assert whole.save(tmp_path / "whole.safetensors").stat().st_size < 190_000


def test_files_that_are_none_are_named(embeddings, tmp_path):
    with pytest.raises(CheckpointError, match=r"no saved embeddings in .*careedu.show.embed\(runs, images\)"):
        Embeddings.load(tmp_path / "none.safetensors")
    with pytest.raises(InvalidInputError, match="name it so"):
        embeddings.save(tmp_path / "planes.npz")
    path = embeddings.save(tmp_path / "planes.safetensors")
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="damaged"):
        Embeddings.load(path)
    from careedu.files import write_tensors

    write_tensors(path, {"features": embeddings.features}, {"names": list(SKILL)})
    with pytest.raises(CheckpointError, match="holds no embeddings"):
        Embeddings.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("one",)}, r"features must be \(1, 60, 8\) for 1 networks and 60 images"),
        ({"labels": LABELS[1:]}, "features must be"),
        ({"pca": np.zeros((4, 60, 3))}, "pca must be"),
        ({"ids": IDS[1:]}, "ids must be"),
        ({"attention": {"pretrained": np.zeros((59, 4, 4))}}, "attention of 'pretrained' must be"),
        ({"attention": {"nobody": np.zeros((60, 4, 4))}}, "none of"),
    ],
)
def test_parts_that_do_not_fit_are_named(change, words):
    with pytest.raises(InvalidInputError, match=words):
        made_up_embeddings(**change)


# The state


def test_it_opens_on_an_image_of_the_rare_class(view):
    state = view.state
    assert (state.true_class, state.row, len(state.members)) == ("selten", 50, 10)
    assert (state.method("A"), state.method("B"), state.settings["labels"]) == ("untrained", "pretrained", 15)
    assert EmbeddingExplorer(made_up_embeddings(data=DATA | {"rare": []})).settings["image_of"] == ALL


def test_neighbours_and_shares_are_those_of_each_network(embeddings, view):
    state = view.state
    state.set(a="pretrained", b="fine-tuned", image_of=ALL, image=7)
    assert state.row == 6
    for side in "AB":
        seen, features = state.seen[side], embeddings.of(state.method(side))
        cosines = cosine_similarity(features)
        np.fill_diagonal(cosines, -2)
        expected = np.argsort(-cosines, axis=1)[:, :5]
        assert seen.neighbours.tolist() == expected[6].tolist()
        assert seen.same.tolist() == (LABELS[expected[6]] == LABELS[6]).tolist()
        own = (LABELS[expected] == LABELS[:, None]).mean(axis=1)
        assert seen.share == pytest.approx(own.mean()) and seen.class_share == pytest.approx(own[:30].mean())
    assert state.seen["A"].share < state.seen["B"].share
    counts = np.array(COUNTS)
    assert state.chance == pytest.approx((counts * (counts - 1) / 59).sum() / 60)


def test_untrained_noise_shares_classes_as_chance_does(view):
    assert view.state.seen["A"].share == pytest.approx(view.state.chance, abs=0.08)


def test_temperature_says_which_negatives_count(view):
    state, before = view.state, None
    for temperature in TEMPERATURES:
        state.set(temperature=temperature)
        for side in "AB":
            seen = state.seen[side]
            heaviest = np.sort(seen.weights)[::-1]
            assert seen.nearest_share == pytest.approx(heaviest[:3].sum()), "5 % of 59 are 3"
            assert seen.effective == pytest.approx(1 / (heaviest**2).sum())
            assert seen.own_share == pytest.approx(seen.weights[LABELS == 2].sum())
            assert heaviest.argmax() == 0 and seen.weights.argmax() == seen.neighbours[0]
        if before is not None:
            assert state.seen["A"].effective > before, "the warmer, the more count"
        before = state.seen["A"].effective
    assert before == pytest.approx(59, rel=0.15)


def test_the_arms_with_few_labels_are_compared_seed_by_seed(view, by_labels):
    state = view.state
    for labels, results in by_labels.items():
        state.set(labels=labels)
        assert [row.metric for row in state.rows] == list(METRICS)
        for row in state.rows:
            assert (row.a, row.b) == tuple(results.estimate(arm, row.metric) for arm in ("from scratch", "pretrained"))
            assert row.difference == results.differences(row.metric, "from scratch")["pretrained"], "of both arms"
        said = plain(view.parts["shares"])
        if labels == 15:
            assert "▲ pretrained better" in said
        else:
            assert "pretrained better" not in said
        assert ("too few seeds" in said) == (labels == "all")
        (alt,) = alts(view.parts["shares"].value)
        assert alt.startswith(f"With {labels} labelled images a class, {len(results.seeds)} seeds: balanced accuracy")
        assert str(state.rows[1].b) in alt


@pytest.mark.parametrize(("last", "words"), [(0.9, "0.90, mean of 8 seeds: no collapse"), (0.02, "collapse in 8 of")])
def test_collapse_is_named(embeddings, last, words):
    view = EmbeddingView(EmbeddingExplorer(embeddings, {15: made_up_results(spread=last)}, made_up_images()))
    assert words in plain(view.parts["spread"])
    assert list(view.state.spreads) == list(range(8)) and view.state.spreads[3][0] == pytest.approx(0.503)
    (alt,) = alts(view.parts["spread"].value)
    assert "mean over seeds: 0.50," in alt and words in alt


def test_results_without_a_pretraining_have_no_spread(embeddings):
    results = made_up_results(seeds=2)
    runs = results.runs | {"pretrained": results.runs["from scratch"]}
    view = EmbeddingView(EmbeddingExplorer(embeddings, {15: Comparison(runs)}, made_up_images()))
    assert view.parts["spread"].value == "" and view.parts["shares"].value


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": "nobody"}, UnknownNameError, "unknown a 'nobody'"),
        ({"plane": "umap"}, UnknownNameError, "unknown plane 'umap'"),
        ({"image": 0}, InvalidInputError, "image=0"),
        ({"temperature": 0.3}, UnknownNameError, "unknown temperature 0.3"),
        ({"labels": 20}, UnknownNameError, "unknown labels 20"),
        ({"opacity": 1}, InvalidInputError, "no setting"),
    ],
)
def test_settings_that_cannot_be_are_named(view, change, error, words):
    before = dict(view.state.settings)
    with pytest.raises(error, match=words):
        view.state.set(**change)
    assert view.state.settings == before


def test_another_class_begins_with_its_first_image_and_numbers_are_clamped(view):
    view.state.set(image=99)
    assert view.state.settings["image"] == 10 and view.state.row == 59
    view.state.set(image_of="mittel")
    assert (view.state.settings["image"], view.state.row) == (1, 30)


def test_classes_without_an_image_cannot_be_chosen():
    few = LABELS.copy()
    few[few == 2] = 1
    state = EmbeddingExplorer(made_up_embeddings(labels=few))
    assert state.choices()["image_of"] == (ALL, "dünn", "mittel") and state.settings["image_of"] == ALL


def test_results_without_the_arms_are_named(embeddings):
    results = made_up_results(seeds=2)
    runs = {name: of for name, of in results.runs.items() if name != "pretrained"}
    with pytest.raises(UnknownNameError, match="arm of the results with 15 labels 'pretrained'"):
        EmbeddingExplorer(embeddings, {15: Comparison(runs)})


# Images


def test_images_are_found_by_their_names(view):
    images = made_up_images()
    assert view.state.images.ids.tolist() == IDS.tolist()
    assert torch.equal(view.state.images.images[50], images.images[9]) and view.state.images.labels[50] == 2
    with pytest.raises(InvalidInputError, match=r"lack 10 of the 60 that were recorded, such as 'bild-50'"):
        EmbeddingExplorer(made_up_embeddings(), images=images[10:])
    with pytest.raises(InvalidInputError, match="are of other classes"):
        EmbeddingExplorer(made_up_embeddings(labels=LABELS[::-1].copy()), images=images)


def test_images_are_drawn_again_by_their_recipe(by_labels):
    data = careedu.load("phantom-chest", size=SIZE, largest=6, val=2, test=20)
    facts = {"name": "phantom-chest", "recipe": dict(data.recipe), "classes": list(data.classes), "rare": []}
    again = made_up_embeddings(ids=data.test.ids, labels=data.test.labels.numpy(), data=DATA | facts)
    view = EmbeddingView(EmbeddingExplorer(again, by_labels))
    view.state.task.join()
    assert torch.equal(view.state.images.images, data.test.images) and view.parts["note"].value == ""
    other = facts | {"recipe": dict(data.recipe) | {"options": dict(data.recipe["options"]) | {"test": 3}}}
    view = EmbeddingView(EmbeddingExplorer(made_up_embeddings(ids=data.test.ids, data=DATA | other), by_labels))
    view.state.task.join()
    assert "lack" in plain(view.parts["note"])


def test_without_images_all_but_them_is_shown(embeddings, by_labels):
    view = EmbeddingView(EmbeddingExplorer(embeddings, by_labels))
    view.state.task.join()
    assert "give it, EmbeddingExplorer(images=...)" in plain(view.parts["note"])
    assert panel(view, "A")[1]["words"] == "image not on this machine"
    said = shown(view, "neighbours", "B")
    assert said.count("no image") == 5 and "neighbours share its class" in said
    assert len(alts(shown(view, "neighbours", "B"))) == 5 and view.state.errors == []


# The view


def test_every_control_changes_what_is_shown(view):
    state = view.state
    for setting, value, part in (
        ("a", "fine-tuned", "planes"),
        ("b", "with attention", "pictures"),
        ("plane", "pca", "planes"),
        ("image_of", "mittel", "planes"),
        ("image", 3, "neighbours"),
        ("temperature", 1.0, "negatives"),
        ("labels", "all", "shares"),
        ("labels", 50, "spread"),
    ):
        before = view.parts[part].value
        view.controls[setting].value = value
        assert view.parts[part].value != before, f"{setting} changed nothing in {part}"
        assert state.settings[setting] == value and not view.controls[setting].disabled
    assert state.errors == []
    assert {name: control.value for name, control in view.controls.items()} == state.settings


def test_the_planes_ring_the_image_and_join_its_neighbours(embeddings, view):
    view.state.set(plane="pca", image=4)
    for side in "AB":
        seen, drawn = view.state.seen[side], shown(view, "planes", side)
        plane = embeddings.pca[embeddings.names.index(seen.network)]
        low, high = plane.min(axis=0), plane.max(axis=0)
        places = 14 + (plane - low) / (high - low) * [drawings.WIDE - 28, drawings.HIGH - 28]
        rings = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="(6|9)"', drawn)
        wanted = [(f"{x:.1f}", f"{y:.1f}", "6") for x, y in places[seen.neighbours]]
        x, y = places[view.state.row]
        assert rings == [*wanted, (f"{x:.1f}", f"{y:.1f}", "9")]
        assert drawn.count(f'd="M{x:.1f} {y:.1f}L') == 5
        assert drawn.count("stroke-dasharray") == 2 * int((~seen.same).sum()), "line and ring of another class"
        (alt,) = alts(drawn)[:1]
        assert f"PCA of {side}, {seen.network}: 60 images" in alt and "bild-53 of selten is ringed" in alt
        assert f"{seen.same.sum()} of 5 neighbours share its class; over all images {seen.share:.0%}" in alt


def test_each_class_has_its_own_mark_and_colour(view):
    drawn = shown(view, "planes", "A")
    for label, count in enumerate(COUNTS):
        assert drawn.count(drawings.MARKS[drawings.ORDER[label]]) == count
    assert plain(view.parts["key"]).count("(rare)") == 1 and "selten (rare)" in plain(view.parts["key"])
    assert len(set(drawings.MARKS)) == len(set(drawings.ORDER)) == len(drawings.COLOURS)
    assert 'fill="none"' in drawings.class_mark(8, [(1, 1)]), "of more classes than colours the next are hollow"


def test_neighbours_say_whether_they_share_the_class(view):
    for side in "AB":
        seen, value = view.state.seen[side], shown(view, "neighbours", side)
        said = alts(value)
        for row, same, words in zip(seen.neighbours, seen.same, said, strict=True):
            name = ("dünn", "mittel", "selten")[LABELS[row]]
            assert words == f"Neighbour bild-{row}: {name}, {'same class' if same else 'another class'}"
        assert value.count("✓") == value.count("2px solid") == seen.same.sum()
        assert value.count("✗") == value.count("2px dashed") == 5 - seen.same.sum()


def test_the_attention_lies_beside_the_mask(view):
    view.state.set(b="with attention")
    (a, none), (b, layers) = panel(view, "A"), panel(view, "B")
    assert none["map"] == "" and "no attention: all places weigh alike" in a["alt"]
    left = np.zeros((4, 4))
    left[:, :2] = 1
    assert layers["map"] == map_layer(left, (SIZE, SIZE))["content"]
    assert layers["outline"] == none["outline"] != "" and layers["image"] == none["image"] != ""
    # The lesion is the upper left quarter, the attention the left half, which the resizing blurs.
    whole = resize_map(torch.from_numpy(left)[None].float(), (SIZE, SIZE))[0]
    assert view.state.inside("B") == (pytest.approx(float(whole[:16, :16].sum() / whole.sum())), 0.25)
    assert "of the attention lies on the lesion, which covers 25% of the image" in b["notes"]
    assert np.isnan(view.state.inside("A")).all()


def test_weights_are_drawn_and_told(view):
    view.state.set(temperature=0.1)
    for side in "AB":
        seen = view.state.seen[side]
        (alt,) = alts(shown(view, "negatives", side))
        assert f"at temperature 0.1: the nearest 3 of 59 carry {seen.nearest_share:.0%}" in alt
        assert f"as many as {seen.effective:.0f} of equal weight" in alt
        assert f"{seen.own_share:.0%} lies on images of its own class, selten" in alt
        steps = re.findall(r"V([\d.]+)H", shown(view, "negatives", side))
        weights = np.sort(seen.weights)[::-1][:-1]
        assert steps == [f"{96 - 84 * w / weights[0]:.1f}" for w in weights]


def test_names_are_not_read_as_html():
    names = ("<b>one", "two&", "three", "four")
    data = DATA | {"name": "<i>set", "classes": ["<u>a", "b", "c"], "rare": ["<u>a"]}
    ids = np.array([f"<s>{i}" for i in range(60)])
    view = EmbeddingView(EmbeddingExplorer(made_up_embeddings(names=names, data=data, ids=ids, attention={})))
    view.state.task.join()
    texts = "\n".join(part.value for name, part in view.parts.items() if name != "pictures")
    texts += "".join(one["title"] + one["notes"] for one in view.parts["pictures"].value)
    for raw in ("<b>one", "<i>set", "<u>a", "<s>5"):
        assert raw not in texts and html.escape(raw) in texts


def test_an_error_is_shown_recorded_and_raised(view, monkeypatch):
    monkeypatch.setattr(view.state, "_see", lambda network: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        view.controls["image"].value = 2
    assert "division by zero" in view.message.value and 'role="alert"' in view.message.value
    assert len(view.state.errors) == 1
    view.state.errors.clear()


# Opening


def test_it_opens_on_files_and_on_what_is_given(embeddings, by_labels, tmp_path):
    path = embeddings.save(tmp_path / "planes.safetensors")
    view = embedding_explorer(path, images=made_up_images())
    assert view.state.rows == [] and view.controls["labels"].disabled
    assert "no results by labels were given" in plain(view.parts["shares"])
    saved = {n: Comparison.load(results.save(tmp_path / str(n))) for n, results in by_labels.items()}
    view = embedding_explorer(embeddings, saved, made_up_images())
    assert view.state.spreads[2][-1] == pytest.approx(0.902) and "pretrained better" in plain(view.parts["shares"])


def test_without_saved_results_it_says_what_is_missing(monkeypatch, tmp_path, embeddings, by_labels):
    monkeypatch.setattr("careedu.experiment.saved_results.shipped", lambda what: tmp_path)
    monkeypatch.setattr("careedu.show.record_file.shipped", lambda what: tmp_path)
    with pytest.raises(CheckpointError, match="04-labels-15-skin"):
        embedding_explorer(anatomy="skin")
    for n, results in by_labels.items():
        results.save(tmp_path / f"04-labels-{n}-skin")
    with pytest.raises(CheckpointError, match="no saved embeddings in '04-labels-15-skin/embeddings'"):
        embedding_explorer(anatomy="skin")
    embeddings.save(tmp_path / "04-labels-15-skin" / "embeddings.safetensors")
    view = embedding_explorer(anatomy="skin")
    view.state.task.join()
    assert list(view.state.by_labels) == [15, 50, "all"] and len(view.state.rows) == 2
