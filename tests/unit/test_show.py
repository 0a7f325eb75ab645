"""The pictures: readable without colour, without sight, and at any length of name."""

import io
import itertools
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image

import careedu
from careedu.data.dataset import LesionDataset, Splits
from careedu.errors import InvalidInputError
from careedu.experiment.run import Run
from careedu.show.plots import plot_counts, plot_history, plot_images, plot_maps, plot_recalls
from careedu.show.style import COLOURS, MARKERS, PIXEL_RATIO, Picture, figure

LONG = (
    "melanocytic nevus (benign, common mole)",
    "dermatofibroma",
    "actinic keratosis / intraepithelial carcinoma <AKIEC>",
    r"vascular $\lesion$ & more",
)
LONG_METHOD = "care(classification=logit-adjusted(tau=1.0), alpha=0.5, outside_weight=0.7)"


def made_up_run(method="cross-entropy", seed=0, classes=LONG, epochs=6):
    n = (60, 12, 25, 5)[: len(classes)]
    labels = np.repeat(np.arange(len(n)), n)
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(n)), len(labels)) + 0.4 * np.eye(len(n))[labels]
    steps = np.arange(epochs)
    history = {
        "epoch": steps,
        "stage": np.where(steps < epochs // 2, "features", "head"),
        "loss: classification": 2.0 / (1 + steps),
        "loss: attention": 0.5 / (1 + steps),
        "balanced accuracy": 0.3 + 0.08 * steps,
        "rare recall": 0.1 + 0.1 * steps,
    }
    return Run(
        configuration={
            "data": {
                "name": "made up",
                "classes": list(classes),
                "rare": [classes[1]],
                "train counts": [1200, 20, 300, 9][: len(n)],
            },
            "method": {"name": "made-up", "label": method},
            "seed": seed,
        },
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        labels=labels,
        groups=np.arange(len(labels)).astype(str),
        ids=np.arange(len(labels)).astype(str),
        validation_probabilities=probabilities,
        validation_labels=labels,
        history=pandas.DataFrame(history if epochs else {}),
        traces={},
        probes=np.zeros(0, dtype=np.int64),
        seconds=1.0,
    )


def made_up_images(counts=(30, 12, 25, 5), channels=3, lesions=True):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n = len(labels)
    images = torch.full((n, channels, 32, 32), 200, dtype=torch.uint8)
    if not lesions:
        return LesionDataset(images, labels, LONG)
    masks = torch.zeros(n, 32, 32, dtype=torch.bool)
    masks[:, 8:20, 10:25] = True
    boxes = torch.tensor([10.0, 8.0, 25.0, 20.0]).repeat(n, 1)
    return LesionDataset(images, labels, LONG, boxes=boxes, masks=masks, has_mask=torch.arange(n) % 2 == 0)


def made_up_splits(train=(1200, 20, 300, 9), other=(30, 12, 25, 5)):
    return Splits(*(made_up_images(counts, lesions=False) for counts in (train, other, other)))


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, to be looked into."""
    figures = []
    save = Figure.savefig

    def keep(self, *args, **options):
        figures.append(self)
        return save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


PICTURES = {
    "images": lambda: plot_images(made_up_images()),
    "images in one column": lambda: plot_images(made_up_images(), columns=1),
    "grey images in three columns": lambda: plot_images(made_up_images(channels=1), columns=3),
    "counts": lambda: plot_counts(made_up_splits()),
    "recalls of one run": lambda: plot_recalls(made_up_run()),
    "recalls of two runs": lambda: plot_recalls([made_up_run(LONG_METHOD), made_up_run("LDAM", 1)]),
    "recalls of two long names": lambda: plot_recalls([made_up_run(LONG_METHOD), made_up_run(LONG_METHOD, 1)]),
    "recalls of five runs": lambda: plot_recalls([made_up_run(f"{k} {LONG_METHOD}", k) for k in range(5)]),
    "history": lambda: plot_history(made_up_run(LONG_METHOD)),
}


@cache
def picture_of(name):
    """Drawn once for all the tests that only look."""
    return PICTURES[name]()


# Each picture


@pytest.mark.filterwarnings("error")  # matplotlib warns where it finds no room
@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_is_a_png_of_its_width_with_a_clear_margin(name):
    """Whatever is cut off at the edge leaves ink in the outermost pixels."""
    picture = picture_of(name)
    assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")
    content = pixels(picture)
    assert content.shape[1] == pytest.approx(PIXEL_RATIO * picture.width, abs=2)
    assert picture.width <= 1100
    assert content.std() > 5
    edges = (content[:2], content[-2:], content[:, :2], content[:, -2:])
    assert all((edge == 255).all() for edge in edges)


def texts(fig):
    """Every text that a figure shows, with its place in pixels."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    shown = [text for legend in fig.findobj(Legend) for text in legend.get_texts()]
    for axes in fig.axes:
        shown += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in shown if t.get_text()], canvas


