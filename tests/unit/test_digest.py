"""Large arrays are hashed a piece at a time, to the same bits as if they were hashed whole."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from careedu.data import digest
from careedu.data.digest import content_digest

WHOLE = st.sampled_from([np.uint8, np.int64, np.float32, np.bool_]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


def whole(array):
    """As it was hashed before: one copy of all bytes."""
    return hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()


@given(WHOLE, st.integers(1, 200))
def test_pieces_of_any_size_give_the_bits_of_the_whole(array, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "_PIECE", piece)
        for version in (array, array.T, array[::-1] if array.ndim else array):
            assert content_digest(version) == whole(version)
            tensor = torch.from_numpy(version.copy(order="K"))
            assert content_digest(tensor) == whole(tensor.numpy())


def test_arrays_follow_one_another_and_are_as_long_as_asked_for():
    images, labels = np.arange(60, dtype=np.uint8).reshape(5, 3, 4), torch.arange(5)
    known = hashlib.blake2b(images.tobytes() + labels.numpy().tobytes(), digest_size=12).hexdigest()
    assert content_digest(torch.from_numpy(images), labels) == known == "4b3a26bd8e3e8228f7d6df12"
    assert len(content_digest(images, size=8)) == 16


CODE = """
import resource, sys
import numpy as np
import torch
from careedu.data.dataset import LesionDataset

images = np.memmap(sys.argv[1], np.uint8, "c", shape=(1000, 256, 256, 3))
orders = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(images).reshape(1000, 3, 256, 256)
datasets = [LesionDataset(order, torch.zeros(1000).long(), ("a", "b")) for order in orders]
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (64 << 20),) * 2)
try:
    images.tobytes()
    raise AssertionError("the limit limits nothing")
except MemoryError:
    pass
assert len({dataset.fingerprint() for dataset in datasets}) == 1  # all zeros, in whatever order they lie
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_a_mapped_set_is_never_copied_whole(tmp_path):
    with (tmp_path / "images").open("wb") as file:
        file.truncate(1000 * 256 * 256 * 3)  # takes no room on the disk
    done = subprocess.run([sys.executable, "-c", CODE, tmp_path / "images"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
