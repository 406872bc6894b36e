"""Batches of query and retrieve, written: rows move, claim studies, and end."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Conflict, NotFound, Stale
from .audit import record
from .batch_rows import PAUSED, Batch, BatchRow, BatchRows, RowStudy, is_fetched, of_others
from .events import short
from .intake_tables import batch, batch_row, batch_study

__all__ = ["PAUSED", "Asked", "Batch", "BatchRow", "Batches", "RowStudy"]

CLAIM_LOCK = 0x0DE1D1  # PostgreSQL: two rows claim studies one after the other


@dataclass(frozen=True)
class Asked:
    """What a person asks for, beside the rows."""

    source: str
    actor: str
    target: str = ""
    mode: str = "retrieve"
    project: str = ""
    label: str = ""
    hold: bool = False
    priority: int = 5
    studies_most: int | None = None
    key: str | None = None


# What the audit calls the change to a state.
ACTIONS = {states.BATCH_PAUSED: "pause", states.BATCH_RUNNING: "resume", states.BATCH_CANCELLED: "cancel"}


class Batches(BatchRows):
    """Batches and their rows; every method is one transaction."""

    def create(self, asked: Asked, rows: Iterable[tuple[int, bytes]]) -> Batch:
        """Note a batch with its rows (line, sealed cells), all queued; all of it or nothing.

        The same key once more answers the batch that it began.
        """
        try:
            return self.get(self._insert(asked, rows))
        except IntegrityError:
            return self._of_key(asked.key)

    def _of_key(self, key: str | None) -> Batch:
        with self.engine.connect() as connection:
            row = connection.execute(select(batch).where(batch.c.key == key)).one()
        return Batch(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API

    def _insert(self, asked: Asked, rows: Iterable[tuple[int, bytes]]) -> int:
        now = time.time()
        with self.engine.begin() as connection:
            values = {
                "key": asked.key, "label": asked.label or None,
                "source": asked.source, "target": asked.target, "state": states.BATCH_RUNNING, "mode": asked.mode,
                "project": asked.project, "hold": int(asked.hold), "priority": asked.priority,
                "studies_most": asked.studies_most, "actor": asked.actor[:64], "created_at": now, "updated_at": now,
            }  # fmt: skip
            number = connection.execute(insert(batch).values(**values)).inserted_primary_key[0]  # type: ignore[index]  # one row
            fresh = {"batch_id": number, "state": states.ROW_QUEUED, "run": 1, "attempt": 1, "requests": 0}
            rest = {"reason": None, "next_attempt_at": None, "updated_at": now}
            connection.execute(
                insert(batch_row), [fresh | rest | {"line": line, "query": query} for line, query in rows]
            )
            record(
                connection, "batch", actor=asked.actor, project=asked.project or None, batch=int(number),
                action="begin", source=asked.source, mode=asked.mode,
            )  # fmt: skip
        return int(number)

    def claim(self, row: int, run: int, found: Sequence[tuple[str, bytes, int | None]]) -> list[RowStudy]:
        """Note what a row has found (digest, sealed, expected); what another row is fetching is a duplicate here.

        A row that has claimed already keeps what it has: a step can run twice.
        """
        with self._writing(row, run) as (connection, mine):
            self._lock_claims(connection)
            of = connection.execute(select(batch).where(batch.c.id == mine.batch_id)).one()
            known = set(connection.scalars(select(batch_study.c.study_digest).where(batch_study.c.row_id == row)))
            for digest, sealed, expected in found:
                if digest in known:
                    continue
                known.add(digest)  # an archive that answers the same study twice
                state = states.ROW_QUEUED
                if is_fetched(connection, digest, row, of.target):
                    state = states.ROW_DUPLICATE
                values = {"row_id": row, "study_digest": digest, "found": sealed, "expected": expected}
                connection.execute(insert(batch_study).values(**values, state=state, arrived=0))
        return self.studies(row)

    def begin_study(  # noqa: PLR0913  # the columns
        self, row: int, run: int, study: int, *, arrived: int, expected: int | None, orthanc: str | None
    ) -> bool:
        """Note that a study is about to be requested; False: it is skipped, since the batch has requested the most."""
        values: dict[str, object] = {"arrived": arrived, "expected": expected, "orthanc": orthanc}
        with self._writing(row, run) as (connection, mine):
            most = connection.scalar(select(batch.c.studies_most).where(batch.c.id == mine.batch_id))
            may = most is None or _requested(connection, mine.batch_id, study) < most
            values["state"] = states.ROW_WORKING if may else states.ROW_SKIPPED
            connection.execute(update(batch_study).where(batch_study.c.id == study).values(**values))
        return may

    def take_over(self, row: int, run: int, study: int) -> str:
        """Have a row fetch a duplicate that nobody fetches any more; answer the state that it has then.

        `duplicate`: another row is still at it, or has moved it to the same AE title.
        """
        with self._writing(row, run) as (connection, mine):
            self._lock_claims(connection)
            digest = connection.execute(
                select(batch_study.c.study_digest).where(batch_study.c.id == study)
            ).scalar_one()
            of = connection.execute(select(batch).where(batch.c.id == mine.batch_id)).one()
            if is_fetched(connection, digest, row, of.target) or _was_moved(connection, digest, of.target):
                return states.ROW_DUPLICATE
            connection.execute(update(batch_study).where(batch_study.c.id == study).values(state=states.ROW_QUEUED))
        return states.ROW_QUEUED

    def touch(self, row: BatchRow) -> bool:
        """Claim the right to give a row another job; False: another process has done so, or it goes on."""
        which = (batch_row.c.id == row.id, batch_row.c.run == row.run, batch_row.c.updated_at == row.updated_at)
        is_open = batch_row.c.state == row.state
        with self.engine.begin() as connection:
            claimed = update(batch_row).where(*which, is_open).values(updated_at=time.time())
            return bool(connection.execute(claimed).rowcount)

    def note_study(  # noqa: PLR0913  # the columns
        self, row: int, run: int, study: int, state: str, *, arrived: int, expected: int | None = None,
        missing: bytes | None = None, orthanc: str | None = None,
    ) -> None:  # fmt: skip
        """Write down how a study of a row is."""
        values = {"state": state, "arrived": arrived, "expected": expected, "missing": missing, "orthanc": orthanc}
        with self._writing(row, run) as (connection, _):
            connection.execute(update(batch_study).where(batch_study.c.id == study).values(**values))

    def move(  # noqa: PLR0913  # the columns that change
        self, row: int, run: int, state: str, *, reason: str | None = None, attempt: int | None = None,
        next_attempt_at: float | None = None, requests: int | None = None,
    ) -> None:  # fmt: skip
        """Enter a state; with its last row a batch is done.

        Raises
        ------
        Stale
            Another run has taken over, or the row has ended.
        """
        with self._writing(row, run) as (connection, found):
            values: dict[str, object] = {"state": state, "reason": short(reason), "next_attempt_at": next_attempt_at}
            values |= {
                name: value for name, value in (("attempt", attempt), ("requests", requests)) if value is not None
            }
            which = batch_row.c.id == row
            connection.execute(update(batch_row).where(which).values(**values, updated_at=time.time()))
            _touch(connection, found.batch_id)
            _settle(connection, found.batch_id)

    def set_state(self, number: int, state: str, actor: str = "system") -> Batch:
        """Pause a batch, let it go on, or cancel it with all rows that have not ended.

        Raises
        ------
        Conflict
            It has ended.
        """
        with self.engine.begin() as connection:
            found = connection.execute(select(batch).where(batch.c.id == number).with_for_update()).first()
            if found is None:
                raise NotFound(f"there is no batch {number}")
            if found.state in (states.BATCH_DONE, states.BATCH_CANCELLED):
                raise Conflict(f"batch {number} is {found.state}: it has ended")
            connection.execute(update(batch).where(batch.c.id == number).values(state=state, updated_at=time.time()))
            if state == states.BATCH_CANCELLED:
                open_ = (batch_row.c.batch_id == number, batch_row.c.state.in_(list(states.ROW_OPEN)))
                values = {"state": states.ROW_CANCELLED, "reason": None, "next_attempt_at": None}
                connection.execute(
                    update(batch_row).where(*open_).values(**values, run=batch_row.c.run + 1, updated_at=time.time())
                )
            record(connection, "batch", actor=actor, batch=number, action=ACTIONS[state])
        return self.get(number)

    def again(self, number: int, wanted: Collection[str], actor: str = "system") -> list[BatchRow]:
        """Queue the rows in these states once more, and return them; what they had found is looked for anew."""
        with self.engine.begin() as connection:
            connection.execute(select(batch.c.id).where(batch.c.id == number).with_for_update())
            which = (batch_row.c.batch_id == number, batch_row.c.state.in_(list(wanted)))
            ids = list(connection.scalars(select(batch_row.c.id).where(*which).order_by(batch_row.c.line)))
            if ids:
                connection.execute(delete(batch_study).where(batch_study.c.row_id.in_(ids)))
                values = {"state": states.ROW_QUEUED, "reason": None, "attempt": 1, "requests": 0}
                connection.execute(
                    update(batch_row)
                    .where(batch_row.c.id.in_(ids))
                    .values(**values, next_attempt_at=None, run=batch_row.c.run + 1, updated_at=time.time())
                )
                state = {"state": states.BATCH_RUNNING, "updated_at": time.time()}
                ended = batch.c.state != states.BATCH_PAUSED  # a pause is for a person to end
                connection.execute(update(batch).where(batch.c.id == number, ended).values(**state))
                record(connection, "batch", actor=actor, batch=number, action="retry", rows=len(ids))
        return [row for row in self.rows(number, state=[states.ROW_QUEUED]) if row.id in set(ids)]

    def _lock_claims(self, connection: Connection) -> None:
        if self.engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CLAIM_LOCK})")

    @contextmanager
    def _writing(self, row: int, run: int) -> Iterator[tuple[Connection, BatchRow]]:
        """Lock a row's batch and the row; raise Stale where this run of it is over."""
        with self.engine.begin() as connection:
            number = connection.scalar(select(batch_row.c.batch_id).where(batch_row.c.id == row))
            connection.execute(select(batch.c.id).where(batch.c.id == number).with_for_update())
            found = connection.execute(select(batch_row).where(batch_row.c.id == row).with_for_update()).first()
            if found is None or found.run != run or found.state not in states.ROW_OPEN:
                raise Stale(f"row {row}: run {run} is over")
            yield connection, BatchRow(**found._mapping)  # noqa: SLF001  # SQLAlchemy's API


