"""What it costs to let torch's threads sleep soon (GOMP_SPINCOUNT, set by careedu) beside OpenMP's default.

    python tests/benchmarks/bench_threads.py

On a quiet machine, and with another program busy on one core, as a browser would be.
"""

from __future__ import annotations

import os

import statistics
import subprocess
import sys

TRAINING = """
import time, torch
from careedu.nn.backbones import build_model
torch.set_num_threads(2)
model = build_model("small", 3, 3)
optimizer = torch.optim.AdamW(model.parameters())
x, y = torch.rand(32, 3, 64, 64), torch.arange(32) % 3
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
step()
started = time.perf_counter()
for _ in range(30):
    step()
print(30 * 32 / (time.perf_counter() - started))
"""
SETTINGS = {"careedu's 10000": "10000", "OpenMP's default": "300000"}


def images_per_second(spin_count: str) -> float:
    """Training speed of the small network at 64 pixels, two threads, in a process of its own."""
    environment = {**os.environ, "GOMP_SPINCOUNT": spin_count}
    done = subprocess.run([sys.executable, "-c", TRAINING], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print images a second for both settings, quiet and beside a busy program."""
    for busy in (False, True):
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
        try:
            speeds = {
                name: statistics.median(images_per_second(count) for _ in range(3)) for name, count in SETTINGS.items()
            }
        finally:
            if other is not None:
                other.kill()
                other.wait()
        (ours, first), (default, second) = speeds.items()
        where = "one core busy" if busy else "quiet machine"
        print(f"{where}: {ours} {first:.0f} images/s, {default} {second:.0f} images/s, ratio {first / second:.2f}")


if __name__ == "__main__":
    main()
