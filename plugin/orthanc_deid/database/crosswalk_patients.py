"""Rows of patients: found, and written with a pseudonym that nobody else has."""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import count

from sqlalchemy import Connection, bindparam, select, update

from ..errors import Rejected
from .audit import record
from .crosswalk_place import Identity, Known, Place, follow
from .crosswalk_tables import PATIENT, crosswalk, crosswalk_project
from .crosswalk_values import INSERT

TAKEN = "the pseudonym is another patient's in this project"
REFUSED = (
    f"{TAKEN}: correct the source, or give this patient one by a list; with kind derived a longer {{code:N}} makes that"
    " rare"
)
# Made once: to make a question takes as long as to have it answered.
ORIGINAL = (
    select(crosswalk)
    .where(
        crosswalk.c.project_id == bindparam("project"), crosswalk.c.kind == bindparam("its_kind"),
        crosswalk.c.original == bindparam("digest"),
    )
    .limit(1)
)  # fmt: skip


def known_of(connection: Connection, place: Place, identity: Identity) -> Known | None:
    """Return what is known of a patient, after all aliases."""
    identity = follow(connection, place, identity)
    digest = place.original(PATIENT, identity.normal)
    row = connection.execute(ORIGINAL, {"project": place.number, "its_kind": PATIENT, "digest": digest}).first()
    return None if row is None else place.known(row)


def insert_patient(connection: Connection, place: Place, known: Known, source: str) -> Known | None:
    """Write a patient's row, audited; None: he has one, or his pseudonym is another's."""
    query = INSERT[connection.dialect.name].returning(crosswalk.c.id)
    row = connection.scalar(query, place.patient_row(known, known.identity))
    if row is None:
        return None
    record(connection, "pseudonym", actor="system", project=place.project, source=source or None)
    return replace(known, row=row)


def next_patient(
    connection: Connection, place: Place, present: Identity, pseudonym: Callable[[int], Known], own: Collection[str]
) -> Known:
    """Write a patient's row with the first number that is free and none of his own, behind the last one."""
    mine = crosswalk_project.c.id == place.number
    last = connection.scalar(select(crosswalk_project.c.last_number).where(mine)) or 0
    before = ""
    for number in count(last + 1):
        wanted = pseudonym(number)
        if wanted.pseudonym == before:
            raise Rejected(REFUSED)
        is_own = wanted.pseudonym.casefold() in own
        found = None if is_own else insert_patient(connection, place, replace(wanted, identity=present), "sequence")
        if found:
            connection.execute(update(crosswalk_project).where(mine).values(last_number=number))
            return found
        before = wanted.pseudonym
    raise AssertionError  # count() has no end
