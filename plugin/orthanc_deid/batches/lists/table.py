"""What a list of a person becomes: its lines as questions to an archive, and its faults, all of them at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...pacs.base import Wanted

MOST_FAULTS = 100


@dataclass(frozen=True)
class Line:
    """One line, ready to be asked for."""

    number: int  # line of the file, from 1: the header; of a JSON list: item, from 1
    wanted: Wanted
    project: str  # empty: none is named
    pseudonym: str  # empty: none is named
    album: str  # empty: none is named
    cells: Mapping[str, str]  # what the person wrote, by our name of the column; empty cells are left out


@dataclass(frozen=True)
class Fault:
    """One fault and its mend; names the column as the person wrote it, never the value of a cell."""

    line: int
    column: str  # empty: of the whole line
    message: str


@dataclass(frozen=True)
class Table:
    """A list as it was read. Where there is any fault, nothing of it may be asked for.

    A faulty header can leave lines that ask for more than the person meant.
    """

    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]  # at most 100; then one more says how many are not told
    columns: tuple[str, ...]  # our names, in the order of the file


@dataclass
class Faults:
    """Collects faults, and only counts those past the hundredth."""

    told: list[Fault] = field(default_factory=list)
    untold: int = 0
    first_untold: int = 0

    def add(self, line: int, column: str, message: str) -> None:
        """Note one."""
        if len(self.told) < MOST_FAULTS:
            self.told.append(Fault(line, column, message))
            return
        self.first_untold = self.first_untold or line
        self.untold += 1

    def all(self) -> tuple[Fault, ...]:
        """Return those that are told; the last may stand for the rest."""
        more = [Fault(self.first_untold, "", f"and {self.untold} more from this line on")] if self.untold else []
        return (*self.told, *more)
