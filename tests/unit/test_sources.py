"""Named sets are found where they lie, downloaded with a checksum, or asked for in words that help."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import medmnist
import numpy as np
import pytest
from PIL import Image

from careedu.data import medmnist_sets
from careedu.data.load import load
from careedu.data.medmnist_sets import MEDMNIST, SIZES, download_address
from careedu.data.sources import SOURCES
from careedu.errors import InvalidInputError, MissingDataError, UnknownNameError


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAREEDU_DATA", str(tmp_path / "data"))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a download was tried")

    monkeypatch.setattr("pooch.retrieve", refuse)


def made_up_arrays(name, size=28, counts=(12, 4, 6)):
    rng = np.random.default_rng(len(name) + size)
    facts = MEDMNIST[name]
    arrays = {}
    for split, n in zip(("train", "val", "test"), counts, strict=True):
        shape = (n, size, size) if facts.channels == 1 else (n, size, size, 3)
        arrays[f"{split}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % len(facts.classes)).astype(np.uint8)[:, None]
    return arrays


def put(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return arrays


def brain_tree(root):
    """A tiny set in the layout of the brain tumours: two planes, runs of two slices."""
    place = root / "brain_tumor_mri"
    (place / "images").mkdir(parents=True)
    (place / "masks").mkdir()
    rows = ["image,label,split,x0,y0,x1,y1,mask,source_id,plane,run"]
    kinds = ("glioma", "meningioma", "pituitary")
    for i in range(72):
        Image.new("L", (64, 64), 3 * i).save(place / f"images/{i:04}.jpg")
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[10:30, 20:50] = 255
        Image.fromarray(mask).convert("1").save(place / f"masks/{i:04}.png")
        split, plane = ("train", "train", "val", "test")[i // 6 % 4], ("axial", "coronal")[i // 24 % 2]
        cells = [f"images/{i:04}.jpg", kinds[i // 2 % 3], split, "20,10,50,30", f"masks/{i:04}.png", i, plane, i // 2]
        rows.append(",".join(map(str, cells)))
    (place / "labels.csv").write_text("\n".join(rows))
    return place


def test_brain_tumours_are_axial_grouped_by_run_and_112_pixels_unless_told_otherwise(tmp_path, no_network):
    brain_tree(tmp_path / "data")
    data = load("brain-tumor")
    assert data.classes == ("glioma", "meningioma", "pituitary") and data.augmentation == "upright"
    assert data.train.images.shape == (24, 1, 112, 112)
    assert [len(part) for part in data.parts().values()] == [24, 12, 12]
    assert data.train.boxes[0].tolist() == [35, 17.5, 87.5, 52.5] and data.train.has_mask.all()
    assert set(data.train.groups) == {str(i // 2) for i in [*range(12), *range(48, 60)]}
    assert data.recipe["options"] == {"plane": "axial", "group": "run"} and data.recipe["size"] == 112
    coronal = load("brain-tumor", plane="coronal", size=32)
    assert coronal.train.images.shape == (12, 1, 32, 32)
    assert not set(coronal.train.ids) & set(data.train.ids)
    assert load("brain-tumor", root=tmp_path / "data", imbalance=2).train.counts.tolist() == [8, 6, 4]
    with pytest.raises(UnknownNameError, match="Did you mean 'plane'"):
        load("brain-tumor", plan="axial")
    with pytest.raises(UnknownNameError, match="Did you mean 'axial'"):
        load("brain-tumor", plane="axail")


def test_chest_x_rays_are_grouped_by_patient(tmp_path, no_network):
    place = tmp_path / "data" / "chest_xray_lesions"
    place.mkdir(parents=True)
    rows = ["image,label,split,patient"]
    for i in range(24):
        Image.new("RGB", (30 + i, 40), (9 * i, 0, 0)).save(place / f"{i}.png")
        rows.append(f"{i}.png,{('covid19', 'non_covid')[i % 2]},{('train', 'train', 'test')[i // 8]},{i // 2}")
    (place / "labels.csv").write_text("\n".join(rows))
    data = load("chest-xray-lesions")
    assert data.train.images.shape[1:] == (3, 112, 112) and len(data.test) == 8
    assert set(data.train.groups) | set(data.val.groups) == {str(i) for i in range(8)}


@pytest.mark.parametrize("name", MEDMNIST)
def test_medmnist_files_are_read_as_they_stand(name, tmp_path, no_network):
    arrays = put(tmp_path / "data" / name / f"{name}.npz", made_up_arrays(name))
    data = load(name)
    assert data.classes == MEDMNIST[name].classes and data.augmentation == SOURCES[name].augmentation
    for split, part in data.parts().items():
        images = part.images.numpy()
        images = images[:, 0] if MEDMNIST[name].channels == 1 else images.transpose(0, 2, 3, 1)
        assert np.array_equal(images, arrays[f"{split}_images"])
        assert part.labels.tolist() == arrays[f"{split}_labels"][:, 0].tolist()
        assert not part.grouped and part.masks is None and not part.has_box.any()
    assert data.recipe["dropped_as_duplicates"] == {"train": 0, "val": 0}


def test_the_same_pixels_in_two_splits_stay_in_the_later_one_only(tmp_path):
    arrays = made_up_arrays("pneumoniamnist", counts=(12, 4, 6))
    arrays["train_images"][[1, 5]] = arrays["val_images"][2]
    arrays["train_images"][7] = arrays["test_images"][0]
    arrays["val_images"][3] = arrays["test_images"][5]
    arrays["train_images"][9] = arrays["train_images"][8]
    put(tmp_path / "data/pneumoniamnist/pneumoniamnist.npz", arrays)
    data = load("pneumoniamnist")
    assert data.recipe["dropped_as_duplicates"] == {"train": 3, "val": 1}
    assert data.train.ids.tolist() == [f"train-{i}" for i in range(12) if i not in (1, 5, 7)]
    assert data.val.ids.tolist() == ["val-0", "val-1", "val-2"] and len(data.test) == 6
    assert data.train.labels.tolist() == [i % 2 for i in range(12) if i not in (1, 5, 7)]


def test_where_medmnist_files_are_looked_for(tmp_path, no_network):
    def load_with(shade, path, **options):
        arrays = made_up_arrays("pneumoniamnist")
        arrays["test_images"][0] = shade
        put(path, arrays)
        return load("pneumoniamnist", **options)

    name, data = "pneumoniamnist/pneumoniamnist", tmp_path / "data"
    # Each place comes before the ones above it.
    for shade, path in enumerate(
        [tmp_path / f"cache/{name}.npz", data / f"{name}_rebuilt.npz", data / f"{name}.npz"], start=1
    ):
        assert load_with(shade, path).test.images[0].unique().tolist() == [shade]
    root = tmp_path / "elsewhere"
    assert load_with(9, root / f"{name}.npz", root=root).test.images[0].unique().tolist() == [9]
    found = load_with(7, data / f"{name}_train9to1.npz", variant="train9to1")
    assert found.test.images[0].unique().tolist() == [7]
    assert found.recipe["file"] == "pneumoniamnist_train9to1.npz"


def test_other_sizes_have_files_of_their_own(tmp_path, no_network):
    put(tmp_path / "data/bloodmnist/bloodmnist_64.npz", made_up_arrays("bloodmnist", 64))
    assert load("bloodmnist", size=64).train.images.shape[1:] == (3, 64, 64)
    with pytest.raises(InvalidInputError, match="28, 64, 128, 224"):
        load("bloodmnist", size=65)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.pop("val_labels"), "lacks val_labels"),
        (lambda a: a.update(train_images=a["train_images"][:, :20]), r"\(12, 20, 28\)"),
        (lambda a: a.update(train_images=a["train_images"].astype(np.float32)), "float32"),
        (lambda a: a.update(val_labels=a["val_labels"][:2]), r"val_labels are uint8 \(2, 1\)"),
        (lambda a: a.update(test_labels=a["test_labels"] + 1), "0 to 1"),
        (lambda a: a.update(test_labels=a["test_labels"].astype(np.int16) - 1), "0 to 1"),
        (lambda a: a.update(train_labels=a["train_labels"] * 0), "'pneumonia' has no training image"),
    ],
)
def test_a_file_with_other_contents_is_refused(spoil, words, tmp_path):
    arrays = made_up_arrays("pneumoniamnist")
    spoil(arrays)
    put(tmp_path / "data/pneumoniamnist/pneumoniamnist.npz", arrays)
    with pytest.raises(InvalidInputError, match=words):
        load("pneumoniamnist")


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickled_file_is_refused_and_not_run(tmp_path):
    path = tmp_path / "data/pneumoniamnist/pneumoniamnist.npz"
    trapped = np.array([Trap(str(tmp_path / "sprung"))], dtype=object)
    put(path, {**made_up_arrays("pneumoniamnist"), "train_images": trapped})
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load("pneumoniamnist")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("keep", [0, 10, 3000])
def test_a_broken_file_is_refused(keep, tmp_path):
    path = tmp_path / "data/pneumoniamnist/pneumoniamnist.npz"
    put(path, made_up_arrays("pneumoniamnist"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load("pneumoniamnist")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("brain-tumor", r"figshare\.1512427.*brain_tumor_mri.*labels\.csv.*CAREEDU_DATA"),
        ("chest-xray-lesions", r"GeneralBlockchain.*chest_xray_lesions.*labels\.csv"),
    ],
)
def test_what_cannot_be_downloaded_is_asked_for(name, words, tmp_path, monkeypatch):
    with pytest.raises(MissingDataError, match=words) as raised:
        load(name)
    assert str(tmp_path / "data") in str(raised.value) and str(tmp_path / "cache") in str(raised.value)
    monkeypatch.delenv("CAREEDU_DATA")
    with pytest.raises(MissingDataError, match="looked in"):
        load(name)


def test_a_set_missing_from_a_named_root_is_not_looked_for_elsewhere(tmp_path, no_network):
    put(tmp_path / "data/pneumoniamnist/pneumoniamnist_rebuilt.npz", made_up_arrays("pneumoniamnist"))
    with pytest.raises(MissingDataError, match="leave root= out"):
        load("pneumoniamnist", root=tmp_path / "empty")
    with pytest.raises(MissingDataError, match="rebuilt"):
        load("pneumoniamnist", variant="rebuild")


@pytest.mark.parametrize("variant", ["../x", "", 3, "a_b"])
def test_a_variant_is_a_word(variant):
    with pytest.raises(InvalidInputError, match="variant must be"):
        load("pneumoniamnist", variant=variant)
    with pytest.raises(UnknownNameError, match="Did you mean 'variant'"):
        load("pneumoniamnist", varient="x")


# Our table of facts


@pytest.mark.parametrize("name", MEDMNIST)
def test_our_facts_are_those_of_medmnist(name):
    theirs, ours = medmnist.INFO[name], MEDMNIST[name]
    assert ours.classes == tuple(theirs["label"][str(i)] for i in range(len(theirs["label"])))
    assert ours.channels == theirs["n_channels"]
    assert SOURCES[name].licence == theirs["license"]
    for size in SIZES:
        ending = "" if size == 28 else f"_{size}"
        assert ours.checksums[size] == theirs[f"MD5{ending}"]
        assert download_address(name, size) == theirs[f"url{ending}"]


def test_every_source_says_what_may_be_done_with_it():
    for source in SOURCES.values():
        assert source.line and len(source.line) <= 100 and source.licence and source.citation


# Downloads, from a server on this machine


class Server:
    """Serves one file, whole or cut off, and counts how often it is asked."""

    def __init__(self, content):
        self.content, self.cut, self.asked = content, None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content[: outer.cut])

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served(monkeypatch):
    """A server of a made-up pneumoniamnist, which our table takes for the official one."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **made_up_arrays("pneumoniamnist", 64))
    server = Server(buffer.getvalue())
    monkeypatch.setattr(medmnist_sets, "RECORD", f"http://127.0.0.1:{server.server.server_port}/records/1")
    facts = MEDMNIST["pneumoniamnist"]
    checksum = hashlib.md5(server.content).hexdigest()
    monkeypatch.setitem(MEDMNIST, "pneumoniamnist", replace(facts, checksums={**facts.checksums, 64: checksum}))
    yield server
    server.stop()


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_download_is_kept_and_shown(served, tmp_path, capfd):
    data = load("pneumoniamnist", size=64)
    assert np.array_equal(data.test.images[:, 0].numpy(), made_up_arrays("pneumoniamnist", 64)["test_images"])
    assert served.asked == ["/records/1/files/pneumoniamnist_64.npz?download=1"]
    assert "100%" in capfd.readouterr().err
    assert files(tmp_path) == ["cache/pneumoniamnist/pneumoniamnist_64.npz"]
    assert load("pneumoniamnist", size=64).fingerprint() == data.fingerprint()
    assert len(served.asked) == 1


def test_a_wrong_checksum_leaves_no_file(served, tmp_path):
    served.content = served.content[:-1] + b"!"
    with pytest.raises(MissingDataError, match=r"(?s)hash.*by hand.*CAREEDU_DATA"):
        load("pneumoniamnist", size=64)
    assert files(tmp_path) == []


def test_an_interrupted_download_leaves_no_file_and_can_be_repeated(served, tmp_path):
    served.cut = len(served.content) // 2
    with pytest.raises(MissingDataError, match=r"(?s)could not be downloaded.*by hand"):
        load("pneumoniamnist", size=64)
    assert files(tmp_path) == []
    served.cut = None
    assert len(load("pneumoniamnist", size=64).train) == 12


def test_without_a_server_the_error_says_what_to_do(served, tmp_path):
    served.stop()
    with pytest.raises(MissingDataError, match=r"(?s)could not be downloaded.*Download http.*by hand.*phantoms"):
        load("pneumoniamnist", size=64)
    assert files(tmp_path) == []


def test_a_cache_folder_that_cannot_be_made_is_said(served, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingDataError, match="could not be downloaded"):
        load("pneumoniamnist", size=64)
