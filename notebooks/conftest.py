"""Holds the notebooks to the time they state, while nbval runs them: more than twice as long fails the run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from careedu.course.derive import read, stated_seconds

TOO_LONG = 2.0
"""So many times the stated seconds."""

_measured: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a notebook's cells take, the start of its kernel included."""
    name = report.nodeid.split("::")[0]
    if name.endswith(".ipynb") and ".ipynb_checkpoints" not in name:
        _measured[name] += report.duration


def _times(root: Path) -> list[tuple[str, float, int | None]]:
    """Measured and stated seconds of each notebook that ran."""
    return [(name, seconds, stated_seconds(read(root / name))) for name, seconds in _measured.items()]


def _fits(seconds: float, stated: int | None) -> bool:
    return stated is not None and seconds <= TOO_LONG * stated


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a notebook took too long."""
    if session.exitstatus == 0 and not all(
        _fits(seconds, stated) for _, seconds, stated in _times(session.config.rootpath)
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was measured."""
    if _measured:
        terminalreporter.section("time of the notebooks")
    for name, seconds, stated in _times(config.rootpath):
        verdict = (
            "" if _fits(seconds, stated) else f"  TOO LONG: state it, or make it faster (limit {TOO_LONG:g} times)"
        )
        terminalreporter.line(f"{name}: {seconds:.0f} s, stated {stated} s{verdict}")
