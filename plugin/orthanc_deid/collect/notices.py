"""inotify (Linux): wakes a collector when something is written into its folders; only a hint, looks alone decide."""

import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path

# Of inotify(7).
_CLOSE_WRITE, _MOVED_TO, _CREATE, _ONLYDIR, _IGNORED = 0x8, 0x80, 0x100, 0x01000000, 0x8000
_EVENT = struct.Struct("iIII")
_FOLDERS_MOST = 4096  # the kernel's limit is for all programs of a user together
_SLICE_S = 0.5  # seconds in which a stop is noticed


class Notices:
    """Of one source; does nothing where the system has no inotify or gives no more of it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched: set[int] = set()

    def watch(self, folder: Path) -> None:
        """Be woken by what happens in a folder; again: nothing more."""
        if self._file < 0 or len(self._watched) >= _FOLDERS_MOST:
            return
        events = _CLOSE_WRITE | _MOVED_TO | _CREATE | _ONLYDIR
        watch = self._libc.inotify_add_watch(self._file, os.fsencode(folder), events)
        if watch >= 0:
            self._watched.add(watch)

    def wait(self, seconds: float, stopping: threading.Event) -> None:
        """Wait that long, or until something was written, or `stopping` is set."""
        end = time.monotonic() + seconds
        if self._file < 0:
            stopping.wait(seconds)
            return
        while not stopping.is_set() and (left := end - time.monotonic()) > 0:
            if select.select([self._file], [], [], min(left, _SLICE_S))[0]:
                self.drain()
                return

    def drain(self) -> None:
        """Forget what was told so far."""
        while self._file >= 0:
            try:
                data = os.read(self._file, 2**16)
            except BlockingIOError:
                return
            at = 0
            while at + _EVENT.size <= len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, at)
                if mask & _IGNORED:  # the folder is gone
                    self._watched.discard(watch)
                at += _EVENT.size + length
