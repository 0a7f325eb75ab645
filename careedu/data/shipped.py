"""Where the notebooks and the saved runs lie: inside an installed package, or in a clone beside it."""

from pathlib import Path

from careedu.errors import MissingDataError

_IN_CLONE = {"notebooks": "notebooks", "runs": "data/runs"}


def shipped(what: str) -> Path:
    """Folder of what comes with careedu.

    Parameters
    ----------
    what : str
        ``"notebooks"`` or ``"runs"``.

    Returns
    -------
    Path

    Raises
    ------
    MissingDataError
        If this installation holds none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "shipped" / what, package.parent / _IN_CLONE[what]):
        if folder.is_dir():
            return folder
    raise MissingDataError(f"this installation of careedu has no {what}; install it again, or work in a clone of it")
