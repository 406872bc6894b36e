"""Many studies at once: what the ledger says of them, and which a person calls processed."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Retriable
from . import awaited
from .events import audit, short
from .tables import event, study

MARKED = "marked as processed by "  # and the name of who did it: begins the reason of a study that is ignored so


@dataclass(frozen=True)
class Known:
    """What the ledger says of studies, by their Orthanc ids; `outputs` are results of ours."""

    rows: Mapping[str, tuple[str, str]]  # source to state and project
    outputs: frozenset[str]
    further: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)  # of further projects


@dataclass(frozen=True)
class Marked:
    """How many studies were marked, had ended before, are at work, or are results of ours."""

    marked: int = 0
    already: int = 0
    at_work: int = 0
    results: int = 0


def is_marked(status: str, reason: str | None) -> bool:
    """Tell whether a study is ignored because a person called it processed."""
    return status == states.IGNORED and (reason or "").startswith(MARKED)


def known(engine: Engine, sources: Sequence[str]) -> Known:
    """Look up at most some thousands of Orthanc ids."""
    with engine.connect() as connection:
        columns = (study.c.source, study.c.copy_of, study.c.status, study.c.project)
        rows = connection.execute(select(*columns).where(study.c.source.in_(sources))).all()
        further: dict[str, list[tuple[str, str]]] = {}
        for row in connection.execute(select(*columns).where(study.c.copy_of.in_(sources)).order_by(study.c.id)):
            further.setdefault(row.copy_of, []).append((row.status, row.project))
        return Known({r.source: (r.status, r.project) for r in rows}, _outputs(connection, sources), further)


def mark(
    engine: Engine, found: Mapping[str, str | None], actor: str, *, may_change: Sequence[str | None] = ()
) -> Marked:
    """Have studies ignored for good, in one transaction, each with its event; those that are not known are added.

    `found` maps Orthanc ids to Orthanc's LastUpdate, None where this Orthanc does not hold the study; `may_change` are
    reasons for which a study may be ignored until now and is marked all the same.
    """
    for _ in range(3):
        try:
            with engine.begin() as connection:
                return _mark(connection, found, actor, may_change)
        except IntegrityError:
            continue  # another process made one of them known in this moment
    raise Retriable("studies become known at this moment: ask once more")


def _mark(
    connection: Connection, found: Mapping[str, str | None], actor: str, may_change: Sequence[str | None]
) -> Marked:
    outputs = _outputs(connection, list(found))
    wanted = [source for source in found if source not in outputs]
    locked = connection.execute(
        select(study)
        .where(or_(study.c.source.in_(wanted), study.c.copy_of.in_(list(found))))
        .order_by(study.c.id)  # all at once and as whoever else locks several: else two wait for each other
        .with_for_update()
    ).all()
    rows = [row for row in locked if row.source in found]
    further = [row for row in locked if row.source not in found and row.status in (states.RECEIVED, states.WAITING)]
    open_ = [row for row in rows if _is_open(row.status, row.reason, may_change)]
    new = found.keys() - outputs - {row.source for row in rows}
    reason = short(MARKED + actor)
    _ignore(connection, {row.id: found[row.source] for row in open_}, reason)
    _add(connection, {source: found[source] for source in found if source in new}, reason)
    marked = [row.source for row in open_] + list(new)
    _ignore(connection, {row.id: row.last_update for row in further}, reason)  # where they have not begun
    _note(connection, [*marked, *(row.source for row in further)], reason, actor)
    at_work = sum(row.status in states.ACTIVE for row in rows)
    return Marked(len(marked), len(rows) - len(open_) - at_work, at_work, len(outputs))


def _is_open(status: str, reason: str | None, may_change: Sequence[str | None]) -> bool:
    """Tell whether automatic processing would still take a study; what has ended otherwise it leaves alone anyhow."""
    if status == states.IGNORED:
        return reason in may_change
    return status in (states.RECEIVED, states.WAITING)


def _ignore(connection: Connection, numbers: Mapping[int, str | None], reason: str | None) -> None:
    if not numbers:
        return
    values = {"status": states.IGNORED, "reason": reason, "recheck": 0, "updated_at": time.time()}
    connection.execute(
        update(study).where(study.c.id == bindparam("number")).values(**values, last_update=bindparam("seen")),
        [{"number": number, "seen": seen} for number, seen in numbers.items()],
    )
    for number in numbers:
        awaited.end(connection, number)  # else its source would be asked for ever, and to send what is missing


def _add(connection: Connection, found: Mapping[str, str | None], reason: str | None) -> None:
    if not found:
        return
    now = time.time()
    row = dict.fromkeys(("version", "verified_version", "run", "attempt", "recheck"), 0)
    both = row | {"project": "", "status": states.IGNORED, "reason": reason, "created_at": now, "updated_at": now}
    connection.execute(
        insert(study), [both | {"source": source, "last_update": seen} for source, seen in found.items()]
    )


def _note(connection: Connection, sources: Iterable[str], reason: str | None, actor: str) -> None:
    rows = connection.execute(select(study.c.id, study.c.version).where(study.c.source.in_(list(sources)))).all()
    if rows:
        both = {"at": time.time(), "status": states.IGNORED, "reason": reason, "actor": actor[:64]}
        connection.execute(insert(event), [both | {"study_id": r.id, "version": r.version} for r in rows])
    for row in rows:
        audit(connection, row.id, row.version, states.IGNORED, reason, actor)


def _outputs(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    query = select(study.c.output).where(study.c.output.in_(ids), study.c.output != study.c.source)
    return frozenset(output for output in connection.scalars(query) if output)
