"""`python -m careedu` does what `careedu` does."""

import sys

from careedu.course.cli import main

sys.exit(main())
