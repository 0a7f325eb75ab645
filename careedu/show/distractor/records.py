"""What tempts networks to a wrong class, and whether it is the look-alikes: computed once, saved in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from careedu.errors import InvalidInputError, check_known
from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import Difference, Estimate, difference_of, estimate_of
from careedu.show.record_file import RecordFile, fields_of, train_again

if TYPE_CHECKING:
    from torch import nn

    from careedu.data.dataset import LesionDataset
    from careedu.experiment.results import Results
    from careedu.methods.method import Method
    from careedu.training.loop import EpochReport

NEURONS = 3
"""So many neurons are kept of each distractor: those with most of the relevance."""
MEASURES = ("relevance", "map", "true class", "chance")
"""What may lie on look-alikes: the relevance for the wrong class, the positive part of that class's plain map, the
relevance for the true class, and what of a map that knows nothing does."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DistractorRecord(RecordFile):
    """What tempts the networks of two methods after some epochs, image by image, and of several after the last.

    Parameters
    ----------
    names : tuple of str
        Of the A networks that were looked at while they learned.
    epochs : tuple of int
        After which; E of them.
    probabilities : ndarray
        float32 (A, E, N, C), of all classes.
    distances : ndarray
        float32 (A, E, N), 1 − cosine between an image's pooled features and its distractor's.
    true_maps, wrong_maps, relevance : ndarray
        uint8 (A, E, N, h, w), 255 being 1: the plain maps of the true and of the most tempting wrong class, each
        stretched from 0 to 1, and the relevance for that wrong class, summed over neurons, its largest place being 1.
    neurons : ndarray
        int16 (A, E, N, 3), the neurons that hold most of the relevance, most first.
    neuron_shares : ndarray
        float32 (A, E, N, 3), their shares of it; 0 where nothing speaks for the wrong class.
    neuron_maps : ndarray
        uint8 (A, E, N, 3, h, w), their relevance, 255 being the largest of the image.
    labels : ndarray
        int64 (N,), true classes.
    patch_labels : ndarray
        int64 (N,), the class whose texture an image's look-alikes carry, −1 where there are none.
    ids : ndarray
        str (N,), distinct names of the images.
    groups : ndarray
        (N,) of patients or lesions.
    data : mapping
        JSON values: name, recipe and classes of the image set, and the shape of an image.
    arms : tuple of str
        The M methods whose shares on look-alikes were measured.
    shares : ndarray
        float16 (M, S, N, 4), for each of S seeds: which part of `MEASURES` lies on an image's look-alikes; NaN where it
        has none.
    provenance : mapping
        JSON values: seed, versions and options of what was trained.

    Raises
    ------
    InvalidInputError
        If a shape does not fit the others.
    """

    what: ClassVar[str] = "records of distractors"
    made_by: ClassVar[str] = "record_distractors(…)"

    epochs: tuple[int, ...]
    probabilities: np.ndarray
    distances: np.ndarray
    true_maps: np.ndarray
    wrong_maps: np.ndarray
    relevance: np.ndarray
    neurons: np.ndarray
    neuron_shares: np.ndarray
    neuron_maps: np.ndarray
    patch_labels: np.ndarray
    groups: np.ndarray
    arms: tuple[str, ...]
    shares: np.ndarray

    def __post_init__(self) -> None:
        told = (len(self.names), len(self.epochs), len(self.labels))
        grid = self.true_maps.shape[-2:]
        shapes = {
            "probabilities": (*told, len(self.data["classes"])),
            "distances": told,
            **dict.fromkeys(("true_maps", "wrong_maps", "relevance"), (*told, *grid)),
            **dict.fromkeys(("neurons", "neuron_shares"), (*told, NEURONS)),
            "neuron_maps": (*told, NEURONS, *grid),
            **dict.fromkeys(("patch_labels", "ids", "groups"), told[2:]),
            "shares": (len(self.arms), *self.shares.shape[1:2], told[2], len(MEASURES)),
        }
        self.check_shapes(shapes, "{} networks, {} epochs and {} images".format(*told))

    def tempting(self, name: str, epoch: int) -> np.ndarray:
        """The most likely wrong class of each image, int64 (N,), under a network after an epoch."""
        found = self.probabilities[self.names.index(name), self.epochs.index(epoch)].copy()
        found[np.arange(len(found)), self.labels] = -np.inf
        return found.argmax(axis=1)

    def estimate(self, arm: str, measure: str, where: np.ndarray | None = None) -> Estimate:
        """Mean share on look-alikes over seeds and images, with a 95 % interval that covers other seeds and images.

        Parameters
        ----------
        arm : str
            One of `arms`.
        measure : str
            One of `MEASURES`.
        where : bool (N,), optional
            Which images; all that have look-alikes where not given.
        """
        return estimate_of(self._spread(arm, measure, where))

    def difference(self, arm: str, measure: str, other: str, where: np.ndarray | None = None) -> Difference:
        """Paired difference of two measures of one method, measure − other, with interval, p-value and verdict."""
        return difference_of("share", self._spread(arm, measure, where), self._spread(arm, other, where))

    def _spread(self, arm: str, measure: str, where: np.ndarray | None) -> Any:
        check_known("arm", arm, self.arms)
        check_known("measure", measure, MEASURES)
        known = self.patch_labels >= 0 if where is None else where & (self.patch_labels >= 0)
        if not known.any():
            raise InvalidInputError("no such image has look-alikes: there is nothing for a share to lie on")
        values = self.shares[self.arms.index(arm), :, :, MEASURES.index(measure)].astype(np.float64)
        return spread_of_images(values[:, known], self.groups[known])


