"""What has changed in careedu since runs were made."""

from collections.abc import Mapping

from careedu.errors import CareeduError
from careedu.experiment.run import Run


def outdated(runs: Mapping[str, Mapping[int, Run]]) -> list[str]:
    """What has changed since runs, by method and seed, were made: a line for the loop and one a method, if any."""
    from careedu.experiment.configuration import REVISION
    from careedu.methods.building import rebuild_method

    lines = []
    made = {str(run.configuration["revision"]) for by_seed in runs.values() for run in by_seed.values()}
    if made != {str(REVISION)}:
        lines.append(f"the training loop is at revision {REVISION}, these runs were made with {_revisions(made)}")
    for name, by_seed in runs.items():
        method = next(iter(by_seed.values())).configuration["method"]
        try:
            now = rebuild_method(method).all_revisions()
        except CareeduError as error:
            lines.append(f"{name} cannot be made any more as it was for its runs: {error}")
            continue
        made = {run.configuration["method"]["revision"] for run in by_seed.values()}
        if made != {now}:
            lines.append(f"{name} is at revision {now}, its runs were made with {_revisions(made)}")
    return lines


def _revisions(made: set[str]) -> str:
    return f"revision {' and '.join(sorted(made))}"
