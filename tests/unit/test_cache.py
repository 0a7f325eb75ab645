"""Decoded images are kept, found again, made anew when anything has changed, and never half written."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from careedu.data import cache, folder
from careedu.data.cache import cache_folder, cached_arrays
from careedu.data.folder import read_folder
from careedu.errors import InvalidInputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def numbers(start=0):
    """Two batches, seven rows in all."""
    whole = np.arange(start, start + 7 * 12, dtype=np.uint8).reshape(7, 3, 4)
    flags = np.arange(7) % 2 == 0
    for rows in (slice(0, 4), slice(4, 7)):
        yield {"images": whole[rows], "has_mask": flags[rows]}


def never():
    raise AssertionError("it was made again")
    yield {}


def kept_files(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def test_what_was_made_once_is_found_again(own_cache):
    made = cached_arrays("key", 7, numbers)
    found = cached_arrays("key", 7, never)
    for arrays in (made, found):
        assert list(arrays) == ["images", "has_mask"]
        assert np.array_equal(arrays["images"], np.arange(84, dtype=np.uint8).reshape(7, 3, 4))
        assert arrays["has_mask"].tolist() == [True, False] * 3 + [True]
        assert arrays["images"].dtype == np.uint8 and isinstance(arrays["images"], np.memmap)
    assert cached_arrays("other", 7, lambda: numbers(9))["images"].flat[0] == 9
    assert {p.name for p in (own_cache / "decoded").iterdir()} == {"key", "other"}


def test_changing_what_was_loaded_changes_no_file():
    cached_arrays("key", 7, numbers)["images"][:] = 0
    assert cached_arrays("key", 7, never)["images"].sum() > 0


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["images.npy", "has_mask.npy", "manifest.json"])
@pytest.mark.parametrize(
    "damage", [truncate, flip, Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_text("[1]")]
)
def test_damage_is_noticed_and_made_good(name, damage, own_cache):
    cached_arrays("key", 7, numbers)
    damage(own_cache / "decoded" / "key" / name)
    repaired = cached_arrays("key", 7, lambda: numbers(50))
    if name == "manifest.json" and damage is flip:
        assert repaired["images"].flat[0] in (0, 50)  # a changed space may still be the same JSON
    else:
        assert repaired["images"].flat[0] == 50
    assert len(kept_files(own_cache)) == 3
    assert np.array_equal(cached_arrays("key", 7, never)["images"], repaired["images"])


def test_what_fails_half_way_leaves_nothing(own_cache):
    def failing():
        yield next(numbers())
        raise InvalidInputError("row 5")

    with pytest.raises(InvalidInputError, match="row 5"):
        cached_arrays("key", 7, failing)
    assert list((own_cache / "decoded").iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="CAREEDU_CACHE to another"):
        arrays = cached_arrays("key", 7, numbers)
    assert np.array_equal(arrays["images"], np.arange(84, dtype=np.uint8).reshape(7, 3, 4))


def test_a_full_disk_costs_a_warning_only(own_cache, monkeypatch):
    class FullFile:
        def write(self, content):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    original = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a: FullFile() if a == ("wb",) else original(path, *a))
    with pytest.warns(UserWarning, match="No space left"):
        arrays = cached_arrays("key", 7, numbers)
    assert arrays["images"].sum() == sum(range(84))
    assert list((own_cache / "decoded").iterdir()) == []


def write_slowly(place, barrier, queue):
    os.environ["CAREEDU_CACHE"] = place

    def slow():
        for batch in numbers():
            barrier.wait(30)  # both are in the middle of writing
            yield batch

    queue.put(cached_arrays("key", 7, slow)["images"].tolist())


def test_two_writers_at_once_both_get_it_whole(own_cache):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    writers = [context.Process(target=write_slowly, args=(str(own_cache), barrier, queue)) for _ in range(2)]
    for writer in writers:
        writer.start()
    got = [queue.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join(30)
    assert got == [np.arange(84).reshape(7, 3, 4).tolist()] * 2
    assert len(kept_files(own_cache)) == 3
    assert cached_arrays("key", 7, never)["images"].sum() == sum(range(84))


def test_remains_of_killed_writers_go_after_a_day_and_young_ones_stay(own_cache):
    for name, age in (("partial-old", 2 * 86400), ("partial-young", 60)):
        (own_cache / "decoded" / name).mkdir(parents=True)
        os.utime(own_cache / "decoded" / name, (time.time() - age,) * 2)
    cached_arrays("key", 7, numbers)
    assert {p.name for p in (own_cache / "decoded").iterdir()} == {"key", "partial-young"}


def test_where_the_cache_is(monkeypatch, own_cache):
    assert cache_folder() == own_cache
    monkeypatch.delenv("CAREEDU_CACHE")
    assert cache_folder().name == "careedu" and cache_folder() != own_cache


# Through `read_folder`


@pytest.fixture
def images(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    rows = ["image,label,split,x0,y0,x1,y1,mask,site"]
    for i in range(30):
        Image.new("L", (24, 24), 5 * i).save(place / f"{i}.png")
        mask = np.zeros((24, 24), dtype=np.uint8)
        mask[2:9, 3:9] = 255
        Image.fromarray(mask).save(place / f"mask{i}.png")
        split = ("train", "val", "test")[i // 2 % 3]
        rows.append(f"{i}.png,{'ab'[i % 2]},{split},3,2,9,9,mask{i}.png,{i // 15}")
    (place / "labels.csv").write_text("\n".join(rows))
    return place


def count_decoding(monkeypatch):
    calls = []
    original = folder.decode

    def counted(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(folder, "decode", counted)
    return calls


def fingerprints(parts):
    return [part.fingerprint() for part in parts.values()]


def test_a_folder_is_decoded_once(images, monkeypatch):
    calls = count_decoding(monkeypatch)
    first, second = read_folder(images, size=16), read_folder(images, size=16)
    assert len(calls) == 1
    monkeypatch.setenv("CAREEDU_CACHE", str(images / "labels.csv"))  # a file, so that nothing can be kept
    with pytest.warns(UserWarning, match="cannot be kept"):
        uncached = read_folder(images, size=16)
    assert fingerprints(first) == fingerprints(second) == fingerprints(uncached)


def touch(place):
    os.utime(place / "3.png", ns=(1, 1))


def repaint(place):
    Image.new("L", (24, 24), 255).save(place / "3.png")


def change_mask(place):
    Image.new("L", (24, 24), 255).save(place / "mask3.png")


def move_box(place):
    text = (place / "labels.csv").read_text()
    (place / "labels.csv").write_text(text.replace("3,2,9,9", "3,2,9,8", 1))


@pytest.mark.parametrize("change", [touch, repaint, change_mask, move_box])
def test_any_change_of_the_files_is_seen(change, images, monkeypatch):
    before = fingerprints(read_folder(images))
    calls = count_decoding(monkeypatch)
    change(images)
    after = fingerprints(read_folder(images))
    assert len(calls) == (0 if change is touch else 1), "what counts is the content"
    assert (after == before) == (change is touch)


def test_size_rows_and_revision_have_entries_of_their_own(images, monkeypatch):
    read_folder(images)
    calls = count_decoding(monkeypatch)
    assert read_folder(images, size=16)["train"].images.shape[-1] == 16
    assert sum(map(len, read_folder(images, where={"site": "1"}).values())) == 15
    monkeypatch.setattr(folder, "_REVISION", folder._REVISION + 1)
    read_folder(images)
    assert len(calls) == 3
    read_folder(images, seed=5)
    assert len(calls) == 3, "the seed draws splits and changes no pixel"


def test_given_splits_are_views_of_the_mapped_file(images):
    read_folder(images)
    train = read_folder(images)["train"]
    entry = next((cache.cache_folder() / "decoded").iterdir())
    manifest = json.loads((entry / "manifest.json").read_text())
    assert set(manifest["digests"]) == {
        "images.npy",
        "deep.npy",
        "masks.npy",
        "boxes.npy",
        "has_mask.npy",
        "lesion_free.npy",
        "stored.npy",
    }
    assert train.images.untyped_storage().nbytes() >= 10 * 24 * 24
    stored = np.load(entry / "images.npy")
    assert np.array_equal(stored[:10], train.images.numpy())
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        assert str(entry / "images.npy") in mapped.read_text()
