"""The metrics as functions of arrays, found by their names in tables."""

from careedu.measure.metrics import METRICS


def metric_value(name, probabilities, labels, rare):
    """A metric of one network; only the recall of rare classes asks which these are."""
    return METRICS[name](probabilities, labels, *([rare] if name == "rare recall" else []))
