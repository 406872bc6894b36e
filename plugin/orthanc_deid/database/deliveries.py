"""What is to arrive where: one durable row for each study and destination."""

import time
from dataclasses import dataclass

from sqlalchemy import Engine, select, update

from .. import states
from ..errors import NotFound, Stale
from .ledger import note, short
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

    def mark(  # noqa: PLR0913  # the columns that change
        self, study_id: int, run: int, destination: str, state: str, *, attempt: int | None = None,
        next_attempt_at: float | None = None, confirmed: int | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        """Enter a state with its event; `confirmed` also says that the whole version has arrived.

        Raises
        ------
        Stale
            `run` is no longer the study's current one.
        """
        with self.engine.begin() as connection:
            current = connection.execute(
                select(study.c.run, study.c.version).where(study.c.id == study_id).with_for_update()
            ).one()
            if current.run != run:
                raise Stale(f"study {study_id}: run {run} was superseded by run {current.run}")
            values: dict[str, object] = {
                "state": state, "reason": short(reason), "next_attempt_at": next_attempt_at, "updated_at": time.time(),
            }  # fmt: skip
            if attempt is not None:
                values["attempt"] = attempt
            if confirmed is not None:
                values["confirmed"] = confirmed
            if state == states.CONFIRMED:
                values["confirmed_version"] = delivery.c.version
            connection.execute(
                update(delivery)
                .where(delivery.c.study_id == study_id, delivery.c.destination == destination)
                .values(**values)
            )
            connection.execute(update(study).where(study.c.id == study_id).values(updated_at=time.time()))
            note(connection, study_id, current.version, state, reason, "system", destination)
