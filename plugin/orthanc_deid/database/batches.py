"""Batches of query and retrieve: what was asked for, row by row, and what came of it."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Conflict, NotFound, Postponed, Stale
from .events import short
from .intake_tables import batch, batch_row, batch_study

CLAIM_LOCK = 0x0DE1D1  # PostgreSQL: two rows claim studies one after the other
PAUSED = "waits: the batch is paused"
PAUSED_S = 3600.0  # letting it go on hastens what waits


@dataclass(frozen=True)
class Asked:
    """What a person asks for, beside the rows."""

    source: str
    actor: str
    target: str = ""
    mode: str = "retrieve"
    project: str = ""
    hold: bool = False
    priority: int = 5
    studies_most: int | None = None
    key: str | None = None


@dataclass(frozen=True)
class Batch:
    """One batch; times in UTC seconds since 1970."""

    id: int
    key: str | None
    source: str
    target: str
    state: str
    mode: str
    project: str
    hold: int
    priority: int
    studies_most: int | None
    actor: str
    created_at: float
    updated_at: float

    @property
    def retrieves(self) -> bool:
        """Whether anything is retrieved, or studies are only looked for."""
        return self.mode == "retrieve"


@dataclass(frozen=True)
class BatchRow:
    """One line of the list; `query` is sealed."""

    id: int
    batch_id: int
    line: int
    query: bytes
    state: str
    reason: str | None
    run: int
    attempt: int
    requests: int
    next_attempt_at: float | None
    updated_at: float


@dataclass(frozen=True)
class RowStudy:
    """One study, or series, that a row names; `found` and `missing` are sealed."""

    id: int
    row_id: int
    study_digest: str
    found: bytes
    state: str
    expected: int | None
    arrived: int
    missing: bytes | None
    orthanc: str | None


class Batches:
    """Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

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
                "key": asked.key,
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
        return int(number)

    def get(self, number: int) -> Batch:
        """Return one batch, or raise NotFound."""
        with self.engine.connect() as connection:
            row = connection.execute(select(batch).where(batch.c.id == number)).first()
        if row is None:
            raise NotFound(f"there is no batch {number}")
        return Batch(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API

    def page(self, limit: int, before: int | None = None) -> list[Batch]:
        """Return batches, newest first, those with a smaller number than `before`."""
        query = select(batch).order_by(batch.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(batch.c.id < before)
        with self.engine.connect() as connection:
            return [Batch(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def running(self) -> list[Batch]:
        """Return the batches that have rows to do and are not paused."""
        query = select(batch).where(batch.c.state == states.BATCH_RUNNING).order_by(batch.c.id)
        with self.engine.connect() as connection:
            return [Batch(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def counts(self, number: int) -> dict[str, int]:
        """Count the rows of a batch in each state that occurs."""
        query = (
            select(batch_row.c.state, func.count()).where(batch_row.c.batch_id == number).group_by(batch_row.c.state)
        )
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def instances(self, number: int) -> tuple[int, int, int]:
        """Count studies, expected and arrived instances of a batch; duplicates are not counted."""
        query = (
            select(func.count(), func.sum(batch_study.c.expected), func.sum(batch_study.c.arrived))
            .join(batch_row, batch_row.c.id == batch_study.c.row_id)
            .where(batch_row.c.batch_id == number, batch_study.c.state != states.ROW_DUPLICATE)
        )
        with self.engine.connect() as connection:
            studies, expected, arrived = connection.execute(query).one()
        return studies, expected or 0, arrived or 0

    def rows(
        self, number: int, *, state: Collection[str] | None = None, after: int = 0, limit: int | None = None
    ) -> list[BatchRow]:
        """Return rows of a batch in the order of their lines, those behind the line `after`."""
        query = (
            select(batch_row).where(batch_row.c.batch_id == number, batch_row.c.line > after).order_by(batch_row.c.line)
        )
        if state is not None:
            query = query.where(batch_row.c.state.in_(list(state)))
        with self.engine.connect() as connection:
            return [BatchRow(**row._mapping) for row in connection.execute(query.limit(limit))]  # noqa: SLF001  # SQLAlchemy's API

    def row(self, number: int) -> BatchRow:
        """Return one row by its own number, or raise NotFound."""
        with self.engine.connect() as connection:
            found = connection.execute(select(batch_row).where(batch_row.c.id == number)).first()
        if found is None:
            raise NotFound(f"there is no row {number}")
        return BatchRow(**found._mapping)  # noqa: SLF001  # SQLAlchemy's API

    def guard(self, row: int, run: int) -> BatchRow:
        """Return a row while something of this run of it may begin.

        Raises
        ------
        Stale
            As `demand_current`.
        Postponed
            Its batch is paused.
        """
        found, of = self.demand_current(row, run)
        if of.state == states.BATCH_PAUSED:
            raise Postponed(PAUSED, PAUSED_S)
        return found

    def demand_current(self, row: int, run: int) -> tuple[BatchRow, Batch]:
        """Return a row with its batch, paused or not, while what has begun of this run of it may be finished.

        Raises
        ------
        Stale
            Another run has taken over, the row has ended, or its batch was cancelled.
        """
        found = self.row(row)
        of = self.get(found.batch_id)
        if found.run != run or found.state not in states.ROW_OPEN or of.state == states.BATCH_CANCELLED:
            raise Stale(f"row {row}: run {run} is over")
        return found, of

    def studies(self, row: int) -> list[RowStudy]:
        """Return the studies that a row has found, in the order of the archive's answers."""
        query = select(batch_study).where(batch_study.c.row_id == row).order_by(batch_study.c.id)
        with self.engine.connect() as connection:
            return [RowStudy(**found._mapping) for found in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

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
                if _is_fetched_by_another(connection, digest, row, of.target):
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
            if _is_fetched_by_another(connection, digest, row, of.target) or _was_moved(connection, digest, of.target):
                return states.ROW_DUPLICATE
            connection.execute(update(batch_study).where(batch_study.c.id == study).values(state=states.ROW_QUEUED))
        return states.ROW_QUEUED

    def fetches(self, digests: Collection[str]) -> bool:
        """Tell whether a batch that runs is having one of these studies or series sent to this Orthanc."""
        query = (
            select(batch_study.c.id)
            .join(batch_row, batch_row.c.id == batch_study.c.row_id)
            .join(batch, batch.c.id == batch_row.c.batch_id)
            .where(
                batch_study.c.study_digest.in_(digests),
                batch_study.c.state == states.ROW_WORKING,
                batch_row.c.state.in_(list(states.ROW_OPEN)),
                batch.c.state == states.BATCH_RUNNING,
                batch.c.target == "",
            )
        )
        with self.engine.connect() as connection:
            return connection.scalar(query.limit(1)) is not None

    def touch(self, row: BatchRow) -> bool:
        """Claim the right to give a row another job; False: another process has done so, or it goes on."""
        which = (batch_row.c.id == row.id, batch_row.c.run == row.run, batch_row.c.updated_at == row.updated_at)
        is_open = batch_row.c.state == row.state
        with self.engine.begin() as connection:
            claimed = update(batch_row).where(*which, is_open).values(updated_at=time.time())
            return bool(connection.execute(claimed).rowcount)

    def rows_behind_others(self, number: int) -> set[int]:
        """Return the rows of a batch of which another row fetches a study."""
        query = (
            select(batch_study)
            .join(batch_row, batch_row.c.id == batch_study.c.row_id)
            .where(
                batch_row.c.batch_id == number,
                batch_row.c.state.in_(list(states.ROW_OPEN)),
                batch_study.c.state == states.ROW_DUPLICATE,
                batch_study.c.arrived == 0,
            )
        )
        target = self.get(number).target
        with self.engine.connect() as connection:
            waiting = connection.execute(query).all()
            return {w.row_id for w in waiting if _is_fetched_by_another(connection, w.study_digest, w.row_id, target)}

    def is_fetched_by_another(self, study: RowStudy, target: str) -> bool:
        """Tell whether another row is at a study of a row."""
        with self.engine.connect() as connection:
            return _is_fetched_by_another(connection, study.study_digest, study.row_id, target)

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

    def set_state(self, number: int, state: str) -> Batch:
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
        return self.get(number)

    def again(self, number: int, wanted: Collection[str]) -> list[BatchRow]:
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


def _is_fetched_by_another(connection: Connection, digest: str, row: int, target: str) -> bool:
    """Tell whether a row that goes on has claimed the same study to bring it to the same place."""
    query = _of_others(digest, target).where(
        batch_study.c.row_id != row,
        batch_study.c.state.in_(list(states.ROW_OPEN)),
        batch_row.c.state.in_(list(states.ROW_OPEN)),
        batch.c.state == states.BATCH_RUNNING,  # one that is paused may be so for ever
    )
    return connection.scalar(query.limit(1)) is not None


def _was_moved(connection: Connection, digest: str, target: str) -> bool:
    """Tell whether a row has moved a study to an AE title, where nobody can look; what is here is counted instead."""
    moved = _of_others(digest, target).where(batch_study.c.state == states.ROW_DELIVERED)
    return bool(target) and connection.scalar(moved.limit(1)) is not None


def _of_others(digest: str, target: str) -> Select[tuple[int]]:
    return (
        select(batch_study.c.id)
        .join(batch_row, batch_row.c.id == batch_study.c.row_id)
        .join(batch, batch.c.id == batch_row.c.batch_id)
        .where(batch_study.c.study_digest == digest, batch.c.mode == "retrieve", batch.c.target == target)
    )


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
