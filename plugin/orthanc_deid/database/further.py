"""Further projects of a study: a row each, beside that of its first project and bound to the same source."""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, insert, select

from .. import states
from ..errors import Conflict
from .audit import record
from .events import note, remark
from .studies import Study, address_of
from .tables import study

NONE: Mapping[str, str] = MappingProxyType({})
BELONGS = "belongs to "  # begins the event that says by which rule a study is in its project


def add(connection: Connection, first: Study, projects: Mapping[str, str]) -> None:
    """Make rows of further projects, each to be looked at soon; those that are there stay as they are.

    `projects`: name to why. The row of the first project is locked, so that two never do it at once.
    """
    addresses = {address_of(first.source, project): project for project in projects}
    query = select(study.c.source).where(study.c.source.in_(addresses))
    known = set(connection.scalars(query)) if addresses else set()
    for address, project in addresses.items():
        if address not in known and not (first.run and first.project == project):
            _insert(connection, first.source, address, project, projects[project])


def _insert(connection: Connection, source: str, address: str, project: str, why: str) -> None:
    now = time.time()
    row = dict.fromkeys(("version", "verified_version", "run", "attempt"), 0)
    names = {"source": address, "copy_of": source, "project": project, "status": states.RECEIVED}
    connection.execute(insert(study).values(**row, **names, recheck=1, created_at=now, updated_at=now))
    number = connection.scalar(select(study.c.id).where(study.c.source == address))
    assert number  # noqa: S101  # inserted by this transaction
    record(connection, "received", actor="system", study_id=number, project=project)
    note(connection, number, 0, states.RECEIVED, None, "system")
    remark(connection, number, 0, states.RECEIVED, f"{BELONGS}{project}: {why}", "system")


def demand_free(connection: Connection, found: Study, project: str) -> None:
    """Raise Conflict where a study would begin in a project that it is a further study of: one output of two rows."""
    if found.is_further:
        return
    others = (study.c.copy_of == found.source, study.c.project == project)
    if connection.scalar(select(study.c.id).where(*others).limit(1)) is not None:
        raise Conflict(f"study {found.id}: project {project} has it as a further study already")


def siblings(connection: Connection, source: str, but: int) -> Sequence[Any]:
    """Return project, address and state of the other rows of a source, that of the first project before others."""
    query = (
        select(study.c.project, study.c.source.label("address"), study.c.status)
        .where((study.c.source == source) | (study.c.copy_of == source), study.c.id != but)
        .order_by(study.c.copy_of.is_not(None), study.c.id)
    )
    return connection.execute(query).all()
