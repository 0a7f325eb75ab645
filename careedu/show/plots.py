"""The pictures of the course: images with their lesions, counts, recalls with intervals, training histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from careedu.errors import InvalidInputError
from careedu.experiment.run import Run
from careedu.measure.map_quality import map_auroc
from careedu.show.interval_rows import draw_intervals, in_words, name_rows, wrap
from careedu.show.style import COLOURS, INK, LESION, MARKERS, QUIET, Picture, figure, if_rare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from careedu.data.dataset import LesionDataset, Splits


def plot_images(dataset: LesionDataset, columns: int = 8, outline: bool = True) -> Picture:
    """Examples of each class, one row a class.

    Parameters
    ----------
    dataset : LesionDataset
    columns : int
        Images per class: the first ones.
    outline : bool
        Whether lesions are outlined where their mask is known, or boxed where only the box is.

    Returns
    -------
    Picture
    """
    if columns < 1:
        raise InvalidInputError(f"columns={columns!r} must be at least 1")
    counted = [f"{name} ({n} images)" for name, n in zip(dataset.classes, dataset.counts.tolist(), strict=True)]
    side = min(1.25, 10 / columns)
    width = max(side * columns + 0.1, 3.2)
    names = [wrap(one, int(width / 0.11)) for one in counted]
    heights = [side + 0.12 + 0.2 * (name.count("\n") + 1) for name in names]
    with figure(width, sum(heights)) as fig:
        rows = fig.subfigures(len(names), 1, height_ratios=heights, squeeze=False)[:, 0]
        for c, row in enumerate(rows):
            row.suptitle(names[c], x=0.01, ha="left", fontsize=11, fontweight="bold")
            axes = row.subplots(1, columns, squeeze=False)[0]
            members = (dataset.labels == c).nonzero()[:columns, 0].tolist()
            for axis in axes:
                axis.set_axis_off()
            for axis, index in zip(axes, members, strict=False):
                draw_image(axis, dataset.images[index])
                if outline:
                    draw_lesion(axis, dataset, index)
        outlined = ", each lesion outlined" if outline and dataset.has_box.any() else ""
        return Picture.of_figure(fig, f"Example images, one row a class: {', '.join(counted)}{outlined}.")


def plot_maps(dataset: LesionDataset, maps: Mapping[str, Tensor]) -> Picture:
    """Images in the first row, and below them one row of maps a network, the lesion outlined throughout.

    Parameters
    ----------
    dataset : LesionDataset
        Twelve images at most.
    maps : mapping of str to float (N, H, W)
        Name of a network → its maps in [0, 1], of the size of the images.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are too many images or none, or maps of another size.
    """
    n, size = len(dataset), tuple(dataset.images.shape[2:])
    if not 1 <= n <= 12 or not maps:
        given = f"{n} and {len(maps)}"
        raise InvalidInputError(f"from 1 to 12 images and at least one row of maps can be shown, not {given}")
    for name, rows in maps.items():
        if tuple(rows.shape) != (n, *size):
            raise InvalidInputError(f"the maps of {name!r} must be {(n, *size)}, not {tuple(rows.shape)}")
    side, words = min(1.3, 9.0 / n), []
    with figure(side * n + 0.2, (side + 0.24) * (1 + len(maps))) as fig:
        fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        parts = fig.subfigures(1 + len(maps), 1, squeeze=False)[:, 0]
        for part, (name, rows) in zip(parts, {"image": None, **maps}.items(), strict=True):
            part.suptitle(name, x=0.01, ha="left", fontsize=10, fontweight="bold")
            for index, axis in enumerate(part.subplots(1, n, squeeze=False)[0]):
                axis.set_axis_off()
                if rows is None:
                    draw_image(axis, dataset.images[index])
                else:
                    axis.imshow(np.asarray(rows[index]), cmap="cividis", vmin=0, vmax=1)
                draw_lesion(axis, dataset, index)
            if rows is not None and dataset.masks is not None:
                inside = dataset.masks.numpy()
                share = (np.asarray(rows) * inside).sum() / max(float(np.asarray(rows).sum()), 1e-9)
                words.append(f"{name}: {share:.0%} of the maps' mass lies in the outlined lesions")
        labels = ", ".join(dataset.classes[c] for c in dataset.labels.tolist())
        told = f" {'; '.join(words)}." if words else ""
        return Picture.of_figure(fig, f"Images of {labels}, and below them the class map of each network.{told}")


def plot_weight_maps(maps: Mapping[str, np.ndarray], zone: np.ndarray | None = None) -> Picture:
    """Maps that are the same for all images, side by side, each stretched to its own range.

    Parameters
    ----------
    maps : mapping of str to float (H, W)
        Six at most.
    zone : bool (H, W), optional
        Where lesions can lie: it is outlined, and each map's AUROC against it is told.

    Returns
    -------
    Picture

    Raises
    ------
    InvalidInputError
        If there are too many maps or none, or they do not fit each other or the zone.
    """
    if not 1 <= len(maps) <= 6:
        raise InvalidInputError(f"from 1 to 6 maps can be shown, not {len(maps)}")
    values = {name: np.asarray(one, dtype=np.float64) for name, one in maps.items()}
    if any(one.ndim != 2 for one in values.values()) or len({one.shape for one in values.values()}) > 1:
        shapes = ", ".join(f"{name!r} {one.shape}" for name, one in values.items())
        raise InvalidInputError(f"maps must all be (H, W) of one size, not {shapes}")
    words, side = [], min(2.2, 9.0 / len(values))
    with figure(side * len(values), side + 0.75) as fig:
        for axis, (name, one) in zip(fig.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
            axis.set_axis_off()
            axis.imshow(one, cmap="cividis")
            told = f"{one.min():.2f} to {one.max():.2f}"
            if zone is not None:
                draw_outline(axis, zone)
                told += f"\nAUROC {map_auroc(one, zone):.2f}"
            axis.set_title(name, fontsize=10, fontweight="bold")
            axis.text(0.5, -0.04, told, ha="center", va="top", fontsize=9, transform=axis.transAxes)
            words.append(f"{name}, {told}".replace("\n", ", "))
        outlined = "" if zone is None else " Where lesions can lie is outlined."
        return Picture.of_figure(fig, f"Maps that are the same for all images: {'; '.join(words)}.{outlined}")


def draw_image(axis: Axes, image: Tensor) -> None:
    """Draw one image, uint8 (C, H, W), grey or RGB, into an axis."""
    pixels = image.permute(1, 2, 0).numpy()
    shown = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]
    axis.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def draw_lesion(axis: Axes, dataset: LesionDataset, index: int) -> None:
    """Outline the lesion of one image where its mask is known, or draw its box where only that is."""
    from matplotlib.patches import Rectangle

    if dataset.has_mask[index]:
        draw_outline(axis, dataset.masks[index].numpy())
    elif dataset.has_box[index]:
        x0, y0, x1, y1 = dataset.boxes[index].tolist()
        # Pixel i covers i − 0.5 to i + 0.5 in the axis' coordinates.
        box = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=LESION, linewidth=1.0)
        box.set_path_effects(_halo())
        axis.add_patch(box)


def draw_outline(axis: Axes, mask: np.ndarray) -> None:
    """Outline where a mask, bool (H, W), is true."""
    lines = axis.contour(mask, levels=[0.5], colors=[LESION], linewidths=1.0)
    lines.set(path_effects=_halo())


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    # A light line upon a dark one: in greyscale the light one alone is lost on skin, the dark one alone on the lesion.
    return [withStroke(linewidth=2.2, foreground=INK)]


def plot_counts(data: Splits) -> Picture:
    """Images per class in training, validation and test, as dots on a logarithmic scale."""
    from matplotlib.ticker import LogLocator, NullLocator

    table, names = data.table(), [wrap(if_rare(name, data.rare)) for name in data.classes]
    with figure(7, 0.9 + _row_height(names, 0.42) * len(names)) as fig:
        fig.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
        axis = fig.subplots()
        for k, (split, label) in enumerate({"train": "training", "val": "validation", "test": "test"}.items()):
            axis.scatter(table[split], _rows(len(table), k, 3), color=COLOURS[k], marker=MARKERS[k], label=label, s=36)
        axis.set_xscale("log")
        axis.set_xlim(left=max(axis.get_xlim()[0], 0.7))
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.set_xlabel("images (logarithmic scale)")
        name_rows(axis, names)
        fig.legend(loc="outside upper right", ncols=3)
        rows = "; ".join(f"{name}: {row.train} train, {row.val} val, {row.test} test" for name, row in table.iterrows())
        return Picture.of_figure(fig, f"Images per class. {rows}.")


def plot_recalls(runs: Run | Sequence[Run] | Mapping[str, Run]) -> Picture:
    """Recall of each class as dots with 95 % intervals over the test images' groups, one mark a run.

    Parameters
    ----------
    runs : Run, sequence of Run, or mapping of name to Run
        On the same classes, seven at most. Runs of one method are told apart by their seed.

    Returns
    -------
    Picture
    """
    named = _named(runs)
    first = next(iter(named.values()))
    if len(named) > len(COLOURS) or any(run.classes != first.classes for run in named.values()):
        raise InvalidInputError(f"one to {len(COLOURS)} runs on the same classes can be shown together")
    tables = {name: run.table() for name, run in named.items()}
    counts = first.table()[["n train", "n test"]].itertuples(name=None)
    names = [f"{wrap(label)}\n{train} train, {test} test" for label, train, test in counts]
    labels = [wrap(name, 80) for name in named]
    legend_columns = 2 if max(map(len, named)) <= 36 else 1
    legend_lines = sum(label.count("\n") + 1 for label in labels) / legend_columns
    height = 0.9 + max(_row_height(names, 0.55), 0.22 * len(named)) * len(names) + 0.22 * (legend_lines + 0.5)
    with figure(7.6, height) as fig:
        axis = fig.subplots()
        for k, (table, label) in enumerate(zip(tables.values(), labels, strict=True)):
            found, rows = table[["recall", "low", "high"]], _rows(len(table), k, len(tables))
            draw_intervals(axis, found, rows, COLOURS[k], MARKERS[k], size=7, label=label)
        axis.set(xlim=(-0.02, 1.02), xlabel="recall: share of the test images found, 95 % interval")
        name_rows(axis, names)
        fig.legend(loc="outside upper left", ncols=legend_columns)
        words = (
            f"{name}: "
            + ", ".join(f"{c} {in_words(one)}" for c, one in zip(run.classes, run.recall_intervals(), strict=True))
            for name, run in named.items()
        )
        return Picture.of_figure(fig, f"Recall per class. {'. '.join(words)}.")


def plot_history(run: Run) -> Picture:
    """Loss terms of the training, and validation metrics beside them, over the epochs.

    Epochs that are counted apart, those of a pretraining or of a map that learns while the network rests, have a panel
    of their own behind them, whenever they were.
    """
    if len(run.history) == 0:
        raise InvalidInputError(f"{run.method} was not trained, so it has no history")
    panels, apart = {"training loss": run.history, "validation": run.history}, len(run.pretraining)
    if apart:
        panels[f"loss counted apart: {', '.join(run.pretraining['stage'].unique())}"] = run.pretraining
    with figure(4.2 * len(panels), 2.8) as fig:
        for axis, (title, history) in zip(fig.subplots(1, len(panels)), panels.items(), strict=True):
            columns = [name for name in history if name.startswith("loss: ")]
            if title == "validation":
                columns = ["balanced accuracy", "rare recall"]
                axis.set_ylim(-0.02, 1.02)
            for name, colour, marker in zip(columns, cycle(COLOURS), cycle(MARKERS), strict=False):
                label = name.removeprefix("loss: ")
                axis.plot(history["epoch"], history[name], color=colour, marker=marker, ms=3, label=label)
            for start in history.index[history["stage"] != history["stage"].shift()][1:]:
                axis.axvline(history["epoch"][start] - 0.5, color=QUIET, linestyle=":")
            axis.set(title=title, xlabel="epoch")
            axis.grid(axis="y")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
        last = run.history.iloc[-1]
        epochs = f"{len(run.history)} epochs" + (f" and {apart} counted apart" if apart else "")
        words = f"validation balanced accuracy {last['balanced accuracy']:.2f}, rare recall {last['rare recall']:.2f}"
        return Picture.of_figure(fig, f"Training of {run.method} over {epochs}; at the end {words}.")


def _named(runs: Run | Sequence[Run] | Mapping[str, Run]) -> dict[str, Run]:
    if isinstance(runs, Mapping):
        return dict(runs)
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise InvalidInputError("no run to show")
    methods = [run.method for run in runs]
    seeds = [f"{run.method}, seed {run.configuration['seed']}" for run in runs]
    names = methods if len(set(methods)) == len(methods) else seeds
    if len(set(names)) != len(names):
        raise InvalidInputError("two runs have the same method and seed; give a mapping of names to runs")
    return dict(zip(names, runs, strict=True))


def _rows(n: int, mark: int, marks: int) -> np.ndarray:
    """Heights of `n` rows, shifted so that `marks` marks do not cover each other."""
    return np.arange(n) + (mark - (marks - 1) / 2) * min(0.22, 0.7 / marks)


def _row_height(names: Sequence[str], least: float) -> float:
    """Height in inches that the name with the most lines needs."""
    return max(least, 0.17 * max(name.count("\n") + 1 for name in names) + 0.12)
