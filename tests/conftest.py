"""What a test may need that not every machine has, and what tests have that run beside others.

A test is skipped aloud without what it needs. With CAREEDU_REQUIRE_ALL=1, as in continuous integration, it fails
instead: there nothing may be skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One of several at a time (pytest-xdist): two trainings of two threads each on two cores starve each other. Read when
# numpy and torch are first imported, here, in the processes that tests start, and in the kernels of notebooks.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as cores that this process may use, in a container too; each takes half a gigabyte."""
    import joblib

    return min(joblib.cpu_count(), 16)


def require(present: object, what: str) -> None:
    """Skip the running test unless `present`, or fail it where everything is required."""
    if present:
        return
    if os.environ.get("CAREEDU_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}, and CAREEDU_REQUIRE_ALL=1 says that it must be here")
    pytest.skip(f"needs {what}")


@pytest.fixture
def real_data() -> Path:
    """Folder of the real image sets, from the environment variable CAREEDU_DATA."""
    named = os.environ.get("CAREEDU_DATA", "")
    require(named and Path(named).is_dir(), "the real images: set CAREEDU_DATA to their folder")
    return Path(named)
