"""Batches of query and retrieve, read: what was asked for, row by row, and what came of it."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Select, func, select

from .. import states
from ..errors import NotFound, Postponed, Stale
from .intake_tables import batch, batch_row, batch_study

PAUSED = "waits: the batch is paused"
PAUSED_S = 3600.0  # letting it go on hastens what waits


@dataclass(frozen=True)
class Batch:
    """One batch; times in UTC seconds since 1970."""

    id: int
    label: str | None
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


class BatchRows:
    """Reads batches and their rows; every method is one look."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

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
            return {w.row_id for w in waiting if is_fetched(connection, w.study_digest, w.row_id, target)}

    def is_fetched_by_another(self, study: RowStudy, target: str) -> bool:
        """Tell whether another row is at a study of a row."""
        with self.engine.connect() as connection:
            return is_fetched(connection, study.study_digest, study.row_id, target)


def is_fetched(connection: Connection, digest: str, row: int, target: str) -> bool:
    """Tell whether another row that goes on has claimed the same study to bring it to the same place."""
    query = of_others(digest, target).where(
        batch_study.c.row_id != row,
        batch_study.c.state.in_(list(states.ROW_OPEN)),
        batch_row.c.state.in_(list(states.ROW_OPEN)),
        batch.c.state == states.BATCH_RUNNING,  # one that is paused may be so for ever
    )
    return connection.scalar(query.limit(1)) is not None


def of_others(digest: str, target: str) -> Select[tuple[int]]:
    """Select what rows of batches that retrieve to a place have found of a study."""
    return (
        select(batch_study.c.id)
        .join(batch_row, batch_row.c.id == batch_study.c.row_id)
        .join(batch, batch.c.id == batch_row.c.batch_id)
        .where(batch_study.c.study_digest == digest, batch.c.mode == "retrieve", batch.c.target == target)
    )
