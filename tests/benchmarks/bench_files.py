"""A folder of image files: ours from its cache, and torchvision's ImageFolder, until all are tensors of one size.

    python tests/benchmarks/bench_files.py

Both give 2,000 images of 256², scaled to 64², as one uint8 tensor. ImageFolder decodes them each time; so do we the
first time, which is told too.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import torch
from figures import interleaved, tell_beside
from torchvision.datasets import ImageFolder
from torchvision.io import write_png
from torchvision.transforms import v2

import careedu

N, SIDE, SIZE = 2000, 256, 64


def make(folder: Path) -> None:
    """A folder for each class, and the table that says so."""
    data = careedu.load("phantom-skin", size=SIZE, counts={"reticular": 1000, "globular": 900, "streaked": 100}, val=1)
    rows = ["image,label"]
    for number, (image, label) in enumerate(zip(data.train.images, data.train.labels.tolist(), strict=True)):
        name = f"{data.classes[label]}/{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        large = torch.nn.functional.interpolate(image[None].float(), SIDE, mode="bilinear")[0]
        write_png(large.round().byte(), str(folder / name))
        rows.append(f"{name},{data.classes[label]}")
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")


def main() -> None:
    """Print both, the first time and afterwards."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["CAREEDU_CACHE"] = str(Path(place) / "cache")
        folder = Path(place) / "images"
        make(folder)
        smaller = v2.Compose([v2.PILToTensor(), v2.Resize(SIZE, antialias=True)])

        def ours() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # no column says which images are of one patient
                data = careedu.load(folder, size=SIZE)
            assert sum(len(part) for part in data.parts().values()) == N

        def theirs() -> None:
            images = torch.stack([image for image, _ in ImageFolder(str(folder), smaller)])
            assert images.shape == (N, 3, SIZE, SIZE)

        start = perf_counter()
        ours()
        first, start = perf_counter() - start, perf_counter()
        theirs()
        both = [first], "ImageFolder", [perf_counter() - start]
        tell_beside(f"{N:,} image files, the first time", *both, "s")
        cached, decoded = interleaved([ours, theirs], 5, warm=0)
        tell_beside(f"{N:,} image files, from the cache", cached, "ImageFolder", decoded, "s", most=0.5)


if __name__ == "__main__":
    main()
