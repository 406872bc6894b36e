"""Which workers are alive, and how far Orthanc's changes were read."""

import time

from sqlalchemy import Engine, delete, insert, select, update

from .tables import cursor, heartbeat


def beat(engine: Engine, executor: str) -> None:
    """Say that this worker lives."""
    with engine.begin() as connection:
        values = {"at": time.time()}
        if not connection.execute(update(heartbeat).where(heartbeat.c.executor == executor).values(**values)).rowcount:
            connection.execute(insert(heartbeat).values(executor=executor, **values))


def ages(engine: Engine) -> dict[str, float]:
    """Map each worker that was ever seen to the seconds since it last spoke."""
    now = time.time()
    with engine.connect() as connection:
        return {row.executor: now - row.at for row in connection.execute(select(heartbeat))}


def forget(engine: Engine, executor: str) -> None:
    """Drop a worker that is gone for good."""
    with engine.begin() as connection:
        connection.execute(delete(heartbeat).where(heartbeat.c.executor == executor))


def read_cursor(engine: Engine, name: str) -> int:
    """Return the saved sequence number, 0 where none is."""
    with engine.connect() as connection:
        return connection.scalar(select(cursor.c.value).where(cursor.c.name == name)) or 0


def save_cursor(engine: Engine, name: str, value: int) -> None:
    """Save the sequence number up to which changes were read."""
    with engine.begin() as connection:
        if not connection.execute(update(cursor).where(cursor.c.name == name).values(value=value)).rowcount:
            connection.execute(insert(cursor).values(name=name, value=value))
