"""Tests of kills use what the unit tests have; only `make test-kills` collects them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
