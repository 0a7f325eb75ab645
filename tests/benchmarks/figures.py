"""The figures of all benchmarks, told alike; run as a script, all of them in one run and one table.

    python tests/benchmarks/figures.py [part of a benchmark's name ...]

Without names, which is `make bench`, the table is written to ``figures.json`` and into the README; with names it is
printed. It ends with an error where a figure is beyond its bound. The machine must have nothing else to do: the load
is part of what is written.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT, README = HERE / "figures.json", HERE.parents[1] / "README.md"
COLLECT = "CAREEDU_BENCH_FIGURES"
BEGIN, END = "<!-- figures of `make bench` -->", "<!-- end of the figures -->"
UNITS = {"s": (1, "s"), "ms": (1e3, "ms"), "GB": (1e-9, "GB"), "MB": (1e-6, "MB"), "": (1, "")}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Parameters
    ----------
    what : str
        What is measured.
    ours, theirs : float
        In seconds or bytes; theirs is None where there is no peer.
    unit : str
        A key of `UNITS`, in which both are shown.
    peer : str
        Who theirs are of.
    ratio : float, optional
        Ours to theirs: the median of each round's own ratio, where there are rounds.
    most : float, optional
        Bound of the ratio, or of ours (in the unit shown) where there is no peer.
    source : str
        The benchmark's name.
    """

    what: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    most: float | None = None
    source: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; True where there is none."""
        value = self.ours * UNITS[self.unit][0] if self.ratio is None else self.ratio
        return self.most is None or value <= self.most

    def cells(self) -> tuple[str, ...]:
        """What, ours, peer, ratio and bound in words."""

        def shown(value: float) -> str:
            scale, unit = UNITS[self.unit]
            value *= scale
            return (f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")) + f" {unit}"

        bound = "" if self.most is None else f"≤ {self.most:g}" + ("" if self.peer else f" {UNITS[self.unit][1]}")
        theirs = "" if self.theirs is None else f"{self.peer}: {shown(self.theirs)}"
        broken = "" if self.holds else " (not kept)"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}" if self.ratio >= 0.01 else f"{self.ratio:.1g}"
        return self.what, shown(self.ours), theirs, ratio, bound + broken


def tell(what: str, ours: float, unit: str, **more: Any) -> Figure:
    """Print a figure, and keep it where `make bench` collects them. Parameters as of `Figure`."""
    figure = Figure(what, ours, unit, **more)
    print("   ".join(filter(None, figure.cells())), flush=True)
    if where := os.environ.get(COLLECT):
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")
    return figure


def tell_beside(what: str, ours: Sequence[float], peer: str, theirs: Sequence[float], unit: str, **more: Any) -> Figure:
    """Medians of both, and the median of the rounds' own ratios, which a slow minute disturbs less."""
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    medians = statistics.median(ours), statistics.median(theirs)
    return tell(what, medians[0], unit, peer=peer, theirs=medians[1], ratio=ratio, **more)


def interleaved(
    calls: Sequence[Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter, warm: int = 2
) -> list[list[float]]:
    """Seconds of each call in each round. In every round each is called once, every other round in reverse."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + warm):
        for number in range(len(calls))[:: -1 if round_ % 2 else 1]:
            start = clock()
            calls[number]()
            if round_ >= warm:
                taken[number].append(clock() - start)
    return taken


def markdown(figures: Sequence[Figure], about: str) -> str:
    """The table, as the README shows it."""
    rows = [("what", "ours", "peer", "ratio", "bound"), ("---",) * 5, *(figure.cells() for figure in figures)]
    return "\n".join([about, "", *(f"| {' | '.join(row)} |" for row in rows)])


def kept() -> str:
    """The table of the last whole run."""
    told = json.loads(KEPT.read_text(encoding="utf-8"))
    return markdown([Figure(**figure) for figure in told["figures"]], told["about"])


def main() -> int:
    """Run the benchmarks, in turn; 1 where one fails or a bound is not kept."""
    scripts = sorted(HERE.glob("bench_*.py"))
    asked = [script for script in scripts if any(name in script.stem for name in sys.argv[1:])]
    failed, figures = [], []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for script in asked or scripts:
            print(f"== {script.name}", flush=True)
            collected = Path(folder) / script.stem
            collected.touch()
            if subprocess.run([sys.executable, script], env={**os.environ, COLLECT: str(collected)}).returncode:
                failed.append(script.name)
            lines = collected.read_text(encoding="utf-8").splitlines()
            figures += [Figure(**json.loads(line) | {"source": script.stem}) for line in lines]
    broken = [figure.what for figure in figures if not figure.holds]
    import torch

    about = (
        f"Made by `make bench` on {date.today()}: {os.cpu_count()} cores of {_processor()}, Python "
        f"{platform.python_version()}, torch {torch.__version__.split('+')[0]}; load before it {load:.1f}."
    )
    print("\n" + markdown(figures, about))
    if not asked and not failed:
        told = {"about": about, "figures": [asdict(figure) for figure in figures]}
        _write(KEPT, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        text = README.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN)], text[text.index(END) :]
        _write(README, f"{before}{BEGIN}\n{kept()}\n{after}")
    for what in (*failed, *broken):
        print(f"not kept: {what}", file=sys.stderr)
    return int(bool(failed or broken))


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
