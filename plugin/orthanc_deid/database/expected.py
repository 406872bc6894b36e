"""What is expected at destinations: rows of the outbox, written in the transaction of a study's change."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from .. import states
from ..errors import Conflict
from .events import note
from .receipts import SUPERSEDED, hashed
from .studies import Study
from .tables import delivery, receipt


def mark_superseded(connection: Connection, study_id: int) -> None:
    """Tell the destinations of a study that what they have of it is to go before anything is sent again."""
    mine = connection.scalars(select(delivery.c.id).where(delivery.c.study_id == study_id)).all()
    item = hashed(SUPERSEDED)
    connection.execute(delete(receipt).where(receipt.c.delivery_id.in_(mine), receipt.c.item == item))
    row = {"item": item, "size": 1, "sha256": "", "remote": "", "at": time.time()}
    if mine:
        connection.execute(insert(receipt), [row | {"delivery_id": number} for number in mine])


def deliver_again(connection: Connection, study_id: int, version: int) -> None:
    """Expect a version once more where it had arrived before some of it was made anew."""
    arrived = (delivery.c.study_id == study_id, delivery.c.confirmed_version >= version)
    values = {"confirmed_version": version - 1, "state": states.PENDING, "attempt": 0, "reason": None}
    connection.execute(update(delivery).where(*arrived).values(**values))


def open_deliveries(connection: Connection, study_id: int) -> Sequence[str]:
    """Return the destinations that do not have the newest version yet."""
    query = select(delivery.c.destination).where(
        delivery.c.study_id == study_id, delivery.c.confirmed_version < delivery.c.version
    )
    return connection.scalars(query).all()


def demand_not_under_way(connection: Connection, study_id: int, destinations: Sequence[str]) -> None:
    """Raise Conflict where one of the destinations is being sent to already."""
    query = select(delivery.c.destination).where(
        delivery.c.study_id == study_id,
        delivery.c.destination.in_(destinations),
        delivery.c.state.in_([states.PENDING, states.SENT]),
    )
    for name in connection.scalars(query):
        raise Conflict(f"study {study_id} is being sent to {name} already")


def expect(  # noqa: PLR0913  # the columns of a delivery
    connection: Connection, study_id: int, name: str, version: int, now: float, *, anew: bool = False
) -> None:
    """Expect a version at a destination; `anew`: also what has arrived there."""
    known = connection.execute(
        select(delivery.c.id, delivery.c.confirmed_version).where(
            delivery.c.study_id == study_id, delivery.c.destination == name
        )
    ).first()
    if known is None:
        connection.execute(
            insert(delivery).values(
                study_id=study_id, destination=name, version=version, confirmed_version=0, state=states.PENDING,
                attempt=0, confirmed=0, updated_at=now,
            )
        )  # fmt: skip
    elif known.confirmed_version < version or anew:
        # One that failed for good begins again in this run; its job is told from the earlier ones by `waits`.
        values: dict[str, object] = {"version": version, "state": states.PENDING, "attempt": 0, "updated_at": now}
        if anew:
            values |= {"confirmed_version": 0, "confirmed": 0}
            mine = (receipt.c.delivery_id == known.id, receipt.c.item != hashed(SUPERSEDED))
            connection.execute(delete(receipt).where(*mine))
        connection.execute(
            update(delivery).where(delivery.c.id == known.id).values(**values, next_attempt_at=None, reason=None)
        )


def give_up(connection: Connection, found: Study, destinations: Sequence[str]) -> None:
    """Expect nothing more at destinations that the project no longer names; what has arrived there stays told."""
    others = (delivery.c.study_id == found.id, delivery.c.destination.not_in(destinations))
    given_up = (*others, delivery.c.confirmed_version < delivery.c.version)
    for name in connection.scalars(select(delivery.c.destination).where(*given_up)).all():
        note(
            connection,
            found.id,
            found.version,
            states.CANCELLED,
            "no longer a destination of the project",
            "system",
            name,
        )
    connection.execute(delete(delivery).where(*given_up, delivery.c.confirmed_version == 0))
    connection.execute(
        update(delivery)
        .where(*given_up)
        .values(version=delivery.c.confirmed_version, state=states.CONFIRMED, next_attempt_at=None, reason=None)
    )
