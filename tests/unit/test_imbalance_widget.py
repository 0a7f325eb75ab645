"""The imbalance explorer without a screen: the same truths as the package's losses, live."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from made_up import made_up_splits, thinned

import careedu
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.nn import losses
from careedu.show.imbalance.explorer import WEIGHTINGS, ImbalanceExplorer, train_head
from careedu.show.imbalance.view import ImbalanceView
from careedu.show.widget import SIDES, BackgroundTask

POOL = made_up_splits(train=240)


@pytest.fixture(scope="module")
def run():
    return careedu.fit(thinned(POOL, 2, 20), "cross-entropy", epochs=6, progress=False)


@pytest.fixture
def explorer(run):
    return ImbalanceExplorer(run, POOL)


def test_the_head_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    features = generator.normal(size=(200, 5)) + labels[:, None] * np.array([1.0, -0.5, 0, 0, 0])
    weights = np.array([0.5, 1.0, 1.5])
    head = train_head(features, labels, weights, np.zeros(3))
    # scikit-learn sums the losses and has no mean: C = 1 / (N λ).
    judge = LogisticRegression(C=1 / (200 * 1e-3), tol=1e-8, max_iter=1000)
    judge.fit(features, labels, sample_weight=weights[labels])
    ours = torch.tensor(features @ head[:-1] + head[-1]).softmax(1).numpy()
    np.testing.assert_allclose(ours, judge.predict_proba(features), atol=2e-3)


def test_the_heads_offset_is_logit_adjustment():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 4, generator=generator, dtype=torch.float64)
    labels = torch.arange(120) % 3 % 2 + (torch.arange(120) > 100).long()
    counts = torch.bincount(labels)
    offset = (counts / counts.sum()).log().double()
    head = torch.tensor(train_head(features.numpy(), labels.numpy(), np.ones(3), offset.numpy()), requires_grad=True)
    loss = losses.logit_adjusted_loss(features @ head[:-1] + head[-1], labels, counts) + 5e-4 * head[:-1].square().sum()
    (gradient,) = torch.autograd.grad(loss, head)
    assert gradient.abs().max() < 5e-4, "the package's own loss is at its minimum there"


def test_counts_are_geometric_up_to_what_there_is(explorer):
    explorer.set(rare_images=5, imbalance=9.0)
    assert explorer.counts == [45, 15, 5]
    explorer.set(imbalance=100.0)
    assert explorer.counts == [80, 50, 5], "the commonest class has 80 images and no more"
    explorer.set(imbalance=1.0)
    assert explorer.counts == [5, 5, 5]


def test_weights_are_those_of_the_package(explorer):
    explorer.set(
        rare_images=5, imbalance=9.0, A_weighting="inverse frequency", B_weighting="effective number", B_beta=0.9
    )
    np.testing.assert_allclose(explorer.sides["A"].weights, losses.inverse_frequency_weights([45, 15, 5]))
    np.testing.assert_allclose(explorer.sides["B"].weights, losses.effective_number_weights([45, 15, 5], 0.9))
    explorer.set(A_weighting="logit adjustment")
    np.testing.assert_array_equal(explorer.sides["A"].weights, [1, 1, 1])


def test_equal_settings_give_equal_sides_and_others_do_not(explorer):
    for weighting in WEIGHTINGS:
        explorer.set(rare_images=4, imbalance=15.0, A_weighting=weighting, B_weighting=weighting)
        np.testing.assert_array_equal(explorer.sides["A"].confusion, explorer.sides["B"].confusion)
    explorer.set(A_weighting="none", B_weighting="inverse frequency")
    a, b = (explorer.sides[side].confusion for side in SIDES)
    assert b[2, 2] >= a[2, 2] and b[:, 2].sum() > a[:, 2].sum(), "weights call more images rare"
    explorer.set(B_weighting="none", B_prior_shift=1.0)
    assert explorer.sides["B"].confusion[:, 2].sum() > explorer.sides["A"].confusion[:, 2].sum()


def test_what_is_shown_adds_up(explorer):
    for side in explorer.sides.values():
        assert side.confusion.sum(axis=1).tolist() == POOL.test.counts.tolist()
        recalls = np.diag(side.confusion) / side.confusion.sum(axis=1)
        np.testing.assert_allclose([r.estimate for r in side.recalls], recalls)
        assert side.balanced_accuracy.estimate == pytest.approx(recalls.mean())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"imbalance": 0.5}, InvalidInputError, "imbalance=0.5"),
        ({"rare_images": 0}, InvalidInputError, "rare_images=0"),
        ({"A_beta": 1.0}, InvalidInputError, "A_beta=1.0"),
        ({"B_weighting": "invers"}, UnknownNameError, "inverse frequency"),
        ({"tau": 1}, InvalidInputError, "A_tau"),
    ],
)
def test_settings_that_cannot_be_are_named(explorer, change, error, words):
    before = dict(explorer.settings)
    with pytest.raises(error, match=words):
        explorer.set(**change)
    assert explorer.settings == before


def test_every_control_changes_what_is_shown(explorer):
    view = ImbalanceView(explorer)
    explorer.set(A_weighting="effective number", B_weighting="logit adjustment", rare_images=4, imbalance=15.0)
    moves = {
        "imbalance": 30.0,
        "rare_images": 7,
        "A_beta": 3.0,
        "B_tau": 3.0,
        "A_prior_shift": 3.0,
        "B_prior_shift": -1.0,
        "A_weighting": "inverse frequency",
        "B_weighting": "none",
    }
    for name, value in moves.items():
        side = name[0] if name[1] == "_" else "A"
        before = view.parts[side].value
        view.controls[name].value = value
        assert view.parts[side].value != before, f"{name} changed nothing"
    assert explorer.errors == []


def test_pictures_say_in_words_what_they_show(explorer):
    view = ImbalanceView(explorer)
    for side in SIDES:
        picture = view.parts[side].value
        assert 'role="img"' in picture and f'aria-label="Method {side}' in picture
        assert str(explorer.sides[side].recalls[2]) in picture
    assert all(control.description for control in view.controls.values())


def test_whole_networks_are_trained_beside_the_notebook(explorer):
    view = ImbalanceView(explorer)
    task = explorer.train_networks(updates=6)
    with pytest.raises(InvalidInputError, match="going on"):
        explorer.train_networks()
    task.join(60)
    assert explorer.errors == [] and task.share == 1
    for side in SIDES:
        assert explorer.sides[side].trained.shape == (3,)
        assert 'fill="none"' in view.parts[side].value, "hollow marks"
    assert (view.button.disabled, view.stop.disabled, view.bar.layout.visibility) == (False, True, "hidden")
    explorer.set(imbalance=3.0)
    assert explorer.sides["A"].trained is None, "they belong to other settings"


def test_training_can_be_stopped(explorer):
    view = ImbalanceView(explorer)
    task = explorer.train_networks(updates=2000)
    while task.share == 0:
        time.sleep(0.01)
    assert (view.button.disabled, view.stop.disabled) == (True, False)
    view.stop.click()
    task.join(30)
    assert (view.button.disabled, view.stop.disabled) == (False, True) and "stopped" in view.parts["doing"].value
    assert not task.running and explorer.errors == []
    assert explorer.sides["B"].trained is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("at_once", [False, True])
def test_an_error_in_training_is_shown_and_recorded(explorer, monkeypatch, at_once):
    view = ImbalanceView(explorer)
    start = BackgroundTask.start
    if at_once:  # before whoever has started it goes on
        monkeypatch.setattr(BackgroundTask, "start", lambda task: (start(task), task.join(30))[0])

    def broken(side):
        raise RuntimeError("no such method")

    monkeypatch.setattr(explorer, "method", broken)
    explorer.train_networks().join(30)
    assert len(explorer.errors) == 1 and "no such method" in explorer.errors[0]
    assert "no such method" in view.message.value