def _requested(connection: Connection, number: int, but: int) -> int:
    """Count the studies that a batch has requested, but one of them."""
    asked = (states.ROW_WORKING, states.ROW_DELIVERED, states.ROW_PARTIAL, states.ROW_REFUSED)
    query = (
        select(func.count())
        .select_from(batch_study)
        .join(batch_row, batch_row.c.id == batch_study.c.row_id)
        .where(batch_row.c.batch_id == number, batch_study.c.id != but, batch_study.c.state.in_(asked))
    )
    return connection.scalar(query) or 0


def _was_moved(connection: Connection, digest: str, target: str) -> bool:
    """Tell whether a row has moved a study to an AE title, where nobody can look; what is here is counted instead."""
    moved = of_others(digest, target).where(batch_study.c.state == states.ROW_DELIVERED)
    return bool(target) and connection.scalar(moved.limit(1)) is not None


def _touch(connection: Connection, number: int) -> None:
    connection.execute(update(batch).where(batch.c.id == number).values(updated_at=time.time()))


def _settle(connection: Connection, number: int) -> None:
    open_ = (batch_row.c.batch_id == number, batch_row.c.state.in_(list(states.ROW_OPEN)))
    if connection.scalar(select(batch_row.c.id).where(*open_).limit(1)) is None:
        connection.execute(
            update(batch)
            .where(batch.c.id == number, batch.c.state != states.BATCH_CANCELLED)
            .values(state=states.BATCH_DONE)
        )
