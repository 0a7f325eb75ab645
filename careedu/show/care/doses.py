"""The arms of a comparison that differ in how much attention weighs, and in nothing else."""

import json

from careedu.experiment.results import Results


def dose_series(results: Results) -> dict[float, str]:
    """The longest series of arms that are CARE with the same options but for α.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict of float to str
        Dose α / (1 − α), to three digits, and the arm's name, in rising order; 0 is the control without attention.
        Empty where fewer than two arms are alike. Only a loss that was averaged over the batch has that dose: runs
        of a CARE that averaged over the boxed images are left out.
    """
    found: dict[str, dict[float, str]] = {}
    for name, runs in results.runs.items():
        method = runs[results.seeds[0]].configuration["method"]
        options = dict(method["options"])
        if method["name"] == "care" and options.get("averaging") == "batch":
            alpha = options.pop("alpha")
            # 0.8 / 0.2 is not quite 4.
            dose = float(f"{alpha / (1 - alpha):.3g}")
            found.setdefault(json.dumps(options, sort_keys=True), {}).setdefault(dose, name)
    longest = max(found.values(), key=len, default={})
    return dict(sorted(longest.items())) if len(longest) > 1 else {}
