"""One patient of a file, and a fault of a file: named by its place, never by what stands there."""

import re
from dataclasses import dataclass

from .. import fitting

_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[Ee]\+?[0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Line, from 1; character from 1 where several entries stand in a line."""

    line: int
    character: int = 0

    def __str__(self) -> str:
        """Return the words for a person."""
        return f"line {self.line}" + (f", character {self.character}" if self.character else "")


class Faulty(ValueError):
    """A file that cannot be used as it is; the message repeats nothing of it."""

    def __init__(self, place: Place, what: str, column: str = "") -> None:
        super().__init__(f"{place}{f', column {column}' if column else ''}: {what}")


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """What a file says of one patient; ids and names as they are compared."""

    place: Place
    pseudonym: str
    patient_id: str = ""
    issuer: str | None = None  # None: whoever issued the id
    name: str = ""  # last and first
    birth_date: str = ""  # YYYYMMDD
    offset_days: int | None = None
    subject: str = ""
    session: str = ""


def fitting_text(text: str, place: Place, column: str = "") -> str:
    """Return what can be a pseudonym or label; raise Faulty where it cannot."""
    text = text.strip()
    if wrong := fitting.fault(text):
        raise Faulty(place, wrong, column)
    return text


def patient_id(text: str, place: Place, column: str = "") -> str:
    """Return a PatientID without outer blanks; raise Faulty where a spreadsheet has made a number of it."""
    text = text.strip()
    if _ROUNDED.fullmatch(text):
        raise Faulty(place, "is a number that a spreadsheet has rounded: format the column as text", column)
    return text


def normal(text: str) -> str:
    """Return a PatientID as it is compared: without case and outer blanks."""
    return text.strip().casefold()


def without_sub(text: str) -> str:
    """Return a PatientID as it is compared where a file may name folders of PACSIFIER: `sub-1234` is 1234."""
    return normal(text).removeprefix("sub-")


def without_zeros(text: str) -> str:
    """Return a PatientID as it is compared where leading zeros were lost."""
    return normal(text).lstrip("0")