@pytest.mark.parametrize("name", [name for name in PICTURES if "image" not in name])
def test_no_text_lies_on_another_or_beyond_the_edge(name, drawn):
    PICTURES[name]()
    shown, canvas = texts(drawn[0])
    width, height = canvas.get_width_height()
    assert len(shown) >= 8
    for i, (text, box) in enumerate(shown):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        for other, place in shown[:i]:
            shared_x = min(box.x1, place.x1) - max(box.x0, place.x0)
            shared_y = min(box.y1, place.y1) - max(box.y0, place.y0)
            assert min(shared_x, shared_y) < 2, (text, other)


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "history"])
def test_the_alternative_text_names_every_class(name):
    alt = picture_of(name).alt
    assert all(name in alt for name in LONG)


def test_the_alternative_text_of_recalls_says_each_run_recall_and_interval():
    runs = [made_up_run("LDAM"), made_up_run(LONG_METHOD, 1)]
    alt = plot_recalls(runs).alt
    for run in runs:
        said = [f"{row.recall:.2f} ({row.low:.2f} to {row.high:.2f})" for row in run.table().itertuples()]
        sentence = alt[alt.index(f"{run.method}: ") :]
        assert [sentence.index(words) for words in said] == sorted(sentence.index(words) for words in said)


def test_the_alternative_text_of_counts_says_every_count():
    alt = picture_of("counts").alt
    for name, train, other in zip(LONG, (1200, 20, 300, 9), (30, 12, 25, 5), strict=True):
        assert f"{name}: {train} train, {other} val, {other} test" in alt


def test_the_alternative_text_of_images_says_counts_and_whether_lesions_are_outlined():
    assert "dermatofibroma (12 images)" in picture_of("images").alt
    assert "outlined" in picture_of("images").alt
    assert "outlined" not in plot_images(made_up_images(), columns=1, outline=False).alt
    assert "outlined" not in plot_images(made_up_images(lesions=False), columns=1).alt


def test_the_alternative_text_of_a_history_says_method_length_and_outcome():
    alt = plot_history(made_up_run(LONG_METHOD)).alt
    assert LONG_METHOD in alt
    assert "6 epochs" in alt
    assert "balanced accuracy 0.70, rare recall 0.60" in alt


