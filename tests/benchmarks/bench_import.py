"""How long careedu takes to import, beside torch, which it is built on: `bench_import.py`."""

from __future__ import annotations

import subprocess
import sys

from figures import interleaved, tell, tell_beside

SAVED = "import careedu; careedu.Comparison.load('01-phantom-skin').table()"


def python(code: str) -> None:
    """Run a line in a process of its own."""
    subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    """Print the seconds of whole processes."""
    lines = ("import careedu", "import torch", SAVED)
    ours, theirs, saved = interleaved([lambda line=line: python(line) for line in lines], 7)
    tell_beside("`import careedu`, a whole process", ours, "`import torch`", theirs, "s", most=1.0)
    tell("saved results of notebook 01 opened and their table, a whole process", sorted(saved)[len(saved) // 2], "s")


if __name__ == "__main__":
    main()
