"""What other systems have called patients and studies, read from their files into rows for the crosswalk."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...errors import Retriable
from ..forms import content, day_shifts
from ..forms.csv_rows import rows as csv_rows
from ..forms.entry import Faulty
from ..forms.two_columns import OWN_HEAD
from . import identity_db, lists, own_uids
from .identity_db import NotIdentities
from .row import Row, Told

IDENTITY_DB, UID_MAPPING, PATID_MAPPING = "identity-db", "uid-mapping", "patid-mapping"
FORMS = (IDENTITY_DB, *lists.LISTS, UID_MAPPING)
_SQLITE = b"SQLite format 3\x00"
PATIENTS_BESIDE = "patid_mapping.csv"


class Unreadable(ValueError):
    """A file cannot be imported; the message names line and mend, and repeats no value."""


@dataclass(frozen=True)
class Wanted:
    """What a person named; `tree`: OUT of the folder that a uid_mapping.csv is of."""

    file: Path
    form: str = "auto"
    day_shift: Path | None = None
    tree: Path | None = None


def read(wanted: Wanted, told: Told) -> Iterator[Row]:
    """Yield the rows of a file, patients first; `told` is whole at the end.

    Raises
    ------
    Unreadable
        It is faulty, or what kind of file it is cannot be told.
    """
    try:
        form = _told_form(wanted.file) if wanted.form == "auto" else wanted.form
        if form == IDENTITY_DB:
            yield from identity_db.rows(wanted.file, told)
        elif form == UID_MAPPING:
            yield from _uids(wanted, told)
        else:
            shifts = day_shifts.day_shifts(_text(wanted.day_shift)) if wanted.day_shift else None
            yield from lists.patients(form, _text(wanted.file), shifts, told)
    except (Faulty, NotIdentities, Retriable) as error:
        raise Unreadable(str(error)) from None


def _uids(wanted: Wanted, told: Told) -> Iterator[Row]:
    beside = wanted.file.with_name(PATIENTS_BESIDE)
    if wanted.tree is None or not beside.exists():
        raise Unreadable(
            "a mapping of UIDs says neither level nor patient: name OUT by --tree, and keep"
            f" {PATIENTS_BESIDE} beside the file"
        )
    patients = {row.patient_id: row for row in lists.patients(PATID_MAPPING, _text(beside), None, told)}
    yield from chain(patients.values(), own_uids.uids(_text(wanted.file), patients, wanted.tree, told))


def _told_form(file: Path) -> str:
    """Return what kind of file it is, by its content, and by its name where that does not tell."""
    try:
        with file.open("rb") as stream:
            head = stream.read(len(_SQLITE))
    except OSError as error:
        raise Unreadable(f"it cannot be read ({type(error).__name__})") from None
    if head == _SQLITE:
        return IDENTITY_DB
    text = _text(file)
    if text.lstrip().startswith("{"):
        return "mapper" if file.name.casefold() == "mapper.json" else "new-ids"
    first = next(csv_rows(text), None)
    if first is not None and first.cells == OWN_HEAD:
        return UID_MAPPING if file.name.startswith("uid_") else PATID_MAPPING
    return "two-columns"


def _text(path: Path) -> str:
    return content.read(path, "the file").text


__all__ = ["FORMS", "Row", "Told", "Unreadable", "Wanted", "read"]
