"""Files that appear as a whole, and only where none of that name is: of two that try at once one succeeds."""

import os
import secrets
from pathlib import Path

from ...formats import atomic


def put(path: Path, content: bytes) -> bool:
    """Write a file, mode 0600, synced; False where one of that name is there, which stays as it is."""
    part = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        _write(part, content)
        try:
            os.link(part, path)  # unlike a rename it replaces nothing
        except FileExistsError:
            return False
        except OSError:  # a disk without hard links: some network shares
            return _directly(path, content)
    finally:
        part.unlink(missing_ok=True)
    atomic.sync(path.parent)
    return True


def _directly(path: Path, content: bytes) -> bool:
    try:
        _write(path, content)
    except FileExistsError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
