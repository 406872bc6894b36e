"""What has arrived at a destination of one study, thing by thing, so that a partial send is finished."""

import hashlib
import time

from sqlalchemy import ColumnElement, Engine, delete, func, insert, select, update

from .tables import receipt

SUPERSEDED = "superseded"  # what has arrived is no longer good: it has to be deleted there


class Receipts:
    """The receipts of one delivery, by the names of things; only their hashes are stored."""

    def __init__(self, engine: Engine, delivery_id: int) -> None:
        self.engine = engine
        self._delivery_id = delivery_id

    def get(self, key: str) -> tuple[int, str, str] | None:
        """Return size in bytes, SHA-256 and the destination's own id of a thing that has arrived."""
        query = select(receipt.c.size, receipt.c.sha256, receipt.c.remote).where(*self._where(key))
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return (row.size, row.sha256, row.remote) if row else None

    def put(self, key: str, size: int, sha256: str, remote: str) -> None:
        """Remember that a thing has arrived; a second time replaces the first."""
        values = {"size": size, "sha256": sha256, "remote": remote[:200], "at": time.time()}
        with self.engine.begin() as connection:
            if not connection.execute(update(receipt).where(*self._where(key)).values(**values)).rowcount:
                connection.execute(insert(receipt).values(delivery_id=self._delivery_id, item=hashed(key), **values))

    def count(self) -> int:
        """Return how many things have arrived."""
        query = select(func.count()).where(receipt.c.delivery_id == self._delivery_id)
        with self.engine.connect() as connection:
            return connection.scalar(query) or 0

    def forget(self) -> None:
        """Forget all, so that everything is sent again."""
        with self.engine.begin() as connection:
            connection.execute(delete(receipt).where(receipt.c.delivery_id == self._delivery_id))

    def _where(self, key: str) -> tuple[ColumnElement[bool], ...]:
        return (receipt.c.delivery_id == self._delivery_id, receipt.c.item == hashed(key))


def hashed(key: str) -> str:
    """Return what is stored of a name."""
    return hashlib.sha256(key.encode()).hexdigest()
