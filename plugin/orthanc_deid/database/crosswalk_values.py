"""What values of patients' studies became: noted, and found again.

A UID may have become several: another system has named the study before, or the profile left UIDs as they were once.
The first is found by the digest of the UID, each other one by that of the UID and a number, so that all are found from
both sides.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from .crosswalk_place import Mapped, Place
from .crosswalk_tables import INSTANCE, SERIES, STUDY, crosswalk

MOST_VALUES = 8  # that one UID of a patient became
IMPORTED = "imported"  # in `Mapped.more`: another system has named it
_UIDS = (STUDY, SERIES, INSTANCE)
_AT_ONCE = 500  # digests in one question
INSERT = {
    name: dialect.insert(crosswalk).on_conflict_do_nothing()
    for name, dialect in {"sqlite": sqlite, "postgresql": postgresql}.items()
}


def note_values(connection: Connection, place: Place, patient: int, wanted: Sequence[Mapped]) -> None:
    """Write what is not there yet; what is there stays."""
    for number in range(MOST_VALUES):
        rows = [place.row(patient, each, number) for each in wanted]
        # In one order, so that two who note the same study wait for each other and never in a circle.
        ordered = sorted(rows, key=lambda row: (row["kind"], row["original"]))
        query = INSERT[connection.dialect.name].returning(crosswalk.c.id)
        if len(connection.execute(query, ordered).all()) == len(rows):
            return
        there = _there(connection, place, patient, rows)
        wanted = [
            each
            for each, row in zip(wanted, rows, strict=True)
            if each.kind in _UIDS and there.get(row["original"]) != row["replaced"]
        ]
        if not wanted:
            return


def by_original(
    connection: Connection, place: Place, kind: int, texts: Sequence[str], patient: int | None = None
) -> Iterator[tuple[str, Row[Any]]]:
    """Yield the rows of what some texts became, of all patients or one."""
    for number in range(MOST_VALUES if kind in _UIDS else 1):
        asked = {place.original(kind, text, number): text for text in texts}
        found = _rows(connection, place, kind, list(asked), patient)
        yield from ((asked[row.original], row) for row in found)
        texts = list(dict.fromkeys(asked[row.original] for row in found))
        if not texts:
            return


def _there(connection: Connection, place: Place, patient: int, rows: Sequence[Mapping[str, Any]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind in {row["kind"] for row in rows}:
        digests = [row["original"] for row in rows if row["kind"] == kind]
        found |= {row.original: row.replaced for row in _rows(connection, place, kind, digests, patient)}
    return found


def _rows(
    connection: Connection, place: Place, kind: int, digests: Sequence[bytes], patient: int | None
) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    mine = (crosswalk.c.patient_id == patient,) if patient is not None else ()
    for at in range(0, len(digests), _AT_ONCE):
        which = crosswalk.c.original.in_(digests[at : at + _AT_ONCE])
        query = select(crosswalk).where(crosswalk.c.project_id == place.number, crosswalk.c.kind == kind, which, *mine)
        found += connection.execute(query.order_by(crosswalk.c.id)).all()
    return found
