"""Who collects a source: one process of all machines that share a database."""

import hashlib
import threading

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError


class Leases:
    """Locks under names that end with the connection that holds them, so that a dead holder never keeps one.

    PostgreSQL only: an SQLite file is used by one machine, whose processes lock a file.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: Connection | None = None  # one for all names
        self._held: set[str] = set()

    def take(self, name: str) -> bool:
        """Take a name, or make sure that it is still held; False: another one has it, or the database is away."""
        if self._engine.dialect.name != "postgresql":
            return True
        with self._lock:
            try:
                return self._taken(name)
            except SQLAlchemyError:
                self._lose()
                return False

    def drop(self, name: str) -> None:
        """Let another one take it."""
        with self._lock:
            if name not in self._held or self._connection is None:
                return
            self._held.discard(name)
            try:
                self._connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_key(name)})")
            except SQLAlchemyError:
                self._lose()

    def close(self) -> None:
        """Let others take every name."""
        with self._lock:
            self._lose()

    def _taken(self, name: str) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if name in self._held:
            self._connection.exec_driver_sql("SELECT 1")
        elif self._connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_key(name)})").scalar():
            self._held.add(name)
        return name in self._held

    def _lose(self) -> None:
        """Close the connection for good: back in the pool it would go on to hold what it holds."""
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except SQLAlchemyError:
                return


def _key(name: str) -> int:
    """Return the number of a name, as PostgreSQL wants it: 64 bits with a sign."""
    digest = hashlib.sha256(f"orthanc-deid\x00lease\x00{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
