"""The experiment floor: the one training loop, runs, metrics and their intervals."""
