"""The check names the leakage of a random split of brain slices, shows the twins, and is silent on the given split."""
