"""What files are taken from: a folder or a prefix of an object store, each with a folder of ours in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from ..settings.sources import Incoming
from ..stores.store import Listed
from .outcome import Outcome, Place

OURS = ".deid"  # folder of ours, below the root; it is never looked into


class Depot(Protocol):
    """One look at the place; its methods but `walk` and `tidy` are called by several threads.

    No message of an error holds a path. Raises Retriable or ConfigurationError where the place is away or may not be
    written to, OSError or Retriable where that is so of one file.
    """

    unreadable: int  # folders that could not be read in this look

    def walk(self) -> Iterator[Listed]:
        """Yield every file but those that are ignored, without ever holding a list of all."""

    def local(self, item: Listed) -> AbstractContextManager[Path]:
        """Return where the file stands on this disk for as long as the block lasts."""

    def is_unchanged(self, item: Listed) -> bool:
        """Tell whether a file is still as it was listed."""

    def move(self, item: Listed, folder: str, reason: str) -> None:
        """Put a file below a folder of ours, its path kept, and the reason beside it where there is one."""

    def remove(self, item: Listed) -> None:
        """Delete a file."""

    def tidy(self, folder: str, days: float) -> None:
        """Delete what was put below a folder of ours so many days ago."""


def folder_for(outcome: Outcome, today: date) -> str:
    """Return the folder of ours for a file: `taken/2026-11-21`, `refused/truncated/2026-11-21`."""
    if outcome.place is Place.REFUSED:
        return f"{OURS}/{outcome.place}/{outcome.word}/{today}"
    return f"{OURS}/{outcome.place}/{today}"


def today() -> date:
    """Return the day in UTC, which folders are named by."""
    return datetime.now(UTC).date()


def is_over(name: str, days: float) -> bool:
    """Tell whether a folder's day, in UTC, ended so many days ago; never of a folder with another name."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return False
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return datetime.now(UTC) >= end + timedelta(days=days)


def aged(settings: Incoming, words: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Yield each folder of ours that is emptied by age, with the days that are kept."""
    if settings.taken_days is not None:
        yield f"{OURS}/{Place.TAKEN}", settings.taken_days
        yield f"{OURS}/{Place.DUPLICATES}", settings.taken_days
    if settings.refused_days is not None:
        for word in words:
            yield f"{OURS}/{Place.REFUSED}/{word}", settings.refused_days
