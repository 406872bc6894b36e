"""What ties the sources of studies to their outputs in the ledger, and how it is cut for ever."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select, update

from .. import states
from . import awaited
from .crosswalk_views import reading
from .events import note
from .tables import delivery, instance, receipt, study

_AT_ONCE = 500


def forgotten(engine: Engine) -> list[int]:
    """Return the numbers of the studies that nothing may be done with any more."""
    with reading(engine) as connection:
        return list(connection.scalars(select(study.c.id).where(study.c.forgotten == 1)))


def overwrite(connection: Connection) -> None:
    """Have what this connection deletes overwritten, as far as the database can."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def tidy(engine: Engine, *tables: str) -> bool:
    """Give back what deleted rows took; False where somebody else uses the database, who does it later."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in tables:
                connection.exec_driver_sql(f"VACUUM {table}")
        return True
    driver = engine.raw_connection()  # outside of any transaction
    try:
        cursor = driver.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not cursor.fetchall()[0][0]
    finally:
        driver.close()


def close_studies(connection: Connection, numbers: Sequence[int], actor: str, reason: str) -> None:
    """Mark studies as forgotten, end what waits, and cut the ties between their sources and outputs.

    An output of which a part was never searched keeps its tie: it is withdrawn by it.
    """
    for at in range(0, len(numbers), _AT_ONCE):
        part = numbers[at : at + _AT_ONCE]
        rows = connection.execute(select(study).where(study.c.id.in_(part)).order_by(study.c.id).with_for_update())
        for row in rows.all():
            _close(connection, row, actor, reason)
        deliveries = select(delivery.c.id).where(delivery.c.study_id.in_(part))
        connection.execute(delete(receipt).where(receipt.c.delivery_id.in_(deliveries)))


def _close(connection: Connection, row: Row[Any], actor: str, reason: str) -> None:
    values: dict[str, Any] = {"forgotten": 1, "origin": None, "recheck": 0, "updated_at": time.time()}
    status = row.status
    if states.CANCELLED in states.MOVES[status]:
        status = states.CANCELLED
        values |= {"status": status, "reason": reason, "run": row.run + 1, "next_attempt_at": None}
    arrived = row.output == (row.copy_of or row.source)  # it was never known by another id
    if not arrived and row.verified_version == row.version:
        values["output"] = None
        connection.execute(update(instance).where(instance.c.study_id == row.id).values(output=None))
    connection.execute(update(study).where(study.c.id == row.id).values(**values))
    awaited.end(connection, row.id)
    note(connection, row.id, row.version, status, reason, actor)
