"""Any CSV file with a head, whose columns the configuration names."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from ...settings.pseudonym_file import Columns
from .. import fitting
from . import persons
from .csv_rows import Headed
from .entry import Entry, Faulty, Place, fitting_text, normal, patient_id

ValueT = TypeVar("ValueT")


def columns(text: str, named: Columns) -> Iterator[Entry]:
    """Yield the entry of each row."""
    present = {what: column for what, column in named.model_dump().items() if column}
    for place, cells in Headed(text, list(present.values())):
        yield _entry(place, named, {what: cells[column] for what, column in present.items()})


def _entry(place: Place, named: Columns, cells: dict[str, str]) -> Entry:
    key = normal(patient_id(cells.get("patient_id", ""), place, named.patient_id))
    name = persons.written_name(cells.get("name", ""))
    if not (key or name):
        raise Faulty(place, "names nobody: it has neither a PatientID nor a name with both its parts")
    return Entry(
        place=place,
        pseudonym=fitting_text(cells["pseudonym"], place, named.pseudonym),
        patient_id=key,
        issuer=normal(cells["issuer"]) if "issuer" in cells else None,
        name=name,
        birth_date=_read(persons.birth_date, cells.get("birth_date", ""), place, named.birth_date) or "",
        offset_days=_read(fitting.days, cells.get("offset_days", ""), place, named.offset_days),
        subject=_label(cells, "subject", place, named.subject),
        session=_label(cells, "session", place, named.session),
    )


def _read(reader: Callable[[str], ValueT], text: str, place: Place, column: str) -> ValueT | None:
    if not text:
        return None
    try:
        return reader(text)
    except ValueError as error:
        raise Faulty(place, str(error), column) from None


def _label(cells: dict[str, str], what: str, place: Place, column: str) -> str:
    return fitting_text(cells[what], place, column) if cells.get(what) else ""
