"""Whether the class can be told by what is no disease: the file, its shape, its border, its brightness."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from careedu.checks.finding import Finding
from careedu.checks.near_duplicates import thumbnails
from careedu.data.dataset import LesionDataset, Splits
from careedu.measure.crossed import spread
from careedu.measure.intervals import Interval, interval_of

CONFIDENCE = 0.995
"""Of the interval that must lie above chance: some checks are made at once."""
MARGIN = 0.05
"""So much above chance it must lie: a hair more is no shortcut. Our choice."""
_FRAME = 0.05
_THUMBNAIL = 16
_SHOWN = 6


def cues_of(splits: Splits, folder: Path | None) -> Iterator[Finding]:
    """Learn the class from one cue at a time with a small decision tree, and test it.

    Parameters
    ----------
    splits : Splits
    folder : Path, optional
        Where the files lie, for what they tell.

    Yields
    ------
    Finding
        With the darkest (smallest, …) and the brightest test images where it asks for a look.
    """
    if (splits.test.counts == 0).any():
        yield Finding("cues", "not looked for, as a class has no test images")
        return
    chance = 1 / len(splits.classes)
    for name, of in _measures(folder).items():
        train, test = of(splits.train), of(splits.test)
        if len(np.unique(train, axis=0)) < 2:
            yield Finding(f"class by {name}", "alike in all training images")
            continue
        interval = _judged(_tree(train, splits.train), test, splits)
        flagged = interval.low > chance + MARGIN
        order = np.argsort(test[:, 0], kind="stable")
        ends = [tuple(str(splits.test.ids[i]) for i in rows) for rows in (order[:_SHOWN], order[-_SHOWN:])]
        yield Finding(f"class by {name}", _told(interval, chance), flagged, tuple(ends) if flagged else ())
    yield Finding("class by nearest neighbour", _told(nearest_neighbour(splits), chance))


def nearest_neighbour(splits: Splits) -> Interval:
    """Balanced accuracy on test images of the class of the nearest training thumbnail.

    High where the disease is plain to see, and where test and training show the same patients.

    Parameters
    ----------
    splits : Splits

    Returns
    -------
    Interval
    """
    from sklearn.neighbors import KNeighborsClassifier

    def flat(part: LesionDataset) -> np.ndarray:
        return thumbnails(part.images, _THUMBNAIL).reshape(len(part), -1)

    model = KNeighborsClassifier(1).fit(flat(splits.train), splits.train.labels.numpy())
    return _judged(model, flat(splits.test), splits)


def _told(interval: Interval, chance: float) -> str:
    return f"balanced accuracy {interval}, chance {chance:.2f}"


def _tree(values: np.ndarray, train: LesionDataset) -> object:
    from sklearn.tree import DecisionTreeClassifier

    least = max(2, min(10, int(train.counts.min()) // 2))
    model = DecisionTreeClassifier(min_samples_leaf=least, class_weight="balanced", random_state=0)
    return model.fit(values, train.labels.numpy())


def _judged(model: object, values: np.ndarray, splits: Splits) -> Interval:
    probabilities = np.zeros((1, len(values), len(splits.classes)))
    probabilities[0][:, model.classes_] = model.predict_proba(values)
    test = splits.test
    return interval_of(
        spread("balanced accuracy", probabilities, test.labels.numpy(), test.groups, list(splits.rare_indices)),
        CONFIDENCE,
    )


def _measures(folder: Path | None) -> dict:
    """What of an image is looked at, as functions of a dataset to float64 (N, F)."""

    def brightness(part: LesionDataset) -> np.ndarray:
        return part.images.float().mean(dim=(1, 2, 3)).double().numpy()[:, None]

    def border(part: LesionDataset) -> np.ndarray:
        width = max(1, round(_FRAME * part.images.shape[-1]))
        images = part.images.float().mean(dim=1)
        sides = (images[:, :width], images[:, -width:], images[:, :, :width], images[:, :, -width:])
        return np.stack([side.mean(dim=(1, 2)).double().numpy() for side in sides], axis=1)

    def stored(part: LesionDataset) -> np.ndarray:
        return np.array([_stored_size(folder / name) for name in part.ids], dtype=np.float64)

    def shape(part: LesionDataset) -> np.ndarray:
        sizes = stored(part)
        return (sizes[:, 0] / sizes[:, 1])[:, None]

    def ending(part: LesionDataset) -> np.ndarray:
        # As a number a letter, so that unknown endings need no table.
        return np.array([[sum(map(ord, Path(name).suffix.lower()))] for name in part.ids], dtype=np.float64)

    of_files = {"image size": stored, "shape": shape, "file type": ending} if folder is not None else {}
    return {**of_files, "border": border, "mean intensity": brightness}


def _stored_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
