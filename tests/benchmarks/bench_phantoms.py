"""Measure how many phantoms a second are drawn at 64 x 64 pixels: ``python tests/benchmarks/bench_phantoms.py``."""

import argparse
import time

import numpy as np

from careedu.data.phantoms import KINDS, draw_phantom


def images_per_second(kind: str, images: int, size: int, threads: int, repeats: int) -> float:
    """Give the best of several runs, which is the one that other programs disturbed least."""
    labels = np.arange(images) % 3
    draw_phantom(kind, labels[:64], size=size, threads=threads)
    best = 0.0
    for repeat in range(repeats):
        start = time.perf_counter()
        draw_phantom(kind, labels, size=size, seed=repeat, threads=threads)
        best = max(best, images / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many phantoms a second are drawn.")
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for kind in KINDS:
        for threads in sorted({1, arguments.threads}):
            rate = images_per_second(kind, arguments.images, arguments.size, threads, arguments.repeats)
            print(f"{kind:6s} {arguments.size} px, {threads} thread(s): {rate:7.0f} images/s")


if __name__ == "__main__":
    main()
