"""A folder of one's own images is read as its table says; whatever is wrong is named, all at once."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from careedu.data.decoding import resized_mask
from careedu.data.folder import read_folder
from careedu.errors import InvalidInputError, MissingDataError, UnknownNameError

SPLIT_OF = ("train", "train", "train", "val", "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))


def write_table(folder, rows, columns=None):
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def save(folder, name, pixels):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def a_mask(x0, y0, x1, y1, height=24, width=32):
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


@pytest.fixture
def folder(tmp_path):
    """Thirty good images of 32x24 pixels with splits, boxes, masks and groups, and the rows of their table."""
    place = tmp_path / "mine"
    rng = np.random.default_rng(0)
    rows = []
    for i in range(30):
        save(place, f"images/{i}.png", rng.integers(0, 256, (24, 32), dtype=np.uint8))
        save(place, f"masks/{i}.png", a_mask(4, 6, 14, 12 + i % 5))
        split = SPLIT_OF[i // 2 % 5]
        box = dict(zip(("x0", "y0", "x1", "y1"), (4, 6, 14, 12 + i % 5), strict=True))
        row = {"image": f"images/{i}.png", "label": ("ill", "healthy")[i % 2], "split": split, **box}
        rows.append({**row, "mask": f"masks/{i}.png", "group": f"p{i // 2}", "device": "AB"[i // 10 % 2]})
    write_table(place, rows)
    return place, rows


def leave_out(rows, *columns):
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def test_a_good_folder_is_read_as_it_stands(folder):
    place, rows = folder
    parts = read_folder(place)
    assert list(parts) == ["train", "val", "test"]
    for name, part in parts.items():
        mine = [row for row in rows if row["split"] == name]
        assert part.classes == ("healthy", "ill")
        assert part.ids.tolist() == [row["image"] for row in mine]
        assert part.groups.tolist() == [row["group"] for row in mine] and part.grouped
        assert part.labels.tolist() == [part.classes.index(row["label"]) for row in mine]
        assert part.boxes.tolist() == [[row["x0"], row["y0"], row["x1"], row["y1"]] for row in mine]
        assert part.has_mask.all() and part.has_box.all()
        for i, row in enumerate(mine):
            assert np.array_equal(part.images[i, 0].numpy(), np.asarray(Image.open(place / row["image"])))
            assert np.array_equal(part.masks[i].numpy(), np.asarray(Image.open(place / row["mask"])) > 127)


def test_a_table_needs_image_and_label_only(folder):
    place, rows = folder
    write_table(place, leave_out(rows, "split", "x0", "y0", "x1", "y1", "mask", "group", "device"))
    parts = read_folder(place)
    assert not parts["train"].grouped and parts["train"].masks is None and not parts["train"].has_box.any()
    assert sorted(i for part in parts.values() for i in part.ids) == sorted(row["image"] for row in rows)
    assert [len(part) for part in parts.values()] == pytest.approx([19, 5, 6], abs=1)


def test_drawn_splits_keep_groups_together_and_follow_the_seed(folder):
    place, rows = folder
    write_table(place, leave_out(rows, "split"))
    parts = read_folder(place, seed=1)
    groups = [set(part.groups) for part in parts.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert sum(len(part) for part in parts.values()) == 30
    for i, part in enumerate(parts.values()):
        assert part.ids.tolist() == read_folder(place, seed=1)[list(parts)[i]].ids.tolist()
        for image, name in zip(part.images, part.ids, strict=True):
            assert np.array_equal(image[0].numpy(), np.asarray(Image.open(place / name)))
    assert read_folder(place, seed=2)["test"].ids.tolist() != parts["test"].ids.tolist()


def test_without_validation_rows_a_fifth_of_training_is_held_out_by_group(folder):
    place, rows = folder
    write_table(place, [{**row, "split": row["split"].replace("val", "train")} for row in rows])
    parts = read_folder(place)
    assert [len(part) for part in parts.values()] == pytest.approx([19, 5, 6], abs=1)
    assert parts["test"].ids.tolist() == [row["image"] for row in rows if row["split"] == "test"]
    assert not set(parts["train"].groups) & set(parts["val"].groups)


def test_group_and_where_name_columns(folder):
    place, rows = folder
    for i, row in enumerate(rows):
        row["patient"] = f"q{i // 2}"
    write_table(place, rows)
    assert read_folder(place, group="patient")["test"].groups[0].startswith("q")
    chosen = read_folder(place, where={"device": "B"})
    assert sorted(i for part in chosen.values() for i in part.ids) == sorted(f"images/{i}.png" for i in range(10, 20))
    with pytest.raises(UnknownNameError, match="Did you mean 'patient'"):
        read_folder(place, group="pacient")
    with pytest.raises(UnknownNameError, match="Did you mean 'device'"):
        read_folder(place, where={"devise": "A"})
    with pytest.raises(UnknownNameError, match=r"value of column 'device': 'C'.*Known: A, B\.$"):
        read_folder(place, where={"device": "C"})
    write_table(place, [{**row, "site": f"site {i:02}"} for i, row in enumerate(rows)])
    with pytest.raises(UnknownNameError, match=r"Did you mean 'site 29'.*And 9 more\.$"):
        read_folder(place, where={"site": "sit 29"})


def test_rows_that_are_not_chosen_are_not_checked(folder):
    place, rows = folder
    rows[0]["image"] = "images/missing.png"
    write_table(place, rows)
    assert rows[0]["device"] == "A" and read_folder(place, where={"device": "B"})
    with pytest.raises(InvalidInputError, match=r"missing\.png"):
        read_folder(place, where={"device": "A"})


def test_repeated_rows_are_lesions_of_one_image(folder):
    place, rows = folder
    save(place, "masks/second.png", a_mask(20, 1, 22, 3))
    rows.append(
        {**rows[0], "x0": 20, "y0": 1, "x1": 22, "y1": 3, "mask": "masks/second.png", "image": "images/./0.png"}
    )
    write_table(place, rows)
    train = read_folder(place)["train"]
    assert len(train) == 18 and train.ids[0] == "images/0.png"
    assert train.boxes[0].tolist() == [4, 1, 22, 12]
    assert torch.equal(train.masks[0], torch.from_numpy((a_mask(4, 6, 14, 12) | a_mask(20, 1, 22, 3)) > 0))


def test_a_mask_without_a_box_gives_the_box(folder):
    place, rows = folder
    with_boxes = read_folder(place)
    write_table(place, leave_out(rows, "x0", "y0", "x1", "y1"))
    for name, part in read_folder(place).items():
        assert torch.equal(part.boxes, with_boxes[name].boxes)
    assert torch.allclose(
        read_folder(place, size=48)["train"].boxes, with_boxes["train"].boxes * torch.tensor([1.5, 2.0, 1.5, 2.0])
    )


def test_some_images_may_lack_box_and_mask(folder):
    place, rows = folder
    for row in rows[::3]:
        row.update(x0="", y0="", x1="", y1="", mask="")
    write_table(place, rows)
    part = read_folder(place)["train"]
    expected = [int(name.split("/")[1].removesuffix(".png")) % 3 != 0 for name in part.ids]
    assert part.has_box.tolist() == part.has_mask.tolist() == part.masks.any(dim=(1, 2)).tolist() == expected


def test_labels_that_are_numbers_stand_in_their_order(folder):
    place, rows = folder
    write_table(place, [{**row, "label": "10" if row["label"] == "ill" else "9"} for row in rows])
    assert read_folder(place)["train"].classes == ("9", "10")


def test_spreadsheets_may_add_a_byte_order_mark_empty_rows_and_spaces(folder):
    place, _ = folder
    before = read_folder(place)["train"].fingerprint()
    text = (place / "labels.csv").read_text().replace(",ill,", ", ill ,")
    (place / "labels.csv").write_text("\ufeff" + text + ",,,,,,,,,\n\n", encoding="utf-8")
    assert read_folder(place)["train"].fingerprint() == before


def test_colour_makes_all_images_rgb(folder):
    place, _ = folder
    colour = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    save(place, "images/1.png", colour)
    train = read_folder(place)["train"]
    assert train.images.shape[1] == 3
    assert np.array_equal(train.images[1].numpy(), colour.transpose(2, 0, 1))
    assert torch.equal(train.images[0, 0], train.images[0, 2])


def test_deep_greys_are_stretched_and_not_clipped(folder):
    place, _ = folder
    values = np.linspace(1000, 60000, 24 * 32).reshape(24, 32).astype(np.uint16)
    save(place, "images/0.png", values)
    save(place, "images/1.png", np.full((24, 32), 70, dtype=np.uint16))
    train = read_folder(place)["train"]
    wanted = np.rint((values - 1000.0) / 59000 * 255)
    assert np.abs(train.images[0, 0].numpy() - wanted).max() <= 1
    assert train.images.shape[1] == 1 and (train.images[1] == 0).all()


def test_the_orientation_of_exif_is_not_applied(folder):
    place, _ = folder
    image = Image.fromarray(np.tile(np.arange(32, dtype=np.uint8) * 8, (24, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(place / "images/0.png", exif=exif)
    assert np.array_equal(read_folder(place)["train"].images[0, 0].numpy(), np.asarray(image))


def test_sizes_that_differ_are_named_and_brought_to_one_by_size(folder):
    place, rows = folder
    save(place, "images/7.png", np.zeros((10, 12), dtype=np.uint8))
    save(place, "masks/7.png", a_mask(6, 5, 12, 10, 10, 12))
    rows[7].update(x0=6, y0=5, x1=12, y1=10)
    write_table(place, rows)
    with pytest.raises(InvalidInputError, match=r"row 2 .*32x24.*row 9 .*images/7\.png.*12x10.*size="):
        read_folder(place)
    parts = read_folder(place, size=20)
    index = parts["val"].ids.tolist().index("images/7.png")
    assert parts["train"].images.shape[1:] == (1, 20, 20)
    assert parts["val"].boxes[index].tolist() == [10, 10, 20, 20]
    assert torch.equal(parts["val"].masks[index, 10:, 10:], torch.ones(10, 10, dtype=torch.bool))
    assert parts["val"].masks[index].sum() == 100


def test_images_are_resized_with_antialiasing(folder):
    place, _ = folder
    stripes = np.zeros((24, 32), dtype=np.uint8)
    stripes[:, ::2] = 255
    save(place, "images/0.png", stripes)
    image = read_folder(place, size=16)["train"].images[0, 0].float()
    assert (image[:, 1:-1] - 127.5).abs().max() < 20


@settings(deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), size=st.integers(16, 40), data=st.data())
def test_no_resized_mask_vanishes_or_changes_its_area_by_much(height, width, size, data):
    mask = np.zeros((height, width), dtype=bool)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask[y : data.draw(st.integers(y + 1, height)), x : data.draw(st.integers(x + 1, width))] = True
    small = resized_mask(mask, size)
    assert small.shape == (size, size) and small.dtype == bool and small.any()
    share = mask.sum() * size * size / (height * width)
    perimeter = (mask.any(axis=1).sum() / height + mask.any(axis=0).sum() / width) * 2 * size
    assert abs(small.sum() - share) <= perimeter + 4


def test_a_single_pixel_of_a_large_image_survives():
    mask = np.zeros((3000, 3000), dtype=bool)
    mask[1234, 2345] = True
    rows, columns = np.nonzero(resized_mask(mask, 16))
    assert (rows.tolist(), columns.tolist()) == ([6], [12])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corner=st.tuples(st.floats(0, 31), st.floats(0, 23)),
    side=st.tuples(st.floats(0.01, 32), st.floats(0.01, 24)),
    size=st.integers(16, 64),
)
def test_resized_boxes_are_scaled_and_never_thinner_than_a_pixel(folder, corner, side, size):
    place, rows = folder
    x0, y0 = corner
    x1, y1 = min(x0 + side[0], 32), min(y0 + side[1], 24)
    rows[0].update(x0=x0, y0=y0, x1=x1, y1=y1)
    write_table(place, rows)
    box = read_folder(place, size=size)["train"].boxes[0].double().numpy()
    assert (box >= 0).all() and (box <= size).all() and (box[2:] - box[:2] >= 1 - 1e-4).all()
    exact = np.array([x0, y0, x1, y1]) * size / np.array([32, 24, 32, 24])
    for low, high, at in ((0, 2, box), (1, 3, box)):
        if exact[high] - exact[low] >= 1:
            assert at[[low, high]] == pytest.approx(exact[[low, high]], abs=1e-4)
        else:
            assert at[low] - 1e-4 <= exact[low] and exact[high] <= at[high] + 1e-4


def test_a_split_without_a_class_is_warned_of(folder):
    place, rows = folder
    write_table(place, [row for row in rows if (row["split"], row["label"]) != ("test", "ill")])
    with pytest.warns(UserWarning, match="no test image of ill"):
        read_folder(place)


# Bad input. Each case changes the good rows or files; the row it names is that of a spreadsheet.


def change(row, **cells):
    return lambda place, rows: rows[row].update(cells)


def truncated(place, rows):
    content = (place / "images/3.png").read_bytes()
    (place / "images/3.png").write_bytes(content[: len(content) // 2])


def outside_link(place, rows):
    save(place.parent, "elsewhere.png", np.zeros((24, 32), dtype=np.uint8))
    (place / "images/3.png").unlink()
    (place / "images/3.png").symlink_to(place.parent / "elsewhere.png")


def frames(place, rows):
    pages = [Image.new("L", (32, 24), shade) for shade in (10, 200)]
    pages[0].save(place / "images/pages.tiff", save_all=True, append_images=pages[1:])
    rows[3]["image"] = "images/pages.tiff"


def not_finite(place, rows):
    save(place, "images/deep.tiff", np.full((24, 32), np.nan, dtype=np.float32))
    rows[3]["image"] = "images/deep.tiff"


ROW_FAULTS = {
    "missing label": (change(3, label=""), "has no label"),
    "no image named": (change(3, image=""), "names no image"),
    "missing image": (change(3, image="images/gone.png"), r"no image file 'images/gone\.png'"),
    "backslashes": (change(3, image="images\\3.png"), "write / instead"),
    "a folder as image": (change(3, image="images"), "no image file"),
    "truncated image": (truncated, "broken or truncated"),
    "not an image": (lambda p, r: (p / "images/3.png").write_text("hello"), "not an image"),
    "empty file": (lambda p, r: (p / "images/3.png").write_bytes(b""), "not an image"),
    "several frames": (frames, "2 frames"),
    "infinite pixels": (not_finite, "NaN or infinite"),
    "box outside": (change(3, x1=33), "outside the image of 32x24"),
    "box below": (change(3, y1=24.5), "outside the image of 32x24"),
    "negative box": (change(3, x0=-1), "starts outside"),
    "empty box": (change(3, x1=4), "x1 must be above x0"),
    "turned box": (change(3, y0=20, y1=10), "y1 above y0"),
    "partial box": (change(3, x1=""), "in part"),
    "NaN box": (change(3, x1="nan"), "in part"),
    "infinite box": (change(3, x1="inf"), "not finite"),
    "words in a box": (change(3, x1="ten"), "not four numbers"),
    "missing mask": (change(3, mask="masks/gone.png"), "no mask file"),
    "mask of another size": (lambda p, r: save(p, "masks/3.png", a_mask(0, 0, 5, 5, 24, 30)), "30x24.*32x24"),
    "empty mask": (lambda p, r: save(p, "masks/3.png", a_mask(0, 0, 0, 0)), "mask is empty"),
    "faint mask": (lambda p, r: save(p, "masks/3.png", a_mask(0, 0, 5, 5) // 255), "no value above 1"),
    "broken mask": (lambda p, r: (p / "masks/3.png").write_text("hello"), "mask '3.png' is not an image"),
    "unknown split": (change(3, split="trian"), "Did you mean 'train'"),
    "no split": (change(3, split=""), "has no split"),
    "no group": (change(3, group=""), "has no group"),
    "path upwards": (change(3, image="../mine2/3.png"), "outside the folder"),
    "absolute path": (change(3, image="/etc/hostname"), "outside the folder"),
    "link outwards": (outside_link, "outside the folder"),
    "mask outside": (change(3, mask="../3.png"), "outside the folder"),
}


@pytest.mark.parametrize("kind", ROW_FAULTS)
def test_a_faulty_row_is_named_with_the_remedy_and_nothing_is_written(kind, folder, tmp_path):
    spoil, words = ROW_FAULTS[kind]
    place, rows = folder
    spoil(place, rows)
    write_table(place, rows)
    before = sorted(place.rglob("*"))
    for size in (None, 16):
        with pytest.raises(InvalidInputError, match=rf"row 5 \(.*\): .*{words}") as raised:
            read_folder(place, size=size)
        assert len(str(raised.value).splitlines()) == 2, "this row only"
        assert ";" in str(raised.value) or "Known:" in str(raised.value) or kind == "no image named", "a remedy"
    assert sorted(place.rglob("*")) == before
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_a_row_with_too_many_cells_is_named(folder):
    place, _ = folder
    lines = (place / "labels.csv").read_text().splitlines()
    lines[4] += ",more"
    (place / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidInputError, match=r"row 5 .*11 cells, the header 10"):
        read_folder(place)


def test_a_group_in_two_splits_is_named_with_both_rows(folder):
    place, rows = folder
    rows[8]["group"] = "p0"
    write_table(place, rows)
    with pytest.raises(
        InvalidInputError, match=r"row 10 \(images/8\.png\): group 'p0' is in test, but in train in row 2"
    ):
        read_folder(place)


@pytest.mark.parametrize(("column", "value"), [("label", "healthy"), ("split", "val"), ("group", "p9")])
def test_repeated_rows_must_agree(column, value, folder):
    place, rows = folder
    rows.append({**rows[0], column: value})
    write_table(place, rows)
    with pytest.raises(InvalidInputError, match=rf"row 32 .*{column} '{value}', but row 2 .*must agree"):
        read_folder(place)


def test_repeated_rows_have_masks_all_or_none(folder):
    place, rows = folder
    rows.append({**rows[0], "mask": ""})
    write_table(place, rows)
    with pytest.raises(InvalidInputError, match=r"row 32 .*only one of them has a mask"):
        read_folder(place)


def test_all_faulty_rows_are_reported_together_in_their_order(folder):
    place, rows = folder
    rows[20]["label"] = ""
    rows[2]["image"] = "gone.png"
    (place / "images/9.png").write_text("no image")
    rows[15]["x1"] = 99
    write_table(place, rows)
    with pytest.raises(InvalidInputError) as raised:
        read_folder(place)
    assert [line.split("(")[0].strip() for line in str(raised.value).splitlines()[1:]] == [
        "row 4",
        "row 11",
        "row 17",
        "row 22",
    ]


def test_a_long_list_of_faults_is_cut(folder):
    place, rows = folder
    write_table(place, [{**row, "label": ""} for row in rows])
    with pytest.raises(InvalidInputError) as raised:
        read_folder(place)
    lines = str(raised.value).splitlines()
    assert len(lines) == 5 and "row 4 " in lines[3]
    assert lines[-1].strip() == "and 27 more of this kind, the last in row 31"


def rewritten(old, new):
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("rewrite", "words"),
    [
        (lambda text: "", "is empty"),
        (lambda text: "\n\n", "is empty"),
        (lambda text: text.splitlines()[0], "no rows"),
        (rewritten("image,label,", "image,lable,"), "lacks the column 'label'.*Did you mean 'lable'"),
        (rewritten("image,label,", "picture,label,"), "lacks the column 'image'"),
        (rewritten(",y1,", ",z1,"), "lacks the column 'y1'"),
        (rewritten("device", "label"), "more than one column 'label'"),
        (rewritten(",", ";"), "semicolons"),
        (rewritten(",", "\t"), "tabs"),
        (rewritten("images/3", '"images/3'), "no table"),
        (rewritten("ill", "i\0ll"), "no text"),
        (rewritten("ill", "healthy"), "at least two classes"),
        (rewritten("images/3.png,healthy", "images/3.png,Healthy"), "differ in capitals"),
        (rewritten("images/7.png,healthy", "images/7.png,odd"), "class 'odd' has no training image"),
        (rewritten(",test,", ",val,"), "no row has the split test"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(rewrite, words, folder, tmp_path):
    place, _ = folder
    text = rewrite((place / "labels.csv").read_text())
    (place / "labels.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=words):
        read_folder(place)
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_a_table_that_is_not_utf8_is_refused_with_its_row(folder):
    place, _ = folder
    content = (place / "labels.csv").read_bytes().replace(b"images/3.png,healthy", b"images/3.png,ges\xfcnd")
    (place / "labels.csv").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"not UTF-8 \(row 5\).*CSV UTF-8"):
        read_folder(place)


def test_row_numbers_count_a_line_break_inside_quotes_as_a_spreadsheet_does(folder):
    place, rows = folder
    rows[0]["device"] = "A\nB"
    rows[3]["label"] = ""
    write_table(place, rows)
    with pytest.raises(InvalidInputError, match="row 5 "):
        read_folder(place)


def test_too_few_images_to_split_are_refused(folder, tmp_path):
    place, rows = folder
    few = leave_out(rows, "split")
    write_table(place, few[:2])
    with pytest.raises(InvalidInputError, match=r"no images can be held out|vanishing"):
        read_folder(place)
    write_table(place, [{**row, "group": "one"} for row in few])
    with pytest.raises(InvalidInputError, match="one group"):
        read_folder(place)
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_a_folder_or_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(MissingDataError, match="no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match=r"no labels\.csv.*image,label"):
        read_folder(tmp_path)


def test_a_link_inside_the_folder_is_followed(folder):
    place, _ = folder
    (place / "images/3.png").rename(place / "images/real.png")
    (place / "images/3.png").symlink_to("real.png")
    assert read_folder(place)["train"].images.shape[1] == 1
