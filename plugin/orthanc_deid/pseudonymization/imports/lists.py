"""Lists of patients: `new_ids_*.json`, `mapper.json`, a CSV file `old,new`, and our own patid_mapping.csv."""

from collections.abc import Callable, Iterator, Mapping

from ..forms import csv_rows, flat_json
from ..forms.day_shifts import Shifts
from ..forms.entry import Faulty, Place, patient_id, without_sub
from ..forms.two_columns import OWN_HEAD
from .patients import Pair, merged
from .row import Row, Told

NO_SHIFT = "the file of day shifts does not list the patient"
Read = Callable[[str], Iterator[tuple[Place, str, str]]]  # place, old, new


def patients(form: str, text: str, shifts: Shifts | None, told: Told) -> Iterator[Row]:
    """Yield the patients of a list; raises Faulty where it cannot be read."""
    pairs = [Pair(str(place), patient_id(old, place), new.strip()) for place, old, new in LISTS[form](text)]
    yield from _shifted(merged(pairs, told), shifts, told)


def _shifted(rows: Mapping[str, Row], shifts: Shifts | None, told: Told) -> Iterator[Row]:
    for row in rows.values():
        key = without_sub(row.patient_id)
        if shifts is None:
            yield row
        elif key in shifts:
            yield Row(row.place, row.patient_id, row.pseudonym, offset_days=shifts[key])
        else:
            told.conflicts.append((row.place, NO_SHIFT))


def _new_ids(text: str) -> Iterator[tuple[Place, str, str]]:
    return ((pair.place, _raw(pair.key), pair.value) for pair in flat_json.pairs(text))


def _mapper(text: str) -> Iterator[tuple[Place, str, str]]:
    return ((pair.place, _raw(pair.value), pair.key) for pair in flat_json.pairs(text))


def _two_columns(text: str) -> Iterator[tuple[Place, str, str]]:
    """Yield old and new; ids of our own mapping are as they are, others may be folders of PACSIFIER."""
    is_ours = False
    for row in csv_rows.rows(text):
        if row.cells == OWN_HEAD and row.place.line == 1:
            is_ours = True
            continue
        if len(row.cells) != len(OWN_HEAD) or not all(row.cells):
            raise Faulty(row.place, "holds something else than two cells, none of them empty")
        old, new = row.cells
        yield row.place, old if is_ours else _raw(old), new


def _raw(text: str) -> str:
    return text.strip().removeprefix("sub-")


LISTS: Mapping[str, Read] = {
    "new-ids": _new_ids,
    "mapper": _mapper,
    "two-columns": _two_columns,
    "patid-mapping": _two_columns,
}
