"""State of the planner: what two designs of an experiment could show, before anybody trains."""

from dataclasses import asdict

import numpy as np

from careedu.checks.planner import Design, patients_needed, smallest_differences
from careedu.errors import InvalidInputError
from careedu.measure.statistics import FEWEST_GROUPS
from careedu.show.widget import SIDES, WidgetState

MOST = 1000
STOPS = (*range(4, 12), *range(12, 40, 2), *range(40, 100, 5), *range(100, 250, 25), *range(250, MOST + 1, 50))
PATIENTS = np.unique(np.geomspace(FEWEST_GROUPS, MOST, 20).round().astype(int))
"""Where the curves are computed."""


class PatientPlanner(WidgetState):
    """State of the planner.

    Settings: ``patients``, ``difference``, ``recall``, ``disagreement`` and ``seed_spread``, which both sides share,
    and for each side, here A: ``A_images`` (of a patient) and ``A_seeds``. What they are stands at
    `careedu.smallest_difference`.

    Attributes
    ----------
    curves : dict of str to float64 (len(PATIENTS),)
        By side: the smallest difference that would be shown four times in five, of each number of patients; `inf` where
        none would be.
    smallest : dict of str to float
        That of the patients that are set.
    needed : dict of str to int or str
        How many patients the difference that is set would take; where no number is enough, why.
    """

    def __init__(self) -> None:
        shared = {"patients": 12, "difference": 0.1, "recall": 0.7, "disagreement": 0.5, "seed_spread": 0.03}
        super().__init__(**shared, A_images=1, A_seeds=10, B_images=5, B_seeds=10)
        self.update()

    def choices(self) -> dict[str, list[int]]:
        """Numbers of patients that a slider stops at; any other can be set too."""
        return {"patients": sorted({*STOPS, self.settings["patients"]})}

    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of a setting."""
        shared = {"patients": (1, MOST), "difference": (0.01, 0.5), "recall": (0.5, 0.98), "disagreement": (0.1, 1)}
        sides = {f"{side}_{name}": ends for side in SIDES for name, ends in (("images", (1, 10)), ("seeds", (2, 30)))}
        return {**shared, "seed_spread": (0, 0.2), **sides}

    def design(self, side: str) -> Design:
        """What the planner is asked about one side."""
        own = {name: self.settings[f"{side}_{name}"] for name in ("images", "seeds")}
        return Design(**own, **{name: self.settings[name] for name in ("recall", "disagreement", "seed_spread")})

    def update(self) -> None:
        """Ask about both sides."""
        designs, patients = {side: self.design(side) for side in SIDES}, np.append(PATIENTS, self.settings["patients"])
        found = {side: smallest_differences(patients, design) for side, design in designs.items()}
        self.curves = {side: values[:-1] for side, values in found.items()}
        self.smallest = {side: float(values[-1]) for side, values in found.items()}
        self.needed = {side: self._needed(design) for side, design in designs.items()}

    def _needed(self, design: Design) -> int | str:
        try:
            return patients_needed(self.settings["difference"], **asdict(design))
        except InvalidInputError as error:
            return str(error)
