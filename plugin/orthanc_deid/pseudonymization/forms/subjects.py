"""The subject maps of image-deid-etl: a CSV file of each programme; the pseudonym is the subject."""

from collections.abc import Iterator

from . import persons
from .csv_rows import Headed
from .entry import Entry, Faulty, Place, fitting_text, patient_id, without_zeros

CBTN = ("CBTN Subject ID", "MRN", "First Name", "Last Name", "DOB")
CORSICA = ("SDG-ID", "Last Name", "First Name", "MRN")


def cbtn(text: str) -> Iterator[Entry]:
    """Yield the rows of cbtn, one for each diagnosis: found by MRN without leading zeros, else by name."""
    yield from _entries(text, CBTN)


def corsica(text: str) -> Iterator[Entry]:
    """Yield the rows of corsica, which are found by name alone."""
    yield from _entries(text, CORSICA)


def _entries(text: str, columns: tuple[str, ...]) -> Iterator[Entry]:
    for place, cells in Headed(text, columns):
        mrn = without_zeros(patient_id(cells["MRN"], place, "MRN"))
        name = persons.name(cells["Last Name"], cells["First Name"])
        if not (mrn or name):
            raise Faulty(place, "names nobody: it has neither an MRN nor a first and last name")
        subject = fitting_text(cells[columns[0]], place, columns[0])
        yield Entry(place, subject, mrn, name=name, birth_date=_born(cells.get("DOB", ""), place))


def _born(text: str, place: Place) -> str:
    try:
        return persons.birth_date(text, american=True)
    except ValueError as error:
        raise Faulty(place, str(error), "DOB") from None
