"""Whether a destination may be sent to now: pauses by people, and how often a study may begin."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from .audit import record
from .tables import gate

CLOCKS_APART_S = 60.0  # of two machines


@dataclass(frozen=True)
class Gate:
    """One destination; `next_begin_at` in UTC seconds since 1970."""

    destination: str
    paused: int
    next_begin_at: float
    actor: str
    updated_at: float
    begun: int
    series_at: float


class Gates:
    """One row for each destination that was ever paused or is limited; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get(self, destination: str) -> Gate:
        """Return a destination's gate; one that was never touched is open."""
        with self.engine.connect() as connection:
            row = connection.execute(select(gate).where(gate.c.destination == destination)).first()
        return Gate(**row._mapping) if row else Gate(destination, 0, 0.0, "system", 0.0, 0, 0.0)  # noqa: SLF001  # SQLAlchemy's API

    def set_paused(self, destination: str, *, paused: bool, actor: str, what: str = "destination") -> None:
        """Pause a destination or, by `what`, a source; or let it go on."""
        self._open_row(destination)
        with self.engine.begin() as connection:
            connection.execute(
                update(gate)
                .where(gate.c.destination == destination)
                .values(paused=int(paused), actor=actor[:64], updated_at=time.time())
            )
            record(connection, what, actor=actor, name=destination, action="pause" if paused else "resume")

    def begin(self, destination: str, apart_s: float) -> float:
        """Claim the right to begin a study; answer 0, or the seconds to wait because another was begun just now."""
        self._open_row(destination)
        with self.engine.begin() as connection:
            free_at = _next_begin(connection, destination)
            now = time.time()  # after the lock: another may have held it for a while
            # A turn further away than one is of a clock that ran ahead, or of a rate that was lower.
            if now < free_at <= now + apart_s + CLOCKS_APART_S:
                return free_at - now
            connection.execute(
                update(gate).where(gate.c.destination == destination).values(next_begin_at=now + apart_s)
            )
        return 0.0

    def series_wait(self, source: str, most_s: float) -> float:
        """Return the seconds until the next series may be fetched from a source, at most `most_s`."""
        left = self.get(source).series_at - time.time()
        return left if 0 < left <= most_s + CLOCKS_APART_S else 0.0

    def end_series(self, source: str, size: int, wait_s: float) -> None:
        """Count a series that was fetched; after `size` of them there is a wait."""
        self._open_row(source)
        with self.engine.begin() as connection:
            query = select(gate.c.begun).where(gate.c.destination == source).with_for_update()
            begun = (connection.scalar(query) or 0) + 1
            values: dict[str, float] = {"begun": begun}
            if begun >= size:
                values = {"begun": 0, "series_at": time.time() + wait_s}
            connection.execute(update(gate).where(gate.c.destination == source).values(**values))

    def _open_row(self, destination: str) -> None:
        try:
            with self.engine.begin() as connection:
                if connection.scalar(select(gate.c.paused).where(gate.c.destination == destination)) is None:
                    row = {"destination": destination, "paused": 0, "next_begin_at": 0.0, "actor": "system"}
                    connection.execute(insert(gate).values(**row, updated_at=time.time()))
        except IntegrityError:
            return  # another worker was faster


def _next_begin(connection: Connection, destination: str) -> float:
    query = select(gate.c.next_begin_at).where(gate.c.destination == destination).with_for_update()
    return connection.scalar(query) or 0.0
