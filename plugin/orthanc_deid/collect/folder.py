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
        self._demand_no_link(ours)
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
        """Return where it stands; raise PermissionError where it could not be moved afterwards.

        Who may write here may put a link in place of the file, or of a folder above it, after it was listed: what
        that leads to, another's images perhaps, is not read.
        """
        if self._tidies and not os.access((self._root / item.key).parent, os.W_OK):
            raise PermissionError
        file = _opened_below(self._root, item.key)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileNotFoundError
            yield Path(f"/proc/self/fd/{file}")
        finally:
            os.close(file)

    def is_unchanged(self, item: Listed) -> bool:
        """Tell whether size and time are those that were listed."""
        return _stamp((self._root / item.key).lstat()) == item.stamp

    def move(self, item: Listed, folder: str, reason: str) -> None:
        """Put a file below a folder of ours; what stands there already stays."""
        wanted = self._root / folder / item.key
        self._demand_no_link(wanted.parent)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        target, number = wanted, 1
        while os.path.lexists(target):
            number += 1
            target = wanted.with_name(f"{wanted.name}.{number}")
        if reason:
            _write(target.with_name(f"{target.name}.reason.txt"), reason)
        _rename(self._root / item.key, target)

    def remove(self, item: Listed) -> None:
        """Delete a file."""
        (self._root / item.key).unlink(missing_ok=True)

    def tidy(self, folder: str, days: float) -> None:
        """Delete the folders of days that are over for long enough."""
        self._demand_no_link(self._root / folder)
        with suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and is_over(entry.name, days):
                    shutil.rmtree(entry.path, ignore_errors=True)

    def _demand_no_link(self, folder: Path) -> None:
        """Raise ConfigurationError where a link stands in the way to a folder of ours: it may lead anywhere."""
        parts = folder.relative_to(self._root).parts
        if any((self._root / Path(*parts[: k + 1])).is_symlink() for k in range(len(parts))):
            raise ConfigurationError(f"a link stands in {OURS} of the folder: put a folder there, nothing is moved")


def _opened_below(root: Path, key: str) -> int:
    """Open a file without following a link anywhere below the root, and without waiting for a pipe's other end."""
    *folders, name = key.split("/")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


def _write(path: Path, text: str) -> None:
    """Write a text where no link stands."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666), "wb") as file:
        file.write(text.encode())


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
