"""The JSON files of PACSIFIER: `new_ids_*.json` (old to new) and `mapper.json` (new to old)."""

from collections.abc import Iterator

from .entry import Entry, Faulty, fitting_text, patient_id, without_sub
from .flat_json import Pair, pairs


def new_ids(text: str) -> Iterator[Entry]:
    """Yield the entries of `{"sub-1234": "P0001"}`; the keys are folders or raw ids."""
    for pair in pairs(text):
        yield _entry(pair, old=pair.key, new=pair.value)


def mapper(text: str) -> Iterator[Entry]:
    """Yield the entries of `{"P0001": "1234"}`."""
    for pair in pairs(text):
        yield _entry(pair, old=pair.value, new=pair.key)


def _entry(pair: Pair, *, old: str, new: str) -> Entry:
    key = without_sub(patient_id(old, pair.place))
    if not key:
        raise Faulty(pair.place, "the PatientID is empty")
    return Entry(pair.place, fitting_text(new, pair.place), key)
