"""A CSV file without a head, `old,new` in each line; the head of our own patid_mapping.csv is known."""

from collections.abc import Iterator

from .csv_rows import rows
from .entry import Entry, Faulty, fitting_text, patient_id, without_sub

OWN_HEAD = ["id_old", "id_new"]


def two_columns(text: str) -> Iterator[Entry]:
    """Yield the entries of all lines."""
    for row in rows(text):
        if row.cells == OWN_HEAD and row.place.line == 1:
            continue
        if len(row.cells) != len(OWN_HEAD) or not all(row.cells):
            raise Faulty(row.place, "holds something else than two cells, none of them empty")
        old, new = row.cells
        key = without_sub(patient_id(old, row.place, "1"))
        if not key:
            raise Faulty(row.place, "the PatientID is empty", "1")
        yield Entry(row.place, fitting_text(new, row.place, "2"), key)
