"""The real images are what their description says, read through the public door."""

from __future__ import annotations

import time

import pytest

from careedu.data.load import load

pytestmark = pytest.mark.real

BRAIN_COUNTS = {
    "axial": {"train": [297, 122, 175], "val": [75, 40, 43], "test": [122, 46, 73]},
    "coronal": {"train": [293, 138, 187], "val": [82, 30, 57], "test": [119, 64, 77]},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAREEDU_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("plane", BRAIN_COUNTS)
def test_brain_tumours(plane, real_data):
    data = load("brain-tumor", plane=plane, root=real_data)
    assert data.classes == ("glioma", "meningioma", "pituitary")
    groups = {}
    for name, part in data.parts().items():
        assert part.counts.tolist() == BRAIN_COUNTS[plane][name]
        assert part.images.shape[1:] == (1, 112, 112)
        assert part.has_box.all() and part.has_mask.all()
        groups[name] = set(part.groups)
        for box, mask in zip(part.boxes, part.masks, strict=True):
            rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == pytest.approx([float(edge) for edge in around], abs=1.5)
    assert not groups["train"] & groups["val"] and not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]
    assert 1 < len(data.test) / len(groups["test"]) < 20, "runs are groups of several slices"


def test_the_second_load_takes_well_under_a_second(real_data):
    load("brain-tumor", root=real_data)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        again = load("brain-tumor", root=real_data)
        seconds.append(time.perf_counter() - start)
    assert sum(map(len, again.parts().values())) == 993
    assert min(seconds) < 0.8


def test_masks_of_brain_tumours_survive_any_size(real_data):
    small = load("brain-tumor", root=real_data, size=32)
    assert all(part.masks.any(dim=(1, 2)).all() for part in small.parts().values())


def test_thinning_brain_tumours_is_drawn_anew_by_seed(real_data):
    data = load("brain-tumor", root=real_data, counts={"meningioma": 30})
    assert data.train.counts.tolist() == [297, 30, 175] and data.rare == ("meningioma",)
    again = data.redraw(1)
    assert again.train.counts.tolist() == [297, 30, 175]
    assert set(again.train.ids) != set(data.train.ids) and again.test is data.test


def test_chest_x_rays(real_data):
    data = load("chest-xray-lesions", root=real_data)
    assert data.classes == ("covid19", "non_covid")
    assert sum(map(len, data.parts().values())) == 44 and data.test.counts.tolist() == [11, 10]
    assert all(part.has_mask.all() and part.has_box.all() for part in data.parts().values())
    assert data.train.grouped and len(set(data.train.groups) | set(data.val.groups) | set(data.test.groups)) == 37


@pytest.mark.parametrize(("variant", "normals"), [(None, 1214), ("train9to1", 388)])
def test_pneumonia(variant, normals, real_data):
    data = load("pneumoniamnist", root=real_data, **({"variant": variant} if variant else {}))
    assert data.classes == ("normal", "pneumonia")
    dropped = data.recipe["dropped_as_duplicates"]
    assert len(data.train) + dropped["train"] == normals + 3494
    assert data.val.counts.tolist() == [135, 389] and data.test.counts.tolist() == [234, 390]
    # Eight images of val are in train too, some more than once, all of them pneumonia.
    assert dropped == {"train": 10, "val": 0}
    assert data.train.counts.tolist() == [normals, 3484]
