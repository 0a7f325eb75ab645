"""Where networks put images: features, their planes, attention and neighbours, computed once and saved in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from careedu.errors import InvalidInputError
from careedu.show.record_file import RecordFile, fields_of

if TYPE_CHECKING:
    from torch import nn

    from careedu.data.dataset import LesionDataset
    from careedu.experiment.run import Run

NEIGHBOURS = 5
"""So many of an image's nearest neighbours are looked at."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Embeddings(RecordFile):
    """What several networks make of the same images.

    Parameters
    ----------
    names : tuple of str
        Of the A networks.
    features : ndarray
        int8 (A, N, K), pooled features of the images less their mean over these, in 127ths of what is largest under a
        network; as attention weighs them where there is some, and not standardised as for the head of a linear
        evaluation. Cosines have no unit, and are changed by some hundredths at most.
    pca, tsne : ndarray
        float32 (A, N, 2), the features at length 1 in a plane: by their first two principal components, and by t-SNE.
    labels : ndarray
        int64 (N,), true classes.
    ids : ndarray
        str (N,), distinct names of the images.
    data : mapping
        JSON values: name, recipe, classes and rare classes of the image set, and the shape of an image.
    attention : mapping of str to ndarray
        Of networks that have an attention module: uint8 (N, h, w), 255 being an attention of 1.
    provenance : mapping
        JSON values by network: method, seed and versions.

    Raises
    ------
    InvalidInputError
        If a shape does not fit the others, or there are too few images.
    """

    what: ClassVar[str] = "embeddings"
    made_by: ClassVar[str] = "embed(runs, images)"

    features: np.ndarray
    pca: np.ndarray
    tsne: np.ndarray
    attention: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        networks, images = len(self.names), len(self.labels)
        sizes = f"{networks} networks and {images} images"
        planes = dict.fromkeys(("pca", "tsne"), (networks, images, 2))
        features = {"features": (networks, images, self.features.shape[-1])}
        self.check_shapes({**features, **planes, "ids": (images,)}, sizes)
        for name, maps in self.attention.items():
            if len(maps) != images:
                shape = (images, *maps.shape[-2:])
                raise InvalidInputError(f"attention of {name!r} must be {shape} for {sizes}, not {maps.shape}")
        if unknown := set(self.attention) - set(self.names):
            raise InvalidInputError(f"attention is given of {sorted(unknown)}, which are none of {list(self.names)}")
        _check_numbers(networks, images)

    def of(self, name: str) -> np.ndarray:
        """Features of the images under one network, float32 (N, K)."""
        return self.features[self.names.index(name)].astype(np.float32)

    def written(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its arrays, and JSON values."""
        arrays, state = super().written()
        maps = state.pop("attention")
        return arrays | {f"attention/{self.names.index(name)}": own for name, own in maps.items()}, state

    @classmethod
    def of_written(cls, arrays: dict[str, Any], state: dict[str, Any]) -> Embeddings:
        """The embeddings that gave them."""
        maps = {state["names"][int(key[10:])]: arrays.pop(key) for key in list(arrays) if key.startswith("attention/")}
        return super().of_written({**arrays, "attention": maps}, state)


def embed(runs: Mapping[str, Run], images: LesionDataset) -> Embeddings:
    """Compute where the networks of runs put images, with planes (PCA and t-SNE of scikit-learn) and attention.

    Parameters
    ----------
    runs : mapping of str to Run
        Name of a network → a run with weights, all of one image set.
    images : LesionDataset
        Of that set, test images as a rule.

    Returns
    -------
    Embeddings

    Raises
    ------
    InvalidInputError
        If there is no run, the runs are of different image sets or the images of another, or there are too few.
    MissingWeightsError
        If a run has no weights.

    Notes
    -----
    t-SNE: van der Maaten and Hinton, JMLR 2008; perplexity 30, or a third of the images where that is less. Its bits
    differ between machines, which is why the planes are saved.
    """
    import torch

    from careedu.training.isolation import plain_torch
    from careedu.training.prediction import pooled_or_maps

    told = [run.configuration["data"] for run in runs.values()]
    _check_numbers(len(runs), len(images))
    sets = {(tuple(one["classes"]), tuple(one["image shape"])) for one in told}
    sets.add((images.classes, tuple(images.images.shape[1:])))
    if len(sets) > 1:
        raise InvalidInputError(f"runs and images must be of one image set, not of classes and shapes {sorted(sets)}")
    features, attention, kept = [], {}, ("method", "seed", "versions")
    with plain_torch(), torch.no_grad():
        for name, run in runs.items():
            network = run.network()
            if isinstance(network.after, torch.nn.BatchNorm2d):
                # A linear evaluation centres what its head sees: cosines would not be those of the other networks.
                network.after = torch.nn.Identity()
            found = pooled_or_maps(network, images.images, pooled=True).numpy()
            # No feature is negative, so all images lie in nearly one direction from 0; from their mean they do not.
            found -= found.mean(axis=0)
            largest = np.abs(found).max()  # 0 where a network has collapsed
            features.append((found * (127 / largest if largest else 0)).round().astype(np.int8))
            if hasattr(network.after, "attention"):
                attention[name] = _attention(network, images)
    return Embeddings(
        names=tuple(runs),
        features=np.stack(features),
        **{plane: np.stack([_in_plane(plane, one) for one in features]) for plane in ("pca", "tsne")},
        **fields_of(images, next(iter(runs.values())).configuration),
        attention=attention,
        provenance={name: {key: run.configuration[key] for key in kept} for name, run in runs.items()},
    )


def _check_numbers(networks: int, images: int) -> None:
    if networks < 1 or images <= NEIGHBOURS:
        raise InvalidInputError(
            f"a network and more than {NEIGHBOURS} images are needed, so that each has {NEIGHBOURS} neighbours; not "
            f"{networks} and {images}"
        )


def _attention(network: nn.Module, images: LesionDataset) -> np.ndarray:
    """What each position is worth, uint8 (N, h, w)."""
    import torch

    from careedu.training.batch import unit_range
    from careedu.training.prediction import CHUNK

    bodies = (network.body(network.seen(unit_range(chunk))) for chunk in images.images.split(CHUNK))
    found = torch.cat([network.after.attention(features)[:, 0] for features in bodies])
    return (found * 255).round().to(torch.uint8).numpy()


def _in_plane(plane: str, features: np.ndarray) -> np.ndarray:
    """Features (N, K) at length 1 in the plane, float32 (N, 2): so that near in them is near by the cosine."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    units = unit_rows(features)
    if not np.ptp(units, axis=0).any():
        return np.zeros((len(units), 2), np.float32)  # a network that has collapsed: t-SNE would crash on one point
    by_neighbours = TSNE(perplexity=min(30, (len(units) - 1) / 3), init="pca", random_state=0)
    found = PCA(2, random_state=0) if plane == "pca" else by_neighbours
    return found.fit_transform(units).astype(np.float32)


def unit_rows(features: ArrayLike) -> np.ndarray:
    """Rows (N, K) divided by their lengths, float32; a row of zeros stays."""
    rows = np.asarray(features, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def nearest_neighbours(features: ArrayLike, k: int = NEIGHBOURS) -> np.ndarray:
    """Each image's nearest others by the cosine of their features, nearest first.

    Parameters
    ----------
    features : float (N, K)
    k : int
        Below N.

    Returns
    -------
    int64 (N, k)
        Rows; of those that are equally near the first.

    Raises
    ------
    InvalidInputError
        If there are no k others.
    """
    units = unit_rows(features)
    if not 1 <= k < len(units):
        raise InvalidInputError(f"k={k} nearest neighbours need more than k images and k at least 1, not {len(units)}")
    nearness = units @ units.T
    np.fill_diagonal(nearness, -np.inf)  # no image is its own neighbour
    return np.argsort(-nearness, axis=1, kind="stable")[:, :k]


def share_of_class(neighbours: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which share of each image's neighbours is of its own class: what a vote of the neighbours would give that class.

    Parameters
    ----------
    neighbours : int (N, k)
        As `nearest_neighbours` gives them, so that no image votes for itself (leave-one-out).
    labels : int (N,)

    Returns
    -------
    float64 (N,)
    """
    return (labels[neighbours] == labels[:, None]).mean(axis=1)


def negative_weights(similarities: np.ndarray, row: int, temperature: float) -> np.ndarray:
    """How much each negative of an image weighs in NT-Xent's gradient: w_j = exp(cos_j / T) / Σ_{k≠i} exp(cos_k / T).

    Parameters
    ----------
    similarities : float (N,)
        Cosines of image i with all images.
    row : int
        i, which is no negative of its own and gets 0.
    temperature : float
        T, above 0.

    Returns
    -------
    float64 (N,)
        Summing to 1.
    """
    scores = similarities.astype(np.float64) / temperature
    scores[row] = -np.inf
    return softmax(scores)
