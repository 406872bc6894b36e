"""The patients of a file, found by id and by name; a file that contradicts itself makes no table."""

from collections.abc import Callable, Iterable, Sequence

from ...confidentiality.pseudonyms import Patient
from ..base import Missing
from . import persons
from .entry import Entry, Faulty, normal

UNLISTED = Missing("the file of pseudonyms does not list the patient")
AMBIGUOUS = Missing("the file of pseudonyms lists several patients of that name: list this one by his PatientID")
BORN_OTHERWISE = Missing("the patient's birth date is another one than in the file of pseudonyms")
NO_BIRTH_DATE = Missing("the patient's birth date cannot be read, so that it cannot be compared with the file's")
Found = tuple[Entry, ...]  # of one patient; they differ in birth dates alone


class Table:
    """Looks up in constant time.

    Parameters
    ----------
    entries
        Of the file, in its order.
    key
        How a PatientID is compared; the entries have theirs so already.
    by_id
        False: the PatientID is not compared at all.

    Raises
    ------
    Faulty
        One patient has two pseudonyms, or two patients have one.
    """

    def __init__(self, entries: Iterable[Entry], key: Callable[[str], str] = normal, *, by_id: bool = True) -> None:
        self._key, self._is_by_id = key, by_id
        self._by_id: dict[str, Found] = {}
        self._by_name: dict[str, list[Entry]] = {}
        self._by_pseudonym: dict[str, Found] = {}
        for entry in entries:
            self._add(entry)

    def __len__(self) -> int:
        """Return the number of pseudonyms."""
        return len(self._by_pseudonym)

    def find(self, patient: Patient, read: Callable[[str], str]) -> Entry | Missing:
        """Return the entry of a patient; by his name only where his PatientID is not listed, and never by a guess."""
        key = self._key(patient.patient_id)
        found: Sequence[Entry] = ()
        if self._is_by_id and key:
            found = self._by_id.get(_at(normal(patient.issuer), key)) or self._by_id.get(_at(None, key), ())
        if not found and self._by_name:
            found = self._by_name.get(persons.written_name(read("PatientName")), ())
        return _chosen(found, read) if found else UNLISTED

    def _add(self, entry: Entry) -> None:
        if entry.patient_id:
            at = _at(entry.issuer, entry.patient_id)
            same = self._by_id.get(at, ())
            if same and not _agree(entry, same[0]):
                raise Faulty(entry.place, f"the patient of {same[0].place} has another pseudonym or label here")
            self._by_id[at] = _with(same, entry)
        pseudonym = entry.pseudonym.casefold()
        holders = self._by_pseudonym.get(pseudonym, ())
        if holders and not any(_is_same(entry, other) for other in holders):
            raise Faulty(entry.place, f"the pseudonym of {holders[0].place} is given to another patient here")
        if holders and not _agree(entry, holders[0]):
            raise Faulty(entry.place, f"the patient of {holders[0].place} has another pseudonym or label here")
        self._by_pseudonym[pseudonym] = _with(holders, entry)
        if entry.name:
            self._by_name.setdefault(entry.name, []).append(entry)


def _chosen(found: Sequence[Entry], read: Callable[[str], str]) -> Entry | Missing:
    if any(entry.birth_date for entry in found):
        try:
            born = persons.birth_date(read("PatientBirthDate"))
        except ValueError:
            return NO_BIRTH_DATE
        found = [entry for entry in found if not (born and entry.birth_date and entry.birth_date != born)]
    if not found:
        return BORN_OTHERWISE
    if len({entry.pseudonym.casefold() for entry in found}) > 1:
        return AMBIGUOUS
    return found[0]


def _at(issuer: str | None, key: str) -> str:
    return f"\x00{key}" if issuer is None else f"{issuer}\x00\x00{key}"


def _with(found: Found, entry: Entry) -> Found:
    """Add what an entry tells that the others do not."""
    told = {(other.pseudonym.casefold(), other.patient_id, other.name, other.birth_date) for other in found}
    one = (entry.pseudonym.casefold(), entry.patient_id, entry.name, entry.birth_date)
    return found if one in told else (*found, entry)


def _agree(one: Entry, other: Entry) -> bool:
    return _labels(one) == _labels(other)


def _labels(entry: Entry) -> tuple[str, int | None, str, str]:
    return entry.pseudonym.casefold(), entry.offset_days, entry.subject, entry.session


def _is_same(one: Entry, other: Entry) -> bool:
    """Tell whether two entries of one pseudonym are one patient."""
    if one.patient_id and other.patient_id:
        return (one.issuer, one.patient_id) == (other.issuer, other.patient_id)
    is_born_otherwise = one.birth_date and other.birth_date and one.birth_date != other.birth_date
    return bool(one.name) and one.name == other.name and not is_born_otherwise
