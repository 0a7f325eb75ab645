"""What is wrong with a table of images, gathered to be told all at once."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from careedu.errors import InvalidInputError

TABLE = "labels.csv"
_REPORTED_FAULTS = 20
_EXAMPLES = 3  # of one cause


@dataclass
class Faults:
    """Everything that is wrong with a table, gathered to be reported together."""

    rows: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, image: str, text: str) -> None:
        """Note a fault of one row: its number as a spreadsheet shows it, its image, what is wrong and what to do."""
        self.rows.append((row, f"row {row} ({image or 'no image'}): {text}"))

    def add_whole(self, text: str) -> None:
        """Note a fault of the table as a whole."""
        self.rows.append((0, text))

    @contextlib.contextmanager
    def noted(self, row: int, image: str) -> Iterator[None]:
        """Note what is raised inside as a fault of a row, and go on."""
        try:
            yield
        except InvalidInputError as error:
            self.add(row, image, str(error))

    def __bool__(self) -> bool:
        return bool(self.rows)

    def error(self) -> InvalidInputError:
        """Make the error that reports them, in the order of the rows; of very many some of each cause."""
        faults = sorted(self.rows, key=lambda fault: fault[0])
        shown, causes = [f"  {text}" for _, text in faults], {}
        if len(faults) > _REPORTED_FAULTS:
            for row, text in faults:  # of one cause are texts that differ in names and numbers only
                causes.setdefault(re.sub(r"\(.*?\)|'.*?'|[\d.,]+", "", text), []).append((row, text))
            shown = []
            for rows in list(causes.values())[:_REPORTED_FAULTS]:
                shown += [f"  {text}" for _, text in rows[:_EXAMPLES]]
                if len(rows) > _EXAMPLES:
                    shown.append(f"  and {len(rows) - _EXAMPLES} more of this kind, the last in row {rows[-1][0]}")
            if len(causes) > _REPORTED_FAULTS:
                shown.append(f"  and {len(causes) - _REPORTED_FAULTS} more kinds")
        return InvalidInputError("\n".join([f"{TABLE} cannot be used:", *shown]))
