"""The experiment floor: `fit`, the grid of methods and seeds, saved runs and results."""
