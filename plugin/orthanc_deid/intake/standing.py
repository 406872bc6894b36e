"""How much of a study is here, beside what there should be, and the words for it."""

from dataclasses import dataclass
from datetime import datetime

MINUTE_S = 60


@dataclass(frozen=True)
class Standing:
    """Of the instances that are here now; nothing is told of them unless `compared`.

    `missing`: by SOP Instance UID; None: only the numbers were compared. `untold`: words for why no number is known.
    """

    present: int
    expected: int | None
    missing: int | None
    compared: bool
    untold: str

    @property
    def complete(self) -> bool:
        """Tell whether all that should be here is here."""
        return self.compared and self.expected is not None and self.present >= self.expected and not self.missing

    @property
    def surplus(self) -> str | None:
        """The warning where more is here than there should be."""
        if self.expected is None or self.present <= self.expected:
            return None
        return f"{self.present} of {self.expected} instances: more than were counted"

    def __str__(self) -> str:
        if self.expected is None:
            return self.untold
        here = self.present if self.missing is None else self.expected - self.missing
        others = self.present - here
        return f"{here} of {self.expected} instances" + (f" (and {others} others)" if others > 0 else "")


def clock(at: float) -> str:
    """Write UTC seconds as the time on this machine's clock, with the date where that is not today's."""
    then = datetime.fromtimestamp(at).astimezone()
    return then.strftime("%H:%M" if then.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """Write a length of time in words."""
    return f"{seconds / MINUTE_S:g} min" if seconds >= MINUTE_S else f"{seconds:g} s"
