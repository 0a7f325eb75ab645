"""A table of inputs as people have them: each is refused, or warned of, in words that name the thing and the remedy."""

from __future__ import annotations

import csv
import os
import re
import shutil
import unicodedata
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from careedu.data.columns import MISSING
from careedu.data.folder import read_folder
from careedu.errors import CareeduError

SPLIT_OF = ("train", "train", "train", "val", "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    place = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (24, 24), dtype=np.uint8)).save(place / f"{i}.png")
        mask = np.zeros((24, 24), dtype=np.uint8)
        mask[6 : 12 + i % 3, 4:14] = 255
        Image.fromarray(mask).save(place / f"m{i}.png")
    return place


@pytest.fixture
def folder(good, tmp_path):
    place = tmp_path / "mine"
    shutil.copytree(good, place)
    box = [dict(zip(("x0", "y0", "x1", "y1"), (4, 6, 14, 12 + i % 3), strict=True)) for i in range(20)]
    return place, [
        {"image": f"{i}.png", "label": ("ill", "well")[i % 2], "split": SPLIT_OF[i // 2 % 5], **box[i]}
        | {"mask": f"m{i}.png", "group": f"p{i // 2}", "site": "AB"[i // 10]}
        for i in range(20)
    ]


def write(place, rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (place / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def renamed(old, new):
    def spoil(place, rows):
        for row in rows:
            row[new] = row.pop(old)

    return spoil


def cell(row, **cells):
    return lambda place, rows: rows[row].update(cells)


def every(**cells):
    def spoil(place, rows):
        for row in rows:
            row.update({name: value(row) if callable(value) else value for name, value in cells.items()})

    return spoil


def without(*columns):
    def spoil(place, rows):
        for row in rows:
            for name in columns:
                del row[name]

    return spoil


def file(name, make):
    return lambda place, rows: make(place / name)


def link(place, rows):
    (place / "other.png").symlink_to(place / "0.png")
    rows[9]["image"] = "other.png"


def hard_link(place, rows):
    os.link(place / "0.png", place / "other.png")
    rows[9]["image"] = "other.png"


def both(*spoils):
    def spoil(place, rows):
        for one in spoils:
            one(place, rows)

    return spoil


def copied(target):
    return lambda place, rows: shutil.copy(place / "0.png", place / target)


def fraction(row):
    return {name: row[name] / 24 for name in ("x0", "y0", "x1", "y1")}


def as_fractions(place, rows):
    for row in rows:
        row.update(fraction(row))


def as_yolo(place, rows):
    for row in rows:
        f = fraction(row)
        width, height = f["x1"] - f["x0"], f["y1"] - f["y0"]
        row.update(x0=f["x0"] + width / 2, y0=f["y0"] + height / 2, x1=width, y1=height)


def as_sizes(place, rows):
    for row in rows:
        row.update(x0=14, x1=10)


MEANT = {
    "split": ["Split", "SPLIT", "splits", "subset", "partition", "data_split", "spilt", "train_test", " Split "],
    "mask": ["Mask", "mask_path", "masks", "lesion_mask", "seg_mask", "segmentation", "mask-file", "Mask Name"],
    "x0": ["X0", "xmin", "x_min", "Left", "bbox_x0", "bbox_xmin"],
    "y0": ["Y0", "ymin", "top", "bbox y0"],
    "x1": ["X1", "x-max", "Right", "xmax"],
    "y1": ["Y1", "YMax", "bottom"],
    "image": [
        "Image",
        "image_path",
        "filename",
        "file_name",
        "path",
        "img",
        "Filepath",
        "image name",
        "image_id",
        "Images",
    ],
    "label": ["Label", "class", "diagnosis", "dx", "target", "labels", "category", "Finding"],
}
ERRORS = {
    f"column {other!r} for {ours}": (renamed(ours, other), f"{other.strip()!r}")
    for ours, others in MEANT.items()
    for other in others
}
ERRORS |= {
    f"label {word!r}": (cell(3, label=word), "row 5 .*has no label") for word in (*MISSING, "NaN", "None", "NULL")
}
ERRORS |= {f"split {word!r}": (cell(3, split=word), "row 5 .*has no split") for word in ("nan", "None", "<NA>", "null")}
ERRORS |= {f"group {word!r}": (cell(3, group=word), "row 5 .*has no group") for word in ("nan", "None", "<NA>", "NA")}
ERRORS |= {
    f"split {word!r}": (cell(3, split=word), f"row 5 .*{meant}")
    for word, meant in {
        "Train": "'train'",
        "TEST": "'test'",
        "validation": "'val'",
        "Valid": "'val'",
        "dev": "'val'",
        "training": "'train'",
        "testing": "'test'",
        "trian": "Did you mean 'train'",
        "0": "train, val",
        "holdout": "train",
    }.items()
}
ERRORS |= {
    f"labels {a!r} and {b!r}": (
        both(every(label=lambda row, a=a: a if row["label"] == "ill" else row["label"]), cell(2, label=b)),
        "labels .*differ",
    )
    for a, b in [
        ("ill", "Ill"),
        ("7", "7.0"),
        ("7", "007"),
        ("no finding", "no\xa0finding"),
        ("no finding", "no  finding"),
        (unicodedata.normalize("NFC", "naïve"), unicodedata.normalize("NFD", "naïve")),
        ("grade II", "Grade II"),
    ]
}
ERRORS |= {
    f"groups {a!r} and {b!r}": (
        both(cell(0, group=a), cell(1, group=a), cell(8, group=b), cell(9, group=b)),
        "groups .*differ",
    )
    for a, b in [
        ("P1", "p1"),
        ("7", "7.0"),
        ("07", "7"),
        ("anna b", "anna\xa0b"),
        (unicodedata.normalize("NFC", "José"), unicodedata.normalize("NFD", "José")),
    ]
}
LEVELS = np.arange(576, dtype=np.uint8).reshape(24, 24) % 3 * 80
ERRORS |= {
    "fractions": (as_fractions, r"with box_format='xyxy-fraction' \(if x1,y1 is a corner\) or .*'xywh-fraction'"),
    "YOLO": (as_yolo, r"'cxcywh-fraction' \(if so, and x0,y0 is the centre: YOLO\), or write pixels"),
    "shares of either form": (
        every(x0=0.4, y0=0.5, x1=0.6, y1=0.7),
        "with box_format='xyxy-fraction' .* or box_format='cxcywh-fraction' ",
    ),
    "x1, y1, x2, y2": (
        both(without("x0", "y0", "x1", "y1"), every(x1=4, y1=6, x2=14, y2=12)),
        r"the columns x1, y1, x2, y2 look like a box and would be ignored: rename them x0,y0,x1,y1 and load with "
        r"box_format='xyxy'",
    ),
    "X1, Y1, X2, Y2": (
        both(without("x0", "y0", "x1", "y1"), every(X1=4, Y1=6, X2=14, Y2=12)),
        "the columns X1, Y1, X2, Y2 look like a box",
    ),
    **{
        f"label with {unicodedata.name(sign)}": (
            cell(3, label=f"we{sign}ll"),
            re.escape(f"the labels 'well', {f'we{sign}ll'!r} differ in capitals, blanks, zeros or invisible signs"),
        )
        for sign in "\u200b\xad\ufeff\u200e\u200f\u2060"
    },
    "two patients of one number": (
        both(cell(0, group="1"), cell(1, group="01"), cell(8, group="8"), cell(9, group="9")),
        "the groups '1', '01' differ .*write them alike, or, where they mean different ones, put more before each, "
        "such as the hospital: 'north-1'",
    ),
    "width and height": (as_sizes, "box_format='xywh'"),
    "box beyond the image": (cell(3, x1=25), "outside the image of 24x24.*box_format="),
    "box in part": (cell(3, x1=""), "in part"),
    "box of a comma number": (cell(3, x1="14,5"), "not four numbers"),
    "box before the image": (cell(3, x0=-2), "starts outside"),
    "box with inf": (cell(3, x1="inf"), "not finite"),
    "a link": (link, "link to the same file as '0.png' in row 2"),
    "id without its ending": (cell(3, image="3"), "did you mean '3.png'"),
    "id in another folder": (cell(3, image="images/3.png"), "did you mean '3.png'"),
    "name in capitals": (cell(3, image="3.PNG"), "did you mean '3.png'"),
    "mask without its ending": (cell(3, mask="m3"), "did you mean 'm3.png'"),
    "no such image": (cell(3, image="gone.png"), "no image file 'gone.png'; correct"),
    "image outside": (cell(3, image="../3.png"), "outside the folder"),
    "absolute image": (cell(3, image="/etc/hostname"), "outside the folder"),
    "backslashes": (cell(3, image="a\\3.png"), "write / instead"),
    "no image named": (cell(3, image=""), "names no image"),
    "image of text": (file("3.png", lambda p: p.write_text("hello")), "not an image"),
    "empty image file": (file("3.png", lambda p: p.write_bytes(b"")), "not an image"),
    "half an image": (file("3.png", lambda p: p.write_bytes(p.read_bytes()[:60])), "broken or truncated"),
    "image of another size": (file("3.png", lambda p: Image.new("L", (30, 24)).save(p)), "differ in size"),
    "mask of another size": (file("m3.png", lambda p: Image.new("L", (30, 24)).save(p)), "30x24"),
    "mask of levels": (file("m3.png", lambda p: Image.fromarray(LEVELS).save(p)), "lesion="),
    "empty mask beside a box": (file("m3.png", lambda p: Image.new("L", (24, 24)).save(p)), "mask is empty, but"),
    "no box beside a mask": (cell(3, x0=0, y0=0, x1=0, y1=0), "shows a lesion, but"),
    "mask that is the image": (cell(3, mask="./3.png"), "mask is the image itself"),
    "one column for a box": (
        both(without("x0", "y0", "x1", "y1"), every(bbox="[1, 2, 9, 9]")),
        "'x|bbox look like a box",
    ),
    "mask of ones": (file("m3.png", lambda p: Image.new("L", (24, 24), 1).save(p)), r"lesion=\[1\]"),
    "mask of frames": (
        file(
            "m3.png",
            lambda p: Image.new("L", (24, 24)).save(
                p, "GIF", save_all=True, append_images=[Image.new("L", (24, 24), 255)]
            ),
        ),
        "2 frames",
    ),
    "mask of text": (file("m3.png", lambda p: p.write_text("hello")), "mask 'm3.png' is not an image"),
    "group in two splits": (cell(8, group="p0"), "group 'p0' is in test, but in train in row 2"),
    "no training image": (cell(3, label="odd", split="test", group="q"), "class 'odd' has no training image"),
    "one class": (every(label="ill"), "at least two classes"),
    "no test": (
        every(split=lambda row: "val" if row["split"] == "test" else row["split"]),
        "no row has the split test",
    ),
    "two labels of an image": (lambda p, r: r.append({**r[0], "label": "well"}), "rows of one image must agree"),
    "x, y, width, height": (
        both(without("x0", "y0", "x1", "y1"), every(x=4, y=6, width=10, height=6)),
        "box_format='xywh'",
    ),
    "x, y, w, h": (both(without("x0", "y0", "x1", "y1"), every(x=4, y=6, w=10, h=6)), "box_format='xywh'"),
    "centre form": (
        both(without("x0", "y0", "x1", "y1"), every(x_center=4, y_center=6, width=10, height=6)),
        "'cxcywh'",
    ),
}

WARNINGS = {
    "copy across splits": (copied("9.png"), "more than once, in different splits .*'0.png'"),
    "copy with another label": (copied("1.png"), "in different labels"),
    "copy within a split": (copied("2.png"), "more than once .*each counts as one"),
    "hard link": (hard_link, "more than once, in different splits"),
    "patients by another name": (renamed("group", "patient_id"), "by the column 'patient_id'"),
    "Patients by another name": (renamed("group", "Patient"), "by the column 'Patient'"),
    "subjects": (renamed("group", "subject"), "by the column 'subject'"),
    "record numbers": (renamed("group", "MRN"), "patients are told apart by the column 'MRN'"),
    "cases": (renamed("group", "case"), "patients are told apart by the column 'case'"),
    "lesions": (renamed("group", "lesion_id"), "lesions, not patients, are told apart by the column 'lesion_id'"),
    "patients before lesions": (
        both(every(lesion_id=lambda row: row["image"]), renamed("group", "patient_id")),
        "patients are told apart by the column 'patient_id'",
    ),
    "16 bits among 8": (
        file("3.png", lambda p: Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24) * 90).save(p)),
        r"1 images store more than 8 bits \('3.png'\), 19 store 8: each of the former is stretched from its own "
        r"minimum and maximum, the latter keep their numbers; .*window=\(low, high\)",
    ),
    "Group in capitals": (renamed("group", "Group"), "by the column 'Group'"),
    "no splits": (without("split"), "splits were drawn by group"),
    "no splits, no groups": (without("split", "group"), "image by image, as no column 'group'"),
    "inverted mask": (
        both(
            without("x0", "y0", "x1", "y1"),
            file("m3.png", lambda p: Image.eval(Image.open(p), lambda v: 255 - v).save(p)),
        ),
        "cover more than 60% .*'3.png'.*inverted",
    ),
    "white mask": (file("m3.png", lambda p: Image.new("L", (24, 24), 255).save(p)), "cover more than 60%"),
    "box beside its mask": (cell(3, x0=18, x1=23), "1 boxes do not meet the masks .*'3.png'"),
    "no test image of a class": (
        every(label=lambda r: "ill" if r["split"] == "test" else r["label"]),
        "no test image of well",
    ),
    "no validation image of a class": (
        every(label=lambda r: "ill" if r["split"] == "val" else r["label"]),
        "no val image of well",
    ),
}
WIDE = {"squeezed": (24, "images are squeezed into squares of 24 pixels .one of 48x24")}


def test_the_table_is_long():
    assert len(ERRORS) + len(WARNINGS) + len(WIDE) >= 140


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_refused_in_words_and_nothing_is_written(name, folder, tmp_path):
    spoil, words = ERRORS[name]
    place, rows = folder
    spoil(place, rows)
    write(place, rows)
    before = {path: path.lstat().st_mtime_ns for path in place.rglob("*")}
    with pytest.raises(CareeduError, match=words):
        read_folder(place)
    assert {path: path.lstat().st_mtime_ns for path in place.rglob("*")} == before
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", WARNINGS)
def test_doubtful_input_is_warned_of_each_time(name, folder):
    spoil, words = WARNINGS[name]
    place, rows = folder
    spoil(place, rows)
    write(place, rows)
    for _ in range(2):  # also when it is taken from the cache
        with pytest.warns(UserWarning, match=words):
            read_folder(place)


def test_good_input_is_read_without_a_word(folder):
    place, rows = folder
    write(place, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = read_folder(place)
        assert sum(map(len, parts.values())) == 20
        read_folder(place, size=16)


def test_squeezing_is_said_once(folder):
    place, rows = folder
    for i in range(20):
        Image.open(place / f"{i}.png").resize((48, 24)).save(place / f"{i}.png")
    write(place, [{name: row[name] for name in ("image", "label", "split")} for row in rows])
    size, words = WIDE["squeezed"]
    with pytest.warns(UserWarning, match=words) as caught:
        read_folder(place, size=size)
    assert len(caught) == 1


@pytest.mark.parametrize(("form", "spoil"), [("xyxy-fraction", as_fractions), ("cxcywh-fraction", as_yolo)])
def test_a_declared_form_gives_the_same_boxes(form, spoil, folder):
    place, rows = folder
    write(place, rows)
    wanted = read_folder(place)["train"].boxes
    spoil(place, rows)
    write(place, rows)
    assert np.allclose(read_folder(place, box_format=form)["train"].boxes, wanted, atol=1e-4)


@pytest.mark.parametrize("form", ["xywh", "cxcywh"])
def test_a_corner_or_centre_with_a_size_in_pixels(form, folder):
    place, rows = folder
    write(place, rows)
    wanted = read_folder(place)["train"].boxes
    for row in rows:
        width, height = row["x1"] - row["x0"], row["y1"] - row["y0"]
        if form == "cxcywh":
            row.update(x0=row["x0"] + width / 2, y0=row["y0"] + height / 2)
        row.update(x1=width, y1=height)
    write(place, rows)
    assert np.array_equal(read_folder(place, box_format=form)["train"].boxes, wanted)


def test_no_lesion_is_apart_from_not_known(folder):
    place, rows = folder
    nothing = Image.new("L", (24, 24))
    nothing.save(place / "m0.png")
    rows[0].update(x0="", y0="", x1="", y1="")  # an empty mask
    rows[2].update(x0=0, y0=0, x1=0, y1=0, mask="")  # an empty box
    rows[4].update(x0="", y0="", x1="", y1="", mask="")  # nothing said
    write(place, rows)
    train = read_folder(place)["train"]
    of = dict(zip(train.ids.tolist(), train.lesion_free.tolist(), strict=True))
    assert {name for name, free in of.items() if free} == {"0.png", "2.png"}
    known = dict(zip(train.ids.tolist(), (train.has_mask | train.has_box).tolist(), strict=True))
    assert {name for name, has in known.items() if not has} == {"0.png", "2.png", "4.png"}


def test_faults_of_one_cause_are_told_with_three_examples_and_a_count(folder):
    place, rows = folder
    for i in range(2, 20):
        rows = [*rows, *({**row, "image": f"gone{i}-{row['image']}"} for row in rows[:4])]
    rows[3]["label"] = ""
    write(place, rows)
    with pytest.raises(CareeduError) as raised:
        read_folder(place)
    lines = str(raised.value).splitlines()
    assert len(lines) == 6 and "has no label" in lines[1] and "and 69 more of this kind" in lines[-1]


def test_a_first_line_that_names_the_separator_is_passed_over(folder):
    place, rows = folder
    write(place, rows)
    (place / "labels.csv").write_text("sep=,\n" + (place / "labels.csv").read_text())
    assert sum(map(len, read_folder(place).values())) == 20
    rows[3]["label"] = ""
    write(place, rows)
    (place / "labels.csv").write_text("sep=,\n" + (place / "labels.csv").read_text())
    with pytest.raises(CareeduError, match="row 6 "):
        read_folder(place)


def test_other_columns_make_no_second_copy_and_a_file_of_the_same_size_and_time_does(folder, tmp_path):
    place, rows = folder
    write(place, rows)
    read_folder(place)
    write(place, [{**row, "remark": "seen"} for row in rows])
    first = read_folder(place)["train"].images.clone()
    assert len(list((tmp_path / "cache/decoded").iterdir())) == 1
    path = place / "0.png"
    status = path.stat()
    pixels = 255 - np.asarray(Image.open(path))
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not np.array_equal(read_folder(place)["train"].images, first)


def test_the_cache_keeps_to_its_limit(folder, tmp_path, monkeypatch):
    place, rows = folder
    write(place, rows)
    monkeypatch.setenv("CAREEDU_CACHE_LIMIT", "1e-6")
    for size in (16, 20, 24):
        read_folder(place, size=size)
        assert len(list((tmp_path / "cache/decoded").iterdir())) == 1
    monkeypatch.setenv("CAREEDU_CACHE_LIMIT", "much")
    with pytest.raises(CareeduError, match=r"CAREEDU_CACHE_LIMIT.*'much'"):
        read_folder(place, size=32)


CELLS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "7",
        "24",
        "-1",
        "0.5",
        "nan",
        "None",
        "inf",
        "1e400",
        "a",
        "train",
        "val",
        "test",
        "Train",
        "0.png",
        "1.png",
        "m1.png",
        "..",
        ".",
        "/",
        "\0",
        "é",
        "ill",
        "well",
        "x" * 300,
        "\ud7ff",
        '"',
        "m0.png",
        "0.png ",
        "a\nb",
    ]
)
HEADERS = st.sampled_from(
    [
        "image",
        "label",
        "split",
        "x0",
        "y0",
        "x1",
        "y1",
        "mask",
        "group",
        "Split",
        "patient",
        "bbox",
        "",
        "image ",
        "x",
        "width",
    ]
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_table_image_or_mask_gives_a_traceback_from_a_library(folder, data):
    place, rows = folder[0], [dict(row) for row in folder[1]]
    kind = data.draw(st.sampled_from(["cells", "columns", "image", "mask", "bytes", "options"]))
    target = place / {"image": "0.png", "mask": "m0.png"}.get(kind, "labels.csv")
    keep = {path: path.read_bytes() for path in (place / "0.png", place / "m0.png")}
    options = {}
    if kind == "cells":
        for _ in range(data.draw(st.integers(1, 4))):
            row = rows[data.draw(st.integers(0, 19))]
            row[data.draw(st.sampled_from(list(row)))] = data.draw(CELLS)
    write(place, rows)
    if kind == "columns":
        lines = target.read_text().splitlines()
        lines[0] = ",".join(data.draw(st.lists(HEADERS, min_size=1, max_size=10)))
        target.write_text("\n".join(lines))
    elif kind == "options":
        options = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "window": st.sampled_from([(0, 255), (1, 1), "ab", (0,), (float("nan"), 1), 3]),
                    "lesion": st.sampled_from(["above 0", [1], [], "all", [-1], [255], [0], [1.5]]),
                    "box_format": st.sampled_from(["xyxy", "xywh", "cxcywh-fraction", "yolo"]),
                    "group": st.sampled_from(["site", "group", "label", "none"]),
                    "size": st.sampled_from([16, 31]),
                },
            )
        )
    elif kind != "cells":
        content = bytearray(target.read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        target.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    before = {path: path.lstat().st_mtime_ns for path in place.rglob("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parts = read_folder(place, **options)
        except CareeduError as error:
            assert str(error)
        else:
            assert all(len(part) for part in parts.values())
    assert {path: path.lstat().st_mtime_ns for path in place.rglob("*")} == before
    for path, content in keep.items():
        path.write_bytes(content)


@pytest.mark.parametrize("name", ["left", "top", "remarks", "category", "path", "group2", "width"])
def test_a_column_that_only_sounds_like_ours_is_no_fault(name, folder):
    place, rows = folder
    write(
        place, [{**{key: row[key] for key in ("image", "label", "split", "mask", "group")}, name: "x"} for row in rows]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(map(len, read_folder(place).values())) == 20


def test_an_empty_group_column_does_not_hide_the_patients(folder):
    place, rows = folder
    write(place, [{**row, "patient_id": row["group"], "group": ""} for row in rows])
    with pytest.warns(UserWarning, match="by the column 'patient_id'"):
        assert read_folder(place)["train"].grouped


def test_masks_that_hold_none_of_the_values_chosen_are_said(folder):
    place, rows = folder
    for row in rows:
        row.update(x0="", y0="", x1="", y1="")
    write(place, rows)
    with pytest.warns(UserWarning, match=r"hold none of lesion=\[7\]"):
        assert read_folder(place, lesion=[7])["train"].lesion_free.all()


def test_empty_columns_and_cells_at_the_end_are_passed_over(folder):
    place, rows = folder
    write(place, rows)
    text = (place / "labels.csv").read_text()
    (place / "labels.csv").write_text("\n".join(line + ",," for line in text.splitlines()))
    assert sum(map(len, read_folder(place).values())) == 20


def test_all_zeros_say_that_all_are_healthy(folder):
    place, rows = folder
    write(place, [{**row, "x0": 0, "y0": 0, "x1": 0, "y1": 0, "mask": ""} for row in rows])
    assert read_folder(place)["train"].lesion_free.all()
