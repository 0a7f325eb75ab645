"""Measure how long phantoms take to draw at 64 x 64 pixels: ``python tests/benchmarks/bench_phantoms.py``."""

import argparse
import time

import numpy as np
from figures import tell

from careedu.data.phantoms import KINDS, draw_phantom


def seconds(kind: str, images: int, size: int, threads: int, repeats: int) -> float:
    """Give the best of several runs, which is the one that other programs disturbed least."""
    labels = np.arange(images) % 3
    draw_phantom(kind, labels[:64], size=size, threads=threads)
    taken = []
    for repeat in range(repeats):
        start = time.perf_counter()
        draw_phantom(kind, labels, size=size, seed=repeat, threads=threads)
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long phantoms take to draw.")
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for kind in KINDS:
        taken = seconds(kind, arguments.images, arguments.size, arguments.threads, arguments.repeats)
        tell(f"drawing 1,000 phantoms of {arguments.size}², {kind}", taken / arguments.images * 1000, "s")


if __name__ == "__main__":
    main()
