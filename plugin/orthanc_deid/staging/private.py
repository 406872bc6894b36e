"""Files and folders that hold identities: their owner alone can read them, whole or not at all."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import Conflict
from ..formats import atomic


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file anew for writing."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file


def write(path: Path, content: bytes | str, mode: int = 0o600) -> None:
    """Write a file; it takes its name when all of it is on the disk."""
    with atomic.file(path, mode) as part:
        part.chmod(mode)
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, values: Any) -> None:  # noqa: ANN401  # JSON
    """Write values as JSON."""
    write(path, json.dumps(values, indent=2) + "\n")


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock while the block runs; answer its file handle: who inherits that holds the lock too.

    Raises
    ------
    Conflict
        Somebody else holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("this run is at work: another command goes on with it, or its hook has not ended") from None
        yield handle
    finally:
        os.close(handle)
