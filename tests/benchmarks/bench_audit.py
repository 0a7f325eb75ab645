"""Seconds of `careedu.audit` on 5,000 images of 256 pixels, from files, and how planted copies are ranked.

Bound: 60 seconds on two cores. Run alone: python tests/benchmarks/bench_audit.py
"""

import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from figures import tell
from PIL import Image

import careedu

N, SIDE, BOUND = 5000, 256, 60.0
COPIES = 100


def main():
    with tempfile.TemporaryDirectory() as place:
        os.environ["CAREEDU_CACHE"] = str(Path(place) / "cache")
        folder = Path(place) / "images"
        folder.mkdir()
        counts = {"reticular": 2450, "globular": 2350, "streaked": 100}
        data = careedu.load("phantom-skin", size=64, counts=counts, val=1, test=1)
        train, rows = data.train, ["image,label,split"]
        for i in range(N - COPIES):
            label, split = train.classes[int(train.labels[i])], ("train", "train", "train", "val", "test")[i % 5]
            image = Image.fromarray(train.images[i].permute(1, 2, 0).numpy()).resize((SIDE, SIDE))
            image.save(folder / f"{i}.png")
            rows.append(f"{i}.png,{label},{split}")
        rng = np.random.default_rng(0)
        planted = set()
        for k, i in enumerate(rng.choice(N - COPIES, COPIES, replace=False).tolist()):
            image = Image.open(folder / f"{i}.png").crop((2, 1, SIDE - 3, SIDE - 1)).resize((SIDE, SIDE))
            image.save(folder / f"c{k}.jpg", quality=60)
            rows.append(f"c{k}.jpg,{train.classes[int(train.labels[i])]},test")
            planted.add(frozenset((f"{i}.png", f"c{k}.jpg")))
        (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            audit = careedu.audit(folder, progress=True)
        seconds = time.perf_counter() - start
        ids = audit.ids
        first = [frozenset((ids[a], ids[b])) for a, b in zip(audit.pairs.first, audit.pairs.second, strict=True)]
        ranked = sum(pair in planted for pair in first[:COPIES])
        tell(f"`careedu check` of {N:,} images of {SIDE}²", seconds, "s", most=BOUND)
        print(f"of {COPIES} cropped and compressed copies {ranked} stand above every other pair (bound 90)")
        assert ranked >= 90


if __name__ == "__main__":
    main()
