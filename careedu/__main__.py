"""`python -m careedu` does what `careedu` does."""

from careedu.course.cli import main

if __name__ == "__main__":  # not in the processes that `compare` starts, which import this file too
    raise SystemExit(main())
