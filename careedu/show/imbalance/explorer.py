"""The imbalance explorer: two remedies side by side on the same rare images, live under a slider.

The features rest: they come from a network that was trained before. What a move of a slider trains anew, in a few
milliseconds, is the linear head, which is where imbalance does most of its harm (Kang et al., ICLR 2020). A button
trains whole networks with the same settings, to see whether the head told the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from careedu.errors import InvalidInputError
from careedu.measure import metrics
from careedu.measure.crossed import spread
from careedu.measure.intervals import Interval, interval_of
from careedu.measure.leave_one_out import recall_metric
from careedu.show.widget import SIDES, BackgroundTask, WidgetState

if TYPE_CHECKING:
    from careedu.data.dataset import Splits
    from careedu.experiment.run import Run
    from careedu.methods.method import LossMethod

WEIGHTINGS = ("none", "inverse frequency", "effective number", "logit adjustment")
DIMENSIONS = 24
"""Principal components of the features that the head sees: nearly all there is, at a fraction of the time."""


@dataclass(frozen=True)
class Side:
    """What one side shows.

    Parameters
    ----------
    weights : ndarray
        float64 (C,), weight of each class in the loss, mean 1.
    recalls : list of Interval
    balanced_accuracy : Interval
    confusion : ndarray
        int64 (C, C), rows true, columns predicted.
    trained : ndarray or None
        float64 (C,), recalls of the whole network trained with these settings, where that was done.
    """

    weights: np.ndarray
    recalls: list[Interval]
    balanced_accuracy: Interval
    confusion: np.ndarray
    trained: np.ndarray | None = None


class ImbalanceExplorer(WidgetState):
    """State of the imbalance explorer.

    Settings: ``rare_images`` (of the rarest class), ``imbalance`` (commonest to rarest), and for each side, here A:
    ``A_weighting`` (one of `WEIGHTINGS`), ``A_beta``, ``A_tau`` and ``A_prior_shift`` (how much of the log prior is
    taken off the logits of a prediction).

    Parameters
    ----------
    run : Run
        A trained network with weights, of which the features are taken.
    data : Splits
        Where the training images are drawn from; the test images are those on which recall is measured.
    """

    def __init__(self, run: Run, data: Splits) -> None:
        opening = {"weighting": "none", "beta": 0.99, "tau": 1.0, "prior_shift": 0.0}
        both = {f"{side}_{name}": value for side in SIDES for name, value in opening.items()}
        rare_images = min(20, int(data.train.counts.min()))
        super().__init__(rare_images=rare_images, imbalance=10.0, **{**both, "B_weighting": "effective number"})
        self.data, self.run, self.classes = data, run, data.classes
        # From the commonest to the rarest; the run says which, since the pool may be balanced.
        counts = run.configuration["data"]["train counts"]
        self.order = sorted(range(len(counts)), key=lambda c: -counts[c])
        self.training, self.test = self._features(run, data)
        self.test_labels, self.test_groups = data.test.labels.numpy(), data.test.groups
        # One fixed order of each class's images: a larger set holds the smaller one, so that a slider adds and takes.
        shuffled = np.random.default_rng(0).permutation(len(data.train))
        labels = data.train.labels.numpy()
        self.members = [shuffled[labels[shuffled] == c] for c in range(len(self.classes))]
        self.update()

    @staticmethod
    def _features(run: Run, data: Splits) -> tuple[np.ndarray, np.ndarray]:
        from careedu.training.isolation import plain_torch
        from careedu.training.prediction import pooled_or_maps

        with plain_torch():
            network = run.network()
        training, test = (pooled_or_maps(network, part.images, pooled=True).numpy() for part in (data.train, data.test))
        mean = training.mean(axis=0)
        _, scale, axes = np.linalg.svd(training - mean, full_matrices=False)
        keep = min(DIMENSIONS, int((scale > 1e-6 * scale[0]).sum()))
        project = axes[:keep].T / (scale[:keep] / np.sqrt(len(training)))  # unit variance along each component
        return (training - mean) @ project, (test - mean) @ project

    def choices(self) -> dict[str, tuple[str, ...]]:
        """What a setting can be that is one of several."""
        return {f"{side}_weighting": WEIGHTINGS for side in SIDES}

    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of a setting that is a number."""
        of_side = {"beta": (0, 0.999999), "tau": (0, 5), "prior_shift": (-5, 5)}
        each = {f"{side}_{name}": ends for side in SIDES for name, ends in of_side.items()}
        return {"rare_images": (1, 10_000), "imbalance": (1, 1000)} | each

    def update(self) -> None:
        """Draw the training images, train both heads, and measure them."""
        self.counts: list[int] = self.training_counts()
        features, labels = self.training[self._rows()], np.repeat(np.arange(len(self.classes)), self.counts)
        self.trained: dict[str, np.ndarray] = {}
        self.sides: dict[str, Side] = {side: self._side(side, features, labels) for side in SIDES}

    def _rows(self) -> np.ndarray:
        """The training images, class by class."""
        return np.concatenate([members[:n] for members, n in zip(self.members, self.counts, strict=True)])

    def training_counts(self) -> list[int]:
        """Training images per class: geometric from the rarest up, as far as there are images."""
        rare, ratio = self.settings["rare_images"], self.settings["imbalance"]
        steps = len(self.classes) - 1
        wanted = (round(rare * ratio ** ((steps - self.order.index(c)) / steps)) for c in range(len(self.classes)))
        return [max(1, min(n, len(members))) for n, members in zip(wanted, self.members, strict=True)]

    def class_weights(self, side: str) -> np.ndarray:
        """Weight of each class in the loss of one side, mean 1."""
        from careedu.nn.losses import effective_number_weights, inverse_frequency_weights
        from careedu.training.isolation import plain_torch

        weighting = self.settings[f"{side}_weighting"]
        with plain_torch():
            if weighting == "inverse frequency":
                return inverse_frequency_weights(self.counts).numpy()
            if weighting == "effective number":
                return effective_number_weights(self.counts, self.settings[f"{side}_beta"]).numpy()
        return np.ones(len(self.classes))

    def _side(self, side: str, features: np.ndarray, labels: np.ndarray) -> Side:
        prior = np.log(np.array(self.counts) / sum(self.counts))
        adjusts = self.settings[f"{side}_weighting"] == "logit adjustment"
        offset, weights = self.settings[f"{side}_tau"] * prior * adjusts, self.class_weights(side)
        head = train_head(features, labels, weights, offset)
        logits = self.test @ head[:-1] + head[-1] - self.settings[f"{side}_prior_shift"] * prior
        probabilities = softmax(logits, axis=1)

        def interval(metric: str) -> Interval:
            return interval_of(spread(metric, probabilities[None], self.test_labels, self.test_groups, ()))

        recalls = [interval(recall_metric(c)) for c in range(len(self.classes))]
        confusion = metrics.confusion(probabilities, self.test_labels)
        return Side(weights, recalls, interval("balanced accuracy"), confusion)

    def method(self, side: str) -> LossMethod:
        """The method of the package that has this side's settings."""
        from careedu.methods.imbalance import ClassBalanced, CrossEntropy, LogitAdjusted

        weighting, beta, tau = (self.settings[f"{side}_{name}"] for name in ("weighting", "beta", "tau"))
        methods = CrossEntropy(), ClassBalanced(weighting="inverse"), ClassBalanced(beta=beta), LogitAdjusted(tau=tau)
        return dict(zip(WEIGHTINGS, methods, strict=True))[weighting]

    def train_networks(self, updates: int = 64) -> BackgroundTask:
        """Train a whole network with each side's settings on the images shown, beside the notebook.

        Parameters
        ----------
        updates : int
            About so many for each side: some seconds on two cores.

        Returns
        -------
        BackgroundTask
            Started. It can be stopped; an error in it is recorded in `errors`.
        """
        if self.task is not None and self.task.running:
            raise InvalidInputError("a training is going on; stop it first, or wait for its end")
        import torch

        threads = torch.get_num_threads()  # a new thread would take those of whatever trains at that moment
        self.task = BackgroundTask(self, lambda task: self._train(task, updates, threads))
        return self.task.start()

    def _train(self, task: BackgroundTask, updates: int, threads: int) -> None:
        from dataclasses import replace

        from careedu.experiment.fit import fit
        from careedu.experiment.grid import torch_threads
        from careedu.training.isolation import WAITS, turn
        from careedu.training.loop import TrainingStopped

        settings, rows = dict(self.settings), self._rows()
        data = replace(self.data, train=self.data.train[rows], rare=None, draw_train=None)
        epochs = max(2, round(updates * 32 / len(rows)))

        def report(share: float, text: str) -> None:
            if not task.report(share, text):
                raise TrainingStopped(text)

        try:
            with turn(lambda: report(0.0, WAITS)), torch_threads(threads):
                for number, side in enumerate(SIDES):
                    method = self.method(side)

                    def after_epoch(epoch: Any, number: int = number, label: str = method.label()) -> None:
                        share = (number + epoch.epoch / epoch.epochs) / len(SIDES)
                        report(share, f"{SIDES[number]}: {label}, epoch {epoch.epoch} of {epoch.epochs}")

                    run = fit(data, method, epochs=epochs, progress=False, probes=0, on_epoch=after_epoch)
                    if settings == self.settings:  # else the sliders have moved on, and this belongs to what was
                        self.trained[side] = run.recall()
                        self.sides[side] = replace(self.sides[side], trained=self.trained[side])
        except TrainingStopped:
            return
        self.notify()


