"""What has passed the door: a keyed digest of each instance's UIDs with one of its content, no identity.

A file of its own and not the ledger: the door may not wait for the service, and a database far away is too far. Losing
the file harms nothing: the first repeat of each instance is then not compared.
"""

import contextlib
import hashlib
import hmac
import os
import sqlite3
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

LOCKED_S = 0.25  # the door's senders wait meanwhile
HEAD = 16384  # bytes; what differs in attributes differs there, as a rule
DIGEST = 16  # bytes
TABLE = "CREATE TABLE IF NOT EXISTS seen (instance BLOB PRIMARY KEY, content BLOB, aside BLOB) WITHOUT ROWID"


class Sight(Enum):
    """What the file says of an instance that has come."""

    NEW = "it was not there before"
    SAME = "it came before with this content"
    ASIDE = "it came before with this content, and was put aside"
    CHANGED = "it came before with another content"


class Seen:
    """The file; an instance of this class is used by one thread at a time.

    Parameters
    ----------
    path
        Where it is; made where it is not.
    master
        The master key; the digests derive from it, so that nobody else can look for an instance that he knows.

    Every method raises OSError or sqlite3.Error where the file cannot be used.
    """

    def __init__(self, path: Path, master: bytes) -> None:
        self._path = path
        self._key = hmac.digest(master, b"orthanc-deid\x00seen", "sha256")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def content(self, dicom: bytes, start: int) -> bytes:
        """Return the digest of what begins at an offset: 12 bytes of SHA-256 of its head, CRC-32 of all behind.

        A CRC is enough for the pixels (no accident, but 1 of 4,000 million, is missed) and costs a third of SHA-256,
        for which every sender would wait; who forges one keeps nothing but his own change from being noticed.
        """
        view = memoryview(dicom)[start:]
        size = len(view).to_bytes(8, "big")
        head = hashlib.sha256(self._key + size + view[:HEAD]).digest()[: DIGEST - 4]
        return head + zlib.crc32(view[HEAD:]).to_bytes(4, "big")

    def judge(self, uids: bytes, content: bytes) -> Sight:
        """Compare an instance with what came before under its UIDs; one that is new is remembered."""
        instance = self._digest(uids)
        with self._open() as connection:
            query = "SELECT content, aside FROM seen WHERE instance = ?"
            row = connection.execute(query, (instance,)).fetchone()
            if row is None:
                connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, NULL)", (instance, content))
                return Sight.NEW
        if row[0] == content:
            return Sight.SAME
        return Sight.ASIDE if row[1] == content else Sight.CHANGED

    def put_aside(self, uids: bytes, content: bytes) -> None:
        """Remember that this content was put aside, so that it is not once more."""
        with self._open() as connection:
            connection.execute("UPDATE seen SET aside = ? WHERE instance = ?", (content, self._digest(uids)))

    def forget_aside(self, uids: bytes, content: bytes) -> None:
        """Have this content put aside once more when it comes again: the file is no longer there."""
        with self._open() as connection:
            instance = self._digest(uids)
            connection.execute("UPDATE seen SET aside = NULL WHERE instance = ? AND aside = ?", (instance, content))

    def expect(self, uids: bytes, content: bytes) -> None:
        """Have this content let in, whatever came before."""
        with self._open() as connection:
            row = (self._digest(uids), content)
            connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, NULL)", row)

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _digest(self, uids: bytes) -> bytes:
        return hashlib.blake2b(uids, key=self._key, digest_size=DIGEST).digest()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, to the file that stands there now; one that is broken is removed."""
        try:
            yield self._connected()
        except sqlite3.Error as error:
            self.close()
            if type(error) is sqlite3.DatabaseError:  # its subclasses say that it is locked, full or read-only
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            raise

    def _connected(self) -> sqlite3.Connection:
        try:
            inode = os.stat(self._path).st_ino  # noqa: PTH116  # a third of what Path.stat takes
        except FileNotFoundError:
            inode = 0
        if self._connection is None or inode != self._inode:
            self.close()
            self._connection = self._connect()
            self._inode = self._path.stat().st_ino
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False)
        try:
            # No fsync but at a checkpoint: a power cut loses what came last, kill -9 nothing.
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", TABLE):
                connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
