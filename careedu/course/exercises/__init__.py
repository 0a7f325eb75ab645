"""The exercises of the notebooks, a module for each: every one has `check`, `hint` and `solution`."""
