"""The days that PACSIFIER adds to the dates of each patient: `day_shift_*.json`, or `date_offsets.csv` with folders."""

from collections.abc import Mapping

from .. import fitting
from .entry import Faulty, Place, without_sub
from .flat_json import pairs

# By PatientID as it is compared; None: 0, which leaves dates as they are and is replaced by the project's own.
Shifts = Mapping[str, int | None]


def day_shifts(text: str) -> Shifts:
    """Read `{"sub-1234": -5, "1235": "7"}`."""
    found: dict[str, tuple[Place, int | None]] = {}
    for pair in pairs(text):
        key, days = without_sub(pair.key), _days(pair.value, pair.place)
        place, first = found.setdefault(key, (pair.place, days))
        if first != days:
            raise Faulty(pair.place, f"the patient has another number of days in {place}")
    return {key: days for key, (_place, days) in found.items()}


def date_offsets(text: str, folders: str) -> Shifts:
    """Read the one line of numbers, of which the n-th is of the n-th folder."""
    numbers = [cell.strip() for cell in text.strip().split(",")]
    names = [without_sub(line) for line in folders.splitlines() if line.strip()]
    if len(numbers) != len(names):
        raise Faulty(Place(1), f"holds {len(numbers)} numbers, and there are {len(names)} folders")
    if len(set(names)) != len(names):
        raise Faulty(Place(1), "the list of folders names one twice")
    place = Place(1)
    return {name: _days(cell, place, str(at)) for at, (name, cell) in enumerate(zip(names, numbers, strict=True), 1)}


def _days(text: str, place: Place, column: str = "") -> int | None:
    try:
        return fitting.days(text)
    except ValueError as error:
        raise Faulty(place, str(error), column) from None
