"""A prefix of an object store, looked at like a watch folder: its files are fetched one by one."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from .. import stores
from ..errors import Retriable
from ..packed.refused import Refused, Word
from ..settings.sources import PrefixSource
from ..stores.store import Listed, ReadableStore
from .base import Tools
from .depot import OURS, is_over
from .files import FileCollector
from .settling import is_ignored


class Prefix(FileCollector):
    """One prefix. An object is there whole or not at all; only a file of an SFTP server grows while it is written."""

    def __init__(self, settings: PrefixSource, tools: Tools) -> None:
        settle_s = settings.settle_s if settings.scheme == "sftp" else 0.0
        super().__init__(settings, tools, lambda: opened(settings, tools.work), settle_s)


def check(settings: PrefixSource) -> str:
    """Log in and list; where files will be moved prove that it can be written to. Raise as `stores.opened`."""
    with stores.opened(settings) as store:
        if settings.after != "keep":
            return store.describe()
        next(iter(store.walk(lambda _name: True)), None)
    return "object store, can be listed"


@contextmanager
def opened(settings: PrefixSource, work: Path) -> Iterator["PrefixDepot"]:
    """Connect; raise as `stores.opened`."""
    with stores.opened(settings) as store:
        yield PrefixDepot(settings, store, work)


class PrefixDepot:
    """See `Depot`."""

    def __init__(self, settings: PrefixSource, store: ReadableStore, work: Path) -> None:
        self._settings, self._store, self._work = settings, store, work
        # paramiko gives an answer to whoever reads first, not to whoever asked.
        self._turn: AbstractContextManager[Any] = threading.RLock() if settings.scheme == "sftp" else nullcontext()
        self.unreadable = 0

    def walk(self) -> Iterator[Listed]:
        """Yield every file, page by page."""
        found = self._store.walk(self._is_skipped)
        while True:
            with self._turn:
                item = next(found, None)
            if item is None:
                return
            is_folder = not item.key or item.key.endswith("/")  # as consoles make them
            if not is_folder and not any(self._is_skipped(part) for part in item.key.split("/")):
                yield item

    def _is_skipped(self, name: str) -> bool:
        return name == OURS or is_ignored(name, self._settings.ignore)

    @contextmanager
    def local(self, item: Listed) -> Iterator[Path]:
        """Fetch it, piece by piece; raise Refused where it is too large."""
        if item.size > self._settings.file_bytes:
            raise Refused(Word.TOO_LARGE, f"larger than {self._settings.file_bytes} bytes")
        self._work.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._work / secrets.token_hex(8)
        try:
            with self._turn:
                self._fetch(item, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _fetch(self, item: Listed, path: Path) -> None:
        left = item.size
        with path.open("wb") as file:
            for piece in self._store.read(item.key):
                left -= len(piece)
                if left < 0:
                    break
                file.write(piece)
        if left:
            raise Retriable("a file was changed while it was fetched")

    def is_unchanged(self, item: Listed) -> bool:
        """Ask once more."""
        with self._turn:
            return self._store.find(item.key) == item

    def move(self, item: Listed, folder: str, reason: str) -> None:
        """Put a file below a folder of ours; what stands there already stays."""
        wanted = target = f"{folder}/{item.key}"
        number = 1
        with self._turn:
            while self._store.find(target):
                number += 1
                target = f"{wanted}.{number}"
            if reason:
                self._store.write(f"{target}.reason.txt", reason.encode())
            self._store.move(item.key, target)

    def remove(self, item: Listed) -> None:
        """Delete a file."""
        with self._turn:
            self._store.remove(item.key)

    def tidy(self, folder: str, days: float) -> None:
        """Delete what was put below the folders of days that are over for long enough."""
        for name in self._store.folders(folder):
            if is_over(name, days):
                day = f"{folder}/{name}"
                for item in self._store.below(day):
                    with suppress(FileNotFoundError):
                        self._store.remove(item.key)
                self._store.remove_folder(day)