def test_lesions_are_outlined_by_mask_or_else_by_box_and_only_if_wanted():
    plain, outlined = pixels(plot_images(made_up_images(), outline=False)), pixels(picture_of("images"))
    assert plain.shape == outlined.shape
    changed = (plain != outlined).any(axis=2)
    assert 0.001 < changed.mean() < 0.2
    halves = (
        changed[:, : changed.shape[1] // 8].mean(),
        changed[:, changed.shape[1] // 8 : changed.shape[1] // 4].mean(),
    )
    assert min(halves) > 0  # the first column has masks, the second has boxes


# Without colour


def test_each_run_has_a_marker_and_a_colour_of_its_own(drawn):
    plot_recalls([made_up_run(f"method {k}", k) for k in range(len(COLOURS))])
    lines = [container.lines[0] for container in drawn[0].axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len(COLOURS)
    assert len({line.get_color() for line in lines}) == len(COLOURS)


def test_each_split_and_each_metric_has_a_marker_and_a_colour_of_its_own(drawn):
    plot_counts(made_up_splits())
    shapes = {collection.get_paths()[0].vertices.tobytes() for collection in drawn[0].axes[0].collections}
    assert len(shapes) == 3
    plot_history(made_up_run())
    for axis in drawn[1].axes:
        lines = [line for line in axis.lines if line.get_marker() != "None"]
        assert len(lines) == 2
        assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 2


def luminance(colour):
    """Relative luminance of an sRGB colour (WCAG 2, IEC 61966-2-1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lightness(colour):
    """CIE L*, 0 to 100: what is left in greyscale, in steps that eyes take for equal."""
    y = luminance(colour)
    return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27


def test_the_colours_are_those_of_okabe_and_ito_without_the_yellow():
    okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"}
    assert set(COLOURS) == okabe_ito
    assert len(COLOURS) == len(MARKERS) == len(set(MARKERS)) == 7


def test_neighbouring_colours_differ_in_greyscale():
    values = [lightness(colour) for colour in COLOURS]
    assert min(abs(a - b) for a, b in itertools.pairwise(values)) >= 8


def test_the_first_colours_stand_out_from_white():
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in COLOURS[:4])


# Limits


def test_the_marks_of_a_class_keep_their_order_and_their_distance_from_the_next_class(drawn):
    plot_recalls([made_up_run(f"method {k}", k) for k in range(7)])
    heights = np.array([container.lines[0].get_ydata() for container in drawn[0].axes[0].containers])
    assert (np.diff(heights, axis=0) > 0).all()
    assert (heights[0, 1:] - heights[-1, :-1] > np.diff(heights, axis=0).max()).all()


def test_more_runs_than_colours_and_runs_on_other_classes_are_refused():
    with pytest.raises(InvalidInputError, match=f"one to {len(COLOURS)} runs"):
        plot_recalls([made_up_run(f"method {k}", k) for k in range(8)])
    with pytest.raises(InvalidInputError, match="same classes"):
        plot_recalls([made_up_run(), made_up_run("LDAM", classes=LONG[:3])])
    with pytest.raises(InvalidInputError, match="no run"):
        plot_recalls([])


def test_runs_of_one_method_are_told_apart_by_seed_or_by_given_names():
    alt = plot_recalls([made_up_run(seed=3), made_up_run(seed=4)]).alt
    assert "cross-entropy, seed 3: " in alt
    assert "cross-entropy, seed 4: " in alt
    assert "before: " in plot_recalls({"before": made_up_run(), "after": made_up_run()}).alt
    with pytest.raises(InvalidInputError, match="mapping"):
        plot_recalls([made_up_run(), made_up_run()])


def test_a_class_without_test_images_still_has_its_row():
    run = made_up_run()
    keep = run.labels != 3
    run.labels, run.probabilities, run.groups = run.labels[keep], run.probabilities[keep], run.groups[keep]
    assert f"{LONG[3]} no test images" in plot_recalls(run).alt


@pytest.mark.parametrize("stages", [["contrast"] * 2, ["contrast", "map"]])
def test_epochs_that_are_counted_apart_have_a_panel_of_their_own(stages, drawn):
    run = made_up_run()
    run.pretraining = pandas.DataFrame({"epoch": [1, 2], "stage": stages, "loss: nt-xent": [5.0, 4.0]})
    alt = plot_history(run).alt
    # Of a map that learns after the network it would not be true that they came before.
    assert "over 6 epochs and 2 counted apart; at the end" in alt
    titles = [axis.get_title(loc="left") for axis in drawn[0].axes]
    named = ", ".join(dict.fromkeys(stages))
    assert titles == ["training loss", "validation", f"loss counted apart: {named}"]
    [line] = [line for line in drawn[0].axes[2].lines if line.get_marker() != "None"]
    assert line.get_xydata().tolist() == [[1, 5], [2, 4]] and line.get_label() == "nt-xent"


def test_a_run_without_training_has_no_history_to_show():
    with pytest.raises(InvalidInputError, match="was not trained"):
        plot_history(made_up_run(epochs=0))


@pytest.mark.parametrize("columns", [0, -1])
def test_no_column_at_all_is_refused(columns):
    with pytest.raises(InvalidInputError, match="columns"):
        plot_images(made_up_images(), columns=columns)


@pytest.mark.filterwarnings("error")
def test_more_columns_than_images_and_a_class_without_images_are_no_problem():
    assert "dermatofibroma (0 images)" in plot_images(made_up_images((2, 0, 1, 1)), columns=12).alt


@pytest.mark.parametrize("counts", [(60, 50, 40, 35), (20, 20, 20, 20), (1, 1, 1, 1), (30000, 20, 3, 1)])
def test_the_logarithmic_axis_always_names_two_values_or_more_in_plain_numbers(counts, drawn):
    plot_counts(made_up_splits(counts, counts))
    axis = drawn[0].axes[0]
    low, high = axis.get_xlim()
    named = [
        label.get_text()
        for place, label in zip(axis.get_xticks(), axis.get_xticklabels(), strict=True)
        if low <= place <= high and label.get_text()
    ]
    assert len(named) >= 2
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(r"\d+(\.\d+)?", name) for name in named)
    assert not [label for label in axis.get_xticklabels(minor=True) if label.get_text()]


def test_epochs_are_whole_numbers_on_the_axis(drawn):
    plot_history(made_up_run(epochs=2))
    for axis in drawn[0].axes:
        assert all(place == round(place) for place in axis.get_xticks())


# Class maps


@pytest.fixture(scope="module")
def lesions():
    return careedu.load("phantom-skin", size=32, largest=20, val=3, test=3).test[torch.arange(4)]


def test_the_words_say_how_much_lies_in_the_lesions(lesions):
    inside = lesions.masks.float()
    half = (0.5 * inside / inside.sum() + 0.5 * (1 - inside) / (1 - inside).sum()).float()
    picture = plot_maps(lesions, {"all of it": inside, "none": 1 - inside, "half": half})
    assert picture.png.startswith(b"\x89PNG")
    for words in ("all of it: 100% of the maps' mass", "none: 0% of", "half: 50% of"):
        assert words in picture.alt
    assert ", ".join(lesions.classes[c] for c in lesions.labels.tolist()) in picture.alt


def test_other_maps_are_another_picture_and_the_same_maps_the_same(lesions):
    inside = lesions.masks.float()
    first = plot_maps(lesions, {"network": inside})
    assert plot_maps(lesions, {"network": inside}).png == first.png
    assert plot_maps(lesions, {"network": inside.flip(2)}).png != first.png
    assert plot_maps(lesions, {"another": inside}).png != first.png


def test_a_map_without_mass_is_shown_all_the_same(lesions):
    assert "flat: 0% of" in plot_maps(lesions, {"flat": torch.zeros(4, 32, 32)}).alt


def test_what_cannot_be_shown_is_refused_by_name(lesions):
    maps = torch.rand(4, 32, 32)
    with pytest.raises(InvalidInputError, match="from 1 to 12 images"):
        plot_maps(lesions, {})
    with pytest.raises(InvalidInputError, match="from 1 to 12 images"):
        plot_maps(careedu.load("phantom-skin", size=32, largest=20, val=3, test=5).test, {"network": maps})
    with pytest.raises(InvalidInputError, match=r"the maps of 'small' must be \(4, 32, 32\), not \(4, 16, 16\)"):
        plot_maps(lesions, {"network": maps, "small": maps[:, ::2, ::2]})


# Picture


class Attributes(HTMLParser):
    """Collects the tags that a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


@pytest.mark.parametrize("alt", ["", " ", "\n\t"])
def test_a_picture_without_alternative_text_is_refused(alt):
    with pytest.raises(InvalidInputError, match="alternative text"):
        Picture(b"png", alt, 100)


@pytest.mark.parametrize("alt", ['5 < 7 & "x"', "'><script>alert(1)</script>", '" onerror="alert(1)', "naïve Δ"])
def test_the_alternative_text_cannot_leave_its_attribute(alt):
    parser = Attributes()
    parser.feed(Picture(b"png", alt, 320)._repr_html_())
    [(tag, attributes)] = parser.tags
    assert tag == "img"
    assert attributes["alt"] == alt
    assert set(attributes) == {"alt", "style", "src"}
    assert attributes["src"] == "data:image/png;base64,cG5n"
    assert "width:320px" in attributes["style"]


def test_a_picture_reads_as_its_alternative_text():
    assert repr(Picture(b"png", "two dots", 10)) == "Picture: two dots"


def test_saving_writes_the_png_and_names_the_file(tmp_path):
    picture = Picture(b"png", "two dots", 10)
    path = picture.save(str(tmp_path / "new" / "dots.png"))
    assert path == tmp_path / "new" / "dots.png"
    assert path.read_bytes() == b"png"
    assert [file.name for file in path.parent.iterdir()] == ["dots.png"]


def test_a_save_that_is_interrupted_leaves_the_old_picture_whole(tmp_path, monkeypatch):
    path = Picture(b"old", "old", 10).save(tmp_path / "dots.png")

    def full_disk(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        Picture(b"new", "new", 10).save(path)
    assert path.read_bytes() == b"old"


# matplotlib's global state


def test_drawing_leaves_matplotlibs_settings_and_pyplots_figures_as_they_were():
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"font.size": 23, "axes.spines.top": True}):
        before, figures = dict(matplotlib.rcParams), plt.get_fignums()
        for name in ("grey images in three columns", "counts", "recalls of two runs", "history"):
            PICTURES[name]()
        with pytest.raises(ZeroDivisionError), figure(1, 1):
            raise ZeroDivisionError
        assert dict(matplotlib.rcParams) == before
        assert plt.get_fignums() == figures


def test_settings_of_the_user_do_not_change_our_figures():
    expected = plot_recalls(made_up_run()).png
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 23, "legend.frameon": True}):
        assert plot_recalls(made_up_run()).png == expected


def test_drawing_needs_neither_pyplot_nor_torch():
    code = (
        "import sys; from careedu.show.plots import plot_recalls;"
        "from careedu.show.style import Picture, figure\n"
        "with figure(2, 2) as fig:\n    fig.subplots().plot([0, 1]); Picture.of_figure(fig, 'a line')\n"
        "print([m for m in ('matplotlib.pyplot', 'torch', 'seaborn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
