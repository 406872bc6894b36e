"""What collectors have taken from folders, object stores and other Orthancs, and how each source is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from .events import short
from .intake_tables import collected, collector

WORKING, WAITING, AWAY, PAUSED = "working", "waiting", "away", "paused"
TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True)
class Status:
    """How a source is; counts since its first start."""

    source: str
    state: str = WAITING
    reason: str | None = None
    position: str = ""
    waiting: int = 0
    taken: int = 0
    refused: int = 0
    looked_at: float | None = None


@dataclass(frozen=True)
class Item:
    """One file or study that was dealt with; `item` and `stamp` are digests."""

    item: str
    stamp: str
    state: str
    reason: str | None
    instances: int
    at: float


class Collected:
    """Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def status(self, source: str) -> Status:
        """Return how a source is; one that was never looked at waits."""
        with self.engine.connect() as connection:
            row = connection.execute(select(collector).where(collector.c.source == source)).first()
        return Status(**row._mapping) if row else Status(source)  # noqa: SLF001  # SQLAlchemy's API

    def note_state(self, source: str, state: str, *, reason: str | None = None, waiting: int = 0) -> None:
        """Say how a source is now."""
        self._write(source, {"state": state, "reason": short(reason), "waiting": waiting, "looked_at": time.time()})

    def save_position(self, source: str, position: str) -> None:
        """Remember how far a source was read."""
        self._write(source, {"position": position})

    def count(self, source: str, *, taken: int = 0, refused: int = 0) -> None:
        """Count items that are not remembered one by one."""
        values = {"taken": collector.c.taken + taken, "refused": collector.c.refused + refused}
        self._write(source, values)

    def stamps(self, source: str, items: Sequence[str]) -> dict[str, str]:
        """Return the stamps of those of some hundred items that were dealt with."""
        query = select(collected.c.item, collected.c.stamp).where(
            collected.c.source == source, collected.c.item.in_(items)
        )
        with self.engine.connect() as connection:
            return {row.item: row.stamp for row in connection.execute(query)}

    def find(self, source: str, item: str) -> Item | None:
        """Return what became of an item; None where it was not dealt with."""
        query = select(collected).where(collected.c.source == source, collected.c.item == item)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return Item(row.item, row.stamp, row.state, row.reason, row.instances, row.at) if row else None

    def note(  # noqa: PLR0913  # the columns
        self, source: str, item: str, stamp: str, state: str, *, reason: str | None = None, instances: int = 0
    ) -> None:
        """Remember what became of an item, and count it."""
        values = {"stamp": stamp, "state": state, "reason": short(reason), "instances": instances, "at": time.time()}
        which = (collected.c.source == source, collected.c.item == item)
        self._row(source)
        count = collector.c.taken if state == TAKEN else collector.c.refused
        with self.engine.begin() as connection:
            connection.execute(update(collector).where(collector.c.source == source).values({count: count + 1}))
            if not connection.execute(update(collected).where(*which).values(**values)).rowcount:
                connection.execute(insert(collected).values(source=source, item=item, **values))

    def _write(self, source: str, values: Mapping[str, object]) -> None:
        self._row(source)
        with self.engine.begin() as connection:
            connection.execute(update(collector).where(collector.c.source == source).values(**values))

    def _row(self, source: str) -> None:
        try:
            with self.engine.begin() as connection:
                if connection.scalar(select(collector.c.source).where(collector.c.source == source)) is None:
                    fresh = {"state": WAITING, "position": "", "waiting": 0, "taken": 0, "refused": 0}
                    connection.execute(insert(collector).values(source=source, **fresh))
        except IntegrityError:
            return  # another process was faster
