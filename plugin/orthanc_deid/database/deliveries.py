"""What is to arrive where: one durable row for each study and destination."""

import time
from dataclasses import dataclass

from sqlalchemy import Engine, func, select, update

from .. import states
from ..errors import NotFound, Stale
from .events import note, short
from .receipts import Receipts
from .tables import delivery, study


@dataclass(frozen=True)
class Delivery:
    """One row: `version` is to arrive, `confirmed_version` has arrived."""

    id: int
    study_id: int
    destination: str
    version: int
    confirmed_version: int
    state: str
    reason: str | None
    attempt: int
    next_attempt_at: float | None
    confirmed: int
    updated_at: float


class Deliveries:
    """The outbox; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def of(self, study_id: int) -> list[Delivery]:
        """Return the deliveries of a study, by destination's name."""
        query = select(delivery).where(delivery.c.study_id == study_id).order_by(delivery.c.destination)
        with self.engine.connect() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def get(self, study_id: int, destination: str) -> Delivery:
        """Return one delivery, or raise NotFound."""
        for found in self.of(study_id):
            if found.destination == destination:
                return found
        raise NotFound(f"study {study_id} has no delivery to {destination}")

    def open_at(self, destination: str | None = None, state: str | None = None) -> list[Delivery]:
        """Return deliveries, oldest change first; those of one destination or state where they are named."""
        query = select(delivery).order_by(delivery.c.updated_at)
        if destination is not None:
            query = query.where(delivery.c.destination == destination)
        if state is not None:
            query = query.where(delivery.c.state == state)
        with self.engine.connect() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def counts(self) -> dict[str, dict[str, int]]:
        """Map each destination to its states and how many deliveries are in them."""
        query = select(delivery.c.destination, delivery.c.state, func.count()).group_by(
            delivery.c.destination, delivery.c.state
        )
        found: dict[str, dict[str, int]] = {}
        with self.engine.connect() as connection:
            for destination, state, count in connection.execute(query):
                found.setdefault(destination, {})[state] = count
        return found

    def receipts(self, study_id: int, destination: str) -> Receipts:
        """Return what has arrived there, thing by thing."""
        return Receipts(self.engine, self.get(study_id, destination).id)

    def mark(  # noqa: PLR0913  # the columns that change
        self, study_id: int, run: int, destination: str, state: str, *, attempt: int | None = None,
        next_attempt_at: float | None = None, confirmed: int | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        """Enter a state with its event; `confirmed` also says that the whole version has arrived.

        Raises
        ------
        Stale
            `run` is no longer the study's current one, or the version has arrived: a worker that was taken for dead
            does not take that back.
        """
        with self.engine.begin() as connection:
            current = connection.execute(
                select(study.c.run, study.c.version).where(study.c.id == study_id).with_for_update()
            ).one()
            if current.run != run:
                raise Stale(f"study {study_id}: run {run} was superseded by run {current.run}")
            which = (delivery.c.study_id == study_id, delivery.c.destination == destination)
            before = connection.execute(select(delivery).where(*which)).one()
            if before.confirmed_version >= before.version and state != states.CONFIRMED:
                raise Stale(f"study {study_id}: delivered by another job of run {run}")
            values: dict[str, object] = {
                "state": state, "reason": short(reason), "next_attempt_at": next_attempt_at, "updated_at": time.time(),
            }  # fmt: skip
            if attempt is not None:
                values["attempt"] = attempt
            if confirmed is not None:
                values["confirmed"] = confirmed
            if state == states.CONFIRMED:
                values["confirmed_version"] = delivery.c.version
            connection.execute(update(delivery).where(*which).values(**values))
            connection.execute(update(study).where(study.c.id == study_id).values(updated_at=time.time()))
            # A destination that is closed for days would fill the history with the same line.
            if attempt is not None or (state, short(reason)) != (before.state, before.reason):
                note(connection, study_id, current.version, state, reason, "system", destination)
