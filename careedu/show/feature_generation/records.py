"""Real and generated features as the training went on, and how well the segmentation behind them finds lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from careedu.errors import MissingWeightsError, check_known
from careedu.measure.crossed import spread_of_images
from careedu.measure.feature_quality import feature_quality, frechet_distance
from careedu.measure.statistics import Estimate, estimate_of
from careedu.show.record_file import RecordFile, fields_of, train_again

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results
    from careedu.methods.feature_generation import FeatureGeneration
    from careedu.training.loop import EpochReport

FEWEST, MOST = 30, 100
"""Generated features that are kept of a class: as many as it has real ones, within these."""
WEIGHTS = "weights/"
BEFORE = ("segmentation", "generation")
"""Stages after which the features rest and the head is trained."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneratedFeatures(RecordFile):
    """Features of training images, and generated ones, by several ways and after some epochs of their generators.

    Parameters
    ----------
    names : tuple of str
        The W ways to generated features.
    epochs : tuple of int
        Of the generators, from 1, after which these were looked at; E of them. What has no generator to be trained is
        the same after each.
    real : ndarray
        float16 (N, K), pooled features of the training images, standardised.
    labels, ids, groups : ndarray
        int64 (N,), str (N,) and (N,): of the training images.
    made : ndarray
        float16 (W, E, M, K), generated features: of each class as many as it has images, 30 at least and 100 at most,
        from the same noise after each epoch.
    made_labels : ndarray
        int64 (M,), the classes that were asked for.
    agreed : ndarray
        bool (W, E, M), whether the discriminator gives a feature its class; true where there is none.
    quality : ndarray
        float32 (W, C + 1), after the last epoch and of as many features as a class has images: each class's Fréchet
        distance to the real ones, and the share of near copies.
    floor, spread : ndarray
        float32 (S, C), of each class's real features, for each of S seeds: mean Fréchet distance of two random halves;
        total variance, which is the distance to a generator that has collapsed and makes nothing but the class's mean.
    found : ndarray
        bool (T, H, W), what the segmentation takes for lesion in the test images, with the first seed.
    dice : ndarray
        float32 (S, T), Dice score of each test image, for each seed.
    test_ids, test_groups : ndarray
        (T,), of the test images.
    weights : mapping of str to mapping of str to ndarray
        float16, of the networks of the first seed at the end: ``"segmentation"``, and of each way that trains one its
        generator; by the names of their tensors.
    data, provenance : mapping
        JSON values: name, recipe and classes of the image set and the shape of an image; seed and versions.

    Raises
    ------
    InvalidInputError
        If a shape does not fit the others.
    """

    what: ClassVar[str] = "records of generated features"
    made_by: ClassVar[str] = "record_generation(…)"
    texts: ClassVar[tuple[str, ...]] = ("ids", "groups", "test_ids", "test_groups")

    epochs: tuple[int, ...]
    real: np.ndarray
    groups: np.ndarray
    made: np.ndarray
    made_labels: np.ndarray
    agreed: np.ndarray
    quality: np.ndarray
    floor: np.ndarray
    spread: np.ndarray
    found: np.ndarray
    dice: np.ndarray
    test_ids: np.ndarray
    test_groups: np.ndarray
    weights: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = (len(self.names), len(self.epochs), len(self.made_labels))
        images, tests, classes = len(self.labels), len(self.test_ids), len(self.data["classes"])
        shapes = {
            "real": (images, self.made.shape[-1]),
            **dict.fromkeys(("ids", "groups"), (images,)),
            "made": (*told, self.made.shape[-1]),
            "agreed": told,
            "quality": (told[0], classes + 1),
            **dict.fromkeys(("floor", "spread"), (len(self.dice), classes)),
            "found": (tests, *self.data["image shape"][1:]),
            "dice": (len(self.dice), tests),
            "test_groups": (tests,),
        }
        self.check_shapes(shapes, "{} ways, {} epochs and {} generated features".format(*told))

    def written(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """As of every record; the weights are arrays too."""
        arrays, state = super().written()
        weights = state.pop("weights").items()
        return arrays | {f"{WEIGHTS}{of}/{name}": w for of, own in weights for name, w in own.items()}, state

    @classmethod
    def of_written(cls, arrays: dict[str, Any], state: dict[str, Any]) -> GeneratedFeatures:
        """The record that gave them."""
        weights: dict[str, dict[str, np.ndarray]] = {}
        for key in [key for key in arrays if key.startswith(WEIGHTS)]:
            of, _, name = key.removeprefix(WEIGHTS).rpartition("/")
            weights.setdefault(of, {})[name] = arrays.pop(key)
        return super().of_written(arrays, {**state, "weights": weights})

    def network(self, name: str) -> nn.Module:
        """A network of the first seed, as it was at the end, in evaluation.

        Parameters
        ----------
        name : str
            ``"segmentation"``, or a way that trains a generator.

        Returns
        -------
        Classifier or ACGAN
            For `careedu.methods.segmentation.segment`; or a generator without its discriminator, whose `ACGAN.sample`
            gives features in the units of `real`.

        Raises
        ------
        MissingWeightsError
            If the record holds no such weights.
        """
        import torch

        from careedu.methods.adversarial import ACGAN
        from careedu.methods.segmentation import add_decoder
        from careedu.nn.backbones import build_model

        if name not in self.weights:
            raise MissingWeightsError(f"no weights of {name!r} are in this record, only of {sorted(self.weights)}")
        own, classes = {n: torch.from_numpy(w).float() for n, w in self.weights[name].items()}, len(self.classes)
        with torch.device("meta"):  # nothing is drawn for weights that are there
            if name == BEFORE[0]:
                network = add_decoder(build_model(self.provenance["model"], classes, self.data["image shape"][0]))
                network.head = None
            else:
                network = ACGAN(self.real.shape[1], classes, own["generator.0.weight"].shape[1] - classes)
                network.discriminator = None
        network.load_state_dict(own, assign=True)
        return network.eval().requires_grad_(False)

    def of(self, name: str, epoch: int) -> np.ndarray:
        """Generated features float32 (M, K) of a way after an epoch."""
        check_known("way", name, self.names)
        return self.made[self.names.index(name), self.epochs.index(epoch)].astype(np.float32)

    def dice_estimate(self) -> Estimate:
        """Mean Dice score of the test images, with a 95 % interval that covers other seeds and other patients."""
        return estimate_of(spread_of_images(self.dice.astype(np.float64), self.test_groups))


def record_generation(
    results: Results,
    methods: Mapping[str, FeatureGeneration],
    looks: int = 6,
    shared_stages: str | Path | None = None,
    **options: Any,
) -> GeneratedFeatures:
    """Train methods once more, looking at what they generate.

    Parameters
    ----------
    results : Results
        Of these methods, and the data that they were trained on, with masks.
    methods : mapping of str to FeatureGeneration
        Arms of `results` on features of a segmentation; each is looked at with the first seed, and the segmentation
        with all seeds.
    looks : int
        After how many epochs of a generator: the first, the last, and some between, ever further apart.
    shared_stages : path, optional
        As `careedu.fit` takes it, so that the segmentation is not trained again.
    **options
        Of `careedu.fit`, as `results` was trained with.

    Returns
    -------
    GeneratedFeatures

    Raises
    ------
    InvalidInputError
        If a training does not give the probabilities that `results` has.
    """
    from tempfile import TemporaryDirectory

    test, seed, told = results.data.test, results.seeds[0], results.first.configuration
    train, last = results.data.redraw(seed).train, next(iter(methods.values())).generator_epochs
    labels, epochs = train.labels.numpy(), np.unique(np.geomspace(1, last, looks).round().astype(int)).tolist()
    counts = np.bincount(labels, minlength=len(train.classes))
    wanted = np.repeat(np.arange(len(counts)), counts.clip(FEWEST, MOST))
    seen: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        again = {"shared_stages": shared_stages or folder, **options}
        for name, method in methods.items():
            seen[name] = _looked_at(results, name, method, train, wanted, epochs, again)
        plain = replace(next(iter(methods.values())), generator="none")
        segmented = [_segmented(results, plain, s, again) for s in results.seeds]
    ways = [found[-len(epochs) :] for found in seen.values()]
    masks, dice, landmarks, networks = zip(*segmented, strict=True)
    weights = {BEFORE[0]: networks[0], **{name: found[-1]["network"] for name, found in seen.items()}}
    real, (floor, spread) = ways[0][0]["real"], zip(*landmarks, strict=True)
    return GeneratedFeatures(
        names=tuple(seen),
        epochs=tuple(epochs),
        real=real.astype(np.float16),
        **fields_of(train, told),
        groups=np.asarray(train.groups),
        made=np.stack([[one["made"] for one in found] for found in ways]).astype(np.float16),
        made_labels=wanted,
        agreed=np.stack([[one["agreed"] for one in found] for found in ways]),
        quality=np.stack([found[-1]["quality"] for found in ways]).astype(np.float32),
        floor=np.array(floor, dtype=np.float32),
        spread=np.array(spread, dtype=np.float32),
        found=masks[0],
        dice=np.array(dice, dtype=np.float32),
        test_ids=np.asarray(test.ids),
        test_groups=np.asarray(test.groups),
        weights={name: own for name, own in weights.items() if own},
        provenance={"seed": seed, "model": told["model"], "versions": told["versions"]},
    )


def _looked_at(
    results: Results,
    name: str,
    method: FeatureGeneration,
    train: LesionDataset,
    wanted: np.ndarray,
    epochs: list[int],
    options: dict[str, Any],
) -> list[dict[str, Any]]:
    """What one way generates after these epochs of its generator; without one, the same after each."""
    import torch

    from careedu.methods.feature_generation import NETWORKS, PART
    from careedu.training.prediction import as_array, pooled_or_maps

    looks: list[dict[str, Any]] = []
    seed, labels = results.seeds[0], train.labels

    def look(report: EpochReport) -> None:
        trained = method.generator in NETWORKS
        stage, epoch = report.row["stage"], report.row["epoch"] - method.pretrain.epochs
        if not (stage == "generation" and epoch in epochs if trained else stage not in BEFORE and not looks):
            return
        real = as_array(pooled_or_maps(report.model, train.images, True))
        if trained:
            gan, noise = report.model.training_parts[PART], torch.Generator()
            made, agreed = zip(*(_sampled(gan, of, noise.manual_seed(seed)) for of in (wanted, labels)), strict=True)
            network = _halved(gan, ("generator.", "scale"))
        else:
            # Twice the largest class, so that there are enough of each.
            more, of = replace(method, amount=2.0).resample(report.model, real, labels.numpy(), seed)
            more, of = more[len(labels) :], of[len(labels) :]
            made = [_first(more, of, classes) for classes in (wanted, labels.numpy())]
            agreed, network = [np.ones(len(wanted), dtype=bool)], {}
        quality = feature_quality(made[1], real, labels.numpy(), train.classes)
        told = {"made": made[0], "agreed": agreed[0], "quality": np.array([*quality.values()])}
        looks.append({"real": real, "network": network, **told})

    train_again(results, method, seed, look, name, **options)
    return looks if len(looks) > 1 else looks * len(epochs)


def _sampled(gan: Any, labels: Any, noise: Any) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from careedu.training.prediction import as_array

    made = gan.sample(torch.as_tensor(labels), noise)
    return as_array(made), as_array(gan.agrees(made, torch.as_tensor(labels)))


def _first(made: np.ndarray, of: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each class in `wanted` the next one of `made`, which are of the classes `of`."""
    rows = {c: iter(np.flatnonzero(of == c)) for c in np.unique(wanted)}
    return made[[next(rows[c]) for c in wanted]]


def _segmented(
    results: Results, plain: FeatureGeneration, seed: int, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, tuple[list[float], list[float]], dict[str, np.ndarray]]:
    """What a seed's segmentation finds, bool (T, H, W), its Dice scores (T,), floor and spread, and its weights."""
    from careedu.methods.segmentation import MOVES, dice_scores, regions, segment
    from careedu.training.prediction import as_array, pooled_or_maps

    train, test, found = results.data.redraw(seed).train, results.data.test, []

    def look(report: EpochReport) -> None:
        if report.row["stage"] not in BEFORE and not found:
            network = partial(segment, report.model.eval())
            weights = _halved(report.model, (*MOVES, "mean", "std"))
            real = as_array(pooled_or_maps(report.model, train.images, True))
            own = [real[train.labels == c] for c in range(len(train.classes))]
            landmarks = [_floor(one, seed) for one in own], [float(one.var(axis=0).sum()) for one in own]
            found.append((regions(network, test.images).numpy(), dice_scores(network, test), landmarks, weights))

    train_again(results, plain, seed, look, **options)
    return found[0]


def _halved(network: Any, kept: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Tensors of a network of which the names begin so, float16."""
    return {name: t.numpy().astype(np.float16) for name, t in network.state_dict().items() if name.startswith(kept)}


def _floor(real: np.ndarray, seed: int, times: int = 20) -> float:
    """Mean Fréchet distance of two random halves."""
    rng = np.random.default_rng(seed)
    halves = (np.split(rng.permutation(real), [len(real) // 2]) for _ in range(times))
    return float(np.mean([frechet_distance(*both) for both in halves]))
