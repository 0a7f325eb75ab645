"""The methods floor: one file per paper, and one for the imbalance baselines; declares, never trains."""
