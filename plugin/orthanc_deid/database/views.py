"""What people and machines read of the ledger: the answers of the REST interface as plain values."""

import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from .. import states
from ..errors import NotFound
from .conflicts import count_undecided
from .further import BELONGS, siblings
from .intake_tables import awaited
from .tables import delivery, event, instance, study


def studies(  # noqa: PLR0913  # the filters of a page
    engine: Engine, *, status: str | None = None, project: str | None = None, profile: str | None = None,
    limit: int = 100, after: int | None = None,
) -> tuple[list[dict[str, Any]], int | None]:  # fmt: skip
    """Return a page of studies, newest first, and where the next page begins (None: there is none).

    `profile`: name or digest of the one that made their outputs.
    """
    query = select(study).order_by(study.c.id.desc()).limit(limit + 1)
    if status:
        query = query.where(study.c.status.in_(status.split(",")))
    if project:
        query = query.where(study.c.project == project)
    if profile:
        query = query.where((study.c.profile == profile) | (study.c.profile_digest == profile))
    if after is not None:
        query = query.where(study.c.id < after)
    with engine.connect() as connection:
        rows = list(connection.execute(query))
        page = [_summary(connection, row) for row in rows[:limit]]
    return page, rows[limit - 1].id if len(rows) > limit else None


def one(engine: Engine, source: str) -> dict[str, Any]:
    """Return one study with its events, by the Orthanc id of its source or output or by its address; else NotFound.

    By its source: in its first project; `also` tells of the others.
    """
    with engine.connect() as connection:
        row = connection.execute(
            select(study).where((study.c.source == source) | (study.c.output == source)).order_by(study.c.id)
        ).first()
        if row is None:
            raise NotFound("no study of that id is known")
        events = connection.execute(select(event).where(event.c.study_id == row.id).order_by(event.c.id)).all()
        told = [e.reason for e in events if (e.reason or "").startswith(BELONGS)]
        others = siblings(connection, row.copy_of or row.source, row.id)
        return _summary(connection, row) | {
            "belongs": told[-1].removeprefix(BELONGS) if told else None,
            "also": [{"project": o.project, "address": o.address, "status": o.status} for o in others],
            "events": [
                {
                    "at": iso(e.at),
                    "status": e.status,
                    "destination": e.destination,
                    "reason": e.reason,
                    "actor": e.actor,
                    "version": e.version,
                }
                for e in events
            ],
        }


def iso(at: float | None) -> str | None:
    """Write UTC seconds since 1970 as ISO 8601."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _summary(connection: Connection, row: Any) -> dict[str, Any]:  # noqa: ANN401  # a row of `study`
    by_state = {
        r[0]: r[1]
        for r in connection.execute(
            select(instance.c.state, func.count()).where(instance.c.study_id == row.id).group_by(instance.c.state)
        )
    }
    deliveries = connection.execute(
        select(delivery).where(delivery.c.study_id == row.id).order_by(delivery.c.destination)
    ).all()
    waits = [d.next_attempt_at for d in deliveries if d.next_attempt_at is not None]
    if row.next_attempt_at is not None:
        waits.append(row.next_attempt_at)
    return {
        "id": row.id,
        "address": row.source,
        "source": row.copy_of or row.source,
        # Null until something of it is stored, so that a link to it never leads nowhere.
        "output": row.output if by_state.get(states.INSTANCE_DEIDENTIFIED) else None,
        "project": row.project,
        "status": row.status,
        "reason": row.reason,
        "version": row.version,
        "profile": _profile(row),
        "instances": {
            "received": sum(by_state.values()),
            "deidentified": by_state.get(states.INSTANCE_DEIDENTIFIED, 0),
            "quarantined": by_state.get(states.INSTANCE_QUARANTINED, 0),
        },
        "conflicts": count_undecided(connection, row.id),
        "destinations": {d.destination: d.state for d in deliveries},
        "deliveries": [
            {
                "destination": d.destination,
                "state": d.state,
                "attempt": d.attempt,
                "confirmed": d.confirmed,
                "next_attempt_at": iso(d.next_attempt_at),
                "reason": d.reason,
            }
            for d in deliveries
        ],
        "awaited": _awaited(connection, row.id) if row.status == states.WAITING else None,
        "attempt": row.attempt,
        "next_attempt_at": iso(min(waits)) if waits else None,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _profile(row: Any) -> dict[str, str] | None:  # noqa: ANN401  # a row of `study`
    if row.profile_digest is None:
        return None
    return {"name": row.profile or "", "version": row.profile_version or "", "digest": row.profile_digest}


def _awaited(connection: Connection, study_id: int) -> dict[str, Any] | None:
    """Return what a study waits for until it is complete; `until` is empty where it is held."""
    row = connection.execute(select(awaited).where(awaited.c.study_id == study_id)).first()
    if row is None:
        return None
    unnumbered = None if row.expected is None else max(0, row.expected - row.present)
    return {
        "expected": row.expected,
        "present": row.present,
        "missing": unnumbered if row.missing is None else row.missing,
        "until": iso(row.deadline_at) if row.deadline_at > time.time() else None,
        "source": row.ask or None,
        "requests": row.requests,
        "reason": row.reason,
    }
