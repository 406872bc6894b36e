"""Files and folders that appear as a whole or not at all, whenever the process is killed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Give a temporary path beside to write to; it takes the name when the block ends without an error.

    `mode` is what the umask leaves of it; 0o600: its owner alone can read it.
    """
    temporary = _beside(path)
    temporary.touch(mode, exist_ok=False)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a small file."""
    with file(path, mode) as temporary:
        temporary.write_bytes(content)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside, which takes the name at the end; what had the name before is replaced."""
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        for each in (*temporary.rglob("*"), temporary):
            sync(each)
        old = None
        if path.exists():
            # A folder that is not empty cannot be replaced in one step: for a moment there is none.
            old = _beside(path)
            path.rename(old)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(path.parent)
    if old:
        shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.parent / f".{secrets.token_hex(8)}.tmp"


def sync(path: Path) -> None:
    """Have a file, or the names of a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
