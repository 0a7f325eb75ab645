"""What it costs to let torch's threads sleep soon (GOMP_SPINCOUNT, set by careedu) beside OpenMP's default.

    python tests/benchmarks/bench_threads.py

On a quiet machine, and with another program busy on one core, as a browser would be.
"""

from __future__ import annotations

import os
import subprocess
import sys

from figures import tell_beside

TRAINING = """
import time
import careedu
data = careedu.load("phantom-skin", imbalance=10)
careedu.fit(data, "cross-entropy", epochs=1, progress=False)
started = time.perf_counter()
careedu.fit(data, "cross-entropy", epochs=6, progress=False)
print(time.perf_counter() - started)
"""
SETTINGS = {"careedu's 10000": "10000", "OpenMP's default": "300000"}


def seconds(spin_count: str) -> float:
    """Time of a short training with torch's own number of threads, in a process of its own."""
    environment = {**os.environ, "GOMP_SPINCOUNT": spin_count}
    done = subprocess.run([sys.executable, "-c", TRAINING], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print seconds of training for both settings, quiet and beside a busy program."""
    for busy in (False, True):
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
        try:
            # In turn, so that a change of the machine's mood hits both.
            pairs = [[seconds(count) for count in SETTINGS.values()] for _ in range(2)]
        finally:
            if other is not None:
                other.kill()
                other.wait()
        ours, default = zip(*pairs, strict=True)
        where = "one core busy" if busy else "quiet machine"
        tell_beside(f"a training with threads that sleep soon, {where}", ours, "OpenMP's default", default, "s")


if __name__ == "__main__":
    main()
