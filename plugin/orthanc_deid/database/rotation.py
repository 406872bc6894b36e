"""Another key for the crosswalk, while everything works: what is encrypted is encrypted again, batch by batch.

Nothing is kept of how far it has come but each row's own generation: who was killed goes on where rows are old. All
writers take the newest generation that a row or the folder has, so that after the first batch nobody writes old ones;
who had begun before is waited for at the end, and only then is the old key destroyed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    Update,
    bindparam,
    exists,
    func,
    select,
    text,
    update,
)

from ..errors import ConfigurationError
from ..keyring import Keyring
from . import ONLY_READS
from .audit import record
from .crosswalk import WRITERS, demand_key
from .crosswalk_place import Place, newest_generation
from .crosswalk_tables import crosswalk, crosswalk_alias, crosswalk_project

BATCH = 500  # rows in one transaction: SQLite's other writers wait for it
TABLES = (crosswalk, crosswalk_alias)


@dataclass
class Progress:
    """How far one run has come; `unopened` rows are left as they are, and their key too."""

    generation: int
    done: int = 0
    left: int = 0
    unopened: int = 0
    retired: list[int] = field(default_factory=list)


class Rotation:
    """Makes the next generation, and brings all rows to it."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine, self.keyring = engine, keyring
        self._reader = engine.execution_options(**{ONLY_READS: True})

    def rows(self) -> dict[int, int]:
        """Count the rows of each generation, sealed projects' too."""
        found: dict[int, int] = {}
        with self._reader.begin() as connection:
            for table in TABLES:
                query = select(table.c.generation, func.count()).group_by(table.c.generation)
                for generation, count in connection.execute(query):
                    found[generation] = found.get(generation, 0) + count
        return dict(sorted(found.items()))

    def is_under_way(self) -> bool:
        """Tell whether rows wait for the newest key that is there."""
        there = self.keyring.generations()
        with self._reader.begin() as connection:
            return bool(there) and _any_old(connection, there[-1])

    def begin(self, actor: str) -> Progress:
        """Make the next generation, or go on with one that was not brought to its end.

        Raises
        ------
        ConfigurationError
            A key that rows need is not there: nothing is begun.
        """
        with self.engine.begin() as connection:
            for row in connection.execute(_PROJECTS):
                demand_key(self.keyring, row)
            newest = newest_generation(connection, self.keyring)
            if not _any_old(connection, newest):
                newest = self.keyring.add_generation()
                record(connection, "key-rotated", actor=actor, generation=newest, state="begun")
        return self.resume(newest)

    def resume(self, generation: int) -> Progress:
        """Return the progress of a generation whose rows are not all written yet."""
        with self._reader.begin() as connection:
            return Progress(generation, left=_count_old(connection, generation))

    def batches(self, progress: Progress) -> Iterator[Progress]:
        """Encrypt what is old again, a transaction at a time; ends when there is nothing left that opens."""
        progress.unopened = 0
        for table in TABLES:
            after = 0
            while True:
                with self.engine.begin() as connection:
                    rows = connection.execute(_next(table), {"newest": progress.generation, "after": after}).all()
                    progress.unopened += self._again(connection, table, rows, progress.generation)
                if not rows:
                    break
                after = rows[-1].id
                progress.done += len(rows)
                progress.left = max(0, progress.left - len(rows))
                yield progress

    def finish(self, progress: Progress, actor: str) -> bool:
        """Destroy the keys that nothing needs any more; answer whether nothing is old now.

        Alone: who has begun to write with an older key has ended, and who begins sees the newest rows.
        """
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS})"))
            if _any_old(connection, progress.generation):
                return False
            # Where no row shows the newest generation, another machine might still write with the one before.
            if not connection.scalar(select(exists().where(crosswalk.c.generation == progress.generation))):
                return True
            progress.retired = [each for each in self.keyring.generations() if each < progress.generation]
            for each in progress.retired:
                self.keyring.retire(each)
            record(connection, "key-rotated", actor=actor, generation=progress.generation, state="ended")
        return True

    def _again(self, connection: Connection, table: Table, rows: Sequence[Row[Any]], generation: int) -> int:
        """Write rows anew; answer how many do not open."""
        places: dict[int, Place] = {}
        written, unopened = [], 0
        for row in rows:
            if row.project_id not in places:
                places[row.project_id] = self._place(connection, row.project_id, generation)
            try:
                sealed = places[row.project_id].close_again(row)
            except ConfigurationError:
                unopened += 1
            else:
                written.append({"its_id": row.id, "before": row.generation, "now": generation, "text": sealed})
        if written:
            connection.execute(_written(table), written)
        return unopened

    def _place(self, connection: Connection, project: int, generation: int) -> Place:
        row = connection.execute(select(crosswalk_project).where(crosswalk_project.c.id == project)).one()
        return Place(self.keyring, row.name, row.id, generation, demand_key(self.keyring, row))


_PROJECTS = select(crosswalk_project).where(crosswalk_project.c.sealed_at.is_(None))
_SEALED = select(crosswalk_project.c.id).where(crosswalk_project.c.sealed_at.is_not(None))


def _next(table: Table) -> Select[Any]:
    """Return the question for the next old rows, locked; what another one holds comes at the next pass."""
    after = table.c.id > bindparam("after")
    query = select(table).where(_is_old(table), after).order_by(table.c.id).limit(BATCH)
    return query.with_for_update(skip_locked=True)


def _written(table: Table) -> Update:
    """Return what writes a row anew, unless somebody has meanwhile."""
    mine = (table.c.id == bindparam("its_id")) & (table.c.generation == bindparam("before"))
    return update(table).where(mine).values(generation=bindparam("now"), sealed=bindparam("text"))


def _is_old(table: Table) -> ColumnElement[bool]:
    """Return what is true of a row that another generation than `newest` has, and that can be opened at all."""
    return (table.c.generation < bindparam("newest")) & table.c.project_id.not_in(_SEALED)


def _any_old(connection: Connection, newest: int) -> bool:
    queries = [select(exists().where(_is_old(table))) for table in TABLES]
    return any(connection.scalar(query, {"newest": newest}) for query in queries)


def _count_old(connection: Connection, newest: int) -> int:
    """Count by the index alone; rows of sealed projects, for which rows must be read, only where there are any."""
    sealed = connection.scalar(select(exists(_SEALED)))
    found = 0
    for table in TABLES:
        old = _is_old(table) if sealed else table.c.generation < bindparam("newest")
        found += connection.scalar(select(func.count()).select_from(table).where(old), {"newest": newest}) or 0
    return found
