"""What an image set is: one split (`LesionDataset`) and the three of them (`Splits`).

Everything above this file relies on what is checked here once: types, shapes, ranges. Nothing downstream checks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from careedu.data.digest import add_array
from careedu.errors import InvalidInputError, check_known, check_number

_TENSORS = ("images", "labels", "boxes", "masks", "has_mask", "marks", "mark_labels", "lesion_free")
_TENSORS += ("stored",)
AUGMENTATIONS = ("none", "upright", "any-orientation")


@dataclass(frozen=True, eq=False)
class LesionDataset:
    """One split of labelled images, with the lesions where they are known.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).
    labels : Tensor
        int64 (N,), indices into `classes`.
    classes : tuple of str
        Names, at least two, all different.
    boxes : Tensor, optional
        float32 (N, 4) as x0, y0, x1, y1 in pixels, x1 and y1 exclusive, around all lesions; NaN where there is none.
    masks : Tensor, optional
        bool (N, H, W), the union of an image's lesions.
    has_mask : Tensor, optional
        bool (N,). All true where `masks` is given and this is not.
    groups : array, optional
        (N,) patient or lesion ids as str, by default one an image; no group is parted.
    ids : array, optional
        (N,) distinct names of the images as str. Counted where not given.
    grouped : bool, optional
        False where nothing is known about groups, so that equal names in two splits mean nothing.
    marks : Tensor, optional
        bool (N, H, W), the pixels of what is no part of the disease and may go with a class, such as a letter.
    mark_labels : Tensor, optional
        int64 (N,), the class that an image's marks look like (``look_alike=`` of phantoms); −1 for none.
    lesion_free : Tensor, optional
        bool (N,), true where it is known that an image has no lesion, which is more than that no lesion is known.
    stored : Tensor, optional
        int64 (N, 2), width and height of the files that the images were made of.

    Attributes
    ----------
    has_box : Tensor
        bool (N,), true where the box is known.

    Raises
    ------
    InvalidInputError
        If a type, a shape or a value does not fit, naming the field and the first image at fault.

    Notes
    -----
    ``dataset[3]`` is the pair (image, label), so that a plain ``torch.utils.data.DataLoader`` accepts a
    dataset; ``dataset[10:20]``, ``dataset[mask]`` and ``dataset[indices]`` are datasets again.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    boxes: Tensor | None = None
    masks: Tensor | None = None
    has_mask: Tensor | None = None
    groups: np.ndarray | None = None
    ids: np.ndarray | None = None
    grouped: bool | None = None
    marks: Tensor | None = None
    mark_labels: Tensor | None = None
    lesion_free: Tensor | None = None
    stored: Tensor | None = None
    has_box: Tensor = field(init=False)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        n = len(self.images)
        if self.boxes is None:
            put("boxes", torch.full((n, 4), torch.nan))
        if self.has_mask is None:
            put("has_mask", torch.full((n,), self.masks is not None))
        for name in _TENSORS:
            put(name, None if getattr(self, name) is None else torch.as_tensor(getattr(self, name)))
        put("classes", tuple(str(name) for name in self.classes))
        put("grouped", self.groups is not None if self.grouped is None else self.grouped)
        put("groups", np.arange(n).astype(str) if self.groups is None else np.asarray(self.groups).astype(str))
        put("ids", np.arange(n).astype(str) if self.ids is None else np.asarray(self.ids).astype(str))
        self._check()
        put("has_box", ~self.boxes.isnan().any(dim=1))

    def _check(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            fault = f"images must be uint8 (N, C, H, W), not {self.images.dtype} {tuple(self.images.shape)}"
            raise InvalidInputError(f"{fault}; scale intensities to 0-255 and add a channel axis where it is missing")
        n, _, height, width = self.images.shape
        expected = {
            "labels": (torch.int64, (n,)),
            "boxes": (torch.float32, (n, 4)),
            "has_mask": (torch.bool, (n,)),
            "masks": (torch.bool, (n, height, width)),
            "marks": (torch.bool, (n, height, width)),
            "mark_labels": (torch.int64, (n,)),
            "lesion_free": (torch.bool, (n,)),
            "stored": (torch.int64, (n, 2)),
        }
        for name, (dtype, shape) in expected.items():
            value = getattr(self, name)
            if value is not None and (value.dtype != dtype or tuple(value.shape) != shape):
                raise InvalidInputError(f"{name} must be {dtype} {shape}, not {value.dtype} {tuple(value.shape)}")
        for name in ("groups", "ids"):
            if getattr(self, name).shape != (n,):
                raise InvalidInputError(f"{name} must have shape ({n},), not {getattr(self, name).shape}")
        if len(set(self.ids.tolist())) != n:
            twice = next(name for name in self.ids.tolist() if (self.ids == name).sum() > 1)
            raise InvalidInputError(f"ids must be distinct; {twice!r} stands twice")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InvalidInputError(f"classes must be at least two different names, not {self.classes}")
        wrong = (self.labels < 0) | (self.labels >= len(self.classes))
        if wrong.any():
            row = int(wrong.nonzero()[0, 0])
            due = f"labels are indices into the {len(self.classes)} classes, 0 to {len(self.classes) - 1}"
            raise InvalidInputError(f"image {str(self.ids[row])!r} has label {int(self.labels[row])}; {due}")
        if self.masks is None and self.has_mask.any():
            raise InvalidInputError("has_mask is true somewhere, but no masks are given")
        missing = self.boxes.isnan()
        x0, y0, x1, y1 = self.boxes.unbind(1)
        outside = (x0 < 0) | (y0 < 0) | (x1 > width) | (y1 > height) | (x1 <= x0) | (y1 <= y0)
        wrong = (missing.any(1) & ~missing.all(1)) | outside
        if wrong.any():
            row = int(wrong.nonzero()[0, 0])
            due = f"x0 < x1 <= {width}, y0 < y1 <= {height}, nothing negative, or NaN in all four where there is none"
            raise InvalidInputError(f"image {str(self.ids[row])!r} has box {self.boxes[row].tolist()}; a box is {due}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: object) -> Any:
        if isinstance(key, int | np.integer):
            return self.images[key], int(self.labels[key])
        if not isinstance(key, slice):
            key = torch.as_tensor(key)
            key = key.long() if key.numel() == 0 else key  # an empty list has no type of its own
        rows = torch.arange(len(self))[key]
        return self._with(lambda tensor: tensor[rows], groups=self.groups[rows.numpy()], ids=self.ids[rows.numpy()])

    def _with(self, change: Callable[[Tensor], Tensor], **others: np.ndarray) -> LesionDataset:
        """The same with each tensor changed."""
        tensors = {name: change(value) for name in _TENSORS if (value := getattr(self, name)) is not None}
        return replace(self, **tensors, **others)

    def __repr__(self) -> str:
        _, channels, height, width = self.images.shape
        counts = ", ".join(f"{name} {n}" for name, n in zip(self.classes, self.counts.tolist(), strict=True))
        return f"LesionDataset({len(self)} images {channels}x{height}x{width}: {counts})"

    @property
    def counts(self) -> Tensor:
        """Images per class, int64 (C,)."""
        return torch.bincount(self.labels, minlength=len(self.classes))

    @property
    def marked(self) -> Tensor | None:
        """Whether an image carries a mark, bool (N,); None where nothing is known of marks."""
        return None if self.marks is None else self.marks.flatten(1).any(dim=1)

    def to(self, device: torch.device | str) -> LesionDataset:
        """The same with its tensors on a device."""
        return self._with(lambda tensor: tensor.to(device))

    def class_index(self, name: str) -> int:
        """Index of the class called `name`; an unknown name is an error that suggests the nearest."""
        check_known("class", name, self.classes)
        return self.classes.index(name)

    def fingerprint(self) -> str:
        """Hash of everything a training can see, 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(json.dumps([self.classes, list(self.images.shape)]).encode())
        digest.update(json.dumps([self.groups.tolist(), self.ids.tolist()]).encode())
        boxes = self.boxes.nan_to_num(nan=-1.0)  # a NaN can be written in several ways
        free = None if self.lesion_free is None or not self.lesion_free.any() else self.lesion_free
        for tensor in (self.images, self.labels, boxes, self.masks, self.has_mask, self.marks, self.mark_labels, free):
            if tensor is not None:
                add_array(digest, tensor)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Splits:
    """Training, validation and test images of one data set.

    Parameters
    ----------
    train, val, test : LesionDataset
        Of the same classes and image size. No group may be in two of them.
    name : str
        What to call the set in tables and figures.
    rare : sequence of str, optional
        The rare classes. By default those with less than half the mean training count, else the smallest one.
    augmentation : str
        ``"none"``, ``"upright"`` (an organ with an up and a down: left-right flips and small rotations) or
        ``"any-orientation"`` (also up-down flips and quarter turns).
    recipe : dict
        How the splits were made, as JSON values, for the record that every run keeps.
    draw_train : callable, optional
        ``draw_train(seed) -> LesionDataset``: draws the training images anew. It must be picklable.
    pool : LesionDataset, optional
        All training images, where only those in `train` have a label that may be used: what is learned from images
        alone is learned from these.
    labels : int, optional
        How many images a class have one then; both are what :meth:`with_labels` sets.

    Raises
    ------
    InvalidInputError
        If the splits do not belong together, or share a group.
    """

    train: LesionDataset
    val: LesionDataset
    test: LesionDataset
    name: str = "data"
    rare: Sequence[str] | None = None
    augmentation: str = "upright"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    draw_train: Callable[[int], LesionDataset] | None = None
    pool: LesionDataset | None = None
    labels: int | None = None

    def __post_init__(self) -> None:
        parts = self.parts()
        for label, part in parts.items():
            if part.classes != self.train.classes:
                raise InvalidInputError(f"{label} has classes {part.classes}, train has {self.train.classes}")
            if part.images.shape[1:] != self.train.images.shape[1:]:
                both = f"{label} has images {tuple(part.images.shape[1:])}, train {tuple(self.train.images.shape[1:])}"
                raise InvalidInputError(f"{both}; resize them to one size")
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            shared = set(parts[first].groups.tolist()) & set(parts[second].groups.tolist())
            if shared and parts[first].grouped and parts[second].grouped:
                named = ", ".join(map(repr, sorted(shared)[:5])) + (", …" if len(shared) > 5 else "")
                looks = "the same patient on both sides makes every result look better than it is. Split by group."
                raise InvalidInputError(f"{len(shared)} groups are in both {first} and {second} ({named}): {looks}")
        check_known("augmentation", self.augmentation, AUGMENTATIONS)
        rare = rare_classes(self.train) if self.rare is None else self.rare
        names = (rare,) if isinstance(rare, str) else tuple(rare)
        for name in names:
            self.train.class_index(name)
        if not names:
            raise InvalidInputError("rare= names no class; leave it out to have the smallest classes chosen")
        object.__setattr__(self, "rare", names)

    def parts(self) -> dict[str, LesionDataset]:
        """The three splits by name, in the order train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.classes

    @property
    def rare_indices(self) -> tuple[int, ...]:
        """The rare classes as indices into `classes`."""
        return tuple(self.classes.index(name) for name in self.rare)

    def redraw(self, seed: int) -> Splits:
        """The same validation and test images, with training images drawn anew from `seed`.

        Generated images are generated again, and thinned sets and labels that are kept are drawn again. A set of which
        nothing was drawn has one training set only, and comes back as it is.
        """
        if self.draw_train is None and self.labels is None:
            return self
        whole = self.train if self.pool is None else self.pool
        whole = whole if self.draw_train is None else self.draw_train(seed)
        again = replace(self, train=whole, pool=None, labels=None, recipe={**self.recipe, "redraw": int(seed)})
        return again if self.labels is None else again.with_labels(self.labels, seed)

    def with_labels(self, a_class: int, seed: int = 0) -> Splits:
        """The same, where the labels of only so many training images a class are known, drawn at random.

        Parameters
        ----------
        a_class : int
            How many; of a class that has fewer, all.
        seed : int
            Of the draw. With the same seed, fewer are a part of more.

        Returns
        -------
        Splits
            With all training images in `pool`. The rare classes stay those that they were.

        Raises
        ------
        InvalidInputError
            If the number is not a whole one of at least 1.
        """
        check_number("labels", a_class, "whole [1, inf)", "it counts images of a class")
        whole = self.train if self.pool is None else self.pool
        rows = [(whole.labels == c).nonzero()[:, 0].numpy() for c in range(len(self.classes))]
        drawn = [np.random.default_rng([seed, c]).permutation(own)[:a_class] for c, own in enumerate(rows)]
        return replace(self, train=whole[np.sort(np.concatenate(drawn))], pool=whole, labels=a_class)

    def fingerprint(self) -> str:
        """Hash of all three splits, of the pool, and the rare classes, 16 hexadecimal digits."""
        parts = [part.fingerprint() for part in (*self.parts().values(), self.pool) if part is not None]
        return hashlib.blake2b(json.dumps([parts, self.rare]).encode(), digest_size=8).hexdigest()

    def table(self):  # noqa: ANN201 - pandas is imported where it is used
        """Images per class and split, a DataFrame with one row a class."""
        import pandas

        columns = {label: part.counts.tolist() for label, part in self.parts().items()}
        table = pandas.DataFrame(columns, index=pandas.Index(self.classes, name="class"))
        table["rare"] = ["yes" if name in self.rare else "" for name in self.classes]
        return table

    def __repr__(self) -> str:
        lines = [f"  {label:5} {part!r}" for label, part in self.parts().items()]
        return "\n".join([f"Splits {self.name!r}, rare: {', '.join(self.rare)}", *lines])


def rare_classes(train: LesionDataset) -> tuple[str, ...]:
    """The classes with less than half the mean training count, else the smallest one (the last of equals)."""
    counts = train.counts.tolist()
    rare = tuple(name for name, n in zip(train.classes, counts, strict=True) if n < sum(counts) / len(counts) / 2)
    smallest = min(range(len(counts)), key=lambda c: (counts[c], -c))
    return rare or (train.classes[smallest],)
