"""A watch folder: files and folders in it, and what is moved below its `.deid`."""

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigurationError, Retriable
from ..settings.sources import FolderSource
from ..stores.store import Listed
from .base import Tools
from .depot import OURS, is_over
from .files import FileCollector
from .notices import Notices
from .settling import is_ignored

_DEEPEST = 64  # folders in folders; each takes a file handle while it is looked into
_EMPTY_S = 3600.0  # seconds after which an empty folder is deleted: its sender may still be about to fill it


class WatchFolder(FileCollector):
    """One watch folder; woken by inotify where that works, and every poll_s in any case."""

    def __init__(self, settings: FolderSource, tools: Tools) -> None:
        self._notices = Notices() if settings.notify else None
        super().__init__(settings, tools, lambda: opened(settings, self._notices), settings.settle_s)
        self._took_s = 0.0

    def look(self) -> bool:
        """Take what is new and whole."""
        began = time.monotonic()
        if self._notices:
            self._notices.drain()
        try:
            return super().look()
        finally:
            self._took_s = time.monotonic() - began

    def wait(self, seconds: float) -> None:
        """Wait that long, or until something is written there, or the next file may be whole."""
        if self._notices is None:
            super().wait(seconds)
            return
        # Who sends many files does not make us look at all of them after each.
        if not self._tools.stopping.wait(min(max(2 * self._took_s, 0.2), seconds)):
            due = seconds if self.settles_in_s is None else min(seconds, self.settles_in_s)
            self._notices.wait(due, self._tools.stopping)


def check(settings: FolderSource) -> str:
    """Look at the folder; answer what can be done there, or raise as `opened`."""
    with opened(settings, None):
        written = "read" if settings.after == "keep" else "read and written"
    return f"folder, can be {written}"


@contextmanager
def opened(settings: FolderSource, notices: Notices | None) -> Iterator["FolderDepot"]:
    """Make sure that the folder is there and that files can be moved in it.

    Raises
    ------
    Retriable
        It is not there, or not mounted.
    ConfigurationError
        It may not be read, or not be written to where that is needed.
    """
    root = settings.path
    if not root.is_dir() or (settings.must_be_mount and not os.path.ismount(root)):
        raise Retriable("the folder is not there" if not root.is_dir() else "the folder is not mounted")
    try:
        with os.scandir(root) as entries:
            next(entries, None)
    except PermissionError:
        raise ConfigurationError("the folder may not be read: see its permissions") from None
    except OSError as error:
        raise Retriable(f"the folder cannot be read ({type(error).__name__})") from None
    depot = FolderDepot(settings, notices)
    if settings.after != "keep":
        depot.demand_writable()
    yield depot


class FolderDepot:
    """See `Depot`."""

    def __init__(self, settings: FolderSource, notices: Notices | None) -> None:
        self._root, self._ignore = settings.path, settings.ignore
        self._tidies = settings.after != "keep"
        self._notices = notices
        self.unreadable = 0

    def demand_writable(self) -> None:
        """Make our folder where it is missing; readable by whoever may read the watch folder."""
        ours = self._root / OURS
        try:
            if not ours.is_dir():
                ours.mkdir(mode=0o700)
                ours.chmod(stat.S_IMODE(self._root.stat().st_mode) & 0o777)
            if not os.access(self._root, os.W_OK) or not os.access(ours, os.W_OK):
                raise PermissionError
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE}:
                raise Retriable(f"the folder cannot be written to ({type(error).__name__})") from None
            raise ConfigurationError(
                "files cannot be moved in the folder: give the permission to write, or say `after: keep`"
            ) from None

    def walk(self) -> Iterator[Listed]:
        """Yield every regular file; links are not followed."""
        yield from self._walk("", 0)

    def _walk(self, below: str, depth: int) -> Iterator[Listed]:
        folder = self._root / below
        if self._notices:
            self._notices.watch(folder)
        is_empty = True
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    is_empty = False
                    if not (is_ignored(entry.name, self._ignore) or (not below and entry.name == OURS)):
                        yield from self._entry(entry, below, depth)
        except FileNotFoundError:
            return  # moved away meanwhile
        except OSError:
            self.unreadable += 1
            return
        if is_empty and below and self._tidies:
            self._remove_empty(folder)

    def _entry(self, entry: "os.DirEntry[str]", below: str, depth: int) -> Iterator[Listed]:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST:
                yield from self._walk(f"{path}/", depth + 1)
            else:
                self.unreadable += 1
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield Listed(path, status.st_size, _stamp(status))

    @staticmethod
    def _remove_empty(folder: Path) -> None:
        with suppress(OSError):  # somebody writes into it just now
            if time.time() - folder.stat().st_mtime > _EMPTY_S:
                folder.rmdir()

    @contextmanager
    def local(self, item: Listed) -> Iterator[Path]:
        """Return where it stands; raise PermissionError where it could not be moved afterwards."""
        path = self._root / item.key
        if self._tidies and not os.access(path.parent, os.W_OK):
            raise PermissionError
        yield path

    def is_unchanged(self, item: Listed) -> bool:
        """Tell whether size and time are those that were listed."""
        return _stamp((self._root / item.key).lstat()) == item.stamp

    def move(self, item: Listed, folder: str, reason: str) -> None:
        """Put a file below a folder of ours; what stands there already stays."""
        wanted = self._root / folder / item.key
        wanted.parent.mkdir(parents=True, exist_ok=True)
        target, number = wanted, 1
        while os.path.lexists(target):
            number += 1
            target = wanted.with_name(f"{wanted.name}.{number}")
        if reason:
            target.with_name(f"{target.name}.reason.txt").write_text(reason, encoding="utf-8")
        _rename(self._root / item.key, target)

    def remove(self, item: Listed) -> None:
        """Delete a file."""
        (self._root / item.key).unlink(missing_ok=True)

    def tidy(self, folder: str, days: float) -> None:
        """Delete the folders of days that are over for long enough."""
        with suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and is_over(entry.name, days):
                    shutil.rmtree(entry.path, ignore_errors=True)


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}"


def _rename(path: Path, target: Path) -> None:
    """Rename, or where something else is mounted in between copy whole and delete."""
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        shutil.copy2(path, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(target)
        path.unlink()
