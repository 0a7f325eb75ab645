"""How long a segmentation of notebook 06 takes, and how well it finds lesions: `bench_feature_generation.py`.

python tests/benchmarks/bench_feature_generation.py

As in the saved runs, but on two threads: 20 epochs of a small U-Net, then one epoch of the head, on phantom-brain and,
where the images are there, on axial brain slices. Dice of the test images with a 95 % interval over patients. It ends
with an error where it has less than .8 on phantoms.
"""

from __future__ import annotations

import sys
import time

import torch
from figures import tell

import careedu
from careedu.course.experiments.feature_generation import IMAGES, SEGMENTED
from careedu.errors import MissingDataError
from careedu.measure.crossed import spread_of_images
from careedu.measure.statistics import estimate_of
from careedu.methods.segmentation import dice_scores, segment

LONGEST, LEAST = 180, 0.8


def main() -> int:
    """Print the figures; 1 where one is beyond its bound."""
    torch.set_num_threads(2)
    failed = False
    for name, told in IMAGES.items():
        options = dict(told)
        try:
            data = careedu.load(options.pop("name"), **options)
        except MissingDataError as error:
            print(f"{name}: left out, {error}")
            continue
        scores, start = [], time.perf_counter()

        def look(report, test=data.test, scores=scores):
            # Before the end: what only the training needed is gone then.
            if report.row["stage"] != "segmentation":
                model = report.model.eval()
                scores.append(dice_scores(lambda images: segment(model, images), test))

        careedu.fit(data, careedu.Segmentation(), progress=False, on_epoch=look, **SEGMENTED | {"epochs": 1})
        seconds = time.perf_counter() - start
        found = estimate_of(spread_of_images(scores[-1][None], data.test.groups))
        tell(f"segmentation of {len(data.train)} images, {name}: Dice {found}", seconds, "s", most=LONGEST)
        failed |= name == "phantom" and found.estimate < LEAST
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
