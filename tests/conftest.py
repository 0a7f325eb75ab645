"""What a test may need that not every machine has: the test is skipped aloud without it.

With CAREEDU_REQUIRE_ALL=1, as in continuous integration, it fails instead: there nothing may be skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
