"""Reads a text file that somebody else replaces: whole, and with what tells whether it has changed since."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import Retriable
from .entry import Faulty, Place

FRESH_S = 2.0  # a change within one tick of the file system's clock could be missed for so long
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, repr=False)
class Content:
    """The text of a file, and its state when it was read."""

    text: str
    stamp: Stamp
    is_settled: bool  # it was not changed right before it was read


def stamp(path: Path, what: str) -> Stamp:
    """Return what differs where a file was changed or replaced; raise Retriable where there is none."""
    try:
        return _stamp(path.stat())
    except OSError as error:
        raise _unreadable(error, what) from None


def read(path: Path, what: str) -> Content:
    """Read a file in UTF-8, with or without a byte order mark; `what` is its name in messages.

    Raises
    ------
    Retriable
        It is not there, cannot be read, or is being written at this moment.
    Faulty
        It is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(error, what) from None
    if _stamp(before) != _stamp(after) or len(data) != after.st_size:
        raise Retriable(f"{what} is being written at this moment")
    is_settled = time.time() - after.st_mtime > FRESH_S
    if not is_settled and not data.rstrip(b" \t").endswith((b"\n", b"\r", b"}")):
        raise Retriable(f"{what} ends within a line: is it still being written?")
    return Content(_decoded(data), _stamp(after), is_settled)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Faulty(Place(data.count(b"\n", 0, error.start) + 1), "is not UTF-8: save it so") from None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _unreadable(error: OSError, what: str) -> Retriable:
    return Retriable(f"{what} cannot be read ({type(error).__name__})")
