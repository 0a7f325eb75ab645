"""`audit`: what an image set holds that makes results look better than they are, told before anybody trains.

It ranks and shows: each finding has the images that it rests on, for a person to look at. It does not promise to find
wrong labels, nor that a set in which it finds nothing is sound. What each threshold is, is our choice.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.checks.cues import cues_of
from careedu.checks.finding import Finding
from careedu.checks.near_duplicates import Pairs, near_duplicates
from careedu.data.dataset import LesionDataset, Splits
from careedu.data.folder import read_folder
from careedu.data.sources import folder_options
from careedu.errors import InvalidInputError, UnknownNameError
from careedu.measure.intervals import recall_interval

if TYPE_CHECKING:
    import pandas

SAME = 0.988
"""Likeness from which on two images count as one picture: planted copies have .99, neighbouring slices .985."""
ALIKE = 0.92
"""Likeness from which on two images may be of one patient, where the class goes with it."""
LEAKING = 0.25
"""Share of test images with such a partner in training from which on the split is called leaking."""
_SIZE = 128
_SHOWN = 12
_RECALL = 0.8


@dataclass(frozen=True)
class Audit:
    """All findings about one image set.

    Parameters
    ----------
    splits : Splits
        The images that were looked at.
    findings : tuple of Finding
        One or more a check, in the order of the checks.
    pairs : Pairs
        Pairs of images, the most alike first; rows count through training, validation and test.
    """

    splits: Splits
    findings: tuple[Finding, ...]
    pairs: Pairs

    @property
    def problems(self) -> list[Finding]:
        """The findings that somebody should look at."""
        return [finding for finding in self.findings if finding.attention]

    @property
    def ids(self) -> np.ndarray:
        """Names of all images, in the order that `pairs` counts in."""
        return np.concatenate([part.ids for part in self.splits.parts().values()])

    def table(self) -> pandas.DataFrame:
        """One row a finding: what was looked at, what was found, whether to look at it."""
        import pandas

        rows = [(f.check, f.result, "look at it" if f.attention else "") for f in self.findings]
        return pandas.DataFrame(rows, columns=["check", "result", "attention"]).set_index("check")

    def report(self, path: str | Path) -> Path:
        """Write one HTML page with pictures, which needs nothing beside itself.

        Raises
        ------
        InvalidInputError
            If the name does not end in .html.
        StorageError
            If it cannot be written.
        """
        from careedu.checks.audit_page import write_page

        return write_page(self.splits, self.findings, Path(path))

    def __str__(self) -> str:
        lines = [f"{'!' if f.attention else ' '} {f.check}: {f.result}" for f in self.findings]
        n = len(self.problems)
        found = f"{n} finding{'s' if n != 1 else ''} to look at" if n else "nothing found that asks for a look"
        return "\n".join([f"{self.splits.name}: {found}", *lines])


def audit(folder_or_splits: str | Path | Splits, *, progress: bool = False, **options: Any) -> Audit:
    """Look for what makes results on an image set look better than they are.

    Parameters
    ----------
    folder_or_splits : str, Path or Splits
        A folder with ``labels.csv``, or what :func:`careedu.load` gives.
    progress : bool
        Whether to show bars.
    **options
        Of a folder, as for :func:`careedu.load`: ``group``, ``box_format``, ``window``, ``lesion``, ``split_seed``,
        ``rare``, and columns to choose rows by.

    Returns
    -------
    Audit
        With findings on: images of each class and split; groups; what the reading of the folder assumed; copies within
        and across splits, and such with different labels; leakage (test images that have a partner of their class in
        training that is hardly another patient); whether size, shape, file type, border, brightness or the nearest
        neighbour alone tell the class; and what difference could be shown with the rare test images that there are.

    Raises
    ------
    InvalidInputError
        If the folder cannot be read: every faulty row is named, as by `load`. Options of a `Splits` are refused.
    MissingDataError
        If there is none.
    """
    assumed: list[str] = []
    folder = None
    if isinstance(folder_or_splits, Splits):
        splits = folder_or_splits
        if options:
            raise UnknownNameError(f"options ({', '.join(options)}) are for folders; give them to load")
    elif isinstance(folder_or_splits, str | Path):
        folder = Path(folder_or_splits).expanduser()
        rare, seed = options.pop("rare", None), options.pop("split_seed", 0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            parts = read_folder(folder, size=_SIZE, seed=seed, **folder_options(options))
        assumed = [str(warning.message) for warning in caught]
        splits = Splits(**parts, name=folder.resolve().name, rare=rare)
    else:
        raise InvalidInputError(f"give a folder or what careedu.load gives, not {type(folder_or_splits).__name__}")
    whole = _whole(splits)
    pairs = near_duplicates(whole.images, progress)
    findings = [
        *_counted(splits),
        *(Finding("reading", text, attention=True) for text in assumed),
        *_copies(splits, whole, pairs),
        _leakage(splits, whole, pairs),
        *cues_of(splits, folder),
        *_lesions(whole),
        *(_reach(splits, name) for name in splits.rare),
    ]
    return Audit(splits, tuple(findings), pairs)


def _whole(splits: Splits) -> LesionDataset:
    """All three splits as one, with what all of them know."""
    import torch

    parts = list(splits.parts().values())
    has = {name: all(getattr(part, name) is not None for part in parts) for name in ("masks", "lesion_free")}
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels", "boxes")}
    tensors |= {name: torch.cat([getattr(part, name) for part in parts]) for name, there in has.items() if there}
    if has["masks"]:
        tensors["has_mask"] = torch.cat([part.has_mask for part in parts])
    groups = np.concatenate([part.groups for part in parts])
    grouped = all(part.grouped for part in parts)
    return LesionDataset(**tensors, classes=splits.classes, groups=groups, grouped=grouped)


def _counted(splits: Splits) -> list[Finding]:
    found = []
    for name, part in splits.parts().items():
        counts = ", ".join(f"{label} {n}" for label, n in zip(part.classes, part.counts.tolist(), strict=True))
        absent = [label for label, n in zip(part.classes, part.counts.tolist(), strict=True) if n == 0]
        lacking = f"; no image of {', '.join(absent)}, whose recall cannot be measured" if absent else ""
        found.append(Finding(f"{name} images", f"{len(part)}: {counts}{lacking}", attention=bool(absent)))
    counts = splits.train.counts
    found.append(Finding("imbalance", f"{counts.max() / counts.min():.3g} to 1; rare: {', '.join(splits.rare)}"))
    if all(part.grouped for part in splits.parts().values()):
        groups = ", ".join(f"{len(set(part.groups))} in {name}" for name, part in splits.parts().items())
        found.append(Finding("groups", f"{groups}; none is in two splits"))
    else:
        found.append(
            Finding("groups", "not known: each image counts as a patient of its own; name the patients if it is not")
        )
    return found


def _named(ids: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[tuple[str, ...], ...]:
    return tuple((str(ids[a]), str(ids[b])) for a, b in zip(first[:_SHOWN], second[:_SHOWN], strict=True))


def _split_of(splits: Splits) -> np.ndarray:
    return np.repeat([0, 1, 2], [len(part) for part in splits.parts().values()])


def _copies(splits: Splits, whole: LesionDataset, pairs: Pairs) -> list[Finding]:
    """Pairs of one picture: across splits, with labels that differ, and the others."""
    ids = np.concatenate([part.ids for part in splits.parts().values()])
    same = pairs.likeness >= SAME
    first, second = pairs.first[same], pairs.second[same]
    place, labels = _split_of(splits), whole.labels.numpy()
    apart = place[first] != place[second]
    disagree = labels[first] != labels[second]
    found = []
    for check, which, why in (
        ("copies across splits", apart, "what is tested was trained on"),
        ("copies with different labels", disagree, "one of the labels is wrong"),
        ("copies within a split", ~apart & ~disagree, "each copy counts as an image"),
    ):
        n = int(which.sum())
        result = (
            f"{n} pair{'s' if n != 1 else ''} of images {'are' if n != 1 else 'is'} one picture: {why}"
            if n
            else "none found"
        )
        found.append(Finding(check, result, bool(n), _named(ids, first[which], second[which])))
    return found


def _leakage(splits: Splits, whole: LesionDataset, pairs: Pairs) -> Finding:
    """Whether test images have partners in training that look like the same patient, and tell the class by it."""
    place, labels = _split_of(splits), whole.labels.numpy()
    ends = np.concatenate([[pairs.first, pairs.second], [pairs.second, pairs.first]], axis=1)
    likeness = np.tile(pairs.likeness, 2)
    across = (place[ends[0]] == 2) & (place[ends[1]] == 0) & (likeness >= ALIKE)
    tests, trains = ends[:, across]
    order = np.argsort(-likeness[across], kind="stable")
    _, best = np.unique(tests[order], return_index=True)
    rows = np.sort(order[best])
    tests, trains = tests[rows], trains[rows]
    n, share = len(tests), len(tests) / len(splits.test)
    if not n:
        return Finding("leakage", "no test image has a partner in training that could be the same patient")
    agrees = recall_interval(labels[tests] == labels[trains], whole.groups[tests])
    chance = np.bincount(labels[tests]).max() / n
    # In organs that all look alike partners are found as well; but those know nothing of the class.
    leaking = share >= LEAKING and agrees.low > (1 + chance) / 2
    told = (
        f"{n} of {len(splits.test)} test images have a partner in training that looks like the same patient; it has "
        f"their class with {agrees} (the largest class: {chance:.2f})"
    )
    advice = "; split by patient" if leaking else "; not more than likeness of one organ explains"
    ids = np.concatenate([part.ids for part in splits.parts().values()])
    order = np.argsort(-likeness[across][rows], kind="stable")
    return Finding("leakage", told + advice, leaking, _named(ids, tests[order], trains[order]) if leaking else ())


def _lesions(whole: LesionDataset) -> list[Finding]:
    """What is known of lesions."""
    n, boxes, masks = len(whole), int(whole.has_box.sum()), int(whole.has_mask.sum())
    free = 0 if whole.lesion_free is None else int(whole.lesion_free.sum())
    return [Finding("lesions", f"of {n} images {boxes} have a box, {masks} a mask, {free} are said to have no lesion")]


def _reach(splits: Splits, name: str) -> Finding:
    """What difference could be shown at all with the test images of a rare class."""
    rows = np.flatnonzero(splits.test.labels.numpy() == splits.test.classes.index(name))
    groups = splits.test.groups[rows]
    n, patients = len(rows), len(np.unique(groups))
    check = f"test images of {name}"
    if not n:
        return Finding(check, "none: its recall cannot be measured", attention=True)
    # By group, as images of a patient are found or missed together at worst.
    correct = np.arange(patients) < round(_RECALL * patients)
    interval = recall_interval(correct[np.unique(groups, return_inverse=True)[1]], groups)
    half = (interval.high - interval.low) / 2
    of = f"{n} of {patients} patient{'s' if patients != 1 else ''}" if splits.test.grouped else f"{n}"
    return Finding(
        check,
        f"{of}: a recall of {interval.estimate:.2f} would have the interval [{interval.low:.2f}, {interval.high:.2f}], "
        f"so that differences of less than about {half:.2f} cannot be shown",
        attention=half > 0.2,
    )
