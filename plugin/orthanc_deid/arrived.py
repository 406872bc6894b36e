"""Who was de-identified on arrival: the door writes it down, encrypted, before Orthanc stores; the service takes it up.

A file of its own and not the database: the door may not wait for the service, and a database far away is too far.
"""

import hmac
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .keyring import Keyring
from .sealed import Cipher

LOCKED_S = 5.0  # the door's senders wait meanwhile
TABLE = "CREATE TABLE IF NOT EXISTS arrived (id INTEGER PRIMARY KEY, project TEXT NOT NULL, sealed BLOB NOT NULL)"


@dataclass(frozen=True, repr=False)
class Came:
    """One instance: who it is about, and the UIDs before and after of study, series and instance."""

    issuer: str
    patient_id: str
    pseudonym: str
    accession: str
    uids: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Note:
    """One row."""

    number: int
    project: str
    sealed: bytes


class Arrived:
    """The file; an instance of this class is used by one thread at a time.

    Every method raises OSError or sqlite3.Error where the file cannot be used: without a note of whose it is nothing
    may be stored.
    """

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self._path, self._keyring = path, keyring
        self._connection: sqlite3.Connection | None = None
        self._ciphers: dict[str, Cipher] = {}

    def note(self, project: str, came: Came) -> None:
        """Write down one instance; it is on the disk when this returns."""
        value = [came.issuer, came.patient_id, came.pseudonym, came.accession, [list(pair) for pair in came.uids]]
        sealed = self._cipher(project).close(value, project.encode())
        with self._open() as connection:
            connection.execute("INSERT INTO arrived (project, sealed) VALUES (?, ?)", (project, sealed))

    def take(self, most: int, after: int = 0) -> list[Note]:
        """Return the oldest notes behind a number; they stay until they are dropped."""
        if not self._path.exists():
            return []
        with self._open() as connection:
            query = "SELECT id, project, sealed FROM arrived WHERE id > ? ORDER BY id LIMIT ?"
            rows = connection.execute(query, (after, most)).fetchall()
        return [Note(*row) for row in rows]

    def open(self, note: Note) -> Came:
        """Return what a note says; raise ConfigurationError where its project is sealed or its text was changed."""
        issuer, patient_id, pseudonym, accession, uids = self._cipher(note.project).open(
            note.sealed, note.project.encode()
        )
        return Came(issuer, patient_id, pseudonym, accession, [(old, new) for old, new in uids])

    def drop(self, notes: Sequence[Note]) -> None:
        """Forget notes that the crosswalk holds; a number may be another note's by now."""
        with self._open() as connection:
            query = "DELETE FROM arrived WHERE id = ? AND sealed = ?"
            connection.executemany(query, [(note.number, note.sealed) for note in notes])

    def tidy(self) -> None:
        """Have nothing left in the file of what was dropped."""
        if self._path.exists():
            with self._open() as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _cipher(self, project: str) -> Cipher:
        if project not in self._ciphers:
            key = hmac.digest(self._keyring.project(project), b"orthanc-deid\x00arrived", "sha256")
            self._ciphers[project] = Cipher(key)
        return self._ciphers[project]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=LOCKED_S, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.execute(TABLE)
        with self._connection:
            yield self._connection