def train_head(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, offset: Sequence[float]) -> np.ndarray:
    """Train a linear head on frozen features: weighted softmax regression with an offset per class.

    Minimises (1/N) Σ_i w_{y_i} · −log softmax(V z_i + b + offset)_{y_i} + ½ λ ‖V‖² by L-BFGS; λ = 10⁻³ is our choice.

    Parameters
    ----------
    features : float (N, K)
    labels : int (N,)
    weights : float (C,)
    offset : float (C,)
        Added to the logits in training only, as in logit adjustment.

    Returns
    -------
    float64 (K + 1, C)
        Weights, and the biases in the last row.
    """
    n, k = features.shape
    classes, design = len(weights), np.column_stack([features, np.ones(n)])
    share, truth = weights[labels] / n, np.eye(classes)[labels]
    decay = np.full((k + 1, 1), 1e-3)
    decay[-1] = 0  # the bias is free

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        head = flat.reshape(k + 1, classes)
        log_p = log_softmax(design @ head + offset, axis=1)
        value = -(share * log_p[np.arange(n), labels]).sum() + 0.5 * (decay * head**2).sum()
        gradient = design.T @ (share[:, None] * (np.exp(log_p) - truth)) + decay * head
        return value, gradient.ravel()

    start = np.zeros((k + 1) * classes)
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "gtol": 1e-4})
    return result.x.reshape(k + 1, classes)
