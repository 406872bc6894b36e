"""identity.db of dicom-anon: a SQLite file with a table for each attribute, whose rows belong to studies.

A patient has an alias in each of his studies there, and one pseudonym here: the first of them, the others are told.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..forms.entry import normal
from .patients import Pair, merged
from .row import Kind, Row, Told

# What an attribute's table is called, in both generations.
TABLES: dict[Kind, tuple[str, ...]] = {
    "patient": ("patientid", "patient"),
    "study": ("studyinstanceuid", "studyuid"),
    "series": ("seriesinstanceuid", "seriesuid"),
    "instance": ("sopinstanceuid", "sopuid"),
    "accession": ("accessionnumber", "accession_no"),
}
REMOVED = "^^Audit Trail - Removed by dicom-anon - Audit Trail^^"
OF_TWO = "the study is of two patients"
NOTHING_LEFT = "values that were removed, not replaced"
NOT_ONE = "UIDs that are none, or several"
UNKNOWN = "values of studies whose patient has no pseudonym there"
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_MOST_UID = 64


class NotIdentities(ValueError):
    """The file is something else; the message repeats nothing of it."""


@dataclass(frozen=True, slots=True, repr=False)
class _Cell:
    """A row of a table; `study`: 0 where the table does not tell."""

    place: str
    number: int
    original: str
    cleaned: str
    study: int


def rows(path: Path, told: Told) -> Iterator[Row]:
    """Yield patients, then the values of their studies.

    Raises
    ------
    NotIdentities
        It is no SQLite file, or has no table of PatientIDs.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as database:
            yield from _Reader(database, told).rows()
    except sqlite3.Error as error:
        raise NotIdentities(f"not a SQLite file that can be read ({type(error).__name__})") from None


class _Reader:
    def __init__(self, database: sqlite3.Connection, told: Told) -> None:
        self._database, self._told = database, told
        self._columns = dict(self._described())

    def rows(self) -> Iterator[Row]:
        if not self._table("patient"):
            raise NotIdentities("it has no table patientid with the columns original and cleaned")
        every = list(self._cells("patient"))
        pairs = (Pair(cell.place, cell.original, cell.cleaned) for cell in every)
        patients = merged(pairs, self._told, first_wins=True)
        yield from patients.values()
        owners = self._owners(every, patients)
        for kind in ("study", "series", "instance", "accession"):
            yield from self._values(kind, owners)

    def _owners(self, cells: list[_Cell], patients: dict[str, Row]) -> dict[int, Row]:
        """Return the patient of each study; a study of two patients has none."""
        found: dict[int, set[str]] = {}
        for cell in cells:
            if cell.study:
                found.setdefault(cell.study, set()).add(normal(cell.original))
        table = self._table("study") or "study"
        self._told.conflicts += [(f"{table} {study}", OF_TWO) for study, keys in found.items() if len(keys) > 1]
        one = {study: next(iter(keys)) for study, keys in found.items() if len(keys) == 1}
        return {study: patients[key] for study, key in one.items() if key in patients}

    def _values(self, kind: Kind, owners: dict[int, Row]) -> Iterator[Row]:
        for cell in self._cells(kind):
            owner = owners.get(cell.number if kind == "study" else cell.study)
            if kind != "accession" and not (_is_uid(cell.original) and _is_uid(cell.cleaned)):
                self._told.passed_over[NOT_ONE] += 1
            elif owner is None:
                self._told.passed_over[UNKNOWN] += 1
            else:
                yield Row(cell.place, owner.patient_id, owner.pseudonym, kind, cell.original, cell.cleaned)

    def _cells(self, kind: Kind) -> Iterator[_Cell]:
        """Yield the rows of an attribute that are a mapping."""
        table = self._table(kind)
        if not table:
            return
        study = "study" if "study" in self._columns[table] else "0"
        query = f'SELECT rowid, original, cleaned, {study} FROM "{table}" ORDER BY rowid'  # noqa: S608  # from TABLES
        for number, original, cleaned, of in self._database.execute(query):
            old, new = _text(original), _text(cleaned)
            if REMOVED in (old, new) or not (old and new):
                self._told.passed_over[NOTHING_LEFT] += 1
                continue
            yield _Cell(f"{table} {number}", number, old, new, of if isinstance(of, int) else 0)

    def _table(self, kind: Kind) -> str:
        return next((name for name in TABLES[kind] if name in self._columns), "")

    def _described(self) -> Iterator[tuple[str, set[str]]]:
        """Yield the tables of originals and what became of them, with their columns."""
        for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1] for row in self._database.execute("SELECT * FROM pragma_table_info(?)", (name,))}
            if {"original", "cleaned"} <= columns:
                yield name, columns


def _text(value: object) -> str:
    return "" if value is None else str(value).strip("\x00 ")


def _is_uid(text: str) -> bool:
    return len(text) <= _MOST_UID and _UID.fullmatch(text) is not None
