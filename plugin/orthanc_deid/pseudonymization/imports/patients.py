"""Patients of an import brought together: one pseudonym for each, and each pseudonym for one."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..forms.entry import normal
from .row import Row, Told

TWO_PSEUDONYMS = "the patient has another pseudonym in another row"
TWO_PATIENTS = "the pseudonym is given to another patient in another row"


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """What a row says of a patient."""

    place: str
    patient_id: str
    pseudonym: str
    offset_days: int | None = None


def merged(pairs: Iterable[Pair], told: Told, *, first_wins: bool = False) -> dict[str, Row]:
    """Return a row for each patient, by his PatientID as it is compared; what contradicts itself is told instead.

    `first_wins`: of several pseudonyms of one patient the first is his, and the others are told.
    """
    by_patient: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_patient.setdefault(normal(pair.patient_id), []).append(pair)
    holders: dict[str, set[str]] = {}
    for key, same in by_patient.items():
        for pair in same:
            holders.setdefault(normal(pair.pseudonym), set()).add(key)
    found = {key: _one(same, told, holders, first_wins=first_wins) for key, same in by_patient.items()}
    return {key: row for key, row in found.items() if row is not None}


def _one(same: list[Pair], told: Told, holders: dict[str, set[str]], *, first_wins: bool) -> Row | None:
    first = same[0]
    others = [pair for pair in same if normal(pair.pseudonym) != normal(first.pseudonym)]
    shared = [pair for pair in same if len(holders[normal(pair.pseudonym)]) > 1]
    if shared:
        told.conflicts += [(pair.place, TWO_PATIENTS) for pair in shared]
        return None
    told.conflicts += [(pair.place, TWO_PSEUDONYMS) for pair in others]
    if others and not first_wins:
        told.conflicts.append((first.place, TWO_PSEUDONYMS))
        return None
    return Row(first.place, first.patient_id, first.pseudonym, offset_days=first.offset_days)