def record_distractors(
    results: Results, methods: Mapping[str, Method], looks: int = 5, **options: Any
) -> DistractorRecord:
    """Train methods once more, looking at what tempts them; measure what lies on look-alikes for all runs.

    Parameters
    ----------
    results : Results
        Runs with weights, all of which are measured after their last epoch, and the data that they were trained on,
        with look-alikes in its test images whose classes are known.
    methods : mapping of str to Method
        Those that are looked at while they learn, with the first seed: some of the arms of `results`.
    looks : int
        After how many epochs: the first, the last, and some between that are evenly spread.
    **options
        Of `careedu.fit`, as `results` was trained with.

    Returns
    -------
    DistractorRecord

    Raises
    ------
    InvalidInputError
        If the test images have no look-alikes, or a training does not give the probabilities that `results` has.
    """
    test, seed, known = results.data.test, results.seeds[0], results.runs
    if test.mark_labels is None:
        raise InvalidInputError("the test images have no look-alikes: load phantom-skin with look_alike above 0")
    told, seen = results.first.configuration, {}
    epochs = np.unique(np.linspace(1, told["epochs"], looks).round().astype(int)).tolist()
    for name, method in methods.items():
        found = seen.setdefault(name, [])

        def look(report: EpochReport, found: list[dict[str, np.ndarray]] = found) -> None:
            if report.epoch in epochs:
                found.append(_looked_at(report.model, test))

        train_again(results, method, seed, look, name, **options)
    arms = [arm for arm in results.methods if len(known[arm][seed].history)]
    return DistractorRecord(
        names=tuple(seen),
        epochs=tuple(epochs),
        **{key: np.stack([np.stack([one[key] for one in found]) for found in seen.values()]) for key in found[0]},
        **fields_of(test, told),
        patch_labels=test.mark_labels.numpy(),
        groups=np.asarray(test.groups),
        arms=tuple(arms),
        shares=np.stack(
            [[look_alike_shares(known[arm][s].network(), test) for s in results.seeds] for arm in arms]
        ).astype(np.float16),
        provenance={"seed": seed, "versions": told["versions"]},
    )


def _speaking(network: nn.Module, images: LesionDataset) -> dict[str, Any]:
    """What speaks for which class in the features: torch tensors that both of the following are made of."""
    import torch

    from careedu.methods.distractor import relevance, tempting_class
    from careedu.training.prediction import pooled_or_maps

    features = pooled_or_maps(network, images.images, pooled=False)
    with torch.no_grad():
        logits = network.head(network.pool(features))
        wrong, weight = tempting_class(logits, images.labels), network.head.weight
        r = relevance(features, weight[wrong])
    spoken = {"wrong": weight[wrong].detach(), "true": weight[images.labels].detach()}
    return {"features": features, "logits": logits, "r": r, **spoken}


def _looked_at(network: nn.Module, images: LesionDataset) -> dict[str, np.ndarray]:
    """One network at one moment, as the fields of a record hold it."""
    import torch

    from careedu.nn.maps import class_activation_map, normalize_map

    found = _speaking(network, images)
    features, r = found["features"], found["r"]
    with torch.no_grad():
        distances = 1 - torch.cosine_similarity(network.pool(features), network.pool(features * r))
        mass = r.sum(dim=(2, 3))
        shares, neurons = (mass / mass.sum(dim=1, keepdim=True).clamp_min(1e-12)).topk(NEURONS)
        places = r.sum(dim=1)
        maps = {
            **{f"{of}_maps": normalize_map(class_activation_map(features, found[of])) for of in ("true", "wrong")},
            "relevance": places / places.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12),
            "neuron_maps": r.gather(1, neurons[..., None, None].expand(-1, -1, *r.shape[2:])),
        }
    return {
        "probabilities": found["logits"].softmax(dim=1).numpy(),
        "distances": distances.numpy(),
        "neurons": neurons.numpy().astype(np.int16),
        "neuron_shares": shares.numpy(),
        **{name: (one * 255).round().to(torch.uint8).numpy() for name, one in maps.items()},
    }


def look_alike_shares(network: nn.Module, images: LesionDataset) -> np.ndarray:
    """Which part of a network's relevance and maps lies on look-alikes.

    Parameters
    ----------
    network : nn.Module
        With a linear head behind global average pooling.
    images : LesionDataset
        That know their look-alikes, `marks`.

    Returns
    -------
    float64 (N, 4)
        Of each of `MEASURES`: Σ over places of map · (part of the place that look-alikes cover) / Σ map. A map of zeros
        counts like one that looks everywhere alike. NaN for an image without look-alikes.
    """
    from torch.nn.functional import adaptive_avg_pool2d

    from careedu.methods.distractor import relevance
    from careedu.nn.maps import class_activation_map

    found = _speaking(network, images)
    features = found["features"]
    maps = [
        found["r"].sum(dim=1),
        class_activation_map(features, found["wrong"]).clamp_min(0),
        relevance(features, found["true"]).sum(dim=1),
    ]
    covered = adaptive_avg_pool2d(images.marks[:, None].float(), features.shape[-2:])[:, 0].double()
    chance, shares = covered.mean(dim=(1, 2)), []
    for one in maps:
        mass = one.double().sum(dim=(1, 2))
        share = (one * covered).sum(dim=(1, 2)) / mass.clamp_min(1e-12)
        shares.append(np.where(mass > 0, share, chance))
    return np.where(images.marks.flatten(1).any(dim=1)[:, None], np.stack([*shares, chance], axis=1), np.nan)
